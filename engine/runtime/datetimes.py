"""Date, DateTime and Time: selectors, components and what is derived from the evaluation's own time.

CQL 1.5.3 Reference, "Date and Time Operators". Reading text, arithmetic and boundaries have files of their
own and are found here too; comparison is in :mod:`measurewise.engine.runtime.timing`, durations in
:mod:`measurewise.engine.runtime.durations`. ``zone`` is the offset of the evaluation request in minutes east
of UTC, ``now`` its timestamp in that offset.
"""

from __future__ import annotations

from decimal import Decimal

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.datetime_arithmetic import add as add
from measurewise.engine.runtime.datetime_arithmetic import predecessor as predecessor
from measurewise.engine.runtime.datetime_arithmetic import subtract as subtract
from measurewise.engine.runtime.datetime_arithmetic import successor as successor
from measurewise.engine.runtime.datetime_boundaries import high_boundary as high_boundary
from measurewise.engine.runtime.datetime_boundaries import low_boundary as low_boundary
from measurewise.engine.runtime.datetime_boundaries import precision as precision
from measurewise.engine.runtime.datetime_parsing import MAX_OFFSET
from measurewise.engine.runtime.datetime_parsing import parse_date as parse_date
from measurewise.engine.runtime.datetime_parsing import parse_datetime as parse_datetime
from measurewise.engine.runtime.datetime_parsing import parse_time as parse_time
from measurewise.engine.runtime.temporal import (
    DAY,
    HOUR,
    SHIFT,
    YEAR,
    Date,
    DateTime,
    Temporal,
    Time,
    days_in_month,
    pack,
    unpack,
)

_HUNDREDTH = Decimal("0.01")
_LEAST = (1, 1, 1, 0, 0, 0, 0)
_GREATEST = (9999, 12, 31, 23, 59, 59, 999)
_COMPONENTS = ("year", "month", "day", "hour", "minute", "second", "millisecond")
_CLOCK_MASK = (1 << SHIFT[DAY]) - 1


def date_time(
    year: int | None,
    month: int | None = None,
    day: int | None = None,
    hour: int | None = None,
    minute: int | None = None,
    second: int | None = None,
    millisecond: int | None = None,
    offset: Decimal | int | None = None,
    *,
    zone: int,
) -> DateTime | None:
    """The DateTime of some components (CQL Reference, "DateTime"); ``offset`` is in hours east of UTC.

    Null when the year is null. Raises ``EvaluationError`` for a component out of range and for one that
    stands below a null. A day the month has not is carried into the next month (Language Semantics,
    Table 5-H).
    """
    if year is None:
        return None
    precision = _precision("DateTime", YEAR, (year, month, day, hour, minute, second, millisecond))
    packed = pack(year, month or 1, day or 1, hour or 0, minute or 0, second or 0, millisecond or 0)
    if day is not None and day > 28:
        packed = _carried(packed)
    if offset is None:
        return DateTime(packed, precision)
    minutes = int(offset * 60)
    if not -MAX_OFFSET <= minutes <= MAX_OFFSET:
        raise _out_of_range("DateTime", "timezone offset", offset, "-14.0 to 14.0")
    return DateTime(packed, precision, minutes, zone)


def date(year: int | None, month: int | None = None, day: int | None = None) -> Date | None:
    """The Date of some components (CQL Reference, "Date"); nulls and errors as for :func:`date_time`."""
    if year is None:
        return None
    precision = _precision("Date", YEAR, (year, month, day))
    packed = pack(year, month or 1, day or 1)
    if day is not None and day > 28:
        packed = _carried(packed)
    return Date(packed, precision)


def time(
    hour: int | None, minute: int | None = None, second: int | None = None, millisecond: int | None = None
) -> Time | None:
    """The Time of some components (CQL Reference, "Time"); nulls and errors as for :func:`date_time`."""
    if hour is None:
        return None
    precision = _precision("Time", HOUR, (hour, minute, second, millisecond))
    return Time(hour << 22 | (minute or 0) << 16 | (second or 0) << 10 | (millisecond or 0), precision)


def _precision(selector: str, first: int, components: tuple[int | None, ...]) -> int:
    """The precision of a selector's components, after a look at each one's range."""
    precision = first - 1
    for number, component in enumerate(components, first):
        if component is None:
            continue
        if precision != number - 1:
            raise EvaluationError(
                f"{selector} names a {_COMPONENTS[number]} but no {_COMPONENTS[precision + 1]}.",
                mend="Give every component above the finest one, or leave the finer ones null.",
            )
        if not _LEAST[number] <= component <= _GREATEST[number]:
            allowed = f"{_LEAST[number]} to {_GREATEST[number]}"
            raise _out_of_range(selector, _COMPONENTS[number], component, allowed)
        precision = number
    return precision


def _out_of_range(selector: str, component: str, given: object, allowed: str) -> EvaluationError:
    return EvaluationError(
        f"{selector} has the {component} {given}, which is out of range.", mend=f"Allowed is {allowed}."
    )


def _carried(packed: int) -> int:
    """A day beyond its month's end becomes a day of the next month."""
    year, month, day, *_ = unpack(packed)
    over = day - days_in_month(year, month)
    if over <= 0:
        return packed
    return pack(year, month + 1, over) | packed & _CLOCK_MASK


def date_time_component_from(value: Temporal | None, precision: int) -> int | None:
    """One component as written, or null where the value has none (CQL Reference, "Component From")."""
    if value is None or value.precision < precision:
        return None
    if precision == YEAR:
        return value.local >> 36
    if precision < HOUR and type(value) is Time:
        return None
    return unpack(value.local)[precision]


def date_from(value: DateTime | Date | None) -> Date | None:
    """The date, in the offset of the evaluation request (CQL Reference, "Date and Time Component From")."""
    if value is None or type(value) is Date:
        return value
    precision = value.precision
    if precision < DAY:
        return Date(value.lo, precision)
    day = Date.__new__(Date)
    day.precision = DAY
    day.local = day.lo = day.hi = value.lo >> 27 << 27
    return day


def time_from(value: DateTime | None) -> Time | None:
    """The time of day, in the offset of the evaluation request; null where the value has no hour."""
    if value is None or value.precision < HOUR:
        return None
    return Time(value.lo & _CLOCK_MASK, value.precision)


def timezone_offset_from(value: DateTime | None, *, zone: int) -> Decimal | None:
    """The offset in hours, to two places; the evaluation request's where the value names none."""
    if value is None:
        return None
    return (Decimal(zone if value.offset is None else value.offset) / 60).quantize(_HUNDREDTH)


def to_date(value: DateTime | None) -> Date | None:
    """ELM ToDate of a DateTime, the same as :func:`date_from`."""
    return date_from(value)


def to_date_time(value: Date | None) -> DateTime | None:
    """ELM ToDateTime of a Date: the time is unspecified (CQL Reference, "ToDateTime")."""
    return None if value is None else DateTime(value.local, value.precision)


def now(now: DateTime) -> DateTime:
    """The timestamp of the evaluation request (CQL Reference, "Now")."""
    return now


def today(now: DateTime) -> Date:
    """The date of the evaluation request (CQL Reference, "Today")."""
    return Date(now.local)


def time_of_day(now: DateTime) -> Time:
    """The time of day of the evaluation request (CQL Reference, "TimeOfDay")."""
    return Time(now.local & _CLOCK_MASK, now.precision)
