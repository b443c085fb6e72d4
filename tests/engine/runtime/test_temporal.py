from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.runtime import temporal
from measurewise.engine.runtime.datetimes import parse_datetime
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
    compare,
    compare_to,
    days_in_month,
    from_ms,
    iso,
    local_hi,
    pack,
    to_ms,
    truncated,
    unpack,
)

moments = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 28))


def packed_of(moment: datetime) -> int:
    return pack(
        moment.year,
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
        moment.microsecond // 1000,
    )


near = st.datetimes(min_value=datetime(2011, 12, 30), max_value=datetime(2012, 3, 2))
offsets = st.sampled_from([None, 0, -300, 60, 330, -210])


@st.composite
def imprecise(draw: st.DrawFn) -> DateTime:
    precision = draw(st.integers(YEAR, MILLISECOND))
    # A value without a time is not normalised, so an offset says nothing about it.
    offset = draw(offsets) if precision >= HOUR else None
    return DateTime(packed_of(draw(near)), precision, offset, 0)


def completions(value: DateTime) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every edge moment the value can mean, as components in its own offset and in the evaluation's."""
    year, month, day, hour, minute, second, ms = unpack(value.local)
    p = value.precision
    months = [month] if p >= MONTH else [1, 2, 7, 12]
    clock = product(
        [hour] if p >= HOUR else [0, 11, 23],
        [minute] if p >= MINUTE else [0, 29, 30, 59],
        [second] if p >= SECOND else [0, 59],
        [ms] if p >= MILLISECOND else [0] if p == SECOND else [0, 999],
    )
    times = list(clock)
    found = []
    for m in months:
        for d in [day] if p >= DAY else [1, 2, 15, days_in_month(year, m)]:
            for h, mi, s, f in times:
                own = datetime(year, m, d, h, mi, s, f * 1000)
                there = own - timedelta(minutes=value.offset or 0)
                found.append((unpack(packed_of(own)), unpack(packed_of(there))))
    return found


@given(moments)
def test_packing_keeps_every_component(moment: datetime) -> None:
    packed = packed_of(moment)
    assert unpack(packed)[:3] == (moment.year, moment.month, moment.day)
    assert pack(*unpack(packed)) == packed
    assert from_ms(to_ms(packed)) == packed


@given(moments, moments)
def test_packed_moments_order_and_count_as_the_calendar_does(a: datetime, b: datetime) -> None:
    x, y = packed_of(a), packed_of(b)
    floor_a = a.replace(microsecond=a.microsecond // 1000 * 1000)
    floor_b = b.replace(microsecond=b.microsecond // 1000 * 1000)
    assert (x < y) == (floor_a < floor_b)
    assert to_ms(y) - to_ms(x) == (floor_b - floor_a) // timedelta(milliseconds=1)


@given(imprecise(), imprecise())
def test_comparison_is_known_exactly_when_all_completions_agree(a: DateTime, b: DateTime) -> None:
    signs = {
        (x > y) - (x < y)
        for x, y in product({there for _, there in completions(a)}, {there for _, there in completions(b)})
    }
    # Two values that leave the same open count as equal: 2014 = 2014.
    alike = a.precision == b.precision and a.lo == b.lo
    assert compare(a, b) == (0 if alike else signs.pop() if len(signs) == 1 else None)


@given(imprecise(), imprecise(), st.integers(YEAR, MINUTE))
def test_comparison_to_a_precision_looks_no_further(a: DateTime, b: DateTime, precision: int) -> None:
    view = 1 if precision >= HOUR and min(a.precision, b.precision) >= HOUR else 0
    signs = {
        (x > y) - (x < y)
        for x, y in product(
            {completion[view][: precision + 1] for completion in completions(a)},
            {completion[view][: precision + 1] for completion in completions(b)},
        )
    }
    assert compare_to(a, b, precision) == (signs.pop() if len(signs) == 1 else None)


def test_seconds_and_milliseconds_are_one_precision() -> None:
    whole = DateTime(pack(2024, 11, 15, 12, 30), SECOND)
    assert compare(whole, DateTime(pack(2024, 11, 15, 12, 30), MILLISECOND)) == 0
    assert compare(whole, DateTime(pack(2024, 11, 15, 12, 30, 0, 500), MILLISECOND)) == -1
    assert compare(whole, DateTime(pack(2024, 11, 15, 12, 30), MINUTE)) is None


def test_a_comparison_to_the_millisecond_wants_milliseconds() -> None:
    whole = Time(pack(0, 0, 0, 12), SECOND)
    assert compare_to(whole, Time(pack(0, 0, 0, 12)), MILLISECOND) is None
    assert compare_to(whole, Time(pack(0, 0, 0, 13)), MILLISECOND) == -1


def test_days_compare_as_written_and_hours_in_the_evaluation_offset() -> None:
    late = parse_datetime("2024-01-31T23:30:00-05:00", 0)
    early = parse_datetime("2024-02-01T04:30:00Z", 0)
    assert late is not None
    assert early is not None
    assert compare(late, early) == 0
    assert compare_to(late, early, DAY) == -1
    assert compare_to(late, early, HOUR) == 0


@given(imprecise())
def test_bounds_hold_every_completion(value: DateTime) -> None:
    seen = completions(value)
    assert unpack(value.lo) == min(there for _, there in seen)
    assert unpack(value.hi) == max(there for _, there in seen)
    assert unpack(local_hi(value)) == max(own for own, _ in seen)


@given(imprecise(), st.integers(YEAR, MILLISECOND))
def test_truncating_cuts_the_text(value: DateTime, precision: int) -> None:
    cut = truncated(value, precision)
    assert cut.precision == min(value.precision, precision)
    without_offset = iso(value) if value.offset is None else iso(value)[:-6]
    assert without_offset.startswith(
        iso(cut) if cut.precision < HOUR or value.offset is None else iso(cut)[:-6]
    )
    assert type(cut) is DateTime
    assert cut.offset == value.offset


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Date(pack(2014), YEAR), "2014"),
        (Date(pack(2014, 2), MONTH), "2014-02"),
        (Date(pack(2014, 2, 3)), "2014-02-03"),
        (DateTime(pack(2014, 2, 3, 4), HOUR, -330), "2014-02-03T04-05:30"),
        (DateTime(pack(2014, 2, 3), DAY, -330), "2014-02-03"),
        (Time(pack(0, 0, 0, 4, 5), MINUTE), "04:05"),
        (temporal.MAX_DATETIME, "9999-12-31T23:59:59.999+00:00"),
    ],
)
def test_values_are_written_to_their_precision(value: temporal.Temporal, text: str) -> None:
    assert iso(value) == text
