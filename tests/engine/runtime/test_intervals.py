from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import intervals, timing
from measurewise.engine.runtime.datetimes import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.points import MAX_INTEGER
from measurewise.engine.runtime.temporal import (
    DAY,
    HOUR,
    MAX_DATETIME,
    MILLISECOND,
    MONTH,
    SECOND,
    YEAR,
    compare,
)
from measurewise.engine.runtime.values import Interval, Long, Quantity

WORLD = range(-1, 9)


def points(interval: Interval) -> frozenset[int]:
    """The points of a small integer interval, by definition and not by the code under test."""
    return frozenset(
        point
        for point in WORLD
        if (point > interval.low or (interval.low_closed and point == interval.low))
        and (point < interval.high or (interval.high_closed and point == interval.high))
    )


small = (
    st.builds(Interval, st.integers(0, 7), st.integers(0, 7), st.booleans(), st.booleans())
    .filter(lambda interval: interval.low <= interval.high)
    .filter(points)
)


# --- integers against sets --------------------------------------------------------------------------------


@given(small, small)
def test_relations_of_integer_intervals_are_those_of_their_sets(a: Interval, b: Interval) -> None:
    x, y = points(a), points(b)
    assert intervals.start(a) == min(x)
    assert intervals.end(a) == max(x)
    assert intervals.includes(a, b) == (x >= y)
    assert intervals.included_in(a, b) == (x <= y)
    assert intervals.properly_includes(a, b) == (x > y)
    assert intervals.properly_included_in(a, b) == (x < y)
    assert intervals.equal(a, b) == (x == y)
    assert intervals.equivalent(a, b) == (x == y)
    assert timing.same_as(a, b) == (x == y)
    assert timing.overlaps(a, b) == bool(x & y)
    assert timing.before(a, b) == (max(x) < min(y))
    assert timing.after(a, b) == (min(x) > max(y))
    assert timing.same_or_before(a, b) == (max(x) <= min(y))
    assert timing.same_or_after(a, b) == (min(x) >= max(y))
    assert timing.meets_before(a, b) == (max(x) + 1 == min(y))
    assert timing.meets_after(a, b) == (max(y) + 1 == min(x))
    assert timing.meets(a, b) == (max(x) + 1 == min(y) or max(y) + 1 == min(x))
    assert timing.overlaps_before(a, b) == (bool(x & y) and min(x) < min(y))
    assert timing.overlaps_after(a, b) == (bool(x & y) and max(x) > max(y))
    assert timing.starts(a, b) == (min(x) == min(y) and x <= y)
    assert timing.ends(a, b) == (max(x) == max(y) and x <= y)


@given(small, st.integers(0, 7))
def test_membership_is_that_of_the_set(interval: Interval, point: int) -> None:
    members = points(interval)
    assert intervals.in_(point, interval) == (point in members)
    assert intervals.contains(interval, point) == (point in members)
    assert intervals.includes(interval, point) == (point in members)
    assert intervals.included_in(point, interval) == (point in members)
    assert intervals.proper_in(point, interval) == (min(members) < point < max(members))
    assert intervals.proper_contains(interval, point) == (min(members) < point < max(members))
    assert timing.before(interval, point) == (max(members) < point)
    assert timing.after(point, interval) == (max(members) < point)


def is_run(numbers: frozenset[int]) -> bool:
    return len(numbers) == max(numbers) - min(numbers) + 1


@given(small, small)
def test_set_operations_are_those_of_the_sets_where_these_are_intervals(a: Interval, b: Interval) -> None:
    x, y = points(a), points(b)
    for operation, expected in (
        (intervals.union, x | y),
        (intervals.intersect, x & y),
        (intervals.except_, x - y),
    ):
        result = operation(a, b)
        if expected and is_run(expected):
            assert result is not None
            assert points(result) == expected
        else:
            assert result is None


@given(small)
def test_width_and_size_count_points(interval: Interval) -> None:
    members = points(interval)
    assert intervals.size(interval) == len(members)
    assert intervals.width(interval) == len(members) - 1


