from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.datetimes import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.interval_lists import collapse, expand
from measurewise.engine.runtime.intervals import end, start
from measurewise.engine.runtime.values import Interval, Quantity

small = st.builds(lambda a, b: Interval(min(a, b), max(a, b)), st.integers(0, 30), st.integers(0, 30))


def per(number: str, unit: str = "1") -> Quantity:
    return Quantity(Decimal(number), unit)


def days(low: str, high: str) -> Interval:
    return Interval(parse_date(low), parse_date(high))


def stay(low: str | None, high: str | None, low_closed: bool = True, high_closed: bool = True) -> Interval:
    return Interval(parse_datetime(low, 0), parse_datetime(high, 0), low_closed, high_closed, "DateTime")


def covered(intervals: list[Interval]) -> set[int]:
    return {point for i in intervals for point in range(start(i), end(i) + 1)}


@given(st.lists(small, max_size=6))
def test_collapsing_covers_the_same_points_with_gaps_between(source: list[Interval]) -> None:
    collapsed = collapse(list(source))
    assert collapsed is not None
    assert covered(collapsed) == covered(source)
    for one, other in itertools.pairwise(collapsed):
        assert end(one) + 1 < start(other)


@given(st.lists(small, max_size=6), st.randoms())
def test_collapsing_does_not_depend_on_the_order(source: list[Interval], random: Any) -> None:
    shuffled = list(source)
    random.shuffle(shuffled)
    assert collapse(shuffled) == collapse(source)


def test_collapsing_leaves_out_nulls_and_intervals_without_a_bound() -> None:
    assert collapse(None) is None
    assert collapse([]) == []
    assert collapse([None, Interval(1, 4), None]) == [Interval(1, 4)]
    assert collapse([Interval(None, None, False, False)]) == []


def test_days_that_follow_one_another_collapse() -> None:
    assert collapse([days("2012-01-16", "2012-05-25"), days("2012-01-01", "2012-01-15")]) == [
        days("2012-01-01", "2012-05-25")
    ]


def test_per_day_joins_an_evening_with_the_next_morning() -> None:
    evening = stay("2024-01-01T08:00:00.000", "2024-01-03T20:00:00.000")
    morning = stay("2024-01-04T07:00:00.000", "2024-01-05T08:00:00.000")
    joined = stay("2024-01-01T08:00:00.000", "2024-01-05T08:00:00.000")
    assert collapse([evening, morning]) == [evening, morning]
    assert collapse([morning, evening], per("1", "day")) == [joined]
    later = stay("2024-01-06T07:00:00.000", "2024-01-06T08:00:00.000")
    assert collapse([evening, later], per("1", "day")) == [evening, later]
    assert collapse([evening, later], per("1", "week")) == [
        stay("2024-01-01T08:00:00.000", "2024-01-06T08:00:00.000")
    ]


def test_mixed_precisions_collapse_at_the_coarsest() -> None:
    day = stay("2024-01-01", "2024-01-03")
    hour = stay("2024-01-04T10", "2024-01-04T12")
    assert collapse([day, hour]) == [stay("2024-01-01", "2024-01-04T12")]


def test_numbers_collapse_per_distance() -> None:
    apart = [
        Interval(Decimal(1), Decimal(2)),
        Interval(Decimal(3), Decimal(4)),
        Interval(Decimal(6), Decimal(7)),
    ]
    assert collapse(apart) == apart
    assert collapse(apart, per("1")) == [Interval(Decimal(1), Decimal(4)), Interval(Decimal(6), Decimal(7))]
    assert collapse(
        [Interval(per("1", "g"), per("2", "g")), Interval(per("2500", "mg"), per("3", "g"))], per("1", "g")
    ) == [Interval(per("1", "g"), per("3", "g"))]


def test_an_unknown_start_is_joined_where_the_overlap_is_certain() -> None:
    unknown = stay(None, "2024-01-03T00:00:00", False)
    assert collapse([stay("2024-01-02T00:00:00", "2024-01-05T00:00:00"), unknown]) == [
        stay(None, "2024-01-05T00:00:00", False)
    ]
    far = stay("2024-02-02T00:00:00", "2024-02-05T00:00:00")
    assert collapse([far, unknown]) == [unknown, far]


@given(small, st.integers(1, 5))
def test_expanding_cuts_an_interval_into_equal_parts(interval: Interval, size: int) -> None:
    parts = expand([interval], per(str(size)))
    assert parts is not None
    assert [part.low for part in parts] == expand(interval, per(str(size)))
    assert covered(parts) == set(range(interval.low, interval.low + size * len(parts)))
    assert all(end(part) - start(part) == size - 1 for part in parts)
    assert interval.high - size < interval.low + size * len(parts) - 1 <= interval.high


def test_expanding_dates_and_times() -> None:
    four_days = days("2018-01-01", "2018-01-04")
    assert expand([four_days], per("2", "days")) == [
        days("2018-01-01", "2018-01-02"),
        days("2018-01-03", "2018-01-04"),
    ]
    assert expand(four_days) == [parse_date(f"2018-01-0{n}") for n in range(1, 5)]
    morning = Interval(parse_time("10:00"), parse_time("12:30"), True, False)
    assert expand(morning, per("1", "hour")) == [parse_time(hour) for hour in ("10", "11", "12")]
    assert expand([Interval(parse_time("10"), parse_time("10"))], per("1", "minute")) == []
    late = Interval(parse_time("22"), parse_time("23"))
    assert expand(late, per("1", "hour")) == [parse_time("22"), parse_time("23")], "and not round midnight"


def test_months_do_not_drift_from_the_day_they_start_on() -> None:
    assert expand(days("2024-01-31", "2024-05-31"), per("1", "month")) == [
        parse_date(month) for month in ("2024-01", "2024-02", "2024-03", "2024-04", "2024-05")
    ]


def test_expanding_numbers() -> None:
    ten = [Decimal(10), Decimal(11), Decimal(12)]
    assert expand(Interval(Decimal("10.0"), Decimal("12.5"), True, False), per("1")) == ten
    tenths = expand(Interval(10, 10), per("0.1"))
    assert tenths == [Decimal(10) + Decimal(n) / 10 for n in range(10)]
    assert expand(Interval(per("1", "g"), per("3", "g")), per("1000", "mg")) == [
        per("1", "g"),
        per("2", "g"),
        per("3", "g"),
    ]


def test_expanding_nulls() -> None:
    assert expand(None) is None
    assert expand([]) == []
    assert expand([None, Interval(None, 5), Interval(1, None, True, False)]) == []
    assert expand([Interval(1, 1), None, Interval(1, 2)]) == [Interval(1, 1), Interval(2, 2)]


@pytest.mark.parametrize(
    ("interval", "size"),
    [
        (Interval(1, 5), per("0")),
        (Interval(1, 5), per("-1")),
        (days("2024-01-01", "2024-01-05"), per("1", "mg")),
        (Interval(parse_time("10"), parse_time("11")), per("1", "day")),
        (Interval(per("1", "g"), per("2", "g")), per("1", "m")),
    ],
)
def test_parts_that_do_not_fit_the_points_are_an_error(interval: Interval, size: Quantity) -> None:
    with pytest.raises(EvaluationError, match="have no parts"):
        expand(interval, size)


def test_an_expansion_without_end_is_refused() -> None:
    with pytest.raises(EvaluationError, match="more than 1,000,000 parts"):
        expand(Interval(1, 2**31 - 1))
