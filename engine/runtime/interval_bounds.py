"""Where an interval starts and ends, and how such bounds compare when one of them is not known.

CQL 1.5.3 Reference, "Start" and "End": an open bound is the neighbour of its value; a closed null bound is
the least or greatest value of the point type; an open null bound is unknown. An unknown bound is an
uncertainty (Language Semantics, "Interval Operators"): the start lies anywhere up to the end, the end
anywhere from the start on, so ``Interval(null, 5]`` is known to start before 6 though not where.
"""

from __future__ import annotations

from typing import Any

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.points import compare_points, greatest, least, neighbour, type_name
from measurewise.engine.runtime.values import Interval


class Unknown:
    """A bound that lies somewhere from ``lo`` to ``hi``, either None where the point type is not known."""

    __slots__ = ("hi", "lo")

    def __init__(self, lo: Any, hi: Any) -> None:
        self.lo = lo
        self.hi = hi

    def __repr__(self) -> str:
        return f"Unknown({self.lo}, {self.hi})"


def start(interval: Interval | None) -> Any:
    """The first point of an interval; null for null, for an unknown bound and an unknown point type."""
    if interval is None:
        return None
    low = interval.low
    if low is not None:
        return low if interval.low_closed else _next(low, 1)
    return least(interval.point, interval.high) if interval.low_closed else None


def end(interval: Interval | None) -> Any:
    """The last point of an interval; nulls as :func:`start`."""
    if interval is None:
        return None
    high = interval.high
    if high is not None:
        return high if interval.high_closed else _next(high, -1)
    return greatest(interval.point, interval.low) if interval.high_closed else None


def low_bound(interval: Interval) -> Any:
    """The first point, or the :class:`Unknown` it lies in."""
    low = interval.low
    if low is not None:
        return low if interval.low_closed else _next(low, 1)
    first = least(interval.point, interval.high)
    if interval.low_closed:
        return Unknown(None, None) if first is None else first
    high = interval.high
    if high is None:
        return Unknown(first, greatest(interval.point))
    return Unknown(first, high if interval.high_closed else _next(high, -1))


def high_bound(interval: Interval) -> Any:
    """The last point, or the :class:`Unknown` it lies in."""
    high = interval.high
    if high is not None:
        return high if interval.high_closed else _next(high, -1)
    last = greatest(interval.point, interval.low)
    if interval.high_closed:
        return Unknown(None, None) if last is None else last
    low = interval.low
    if low is None:
        return Unknown(least(interval.point), last)
    return Unknown(low if interval.low_closed else _next(low, 1), last)


def _next(value: Any, count: int) -> Any:
    stepped = neighbour(value, count)
    if stepped is None:
        side = "low" if count > 0 else "high"
        raise EvaluationError(
            f"An interval cannot have {value!r} as its open {side} bound.",
            mend="Close the bound, or leave it null where it is not known.",
        )
    return stepped


def typed_like(interval: Interval, sample: Any) -> Interval:
    """An interval of nulls with the point type of a sample, where it has none of its own."""
    if interval.low is None and interval.high is None and interval.point is None:
        low_closed, high_closed = interval.low_closed, interval.high_closed
        return Interval(None, None, low_closed, high_closed, type_name(sample))
    return interval


def possible(a: Any, b: Any, precision: int | None) -> tuple[int, int]:
    """The least and the greatest outcome of comparing two bounds, each -1, 0 or 1."""
    a_lo, a_hi = (a.lo, a.hi) if type(a) is Unknown else (a, a)
    b_lo, b_hi = (b.lo, b.hi) if type(b) is Unknown else (b, b)
    lowest = None if a_lo is None or b_hi is None else compare_points(a_lo, b_hi, precision)
    highest = None if a_hi is None or b_lo is None else compare_points(a_hi, b_lo, precision)
    return -1 if lowest is None else lowest, 1 if highest is None else highest


def less(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether one bound lies before another; null when that is unknown."""
    if type(a) is Unknown or type(b) is Unknown:
        lowest, highest = possible(a, b, precision)
        return True if highest < 0 else False if lowest >= 0 else None
    order = compare_points(a, b, precision)
    return None if order is None else order < 0


def less_or_equal(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether one bound lies before another or at it; null when that is unknown."""
    if type(a) is Unknown or type(b) is Unknown:
        lowest, highest = possible(a, b, precision)
        return True if highest <= 0 else False if lowest > 0 else None
    order = compare_points(a, b, precision)
    return None if order is None else order <= 0


def same(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether two bounds are one point; null when that is unknown."""
    if type(a) is Unknown or type(b) is Unknown:
        lowest, highest = possible(a, b, precision)
        return False if lowest > 0 or highest < 0 else True if lowest == highest else None
    order = compare_points(a, b, precision)
    return None if order is None else order == 0


def both(a: bool | None, b: bool | None) -> bool | None:
    """Three-valued ``and``."""
    if a is False or b is False:
        return False
    return True if a and b else None
