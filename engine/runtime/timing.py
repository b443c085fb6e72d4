"""The timing relations of points and intervals (CQL Reference, "Interval Operators", "Date and Time").

Every function takes points and :class:`Interval` alike, a point standing for the interval that starts and
ends on it, and is null where an operand is or where imprecise or unknown bounds leave the answer open.
``precision`` is the ``day of`` of a timing phrase: comparisons look no further, and offsets are normalised to
the evaluation request's only from the hour on. ``on or before`` is ``same_or_before``.

Measures ask mostly whether whole intervals of dates overlap, so that has a path of its own which compares
packed integers.
"""

from __future__ import annotations

from typing import Any

from measurewise.engine.runtime.interval_bounds import (
    Unknown,
    both,
    high_bound,
    less,
    less_or_equal,
    low_bound,
    same,
)
from measurewise.engine.runtime.points import compare_points, neighbour
from measurewise.engine.runtime.temporal import HOUR, SHIFT, Date, DateTime, Time, exact, truncated
from measurewise.engine.runtime.values import Interval


def same_as(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether two points are the same, or two intervals start and end on the same points ("Same As")."""
    if a is None or b is None:
        return None
    if type(a) is not Interval and type(b) is not Interval:
        order = compare_points(a, b, precision)
        return None if order is None else order == 0
    starts_same = same(_first(a), _first(b), precision)
    return False if starts_same is False else both(starts_same, same(_last(a), _last(b), precision))


def same_or_before(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first ends on or before the start of the second ("Same Or Before", "On Or Before")."""
    if a is None or b is None:
        return None
    if type(a) is not Interval and type(b) is not Interval:
        order = compare_points(a, b, precision)
        return None if order is None else order <= 0
    return less_or_equal(_last(a), _first(b), precision)


def same_or_after(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first starts on or after the end of the second ("Same Or After", "On Or After")."""
    if a is None or b is None:
        return None
    if type(a) is not Interval and type(b) is not Interval:
        order = compare_points(a, b, precision)
        return None if order is None else order >= 0
    return less_or_equal(_last(b), _first(a), precision)


def before(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first ends before the second starts ("Before")."""
    if a is None or b is None:
        return None
    if type(a) is not Interval and type(b) is not Interval:
        order = compare_points(a, b, precision)
        return None if order is None else order < 0
    return less(_last(a), _first(b), precision)


def after(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first starts after the second ends ("After")."""
    if a is None or b is None:
        return None
    if type(a) is not Interval and type(b) is not Interval:
        order = compare_points(a, b, precision)
        return None if order is None else order > 0
    return less(_last(b), _first(a), precision)


def overlaps(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether the intervals have a point in common ("Overlaps")."""
    if a is None or b is None:
        return None
    if type(a) is Interval and type(b) is Interval:
        a_low, a_high, b_low, b_high = a.low, a.high, b.low, b.high
        kind = type(a_low)
        if (
            (kind is DateTime or kind is Date)
            and type(a_high) is kind
            and type(b_low) is kind
            and type(b_high) is kind
            and a.low_closed
            and a.high_closed
            and b.low_closed
            and b.high_closed
        ):
            if precision is None:
                if exact(a_low.precision, a_high.precision, b_low.precision, b_high.precision):
                    return bool(a_low.lo <= b_high.lo and b_low.lo <= a_high.lo)
            elif (
                precision < HOUR
                and a_low.precision >= precision
                and a_high.precision >= precision
                and b_low.precision >= precision
                and b_high.precision >= precision
            ):
                shift = SHIFT[precision]
                return bool(
                    a_low.local >> shift <= b_high.local >> shift
                    and b_low.local >> shift <= a_high.local >> shift
                )
    starts_in_time = less_or_equal(_first(a), _last(b), precision)
    if starts_in_time is False:
        return False
    return both(starts_in_time, less_or_equal(_first(b), _last(a), precision))


def overlaps_before(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first overlaps the second and starts before it ("Overlaps")."""
    if a is None or b is None:
        return None
    starts_before = less(_first(a), _first(b), precision)
    return False if starts_before is False else both(starts_before, overlaps(a, b, precision))


def overlaps_after(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first overlaps the second and ends after it ("Overlaps")."""
    if a is None or b is None:
        return None
    ends_after = less(_last(b), _last(a), precision)
    return False if ends_after is False else both(ends_after, overlaps(a, b, precision))


def meets(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether one interval ends immediately before the other starts ("Meets")."""
    earlier = meets_before(a, b, precision)
    if earlier:
        return True
    later = meets_before(b, a, precision)
    return True if later else False if earlier is False and later is False else None


def meets_before(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first ends immediately before the second starts ("Meets").

    The step from the one to the other is one ``precision`` where that is given, else the finest unit of the
    first's end.
    """
    if a is None or b is None:
        return None
    last, first = _last(a), _first(b)
    if type(last) is not Unknown and type(first) is not Unknown:
        following = _following(last, precision)
        if following is None:
            return False
        order = compare_points(following, first, precision)
        return None if order is None else order == 0
    if less(last, first, precision) is False:
        return False
    latest = last.hi if type(last) is Unknown else last
    following = None if latest is None else _following(latest, precision)
    return False if following is not None and less(following, first, precision) else None


def meets_after(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first starts immediately after the second ends ("Meets")."""
    return meets_before(b, a, precision)


def starts(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether both start on the same point and the first ends no later than the second ("Starts")."""
    if a is None or b is None:
        return None
    starts_same = same(_first(a), _first(b), precision)
    return False if starts_same is False else both(starts_same, less_or_equal(_last(a), _last(b), precision))


def ends(a: Any, b: Any, precision: int | None = None) -> bool | None:
    """Whether both end on the same point and the first starts no earlier than the second ("Ends")."""
    if a is None or b is None:
        return None
    ends_same = same(_last(a), _last(b), precision)
    return False if ends_same is False else both(ends_same, less_or_equal(_first(b), _first(a), precision))


def _first(value: Any) -> Any:
    return low_bound(value) if type(value) is Interval else value


def _last(value: Any) -> Any:
    return high_bound(value) if type(value) is Interval else value


def _following(point: Any, precision: int | None) -> Any:
    """The next point at a precision; None past the end of the type."""
    kind = type(point)
    if precision is not None and (kind is DateTime or kind is Date or kind is Time):
        point = truncated(point, precision)
    return neighbour(point, 1)
