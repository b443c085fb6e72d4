"""Rows found by time are at least those of which a timing phrase is true."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime
from measurewise.engine.runtime.operators import OPERATORS
from measurewise.engine.runtime.time_index import (
    TimeIndex,
    rows_of_either,
    window_after,
    window_at,
    window_before,
    window_near,
)
from measurewise.engine.runtime.values import Interval

ZONE = -300

days = st.builds(
    "{:04}-{:02}-{:02}".format,
    st.sampled_from([2024, 2025, 2026]),
    st.sampled_from([1, 2, 12]),
    st.integers(1, 28),
)
edges = st.sampled_from(["2025-12-31", "2026-01-01", "2024-02-29", "2026-01-31", "2026-02-01"])
clocks = st.sampled_from(["", "T00:00:00", "T23:59:59.999", "T12:30", "T23:30:00", "T05"])
offsets = st.sampled_from(["Z", "-05:00", "+14:00", "-12:00", "+05:30"])
moments = st.builds(
    lambda day, clock, offset: parse_datetime(day + clock + (offset if clock else ""), ZONE),
    days | edges,
    clocks,
    offsets,
)
dates = (days | edges | st.sampled_from(["2026", "2025-12"])).map(parse_date)
partial = st.sampled_from(["2026", "2026-01", "2025-12"]).map(lambda text: parse_datetime(text, ZONE))
points = moments | dates | partial


def ordered(low: Any, high: Any, low_closed: bool, high_closed: bool) -> Interval:
    if low is not None and high is not None and low.lo > high.lo:
        low, high = high, low
    return Interval(low, high, low_closed, high_closed, "DateTime")


closing = st.sampled_from([True, True, False])
spans = st.builds(ordered, st.none() | moments, st.none() | moments, closing, closing)
times = st.none() | points | spans

WINDOWS = {
    "SameAs": window_at,
    "Overlaps": window_at,
    "OverlapsBefore": window_at,
    "OverlapsAfter": window_at,
    "Includes": window_at,
    "IncludedIn": window_at,
    "ProperIncludedIn": window_at,
    "Starts": window_at,
    "Ends": window_at,
    "Meets": window_near,
    "MeetsBefore": window_near,
    "MeetsAfter": window_near,
    "Before": window_before,
    "SameOrBefore": window_before,
    "After": window_after,
    "SameOrAfter": window_after,
}
UNITS = [None, 0, 1, 2, 3, 4, 5, 6]


def is_true(kind: str, a: Any, b: Any, precision: int | None) -> bool:
    if type(b) is not Interval and (kind in ("IncludedIn", "ProperIncludedIn") or type(a) is not Interval):
        if kind not in ("SameAs", "Before", "SameOrBefore", "After", "SameOrAfter"):
            return False
    if type(a) is not Interval and kind == "Includes":
        return False
    return OPERATORS[kind](a, b, precision) is True


@pytest.mark.parametrize("kind", list(WINDOWS))
@settings(max_examples=120, deadline=None)
@given(rows=st.lists(times, min_size=5, max_size=14), asked=times, precision=st.sampled_from(UNITS))
def test_no_row_of_which_the_phrase_is_true_is_missed(kind, rows, asked, precision):
    index = TimeIndex(range(len(rows)), rows.__getitem__)
    found = list(index.within(WINDOWS[kind](asked, precision)))
    assert found == sorted(found)
    assert {at for at, row in enumerate(rows) if is_true(kind, row, asked, precision)} <= set(found)
    assert sorted(index.some_within(WINDOWS[kind](asked, precision))) == found
    if WINDOWS[kind] is window_at:
        assert list(index.around(asked, precision)) == sorted(index.some_around(asked, precision)) == found


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(moments, min_size=5, max_size=14), low=moments, high=moments)
def test_two_windows_give_the_rows_that_meet_both(rows, low, high):
    index = TimeIndex(range(len(rows)), rows.__getitem__)
    windows = window_after(low), window_before(high)
    after, before = (set(index.within(window)) for window in windows)
    assert set(index.within(*windows)) == after & before


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(spans, min_size=5, max_size=14), one=points, other=points)
def test_the_rows_of_either_way_are_those_of_both_in_their_order(rows, one, other):
    starts = TimeIndex(range(len(rows)), lambda at: rows[at].low)
    ends = TimeIndex(range(len(rows)), lambda at: rows[at].high)
    found = rows_of_either((starts, (window_at(one),)), (ends, (window_at(other),)))
    assert list(found) == sorted({*starts.within(window_at(one)), *ends.within(window_at(other))})


def test_rows_far_away_are_not_looked_at_though_a_long_one_lies_between():
    day = [parse_datetime(f"2026-01-{n:02}T12:00:00Z", 0) for n in range(1, 29)]
    rows = [Interval(d, d, True, True, "DateTime") for d in day]
    rows.append(Interval(parse_datetime("2020-01-01T00:00:00Z", 0), day[-1], True, True, "DateTime"))
    index = TimeIndex(rows, lambda row: row)
    assert list(index.around(day[9])) == [rows[9], rows[-1]]
    assert list(index.around(day[9], 2)) == [rows[9], rows[-1]]


def test_a_few_rows_are_given_without_asking_their_time():
    def never(row: Any) -> Any:
        raise AssertionError("asked")

    assert list(TimeIndex([1, 2], never).around(parse_datetime("2026", 0))) == [1, 2]


def test_a_null_is_near_nothing_and_nothing_is_near_it():
    rows = [None, *(parse_datetime(f"2026-01-0{n}", 0) for n in range(1, 7))]
    index = TimeIndex(rows, lambda row: row)
    assert list(index.around(None)) == []
    assert None not in index.within(window_before(parse_datetime("2027", 0)))


def test_many_rows_are_given_one_by_one_and_none_is_left_out():
    rows = [parse_datetime(f"2026-01-01T12:{n:02}:00Z", 0) for n in range(60)]
    index = TimeIndex(rows, lambda row: row)
    assert sorted(row.lo for row in index.some_around(rows[0], 2)) == [row.lo for row in rows]
    assert list(index.some_around(parse_datetime("2026-01-02T00:00:00Z", 0), 2)) == []