ALLEN = {
    "before": lambda a, b: timing.before(a, b) and not timing.meets_before(a, b),
    "meets": timing.meets_before,
    "overlaps": lambda a, b: timing.overlaps_before(a, b) and timing.overlaps_after(b, a),
    "starts": lambda a, b: timing.starts(a, b) and not intervals.equal(a, b),
    "during": lambda a, b: (
        timing.after(intervals.start(a), intervals.start(b))
        and timing.before(intervals.end(a), intervals.end(b))
    ),
    "finishes": lambda a, b: timing.ends(a, b) and not intervals.equal(a, b),
}


@given(small, small)
def test_exactly_one_of_allens_relations_holds(a: Interval, b: Interval) -> None:
    holding = [name for name, relation in ALLEN.items() if relation(a, b)]
    holding += [f"{name} inverted" for name, relation in ALLEN.items() if relation(b, a)]
    if intervals.equal(a, b):
        holding.append("equal")
    assert len(holding) == 1


# --- unknown bounds against every value they can have -------------------------------------------------------

maybe = st.one_of(st.none(), st.integers(1, 6))
open_ended = st.builds(Interval, maybe, maybe, st.booleans(), st.booleans(), st.just("Integer")).filter(
    lambda i: not (i.low is not None and i.high is not None and not points(i))
)
LEAST, GREATEST = -5, 12


def completed(interval: Interval) -> list[Interval]:
    """The intervals that an interval with unknown bounds can be; closed nulls become the world's ends."""
    lows = [interval.low]
    if interval.low is None:
        lows = [LEAST] if interval.low_closed else list(range(LEAST, GREATEST + 1))
    highs = [interval.high]
    if interval.high is None:
        highs = [GREATEST] if interval.high_closed else list(range(LEAST, GREATEST + 1))
    found = []
    for low, high in product(lows, highs):
        first = low if interval.low is None or interval.low_closed else low + 1
        last = high if interval.high is None or interval.high_closed else high - 1
        if first <= last:
            found.append(Interval(first, last))
    return found


@pytest.mark.parametrize(
    "relation",
    [
        timing.before,
        timing.after,
        timing.overlaps,
        timing.same_or_before,
        timing.same_or_after,
        intervals.includes,
        intervals.included_in,
    ],
)
@given(open_ended, open_ended)
def test_a_relation_of_unknown_bounds_is_never_contradicted(relation: Any, a: Interval, b: Interval) -> None:
    answer = relation(a, b)
    if answer is not None:
        assert {relation(x, y) for x, y in product(completed(a), completed(b))} == {answer}


# The ends of the small world are left out, since the Integers go on beyond them.
@given(open_ended, st.integers(LEAST + 1, GREATEST - 1))
def test_membership_with_unknown_bounds_is_known_exactly_when_all_agree(
    interval: Interval, point: int
) -> None:
    answers = {intervals.in_(point, each) for each in completed(interval)}
    assert intervals.in_(point, interval) == (answers.pop() if len(answers) == 1 else None)


# --- bounds -----------------------------------------------------------------------------------------------


def day(text: str) -> Any:
    return parse_date(text)


def moment(text: str) -> Any:
    return parse_datetime(text, 0)


def span(low: str | None, high: str | None, low_closed: bool = True, high_closed: bool = True) -> Interval:
    return Interval(
        moment(low) if low else None, moment(high) if high else None, low_closed, high_closed, "DateTime"
    )


def test_a_closed_null_bound_is_the_end_of_the_type_and_an_open_one_unknown() -> None:
    assert intervals.end(Interval(1, None)) == MAX_INTEGER
    assert intervals.start(Interval(None, Long(1))) == -(2**63)
    assert intervals.end(span("2012-01-01", None)) is MAX_DATETIME
    assert intervals.end(Interval(1, None, True, False)) is None
    assert intervals.start(Interval(None, None)) is None
    assert intervals.start(Interval(None, Quantity(Decimal(5), "mg"))).unit == "mg"
    assert intervals.start(None) is None


