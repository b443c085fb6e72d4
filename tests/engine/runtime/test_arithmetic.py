"""The arithmetic operators: exact, closed in their types, null where there is no result."""

import decimal
from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import arithmetic as a
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.decimals import fit, of_fraction
from measurewise.engine.runtime.uncertainty import Uncertainty
from measurewise.engine.runtime.values import Long, Quantity

MIN, MAX = -(2**31), 2**31 - 1
LMIN, LMAX = Long(-(2**63)), Long(2**63 - 1)
DMAX = D("99999999999999999999.99999999")


def q(value: str, unit: str = "1") -> Quantity:
    return Quantity(D(value), unit)


def dt(text: str):
    return parse_datetime(text, 0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (a.add(1, 2), 3),
        (a.add(1, None), None),
        (a.add(MAX, 1), None),
        (a.add(1, Long(2)), Long(3)),
        (a.add(Long(MAX), 1), Long(MAX + 1)),
        (a.add(LMAX, 1), None),
        (a.add(1, D("2.0")), D("3.0")),
        (a.add(Long(1), D("2.5")), D("3.5")),
        (a.add("a", "b"), "ab"),
        (a.add(q("1", "cm"), q("1", "m")), q("101", "cm")),
        (a.add(q("1"), 2), q("3")),
        (a.add(parse_date("2012-01-31"), q("1", "month")), parse_date("2012-02-29")),
        (a.subtract(parse_date("2012-03-31"), q("1", "month")), parse_date("2012-02-29")),
        (a.add(Uncertainty(1, 3), 2), Uncertainty(3, 5)),
        (a.subtract(Uncertainty(1, 3), Uncertainty(0, 1)), Uncertainty(0, 3)),
        (a.multiply(Uncertainty(-1, 3), Uncertainty(-2, 1)), Uncertainty(-6, 3)),
        (a.negate(Uncertainty(1, 3)), Uncertainty(-3, -1)),
        (a.subtract(1, D("1.1")), D("-0.1")),
        (a.subtract(MIN, 1), None),
        (a.multiply(2, 3), 6),
        (a.multiply(1, Long(1)), Long(1)),
        (a.multiply(2**16, 2**16), None),
        (a.multiply(D("0.00001"), D("0.0005")), D("0.00000001")),
        (a.multiply(q("12", "cm"), q("3", "cm")), q("36", "cm2")),
        (a.divide(0, 1), D(0)),
        (a.divide(10, 3), D("3.33333333")),
        (a.divide(2, 3), D("0.66666667")),
        (a.divide(-2, 3), D("-0.66666667")),
        (a.divide(1, 0), None),
        (a.divide(D("2.2"), D("0.0")), None),
        (a.divide(q("10.0", "g"), 5), q("2", "g")),
        (a.divide(Uncertainty(2, 4), 2), Uncertainty(D(1), D(2))),
        (a.divide(2, Uncertainty(-1, 1)), None),
        (a.truncated_divide(10, -3), -3),
        (a.truncated_divide(-10, 3), -3),
        (a.truncated_divide(-10, -3), 3),
        (a.truncated_divide(2, 0), None),
        (a.truncated_divide(MIN, -1), None),
        (a.truncated_divide(Long(10), Long(0)), None),
        (a.truncated_divide(D("-10.1"), D("3.1")), D(-3)),
        (a.truncated_divide(q("10.1", "cm"), q("-3.1", "cm")), q("-3", "cm")),
        (a.modulo(10, 3), 1),
        (a.modulo(-10, 3), -1),
        (a.modulo(10, -3), 1),
        (a.modulo(10, 0), None),
        (a.modulo(Long(4), 2), Long(0)),
        (a.modulo(10, D("3.0")), D("1.0")),
        (a.modulo(D("-2.5"), 2), D("-0.5")),
        (a.modulo(q("3.5", "cm"), q("3", "cm")), q("0.5", "cm")),
        (a.negate(1), -1),
        (a.negate(MIN), None),
        (a.negate(LMIN), None),
        (a.negate(LMAX), Long(-LMAX)),
        (a.negate(D("0.0")), D("0.0")),
        (a.negate(q("1", "cm")), q("-1", "cm")),
        (a.abs_(-1), 1),
        (a.abs_(MIN), None),
        (a.abs_(Long(-1)), Long(1)),
        (a.abs_(D("-1.0")), D("1.0")),
        (a.abs_(q("-1.0", "cm")), q("1.0", "cm")),
        (a.abs_(None), None),
        (a.ceiling(D("1.1")), 2),
        (a.ceiling(D("-1.1")), -1),
        (a.ceiling(D("2147483647.0")), MAX),
        (a.ceiling(D("2147483648.2")), None),
        (a.floor(D("-0.1")), -1),
        (a.floor(D("-2147483648.2")), None),
        (a.floor(Long(2147483648)), None),
        (a.truncate(D("-1.9")), -1),
        (a.truncate(D("2147483648.0")), None),
        (a.truncate(101), 101),
        (a.round_(1), D(1)),
        (a.round_(D("0.5")), D(1)),
        (a.round_(D("-0.5")), D(-1)),
        (a.round_(D("-0.4")), D(0)),
        (a.round_(D("3.14159"), 2), D("3.14")),
        (a.round_(D("3.14159"), 8), D("3.14159")),
        (a.round_(D("3.6"), None), D(4)),
        (a.round_(q("2.54", "cm"), 1), q("2.5", "cm")),
        (a.round_(None), None),
        (a.ln(1000), D("6.90775528")),
        (a.ln(0), None),
        (a.ln(-1), None),
        (a.ln(1), D(0)),
        (a.exp(0), D(1)),
        (a.exp(1), D("2.71828183")),
        (a.exp(-1), D("0.36787944")),
        (a.exp(1000), None),
        (a.exp(D("1E+30")), None),
        (a.log(16, 2), D(4)),
        (a.log(D("0.125"), 2), D(-3)),
        (a.log(1, 100), D(0)),
        (a.divide(D("0.0"), D("1E+5")), D(0)),
        (a.log(2, 1), None),
        (a.log(0, 2), None),
        (a.log(2, -2), None),
        (a.log(2, None), None),
        (a.power(0, 0), 1),
        (a.power(D("0.0"), D("0.0")), D(1)),
        (a.power(0, -1), None),
        (a.power(2, 10), 1024),
        (a.power(-2, 3), -8),
        (a.power(2, 31), None),
        (a.power(Long(2), 62), Long(2**62)),
        (a.power(Long(2), 63), None),
        (a.power(1, 2**31 - 1), 1),
        (a.power(-1, 2**31 - 1), -1),
        (a.power(10, 2**31 - 1), None),
        (a.power(2, -2), D("0.25")),
        (a.power(10, -8), D("0.00000001")),
        (a.power(D("2.0"), D("-2.0")), D("0.25")),
        (a.power(D(2), D("0.5")), D("1.41421356")),
        (a.power(D(-8), D("0.5")), None),
        (a.power(D(10), D("1E+20")), None),
        (a.power(2, None), None),
        (a.successor(0), 1),
        (a.successor(MAX), None),
        (a.successor(Long(MAX)), Long(MAX + 1)),
        (a.successor(LMAX), None),
        (a.successor(D("1.01")), D("1.01000001")),
        (a.successor(DMAX), None),
        (a.successor(q("1", "g")), q("1.00000001", "g")),
        (a.successor(parse_time("12:00:00.000")), parse_time("12:00:00.001")),
        (a.successor(dt("2000-01-01")), dt("2000-01-02")),
        (a.successor(dt("9999-12-31T23:59:59.999")), None),
        (a.predecessor(1), 0),
        (a.predecessor(MIN), None),
        (a.predecessor(D("1.0")), D("0.99999999")),
        (a.predecessor(dt("2000-01-01")), dt("1999-12-31")),
        (a.predecessor(parse_time("00:00:00.000")), None),
        (a.predecessor(None), None),
        (a.min_value("Integer"), MIN),
        (a.max_value("System.Long"), LMAX),
        (a.max_value("{urn:hl7-org:elm-types:r1}Decimal"), DMAX),
        (a.max_value("Quantity"), Quantity(DMAX, "1")),
        (a.max_value("Date"), parse_date("9999-12-31")),
        (a.min_value("DateTime"), dt("0001-01-01T00:00:00.000Z")),
        (a.max_value("Time"), parse_time("23:59:59.999")),
        (a.precision(D("1.58700")), 5),
        (a.precision(1), 0),
        (a.precision(parse_date("2014")), 4),
        (a.precision(dt("2014-01-05T10:30:00.000")), 17),
        (a.precision(parse_time("10:30")), 4),
        (a.low_boundary(D("1.587"), 8), D("1.58700000")),
        (a.high_boundary(D("1.587"), 8), D("1.58799999")),
        (a.high_boundary(D("1.58888")), D("1.58888999")),
        (a.low_boundary(D("1.587"), 2), D("1.58")),
        (a.high_boundary(D("1.587"), 2), D("1.59")),
        (a.low_boundary(D("-1.587"), 8), D("-1.58799999")),
        (a.high_boundary(D("-1.587"), 8), D("-1.58700000")),
        (a.low_boundary(D("-1.587"), 2), D("-1.59")),
        (a.high_boundary(D("1.587"), 9), None),
        (a.high_boundary(D("1.587"), -1), None),
        (a.low_boundary(None, 8), None),
        (a.low_boundary(parse_date("2014"), 6), parse_date("2014-01")),
        (a.high_boundary(dt("2014-01-01T08"), 17), dt("2014-01-01T08:59:59.999")),
    ],
)
def test_arithmetic_operators(answer, expected):
    assert answer == expected
    assert type(answer) is type(expected)


