"""Equality, equivalence and order across the types, and the laws they keep."""

from decimal import Decimal as D
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import logical
from measurewise.engine.runtime.comparison import (
    compare,
    equal,
    equivalent,
    greater,
    greater_or_equal,
    less,
    less_or_equal,
    not_equal,
)
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.equality_keys import EXACT, equality_key
from measurewise.engine.runtime.uncertainty import Uncertainty
from measurewise.engine.runtime.values import (
    Boxed,
    Code,
    CodeSystem,
    Concept,
    Interval,
    Long,
    Quantity,
    Ratio,
    Tuple,
    ValueSet,
)

LOINC = "http://loinc.org"
BP = Code("8480-6", LOINC, display="Systolic blood pressure")


def dt(text: str, zone: int = 0):
    return parse_datetime(text, zone)


def q(value: str, unit: str = "1") -> Quantity:
    return Quantity(D(value), unit)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 1, True),
        (1, 2, False),
        (1, Long(1), True),
        (1, D("1.0"), True),
        (D("1.50"), D("1.5"), True),
        (D("1.50"), D("1.55"), False),
        (True, True, True),
        (True, False, False),
        (True, 1, False),
        ("a", "A", False),
        ("1", 1, False),
        (None, None, None),
        (1, None, None),
        (q("1", "cm"), q("0.01", "m"), True),
        (q("1", "cm"), q("1", "cm2"), None),
        (q("1", "cm"), 1, False),
        (Ratio(q("1"), q("8")), Ratio(q("1"), q("8")), True),
        (Ratio(q("1"), q("8")), Ratio(q("2"), q("16")), False),
        (parse_date("2012-01-01"), parse_date("2012-01"), None),
        (parse_date("2012-01-01"), dt("2012-01-01"), True),
        (dt("2012-01-01"), dt("2012-01-01T12"), None),
        (dt("2012-01-01T12:00:00Z"), dt("2012-01-01T07:00:00.000-05:00"), True),
        (dt("2024-11-15T12:30:00.5"), dt("2024-11-15T12:30:00"), False),
        (parse_time("10:00:00.000"), parse_time("10:00"), None),
        (Interval(1, 5), Interval(1, 6, True, False), True),
        (Interval(1, 5), Interval(1, 6), False),
        ([None], [None], True),
        ([None, 1], [None, 1], True),
        ([None, 1], [2, 1], None),
        ([None, 1], [2, 3], False),
        ([1, 2], [1, 2, 3], False),
        ([1, 2, 3], ["1", "2", "3"], False),
        ([], [], True),
        ([1], 1, False),
        (BP, BP, True),
        (BP, Code("8480-6", LOINC), None),
        (BP, Code("8480-6", LOINC, display="Other"), False),
        (BP, Code("8462-4", LOINC), False),
        (Concept([BP], "Concepts"), Concept([BP], "More Concepts"), False),
        (Concept([BP]), Concept([BP]), True),
        (ValueSet("urn:vs"), ValueSet("urn:vs"), True),
        (ValueSet("urn:vs", "1"), ValueSet("urn:vs"), None),
        (CodeSystem("urn:a"), CodeSystem("urn:b"), False),
        (Boxed("string", "a"), Boxed("string", "a"), True),
        (Boxed("string", "a"), "a", True),
        (Boxed("Period", {"start": "2012"}), Boxed("Period", {"start": "2013"}), False),
    ],
)
def test_equality_of_each_type(left, right, expected):
    assert equal(left, right) is expected
    assert equal(right, left) is expected
    assert not_equal(left, right) is logical.not_(expected)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ({"Id": 1, "Name": "John"}, {"Id": 1, "Name": "John"}, True),
        ({"Id": 1, "Name": "John"}, {"Id": 2, "Name": "John"}, False),
        ({"Id": 1, "Name": "John"}, {"Id": 2, "Name": None}, False),
        ({"Id": 1, "Name": "John"}, {"Id": 1, "Name": None}, None),
        ({"Id": 1, "Name": None}, {"Id": 1, "Name": None}, True),
        ({"Id": 1, "Name": None}, {"Id": 1}, True),
        # "defined as a conjunction of equality comparisons": null and false is false, in any order.
        ({"Id": None, "Name": "John"}, {"Id": 1, "Name": "James"}, False),
    ],
)
def test_tuples_are_equal_as_the_conjunction_of_their_elements(left, right, expected):
    assert equal(Tuple(left), Tuple(right)) is expected
    assert equal(Tuple(right), Tuple(left)) is expected


