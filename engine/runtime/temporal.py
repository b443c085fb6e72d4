"""Date, DateTime and Time values (CQL 1.5.3, "Date, DateTime, and Time" in the Author's Guide and Reference).

A value is a pair of packed integers: the earliest (``lo``) and the latest (``hi``) moment it can mean. The
packing keeps one bit field a calendar component, most significant first::

    year 14 | month 4 | day 5 | hour 5 | minute 6 | second 6 | millisecond 10

so that two moments compare as integers, and cutting a moment to a precision is one right shift by
``SHIFT[precision]``. A component that the value does not specify holds its least value in ``lo`` (and in
``local``) and its greatest in ``hi``. Seconds and milliseconds count as one precision in comparison
("seconds and milliseconds are considered a single precision with decimal semantics"), so a value that is
precise to the second has ``lo == hi``.

``local`` holds the components as written, in the value's own offset; ``lo`` and ``hi`` hold them in the
offset of the evaluation request, which every constructor that meets an explicit offset is told as ``zone``
(minutes east of UTC). A DateTime without an offset is read in the offset of the evaluation request, so its
``local`` and ``lo`` agree. Comparisons to the day or coarser look at ``local`` (the standard normalises
offsets only when comparing hours or finer).
"""

from __future__ import annotations

from datetime import date as _pydate
from typing import Final

YEAR: Final = 0
MONTH: Final = 1
DAY: Final = 2
HOUR: Final = 3
MINUTE: Final = 4
SECOND: Final = 5
MILLISECOND: Final = 6

PRECISION_NAMES: Final = ("Year", "Month", "Day", "Hour", "Minute", "Second", "Millisecond")

SHIFT: Final = (36, 32, 27, 22, 16, 10, 0)

_TIME_HI: Final = 23 << 22 | 59 << 16 | 59 << 10 | 999
_FIELD_HI: Final = (
    12 << 32 | 31 << 27 | _TIME_HI,
    31 << 27 | _TIME_HI,
    _TIME_HI,
    59 << 16 | 59 << 10 | 999,
    59 << 10 | 999,
    0,
    0,
)
_FIELD_LO: Final = (1 << 32 | 1 << 27, 1 << 27, 0, 0, 0, 0, 0)

_DAYS_IN_MONTH: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_in_month(year: int, month: int) -> int:
    """The number of days of a month in the proleptic Gregorian calendar."""
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _DAYS_IN_MONTH[month]


def pack(
    year: int, month: int = 1, day: int = 1, hour: int = 0, minute: int = 0, second: int = 0, ms: int = 0
) -> int:
    """Pack calendar components into one ordered integer."""
    return year << 36 | month << 32 | day << 27 | hour << 22 | minute << 16 | second << 10 | ms


def unpack(packed: int) -> tuple[int, int, int, int, int, int, int]:
    """The seven calendar components of a packed integer."""
    return (
        packed >> 36,
        packed >> 32 & 15,
        packed >> 27 & 31,
        packed >> 22 & 31,
        packed >> 16 & 63,
        packed >> 10 & 63,
        packed & 1023,
    )


MS_PER_DAY: Final = 86_400_000


def to_ms(packed: int) -> int:
    """Milliseconds since the start of day 0 of the proleptic Gregorian calendar (ordinal 1 is 0001-01-01)."""
    ordinal = _pydate(packed >> 36, packed >> 32 & 15, packed >> 27 & 31).toordinal()
    return (
        ordinal * MS_PER_DAY
        + (packed >> 22 & 31) * 3_600_000
        + (packed >> 16 & 63) * 60_000
        + (packed >> 10 & 63) * 1000
        + (packed & 1023)
    )


def from_ms(ms: int) -> int:
    """The packed integer of a count of milliseconds as given by :func:`to_ms`.

    Raises ``OverflowError`` or ``ValueError`` outside the years 1 to 9999.
    """
    ordinal, rest = divmod(ms, MS_PER_DAY)
    day = _pydate.fromordinal(ordinal)
    return (
        day.year << 36
        | day.month << 32
        | day.day << 27
        | rest // 3_600_000 << 22
        | rest // 60_000 % 60 << 16
        | rest // 1000 % 60 << 10
        | rest % 1000
    )


_HOUR_AND_MINUTE: Final = 31 << 22 | 63 << 16


def shifted(packed: int, minutes: int) -> int:
    """A packed moment moved by minutes; clamped to the least and greatest moment at the calendar's ends."""
    total = (packed >> 22 & 31) * 60 + (packed >> 16 & 63) + minutes
    if 0 <= total < 1440:
        return packed & ~_HOUR_AND_MINUTE | total // 60 << 22 | total % 60 << 16
    try:
        return from_ms(to_ms(packed) + minutes * 60_000)
    except (OverflowError, ValueError):
        return MIN_PACKED if minutes < 0 else MAX_PACKED


