"""Elements of values: ``E.period``, ``I.low``, elements of choices, and of every element of a list.

CQL 1.5.3 Author's Guide, "Path Traversal"; ELM, "Property".
"""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.info import ElementInfo
from measurewise.engine.models.types import (
    ANY,
    BOOLEAN,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
)
from measurewise.engine.translator.context import Context, Typed
from measurewise.engine.translator.conversions import type_test
from measurewise.engine.translator.data_types import canonical, choice
from measurewise.engine.translator.diagnostics import suggestion
from measurewise.engine.translator.targets import THIS, reach


def element_of(c: Context, source: Typed, name: str, at: tree.Node) -> Typed:
    """The element of a value; an error that names the nearest element where there is none."""
    found = find_element(c, source, name, at)
    if found is None:
        raise c.fail(
            at,
            f'{c.show(source.type)} has no element "{name}".',
            suggestion(name, element_names(c, source.type)),
        )
    return found


def find_element(c: Context, source: Typed, name: str, at: tree.Node) -> Typed | None:
    """As ``element_of``; None where the type has no such element."""
    kind = source.type
    if isinstance(kind, ListType):
        return _of_each(c, source, kind, name, at)
    info = declared_element(c, kind, name)
    if info is None and isinstance(kind, ChoiceType):
        return _of_choice(c, source, kind, name, at)
    if info is None:
        return None
    if isinstance(info, ElementInfo):
        return Typed(_reached(c, source.node, info, at), canonical(info.type))
    return Typed(_property(source.node, name), info)


def declared_element(c: Context, kind: DataType, name: str) -> ElementInfo | DataType | None:
    """What a type itself says of an element: the model's entry, or the type in an interval or tuple."""
    if isinstance(kind, NamedType):
        model = c.models.get(kind.model)
        return None if model is None or kind == ANY else model.element(kind, name)
    if isinstance(kind, IntervalType):
        if name in ("low", "high"):
            return kind.point
        return BOOLEAN if name in ("lowClosed", "highClosed") else None
    if isinstance(kind, TupleType):
        return kind.element(name)
    return None


def _property(source: elm.Expression, name: str) -> elm.Property:
    if isinstance(source, elm.AliasRef):
        return elm.Property(path=name, scope=source.name)
    return elm.Property(path=name, source=source)


def _reached(c: Context, source: elm.Expression, info: ElementInfo, at: tree.Node) -> elm.Expression:
    value = _property(source, info.name)
    if info.target is None:
        return value
    return reach(c, value, source, canonical(info.type), info.target, at)


def _of_choice(c: Context, source: Typed, kind: ChoiceType, name: str, at: tree.Node) -> Typed | None:
    found: list[tuple[DataType, DataType, str | None, ElementInfo | None]] = []
    for member in kind.choices:
        element = declared_element(c, member, name)
        if isinstance(element, ElementInfo):
            found.append((member, canonical(element.type), element.target, element))
        elif element is not None:
            found.append((member, element, None, None))
    if not found:
        return None
    result = choice(t for _, t, _, _ in found)
    shapes = {(target, isinstance(t, ListType)) for _, t, target, _ in found}
    if len(shapes) == 1:
        _, first, target, info = found[0]
        if info is None or target is None:
            return Typed(_property(source.node, name), result)
        node = reach(c, _property(source.node, name), source.node, first, target, at)
        return Typed(node, result)
    items = []
    for member, element_type, target, _ in found:
        cast = c.conversions.convert(source.node, kind, member) or source.node
        value: elm.Expression = _property(cast, name)
        if target is not None:
            value = reach(c, value, cast, element_type, target, at)
        converted = c.conversions.convert(value, element_type, result) or value
        items.append(elm.CaseItem(when=type_test(c.types, source.node, member), then=converted))
    return Typed(elm.Case(case_item=tuple(items), else_=elm.Null()), result)


def _of_each(c: Context, source: Typed, kind: ListType, name: str, at: tree.Node) -> Typed | None:
    """The element of every element of a list, absent ones left out, lists in a list made one."""
    element = find_element(c, Typed(_this(), kind.element), name, at)
    if element is None:
        return None
    node: elm.Expression = elm.Query(
        source=(elm.AliasedQuerySource(alias=THIS, expression=source.node),),
        where=elm.Not(operand=elm.IsNull(operand=_by_source(element.node))),
        return_=elm.ReturnClause(expression=_by_source(element.node), distinct=False),
    )
    if isinstance(element.type, ListType):
        return Typed(elm.Flatten(operand=node), element.type)
    return Typed(node, ListType(element.type))


def _this() -> elm.Expression:
    return elm.AliasRef(name=THIS)


def _by_source(node: elm.Expression) -> elm.Expression:
    """``$this`` as a source rather than a scope, as traversals of lists have it."""
    if isinstance(node, elm.Property):
        if node.scope == THIS:
            return elm.Property(path=node.path, source=_this())
        if node.source is not None:
            return elm.Property(path=node.path, source=_by_source(node.source))
    if isinstance(node, elm.FunctionRef):
        return elm.FunctionRef(
            name=node.name,
            library_name=node.library_name,
            signature=node.signature,
            operand=tuple(_by_source(o) for o in node.operand),
        )
    if isinstance(node, elm.Query) and node.source[0].alias == THIS and len(node.source) == 1:
        inner = node.source[0]
        return elm.Query(
            source=(elm.AliasedQuerySource(alias=THIS, expression=_by_source(inner.expression)),),
            where=node.where,
            return_=node.return_,
        )
    return node


def element_names(c: Context, kind: DataType) -> list[str]:
    """The elements that values of a type have, for suggestions."""
    if isinstance(kind, NamedType):
        model = c.models.get(kind.model)
        return [] if model is None else list(model.elements(kind))
    if isinstance(kind, IntervalType):
        return ["low", "high", "lowClosed", "highClosed"]
    if isinstance(kind, TupleType):
        return [name for name, _ in kind.elements]
    if isinstance(kind, ChoiceType):
        return [name for member in kind.choices for name in element_names(c, member)]
    if isinstance(kind, ListType):
        return element_names(c, kind.element)
    return []
