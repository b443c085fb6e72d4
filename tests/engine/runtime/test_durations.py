from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.runtime.clinical import calculate_age, calculate_age_at
from measurewise.engine.runtime.datetime_arithmetic import WEEK
from measurewise.engine.runtime.datetimes import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.durations import difference_between, duration_between
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
    days_in_month,
    pack,
)
from measurewise.engine.runtime.uncertainty import Uncertainty, bounds


def moment(text: str, zone: int = 0) -> DateTime:
    value = parse_datetime(text, zone)
    assert value is not None
    return value


def day(text: str) -> Date:
    value = parse_date(text)
    assert value is not None
    return value


@pytest.mark.parametrize(
    ("a", "b", "precision", "whole"),
    [
        ("2012-03-10T22:05:09", "2013-02-18T19:10:03", YEAR, 0),
        ("2012-03-10T22:05:09", "2013-03-10T22:05:09", YEAR, 1),
        ("2012-03-10T22:05:09", "2013-03-20T04:01:30", YEAR, 1),
        ("2012-02-29T10:18:56", "2014-02-28T19:02:34", YEAR, 2),
        ("2012-02-20T10:20:56", "2011-03-19T19:16:02", YEAR, 0),
        ("2013-05-15T10:19:55", "2012-05-10T12:20:25", YEAR, -1),
        ("2013-03-20T05:01:30", "2011-03-30T06:45:50", YEAR, -1),
        ("2015-11-05T05:50:45", "2013-03-29T11:01:05", YEAR, -2),
        ("2012-03-10T22:05:09", "2013-06-30T13:00:23", MONTH, 15),
        ("2012-03-10T22:05:09", "2013-01-09T07:19:33", MONTH, 9),
        ("2014-05-10T21:02:45", "2013-01-08T11:13:06", MONTH, -16),
        ("2012-06-11T12:16:17", "2011-08-21T05:48:02", MONTH, -9),
        ("2012-03-10T22:05:09", "2012-03-20T07:19:33", WEEK, 1),
        ("2013-05-26T23:06:11", "2013-05-12T20:25:30", WEEK, -2),
        ("2012-01-31T12:30:00", "2012-02-01T09:00:00", DAY, 0),
        ("2012-01-31T12:30:00", "2012-02-01T14:00:00", DAY, 1),
        ("2011-12-05T05:00:00", "2011-12-04T08:45:00", DAY, 0),
        ("2011-12-05T05:00:00", "2011-12-04T01:30:00", DAY, -1),
        ("2012-03-01T03:10:00", "2012-03-01T05:09:00", HOUR, 1),
        ("2013-10-10T12:30:00", "2013-10-10T08:40:00", HOUR, -3),
        ("2013-10-10T12:00:00", "2013-10-10T11:30:00", HOUR, 0),
        ("2012-02-29T23:10:00", "2012-03-01T00:20:00", MINUTE, 70),
        ("2012-12-30T00:20:00", "2012-12-29T22:00:00", MINUTE, -140),
    ],
)
def test_durations_are_whole_periods(a: str, b: str, precision: int, whole: int) -> None:
    """The worked examples of Appendix H."""
    assert duration_between(moment(a), moment(b), precision) == whole


@pytest.mark.parametrize(
    ("a", "b", "precision", "crossed"),
    [
        ("2012-12-31T03:10:00", "2013-01-01T10:10:00", YEAR, 1),
        ("2019-01-01T14:40:30", "2018-12-31T13:30:45", YEAR, -1),
        ("2013-05-30T12:15:15", "2013-01-15T13:01:45", MONTH, -4),
        ("2016-10-10T09:00:00", "2016-10-11T11:59:00", DAY, 1),
        ("2017-11-14T11:30:00", "2017-11-12T13:00:00", DAY, -2),
        ("2017-03-12T01:12:05.1-05:00", "2017-03-12T03:22:27.6-04:00", HOUR, 1),
        ("2017-11-05T01:30:00-04:00", "2017-11-05T01:15:00-05:00", MINUTE, 45),
        ("2017-03-12T00:00:00-05:00", "2017-03-13T00:00:00-04:00", DAY, 1),
        ("2011-06-29T15:45:59-05:00", "2011-06-29T13:30:12-04:00", HOUR, -3),
        ("2016-10-31T04:30:17-04:00", "2016-10-31T02:45:55-05:00", MINUTE, -45),
        ("2000-10-15T00:00:00", "2000-10-28T23:00:00", WEEK, 1),
        ("2012-03-17T23:59:59", "2012-03-18T00:00:00", WEEK, 1),
        ("2012-03-01T00:00:00.999", "2012-03-01T00:00:01.000", SECOND, 1),
    ],
)
def test_differences_are_boundaries_crossed(a: str, b: str, precision: int, crossed: int) -> None:
    """The worked examples of Appendix H; weeks begin on Sunday."""
    assert difference_between(moment(a), moment(b), precision) == crossed


def test_days_between_moments_of_two_offsets_count_real_time() -> None:
    winter, summer = moment("2017-03-12T00:00:00-07:00"), moment("2017-03-13T00:00:00-06:00")
    assert duration_between(winter, summer, DAY) == 0
    assert duration_between(winter, summer, HOUR) == 23


def test_months_between_moments_of_one_offset_are_counted_as_written() -> None:
    a, b = moment("2014-01-31T22:00:00-05:00"), moment("2014-03-31T22:00:00-05:00")
    assert duration_between(a, b, MONTH) == 2
    assert (
        duration_between(moment("2014-03-01T01:00:00+05:00"), moment("2014-04-01T01:00:00+05:00"), MONTH) == 1
    )