MIN_PACKED: Final = pack(1)
MAX_PACKED: Final = pack(9999, 12, 31, 23, 59, 59, 999)


class Date:
    """A CQL Date, precise to the year, month or day; never has a time or an offset."""

    __slots__ = ("hi", "lo", "local", "precision")

    def __init__(self, local: int, precision: int = DAY) -> None:
        """``local`` is packed; components finer than ``precision`` are ignored."""
        shift = SHIFT[precision]
        lo = local >> shift << shift
        self.precision = precision
        if precision == DAY:
            self.local = self.lo = self.hi = lo
        else:
            self.local = self.lo = lo | _FIELD_LO[precision]
            if precision == YEAR:
                self.hi = lo | 12 << 32 | 31 << 27
            else:
                self.hi = lo | days_in_month(lo >> 36, lo >> 32 & 15) << 27

    def __repr__(self) -> str:
        y, m, d, *_ = unpack(self.local)
        return f"Date({(f'{y:04}', f'{y:04}-{m:02}', f'{y:04}-{m:02}-{d:02}')[self.precision]})"

    def __eq__(self, other: object) -> bool:
        return type(other) is Date and self.local == other.local and self.precision == other.precision

    def __hash__(self) -> int:
        return hash((self.local, self.precision))


class DateTime:
    """A CQL DateTime, precise to anything from the year to the millisecond.

    ``offset`` is minutes east of UTC as written, or None where the value named none.
    """

    __slots__ = ("hi", "lo", "local", "offset", "precision")

    def __init__(
        self, local: int, precision: int = MILLISECOND, offset: int | None = None, zone: int = 0
    ) -> None:
        """``local`` is packed; ``zone`` is the offset of the evaluation request in minutes."""
        shift = SHIFT[precision]
        lo = local >> shift << shift
        self.precision = precision
        self.offset = offset
        if precision < DAY:
            lo |= _FIELD_LO[precision]
        self.local = lo
        if offset is not None and offset != zone and precision >= HOUR:
            lo = shifted(lo, zone - offset)
        self.lo = lo
        if precision >= SECOND:
            self.hi = lo
        elif precision >= DAY:
            if precision != DAY and lo != self.local:
                span = 3_599_999 if precision == HOUR else 59_999
                self.hi = from_ms(to_ms(lo) + span)
            else:
                self.hi = lo | _FIELD_HI[precision]
        elif precision == MONTH:
            self.hi = lo & ~(31 << 27) | days_in_month(lo >> 36, lo >> 32 & 15) << 27 | _TIME_HI
        else:
            self.hi = lo & ~(1 << 32 | 1 << 27) | _FIELD_HI[YEAR]

    def __repr__(self) -> str:
        return f"DateTime({iso(self)})"

    def __eq__(self, other: object) -> bool:
        """Sameness of the written value (local components, precision and offset), not CQL equality."""
        return (
            type(other) is DateTime
            and self.local == other.local
            and self.precision == other.precision
            and self.offset == other.offset
        )

    def __hash__(self) -> int:
        return hash((self.local, self.precision, self.offset))


class Time:
    """A CQL Time of day, precise to the hour, minute, second or millisecond; date fields are zero."""

    __slots__ = ("hi", "lo", "local", "precision")

    def __init__(self, local: int, precision: int = MILLISECOND) -> None:
        shift = SHIFT[precision]
        lo = local >> shift << shift
        self.precision = precision
        self.local = self.lo = lo
        self.hi = lo | _FIELD_HI[precision]

    def __repr__(self) -> str:
        return f"Time({iso(self)})"

    def __eq__(self, other: object) -> bool:
        return type(other) is Time and self.local == other.local and self.precision == other.precision

    def __hash__(self) -> int:
        return hash((self.local, self.precision))


Temporal = Date | DateTime | Time


def iso(value: Temporal) -> str:
    """The value in ISO 8601 as CQL writes it, to its own precision; an offset only where it has one."""
    y, m, d, h, mi, s, ms = unpack(value.local)
    p = value.precision
    if type(value) is Time:
        return (f"{h:02}", f"{h:02}:{mi:02}", f"{h:02}:{mi:02}:{s:02}", f"{h:02}:{mi:02}:{s:02}.{ms:03}")[
            p - HOUR
        ]
    text = f"{y:04}"
    if p >= MONTH:
        text += f"-{m:02}"
    if p >= DAY:
        text += f"-{d:02}"
    if p >= HOUR:
        text += f"T{h:02}"
    if p >= MINUTE:
        text += f":{mi:02}"
    if p >= SECOND:
        text += f":{s:02}"
    if p >= MILLISECOND:
        text += f".{ms:03}"
    if type(value) is DateTime and value.offset is not None and p >= HOUR:
        sign = "-" if value.offset < 0 else "+"
        text += f"{sign}{abs(value.offset) // 60:02}:{abs(value.offset) % 60:02}"
    return text