def test_no_result_is_a_negative_zero():
    zeros = [
        a.multiply(D("-1"), D("0.0")),
        a.round_(D("-0.4")),
        a.truncated_divide(D("-1.0"), D("3.0")),
        a.modulo(D("-4.0"), D("2.0")),
        a.negate(D("0.0")),
        a.abs_(D("-0.0")),
    ]
    assert [zero.is_signed() for zero in zeros] == [False] * len(zeros)


@pytest.mark.parametrize(
    "operation",
    [
        lambda: a.add(1, True),
        lambda: a.subtract("a", "b"),
        lambda: a.multiply("a", 2),
        lambda: a.divide([], 2),
        lambda: a.modulo("a", 2),
        lambda: a.truncated_divide("a", 2),
        lambda: a.negate("a"),
        lambda: a.abs_("a"),
    ],
)
def test_operands_of_a_wrong_type_are_one_clear_error(operation):
    with pytest.raises(EvaluationError, match="is not defined for"):
        operation()


def test_types_without_bounds_are_one_clear_error():
    with pytest.raises(EvaluationError, match="no minimum Boolean"):
        a.min_value("Boolean")


# --- laws -------------------------------------------------------------------------------------------------

decimals = st.decimals(min_value=D("-1E12"), max_value=D("1E12"), places=8)
integers = st.integers(MIN, MAX)


