"""How precise a Date, DateTime or Time is, and the least and greatest it can mean at a precision.

CQL 1.5.3 Reference, "Precision", "LowBoundary" and "HighBoundary" (of Decimals, see
:mod:`measurewise.engine.runtime.arithmetic`). Precision is counted in digits: 4, 6 or 8 of a Date, up to 17
of a DateTime; 2, 4, 6 or 9 of a Time.
"""

from __future__ import annotations

from typing import Any, Final

from measurewise.engine.runtime.temporal import (
    DAY,
    HOUR,
    Date,
    DateTime,
    Temporal,
    Time,
    local_hi,
    to_ms,
)

_DIGITS: Final = (4, 6, 8, 10, 12, 14, 17)
_CLOCK_DIGITS: Final = (2, 4, 6, 9)


def precision(value: Temporal | None) -> int | None:
    """The number of digits of precision of a value; null for null."""
    if value is None:
        return None
    return _CLOCK_DIGITS[value.precision - HOUR] if type(value) is Time else _DIGITS[value.precision]


def low_boundary(value: Any, digits: int | None = None) -> Any:
    """The least value that ``value`` can mean, to a number of digits (the type's greatest when null).

    Null for a null value and for a number of digits that the type has not.
    """
    return _boundary(value, digits, False)


def high_boundary(value: Any, digits: int | None = None) -> Any:
    """The greatest value that ``value`` can mean, to a number of digits; nulls as :func:`low_boundary`."""
    return _boundary(value, digits, True)


def _boundary(value: Any, digits: int | None, high: bool) -> Any:
    if value is None:
        return None
    if type(value) is Time:
        cut = _number(_CLOCK_DIGITS, digits)
        if cut is None:
            return None
        return Time(value.hi if high else value.local, cut + HOUR)
    cut = _number(_DIGITS[: DAY + 1] if type(value) is Date else _DIGITS, digits)
    if cut is None:
        return None
    if type(value) is Date:
        return Date(value.hi if high else value.lo, cut)
    offset = value.offset
    zone = 0 if offset is None else offset + (to_ms(value.lo) - to_ms(value.local)) // 60_000
    return DateTime(local_hi(value) if high else value.local, cut, offset, zone)


def _number(table: tuple[int, ...], digits: int | None) -> int | None:
    """The place of a number of digits in a table; its last place for none."""
    if digits is None:
        return len(table) - 1
    return table.index(digits) if digits in table else None
