"""Queries: sources, lets, with and without, where, return, aggregate, sort.

CQL 1.5.3 Author's Guide, "Queries"; ELM, "Queries".
"""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.types import (
    ANY,
    ChoiceType,
    DataType,
    ListType,
    tuple_of,
)
from measurewise.engine.translator.context import Context, QueryScope, Typed
from measurewise.engine.translator.diagnostics import suggestion
from measurewise.engine.translator.members import declared_element, element_names


def query(c: Context, node: tree.Query) -> Typed:
    """A query; a list where one of its sources is a list, else a single value."""
    scope = QueryScope()
    sources: list[elm.AliasedQuerySource] = []
    kinds: dict[str, DataType] = {}
    many = False
    for source in node.sources:
        value = _source(c, source)
        row = value.type.element if isinstance(value.type, ListType) else value.type
        many = many or isinstance(value.type, ListType)
        _introduce(c, scope, source.alias)
        if source.alias.name in kinds:
            raise _taken(c, source.alias)
        kinds[source.alias.name] = row
        aliased = elm.AliasedQuerySource(alias=source.alias.name, expression=value.node)
        c.mark(aliased, source, value.type)
        sources.append(aliased)
    scope.aliases.update(kinds)
    with c.scope(scope):
        lets = tuple(_let(c, scope, item) for item in node.lets)
        relationships = tuple(_relationship(c, scope, item) for item in node.relationships)
        where = None if node.where is None else c.boolean(node.where, "The condition of 'where'")
        result, aggregate, row = _result(c, node, kinds, many)
    if aggregate is not None:
        kind = row
    else:
        kind = ListType(row) if many else row
    sort = None if node.sort is None else _sort(c, node.sort, row, many)
    value_node = elm.Query(
        source=tuple(sources),
        let=lets,
        relationship=relationships,
        where=where,
        return_=result,
        aggregate=aggregate,
        sort=sort,
    )
    return Typed(value_node, kind)


def _source(c: Context, source: tree.AliasedSource) -> Typed:
    value = c.expression(source.source)
    if isinstance(value.type, ChoiceType) and any(isinstance(k, ListType) for k in value.type.choices):
        lists = [k for k in value.type.choices if isinstance(k, ListType)]
        if len(lists) == 1:
            return Typed(c.convert(value, lists[0], source, "This source"), lists[0])
    return value


def _introduce(c: Context, scope: QueryScope, name: tree.Identifier) -> None:
    taken = name.name in scope.aliases or name.name in scope.lets
    for outer in c.scopes:
        taken = taken or (
            isinstance(outer, QueryScope) and (name.name in outer.aliases or name.name in outer.lets)
        )
    if taken:
        raise _taken(c, name)


def _taken(c: Context, name: tree.Identifier) -> Exception:
    return c.fail(name, f'The name "{name.name}" is taken in this query.', "Choose another alias.")


def _let(c: Context, scope: QueryScope, item: tree.LetItem) -> elm.LetClause:
    _introduce(c, scope, item.name)
    value = c.expression(item.value)
    scope.lets[item.name.name] = value.type
    clause = elm.LetClause(identifier=item.name.name, expression=value.node)
    c.mark(clause, item, value.type)
    return clause


def _relationship(c: Context, scope: QueryScope, item: tree.Relationship) -> elm.RelationshipClause:
    value = _source(c, item.source)
    name = item.source.alias
    _introduce(c, scope, name)
    row = value.type.element if isinstance(value.type, ListType) else value.type
    with c.scope(QueryScope(aliases={name.name: row})):
        condition = c.boolean(item.condition, "The condition of 'such that'")
    clause = (elm.Without if item.without else elm.With)(
        alias=name.name, expression=value.node, such_that=condition
    )
    c.mark(clause, item, value.type)
    return clause


