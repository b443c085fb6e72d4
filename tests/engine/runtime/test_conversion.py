"""Conversion between System types."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import conversion as c
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.values import Code, Concept, Long, Quantity, Ratio

MIN, MAX = -(2**31), 2**31 - 1


def q(value: str, unit: str = "1") -> Quantity:
    return Quantity(D(value), unit)


@pytest.mark.parametrize(
    ("convert", "operand", "expected"),
    [
        (c.to_boolean, "Y", True),
        (c.to_boolean, "0", False),
        (c.to_boolean, "falsetto", None),
        (c.to_boolean, 1, True),
        (c.to_boolean, Long(0), False),
        (c.to_boolean, D("1.0"), True),
        (c.to_boolean, 2, None),
        (c.to_boolean, q("1"), None),
        (c.to_integer, "-25", -25),
        (c.to_integer, "+25", 25),
        (c.to_integer, "one", None),
        (c.to_integer, "1.0", None),
        (c.to_integer, "", None),
        (c.to_integer, "١", None),
        (c.to_integer, "2147483648", None),
        (c.to_integer, "9" * 5000, None),
        (c.to_integer, True, 1),
        (c.to_integer, Long(MAX), MAX),
        (c.to_integer, Long(MAX + 1), None),
        (c.to_integer, D("1.0"), None),
        (c.to_long, "2147483648", Long(2147483648)),
        (c.to_long, "9223372036854775808", None),
        (c.to_long, 1, Long(1)),
        (c.to_long, False, Long(0)),
        (c.to_decimal, "+25.5", D("25.5")),
        (c.to_decimal, "-0.1", D("-0.1")),
        (c.to_decimal, "+-0.1", None),
        (c.to_decimal, ".1", None),
        (c.to_decimal, "1.", None),
        (c.to_decimal, "1e5", None),
        (c.to_decimal, "NaN", None),
        (c.to_decimal, "0.123456789", D("0.12345679")),
        (c.to_decimal, "9" * 37, None),
        (c.to_decimal, 5, D(5)),
        (c.to_decimal, True, D(1)),
        (c.to_string, True, "true"),
        (c.to_string, -5, "-5"),
        (c.to_string, Long(5), "5"),
        (c.to_string, D("5"), "5.0"),
        (c.to_string, D("-0.10"), "-0.10"),
        (c.to_string, D("1E-8"), "0.00000001"),
        (c.to_string, q("-0.1", "mg"), "-0.1 'mg'"),
        (c.to_string, q("4", "days"), "4 days"),
        (c.to_string, Ratio(q("1"), q("128")), "1 '1':128 '1'"),
        (c.to_string, parse_date("2012-01"), "2012-01"),
        (c.to_string, parse_datetime("2000-01-01T08:25:25.300-07:00", 0), "2000-01-01T08:25:25.300-07:00"),
        (c.to_string, parse_time("12:30"), "12:30"),
        (c.to_string, Code("a"), None),
        (c.to_quantity, "5.5 'cm'", q("5.5", "cm")),
        (c.to_quantity, "444 'cm", None),
        (c.to_quantity, "4 days", q("4", "days")),
        (c.to_quantity, "13", q("13")),
        (c.to_quantity, 13, q("13")),
        (c.to_quantity, D("0.1"), q("0.1")),
        (c.to_quantity, Ratio(q("1", "mg"), q("2", "mL")), q("0.5", "mg/mL")),
        (c.to_quantity, True, None),
        (c.to_ratio, "1.0 'mg':2.0 'mg'", Ratio(q("1.0", "mg"), q("2.0", "mg"))),
        (c.to_ratio, "1.0 'mg';2.0 'mg'", None),
        (c.to_ratio, 1, None),
        (c.to_date, "2014-01", parse_date("2014-01")),
        (c.to_date, "2014-01-01T12:30:00", parse_date("2014-01-01")),
        (c.to_date, "2014-13", None),
        (c.to_date, parse_datetime("2014-01-01T12", 0), parse_date("2014-01-01")),
        (c.to_date, 2014, None),
        (c.to_date_time, "2014-01-01", parse_datetime("2014-01-01", 0)),
        (c.to_date_time, "2014/01/01T12:05:05.955Z", None),
        (c.to_date_time, parse_date("2014-01-01"), parse_datetime("2014-01-01", 0)),
        (c.to_date_time, 2014, None),
        (c.to_time, "T14:30:00.0", parse_time("14:30:00.000")),
        (c.to_time, "14:30", parse_time("14:30")),
        (c.to_time, "T14:30:00.0+05:30", parse_time("14:30:00.000")),
        (c.to_time, "T14:30:00.0Z", parse_time("14:30:00.000")),
        (c.to_time, "T14:30:00.12345", parse_time("14:30:00.123")),
        (c.to_time, "T14-30-00.0", None),
        (c.to_time, "24:00", None),
        (c.to_time, 14, None),
        (c.to_concept, Code("a", "s", display="A"), Concept([Code("a", "s", display="A")], "A")),
        (c.to_concept, [Code("a"), Code("b")], Concept([Code("a"), Code("b")])),
        (c.to_concept, [1], None),
        (c.to_concept, "a", None),
    ],
)
def test_conversions(convert, operand, expected):
    answer = convert(operand)
    assert answer == expected
    assert type(answer) is type(expected)


TYPES = {
    "Boolean": (c.to_boolean, c.converts_to_boolean, True, "true"),
    "Integer": (c.to_integer, c.converts_to_integer, 5, "5"),
    "Long": (c.to_long, c.converts_to_long, Long(5), "5"),
    "Decimal": (c.to_decimal, c.converts_to_decimal, D("5.5"), "5.5"),
    "String": (c.to_string, c.converts_to_string, "a", "a"),
    "Quantity": (c.to_quantity, c.converts_to_quantity, q("5.5", "cm"), "5.5 'cm'"),
    "Ratio": (c.to_ratio, c.converts_to_ratio, Ratio(q("1"), q("2")), "1:2"),
    "Date": (c.to_date, c.converts_to_date, parse_date("2014-01-01"), "2014-01-01"),
    "DateTime": (
        c.to_date_time,
        c.converts_to_date_time,
        parse_datetime("2014-01-01T12", 0),
        "2014-01-01T12",
    ),
    "Time": (c.to_time, c.converts_to_time, parse_time("12:30"), "12:30"),
}


@pytest.mark.parametrize("name", TYPES)
def test_each_type_converts_from_itself_and_from_text_and_null_to_null(name):
    to, converts_to, value, text = TYPES[name]
    assert to(value) is value
    assert to(text) == value
    assert to(None) is None
    assert converts_to(text) is True
    assert converts_to([]) is False
    assert converts_to(None) is None
    assert c.convert(text, name) == value
    assert c.convert(None, name) is None
    assert c.can_convert(text, name) is True
    assert c.can_convert([], name) is False
    assert c.can_convert(None, name) is None
    if name != "String":
        assert to("neither") is None
        assert converts_to("neither") is False


def test_a_moment_without_an_offset_is_read_in_that_of_the_request():
    there = c.to_date_time("2014-01-01T12:00:00+01:00", zone=120)
    assert there == parse_datetime("2014-01-01T12:00:00+01:00", 120)
    assert there.lo == parse_datetime("2014-01-01T13:00:00", 120).lo
    assert c.convert("2014-01-01T12:00:00+01:00", "DateTime", zone=120).lo == there.lo


def test_concepts_convert_to_their_codes():
    assert c.convert(Concept([Code("a")]), "List<Code>") == [Code("a")]
    assert c.convert(Code("a"), "Concept") == Concept([Code("a")])


def test_a_type_that_nothing_converts_to_is_one_clear_error():
    with pytest.raises(EvaluationError, match="Nothing converts to Patient"):
        c.convert(1, "Patient")


units = st.sampled_from(["mg", "days", "1", "[lb_av]", "{eskimo_kisses}", "g/cm3"])
quantities = st.builds(Quantity, st.decimals(-1000, 1000, places=2), units)


@given(
    st.one_of(
        st.tuples(st.just(c.to_integer), st.integers(MIN, MAX)),
        st.tuples(st.just(c.to_long), st.integers(-(2**63), 2**63 - 1).map(Long)),
        st.tuples(st.just(c.to_decimal), st.decimals(-(10**12), 10**12, places=8)),
        st.tuples(st.just(c.to_boolean), st.booleans()),
        st.tuples(st.just(c.to_quantity), quantities),
        st.tuples(st.just(c.to_ratio), st.builds(Ratio, quantities, quantities)),
    )
)
def test_text_converts_back_to_the_same_value(pair):
    back, value = pair
    assert back(c.to_string(value)) == value