def test_resources_are_equal_by_structure():
    one = {"resourceType": "Observation", "id": "1", "valueQuantity": {"value": D("1.10"), "unit": "g"}}
    same = {"resourceType": "Observation", "id": "1", "valueQuantity": {"value": D("1.1"), "unit": "g"}}
    other = {"resourceType": "Observation", "id": "2", "valueQuantity": {"value": D("1.1"), "unit": "g"}}
    richer = {**same, "status": "final"}
    assert equal(one, one) is True
    assert equal(one, same) is True
    assert equal(one, other) is False
    assert equal(one, richer) is None


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (None, None, True),
        (None, 1, False),
        ("", None, False),
        ("John Doe", "john\tdoe", True),
        ("a b", "a  b", False),
        ("STRASSE", "straße", True),
        (1, 1, True),
        (1, D("1.00"), True),
        (D("1.50"), D("1.55"), False),
        (D("1.6"), D("1.55"), True),
        (D("3.14"), D("3.1400"), True),
        (D("100"), D("100.4"), True),
        (True, 1, False),
        (q("1", "cm"), q("0.01", "m"), True),
        (q("1", "cm"), q("1", "cm2"), False),
        (q("1", "year"), q("1", "a"), True),
        (Ratio(q("1"), q("8")), Ratio(q("2"), q("16")), True),
        (dt("2012-01-01"), dt("2012-01-01T12"), False),
        (dt("2012-01-01T12:00:00Z"), dt("2012-01-01T07:00:00-05:00"), True),
        (Interval(1, 5), Interval(1, 6, True, False), True),
        ([1, None], [1, None], True),
        ([1, None], [1, 2], False),
        (["A"], ["a"], True),
        (Tuple(x=1, y=None), Tuple(x=1), True),
        (Tuple(x=1, y=None), Tuple(x=1, y=2), False),
        (BP, Code("8480-6", LOINC, "2.7", "other"), True),
        (BP, Code("8480-6", "http://snomed.info/sct"), False),
        (Code("a"), Code("a"), True),
        (BP, Concept([Code("x", LOINC), BP]), True),
        (Concept([BP], "a"), Concept([Code("x"), Code("8480-6", LOINC)], "b"), True),
        (Concept([BP]), Concept([]), False),
        (Concept([None]), Concept([None]), True),  # type: ignore[list-item]
        (Concept([BP]), Concept([None]), False),  # type: ignore[list-item]
        (Concept([]), None, False),
        (Boxed("string", "a"), "A", True),
    ],
)
def test_equivalence_of_each_type(left, right, expected):
    assert equivalent(left, right) is expected
    assert equivalent(right, left) is expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 2, -1),
        (Long(2), D("1.5"), 1),
        ("a", "aa", -1),
        ("Jack", "Jill", -1),
        ("Z", "a", -1),
        (q("1", "m"), q("10", "cm"), 1),
        (q("1", "m"), q("1", "g"), None),
        (q("2"), 1, 1),
        (1, q("2"), -1),
        (dt("2014"), dt("2014-02-15"), None),
        (dt("2015"), dt("2014-02-15"), 1),
        (parse_date("2014-02-15"), dt("2014-02-15T10"), None),
        (Uncertainty(1, 3), 4, -1),
        (Uncertainty(1, 3), 2, None),
        (None, 1, None),
    ],
)
def test_order_of_each_type(left, right, expected):
    assert compare(left, right) == expected
    assert compare(right, left) == (None if expected is None else -expected)


def test_values_without_an_order_are_one_clear_error():
    with pytest.raises(EvaluationError, match="Code have no order"):
        compare(BP, BP)
    with pytest.raises(EvaluationError, match="str and int have no order"):
        less("a", 1)


OUTCOMES = {less: lambda a, b: a < b, less_or_equal: lambda a, b: a <= b, equal: lambda a, b: a == b}
OUTCOMES |= {greater: lambda a, b: a > b, greater_or_equal: lambda a, b: a >= b}