def at(value: DateTime, local: int) -> DateTime:
    """The DateTime whose components as written are ``local``, in the offset and precision of ``value``."""
    offset = value.offset
    if offset is None:
        return DateTime(local, value.precision)
    if value.lo == value.local or value.precision < HOUR:
        return DateTime(local, value.precision, offset, offset)
    return DateTime(local, value.precision, offset, offset + _minutes_apart(value.local, value.lo))


def _minutes_apart(a: int, b: int) -> int:
    """Whole minutes from one packed moment to another."""
    if a >> 27 != b >> 27:
        return (to_ms(b) - to_ms(a)) // 60_000
    return ((b >> 22 & 31) - (a >> 22 & 31)) * 60 + (b >> 16 & 63) - (a >> 16 & 63)


def local_hi(value: DateTime) -> int:
    """The latest moment a DateTime can mean, in the value's own offset (``hi`` is in the evaluation's)."""
    if value.lo == value.local:
        return value.hi
    return value.local | _FIELD_HI[value.precision]


def truncated(value: Temporal, precision: int) -> Temporal:
    """The value without its components finer than ``precision``; the value itself when it has none."""
    if value.precision <= precision:
        return value
    if type(value) is DateTime:
        offset = value.offset
        if offset is None or value.lo == value.local:
            return DateTime(value.local, precision, offset, offset or 0)
        zone = offset + _minutes_apart(value.local, value.lo)
        return DateTime(value.local, precision, offset, zone)
    return Date(value.local, precision) if type(value) is Date else Time(value.local, precision)


def to_datetime(value: Date) -> DateTime:
    """A Date as a DateTime whose time is unspecified (CQL Reference, "ToDateTime")."""
    return DateTime(value.local, value.precision)


MIN_DATE: Final = Date(MIN_PACKED)
MAX_DATE: Final = Date(MAX_PACKED)
MIN_DATETIME: Final = DateTime(MIN_PACKED, MILLISECOND, 0)
MAX_DATETIME: Final = DateTime(MAX_PACKED, MILLISECOND, 0)
MIN_TIME: Final = Time(0)
MAX_TIME: Final = Time(_TIME_HI)


def exact(a: int, b: int, c: int, d: int) -> bool:
    """Whether values of these precisions compare by their ``lo`` alone, as :func:`compare` has it."""
    return (a >= SECOND and b >= SECOND and c >= SECOND and d >= SECOND) or a == b == c == d != HOUR


def compare(a: Temporal, b: Temporal) -> int | None:
    """-1, 0 or 1 as ``a`` is before, the same as or after ``b``; None when their precisions leave it open.

    Both are of one type. Components are compared from the year on; when one value runs out of components
    before the other and all so far are the same, the answer is unknown (CQL Reference, "Less").
    """
    pa, pb = a.precision, b.precision
    x, y = a.lo, b.lo
    if pa == pb or (pa >= SECOND and pb >= SECOND):
        if x == y:
            return 0
        # Offsets of part of an hour leave hours that are known to the hour overlapping.
        if pa == HOUR and (a.hi >= y if x < y else x <= b.hi):
            return None
        return 1 if x > y else -1
    if a.hi < y:
        return -1
    if x > b.hi:
        return 1
    return None


def compare_to(a: Temporal, b: Temporal, precision: int) -> int | None:
    """:func:`compare`, looking no further than ``precision`` (the ``day of`` of a timing phrase)."""
    pa, pb = a.precision, b.precision
    if pa < precision or pb < precision:
        cut = pa if pa < pb else pb
        certain = False
    else:
        cut = precision
        certain = True
    shift = SHIFT[cut]
    if cut < HOUR:
        x, y = a.local >> shift, b.local >> shift
    elif cut == HOUR:
        x, y = a.lo >> shift, b.lo >> shift
        high_x, high_y = a.hi >> shift, b.hi >> shift
        if x != high_x or y != high_y:
            return -1 if high_x < y else 1 if x > high_y else None
    else:
        x, y = a.lo >> shift, b.lo >> shift
    if x < y:
        return -1
    if x > y:
        return 1
    return 0 if certain else None
