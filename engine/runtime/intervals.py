"""Interval operators: selecting, membership, inclusion and set operations (CQL 1.5.3 Reference).

The timing relations that intervals share with points are in :mod:`measurewise.engine.runtime.timing`,
``collapse`` and ``expand`` in :mod:`measurewise.engine.runtime.interval_lists`. Nulls, imprecise points and
unknown bounds give null where they leave an answer open. ``precision`` limits the comparison of Dates,
DateTimes and Times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.interval_bounds import (
    Unknown,
    both,
    high_bound,
    less,
    less_or_equal,
    low_bound,
    typed_like,
)
from measurewise.engine.runtime.interval_bounds import end as end
from measurewise.engine.runtime.interval_bounds import start as start
from measurewise.engine.runtime.points import compare_points, neighbour, type_name
from measurewise.engine.runtime.temporal import HOUR, SHIFT, Date, DateTime, Time, exact
from measurewise.engine.runtime.timing import meets, overlaps, same_as
from measurewise.engine.runtime.values import Interval, Quantity

Tests = tuple[Callable[[Any], bool | None], Callable[[Any], bool | None]]


def interval(
    low: Any, high: Any, low_closed: bool = True, high_closed: bool = True, point: str | None = None
) -> Interval:
    """The interval of two bounds (Author's Guide, "Interval Values").

    Raises ``EvaluationError`` when its last point is known to come before its first. ``point`` names the
    point type where both bounds may be null.
    """
    made = Interval(low, high, low_closed, high_closed, point)
    if low is None or high is None:
        return made
    if low_closed and high_closed:
        if type(low) is DateTime and type(high) is DateTime and low.hi <= high.lo:
            return made
        order = compare_points(low, high)
    else:
        first = low if low_closed else neighbour(low, 1)
        last = high if high_closed else neighbour(high, -1)
        order = 1 if first is None or last is None else compare_points(first, last)
    if order == 1:
        raise EvaluationError(
            f"{made!r} ends before it starts.", mend="Give a high bound that is not below the low one."
        )
    return made


# --- membership and inclusion -----------------------------------------------------------------------------


def in_(point: Any, interval: Interval | None, precision: int | None = None) -> bool | None:
    """Whether a point lies in an interval ("In", ``during``); false for a null interval.

    An open bound is compared exclusively, at the precision where one is given.
    """
    if point is None:
        return None
    if interval is None:
        return False
    low, high = interval.low, interval.high
    low_closed, high_closed = interval.low_closed, interval.high_closed
    kind = type(point)
    if low_closed and high_closed and (kind is DateTime or kind is Date):
        if type(low) is kind and type(high) is kind:
            own, low_precision, high_precision = point.precision, low.precision, high.precision
            if precision is None:
                if exact(own, low_precision, high_precision, own):
                    return bool(low.lo <= point.lo <= high.lo)
            elif (
                precision < HOUR
                and own >= precision
                and low_precision >= precision
                and high_precision >= precision
            ):
                shift = SHIFT[precision]
                return bool(low.local >> shift <= point.local >> shift <= high.local >> shift)
    above: bool | None
    if low is None:
        above = True if low_closed else less_or_equal(low_bound(interval), point, precision)
    elif low_closed:
        above = less_or_equal(low, point, precision)
    else:
        above = less(low, point, precision)
    if above is False:
        return False
    if high is None:
        return both(above, True if high_closed else less_or_equal(point, high_bound(interval), precision))
    if high_closed:
        return both(above, less_or_equal(point, high, precision))
    return both(above, less(point, high, precision))


def within_tests(interval: Interval | None, precision: int | None) -> Tests:
    """:func:`in_` and :func:`included_in` for one interval that very many points and intervals are held to.

    Both have a short path for what is known to the day at least, the others' is theirs.
    """

    def point_within(point: Any) -> bool | None:
        return in_(point, interval, precision)

    def interval_within(value: Any) -> bool | None:
        return included_in(value, interval, precision)

    if type(interval) is not Interval or precision is None or precision >= HOUR:
        return point_within, interval_within
    low, high = interval.low, interval.high
    if (
        type(low) is not DateTime
        or type(high) is not DateTime
        or min(low.precision, high.precision) < precision
        or not (interval.low_closed and interval.high_closed)
    ):
        return point_within, interval_within
    shift = SHIFT[precision]
    first, last = low.local >> shift, high.local >> shift

    def moment_within(point: Any) -> bool | None:
        if type(point) is DateTime and point.precision >= precision:
            return first <= point.local >> shift <= last
        return in_(point, interval, precision)

    def period_within(value: Any) -> bool | None:
        if type(value) is Interval and value.low_closed and value.high_closed:
            low, high = value.low, value.high
            if (
                type(low) is DateTime
                and type(high) is DateTime
                and low.precision >= precision
                and high.precision >= precision
            ):
                return first <= low.local >> shift and high.local >> shift <= last
        return included_in(value, interval, precision)

    return moment_within, period_within


def contains(interval: Interval | None, point: Any, precision: int | None = None) -> bool | None:
    """Whether an interval has a point ("Contains"); false for a null interval, null for a null point."""
    return False if interval is None and point is not None else in_(point, interval, precision)


def proper_in(point: Any, interval: Interval | None, precision: int | None = None) -> bool | None:
    """Whether a point lies strictly between the first and last of an interval (ELM "ProperIn")."""
    if point is None:
        return None
    if interval is None:
        return False
    interval = typed_like(interval, point)
    above = less(low_bound(interval), point, precision)
    return False if above is False else both(above, less(point, high_bound(interval), precision))


def proper_contains(interval: Interval | None, point: Any, precision: int | None = None) -> bool | None:
    """Whether a point lies strictly between the first and last of an interval (ELM "ProperContains")."""
    return proper_in(point, interval, precision)


def includes(a: Interval | None, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first interval has all of the second ("Includes"); of a point, :func:`contains`."""
    if b is not None and type(b) is not Interval:
        return in_(b, a, precision)
    return None if a is None or b is None else _includes(a, b, precision)


def included_in(a: Any, b: Interval | None, precision: int | None = None) -> bool | None:
    """Whether the second interval has all of the first ("Included In"); of a point, :func:`in_`."""
    if a is not None and type(a) is not Interval:
        return in_(a, b, precision)
    return None if a is None or b is None else _includes(b, a, precision)


def properly_includes(a: Interval | None, b: Any, precision: int | None = None) -> bool | None:
    """Whether the first interval has all of the second and more; of a point, :func:`proper_contains`."""
    if b is not None and type(b) is not Interval:
        return proper_in(b, a, precision)
    if a is None or b is None:
        return None
    within = _includes(a, b, precision)
    if within is False:
        return False
    alike = same_as(_like(a, b), _like(b, a), precision)
    return False if alike else both(within, None if alike is None else True)


def properly_included_in(a: Any, b: Interval | None, precision: int | None = None) -> bool | None:
    """Whether the second interval has all of the first and more; of a point, :func:`proper_in`."""
    if a is not None and type(a) is not Interval:
        return proper_in(a, b, precision)
    return properly_includes(b, a, precision)


def _includes(a: Interval, b: Interval, precision: int | None) -> bool | None:
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
                return bool(a_low.lo <= b_low.lo and b_high.lo <= a_high.lo)
        elif (
            precision < HOUR
            and a_low.precision >= precision
            and a_high.precision >= precision
            and b_low.precision >= precision
            and b_high.precision >= precision
        ):
            shift = SHIFT[precision]
            return bool(
                a_low.local >> shift <= b_low.local >> shift
                and b_high.local >> shift <= a_high.local >> shift
            )
    # Nothing lies before the least or after the greatest point, whatever the point type.
    starts_in = (
        True if a_low is None and a.low_closed else less_or_equal(low_bound(a), low_bound(b), precision)
    )
    if starts_in is False:
        return False
    ends_in = (
        True if a_high is None and a.high_closed else less_or_equal(high_bound(b), high_bound(a), precision)
    )
    return both(starts_in, ends_in)


def _like(a: Interval, b: Interval) -> Interval:
    return typed_like(a, b.high if b.low is None else b.low)


# --- set operations ---------------------------------------------------------------------------------------


def union(a: Interval | None, b: Interval | None) -> Interval | None:
    """The interval from the earlier start to the later end; null when they neither overlap nor meet."""
    if a is None or b is None or not (overlaps(a, b) or meets(a, b)):
        return None
    a_first, b_first, a_last, b_last = low_bound(a), low_bound(b), high_bound(a), high_bound(b)
    starts_first = less_or_equal(a_first, b_first)
    ends_last = less_or_equal(b_last, a_last)
    return _spanning(_chosen(a_first, b_first, starts_first), _chosen(a_last, b_last, ends_last), a, b)


def intersect(a: Interval | None, b: Interval | None) -> Interval | None:
    """The interval that two intervals have in common; null when they are not known to overlap.

    Its bound is open and null where it depends on one that is unknown.
    """
    if a is None or b is None or not overlaps(a, b):
        return None
    a_first, b_first, a_last, b_last = low_bound(a), low_bound(b), high_bound(a), high_bound(b)
    starts_last = less_or_equal(b_first, a_first)
    ends_first = less_or_equal(a_last, b_last)
    return _spanning(_chosen(a_first, b_first, starts_last), _chosen(a_last, b_last, ends_first), a, b)


def except_(a: Interval | None, b: Interval | None) -> Interval | None:
    """What the first interval has and the second has not ("Except").

    Null when nothing is left, when the second lies inside the first and would leave two intervals, and when
    unknown bounds leave it open.
    """
    if a is None or b is None:
        return None
    touching = overlaps(a, b)
    if touching is None:
        return None
    if not touching:
        return a
    a_first, b_first, a_last, b_last = low_bound(a), low_bound(b), high_bound(a), high_bound(b)
    begins_outside = less(a_first, b_first)
    ends_outside = less(b_last, a_last)
    if begins_outside and ends_outside is False and type(b_first) is not Unknown:
        return _spanning(a_first, neighbour(b_first, -1), a, b)
    if ends_outside and begins_outside is False and type(b_last) is not Unknown:
        return _spanning(neighbour(b_last, 1), a_last, a, b)
    return None


def _chosen(a: Any, b: Any, first: bool | None) -> Any:
    """The bound that is known to be wanted, or None for one that is not known."""
    wanted = None if first is None else a if first else b
    return None if type(wanted) is Unknown else wanted


def _spanning(low: Any, high: Any, a: Interval, b: Interval) -> Interval:
    """The interval of two bounds that are part of two intervals; an unknown bound is open and null."""
    if type(low) is Unknown:
        low = None
    if type(high) is Unknown:
        high = None
    point = a.point or b.point
    if point is None and low is None and high is None:
        point = next((name for name in map(type_name, (a.low, a.high, b.low, b.high)) if name), None)
    return Interval(low, high, low is not None, high is not None, point)


# --- size and equality ------------------------------------------------------------------------------------


def width(interval: Interval | None) -> Any:
    """The last point less the first ("Width"); null for null and unknown bounds or an overflow.

    Raises ``EvaluationError`` for intervals of Dates, DateTimes, Times and Strings, which have a duration.
    """
    return _extent(interval, "width", 0)


def size(interval: Interval | None) -> Any:
    """The width and one step of the point type, so that ``Interval[3, 7]`` has the size 5 ("Size")."""
    return _extent(interval, "size", 1)


def _extent(interval: Interval | None, name: str, steps: int) -> Any:
    if interval is None:
        return None
    first, last = start(interval), end(interval)
    kind = type(last if first is None else first)
    if kind is Date or kind is DateTime or kind is Time or kind is str:
        raise EvaluationError(
            f"An interval of {kind.__name__} has no {name}.",
            mend="Ask for the duration or difference between its start and end.",
        )
    if first is None or last is None:
        return None
    if kind is Quantity:
        from measurewise.engine.runtime import quantities

        apart: Any = quantities.subtract(last, first)
    else:
        apart = kind(last - first)
    if apart is None or steps == 0:
        return apart if apart is None or neighbour(apart, 0) is not None else None
    return neighbour(apart, steps)


def point_from(interval: Interval | None) -> Any:
    """The only point of a unit interval ("Point From"); ``EvaluationError`` for any other interval."""
    if interval is None:
        return None
    first, last = start(interval), end(interval)
    if first is not None and last is not None and compare_points(first, last) == 0:
        return first
    raise EvaluationError(
        f"{interval!r} has no single point.", mend="Use 'point from' only on an interval of one point."
    )


def equal(a: Interval | None, b: Interval | None) -> bool | None:
    """Whether two intervals start and end on equal points ("Equal"); null where that is unknown."""
    return same_as(a, b)


def equivalent(a: Interval | None, b: Interval | None) -> bool:
    """Whether two intervals start and end on equivalent points, null bounds included ("Equivalent")."""
    if a is None or b is None:
        return a is b
    from measurewise.engine.runtime import comparison

    return comparison.equivalent(start(a), start(b)) and comparison.equivalent(end(a), end(b))
