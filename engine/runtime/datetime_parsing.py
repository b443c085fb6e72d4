"""Reading Date, DateTime and Time from text: ISO 8601 as FHIR JSON and CQL's conversions from String use it.

Reading dates is where evaluating a patient spends much of its time. Of the two forms that records are full of
(a whole day; a moment to the second or finer) the day and the time of day are remembered by themselves, as
are whole texts, and the value is built without its constructor; everything else takes the regular
expressions. The memos are emptied when they are full.
"""

from __future__ import annotations

import re
from datetime import date as _pydate
from typing import Final

from measurewise.engine.runtime.temporal import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    Date,
    DateTime,
    Time,
    days_in_month,
    pack,
    shifted,
)

_MEMO_SIZE: Final = 1 << 16

_DATES: Final[dict[str, Date | None]] = {}
_DATETIMES: Final[dict[int, dict[str, DateTime | None]]] = {}
_DAYS: Final[dict[str, int]] = {}
_CLOCKS: Final[dict[str, int]] = {}
_OFFSETS: Final[dict[str, int]] = {"Z": 0, "+00:00": 0, "-00:00": 0}

_TEXT: Final = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?"
    r"(?:T(?:([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?"
)
_CLOCK: Final = re.compile(r"T?([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?")
_FRACTION: Final = re.compile(r"\.([0-9]+)")
_OFFSET: Final = re.compile(r"[+-]([01][0-9]):([0-5][0-9])")

MAX_OFFSET: Final = 14 * 60
"""The farthest east (and, by ISO 8601, west) an offset lies, in minutes."""


def parse_datetime(text: str | None, zone: int) -> DateTime | None:
    """A DateTime, to the precision its text gives; None for text that is not a valid one.

    ``zone`` is the offset of the evaluation request in minutes east of UTC; text without an offset is read in
    it. Digits beyond the millisecond are cut off (CQL Reference, "ToDateTime"; FHIR R4 ``dateTime`` and
    ``instant``).
    """
    if type(text) is not str:
        return None
    memo = _DATETIMES.get(zone)
    if memo is None:
        if len(_DATETIMES) >= 64:
            _DATETIMES.clear()
        memo = _DATETIMES[zone] = {}
    elif text in memo:
        return memo[text]
    value = _moment(text, zone)
    if len(memo) >= _MEMO_SIZE:
        memo.clear()
    memo[text] = value
    return value


def parse_date(text: str | None) -> Date | None:
    """A Date, to the precision its text gives; a time in the text is ignored; None for any other text.

    CQL Reference, "ToDate"; FHIR R4 ``date``.
    """
    if type(text) is not str:
        return None
    if text in _DATES:
        return _DATES[text]
    value = _day(text)
    if len(_DATES) >= _MEMO_SIZE:
        _DATES.clear()
    _DATES[text] = value
    return value


def parse_time(text: str | None) -> Time | None:
    """A Time of day, with or without a leading ``T``; None for text that is not one.

    Digits beyond the millisecond are cut off; a time of day has no offset (CQL Reference, "ToTime").
    """
    if type(text) is not str:
        return None
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    clock = _clock(match, 1)
    return None if clock is None else Time(clock[0], clock[1])


def _moment(text: str, zone: int) -> DateTime | None:
    if len(text) < 19 or text[10] != "T" or text[16] != ":":
        return _partial(text, zone)
    day = _DAYS.get(text[:10]) or _whole_day(text[:10])
    clock = _CLOCKS.get(text[11:19])
    if clock is None:
        clock = _whole_clock(text[11:19])
    if day is None or clock is None:
        return None
    local = day | clock
    precision = SECOND
    rest = text[19:]
    if rest and rest[0] == ".":
        precision = MILLISECOND
        fraction, tail = rest[1:4], rest[4:]
        if (tail and tail not in _OFFSETS) or not (fraction.isdecimal() and fraction.isascii()):
            match = _FRACTION.match(rest)
            if match is None:
                return None
            fraction, tail = match[1][:3], rest[match.end() :]
        local |= int(fraction.ljust(3, "0"))
        rest = tail
    offset = None
    if rest:
        offset = _OFFSETS.get(rest)
        if offset is None:
            offset = _offset(rest)
            if offset is None:
                return None
    value = DateTime.__new__(DateTime)
    value.precision = precision
    value.offset = offset
    value.local = local
    if offset is None or offset == zone:
        value.lo = value.hi = local
    else:
        value.lo = value.hi = shifted(local, zone - offset)
    return value


