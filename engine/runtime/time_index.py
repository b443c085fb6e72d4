"""Rows of a list found by the time they speak of, so that joins on time need not try every pair.

A window is a pair of packed moments (see ``temporal.py``). It is only a first sieve: windows and extents hold
every moment that a value can mean, in its own offset and in that of the evaluation, so that offsets,
precisions and unknown bounds can let a row in but never keep one out; whoever asks still tests the phrase
itself on the rows it gets.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.temporal import (
    MAX_PACKED,
    MILLISECOND,
    MIN_PACKED,
    MONTH,
    SHIFT,
    YEAR,
    Date,
    DateTime,
)
from measurewise.engine.runtime.values import Interval

Window = tuple[int, int]

NEVER: Window = (MAX_PACKED + 1, MIN_PACKED - 1)
"""The window of a null: no timing phrase is true of it."""

ALWAYS: Window = (MIN_PACKED, MAX_PACKED)

_WITHIN_DAY = (1 << 27) - 1
"""All that a packed moment says below the day. A Date may be compared as any moment of its day."""

_DAYS = 8 << 27
"""Eight in the day field: four days at least, whatever the month."""

_TO_NEXT_YEAR = 4 << 32
"""From month 12 to month 16, which is month 0 of the next year."""


def extent(value: Any) -> Window:
    """The earliest and latest moment a point or interval can mean."""
    if value is None:
        return NEVER
    kind = type(value)
    if kind is DateTime:
        local = value.local
        if value.lo == local:
            return (local, value.hi)
        return (min(value.lo, local), max(value.hi, local))
    if kind is Date:
        return (value.lo, value.hi | _WITHIN_DAY)
    if kind is Interval:
        low, high = value.low, value.high
        if type(low) not in _POINTS or type(high) not in _POINTS:
            return ALWAYS
        first = MIN_PACKED if low is None else extent(low)[0]
        last = MAX_PACKED if high is None else extent(high)[1]
        # Bounds the wrong way round are compared one by one, so both count.
        return (first, last) if first <= last else (last, first)
    return ALWAYS


_POINTS = (DateTime, Date, type(None))


def _later(packed: int, slack: int) -> int:
    """A moment moved on by slack in its fields; past month 12 comes the next year."""
    moved = packed + slack
    return moved + _TO_NEXT_YEAR if moved >> 32 & 15 > 12 else moved


def _earlier(packed: int, slack: int) -> int:
    """A moment moved back by slack in its fields; before month 1 comes the year before."""
    moved = packed - slack
    return moved if 1 <= moved >> 32 & 15 <= 12 else moved - _TO_NEXT_YEAR


def window_near(value: Any, precision: int | None = None) -> Window:
    """Where something must be to share a moment with ``value`` or to lie next to it (meets)."""
    low, high = extent(value)
    if low > high:
        return NEVER
    slack = 2 << 36 if precision == YEAR else 2 << 32 if precision == MONTH else _DAYS
    return (_earlier(low, slack), _later(high, slack))


def window_at(value: Any, precision: int | None = None) -> Window:
    """Where something must be to share a moment with ``value`` (in, during, overlaps, same), or the year,
    month, day ... of a moment."""
    low, high = extent(value)
    if precision is None or low > high:
        return (low, high)
    if precision > MILLISECOND:
        return window_near(value)
    shift = SHIFT[precision]
    return (low >> shift << shift, high | (1 << shift) - 1)


def window_before(value: Any, precision: int | None = None) -> Window:
    """Where something must begin to be before ``value`` or the same."""
    low, high = window_at(value, precision)
    return NEVER if low > high else (MIN_PACKED, high)


def window_after(value: Any, precision: int | None = None) -> Window:
    """Where something must end to be after ``value`` or the same."""
    low, high = window_at(value, precision)
    return NEVER if low > high else (low, MAX_PACKED)


_FEW = 4
"""Up to so many rows are quicker tried than found."""


_MANY = 32
"""From so many rows on they are given one by one, since the first may be enough."""


class TimeIndex:
    """Rows by the extent of the time each of them has."""

    __slots__ = ("_key", "_layers", "_rows")

    def __init__(self, rows: Sequence[Any], key: Callable[[Any], Any]) -> None:
        """``key`` gives the time (a point, an interval or null) of a row."""
        self._rows = rows
        self._key = key
        self._layers: list[tuple[int, list[int], list[tuple[int, int, int]]]] | None = None

    def _pays(self) -> bool:
        """Whether rows are found rather than tried; the index is made the first time they are."""
        if len(self._rows) <= _FEW:
            return False
        # Rows of like length are kept together, since a few long ones among many short ones would make the
        # look-up go through all short ones that began while the longest was under way.
        layers: dict[int, list[tuple[int, int, int]]] = {}
        key = self._key
        for place, row in enumerate(self._rows):
            try:
                low, high = extent(key(row))
            except EvaluationError:
                # It is raised again where the condition comes to this row, if it does.
                low, high = ALWAYS
            if low <= high:
                layer = (high - low).bit_length() + 1 >> 1
                entries = layers.get(layer)
                if entries is None:
                    layers[layer] = [(low, high, place)]
                else:
                    entries.append((low, high, place))
        self._layers = []
        for layer, entries in layers.items():
            entries.sort()
            self._layers.append(((1 << 2 * layer) - 1, [low for low, _, _ in entries], entries))
        return True

    def around(self, value: Any, precision: int | None = None) -> Sequence[Any]:
        """The rows that could share a moment with a point or interval, in the order of the list."""
        if self._layers is None and not self._pays():
            return self._rows
        return self.within(window_at(value, precision))

    def some_around(self, value: Any, precision: int | None = None) -> Iterable[Any]:
        """The rows of :meth:`around`, in any order and, where there are many, one by one."""
        if self._layers is None and not self._pays():
            return self._rows
        low, high = window = window_at(value, precision)
        found: list[Any] = []
        if low <= high:
            for span, lows, entries in self._layers or ():
                stop = bisect_right(lows, high)
                start = bisect_left(lows, low - span, 0, stop) if stop else 0
                if stop - start > _MANY:
                    return self.some_within(window)
                if start < stop:
                    rows = self._rows
                    found += [rows[place] for _, last, place in entries[start:stop] if last >= low]
        return found

    def within(self, *windows: Window) -> Sequence[Any]:
        """The rows that could meet all windows, in the order of the list."""
        if self._layers is None and not self._pays():
            return self._rows
        places = list(self.places(windows))
        rows = self._rows
        if len(places) > 1:
            places.sort()
        return [rows[place] for place in places]

    def some_within(self, *windows: Window) -> Iterable[Any]:
        """The rows of :meth:`within`, in any order and one by one."""
        if self._layers is None and not self._pays():
            return self._rows
        return map(self._rows.__getitem__, self.places(windows))

    def places(self, windows: tuple[Window, ...]) -> Iterator[int]:
        """Where in the list the rows are that could meet all windows, in any order."""
        low, high = windows[0]
        for lowest, highest in windows:
            if lowest > highest:
                return
            if lowest > low:
                low = lowest
            if highest < high:
                high = highest
        for span, lows, entries in self._layers or ():
            start = bisect_left(lows, low - span)
            for _, last, place in entries[start : bisect_right(lows, high, start)]:
                if last >= low:
                    yield place

    def rows_at(self, places: set[int]) -> list[Any]:
        """The rows at some places, in the order of the list."""
        rows = self._rows
        return [rows[place] for place in sorted(places)]

    def ready(self) -> bool:
        """Whether rows are found rather than tried."""
        return self._layers is not None or self._pays()


def rows_of_either(*ways: tuple[TimeIndex, tuple[Window, ...]]) -> Sequence[Any]:
    """The rows that could meet all windows of one way or another, in the order of the list.

    Each way is an index of the same rows by one of their times, with windows for that time.
    """
    places: set[int] = set()
    for index, windows in ways:
        if not index.ready():
            return index._rows
        places.update(index.places(windows))
    return ways[0][0].rows_at(places)