def test_times_of_day_have_durations() -> None:
    assert duration_between(parse_time("23:20:16.555"), parse_time("23:25:15.555"), MINUTE) == 4
    assert difference_between(parse_time("20"), parse_time("23:25:15.555"), HOUR) == 3
    assert duration_between(parse_time("12:00:00"), parse_time("11:00:00"), MINUTE) == -60
    assert duration_between(parse_time("06"), parse_time("07:00:00"), HOUR) == Uncertainty(0, 1)


@pytest.mark.parametrize(
    ("a", "b", "precision", "low", "high"),
    [
        ("2005", "2010", YEAR, 4, 5),
        ("2005", "2006-05", MONTH, 4, 16),
        ("2014-01-15", "2014-02", DAY, 16, 44),
        ("2015-02-10", "2015-03", DAY, 18, 49),
        ("2017-08-07T17:00", "2017-08-14", DAY, 6, 7),
        ("2005-05", "2010-04", YEAR, 4, 4),
    ],
)
def test_a_duration_of_open_moments_is_uncertain(a: str, b: str, precision: int, low: int, high: int) -> None:
    value = duration_between(moment(a), moment(b), precision)
    assert value is not None
    assert bounds(value) == (low, high)
    assert (type(value) is int) == (low == high)


def test_a_duration_of_open_dates_is_uncertain() -> None:
    assert duration_between(day("2014-01-15"), day("2014-02"), DAY) == Uncertainty(17, 44)
    assert duration_between(day("2012-01"), day("2012-02"), DAY) == Uncertainty(1, 59)
    assert difference_between(day("2012-01-02"), day("2012"), MONTH) == Uncertainty(0, 11)
    assert duration_between(day("2014-01-31"), day("2014-02-01"), MONTH) == 0


def completions(value: Date) -> list[Date]:
    year, month, d = value.local >> 36, value.local >> 32 & 15, value.local >> 27 & 31
    months = [month] if value.precision >= MONTH else range(1, 13)
    return [
        Date(pack(year, m, n))
        for m in months
        for n in ([d] if value.precision >= DAY else (1, 14, 28, days_in_month(year, m)))
    ]


near = st.dates(date(2011, 11, 1), date(2013, 3, 31))
dates = st.builds(
    lambda d, p: Date(pack(d.year, d.month, d.day), p), near, st.sampled_from([YEAR, MONTH, DAY, DAY])
)


@given(dates, dates, st.sampled_from([YEAR, MONTH, WEEK, DAY]), st.booleans())
def test_an_uncertainty_spans_just_what_the_completions_give(
    a: Date, b: Date, precision: int, whole: bool
) -> None:
    between = duration_between if whole else difference_between
    counts = []
    for x, y in product(completions(a), completions(b)):
        count = between(x, y, precision)
        assert isinstance(count, int)
        counts.append(count)
    value = between(a, b, precision)
    assert value is not None
    assert bounds(value) == (min(counts), max(counts))


moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))


@given(moments, moments)
def test_durations_agree_with_elapsed_time(a: datetime, b: datetime) -> None:
    a, b = (t.replace(microsecond=t.microsecond // 1000 * 1000) for t in (a, b))
    x, y = moment(a.isoformat(timespec="milliseconds")), moment(b.isoformat(timespec="milliseconds"))
    span = b - a
    for precision, unit in ((WEEK, timedelta(weeks=1)), (DAY, timedelta(days=1)), (HOUR, timedelta(hours=1))):
        whole = abs(span) // unit
        assert duration_between(x, y, precision) == (whole if span >= timedelta(0) else -whole)
        assert duration_between(y, x, precision) == -(whole if span >= timedelta(0) else -whole)


def test_a_count_beyond_an_integer_is_null() -> None:
    then, now = moment("1950-01-01T00:00:00"), moment("2024-01-01T00:00:00")
    assert duration_between(then, now, SECOND) is None
    assert difference_between(now, then, MILLISECOND) is None
    assert duration_between(then, now, MINUTE) == 38920320


def test_null_operands_give_null() -> None:
    assert duration_between(None, day("2014"), YEAR) is None
    assert difference_between(day("2014"), None, YEAR) is None


def test_a_date_beside_a_moment_has_an_open_time() -> None:
    assert duration_between(day("2024-01-01"), moment("2024-01-02T12:00:00"), DAY) == Uncertainty(0, 1)
    assert difference_between(day("2024-01-01"), moment("2024-01-02T12:00:00"), DAY) == 1
    assert duration_between(day("2024-01-01"), day("2024-01-02"), HOUR) == Uncertainty(0, 47)


def test_age_is_counted_to_the_evaluation() -> None:
    now = moment("2024-03-05T10:00:00Z")
    assert calculate_age(day("1980-03-05"), YEAR, now) == 44
    assert calculate_age(day("1980-03-06"), YEAR, now) == 43
    assert calculate_age(moment("1980-03-05T11:00:00Z"), YEAR, now) == 43
    assert calculate_age(day("1980"), YEAR, now) == Uncertainty(43, 44)
    assert calculate_age(day("2024-02-20"), WEEK, now) == 2
    assert calculate_age(None, YEAR, now) is None


def test_age_at_a_moment_looks_at_its_date() -> None:
    birth = day("1980-03-05")
    assert calculate_age_at(birth, moment("2024-03-05T00:00:00Z"), YEAR) == 44
    assert calculate_age_at(birth, moment("2024-03-04T23:59:59Z"), YEAR) == 43
    assert calculate_age_at(birth, None, YEAR) is None
    assert calculate_age_at(day("2012-02-29"), day("2013-02-28"), YEAR) == 1