def nearest(value: Fraction) -> D:
    """The Decimal of 8 places nearest to a fraction, halves away from zero, by another road."""
    scaled = abs(value) * 10**8
    whole = int(scaled + Fraction(1, 2))
    return D(whole if value >= 0 else -whole).scaleb(-8, decimal.Context(prec=200))


@given(decimals, decimals)
def test_decimal_results_are_the_exact_ones_rounded_once(x, y):
    assert a.add(x, y) == nearest(Fraction(x) + Fraction(y))
    assert a.subtract(x, y) == nearest(Fraction(x) - Fraction(y))
    assert a.multiply(x, y) == nearest(Fraction(x) * Fraction(y))
    if y:
        quotient = Fraction(x) / Fraction(y)
        assert a.divide(x, y) == nearest(quotient)
        assert a.truncated_divide(x, y) == int(quotient)
        assert a.add(a.multiply(a.truncated_divide(x, y), y), a.modulo(x, y)) == x


@given(integers, integers)
def test_integer_results_are_exact_or_null(x, y):
    def held(value):
        return value if MIN <= value <= MAX else None

    assert a.add(x, y) == held(x + y)
    assert a.subtract(x, y) == held(x - y)
    assert a.multiply(x, y) == held(x * y)
    if y:
        assert a.truncated_divide(x, y) == held(int(Fraction(x, y)))
        assert a.modulo(x, y) == x - y * int(Fraction(x, y))
        assert a.add(Long(x), y) == x + y


@given(decimals)
def test_steps_and_rounding_bracket_a_decimal(x):
    assert a.predecessor(a.successor(x)) == x
    assert a.successor(x) - x == D("1E-8")
    if abs(x) < MAX:
        assert a.floor(x) <= x <= a.ceiling(x)
        assert a.ceiling(x) - a.floor(x) in (0, 1)
        assert abs(a.truncate(x)) <= abs(x)
    assert abs(a.round_(x, 3) - x) <= D("0.0005")
    assert a.low_boundary(x, 4) <= x <= a.high_boundary(x, 4)


@given(st.decimals(min_value=D("0.01"), max_value=D(20), places=2))
def test_exp_and_ln_undo_each_other(x):
    assert abs(a.ln(a.exp(x)) - x) <= D("0.00000001")
    assert abs(a.exp(a.ln(x)) - x) <= x * D("0.00000002")


@given(st.fractions(min_value=-1000, max_value=1000))
def test_a_fraction_becomes_the_nearest_decimal(x):
    assert of_fraction(x) == nearest(x)
    assert not str(of_fraction(x)).endswith("0") or of_fraction(x) == int(of_fraction(x))


def test_more_digits_than_the_standard_asks_for_are_exact_and_far_too_many_are_null():
    large = a.multiply(10, D("1000000000000000000000000000.00000000"))
    assert a.subtract(large, D("0.00000001")) == D("9999999999999999999999999999.99999999")
    assert a.multiply(D("1E+20"), D("1E+16")) is None
    assert a.add(D(10**36 - 1), 1) is None
    assert fit(D("1E+5")).as_tuple().exponent == 0
    assert fit(D("1E+999")) is None
    assert fit(D("NaN")) is None
    assert fit(D("Infinity")) is None


def test_the_decimal_context_of_the_caller_is_neither_used_nor_changed():
    with decimal.localcontext() as context:
        context.prec = 3
        context.clear_flags()
        context.traps[decimal.Inexact] = True
        assert a.add(D("12345.6789"), D("0.0000001")) == D("12345.6789001")
        assert a.multiply(D("12345.6789"), D("1.1")) == D("13580.24679")
        assert a.divide(D(1), D(3)) == D("0.33333333")
        assert a.negate(D("12345.6789")) == D("-12345.6789")
        assert a.abs_(D("-12345.6789")) == D("12345.6789")
        assert a.round_(D("12345.6789"), 2) == D("12345.68")
        assert a.power(D("12345.6789"), D(2)) == D("152415787.50190521")
        assert a.high_boundary(D("12345.6789"), 8) == D("12345.67899999")
        assert a.ceiling(D("12345.6789")) == 12346
        assert a.ln(12345) == D("9.42100640")
        assert not any(context.flags.values())
