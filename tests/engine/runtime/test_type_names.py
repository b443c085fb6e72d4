"""The names of values' types."""

from decimal import Decimal as D

import pytest

from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.type_names import system_type_name
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
def test_a_value_of_a_system_type_has_its_name(name):
    assert system_type_name(SAMPLES[name]) == name


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
    assert system_type_name(value) == name
