"""Literals, selectors and constructors: what builds a value out of parts.

CQL 1.5.3 Author's Guide, "Values"; ELM, "Simple Values", "Structured Values", "Clinical Values".
"""

from __future__ import annotations

import re
from decimal import Decimal

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.types import (
    ANY,
    BOOLEAN,
    CODE,
    CODESYSTEM,
    CONCEPT,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGER,
    LONG,
    QUANTITY,
    RATIO,
    STRING,
    TIME,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    tuple_of,
)
from measurewise.engine.translator.context import Context, Typed
from measurewise.engine.translator.data_types import canonical, choice, is_point
from measurewise.engine.translator.diagnostics import suggestion
from measurewise.engine.translator.type_specifiers import resolve_named, resolve_type

_SCALARS: dict[str, NamedType] = {
    "boolean": BOOLEAN,
    "string": STRING,
    "integer": INTEGER,
    "decimal": DECIMAL,
    "long": LONG,
}
_LARGEST = {"integer": 2**31, "long": 2**63}
_DATETIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(T)?(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?(Z|[+-]\d\d:\d\d)?"
)
_TIME = re.compile(r"T?(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?")
_MOST_DIGITS, _MOST_DECIMALS = 28, 8


def literal(c: Context, node: tree.Literal) -> Typed:
    """A literal of a simple type."""
    kind = node.kind
    if kind == "null":
        return Typed(elm.Null(), ANY)
    if kind == "date":
        return _date(c, node)
    if kind == "datetime":
        return _datetime(c, node)
    if kind == "time":
        return _time(c, node)
    if kind in _LARGEST and int(node.value) >= _LARGEST[kind]:
        if c.argument and kind == "integer":
            # An operand too great for an Integer can still be the Decimal that the function takes.
            return _literal(c, DECIMAL, f"{node.value}.0")
        # The least value is written as the negation of one that is just too great.
        if int(node.value) > _LARGEST[kind] or not c.negated:
            mend = "Write a Long by adding L." if kind == "integer" else "Write it as a Decimal."
            raise c.fail(
                node, f"{node.value} is too great for a{'n Integer' if kind == 'integer' else ' Long'}.", mend
            )
    if kind == "decimal":
        whole, _, decimals = node.value.partition(".")
        if len(whole.lstrip("0")) > _MOST_DIGITS or len(decimals) > _MOST_DECIMALS:
            raise c.fail(
                node, f"{node.value} has more digits than a Decimal holds (28 before the point, 8 after it)."
            )
    return _literal(c, _SCALARS[kind], node.value)


def _literal(c: Context, kind: NamedType, text: str) -> Typed:
    return Typed(elm.Literal(value_type=c.types.qualified_name(kind), value=text), kind)


def _integer(c: Context, text: str) -> elm.Expression:
    return _literal(c, INTEGER, str(int(text))).node


def _number(c: Context, text: str | None) -> elm.Expression | None:
    return None if text is None else _integer(c, text)


def _date(c: Context, node: tree.Literal) -> Typed:
    match = _DATETIME.fullmatch(node.value)
    if match is None:
        raise c.fail(node, f"@{node.value} is no date.", "Write @2025-12-31.")
    year, month, day = match.group(1, 2, 3)
    _check_date(c, node, year, month, day)
    return Typed(elm.Date(year=_integer(c, year), month=_number(c, month), day=_number(c, day)), DATE)


def _datetime(c: Context, node: tree.Literal) -> Typed:
    match = _DATETIME.fullmatch(node.value)
    if match is None:
        raise c.fail(node, f"@{node.value} is no date and time.", "Write @2025-12-31T23:59:59.999.")
    year, month, day, _, hour, minute, second, fraction, zone = match.groups()
    _check_date(c, node, year, month, day)
    _check_time(c, node, hour, minute, second)
    value = elm.DateTime(
        year=_integer(c, year),
        month=_number(c, month),
        day=_number(c, day),
        hour=_number(c, hour),
        minute=_number(c, minute),
        second=_number(c, second),
        millisecond=_number(c, _milliseconds(fraction)),
        timezone_offset=None if zone is None else _literal(c, DECIMAL, _offset(zone)).node,
    )
    return Typed(value, DATETIME)


