"""Type tests, casts and conversions: ``is``, ``as``, ``cast``, ``convert``, ``minimum`` and ``maximum``.

CQL 1.5.3 CQL Reference, "Type Operators".
"""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.types import (
    ANY,
    BOOLEAN,
    CODE,
    CONCEPT,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGER,
    LONG,
    QUANTITY,
    STRING,
    TIME,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
)
from measurewise.engine.translator.context import Context, Typed
from measurewise.engine.translator.conversions import implicit_cast
from measurewise.engine.translator.data_types import canonical
from measurewise.engine.translator.operators import overloads
from measurewise.engine.translator.overloads import resolve_operator
from measurewise.engine.translator.type_specifiers import resolve_named, resolve_type

_EXTENT = frozenset({INTEGER, LONG, DECIMAL, QUANTITY, DATE, DATETIME, TIME})


def type_test(c: Context, node: tree.TypeTest) -> Typed:
    """``operand is type``."""
    operand = c.expression(node.operand)
    kind = resolve_type(c, node.type)
    if not _may_be(c, operand.type, kind):
        c.diagnostics.warn(node, f"This is never true: {c.show(operand.type)} is not {c.show(kind)}.", "")
    return Typed(elm.Is(operand=operand.node, is_type_specifier=c.types.specifier(kind)), BOOLEAN)


def cast(c: Context, node: tree.As | tree.Cast) -> Typed:
    """``operand as type``, null where it is of another type; ``cast operand as type``, then an error."""
    operand = c.expression(node.operand)
    kind = resolve_type(c, node.type)
    if not _may_be(c, operand.type, kind):
        hint = _qualified_hint(operand.type, kind) or c.conversion_hint(operand.type, kind)
        raise c.fail(node, f"{c.show(operand.type)} cannot be {c.show(kind)}.", hint)
    if isinstance(operand.node, elm.Interval) and operand.type == IntervalType(ANY):
        # Interval[null, null] has no point type of its own: its bounds become nulls of the one that is named.
        typed = c.conversions.convert(operand.node, operand.type, kind)
        if typed is not None and isinstance(kind, IntervalType):
            return Typed(typed, kind)
    # An element whose types are reached in different ways is reached in that of the type that is asked for.
    source = c.conversions.by_type.get(operand.node, {}).get(kind, operand.node)
    value = elm.As(
        operand=source, as_type_specifier=c.types.specifier(kind), strict=isinstance(node, tree.Cast)
    )
    return Typed(value, kind)


def _qualified_hint(have: DataType, want: DataType) -> str:
    # A plain name is looked for in the models in use before System.
    if isinstance(have, NamedType) and isinstance(want, NamedType) and have.name == want.name:
        return f"Write '{have.model}.{have.name}' for the type of {have.model}."
    return ""


def _may_be(c: Context, have: DataType, want: DataType) -> bool:
    if ANY in (have, want) or c.types.is_subtype(have, want) or c.types.is_subtype(want, have):
        return True
    if isinstance(have, ChoiceType):
        return any(_may_be(c, member, want) for member in have.choices)
    if isinstance(want, ChoiceType):
        return any(_may_be(c, have, member) for member in want.choices)
    if isinstance(have, ListType) and isinstance(want, ListType):
        return _may_be(c, have.element, want.element)
    if isinstance(have, IntervalType) and isinstance(want, IntervalType):
        return _may_be(c, have.point, want.point)
    return False


def convert(c: Context, node: tree.Convert) -> Typed:
    """``convert operand to type`` or to a unit."""
    operand = c.expression(node.operand)
    if node.type is None:
        unit = elm.Literal(value_type=c.types.qualified_name(STRING), value=_unit(node))
        return c.call("ConvertQuantity", (operand, Typed(unit, STRING)), node)
    kind = resolve_type(c, node.type)
    if operand.type == kind:
        return operand
    if isinstance(kind, NamedType) and kind.model == "System":
        operator = f"To{kind.name}"
        if resolve_operator(c.conversions, overloads(operator, 1), (operand.type,)):
            return c.call(operator, (operand,), node)
    conversion = c.conversions.find(operand.type, kind)
    if conversion is None and operand.type == CONCEPT and kind == ListType(CODE):
        return Typed(elm.Property(path="codes", source=operand.node), kind)
    if conversion is None and isinstance(operand.type, TupleType) and isinstance(kind, NamedType):
        instance = _instance(c, operand, operand.type, kind)
        if instance is not None:
            return instance
    if conversion is None:
        raise c.fail(
            node,
            f"{c.show(operand.type)} cannot be converted to {c.show(kind)}.",
            c.conversion_hint(operand.type, kind),
        )
    return Typed(operand.node if conversion.apply is None else conversion.apply(operand.node), kind)


_UCUM = {
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}
"""Units of UCUM equal to calendar durations; a calendar year or month equals none."""


def _unit(node: tree.Convert) -> str:
    unit = node.unit or ""
    return _UCUM.get(unit.removesuffix("s"), unit) if node.calendar else unit


def _instance(c: Context, operand: Typed, given: TupleType, kind: NamedType) -> Typed | None:
    """A tuple as a value of a class that has its elements (Developer's Guide, "Implicit Conversions")."""
    elements = []
    for name, have in given.elements:
        info = c.models[kind.model].element(kind, name)
        node: elm.Expression = elm.Property(path=name, source=operand.node)
        converted = None if info is None else c.conversions.convert(node, have, canonical(info.type))
        if converted is None:
            return None
        elements.append(elm.InstanceElement(name=name, value=converted))
    made = elm.Instance(class_type=c.types.qualified_name(kind), element=tuple(elements))
    absent = elm.IsNull(operand=operand.node)
    return Typed(elm.If(condition=absent, then=implicit_cast(c.types, elm.Null(), kind), else_=made), kind)


def type_extent(c: Context, node: tree.TypeExtent) -> Typed:
    """``minimum Integer``, ``maximum DateTime``."""
    kind = resolve_named(c, node.type)
    if kind not in _EXTENT:
        raise c.fail(
            node,
            f"{c.show(kind)} has no {node.extent}.",
            "Integer, Long, Decimal, Quantity, Date, DateTime and Time have one.",
        )
    name = c.types.qualified_name(kind)
    value = elm.MinValue(value_type=name) if node.extent == "minimum" else elm.MaxValue(value_type=name)
    return Typed(value, kind)
