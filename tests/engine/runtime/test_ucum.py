"""UCUM: grammar, table, and conversion over exact fractions."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import MeasurewiseError
from measurewise.engine.runtime import ucum
from measurewise.engine.runtime.ucum.table import BASE, DEFINITIONS, PREFIXES, SYNONYMS

LINEAR = sorted(
    code
    for code, row in DEFINITIONS.items()
    if not row.function and ucum.read(code).dimension and code != "[pi]"
)
METRIC = sorted(code for code, row in DEFINITIONS.items() if row.metric and not row.function) + sorted(BASE)
VALUES = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**8)


# --- the table --------------------------------------------------------------------------------------------


def test_the_table_holds_all_of_ucum_2_2() -> None:
    assert ucum.VERSION == "2.2"
    assert (len(BASE), len(PREFIXES), len(DEFINITIONS)) == (7, 24, 305)


@pytest.mark.parametrize("code", DEFINITIONS)
def test_every_unit_of_the_table_has_a_meaning(code: str) -> None:
    unit = ucum.read(code)
    assert unit.factor > 0
    assert unit.standard


@pytest.mark.parametrize("spelling", SYNONYMS)
def test_a_synonym_is_no_ucum_unit_and_means_one(spelling: str) -> None:
    assert not ucum.is_valid(spelling)
    assert ucum.is_valid(SYNONYMS[spelling])
    assert ucum.parse(spelling)._replace(standard=True) == ucum.parse(SYNONYMS[spelling])


def test_a_pound_is_exactly_453_59237_grams() -> None:
    assert ucum.convert(Decimal(1), "lb", "g") == Decimal("453.59237")
    assert ucum.conversion_factor("[lb_av]", "g") == Fraction("453.59237")


# --- grammar ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "same"),
    [
        ("m.s-1", "m/s"),
        ("m.s-2.kg", "N"),
        ("/min", "min-1"),
        ("/m2/s", "m-2.s-1"),
        ("mL/min/(173.10*-2.m2)", "mL/min/m2/(173/100)"),
        ("(/m).s", "s/m"),
        ("m/s.g", "m.g/s"),
        ("1.5", "5"),
        ("m/(s.g)", "m/s/g"),
        ("kg.m+2", "kg.m2"),
        ("10*3/uL", "10^3/uL"),
        ("10*3", "1000"),
        ("10*", "10"),
        ("4.[pi].10*-7.N/A2", "[mu_0]"),
        ("mg{creatinine}/dL{urine}", "mg/dL"),
        ("{INR}", "1"),
        ("/100{WBC}", "%"),
        ("g/(8.h){shift}", "g/8/h"),
        ("dar", "m2.10"),
        ("cd", "cd"),
        ("dag", "10.g"),
        ("m[H2O]", "Pa.980665/100"),
        ("B[10.nV]", "B[10.nV]"),
        ("Kibit", "1024.bit"),
    ],
)
def test_expressions_mean_the_same(unit: str, same: str) -> None:
    assert ucum.conversion_factor(unit, same) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "foo",
        "mg/",
        "mg//dL",
        "(m",
        "m)",
        "m.(s",
        "2m",
        "m^2",
        "m**2",
        "{a",
        "a}",
        "{a{b}}",
        "m{a}{b}",
        "[lb_av",
        "lb_av]",
        "0",
        "10*9999",
        "kkg",
        "dd",
        "k[lb_av]",
        "KG",
        "Mg/Dl",
        "mmhg",
        "Torr",
        "days",
        "+1",
        "m-",
        "-m",
        "(" * 40 + "m" + ")" * 40,
        "m" * 300,
    ],
)
def test_what_ucum_does_not_define_is_no_unit(text: str) -> None:
    assert not ucum.is_valid(text)
    with pytest.raises(MeasurewiseError):
        ucum.read(text)


def test_an_error_names_the_place_and_the_unit() -> None:
    with pytest.raises(ucum.InvalidUnit, match=r"unit 'mg/foo', character 4: 'foo' is no unit"):
        ucum.read("mg/foo")


def test_codes_are_case_sensitive() -> None:
    assert ucum.conversion_factor("mm", "m") == Fraction(1, 1000)
    assert ucum.conversion_factor("Mm", "m") == 10**6
    assert not ucum.commensurable("S", "s")


def test_a_metric_prefix_wins_over_nothing_but_a_whole_symbol_wins_over_a_prefix() -> None:
    assert ucum.commensurable("min", "s")
    assert ucum.commensurable("Pa", "N/m2")
    assert ucum.commensurable("cd", "cd")
    assert ucum.commensurable("ft", "g")  # femtotonne: what it means in UCUM, and why ft is no synonym


@given(st.text(alphabet="mgskLl/.(){}[]*^0123456789-+ '%_dah", max_size=24))
def test_any_text_is_a_unit_or_a_plain_refusal(text: str) -> None:
    unit = ucum.parse(text)
    assert unit is None or unit.factor > 0


# --- well-known conversions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "target", "expected"),
    [
        ("100", "mg/dL", "g/L", "1"),
        ("7.5", "g/dL", "g/L", "75"),
        ("180", "[lb_av]", "kg", "81.6466266"),
        ("70", "kg", "[lb_av]", "154.32358353"),
        ("12", "[in_i]", "cm", "30.48"),
        ("6", "[ft_i]", "[in_i]", "72"),
        ("98.6", "[degF]", "Cel", "37"),
        ("37", "Cel", "[degF]", "98.6"),
        ("-40", "Cel", "[degF]", "-40"),
        ("0", "K", "Cel", "-273.15"),
        ("100", "Cel", "[degRe]", "80"),
        ("37000", "mCel", "Cel", "37"),
        ("120", "mm[Hg]", "kPa", "15.99864"),
        ("1", "atm", "Pa", "101325"),
        ("5.5", "10*9/L", "10*3/uL", "5.5"),
        ("4.5", "10*6/uL", "10*12/L", "4.5"),
        ("1", "meq/L", "mmol/L", "1"),
        ("250", "ug/kg/min", "mg/kg/h", "15"),
        ("1000", "U/L", "ukat/L", "16.66666667"),
        ("24.5", "kg/m2", "g/cm2", "2.45"),
        ("8.5", "%", "1", "0.085"),
        ("150", "mg/g", "mg/mg", "0.15"),
        ("1", "[foz_us]", "mL", "29.57352956"),
        ("1", "[Cal]", "kJ", "4.184"),
        ("1", "wk", "d", "7"),
        ("1", "a", "d", "365.25"),
        ("2", "mo", "d", "60.875"),
        ("60", "/min", "Hz", "1"),
        ("180", "deg", "[pi].rad", "1"),
        ("1", "m[iU]/mL", "[iU]/L", "1"),
        ("10", "dB", "B", "1"),
        ("2", "[IU]", "[iU]", "2"),
        ("5", "mcg", "mg", "0.005"),
        ("5", "µmol/L", "umol/dL", "0.5"),
        ("120", "mmHg", "mm[Hg]", "120"),
    ],
)
def test_clinical_conversions(value: str, unit: str, target: str, expected: str) -> None:
    assert ucum.convert(Decimal(value), unit, target) == Decimal(expected)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("mmol/L", "mg/dL"),
        ("cm", "cm2"),
        ("[iU]", "[arb'U]"),
        ("[iU]", "mg"),
        ("[iU]/L", "/L"),
        ("[pH]", "mol/L"),
        ("dB", "1"),
        ("B[V]", "B[mV]"),
        ("Cel/s", "K/s"),
        ("g", "foo"),
        ("foo", "foo"),
        ("m[H2O]", "m"),
    ],
)
def test_incommensurable_units_do_not_convert(a: str, b: str) -> None:
    assert not ucum.commensurable(a, b)
    assert ucum.convert(Decimal(1), a, b) is None
    assert ucum.conversion_factor(a, b) is None


def test_temperature_scales_have_no_conversion_factor_but_their_own() -> None:
    assert ucum.conversion_factor("Cel", "[degF]") is None
    assert ucum.conversion_factor("Cel", "Cel") == 1
    assert ucum.conversion_factor("Cel", "K") is None
    assert ucum.conversion_factor("[degR]", "K") == Fraction(5, 9)


def test_canonical_form_is_a_factor_and_base_units() -> None:
    assert ucum.canonical("kPa") == (10**6, "g.m-1.s-2")
    assert ucum.canonical("mg/dL") == (Fraction(10), "g.m-3")
    assert ucum.canonical("%") == (Fraction(1, 100), "1")
    assert ucum.canonical("m[iU]") == (Fraction(1, 1000), "[iU]")
    assert ucum.canonical("foo") is None


# --- algebra ----------------------------------------------------------------------------------------------


@given(VALUES, st.sampled_from(LINEAR), st.data())
def test_converting_there_and_back_is_the_identity(value: Fraction, a: str, data: st.DataObject) -> None:
    dimension = ucum.read(a).dimension
    b = data.draw(st.sampled_from([code for code in LINEAR if ucum.read(code).dimension == dimension]))
    there = ucum.converted(value, ucum.read(a), ucum.read(b))
    assert ucum.converted(there, ucum.read(b), ucum.read(a)) == value
    assert ucum.conversion_factor(a, b) * ucum.conversion_factor(b, a) == 1


@given(VALUES, *[st.sampled_from(["Cel", "[degF]", "[degRe]", "K", "[degR]", "mCel"])] * 2)
def test_temperatures_convert_there_and_back_exactly(value: Fraction, a: str, b: str) -> None:
    there = ucum.converted(value, ucum.read(a), ucum.read(b))
    assert ucum.converted(there, ucum.read(b), ucum.read(a)) == value


@given(st.sampled_from(sorted(PREFIXES)), st.sampled_from(METRIC))
def test_a_prefix_scales_a_metric_unit(prefix: str, code: str) -> None:
    if prefix + code not in DEFINITIONS and prefix + code not in BASE:
        assert ucum.conversion_factor(prefix + code, code) == PREFIXES[prefix]


@given(*[st.sampled_from(LINEAR)] * 2, st.integers(-3, 3))
def test_dimensions_and_sizes_follow_the_algebra(a: str, b: str, power: int) -> None:
    one, other = ucum.read(a), ucum.read(b)
    assert ucum.read(f"{a}.{b}").factor == one.factor * other.factor
    assert ucum.read(f"{a}/{b}").factor == one.factor / other.factor
    assert ucum.read(f"{a}.{b}")[:2] == ucum.read(f"{b}.{a}")[:2]
    assert ucum.read(f"({a}/{b}).{b}")[:2] == one[:2]
    assert ucum.read(f"{a}{power}").factor == one.factor**power
    assert ucum.read(f"{a}/{a}").dimension == ()


UNITS = st.lists(
    st.sampled_from(
        ["m", "cm2", "/s", "kg", "L", "mg/dL", "10*3/uL", "{tbl}/d", "100.m", "[lb_av]", "%", "1"]
    ),
    min_size=2,
    max_size=2,
)


@given(UNITS)
def test_the_text_of_a_product_means_the_product(pair: list[str]) -> None:
    a, b = pair
    for text, factor in (
        (ucum.product(a, b), ucum.read(a).factor * ucum.read(b).factor),
        (ucum.quotient(a, b), ucum.read(a).factor / ucum.read(b).factor),
    ):
        assert text is not None
        assert ucum.is_valid(text)
        assert ucum.read(text).factor == factor


@pytest.mark.parametrize(
    ("a", "b", "product", "quotient"),
    [
        ("cm2", "cm", "cm3", "cm"),
        ("g/cm3", "cm3", "g", "g/cm6"),
        ("mg/dL", "dl", "mg", "mg/dL2"),
        ("kg", "m2", "kg.m2", "kg/m2"),
        ("1", "min", "min", "/min"),
        ("{tbl}", "{tbl}", "({tbl}.{tbl})", "1"),
        ("lb", "[lb_av]", "[lb_av]2", "1"),
        ("2.m", "3.s", "6.m.s", "2.m/s/3"),
        ("mg{total}", "1", "mg{total}", "mg{total}"),
    ],
)
def test_what_cancels_is_cancelled(a: str, b: str, product: str, quotient: str) -> None:
    assert ucum.product(a, b) == product
    assert ucum.quotient(a, b) == quotient


def test_invalid_and_special_units_have_no_product() -> None:
    assert ucum.product("Cel", "s") is None
    assert ucum.quotient("mg", "foo") is None


# --- rounding ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "target", "expected"),
    [
        ("1", "m", "[ft_i]", "3.2808399"),
        ("1", "d", "a", "0.00273785"),
        ("0.4", "ng", "dg", "0"),
        ("5", "ng", "dg", "0.00000005"),
        ("0.5", "ng", "cg", "0.00000005"),
        ("0.05", "ng", "cg", "0.00000001"),
        ("-0.05", "ng", "cg", "-0.00000001"),
        ("5", "kg", "g", "5000"),
    ],
)
def test_a_conversion_rounds_once_at_the_eighth_place(
    value: str, unit: str, target: str, expected: str
) -> None:
    assert ucum.convert(Decimal(value), unit, target) == Decimal(expected)


def test_a_conversion_to_more_digits_than_a_decimal_has_is_null() -> None:
    assert ucum.convert(Decimal(10**28 - 1), "Ym", "nm") is None
