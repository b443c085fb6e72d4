"""Run-time type tests, casts and the names of types."""

from decimal import Decimal as D

import pytest

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import type_tests as t
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time
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

Q = Quantity(D("45.5"), "g")
SAMPLES = {
    "Boolean": True,
    "Integer": 5,
    "Long": Long(5),
    "Decimal": D("5.0"),
    "String": "5",
    "Date": parse_date("2014"),
    "DateTime": parse_datetime("2014", 0),
    "Time": parse_time("12"),
    "Quantity": Q,
    "Ratio": Ratio(Q, Q),
    "Code": Code("a"),
    "Concept": Concept([]),
    "CodeSystem": CodeSystem("urn:a"),
    "ValueSet": ValueSet("urn:a"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_value_is_of_its_own_type_only(name):
    test = t.system_type(name)
    for other, value in SAMPLES.items():
        assert t.is_(value, test) is (other == name)
        assert t.as_(value, test) is (value if other == name else None)
    assert t.system_type_name(SAMPLES[name]) == name
    assert t.is_(None, test) is False


def test_every_value_is_any_and_vocabularies_are_vocabulary():
    for name, value in SAMPLES.items():
        assert t.is_(value, t.system_type("Any")) is True
        assert t.is_(value, t.system_type("Vocabulary")) is (name in ("CodeSystem", "ValueSet"))
    assert t.is_(None, t.any_type) is False
    assert t.is_(Uncertainty(1, 2), t.system_type("Integer")) is True


def test_a_type_that_cql_does_not_have_is_one_clear_error():
    with pytest.raises(EvaluationError, match=r"no type System\.Integr"):
        t.system_type("Integr")


def test_fhir_types_are_told_by_name():
    patient = {"resourceType": "Patient", "id": "1"}
    assert t.is_(patient, t.fhir_type(frozenset({"Patient"}))) is True
    assert t.is_(patient, t.fhir_type(frozenset({"Observation"}))) is False
    assert t.is_({"start": "2012"}, t.fhir_type(frozenset({"Period"}))) is False
    assert t.is_(Boxed("Period", {"start": "2012"}), t.fhir_type(frozenset({"Period"}))) is True
    assert t.is_("Patient", t.fhir_type(frozenset({"Patient"}))) is False


def test_structured_types_are_told_by_their_parts():
    integer, string = t.system_type("Integer"), t.system_type("String")
    integers = t.list_of(integer)
    assert [integers(v) for v in ([1, None], [], [1, "a"], 1)] == [True, True, False, False]
    ranges = t.interval_of(integer, "Integer")
    assert [ranges(v) for v in (Interval(1, None), Interval("a", "b"), 1)] == [True, False, False]
    assert ranges(Interval(None, None, point="Integer")) is True
    assert ranges(Interval(None, None, point="Date")) is False
    assert ranges(Interval(None, None)) is True
    person = t.tuple_of({"id": integer, "name": string})
    assert person(Tuple(id=1, name=None)) is True
    assert person(Tuple(id=1)) is True
    assert person(Tuple(id="1")) is False
    assert person(Tuple(id=1, age=2)) is False
    assert person({"id": 1}) is False
    either = t.choice_of(integer, string)
    assert [either(v) for v in (1, "a", True)] == [True, True, False]


def test_a_strict_cast_of_another_type_is_one_clear_error():
    quantity = t.system_type("Quantity")
    assert t.as_strict(Q, quantity, "Quantity") is Q
    assert t.as_strict(None, quantity, "Quantity") is None
    with pytest.raises(EvaluationError, match="type Integer is not a Quantity"):
        t.as_strict(1, quantity, "Quantity")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "Any"),
        ([1, None], "List<Integer>"),
        ([1, "a"], "List<Any>"),
        ([], "List<Any>"),
        ([[1]], "List<List<Integer>>"),
        (Interval(parse_date("2012"), None), "Interval<Date>"),
        (Interval(None, None, point="Date"), "Interval<Date>"),
        (Tuple(id=1, name="a"), "Tuple {id Integer, name String}"),
        (Boxed("dateTime", "2012"), "FHIR.dateTime"),
        ({"resourceType": "Patient"}, "FHIR.Patient"),
        ({"start": "2012"}, "FHIR.Element"),
    ],
)
def test_a_type_is_named_as_cql_writes_it(value, name):
    assert t.system_type_name(value) == name