def _time(c: Context, node: tree.Literal) -> Typed:
    match = _TIME.fullmatch(node.value)
    if match is None:
        raise c.fail(node, f"@T{node.value} is no time.", "Write @T23:59:59.999.")
    hour, minute, second, fraction = match.groups()
    _check_time(c, node, hour, minute, second)
    value = elm.Time(
        hour=_integer(c, hour),
        minute=_number(c, minute),
        second=_number(c, second),
        millisecond=_number(c, _milliseconds(fraction)),
    )
    return Typed(value, TIME)


def _milliseconds(fraction: str | None) -> str | None:
    return None if fraction is None else fraction[:3].ljust(3, "0")


def _offset(zone: str) -> str:
    if zone == "Z":
        return "0.0"
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    value = Decimal(hours) + Decimal(minutes) / 60
    text = format(value.quantize(Decimal("0.00000001")).normalize(), "f")
    text = text if "." in text else f"{text}.0"
    return f"-{text}" if zone[0] == "-" and value else text


def _check_date(c: Context, node: tree.Literal, year: str, month: str | None, day: str | None) -> None:
    if int(year) < 1:
        raise c.fail(node, "Years go from 0001 to 9999.")
    if month is not None and not 1 <= int(month) <= 12:
        raise c.fail(node, f"There is no month {month}.")
    if month is not None and day is not None:
        leap = int(year) % 4 == 0 and (int(year) % 100 != 0 or int(year) % 400 == 0)
        days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[int(month) - 1]
        if not 1 <= int(day) <= days:
            raise c.fail(node, f"There is no day {year}-{month}-{day}.")


def _check_time(
    c: Context, node: tree.Literal, hour: str | None, minute: str | None, second: str | None
) -> None:
    for text, most, what in ((hour, 23, "hour"), (minute, 59, "minute"), (second, 59, "second")):
        if text is not None and int(text) > most:
            raise c.fail(node, f"There is no {what} {text}.")


def quantity(c: Context, node: tree.Quantity) -> Typed:
    """``5 'mg'``, ``3 days``."""
    return Typed(_quantity(node), QUANTITY)


def _quantity(node: tree.Quantity) -> elm.Quantity:
    return elm.Quantity(value=Decimal(node.value), unit=node.unit)


def ratio(c: Context, node: tree.Ratio) -> Typed:
    """``1 'mg' : 2 'mL'``."""
    value = elm.Ratio(numerator=_quantity(node.numerator), denominator=_quantity(node.denominator))
    return Typed(value, RATIO)


def interval(c: Context, node: tree.IntervalSelector) -> Typed:
    """``Interval[low, high)``."""
    low, high = c.expression(node.low), c.expression(node.high)
    point = c.common_type(low.type, high.type)
    if not c.conversions.find(high.type, point) or not c.conversions.find(low.type, point):
        raise _mixed(c, node, low.type, high.type)
    if not is_point(point):
        raise c.fail(
            node,
            f"An interval cannot have points of type {c.show(point)}.",
            "Points are Integer, Long, Decimal, Quantity, Date, DateTime or Time.",
        )
    if choice((low.type, high.type)) == point and low.type != high.type and ANY not in (low.type, high.type):
        raise _mixed(c, node, low.type, high.type)
    value = elm.Interval(
        low=c.as_common(low, point, node.low),
        high=c.as_common(high, point, node.high),
        low_closed=node.low_closed,
        high_closed=node.high_closed,
    )
    return Typed(value, IntervalType(point))


def _mixed(c: Context, node: tree.Node, low: DataType, high: DataType) -> Exception:
    return c.fail(
        node,
        f"The boundaries of an interval must be of one type: low is {c.show(low)}, high is {c.show(high)}.",
    )