def test_an_open_bound_is_the_neighbour_of_its_value() -> None:
    assert intervals.start(Interval(1, 5, False)) == 2
    assert intervals.end(Interval(Decimal("1.0"), Decimal("5.0"), True, False)) == Decimal("4.99999999")
    assert intervals.end(span("2014-01-01", "2015-01-01", True, False)) == moment("2014-12-31")
    assert intervals.end(Interval(grams("1"), grams("2"), True, False)) == grams("1.99999999")


def test_an_interval_that_ends_before_it_starts_is_an_error() -> None:
    for low, high, low_closed, high_closed in (
        (5, 4, True, True),
        (5, 5, True, False),
        (5, 6, False, False),
        (MAX_INTEGER, MAX_INTEGER, False, True),
        (day("2024-01-02"), day("2024-01-01"), True, True),
    ):
        with pytest.raises(EvaluationError, match="ends before it starts"):
            intervals.interval(low, high, low_closed, high_closed)
    assert intervals.interval(5, 5) == Interval(5, 5)
    assert intervals.interval(day("2012-03"), day("2012")).high == day("2012"), "not known to be out of order"


def test_an_open_bound_past_the_end_of_the_type_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="open low bound"):
        intervals.start(Interval(MAX_INTEGER, None, False))


# --- nulls ------------------------------------------------------------------------------------------------


def test_null_intervals_and_points() -> None:
    one = Interval(1, 10)
    assert intervals.in_(5, None) is False
    assert intervals.in_(None, one) is None
    assert intervals.contains(None, 5) is False
    assert intervals.included_in(5, None) is False
    assert intervals.includes(one, None) is None
    assert intervals.included_in(None, one) is None
    assert intervals.properly_includes(None, one) is None
    for relation in (
        timing.before,
        timing.after,
        timing.overlaps,
        timing.meets,
        timing.same_as,
        timing.starts,
    ):
        assert relation(one, None) is None
        assert relation(None, one) is None
    assert intervals.union(one, None) is None
    assert intervals.intersect(None, one) is None
    assert intervals.except_(one, None) is None
    assert intervals.equal(one, None) is None
    assert intervals.equivalent(one, None) is False
    assert intervals.equivalent(None, None) is True


def test_an_unknown_bound_decides_what_it_can() -> None:
    since_five = Interval(5, None, True, False)
    assert intervals.in_(1, since_five) is False
    assert intervals.in_(7, since_five) is None
    assert intervals.in_(7, Interval(5, None)) is True
    assert timing.overlaps(Interval(1, 10), since_five) is True
    assert timing.overlaps(Interval(6, 10), since_five) is None
    assert timing.before(since_five, 4) is False
    assert timing.meets(Interval(None, 5, False), Interval(None, 15, False)) is None
    assert timing.meets(Interval(1, 3), since_five) is False
    assert intervals.equal(Interval(1, 10), Interval(None, None, False, False, "Integer")) is None
    assert intervals.equal(since_five, Interval(1, None, True, False)) is False
    assert intervals.equivalent(since_five, Interval(5, None, True, False)) is True


def test_nulls_without_a_point_type_are_unknown_to_overlap_but_include_all() -> None:
    anything = Interval(None, None)
    assert timing.overlaps(anything, Interval(1, 10)) is None
    assert timing.overlaps_before(anything, Interval(1, 10)) is None
    assert intervals.properly_included_in(Interval(1, 10), anything) is True
    assert intervals.properly_includes(Interval(None, None, True, True, "Integer"), Interval(1, 10)) is True
    assert intervals.except_(anything, anything) is None


def test_set_operations_leave_unknown_bounds_open() -> None:
    assert intervals.intersect(Interval(1, 10), Interval(5, None, True, False)) == Interval(
        5, None, True, False
    )
    assert intervals.union(Interval(None, 5, False), Interval(3, 8)) == Interval(None, 8, False)
    assert intervals.intersect(Interval(6, 10), Interval(5, None, True, False)) is None


# --- dates and times --------------------------------------------------------------------------------------

YEAR_2024 = span("2024-01-01T00:00:00.000Z", "2024-12-31T23:59:59.999Z")


