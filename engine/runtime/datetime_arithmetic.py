"""Adding a Quantity to a Date, DateTime or Time (CQL 1.5.3 Reference, "Add" and "Subtract" of date and time).

Years and months follow the calendar, everything finer is a fixed span; a quantity finer than the value is
first turned into the value's own precision, cutting off what does not fill a whole one (Language Semantics,
"Date and Time Arithmetic"). The components as written are moved, so an offset stays what it was.
"""

from __future__ import annotations

from datetime import date as _pydate
from typing import Final, TypeVar

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.temporal import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    MONTH,
    MS_PER_DAY,
    SECOND,
    SHIFT,
    YEAR,
    Date,
    DateTime,
    Temporal,
    Time,
    at,
    days_in_month,
    from_ms,
    iso,
    to_ms,
)
from measurewise.engine.runtime.values import Quantity

WEEK: Final = 7
"""The precision number of a week, which no value has but durations and units do."""

UNIT_PRECISION: Final[dict[str, int]] = {
    "year": YEAR,
    "years": YEAR,
    "month": MONTH,
    "months": MONTH,
    "week": WEEK,
    "weeks": WEEK,
    "wk": WEEK,
    "day": DAY,
    "days": DAY,
    "d": DAY,
    "hour": HOUR,
    "hours": HOUR,
    "h": HOUR,
    "minute": MINUTE,
    "minutes": MINUTE,
    "min": MINUTE,
    "second": SECOND,
    "seconds": SECOND,
    "s": SECOND,
    "millisecond": MILLISECOND,
    "milliseconds": MILLISECOND,
    "ms": MILLISECOND,
}
"""The calendar durations and the UCUM units that may stand for them; UCUM's year and month may not."""

SPAN_MS: Final = (0, 0, MS_PER_DAY, 3_600_000, 60_000, 1000, 1, 7 * MS_PER_DAY)
"""Milliseconds of one unit, by precision number; 0 where the calendar decides."""

_NOMINAL_MS: Final = (365 * MS_PER_DAY, 30 * MS_PER_DAY, *SPAN_MS[2:])

_DAY_BITS: Final = SHIFT[DAY]
_CLOCK_MASK: Final = (1 << _DAY_BITS) - 1

T = TypeVar("T", Date, DateTime, Time)


def add(value: T | None, quantity: Quantity | None) -> T | None:
    """A Date, DateTime or Time later by a duration; null for a null operand.

    A Time runs on past midnight into the next day's hours. Raises ``EvaluationError`` where the result leaves
    the years 1 to 9999 and for a unit that is no calendar duration, UCUM's ``'a'`` and ``'mo'`` included.
    """
    if value is None or quantity is None or quantity.value is None:
        return None
    return _moved_by(value, quantity, 1)


def subtract(value: T | None, quantity: Quantity | None) -> T | None:
    """A Date, DateTime or Time earlier by a duration; as :func:`add`."""
    if value is None or quantity is None or quantity.value is None:
        return None
    return _moved_by(value, quantity, -1)


def _moved_by(value: T, quantity: Quantity, sign: int) -> T:
    amount = quantity.value
    assert amount is not None  # noqa: S101 - the callers have answered null
    precision = UNIT_PRECISION.get(quantity.unit)
    if precision is None or (type(value) is Time and (precision < HOUR or precision == WEEK)):
        raise _unusable(value, quantity)
    own = value.precision
    if precision == SECOND and own == MILLISECOND:
        precision = MILLISECOND
        count = int(amount * 1000)
    else:
        count = int(amount)
    if precision == WEEK:
        precision = DAY
        count *= 7
    if precision > own:
        count = _coarser(count, precision, own)
        precision = own
    if count == 0:
        return value
    moved = shifted_by(value, precision, count * sign)
    if moved is None:
        raise EvaluationError(
            f"{iso(value)} {'+' if sign > 0 else '-'} {amount} {quantity.unit} "
            "is outside the years 1 to 9999.",
            mend="Keep the result of date arithmetic inside them.",
        )
    return moved


