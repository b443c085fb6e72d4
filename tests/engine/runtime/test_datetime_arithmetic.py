from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import datetimes
from measurewise.engine.runtime.datetime_arithmetic import UNIT_PRECISION
from measurewise.engine.runtime.datetimes import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.durations import duration_between
from measurewise.engine.runtime.temporal import MIN_TIME, Temporal, iso
from measurewise.engine.runtime.values import Quantity


def read(text: str) -> Temporal:
    value: Temporal | None
    if text[0] == "T":
        value = parse_time(text)
    elif "T" in text:
        value = parse_datetime(text, 0)
    else:
        value = parse_date(text)
    assert value is not None
    return value


def quantity(text: str) -> Quantity:
    number, unit = text.split()
    return Quantity(Decimal(number), unit)


@pytest.mark.parametrize(
    ("value", "added", "expected"),
    [
        ("2012-02-29", "1 year", "2013-02-28"),
        ("2012-02-29", "4 years", "2016-02-29"),
        ("2014-01-31", "1 month", "2014-02-28"),
        ("2014-12-31", "2 months", "2015-02-28"),
        ("2014-01-15", "-1 month", "2013-12-15"),
        ("2018-05-23", "52 weeks", "2019-05-22"),
        ("2016-06-10", "21 d", "2016-07-01"),
        ("2016-06-10T05", "19 hours", "2016-06-11T00"),
        ("2016-06-10T05:05", "55 min", "2016-06-10T06:00"),
        ("2016-06-10T05:05:05.005", "995 ms", "2016-06-10T05:05:06.000"),
        ("2016-06-10T05:05:05.005-05:00", "24 hours", "2016-06-11T05:05:05.005-05:00"),
        ("T23:30:00", "1 hour", "T00:30:00"),
        ("T00:30:00", "-1 hour", "T23:30:00"),
    ],
)
def test_addition_follows_the_calendar(value: str, added: str, expected: str) -> None:
    assert datetimes.add(read(value), quantity(added)) == read(expected)


@pytest.mark.parametrize(
    ("value", "added", "expected"),
    [
        ("2014T", "24 months", "2016"),
        ("2014T", "18 months", "2015"),
        ("2014T", "735 days", "2016"),
        ("2014T", "364 days", "2014"),
        ("2014-06", "-33 days", "2014-05"),
        ("2014-06", "29 days", "2014-06"),
        ("2005-05-10T", "25 hours", "2005-05-11"),
        ("2005-05-10T10", "119 minutes", "2005-05-10T11"),
        ("T10", "59 minutes", "10"),
    ],
)
def test_a_finer_quantity_is_cut_to_the_precision_of_the_value(value: str, added: str, expected: str) -> None:
    value = value if value != "2014T" else "2014"
    operand = parse_datetime(value.removesuffix("T"), 0) if "T" in value and value[0] != "T" else read(value)
    assert operand is not None
    moved = datetimes.add(operand, quantity(added))
    assert moved is not None
    assert iso(moved) == expected


def test_decimals_count_only_for_seconds_of_a_value_with_milliseconds() -> None:
    noon = read("2024-01-01T12:00:00.000")
    assert iso(datetimes.add(noon, quantity("1.5 s")) or MIN_TIME) == "2024-01-01T12:00:01.500"
    assert iso(datetimes.add(noon, quantity("1.9 hours")) or MIN_TIME) == "2024-01-01T13:00:00.000"
    assert iso(datetimes.subtract(noon, quantity("1.9 days")) or MIN_TIME) == "2023-12-31T12:00:00.000"
    second = read("2024-01-01T12:00:00")
    assert iso(datetimes.add(second, quantity("1.5 s")) or MIN_TIME) == "2024-01-01T12:00:01"