def test_during_the_day_of_a_period_looks_at_days_only() -> None:
    stay = span("2023-12-31T23:00:00Z", "2024-01-02T10:00:00Z")
    assert timing.overlaps(stay, YEAR_2024, DAY) is True
    assert intervals.included_in(stay, YEAR_2024, DAY) is False
    assert intervals.in_(moment("2024-12-31T23:59:59.9999Z"), YEAR_2024, DAY) is True
    assert intervals.in_(moment("2024-12-31"), YEAR_2024, DAY) is True
    assert intervals.in_(moment("2024-12"), YEAR_2024, DAY) is None
    assert intervals.in_(moment("2024-12"), YEAR_2024, MONTH) is True
    assert intervals.in_(moment("2023"), YEAR_2024, DAY) is False
    assert intervals.in_(day("2024-12-31"), YEAR_2024, DAY) is True
    assert timing.overlaps_before(stay, YEAR_2024, DAY) is True
    assert timing.same_or_before(stay, YEAR_2024, YEAR) is True


def test_a_day_is_open_within_a_period_given_in_milliseconds() -> None:
    assert intervals.in_(moment("2024-06-01"), YEAR_2024) is True
    assert intervals.in_(moment("2024-12-31"), YEAR_2024) is None
    assert intervals.in_(moment("2025-01-01"), YEAR_2024) is False
    assert intervals.included_in(span("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"), YEAR_2024) is True


def test_an_open_bound_is_compared_exclusively_at_the_precision_asked() -> None:
    after_ten = span("2024-01-01T10:00:00", "2024-01-04T10:00:00", False)
    assert intervals.in_(moment("2024-01-01T15:00:00"), after_ten) is True
    assert intervals.in_(moment("2024-01-01T15:00:00"), after_ten, DAY) is False
    until_new_year = span("2024-01-01T00:00:00.000", "2025-01-01T00:00:00.000", True, False)
    assert intervals.in_(moment("2024-12-31"), until_new_year) is True


def test_imprecise_bounds_follow_the_points() -> None:
    assert timing.overlaps(span("2012-02-25", "2012-03-26"), span("2012-01-10", "2012-02")) is None
    assert timing.overlaps(span("2012", "2013-03"), span("2012-02", "2013-02")) is True
    assert timing.overlaps(span("2012-02", "2012-03"), span("2011-01-10", "2012")) is None
    assert timing.before(span("2011", "2011"), moment("2012-01")) is True
    assert timing.after(moment("2012-02-15"), span("2012-01", "2012-02")) is None


def test_intervals_meet_at_the_precision_of_their_bounds_or_the_one_asked() -> None:
    def hours(low: str, high: str) -> Interval:
        return Interval(parse_time(low), parse_time(high))

    assert timing.meets(hours("03", "04"), hours("05", "06")) is True
    assert timing.meets(hours("03:00", "04:00"), hours("05:00", "06:00")) is False
    noon_to_noon = span("2024-01-01T12:00:00", "2024-01-02T12:00:00")
    from_the_third = span("2024-01-03T08:00:00", "2024-01-04T08:00:00")
    assert timing.meets_before(noon_to_noon, from_the_third) is False
    assert timing.meets_before(noon_to_noon, from_the_third, DAY) is True
    assert timing.meets_after(from_the_third, noon_to_noon, DAY) is True


def test_points_compare_like_intervals_of_one_point() -> None:
    a, b = moment("2024-01-01T10:00:00"), moment("2024-01-01T11:00:00")
    assert timing.before(a, b) is True
    assert timing.before(a, b, DAY) is False
    assert timing.same_as(a, b, DAY) is True
    assert timing.same_as(a, moment("2024-01-01T10:00:00.000"), MILLISECOND) is None
    assert timing.same_as(a, moment("2024-01-01T10:00:00.000"), SECOND) is True
    assert timing.same_or_after(day("2024-01-01"), b, DAY) is True
    assert timing.same_or_after(day("2024-01-01"), b) is None
    assert timing.after(2, 1) is True
    assert timing.before(Decimal("1.5"), 2) is True