def _whole_day(text: str) -> int | None:
    """The packed day of ``YYYY-MM-DD``, remembered; the separators because week dates are as long."""
    if text[4] != "-" or text[7] != "-":
        return None
    try:
        day = _pydate.fromisoformat(text)
    except ValueError:
        return None
    if len(_DAYS) >= _MEMO_SIZE:
        _DAYS.clear()
    packed = _DAYS[text] = day.year << 36 | day.month << 32 | day.day << 27
    return packed


def _whole_clock(text: str) -> int | None:
    """The packed time of ``hh:mm:ss``, remembered; there are 86,400."""
    match = _CLOCK.fullmatch(text)
    clock = None if match is None or match[3] is None else _clock(match, 1)
    if clock is None:
        return None
    _CLOCKS[text] = clock[0]
    return clock[0]


def _partial(text: str, zone: int) -> DateTime | None:
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    day = _calendar(match)
    if day is None:
        return None
    packed, precision = day
    if match[4] is None:
        return DateTime(packed, precision)
    if precision != DAY:
        return None
    clock = _clock(match, 4)
    if clock is None:
        return None
    offset = None
    if match[8] is not None:
        offset = _offset(match[8])
        if offset is None:
            return None
    return DateTime(packed | clock[0], clock[1], offset, zone)


def _day(text: str) -> Date | None:
    if len(text) == 10:
        local = _DAYS.get(text) or _whole_day(text)
        if local is None:
            return None
        value = Date.__new__(Date)
        value.precision = DAY
        value.local = value.lo = value.hi = local
        return value
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    packed = _calendar(match)
    if packed is None or (match[4] is not None and (packed[1] != DAY or _clock(match, 4) is None)):
        return None
    return Date(packed[0], packed[1])


def _calendar(match: re.Match[str]) -> tuple[int, int] | None:
    """The packed year, month and day of a match with their precision; None when there is no such day."""
    year, month, day = match[1], match[2], match[3]
    y = int(year)
    if y == 0:
        return None
    if month is None:
        return pack(y), YEAR
    m = int(month)
    if not 1 <= m <= 12:
        return None
    if day is None:
        return pack(y, m), MONTH
    d = int(day)
    if not 1 <= d <= days_in_month(y, m):
        return None
    return pack(y, m, d), DAY


def _clock(match: re.Match[str], first: int) -> tuple[int, int] | None:
    """The packed hour to millisecond of a match, from the group ``first`` on; None outside the day."""
    hour, minute, second, fraction = match[first], match[first + 1], match[first + 2], match[first + 3]
    h = int(hour)
    if h > 23:
        return None
    if minute is None:
        return h << 22, HOUR
    m = int(minute)
    if m > 59:
        return None
    if second is None:
        return h << 22 | m << 16, MINUTE
    s = int(second)
    if s > 59:
        return None
    if fraction is None:
        return h << 22 | m << 16 | s << 10, SECOND
    return h << 22 | m << 16 | s << 10 | int(fraction[:3].ljust(3, "0")), MILLISECOND


def _offset(text: str) -> int | None:
    """Minutes east of UTC of ``Z`` or ``+hh:mm``; None beyond fourteen hours."""
    known = _OFFSETS.get(text)
    if known is not None:
        return known
    match = _OFFSET.fullmatch(text)
    if match is None:
        return None
    minutes = int(match[1]) * 60 + int(match[2])
    if minutes > MAX_OFFSET:
        return None
    # At most 1,682 offsets exist, so this memo needs no other bound.
    minutes = -minutes if text[0] == "-" else minutes
    _OFFSETS[text] = minutes
    return minutes