def _result(
    c: Context, node: tree.Query, kinds: dict[str, DataType], many: bool
) -> tuple[elm.ReturnClause | None, elm.AggregateClause | None, DataType]:
    clause = node.result
    if isinstance(clause, tree.ReturnClause):
        value = c.expression(clause.value)
        result = elm.ReturnClause(expression=value.node, distinct=clause.modifier != "all")
        c.mark(result, clause, ListType(value.type) if many else value.type)
        return result, None, value.type
    if isinstance(clause, tree.AggregateClause):
        aggregate, kind = _aggregate(c, clause)
        return None, aggregate, kind
    if len(kinds) == 1:
        return None, None, next(iter(kinds.values()))
    whole = elm.Tuple(
        element=tuple(elm.TupleElement(name=name, value=elm.AliasRef(name=name)) for name in kinds)
    )
    return elm.ReturnClause(expression=whole, distinct=True), None, tuple_of(kinds)


def _aggregate(c: Context, clause: tree.AggregateClause) -> tuple[elm.AggregateClause, DataType]:
    scope = QueryScope()
    _introduce(c, scope, clause.name)
    starting = Typed(elm.Null(), ANY) if clause.starting is None else c.expression(clause.starting)
    kind = starting.type
    scope.lets[clause.name.name] = kind
    with c.scope(scope):
        value = c.expression(clause.value)
    if kind == ANY:
        # Without a typed start the value tells the type; once more, now that it is known.
        kind = value.type
        scope.lets[clause.name.name] = kind
        with c.scope(scope):
            value = c.expression(clause.value)
    widened = c.common_type(kind, value.type)
    if widened != kind and clause.starting is not None and not isinstance(widened, ChoiceType):
        kind = widened
        scope.lets[clause.name.name] = kind
        with c.scope(scope):
            value = c.expression(clause.value)
    first = c.convert(starting, kind, clause.starting or clause, "The start of an aggregate")
    body = c.convert(value, kind, clause.value, "The value of an aggregate")
    aggregate = elm.AggregateClause(
        identifier=clause.name.name, expression=body, starting=first, distinct=clause.modifier == "distinct"
    )
    c.mark(aggregate, clause, kind)
    return aggregate, kind


def _sort(c: Context, clause: tree.SortClause, row: DataType, many: bool) -> elm.SortClause:
    if not many:
        raise c.fail(
            clause, "Only a list can be sorted, and this query gives one value.", "Leave the sort out."
        )
    if not clause.items:
        word = _direction(c, clause, clause.descending)
        by: tuple[elm.SortByItem, ...] = (elm.ByDirection(direction=word),)
        c.mark(by[0], clause)
    else:
        by = tuple(_sort_item(c, item, row) for item in clause.items)
    sort = elm.SortClause(by=by)
    c.mark(sort, clause)
    return sort


def _direction(c: Context, node: tree.SortItem | tree.SortClause, descending: bool) -> str:
    words = c.syntax.text_of(node).split()
    last = words[-1] if words else ""
    return last if last in ("asc", "ascending", "desc", "descending") else "desc" if descending else "asc"


def _sort_item(c: Context, item: tree.SortItem, row: DataType) -> elm.SortByItem:
    direction = _direction(c, item, item.descending)
    sorted_by: elm.SortByItem
    with c.scope(QueryScope(row=row)):
        if isinstance(item.value, tree.Identifier):
            name = item.value.name
            element = declared_element(c, row, name)
            if element is None and not isinstance(row, ChoiceType):
                if c.own.definition(name, item.value) is None:
                    raise c.fail(
                        item.value,
                        f'{c.show(row)} has no element "{name}" to sort by.',
                        suggestion(name, element_names(c, row)),
                    )
            else:
                value = c.expression(item.value)
                _sortable(c, item, value.type)
                if isinstance(value.node, elm.IdentifierRef):
                    sorted_by = elm.ByColumn(direction=direction, path=name)
                    c.mark(sorted_by, item, value.type)
                    return sorted_by
        value = c.expression(item.value)
    _sortable(c, item, value.type)
    sorted_by = elm.ByExpression(direction=direction, expression=value.node)
    c.mark(sorted_by, item, value.type)
    return sorted_by


def _sortable(c: Context, item: tree.SortItem, kind: DataType) -> None:
    if isinstance(kind, ListType):
        raise c.fail(item, f"A list cannot be sorted by {c.show(kind)}.", "Sort by a single value.")