@pytest.mark.parametrize(
    ("value", "added"),
    [
        ("2005-10-10T10:00:00", "8000 years"),
        ("0001-01-01", "-1 day"),
        ("9999-12-31T23:59:59.999", "1 ms"),
        ("2024-01-01", "99999999999999999999 days"),
    ],
)
def test_leaving_the_calendar_is_an_error(value: str, added: str) -> None:
    with pytest.raises(EvaluationError, match="outside the years 1 to 9999"):
        datetimes.add(read(value), quantity(added))


@pytest.mark.parametrize(
    ("value", "added"),
    [("2024-01-01", "1 a"), ("2024-01-01", "1 mo"), ("2024-01-01", "1 mg"), ("T10:00", "1 day")],
)
def test_a_unit_that_is_no_calendar_duration_of_the_type_is_an_error(value: str, added: str) -> None:
    with pytest.raises(EvaluationError, match="cannot be moved by"):
        datetimes.add(read(value), quantity(added))


def test_null_operands_give_null() -> None:
    assert datetimes.add(None, quantity("1 day")) is None
    assert datetimes.subtract(read("2024-01-01"), None) is None
    assert datetimes.add(read("2024-01-01"), Quantity(None, "day")) is None


moments = st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(3000, 1, 1))
units = st.sampled_from(["years", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds"])
counts = st.integers(-5000, 5000)


@given(moments, st.sampled_from(["", "Z", "-05:00"]), units, counts)
def test_the_duration_to_a_sum_is_what_was_added(
    moment: datetime, offset: str, unit: str, count: int
) -> None:
    value = parse_datetime(moment.isoformat(timespec="milliseconds") + offset, 60)
    assert value is not None
    assume(unit != "years" or abs(count) < 900)
    later = datetimes.add(value, Quantity(Decimal(count), unit))
    assert duration_between(value, later, UNIT_PRECISION[unit]) == count


@given(moments, units.filter(lambda unit: unit not in ("years", "months")), counts)
def test_subtraction_undoes_the_addition_of_a_fixed_span(moment: datetime, unit: str, count: int) -> None:
    value = parse_datetime(moment.isoformat(timespec="milliseconds") + "+02:00", 0)
    amount = Quantity(Decimal(count), unit)
    back = datetimes.subtract(datetimes.add(value, amount), amount)
    assert value is not None
    assert back is not None
    assert back == value
    assert back.lo == value.lo, "its place in the evaluation offset is kept"


@given(moments, st.integers(-500, 500), st.integers(-500, 500))
def test_months_of_the_first_of_a_month_add_up(moment: datetime, a: int, b: int) -> None:
    day = parse_date(moment.strftime("%Y-%m-01"))
    one = datetimes.add(datetimes.add(day, Quantity(Decimal(a), "months")), Quantity(Decimal(b), "months"))
    assert one == datetimes.add(day, Quantity(Decimal(a + b), "months"))


@pytest.mark.parametrize(
    ("value", "following"),
    [
        ("2012", "2013"),
        ("2012-12", "2013-01"),
        ("2012-02-29", "2012-03-01"),
        ("2014-01-01T08", "2014-01-01T09"),
        ("2014-01-01T08:30:00", "2014-01-01T08:30:01"),
        ("2014-12-31T23:59:59.999-05:00", "2015-01-01T00:00:00.000-05:00"),
        ("T12", "T13"),
        ("T12:00:00.000", "T12:00:00.001"),
    ],
)
def test_neighbours_are_one_finest_unit_apart(value: str, following: str) -> None:
    assert datetimes.successor(read(value)) == read(following)
    assert datetimes.predecessor(read(following)) == read(value)


def test_the_ends_of_a_type_have_no_neighbour_outside() -> None:
    for last in ("9999-12-31", "9999-12-31T23:59:59.999", "9999", "T23:59:59.999", "T23"):
        with pytest.raises(EvaluationError, match="no successor"):
            datetimes.successor(read(last))
    for first in ("0001-01-01", "0001-01-01T00:00:00.000", "T00:00:00.000"):
        with pytest.raises(EvaluationError, match="no predecessor"):
            datetimes.predecessor(read(first))
    assert datetimes.successor(None) is None
