from __future__ import annotations

from decimal import Decimal

import pytest

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import datetimes
from measurewise.engine.runtime.datetimes import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.temporal import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    Temporal,
    iso,
)


def text(value: Temporal | None) -> str | None:
    return None if value is None else iso(value)


def test_a_selector_is_as_precise_as_its_components() -> None:
    assert text(datetimes.date_time(2003, zone=0)) == "2003"
    assert text(datetimes.date_time(2003, 10, 29, 20, zone=0)) == "2003-10-29T20"
    seven_west = datetimes.date_time(2017, 3, 12, 1, 0, 0, 0, Decimal("-7.0"), zone=0)
    assert text(seven_west) == "2017-03-12T01:00:00.000-07:00"
    assert text(datetimes.date(2012, 1)) == "2012-01"
    assert text(datetimes.time(12, 30)) == "12:30"


def test_a_selector_of_nulls_is_null() -> None:
    assert datetimes.date_time(None, zone=0) is None
    assert datetimes.date(None, 1, 1) is None
    assert datetimes.time(None) is None


@pytest.mark.parametrize(
    "components",
    [(2012, None, 1), (2012, 13), (2012, 0), (0, 1, 1), (10000,), (2012, 1, 32), (2012, 1, 1, 24)],
)
def test_a_gap_or_a_component_out_of_range_is_an_error(components: tuple[int | None, ...]) -> None:
    with pytest.raises(EvaluationError):
        datetimes.date_time(*components, zone=0)


def test_an_offset_out_of_range_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"-14\.0 to 14\.0"):
        datetimes.date_time(2012, 1, 1, 0, 0, 0, 0, Decimal("14.5"), zone=0)


def test_a_day_the_month_has_not_is_carried_into_the_next() -> None:
    assert text(datetimes.date(2014, 2, 30)) == "2014-03-02"
    assert text(datetimes.date_time(2015, 4, 31, 10, zone=0)) == "2015-05-01T10"


def test_components_are_those_written() -> None:
    value = parse_datetime("2012-02-29T12:30:01.007-07:00", 0)
    components = [datetimes.date_time_component_from(value, p) for p in range(YEAR, MILLISECOND + 1)]
    assert components == [2012, 2, 29, 12, 30, 1, 7]
    assert datetimes.timezone_offset_from(value, zone=0) == Decimal("-7.00")
    assert datetimes.timezone_offset_from(parse_datetime("2012", 345), zone=345) == Decimal("5.75")


def test_a_component_that_is_not_specified_is_null() -> None:
    assert datetimes.date_time_component_from(parse_datetime("2012-01", 0), DAY) is None
    assert datetimes.date_time_component_from(parse_date("2012-01-01"), HOUR) is None
    assert datetimes.date_time_component_from(parse_time("12"), MINUTE) is None
    assert datetimes.date_time_component_from(parse_time("12"), MONTH) is None
    assert datetimes.date_time_component_from(None, SECOND) is None


def test_date_and_time_from_are_in_the_evaluation_offset() -> None:
    late = parse_datetime("2024-01-31T23:30:00-05:00", 0)
    assert text(datetimes.date_from(late)) == "2024-02-01"
    assert text(datetimes.time_from(late)) == "04:30:00"
    assert text(datetimes.date_from(parse_datetime("2024-01", 0))) == "2024-01"
    assert datetimes.time_from(parse_datetime("2024-01-31", 0)) is None


def test_today_and_the_time_of_day_come_from_the_evaluation() -> None:
    now = parse_datetime("2024-03-05T23:59:00.250-05:00", -300)
    assert now is not None
    assert datetimes.now(now) is now
    assert text(datetimes.today(now)) == "2024-03-05"
    assert text(datetimes.time_of_day(now)) == "23:59:00.250"


def test_a_date_becomes_a_moment_with_an_open_time() -> None:
    value = datetimes.to_date_time(parse_date("2024-03-05"))
    assert value is not None
    assert (iso(value), value.precision) == ("2024-03-05", DAY)


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (parse_date("2014"), 4),
        (parse_datetime("2014-01-05T10:30:00.000", 0), 17),
        (parse_time("10:30"), 4),
        (parse_time("10:30:00.000"), 9),
    ],
)
def test_precision_counts_digits(value: Temporal, digits: int) -> None:
    assert datetimes.precision(value) == digits


def test_boundaries_are_the_least_and_greatest_a_value_can_mean() -> None:
    assert text(datetimes.high_boundary(parse_date("2014"), 6)) == "2014-12"
    assert text(datetimes.low_boundary(parse_date("2014"), 6)) == "2014-01"
    assert text(datetimes.high_boundary(parse_date("2012-02"))) == "2012-02-29"
    hour = parse_datetime("2014-01-01T08", 0)
    assert text(datetimes.high_boundary(hour, 17)) == "2014-01-01T08:59:59.999"
    assert text(datetimes.low_boundary(hour)) == "2014-01-01T08:00:00.000"
    assert text(datetimes.high_boundary(hour, 8)) == "2014-01-01"
    assert text(datetimes.low_boundary(parse_time("10:30"), 9)) == "10:30:00.000"
    eastern = parse_datetime("2014-01-01T08:00-05:00", 0)
    assert text(datetimes.high_boundary(eastern, 17)) == "2014-01-01T08:00:59.999-05:00"


def test_a_boundary_beyond_the_type_is_null() -> None:
    assert datetimes.high_boundary(parse_date("2014"), 10) is None
    assert datetimes.high_boundary(parse_time("10"), 17) is None
    assert datetimes.low_boundary(parse_datetime("2014", 0), 5) is None
    assert datetimes.low_boundary(None, 8) is None
