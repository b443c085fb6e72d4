"""Rows of a list found by the time they speak of, so that joins on time need not try every pair.

A window is a pair of packed moments (see ``temporal.py``). It is only a first sieve: windows are wider than
the timing phrase they stand for, so that offsets, precisions and unknown bounds can let a row in but never
keep one out; whoever asks still tests the phrase itself on the rows it gets.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from measurewise.engine.runtime.temporal import MAX_PACKED, MIN_PACKED, MONTH, YEAR, Date, DateTime
from measurewise.engine.runtime.values import Interval

Window = tuple[int, int]

NEVER: Window = (MAX_PACKED + 1, MIN_PACKED - 1)
"""The window of a null: no timing phrase is true of it."""

ALWAYS: Window = (MIN_PACKED, MAX_PACKED)

_DAYS = 8 << 27
"""Eight in the day field: four days at least, whatever the month; wider than any offset."""
_WIDE = 400 << 27


def extent(value: Any) -> Window:
    """The earliest and latest moment a point or interval can mean."""
    if value is None:
        return NEVER
    kind = type(value)
    if kind is DateTime or kind is Date:
        local = value.local
        if value.lo == local:
            return (local, value.hi)
        return (min(value.lo, local), max(value.hi, local))
    if kind is Interval:
        low, high = value.low, value.high
        if type(low) not in _POINTS or type(high) not in _POINTS:
            return ALWAYS
        first = MIN_PACKED if low is None else min(low.lo, low.local)
        last = MAX_PACKED if high is None else max(high.hi, high.local)
        # Bounds the wrong way round are compared one by one, so both count.
        return (first, last) if first <= last else (last, first)
    return ALWAYS


_POINTS = (DateTime, Date, type(None))


def _slack(precision: int | None) -> int:
    if precision == YEAR:
        return 2 << 36
    if precision == MONTH:
        return 2 << 32
    return _DAYS


_TO_NEXT_YEAR = 4 << 32
"""From month 12 to month 16, which is month 0 of the next year."""


def _later(packed: int, slack: int) -> int:
    """A moment moved on by slack in its fields; past month 12 comes the next year."""
    moved = packed + slack
    return moved + _TO_NEXT_YEAR if moved >> 32 & 15 > 12 else moved


def _earlier(packed: int, slack: int) -> int:
    """A moment moved back by slack in its fields; before month 1 comes the year before."""
    moved = packed - slack
    return moved if 1 <= moved >> 32 & 15 <= 12 else moved - _TO_NEXT_YEAR


def window_at(value: Any, precision: int | None = None) -> Window:
    """Where something must be to share a moment with ``value`` (in, during, overlaps, same)."""
    low, high = extent(value)
    if low > high:
        return NEVER
    slack = _slack(precision)
    return (_earlier(low, slack), _later(high, slack))


def window_before(value: Any, precision: int | None = None) -> Window:
    """Where something must begin to be before ``value`` or the same."""
    low, high = extent(value)
    return NEVER if low > high else (MIN_PACKED, _later(high, _slack(precision)))


def window_after(value: Any, precision: int | None = None) -> Window:
    """Where something must end to be after ``value`` or the same."""
    low, high = extent(value)
    return NEVER if low > high else (_earlier(low, _slack(precision)), MAX_PACKED)


class TimeIndex:
    """Rows by the extent of the time each of them has."""

    __slots__ = ("_ends", "_highs", "_lows", "_order", "_rows", "_wide")

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """``pairs`` are rows with the time (a point, an interval or null) that each has."""
        narrow: list[tuple[int, int, int]] = []
        self._wide: list[tuple[int, int, int]] = []
        self._rows: list[Any] = []
        for row, value in pairs:
            low, high = extent(value)
            if low > high:
                continue
            target = narrow if high - low <= _WIDE else self._wide
            target.append((low, high, len(self._rows)))
            self._rows.append(row)
        narrow.sort()
        self._wide.sort()
        self._lows = [low for low, _, _ in narrow]
        self._ends = [high for _, high, _ in narrow]
        self._order = [order for _, _, order in narrow]
        self._highs: list[int] = []
        latest = MIN_PACKED - 1
        for high in self._ends:
            latest = max(latest, high)
            self._highs.append(latest)

    def around(self, value: Any, precision: int | None = None) -> Sequence[Any]:
        """The rows that could share a moment with a point or interval, in the order of the list."""
        if not self._wide and self._far(value, precision):
            return ()
        return self.within(window_at(value, precision))

    def some_around(self, value: Any, precision: int | None = None) -> Iterable[Any]:
        """The rows of :meth:`around`, in any order and one by one."""
        if not self._wide and self._far(value, precision):
            return ()
        return self.some_within(window_at(value, precision))

    def _far(self, value: Any, precision: int | None) -> bool:
        """Whether a moment is quickly seen to be far from all short rows."""
        if type(value) is not DateTime or not value.lo == value.hi == value.local:
            return False
        moment = value.lo
        slack = _DAYS if precision is None or precision > MONTH else _slack(precision)
        stop = bisect_right(self._lows, _later(moment, slack))
        return stop == 0 or self._highs[stop - 1] < _earlier(moment, slack)

    def within(self, window: Window, *others: Window) -> Sequence[Any]:
        """The rows that could meet all windows, in the order of the list."""
        places = list(self._places(window, others))
        rows = self._rows
        if len(places) > 1:
            places.sort()
        return [rows[place] for place in places]

    def some_within(self, window: Window, *others: Window) -> Iterator[Any]:
        """The rows of :meth:`within`, in any order and one by one."""
        rows = self._rows
        for place in self._places(window, others):
            yield rows[place]

    def _places(self, window: Window, others: tuple[Window, ...]) -> Iterator[int]:
        low, high = window
        for lowest, highest in others:
            if lowest > low:
                low = lowest
            if highest < high:
                high = highest
        if window is NEVER or NEVER in others:
            return
        for first, last, place in self._wide:
            if first > high:
                break
            if last >= low:
                yield place
        stop = bisect_right(self._lows, high)
        ends, order = self._ends, self._order
        for at in range(bisect_left(self._highs, low), stop):
            if ends[at] >= low:
                yield order[at]
