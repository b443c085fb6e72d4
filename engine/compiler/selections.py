"""Selections by code that the index can answer: ``[Encounter] E where exists (E.type T where T ~ "Visit")``.

Such a query over a retrieve without codes means the retrieve with those codes, so it becomes one;
conditions that say something else stay behind as its ``where``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from measurewise.engine import elm
from measurewise.engine.compiler.emitter import Emitter
from measurewise.engine.compiler.joins import all_of, conjuncts
from measurewise.engine.models.types import NamedType

CONVERSIONS = ("ToConcept", "ToCode")


def by_code(em: Emitter, node: elm.Query) -> elm.Expression | None:
    """The query with one of its conditions made part of the retrieve, or None when none can be."""
    source = node.source[0].expression
    if len(node.source) != 1 or not isinstance(source, elm.Retrieve):
        return None
    if (
        source.codes is not None
        or source.code_filter
        or source.date_range is not None
        or source.id is not None
    ):
        return None
    parts = conjuncts(node.where)
    alias = node.source[0].alias
    for part in parts:
        found = _coded(part, alias)
        if found is None:
            continue
        path, codes, comparator = found
        kind = em.shapes.named(source.data_type)
        if not _indexable(em, kind, path):
            continue
        retrieve = replace(source, code_property=path, code_comparator=comparator, codes=codes)
        rest = [p for p in parts if p is not part]
        if not rest and not (node.let or node.relationship or node.return_ or node.sort or node.aggregate):
            return em.assembly.sharing.kept(retrieve)
        narrowed = replace(
            node,
            source=(elm.AliasedQuerySource(alias=alias, expression=em.assembly.sharing.kept(retrieve)),),
            where=all_of(rest) if rest else None,
        )
        return em.assembly.sharing.kept(narrowed)
    return None


def _indexable(em: Emitter, kind: NamedType, path: str) -> bool:
    if em.shapes.model.choice_properties(kind, path) or em.shapes.model.element_type(kind, path) is None:
        return False
    elements = em.assembly.code_elements(kind, path)
    return len(elements) == 1 and elements[0].kind == "CodeableConcept"


def _coded(part: elm.Expression, alias: str) -> tuple[str, elm.Expression, str] | None:
    """The path on the row, the codes and the comparator of a condition on a coded element."""
    if isinstance(part, elm.Exists) and isinstance(part.operand, elm.Query):
        inner = part.operand
        if len(inner.source) != 1 or inner.let or inner.relationship or inner.return_ or inner.aggregate:
            return None
        path = _path(inner.source[0].expression, alias)
        if path is None:
            return None
        wanted = inner.source[0].alias
        return _test(inner.where, lambda e: isinstance(_bare(e), elm.AliasRef) and _name(e) == wanted, path)
    path = _operand_path(part, alias)
    if path is None:
        return None
    return _test(part, lambda e: _path(e, alias) == path, path)


def _test(
    part: elm.Expression | None, is_row: Callable[[elm.Expression], bool], path: str
) -> tuple[str, elm.Expression, str] | None:
    if isinstance(part, elm.Equivalent):
        for row, known in (part.operand, part.operand[::-1]):
            code = _bare(known)
            if is_row(row) and isinstance(code, elm.CodeRef):
                return path, elm.ToList(operand=code), "~"
    if isinstance(part, elm.InValueSet) and part.valueset is not None and is_row(part.code):
        return path, part.valueset, "in"
    return None


def _operand_path(part: elm.Expression, alias: str) -> str | None:
    candidates: tuple[elm.Expression, ...] = ()
    if isinstance(part, elm.Equivalent):
        candidates = part.operand
    elif isinstance(part, elm.InValueSet):
        candidates = (part.code,)
    for candidate in candidates:
        path = _path(candidate, alias)
        if path is not None:
            return path
    return None


def _bare(node: elm.Expression) -> elm.Expression:
    """A node without the conversions between codes and concepts around it."""
    while True:
        if isinstance(node, elm.ToConcept):
            node = node.operand
        elif isinstance(node, elm.FunctionRef) and node.name in CONVERSIONS and len(node.operand) == 1:
            node = node.operand[0]
        else:
            return node


def _name(node: elm.Expression) -> str | None:
    bare = _bare(node)
    return bare.name if isinstance(bare, elm.AliasRef) else None


def _path(node: elm.Expression, alias: str) -> str | None:
    """The element of the row that a node reads: directly, or as the list of its concepts."""
    bare = _bare(node)
    if (
        isinstance(bare, elm.Query)
        and len(bare.source) == 1
        and bare.return_ is not None
        and bare.where is None
    ):
        if (
            _name(bare.return_.expression) != bare.source[0].alias
            or bare.relationship
            or bare.let
            or bare.sort
        ):
            return None
        bare = _bare(bare.source[0].expression)
    if isinstance(bare, elm.Property) and bare.scope == alias and "." not in bare.path:
        return bare.path
    if isinstance(bare, elm.Property) and isinstance(bare.source, elm.AliasRef) and bare.source.name == alias:
        return bare.path if "." not in bare.path else None
    return None