def _unusable(value: Temporal, quantity: Quantity) -> EvaluationError:
    kind = type(value).__name__
    units = "hours, minutes, seconds or milliseconds"
    if kind != "Time":
        units = f"years, months, weeks, days, {units}"
    return EvaluationError(
        f"A {kind} cannot be moved by {quantity.value} '{quantity.unit}'.",
        mend=f"Use a calendar duration: {units}.",
    )


def _coarser(count: int, precision: int, target: int) -> int:
    """A count of units as whole units of a coarser precision, cut towards zero."""
    if precision == MONTH:
        return _cut(count, 12)
    return _cut(count * _NOMINAL_MS[precision], _NOMINAL_MS[target])


def _cut(a: int, b: int) -> int:
    return a // b if a >= 0 else -(-a // b)


def shifted_by(value: T, precision: int, count: int) -> T | None:
    """The value moved by whole units of a precision it has; None outside the calendar.

    A Time wraps at midnight.
    """
    if type(value) is Time:
        local = (clock_ms(value.local) + count * SPAN_MS[precision]) % MS_PER_DAY
        return Time(clock_of(local), value.precision)
    try:
        local = moved(value.local, precision, count)
    except (OverflowError, ValueError):
        return None
    if type(value) is DateTime:
        return at(value, local)
    return Date(local, value.precision)  # type: ignore[return-value]


def moved(packed: int, precision: int, count: int) -> int:
    """A packed moment moved by calendar units; the last day of the month where the day does not exist.

    Raises ``OverflowError`` or ``ValueError`` outside the years 1 to 9999.
    """
    if precision == DAY:
        day = _pydate(packed >> 36, packed >> 32 & 15, packed >> 27 & 31)
        day = _pydate.fromordinal(day.toordinal() + count)
        return day.year << 36 | day.month << 32 | day.day << 27 | packed & _CLOCK_MASK
    if precision > DAY:
        return from_ms(to_ms(packed) + count * SPAN_MS[precision])
    year = packed >> 36
    month = packed >> 32 & 15
    if precision == YEAR:
        year += count
    else:
        years, months = divmod(month - 1 + count, 12)
        year += years
        month = months + 1
    if not 1 <= year <= 9999:
        raise OverflowError(year)
    day_of_month = packed >> 27 & 31
    if day_of_month > 28:
        day_of_month = min(day_of_month, days_in_month(year, month))
    return year << 36 | month << 32 | day_of_month << 27 | packed & _CLOCK_MASK


def successor(value: T | None) -> T | None:
    """A Date, DateTime or Time one of its own finest units later (CQL Reference, "Successor").

    Null for null; raises ``EvaluationError`` past the greatest value of the type.
    """
    return None if value is None else _stepped(value, 1, "successor")


def predecessor(value: T | None) -> T | None:
    """One finest unit earlier; as :func:`successor`, past the least value of the type."""
    return None if value is None else _stepped(value, -1, "predecessor")


def _stepped(value: T, count: int, name: str) -> T:
    stepped = neighbour(value, count)
    if stepped is None:
        raise EvaluationError(f"{iso(value)} has no {name}.", mend="It is the last value of its type.")
    return stepped


def neighbour(value: T, count: int) -> T | None:
    """The value ``count`` of its own finest units away; None past the ends of its type."""
    if type(value) is Time:
        ms = clock_ms(value.local) + count * SPAN_MS[value.precision]
        return Time(clock_of(ms), value.precision) if 0 <= ms < MS_PER_DAY else None
    return shifted_by(value, value.precision, count)


def clock_ms(packed: int) -> int:
    """Milliseconds since midnight of the clock fields of a packed moment."""
    return (
        (packed >> 22 & 31) * 3_600_000
        + (packed >> 16 & 63) * 60_000
        + (packed >> 10 & 63) * 1000
        + (packed & 1023)
    )


def clock_of(ms: int) -> int:
    """The packed clock fields of a count of milliseconds since midnight, less than a day."""
    return ms // 3_600_000 << 22 | ms // 60_000 % 60 << 16 | ms // 1000 % 60 << 10 | ms % 1000