def tuple_selector(c: Context, node: tree.TupleSelector) -> Typed:
    """``Tuple { name: value }``."""
    elements: list[elm.TupleElement] = []
    kinds: dict[str, DataType] = {}
    for item in node.elements:
        if item.name.name in kinds:
            raise c.fail(item.name, f'The tuple has two elements "{item.name.name}".')
        value = c.expression(item.value)
        kinds[item.name.name] = value.type
        elements.append(elm.TupleElement(name=item.name.name, value=value.node))
    return Typed(elm.Tuple(element=tuple(elements)), tuple_of(kinds))


def instance(c: Context, node: tree.InstanceSelector) -> Typed:
    """``Type { name: value }``."""
    kind = resolve_named(c, node.type)
    model = c.models[kind.model]
    elements = []
    for item in node.elements:
        info = model.element(kind, item.name.name)
        if info is None:
            raise c.fail(
                item.name,
                f'{c.show(kind)} has no element "{item.name.name}".',
                suggestion(item.name.name, model.elements(kind)),
            )
        value = c.expression(item.value)
        converted = c.convert(value, canonical(info.type), item.value, f'The element "{item.name.name}"')
        elements.append(elm.InstanceElement(name=item.name.name, value=converted))
    return Typed(elm.Instance(class_type=c.types.qualified_name(kind), element=tuple(elements)), kind)


def list_selector(c: Context, node: tree.ListSelector) -> Typed:
    """``List<type> { element }``."""
    values = [c.expression(element) for element in node.elements]
    specifier = None
    if node.element_type is not None:
        kind = resolve_type(c, node.element_type)
        specifier = c.types.specifier(kind)
        converted = [
            c.convert(value, kind, at, "An element of this list")
            for value, at in zip(values, node.elements, strict=True)
        ]
        return Typed(elm.List(type_specifier=specifier, element=tuple(converted)), ListType(kind))
    kind = ANY
    for value in values:
        kind = c.common_type(kind, value.type)
    if isinstance(kind, ChoiceType):
        elements = [value.node for value in values]
    else:
        elements = [c.as_common(v, kind, at) for v, at in zip(values, node.elements, strict=True)]
    return Typed(elm.List(element=tuple(elements)), ListType(kind))


def code(c: Context, node: tree.CodeSelector) -> Typed:
    """``Code '8480-6' from "LOINC" display '...'``."""
    return Typed(_code(c, node), CODE)


def _code(c: Context, node: tree.CodeSelector) -> elm.Code:
    system = code_system(c, node.system)
    display = None if node.display is None else node.display.value
    return elm.Code(code=node.code.value, system=system, display=display)


def code_system(c: Context, name: tree.QualifiedIdentifier) -> elm.CodeSystemRef:
    """The reference to a code system of this library or of an included one."""
    if len(name.parts) == 1 and c.own.definition(name.parts[0].name, name) is None:
        systems = [d.name for d in c.own.symbols.definitions.values() if d.kind == "codesystem"]
        raise c.fail(name, f'There is no code system "{name}".', suggestion(str(name), systems))
    value = terminology(c, name)
    if not isinstance(value.node, elm.CodeSystemRef) or value.type != CODESYSTEM:
        raise c.fail(name, f'"{name}" is no code system.', "Declare it with: codesystem \"Name\": 'uri'")
    return value.node


def terminology(c: Context, name: tree.QualifiedIdentifier) -> Typed:
    """What a name in a terminology declaration refers to."""
    first: tree.Expression = name.parts[0]
    for part in name.parts[1:]:
        first = tree.Member(tree.Span(name.span.start, part.span.end), first, part)
    return c.expression(first)


def concept(c: Context, node: tree.ConceptSelector) -> Typed:
    """``Concept { Code ... } display '...'``."""
    codes = []
    for item in node.codes:
        value = _code(c, item)
        c.mark(value, item, CODE)
        codes.append(value)
    display = None if node.display is None else node.display.value
    return Typed(elm.Concept(code=tuple(codes), display=display), CONCEPT)
