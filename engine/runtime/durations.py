"""Durations and differences between Dates, DateTimes and Times.

CQL 1.5.3 Reference, "Duration" and "Difference"; Appendix H for worked examples. Where a value leaves
components open the answer is an uncertainty: its low bound lies between the latest moment the first value can
mean and the earliest the second can, its high bound between the two others (Language Semantics, "Determining
Difference and Duration").
"""

from __future__ import annotations

from datetime import date as _pydate
from typing import Final

from measurewise.engine.runtime.datetime_arithmetic import SPAN_MS, WEEK, clock_ms
from measurewise.engine.runtime.temporal import (
    DAY,
    HOUR,
    MILLISECOND,
    MONTH,
    MS_PER_DAY,
    SECOND,
    SHIFT,
    YEAR,
    Date,
    DateTime,
    Temporal,
    Time,
    days_in_month,
    local_hi,
    to_datetime,
    to_ms,
)
from measurewise.engine.runtime.uncertainty import Uncertain, between

_MAX_INTEGER: Final = 2**31 - 1
_MONTH_BITS: Final = SHIFT[MONTH]
_MONTH_MASK: Final = (1 << _MONTH_BITS) - 1
_DAY_FIELD: Final = 1 << SHIFT[DAY]


def duration_between(a: Temporal | None, b: Temporal | None, precision: int) -> Uncertain | None:
    """Whole calendar periods from ``a`` to ``b``, negative when ``b`` is the earlier.

    ``precision`` is one of the temporal precisions or ``WEEK``. Days and coarser periods are counted on the
    components as written when both values have the same offset, else on the evaluation request's. Null for a
    null operand and where the count is no Integer.
    """
    if a is None or b is None:
        return None
    if type(a) is not type(b) or type(a) is Date:
        a, b = _alike(a, b, precision)
    if type(a) is Time:
        return _checked(
            _clock_periods(a.hi, b.lo, precision),
            _clock_periods(a.lo, b.hi, precision),
        )
    if type(a) is DateTime and type(b) is DateTime and a.offset == b.offset and a.offset is not None:
        if a.precision >= SECOND and b.precision >= SECOND:
            return _integer(_periods(a.local, b.local, precision))
        return _checked(_periods(local_hi(a), b.local, precision), _periods(a.local, local_hi(b), precision))
    if a.lo == a.hi and b.lo == b.hi:
        return _integer(_periods(a.lo, b.lo, precision))
    return _checked(_periods(a.hi, b.lo, precision), _periods(a.lo, b.hi, precision))


def difference_between(a: Temporal | None, b: Temporal | None, precision: int) -> Uncertain | None:
    """Boundaries of a precision crossed from ``a`` to ``b``, negative when ``b`` is the earlier.

    Weeks begin on Sunday. Offsets are normalised to the evaluation request's for hours and finer, and left
    out of account for days and coarser. Null for a null operand and where the count is no Integer.
    """
    if a is None or b is None:
        return None
    if type(a) is not type(b) or type(a) is Date:
        a, b = _alike(a, b, precision)
    if type(a) is Time:
        return _checked(_clock_boundaries(a.hi, b.lo, precision), _clock_boundaries(a.lo, b.hi, precision))
    if precision <= DAY or precision == WEEK:
        x, y = a.local, b.local
        if a.precision >= DAY and b.precision >= DAY:
            return _boundaries(x, y, precision)
        high_x = local_hi(a) if type(a) is DateTime else a.hi
        high_y = local_hi(b) if type(b) is DateTime else b.hi
        return _checked(_boundaries(high_x, y, precision), _boundaries(x, high_y, precision))
    return _checked(_boundaries(a.hi, b.lo, precision), _boundaries(a.lo, b.hi, precision))


def _alike(a: Temporal, b: Temporal, precision: int) -> tuple[Temporal, Temporal]:
    """A Date beside a DateTime, or asked for its hours, counts as a DateTime with an unspecified time."""
    if type(a) is not type(b) or HOUR <= precision <= MILLISECOND:
        return (
            to_datetime(a) if type(a) is Date else a,
            to_datetime(b) if type(b) is Date else b,
        )
    return a, b


def _integer(count: int) -> int | None:
    return count if -_MAX_INTEGER <= count <= _MAX_INTEGER else None


def _checked(low: int, high: int) -> Uncertain | None:
    if low < -_MAX_INTEGER or high > _MAX_INTEGER:
        return None
    return between(low, high)


def _periods(x: int, y: int, precision: int) -> int:
    """Whole periods from one packed moment to another.

    A year or month is over when the later moment reaches what adding it to the earlier gives, the last day
    of a month that is too short included, so that durations and additions agree.
    """
    if precision == YEAR:
        return _reached((y >> 36) - (x >> 36), x, y, x >> 32 & 15)
    if precision == MONTH:
        years = (y >> 36) - (x >> 36)
        return _reached(years * 12 + (y >> 32 & 15) - (x >> 32 & 15), x, y, y >> 32 & 15)
    span = to_ms(y) - to_ms(x)
    unit = SPAN_MS[precision]
    return span // unit if span >= 0 else -(-span // unit)


def _reached(count: int, x: int, y: int, month: int) -> int:
    """``count`` years or months from ``x``, less one when ``y`` has not come as far."""
    day = x >> 27 & 31
    rest = x & _MONTH_MASK
    if day > 28:
        rest -= max(0, day - days_in_month(y >> 36, month)) * _DAY_FIELD
    landing = y >> 36 << 36 | month << 32 | rest
    if count > 0:
        return count - 1 if y < landing else count
    if count < 0:
        return count + 1 if y > landing else count
    return 0


def _boundaries(x: int, y: int, precision: int) -> int:
    if precision == YEAR:
        return (y >> 36) - (x >> 36)
    if precision == MONTH:
        return ((y >> 36) - (x >> 36)) * 12 + (y >> 32 & 15) - (x >> 32 & 15)
    if precision == DAY:
        return _ordinal(y) - _ordinal(x)
    if precision == WEEK:
        # 0001-01-07, the ordinal 7, was a Sunday.
        return _ordinal(y) // 7 - _ordinal(x) // 7
    unit = SPAN_MS[precision]
    return to_ms(y) // unit - to_ms(x) // unit


def _ordinal(packed: int) -> int:
    return _pydate(packed >> 36, packed >> 32 & 15, packed >> 27 & 31).toordinal()


def _clock_periods(x: int, y: int, precision: int) -> int:
    span = clock_ms(y) - clock_ms(x)
    unit = SPAN_MS[precision] or MS_PER_DAY
    return span // unit if span >= 0 else -(-span // unit)


def _clock_boundaries(x: int, y: int, precision: int) -> int:
    unit = SPAN_MS[precision] or MS_PER_DAY
    return clock_ms(y) // unit - clock_ms(x) // unit