@given(st.data())
def test_fast_and_general_paths_agree_on_whole_days(data: st.DataObject) -> None:
    pick = st.integers(1, 9)
    closed = st.booleans()
    drawn = []
    for _ in range(2):
        low, high = sorted((data.draw(pick), data.draw(pick)))
        closing = (data.draw(closed), data.draw(closed))
        drawn.append((low, high, *closing))
    by_number = [Interval(*each) for each in drawn]
    if not all(map(points, by_number)):
        return
    by_day = [
        Interval(day(f"2024-01-0{i.low}"), day(f"2024-01-0{i.high}"), i.low_closed, i.high_closed)
        for i in by_number
    ]
    for relation in (timing.overlaps, timing.before, timing.meets, timing.starts, intervals.includes):
        assert relation(*by_number) == relation(*by_day)
        assert relation(*by_number) == relation(*by_day, DAY)


texts = st.sampled_from(
    [
        "2024",
        "2024-02",
        "2024-02-10",
        "2024-02-10T23",
        "2024-02-10T23:30",
        "2024-02-10T23:30:00",
        "2024-02-10T23:30:00.000-05:00",
        "2024-02-11T04:30:00.000Z",
        "2024-02-11T00:00:00.000",
        "2024-02-11",
        "2024-03",
    ]
)
precisions = st.sampled_from([None, YEAR, MONTH, DAY, HOUR, SECOND])


@given(texts, texts, texts, texts, precisions)
def test_interval_relations_are_the_comparisons_of_their_bounds(
    a_low: str, a_high: str, b_low: str, b_high: str, precision: int | None
) -> None:
    a, b = span(a_low, a_high), span(b_low, b_high)

    def on_or_before(x: Any, y: Any) -> bool | None:
        return timing.same_or_before(x, y, precision)

    def both(x: bool | None, y: bool | None) -> bool | None:
        return False if x is False or y is False else True if x and y else None

    assert timing.overlaps(a, b, precision) == both(on_or_before(a.low, b.high), on_or_before(b.low, a.high))
    assert intervals.includes(a, b, precision) == both(
        on_or_before(a.low, b.low), on_or_before(b.high, a.high)
    )
    assert intervals.in_(b.low, a, precision) == both(on_or_before(a.low, b.low), on_or_before(b.low, a.high))


# --- other point types ------------------------------------------------------------------------------------


def grams(number: str, unit: str = "g") -> Quantity:
    return Quantity(Decimal(number), unit)


def test_quantities_compare_across_units() -> None:
    one_to_ten = Interval(grams("1.0"), grams("10.0"))
    assert intervals.in_(grams("2000", "mg"), one_to_ten) is True
    assert intervals.in_(grams("2", "m"), one_to_ten) is None
    assert timing.meets(one_to_ten, Interval(grams("10.00000001"), grams("12"))) is True
    left = intervals.except_(one_to_ten, Interval(grams("5.0"), grams("10.0")))
    assert left == Interval(grams("1.0"), grams("4.99999999"))
    assert intervals.width(one_to_ten) == grams("9.0")


def test_dates_have_no_width() -> None:
    for interval in (span("2012-01-05", "2012-01-25"), Interval(parse_time("10"), parse_time("11"))):
        with pytest.raises(EvaluationError, match="has no width"):
            intervals.width(interval)
    assert intervals.width(Interval(0, None, True, False)) is None
    assert intervals.width(None) is None
    assert intervals.width(Interval(Decimal("4.0"), Decimal("15.0"))) == Decimal("11.0")
    assert intervals.width(Interval(None, 0)) is None, "more than an Integer holds"


def test_point_from_takes_a_unit_interval_only() -> None:
    assert intervals.point_from(Interval(4, 5, True, False)) == 4
    assert intervals.point_from(None) is None
    assert compare(intervals.point_from(span("2024-01-01", "2024-01-01")), moment("2024-01-01")) == 0
    for interval in (Interval(1, 4), Interval(None, 4, False)):
        with pytest.raises(EvaluationError, match="no single point"):
            intervals.point_from(interval)


def test_text_has_an_order_but_no_neighbours() -> None:
    letters = Interval("a", "f")
    assert intervals.in_("c", letters) is True
    assert timing.before(letters, "g") is True
    with pytest.raises(EvaluationError, match="no next or previous value"):
        intervals.start(Interval("a", "f", False))
