"""The points an interval can be made of: their order, their ends and their neighbours.

A point is an Integer, Long, Decimal, Quantity, Date, DateTime, Time or String (which has an order, but no
neighbours and no ends).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.datetime_arithmetic import neighbour as _temporal_neighbour
from measurewise.engine.runtime.temporal import (
    MAX_DATE,
    MAX_DATETIME,
    MAX_TIME,
    MIN_DATE,
    MIN_DATETIME,
    MIN_TIME,
    Date,
    DateTime,
    Time,
    compare,
    compare_to,
    to_datetime,
)
from measurewise.engine.runtime.uncertainty import Uncertainty, bounds
from measurewise.engine.runtime.values import Long, Quantity

STEP: Final = Decimal("0.00000001")
"""The distance between one Decimal and the next."""

MAX_INTEGER: Final = 2**31 - 1
MAX_LONG: Final = 2**63 - 1
MAX_DECIMAL: Final = Decimal("99999999999999999999.99999999")

_LEAST: Final[dict[str, Any]] = {
    "Integer": -(2**31),
    "Long": Long(-(2**63)),
    "Decimal": MAX_DECIMAL.copy_negate(),
    "Quantity": Quantity(MAX_DECIMAL.copy_negate()),
    "Date": MIN_DATE,
    "DateTime": MIN_DATETIME,
    "Time": MIN_TIME,
}
_GREATEST: Final[dict[str, Any]] = {
    "Integer": MAX_INTEGER,
    "Long": Long(MAX_LONG),
    "Decimal": MAX_DECIMAL,
    "Quantity": Quantity(MAX_DECIMAL),
    "Date": MAX_DATE,
    "DateTime": MAX_DATETIME,
    "Time": MAX_TIME,
}
_TYPE_NAMES: Final[dict[type, str]] = {
    int: "Integer",
    Long: "Long",
    Decimal: "Decimal",
    Quantity: "Quantity",
    Date: "Date",
    DateTime: "DateTime",
    Time: "Time",
    str: "String",
}


def type_name(point: Any) -> str | None:
    """The System type of a point, or None for what is no point."""
    return _TYPE_NAMES.get(type(point))


def least(name: str | None, like: Any = None) -> Any:
    """The least value of a type, in the unit of ``like``; None where the type is not known or has none."""
    if type(like) is Quantity:
        return Quantity(MAX_DECIMAL.copy_negate(), like.unit)
    return _LEAST.get(name or type_name(like) or "")


def greatest(name: str | None, like: Any = None) -> Any:
    """The greatest value of a type, in the unit of ``like``; None as for :func:`least`."""
    if type(like) is Quantity:
        return Quantity(MAX_DECIMAL, like.unit)
    return _GREATEST.get(name or type_name(like) or "")


def neighbour(value: Any, count: int) -> Any:
    """The value ``count`` steps from a point; None past the ends of its type."""
    t = type(value)
    if t is DateTime or t is Date or t is Time:
        return _temporal_neighbour(value, count)
    if t is int:
        stepped = value + count
        return stepped if -MAX_INTEGER - 1 <= stepped <= MAX_INTEGER else None
    if t is Decimal:
        moved = value + STEP * count
        return moved if -MAX_DECIMAL <= moved <= MAX_DECIMAL else None
    if t is Quantity:
        if value.value is None:
            return None
        moved = neighbour(value.value, count)
        return None if moved is None else Quantity(moved, value.unit)
    if t is Long:
        stepped = value + count
        return Long(stepped) if -MAX_LONG - 1 <= stepped <= MAX_LONG else None
    raise EvaluationError(
        f"A {type_name(value) or t.__name__} has no next or previous value.",
        mend=f"Types with one: {', '.join(_LEAST)}.",
    )


def compare_points(a: Any, b: Any, precision: int | None = None) -> int | None:
    """-1, 0 or 1 as ``a`` is less than, the same as or greater than ``b``; None where that is unknown.

    Neither is null. A Date beside a DateTime counts as a DateTime with an unspecified time; a number beside a
    Quantity as one of unit ``'1'``. ``precision`` limits the comparison of temporal values.
    """
    ta = type(a)
    tb = type(b)
    if ta is tb:
        if ta is DateTime or ta is Date or ta is Time:
            return compare(a, b) if precision is None else compare_to(a, b, precision)
        if ta is not Quantity and ta is not Uncertainty:
            return 1 if a > b else -1 if a < b else 0
    elif ta is Date or tb is Date:
        if ta is Date:
            a = to_datetime(a)
        if tb is Date:
            b = to_datetime(b)
        return compare(a, b) if precision is None else compare_to(a, b, precision)
    if ta is Quantity or tb is Quantity:
        from measurewise.engine.runtime import quantities

        if ta is not Quantity:
            a = Quantity(Decimal(a))
        if tb is not Quantity:
            b = Quantity(Decimal(b))
        return quantities.compare(a, b)
    if ta is Uncertainty or tb is Uncertainty:
        al, ah = bounds(a)
        bl, bh = bounds(b)
        return -1 if ah < bl else 1 if al > bh else None
    return 1 if a > b else -1 if a < b else 0
