from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.runtime.datetimes import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.temporal import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    iso,
    unpack,
)

moments = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 28))
minutes_east = st.integers(-14 * 60, 14 * 60)


@given(moments, minutes_east, minutes_east, st.sampled_from(["seconds", "milliseconds"]))
def test_a_moment_means_the_same_instant_in_any_evaluation_offset(
    moment: datetime, offset: int, zone: int, spec: str
) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    value = parse_datetime(aware.isoformat(timespec=spec), zone)
    assert value is not None
    there = aware.astimezone(timezone(timedelta(minutes=zone)))
    ms = there.microsecond // 1000 if spec == "milliseconds" else 0
    fields = (there.year, there.month, there.day, there.hour, there.minute, there.second, ms)
    assert unpack(value.lo) == fields
    assert value.lo == value.hi
    assert value.offset == offset
    assert iso(value) == aware.isoformat(timespec=spec)


@given(moments, st.integers(1, 12))
def test_digits_beyond_the_millisecond_are_cut(moment: datetime, digits: int) -> None:
    fraction = f"{moment.microsecond:06}".ljust(12, "7")[:digits]
    text = moment.isoformat(timespec="seconds")
    value = parse_datetime(f"{text}.{fraction}Z", 0)
    assert value is not None
    assert value.precision == MILLISECOND
    assert iso(value) == f"{text}.{fraction[:3].ljust(3, '0')}+00:00"


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        ("2014", YEAR),
        ("2014-01", MONTH),
        ("2014-01-02", DAY),
        ("2014-01-02T", DAY),
        ("2014-01-02T03", HOUR),
        ("2014-01-02T03Z", HOUR),
        ("2014-01-02T03:04", MINUTE),
        ("2014-01-02T03:04-07:00", MINUTE),
        ("2014-01-02T03:04:05", SECOND),
        ("2014-01-02T03:04:05.6", MILLISECOND),
        ("2016-02-29T00:00:00.000Z", MILLISECOND),
    ],
)
def test_the_text_gives_the_precision(text: str, precision: int) -> None:
    value = parse_datetime(text, 0)
    assert value is not None
    assert value.precision == precision


@pytest.mark.parametrize(
    "text",
    [
        "",
        "14",
        "0000-01-01",
        "0000-01-01T00:00:00Z",
        "2014-13",
        "2014-02-30",
        "2015-02-29T00:00:00Z",
        "2014-00-01",
        "2014-W01-1",
        "2014-W01-1T00:00:00Z",
        "20140102",
        "20140102T030405",
        "2014-01T10:00",
        "2014-01-02 03:04:05",
        "2014-01-02T24:00:00Z",
        "2014-01-02T03:60:00Z",
        "2014-01-02T03:04:60Z",
        "2014-01-02T03:04:05,678Z",
        "2014-01-02T03:04:05.Z",
        "2014-01-02T03:04:05.1a3Z",
        "2014-01-02T03:04:05.١٢٣Z",
        "2014-01-02T03:04:05.123x",
        "2014-01-02T03:04:05.-12Z",
        "2014-01-02T3:04:05.1Z",
        "2014-01-02T03-04-05Z",
        "2014-01-02T03:04:05+15:00",
        "2014-01-02T03:04:05+05:60",
        "2014-01-02T03:04:05+0500",
        "2014-01-02T03:04:05 ",
        "٢٠١٤-01-02",
        "2014-01-02T03:04:05Zjunk",
        "next tuesday",
    ],
)
def test_what_is_no_moment_is_null(text: str) -> None:
    assert parse_datetime(text, 0) is None
    assert parse_datetime(text, 0) is None, "and stays so from the memo"


def test_one_text_in_two_evaluation_offsets_is_two_values() -> None:
    utc = parse_datetime("2024-01-01T00:00:00Z", 0)
    east = parse_datetime("2024-01-01T00:00:00Z", 120)
    assert utc is not None
    assert east is not None
    assert unpack(utc.lo)[3] == 0
    assert unpack(east.lo)[3] == 2


def test_the_memo_is_emptied_before_it_grows_without_bound() -> None:
    from measurewise.engine.runtime import datetime_parsing

    start = datetime(2000, 1, 1, tzinfo=UTC)
    for second in range((1 << 16) + 10):
        parse_datetime((start + timedelta(seconds=second)).isoformat(), 77)
    assert len(datetime_parsing._DATETIMES[77]) <= 1 << 16


def test_dates_are_read_to_their_precision_and_times_in_them_ignored() -> None:
    assert [iso(value) if value else None for value in map(parse_date, DATES)] == list(DATES.values())


DATES = {
    "2014": "2014",
    "2014-02": "2014-02",
    "2014-02-28": "2014-02-28",
    "2014-02-28T12:30:00": "2014-02-28",
    "2014-02-29": None,
    "2014-2-28": None,
    "0000": None,
    "2014-02-28T99": None,
    "2014-W01-1": None,
}


def test_times_are_read_with_or_without_their_letter() -> None:
    assert [iso(value) if value else None for value in map(parse_time, TIMES)] == list(TIMES.values())


TIMES = {
    "T14": "14",
    "14:30": "14:30",
    "14:30:00": "14:30:00",
    "T14:30:00.0": "14:30:00.000",
    "14:30:00.123987": "14:30:00.123",
    "24:00": None,
    "14:60": None,
    "14:30:00Z": None,
    "1430": None,
}


def test_json_that_is_no_text_is_null() -> None:
    assert parse_datetime(None, 0) is None
    assert parse_datetime(2014, 0) is None  # type: ignore[arg-type]
    assert parse_date({"value": "2014"}) is None  # type: ignore[arg-type]
