"""What the rows of a list are, and what must be true for one of them to be there (ELM "Queries", "List
Operators", "External Data")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from measurewise.engine import elm
from measurewise.engine.compiler.prefilter.codes import spelled_out, value_set
from measurewise.engine.compiler.prefilter.requirements import (
    ANYTHING,
    NOTHING,
    Coded,
    OnRow,
    Present,
    Requirement,
    all_of,
)
from measurewise.engine.compiler.prefilter.rows import Rows, of_row, some, without_row
from measurewise.engine.compiler.prefilter.symbols import NULL, UNKNOWN, Closure, Element, Row, Scope, Value
from measurewise.engine.compiler.prefilter.values import is_patient
from measurewise.engine.models.types import DataType, ListType, NamedType

if TYPE_CHECKING:
    from measurewise.engine.compiler.prefilter.derivation import Derivation


# ---------------------------------------------------------------------------------- rows: lists


def _rows_retrieve(d: Derivation, node: elm.Retrieve, scope: Scope) -> list[Rows]:
    kind = d.assembly.shapes.named(node.data_type)
    codes, path, comparator = node.codes, node.code_property, node.code_comparator or "in"
    if codes is None and node.code_filter:
        first = node.code_filter[0]
        codes, path, comparator = first.value, first.property, first.comparator or "in"
    where: Requirement = ANYTHING
    if codes is not None:
        if path is None:
            info = d.model.class_of(kind)
            path = (info.primary_code_path if info else None) or "code"
        elements = d.assembly.code_elements(kind, path)
        use = value_set(d, codes, scope)
        if use is not None and comparator != "~":
            where = Coded(elements, value_sets=(use,))
        elif use is None:
            listed = spelled_out(d, codes, scope)
            where = Coded(elements, codes=listed) if listed else ANYTHING
    return [Rows(kind, where)]


def _rows_union(d: Derivation, node: elm.Union, scope: Scope) -> list[Rows]:
    return [row for part in node.operand for row in d.rows(part, scope)]


def _rows_intersect(d: Derivation, node: elm.Intersect, scope: Scope) -> list[Rows]:
    return [Rows(besides=all_of(some(d.rows(part, scope)) for part in node.operand))]


def _rows_first_operand(d: Derivation, node: elm.Except, scope: Scope) -> list[Rows]:
    return d.rows(node.operand[0], scope)


def _rows_of_source(
    d: Derivation, node: elm.Sort | elm.First | elm.Last | elm.Filter | elm.Slice, scope: Scope
) -> list[Rows]:
    return d.rows(node.source, scope)


def _rows_of_operand(
    d: Derivation, node: elm.Distinct | elm.SingletonFrom | elm.ToList, scope: Scope
) -> list[Rows]:
    return d.rows(node.operand, scope)


def _rows_indexer(d: Derivation, node: elm.Indexer, scope: Scope) -> list[Rows]:
    return d.rows(node.operand[0], scope)


def _rows_hidden(d: Derivation, node: elm.Flatten | elm.ForEach, scope: Scope) -> list[Rows]:
    source = node.operand if isinstance(node, elm.Flatten) else node.source
    return [Rows(besides=some(d.rows(source, scope)))]


def _rows_null(d: Derivation, node: elm.Null, scope: Scope) -> list[Rows]:
    return []


def _rows_list(d: Derivation, node: elm.List, scope: Scope) -> list[Rows]:
    return [Rows()] if node.element else []


def _rows_as(d: Derivation, node: elm.As, scope: Scope) -> list[Rows]:
    wanted = d.type_of(node.as_type, node.as_type_specifier)
    element = wanted.element if isinstance(wanted, ListType) else wanted
    return [_seen_as(d, row, element) for row in d.rows(node.operand, scope)]


def _seen_as(d: Derivation, row: Rows, wanted: DataType) -> Rows:
    """A row that may become null by a cast is no longer known."""
    if row.resource_type is None:
        return replace(row, value=UNKNOWN) if row.value is not UNKNOWN else row
    if d.model.is_subtype(row.resource_type, wanted):
        return row
    return Rows(besides=row.required())


def _rows_branches(d: Derivation, node: elm.If | elm.Case, scope: Scope) -> list[Rows]:
    return [
        replace(row, besides=all_of([row.besides, condition]))
        for condition, branch in d.branches(node, scope)
        for row in d.rows(branch, scope)
    ]


def _rows_coalesce(d: Derivation, node: elm.Coalesce, scope: Scope) -> list[Rows]:
    if len(node.operand) == 1:
        return [Rows(besides=some(d.rows(node.operand[0], scope)))]
    return [row for part in node.operand for row in d.rows(part, scope)]


def _rows_expression_ref(d: Derivation, node: elm.ExpressionRef, scope: Scope) -> list[Rows]:
    found = d.definition(node, scope)
    if found is None:
        return [Rows()]
    expression = found[0].expression
    assert expression is not None
    if is_patient(expression):
        return [Rows(value=value) for value in d.decided(node, scope)]
    key = (found[1].unit, node.name)
    if key not in d.known_rows:
        d.known_rows[key] = None
        d.known_rows[key] = d.rows(expression, found[1])
    known = d.known_rows[key]
    return [Rows()] if known is None else known


def _rows_function(d: Derivation, node: elm.FunctionRef, scope: Scope) -> list[Rows]:
    if d.helper(node, scope) is not None:
        return _rows_value(d, node, scope)
    found = d.bodies(node, scope)
    if found is None:
        return [Rows()]
    return [row for body in found for row in d.rows(body.node, body.scope)]


def _rows_named(d: Derivation, name: str, scope: Scope) -> list[Rows]:
    found = scope.names.get(name)
    if isinstance(found, Closure):
        return d.rows(found.node, found.scope)
    return [Rows(value=UNKNOWN if found is None else found)]


def _rows_value(d: Derivation, node: elm.Expression, scope: Scope) -> list[Rows]:
    """The elements of a list that a row holds, or a value that is no list."""
    there = d.nonnull(node, scope)
    found: list[Rows] = []
    for value in d.decided(node, scope):
        if value is NULL:
            continue
        if isinstance(value, Element) and isinstance(value.type, ListType):
            # One of the elements, read from the same property.
            value = replace(value, type=value.type.element, one_of=True)
            at_least = OnRow(value.row, Present((value.name,)))
            found.append(Rows(value=value, besides=all_of([there, at_least])))
        else:
            found.append(Rows(value=value, besides=there))
    return found


# ---------------------------------------------------------------------------------- rows: queries


def _rows_query(d: Derivation, node: elm.Query, scope: Scope) -> list[Rows]:
    if node.aggregate is not None:
        return [Rows()]
    sources: list[list[Rows]] = []
    aliases = [source.alias for source in node.source]
    for source in node.source:
        others: dict[str, Value | Closure] = {a: UNKNOWN for a in aliases if a != source.alias}
        inner = scope.with_names(others)
        found = d.rows(source.expression, scope)
        sources.append(_kept(d, found, source.alias, inner, lambda s: condition_of_query(d, node, s)))
    if any(not rows for rows in sources):
        return []
    returned = node.return_.expression if node.return_ is not None else None
    casts: list[DataType] = []
    while isinstance(returned, elm.As):
        casts.append(d.type_of(returned.as_type, returned.as_type_specifier))
        returned = returned.operand
    shown: int | None = None
    if node.return_ is None and len(sources) == 1:
        shown = 0
    elif isinstance(returned, elm.AliasRef) and returned.name in aliases:
        shown = aliases.index(returned.name)
    besides = [some(rows) for number, rows in enumerate(sources) if number != shown]
    if shown is None:
        if len(sources) == 1 and node.return_ is not None:
            return [_returned(d, row, node, aliases[0], scope) for row in sources[0]]
        return [Rows(besides=all_of(besides))]
    rows = [replace(row, besides=all_of([row.besides, *besides])) for row in sources[shown]]
    for cast in casts:
        rows = [_seen_as(d, row, cast) for row in rows]
    return rows


def _returned(d: Derivation, row: Rows, node: elm.Query, alias: str, scope: Scope) -> Rows:
    """What a query makes of a row: known only where the row is a value of the scope."""
    assert node.return_ is not None
    if row.resource_type is None and row.value is not UNKNOWN:
        inner = d.with_lets(node, scope.with_names({alias: row.value}))
        found = d.decided(node.return_.expression, inner)
        if len(found) == 1 and found[0] is not NULL:
            return Rows(value=found[0], besides=row.besides)
    return Rows(besides=row.required())


def condition_of_query(d: Derivation, node: elm.Query, scope: Scope) -> Requirement:
    """What the conditions of a query ask of a row and of the patient."""
    scope = d.with_lets(node, scope)
    parts = []
    for relation in node.relationship:
        if isinstance(relation, elm.With):
            kept = _kept(
                d,
                d.rows(relation.expression, scope),
                relation.alias,
                scope,
                lambda s: d.true(relation.such_that, s),  # noqa: B023
            )
            parts.append(some(kept))
    if node.where is not None:
        parts.append(d.true(node.where, scope))
    return all_of(parts)


def _kept(
    d: Derivation,
    rows: list[Rows],
    alias: str,
    scope: Scope,
    condition: Callable[[Scope], Requirement],
) -> list[Rows]:
    """The rows for which a condition holds, with what it says of them."""
    kept = []
    conditions: dict[NamedType, tuple[Requirement, Requirement]] = {}
    for row in rows:
        kind = row.resource_type
        if kind is None:
            whole = condition(scope.with_names({alias: row.value}))
            besides = all_of([row.besides, whole])
            if besides != NOTHING:
                kept.append(replace(row, besides=besides))
            continue
        if kind not in conditions:
            d.row_count += 1
            number = d.row_count
            whole = condition(scope.with_names({alias: Row(number, kind)}))
            conditions[kind] = of_row(whole, number), without_row(whole, number)
        narrower, besides = conditions[kind]
        where = all_of([row.where, narrower])
        besides = all_of([row.besides, besides])
        if where != NOTHING and besides != NOTHING:
            kept.append(replace(row, where=where, besides=besides))
    return kept


ROWS: dict[type, Callable[..., list[Rows]]] = {
    elm.Retrieve: _rows_retrieve,
    elm.Union: _rows_union,
    elm.Intersect: _rows_intersect,
    elm.Except: _rows_first_operand,
    elm.Query: _rows_query,
    elm.Sort: _rows_of_source,
    elm.First: _rows_of_source,
    elm.Last: _rows_of_source,
    elm.Filter: _rows_of_source,
    elm.Slice: _rows_of_source,
    elm.Distinct: _rows_of_operand,
    elm.SingletonFrom: _rows_of_operand,
    elm.ToList: _rows_of_operand,
    elm.Indexer: _rows_indexer,
    elm.Flatten: _rows_hidden,
    elm.ForEach: _rows_hidden,
    elm.Null: _rows_null,
    elm.List: _rows_list,
    elm.As: _rows_as,
    elm.If: _rows_branches,
    elm.Case: _rows_branches,
    elm.Coalesce: _rows_coalesce,
    elm.ExpressionRef: _rows_expression_ref,
    elm.FunctionRef: _rows_function,
    elm.OperandRef: lambda d, node, scope: _rows_named(d, f"operand:{node.name}", scope),
    elm.QueryLetRef: lambda d, node, scope: _rows_named(d, f"let:{node.name}", scope),
    elm.AliasRef: lambda d, node, scope: _rows_named(d, node.name, scope),
    elm.Property: _rows_value,
}
"""What is known of the rows of each node."""
