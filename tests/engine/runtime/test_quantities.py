"""Quantities and ratios: what CQL's reference says of comparison, arithmetic, conversion and text."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.runtime import quantities, ratios, ucum
from measurewise.engine.runtime.ucum.durations import CALENDAR_UNITS
from measurewise.engine.runtime.values import Quantity, Ratio

HUGE = 10**36 - 1
"""The greatest magnitude of a Decimal result."""


def q(text: str) -> Quantity:
    """``q("5 mg")``: a quantity from a value and a bare unit."""
    value, _, unit = text.partition(" ")
    return Quantity(Decimal(value), unit or "1")


def ratio(text: str) -> Ratio:
    numerator, denominator = text.split(" : ")
    return Ratio(q(numerator), q(denominator))


# --- comparison -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("1 cm", "0.01 m", 0),
        ("2.0 cm", "2.00 cm", 0),
        ("1 m", "10 cm", 1),
        ("0 cm", "-1 cm", 1),
        ("1 lb", "453.59237 g", 0),
        ("1 [lb_av]", "453.59238 g", -1),
        ("98.6 [degF]", "37 Cel", 0),
        ("38 Cel", "100 [degF]", 1),
        ("-40 Cel", "-40 [degF]", 0),
        ("1 [ft_i]", "12 [in_i]", 0),
        ("9 %", "0.09", 0),
        ("2.5 {INR}", "2", 1),
        ("140 mm[Hg]", "140 mmHg", 0),
        ("1 circ", "6.28318530 rad", 1),
        ("5 tablet", "6 tablet", -1),
        ("1 hour", "60 minutes", 0),
        ("1 week", "7 days", 0),
        ("1 day", "24 hours", 0),
        ("1 second", "1000 milliseconds", 0),
        ("1 days", "1 d", 0),
        ("1 weeks", "1 wk", 0),
        ("1 hours", "1 h", 0),
        ("1 minute", "1 min", 0),
        ("1 second", "1 s", 0),
        ("1 milliseconds", "1 ms", 0),
        ("1 year", "12 months", 0),
        ("1 year", "1 years", 0),
        ("2 years", "25 months", -1),
        ("1 year", "1 a", None),
        ("1 month", "1 mo", None),
        ("1 year", "365 days", None),
        ("1 month", "30 d", None),
        ("1 cm2", "1 cm", None),
        ("1 mg/dL", "1 mmol/L", None),
        ("1 [iU]", "1 [arb'U]", None),
        ("1 tablet", "1 capsule", None),
        ("1 mg", "1", None),
        ("7 [pH]", "7.4 [pH]", -1),
        ("7 [pH]", "0.0000001 mol/L", None),
    ],
)
def test_order_needs_one_dimension_and_never_rounds(left: str, right: str, order: int | None) -> None:
    a, b = q(left), q(right)
    assert quantities.compare(a, b) == order
    assert quantities.compare(b, a) == (None if order is None else -order)
    known = order is not None
    assert quantities.comparable(a, b) is known
    assert quantities.equal(a, b) is (order == 0 if known else None)
    assert quantities.less(a, b) is (order < 0 if known else None)
    assert quantities.less_or_equal(a, b) is (order <= 0 if known else None)
    assert quantities.greater(a, b) is (order > 0 if known else None)
    assert quantities.greater_or_equal(a, b) is (order >= 0 if known else None)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("1 cm", "0.01 m", True),
        ("100 cm", "1 m", True),
        ("1 year", "12 months", True),
        ("1 year", "365 days", True),
        ("1 month", "30 days", True),
        ("1 year", "1 a", True),
        ("1 years", "12 mo", True),
        ("1 month", "1 mo", True),
        ("1 year", "365 d", True),
        ("2 years", "24 months", True),
        ("2 years", "1 year", False),
        ("1 month", "1 year", False),
        ("3 months", "30 days", False),
        ("1 week", "7 d", True),
        ("1.50 g", "1.5 g", True),
        ("1.54 g", "1.5 g", True),
        ("1.56 g", "1.5 g", False),
        ("1.25 g", "1.3 g", True),
        ("-1.25 g", "-1.3 g", True),
        ("37 Cel", "98.6 [degF]", True),
        ("3.5 cm2", "3.5 cm", False),
        ("1 cm", "1 s", False),
        ("1 foo", "1 bar", False),
        ("1 foo", "1 foo", True),
        ("10 cm", "1 m", False),
    ],
)
def test_equivalence_is_never_null(left: str, right: str, expected: bool) -> None:
    assert quantities.equivalent(q(left), q(right)) is expected
    assert quantities.equivalent(q(right), q(left)) is expected


def test_null_is_equivalent_to_null_alone() -> None:
    assert quantities.equivalent(None, None) is True
    assert quantities.equivalent(None, q("1 mg")) is False
    assert quantities.equivalent(q("1 mg"), None) is False


BINARY = [
    quantities.compare,
    quantities.equal,
    quantities.less,
    quantities.less_or_equal,
    quantities.greater,
    quantities.greater_or_equal,
    quantities.comparable,
    quantities.add,
    quantities.subtract,
    quantities.multiply,
    quantities.divide,
    quantities.truncated_divide,
    quantities.modulo,
]


@pytest.mark.parametrize("operator", BINARY)
def test_a_null_operand_makes_the_result_null(operator) -> None:
    assert operator(None, q("1 mg")) is None
    assert operator(q("1 mg"), None) is None
    assert operator(None, None) is None


@pytest.mark.parametrize("operator", BINARY[:-7] + BINARY[-6:])
def test_a_quantity_without_value_counts_as_null(operator) -> None:
    assert operator(Quantity(None, "mg"), q("1 g")) is None
    assert operator(q("1 g"), Quantity(None, "mg")) is None


# --- arithmetic -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "left", "right", "expected"),
    [
        ("add", "1 ml", "2 ml", "3 ml"),
        ("add", "1 m", "1 cm", "101 cm"),
        ("add", "1 cm", "1 m", "101 cm"),
        ("add", "1 g", "1 mg", "1001 mg"),
        ("add", "-5.5 mg", "2 mg", "-3.5 mg"),
        ("add", "1 year", "6 months", "18 months"),
        ("add", "1 week", "1 day", "8 day"),
        ("add", "1 hour", "30 min", "90 min"),
        ("add", "1 days", "1 d", "2 days"),
        ("add", "5 cm", "2 cm2", None),
        ("add", "1 year", "1 day", None),
        ("add", "1 year", "1 a", None),
        ("add", "2", "5 mg", None),
        ("add", "37 Cel", "1 Cel", None),
        ("add", "37 Cel", "1 K", None),
        ("add", "1 foo", "2 foo", "3 foo"),
        ("add", f"{HUGE} g", f"{HUGE} g", None),
        ("add", "99999999999999999999.99999998 g", "0.00000001 g", "99999999999999999999.99999999 g"),
        ("subtract", "3.14 mg", "3.12 mg", "0.02 mg"),
        ("subtract", "1 L", "1 mL", "999 mL"),
        ("subtract", "10.0 g", "1.0 g", "9.0 g"),
        ("multiply", "12 cm", "3 cm", "36 cm2"),
        ("multiply", "3 cm", "12 cm2", "36 cm3"),
        ("multiply", "2", "3 days", "6 days"),
        ("multiply", "2 {tbl}/d", "10 d", "20 {tbl}"),
        ("multiply", "5 mg/d", "3 days", "15 mg"),
        ("multiply", "5 mg", "2 years", None),
        ("multiply", "2", "37 Cel", None),
        ("multiply", "2 foo", "3", "6 foo"),
        ("multiply", "2 foo", "3 m", None),
        ("multiply", "0.00001 g", "0.0001 g", "0.00000000 g2"),
        ("multiply", f"{HUGE} g", f"{HUGE} g", None),
        ("divide", "12 cm2", "3 cm", "4 cm"),
        ("divide", "1 g/cm3", "1 g/cm3", "1"),
        ("divide", "10.0 g", "5", "2.0 g"),
        ("divide", "-5.5 mg", "2.0 mg", "-2.75"),
        ("divide", "90 kg", "2.25 m2", "40 kg/m2"),
        ("divide", "1", "3 s", "0.33333333 /s"),
        ("divide", "30 mg", "6 days", "5 mg/d"),
        ("divide", "6 days", "2 day", "3"),
        ("divide", "3 years", "6 months", "6"),
        ("divide", "6 foo", "2 foo", "3"),
        ("divide", "3 mg", "1 year", None),
        ("divide", "1 mg", "0 mg", None),
        ("divide", "38 Cel", "2 Cel", None),
        ("truncated_divide", "10.1 cm", "-3.1 cm", "-3 cm"),
        ("truncated_divide", "10.0 g", "5.0 g", "2 g"),
        ("truncated_divide", "4.14 m", "2.06 m", "2 m"),
        ("truncated_divide", "1 m", "30 cm", "3 cm"),
        ("truncated_divide", "7 g", "2", "3 g"),
        ("truncated_divide", "7 m", "2 s", "3 m/s"),
        ("truncated_divide", "7 m", "0 m", None),
        ("modulo", "3.5 cm", "3 cm", "0.5 cm"),
        ("modulo", "10.0 g", "3.0 g", "1 g"),
        ("modulo", "-7 g", "3 g", "-1 g"),
        ("modulo", "1 m", "30 cm", "10 cm"),
        ("modulo", "10 days", "1 week", "3 days"),
        ("modulo", "7 g", "2", "1 g"),
        ("modulo", "7 g", "2 s", None),
        ("modulo", "10.0 g", "0.0 g", None),
    ],
)
def test_arithmetic(operator: str, left: str, right: str, expected: str | None) -> None:
    result = getattr(quantities, operator)(q(left), q(right))
    assert result == (None if expected is None else q(expected))


def test_the_value_of_one_unit_keeps_its_written_scale() -> None:
    assert str(quantities.add(q("1.10 mg"), q("2.20 mg")).value) == "3.30"


def test_sign_and_magnitude_leave_the_unit_alone() -> None:
    assert quantities.negate(q("1 cm")) == q("-1 cm")
    assert quantities.negate(q("0 cm")).value.is_signed() is False
    assert quantities.absolute(q("-5.5 mg")) == q("5.5 mg")
    assert quantities.negate(None) is None
    assert quantities.absolute(None) is None


# --- conversion -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "unit", "expected"),
    [
        ("5 mg", "g", "0.005 g"),
        ("1 lb", "g", "453.59237 g"),
        ("1 [in_i]", "cm", "2.54 cm"),
        ("98.6 [degF]", "Cel", "37 Cel"),
        ("90 minutes", "h", "1.5 h"),
        ("2 years", "months", "24 months"),
        ("2 years", "a", None),
        ("1 a", "years", None),
        ("1 month", "days", None),
        ("5 foo", "foo", "5 foo"),
        ("5 foo", "bar", None),
        ("5 mg", "mL", None),
    ],
)
def test_conversion(quantity: str, unit: str, expected: str | None) -> None:
    assert quantities.convert_quantity(q(quantity), unit) == (None if expected is None else q(expected))
    assert quantities.can_convert_quantity(q(quantity), unit) is (expected is not None)


def test_conversion_of_or_to_null_is_null() -> None:
    assert quantities.convert_quantity(None, "mg") is None
    assert quantities.convert_quantity(q("1 mg"), None) is None
    assert quantities.can_convert_quantity(q("1 mg"), None) is None


# --- text -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5.5 'cm'", "5.5 cm"),
        ("5.5'cm'", "5.5 cm"),
        ("-0.1 'mg'", "-0.1 mg"),
        ("+5 'mg'", "5 mg"),
        ("0005 'mg'", "5 mg"),
        ("5", "5"),
        ("5.0", "5.0"),
        ("4 days", "4 days"),
        ("1 year", "1 year"),
        ("4 'days'", "4 days"),
        ("3 'lb'", "3 lb"),
        ("3 '[arb'U]'", "3 [arb'U]"),
        ("3 '[arb\\'U]'", "3 [arb'U]"),
        ("1.123456789 'g'", "1.12345679 g"),
        ("444 'cm", None),
        ("444 cm", None),
        ("4 fortnights", None),
        ("'mg'", None),
        ("5.", None),
        (".5", None),
        ("+-5", None),
        ("5 'foo'", None),
        ("5 ''", None),
        ("5 'mg' 'mg'", None),
        ("1e3 'mg'", None),
        (f"1{HUGE} 'g'", None),
        ("", None),
    ],
)
def test_text_is_read_as_toquantity_says(text: str, expected: str | None) -> None:
    assert quantities.from_string(text) == (None if expected is None else q(expected))


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        ("125 cm", "125 'cm'"),
        ("-0.10 mg", "-0.10 'mg'"),
        ("4 days", "4 days"),
        ("5.0", "5.0 '1'"),
        ("1E+3 mg", "1000 'mg'"),
        ("3 [arb'U]", "3 '[arb\\'U]'"),
    ],
)
def test_text_is_written_so_that_it_reads_back(quantity: str, text: str) -> None:
    assert quantities.to_string(q(quantity)) == text
    assert quantities.from_string(text) == q(quantity)


def test_the_text_of_null_is_null() -> None:
    assert quantities.to_string(None) is None
    assert quantities.from_string(None) is None
    assert ratios.to_string(None) is None
    assert ratios.from_string(None) is None


# --- ratios -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "equal", "equivalent"),
    [
        ("1 : 8", "1 : 8", True, True),
        ("1 : 8", "2 : 16", False, True),
        ("1 : 100", "10 : 1000", False, True),
        ("1 cm : 2 cm", "1.1 cm : 2 cm", False, False),
        ("1 cm : 2 cm", "3 cm : 2 cm", False, False),
        ("1 g : 1 L", "1000 mg : 1000 mL", True, True),
        ("1 g : 1 L", "1 mg : 1 mL", False, True),
        ("5 mg : 10 mg", "1 : 2", None, True),
        ("1 : 1 year", "1 : 12 months", True, True),
        ("1 : 1 year", "1 : 365 days", None, True),
        ("1 mg : 1 mL", "1 mg : 1 s", None, False),
        ("2 mg : 1 mL", "1 mg : 1 s", False, False),
        ("1 : 0", "2 : 0", False, False),
        ("1 : 0", "1 : 0", True, True),
        ("0 : 0", "1 : 2", False, False),
        ("1 foo : 2 bar", "2 foo : 4 bar", False, True),
        ("37 Cel : 1", "98.6 [degF] : 1", True, True),
    ],
)
def test_ratios(left: str, right: str, equal: bool | None, equivalent: bool) -> None:
    a, b = ratio(left), ratio(right)
    assert ratios.equal(a, b) is equal
    assert ratios.equal(b, a) is equal
    assert ratios.equivalent(a, b) is equivalent
    assert ratios.equivalent(b, a) is equivalent


def test_null_ratios() -> None:
    assert ratios.equal(None, ratio("1 : 2")) is None
    assert ratios.equivalent(None, None) is True
    assert ratios.equivalent(ratio("1 : 2"), None) is False
    assert ratios.to_quantity(None) is None


def test_a_ratio_becomes_the_quantity_of_its_division() -> None:
    assert ratios.to_quantity(ratio("5 mg : 10 mL")) == q("0.5 mg/mL")
    assert ratios.to_quantity(ratio("5 mg : 0 mL")) is None


def test_ratios_as_text() -> None:
    assert ratios.from_string("1.0 'mg':2.0 'mg'") == ratio("1.0 mg : 2.0 mg")
    assert ratios.from_string("1:128") == ratio("1 : 128")
    assert ratios.from_string("1 '[arb'U]' : 2 days") == ratio("1 [arb'U] : 2 days")
    assert ratios.from_string("1.0 'mg';2.0 'mg'") is None
    assert ratios.from_string("1.0 'mg'") is None
    assert ratios.from_string("1 'foo':2") is None
    assert ratios.to_string(ratio("5 mg : 10 mL")) == "5 'mg':10 'mL'"


# --- laws -------------------------------------------------------------------------------------------------

AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=4)
LENGTHS = st.sampled_from(["m", "cm", "[in_i]", "[ft_i]", "km", "nm"])
ANY_UNIT = st.sampled_from(
    ["1", "%", "mg", "g", "[lb_av]", "cm", "[in_i]", "mg/dL", "days", "h", "year", "months", "a", "Cel"]
    + ["[degF]", "foo", "[iU]", "{x}", "10*3/uL"]
)
LENGTH_QUANTITIES = st.builds(Quantity, AMOUNTS, LENGTHS)
QUANTITIES = st.builds(Quantity, AMOUNTS, ANY_UNIT)


@given(LENGTH_QUANTITIES, LENGTH_QUANTITIES, LENGTH_QUANTITIES)
def test_order_is_total_within_a_dimension(a: Quantity, b: Quantity, c: Quantity) -> None:
    assert quantities.compare(a, b) == -quantities.compare(b, a)
    if quantities.less_or_equal(a, b) and quantities.less_or_equal(b, c):
        assert quantities.less_or_equal(a, c)


@given(LENGTH_QUANTITIES, LENGTH_QUANTITIES)
def test_order_agrees_with_exact_fractions(a: Quantity, b: Quantity) -> None:
    x = Fraction(a.value) * ucum.read(a.unit).factor
    y = Fraction(b.value) * ucum.read(b.unit).factor
    assert quantities.compare(a, b) == (x > y) - (x < y)


@given(QUANTITIES, QUANTITIES)
def test_operators_are_null_together_and_symmetric(a: Quantity, b: Quantity) -> None:
    known = quantities.equal(a, b) is not None
    assert (quantities.equal(b, a) is not None) is known
    assert quantities.comparable(a, b) is known
    assert quantities.can_convert_quantity(a, b.unit) is known
    assert quantities.equivalent(a, b) is quantities.equivalent(b, a)
    if quantities.equal(a, b):
        assert quantities.equivalent(a, b)
    total = quantities.add(a, b)
    assert (total is None) or known
    if total is not None:
        assert quantities.equal(total, quantities.add(b, a))
        assert total.unit in (a.unit, b.unit)


@given(LENGTH_QUANTITIES, LENGTH_QUANTITIES)
def test_adding_and_subtracting_undo_each_other_to_the_rounding(a: Quantity, b: Quantity) -> None:
    total = quantities.add(a, b)
    if total is None:
        return
    back = quantities.convert_quantity(quantities.subtract(total, b), a.unit)
    assert back is not None
    assert abs(back.value - a.value) <= Decimal("0.00000002")


@given(LENGTH_QUANTITIES, LENGTH_QUANTITIES)
def test_division_with_remainder(a: Quantity, b: Quantity) -> None:
    whole, rest = quantities.truncated_divide(a, b), quantities.modulo(a, b)
    if whole is None or rest is None:
        return
    assert whole.value == int(whole.value)
    assert quantities.less(quantities.absolute(rest), quantities.absolute(b)) is not False or abs(
        rest.value
    ) < Decimal("0.00000002")


@given(QUANTITIES, st.sampled_from(sorted(CALENDAR_UNITS)))
def test_text_round_trips(quantity: Quantity, keyword: str) -> None:
    for written in (quantity, Quantity(quantity.value, keyword)):
        if written.unit != "foo":
            text = quantities.to_string(written)
            assert quantities.from_string(text) == written
            twice = Ratio(written, quantity)
            if quantity.unit != "foo":
                assert ratios.from_string(ratios.to_string(twice)) == twice


@given(QUANTITIES, QUANTITIES)
def test_every_result_is_a_cql_decimal(a: Quantity, b: Quantity) -> None:
    for operator in (quantities.add, quantities.multiply, quantities.divide, quantities.modulo):
        result = operator(a, b)
        if result is not None:
            assert result.value.as_tuple().exponent >= -8
            assert abs(result.value) <= HUGE