bounds = st.tuples(st.integers(-4, 4), st.integers(0, 3))


@pytest.mark.parametrize("operator", OUTCOMES, ids=lambda f: f.__name__)
@given(left=bounds, right=bounds)
def test_an_uncertain_comparison_is_what_all_possible_values_agree_on(operator, left, right):
    def possible(low, width):
        return range(low, low + width + 1)

    def value(low, width):
        return Uncertainty(low, low + width) if width else low

    answers = {OUTCOMES[operator](a, b) for a, b in product(possible(*left), possible(*right))}
    expected = answers.pop() if len(answers) == 1 else None
    assert operator(value(*left), value(*right)) is expected


# --- laws -------------------------------------------------------------------------------------------------

decimals = st.decimals(min_value=-9, max_value=9, places=2)
moments = st.sampled_from(
    ["2012", "2012-01", "2012-02", "2012-01-01", "2012-01-01T10", "2012-01-01T10:00Z", "2012-01-01T10:00:00Z",
     "2012-01-01T05:00:00.000-05:00", "2012-01-01T10:00:00.001"]
)  # fmt: skip
codes = st.builds(
    Code, st.sampled_from("ab"), st.sampled_from([None, "s"]), st.sampled_from([None, "1"]), st.none()
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.integers(-2, 2).map(Long),
    decimals,
    st.sampled_from(["a", "A", "b", "a b", "a\tb"]),
    moments.map(dt),
    moments.map(parse_date),
    st.builds(q, st.sampled_from(["1", "100", "1.0"]), st.sampled_from(["m", "cm", "1", "days", "d", "zzz"])),
    codes,
    st.builds(Concept, st.lists(codes, max_size=2)),
    st.builds(Interval, st.integers(0, 2), st.integers(3, 5), st.booleans(), st.booleans()),
    st.builds(
        Ratio, st.just(q("1")), st.builds(q, st.sampled_from(["2", "2.0"]), st.sampled_from(["g", "mg"]))
    ),
    st.builds(Boxed, st.just("string"), st.sampled_from(["a", "b"])),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from("xyz"), inner, max_size=3).map(Tuple),
        st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    ),
    max_leaves=4,
)


@given(values, values)
def test_equality_is_symmetric_and_its_key_is_sound(a, b):
    answer = equal(a, b)
    assert equal(b, a) is answer
    if answer:
        assert equality_key(a) == equality_key(b)
        assert hash(equality_key(a)) == hash(equality_key(b))
    if type(a) in EXACT and type(b) in EXACT and equality_key(a) == equality_key(b):
        assert answer is True


@given(values, values)
def test_equivalence_is_symmetric_and_never_null(a, b):
    answer = equivalent(a, b)
    assert answer is True or answer is False
    assert equivalent(b, a) is answer


@given(values, values)
def test_what_is_equal_is_equivalent(a, b):
    # But for concepts without codes, whose intersection is empty even with themselves.
    if equal(a, b) and "[]" not in repr(a):
        assert equivalent(a, b)


@given(st.one_of(st.integers(), decimals, st.text(max_size=3), moments.map(dt)))
def test_a_plain_value_is_equal_and_equivalent_to_itself(a):
    assert equal(a, a) is True
    assert equivalent(a, a) is True
    assert compare(a, a) == 0


ordered = st.sampled_from(
    [
        st.tuples(*[st.one_of(st.integers(-3, 3), st.integers(-3, 3).map(Long), decimals)] * 3),
        st.tuples(*[st.text(max_size=2)] * 3),
        st.tuples(*[moments.map(dt)] * 3),
        st.tuples(*[st.builds(q, st.sampled_from(["1", "99", "100.0"]), st.sampled_from(["m", "cm"]))] * 3),
    ]
).flatmap(lambda strategy: strategy)


@given(ordered)
def test_order_agrees_with_equality_and_is_transitive(triple):
    a, b, c = triple
    order = compare(a, b)
    assert equal(a, b) is (None if order is None else order == 0)
    assert less(a, b) is (None if order is None else order < 0)
    assert greater_or_equal(a, b) is logical.not_(less(a, b))
    assert greater(a, b) is less(b, a)
    assert less_or_equal(a, b) is greater_or_equal(b, a)
    if less(a, b) and less(b, c):
        assert less(a, c)
