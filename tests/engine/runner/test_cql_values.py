"""What ``$cql`` answers: CQL values as FHIR Parameters."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from measurewise.engine.errors import ContentError, EvaluationError
from measurewise.engine.runner.conformance import evaluate
from measurewise.engine.runner.cql_values import error_parameters, parameter, parameters
from measurewise.engine.runtime.values import Boxed

EXTENSIONS = "http://hl7.org/fhir/StructureDefinition/"
NULL = {"_valueBoolean": {"extension": [{"url": f"{EXTENSIONS}data-absent-reason", "valueCode": "unknown"}]}}
EMPTY_LIST = {"_valueBoolean": {"extension": [{"url": f"{EXTENSIONS}cqf-isEmptyList", "valueBoolean": True}]}}
MG = {"unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}


def answer(expression: str) -> list[dict[str, Any]]:
    """The parameters of an expression, without their name where that is ``return``."""
    resource = parameters(evaluate(expression))
    assert resource["resourceType"] == "Parameters"
    assert {p["name"] for p in resource["parameter"]} == {"return"}
    return [{key: value for key, value in p.items() if key != "name"} for p in resource["parameter"]]


@pytest.mark.parametrize(
    ("expression", "element", "value"),
    [
        ("true", "valueBoolean", True),
        ("-7", "valueInteger", -7),
        ("9223372036854775807L", "valueString", "9223372036854775807"),
        ("-5L", "valueString", "-5"),
        ("1.10", "valueDecimal", Decimal("1.10")),
        ("'a'", "valueString", "a"),
        ("@2012", "valueDate", "2012"),
        ("@2012-02", "valueDate", "2012-02"),
        ("@2012-02-29", "valueDate", "2012-02-29"),
        ("@2012-02-29T", "valueDateTime", "2012-02-29"),
        ("@2012-02-29T10", "valueDateTime", "2012-02-29T10"),
        ("@2012-02-29T10:30", "valueDateTime", "2012-02-29T10:30"),
        ("@2012-02-29T10:30:05", "valueDateTime", "2012-02-29T10:30:05"),
        ("@2012-02-29T10:30:05.120", "valueDateTime", "2012-02-29T10:30:05.120"),
        ("@2012-02-29T10:30:05.120-05:30", "valueDateTime", "2012-02-29T10:30:05.120-05:30"),
        ("minimum DateTime", "valueDateTime", "0001-01-01T00:00:00.000Z"),
        ("maximum DateTime", "valueDateTime", "9999-12-31T23:59:59.999Z"),
        ("ToDateTime('2014-01-01T00:00:00Z')", "valueDateTime", "2014-01-01T00:00:00+00:00"),
        ("@T10:30:05.120", "valueTime", "10:30:05.120"),
        ("5 'mg'", "valueQuantity", {"value": Decimal(5), **MG}),
        (
            "2 years",
            "valueQuantity",
            {
                "value": Decimal(2),
                "unit": "years",
                "system": "http://hl7.org/fhirpath/CodeSystem/calendar-units",
                "code": "years",
            },
        ),
        (
            "1 'mg' : 2 'mg'",
            "valueRatio",
            {"numerator": {"value": Decimal(1), **MG}, "denominator": {"value": Decimal(2), **MG}},
        ),
        (
            "Code { system: 'http://loinc.org', code: '8480-6', display: 'SBP' }",
            "valueCoding",
            {"system": "http://loinc.org", "code": "8480-6", "display": "SBP"},
        ),
        (
            "Concept { codes: { Code { code: 'a' }, Code { code: 'b' } }, display: 'both' }",
            "valueCodeableConcept",
            {"coding": [{"code": "a"}, {"code": "b"}], "text": "both"},
        ),
    ],
)
def test_each_type_has_its_element(expression, element, value):
    (given,) = answer(expression)
    assert given == {element: value}
    assert type(given[element]) is type(value)


@pytest.mark.parametrize(
    ("expression", "element", "value", "precision"),
    [
        ("@T10", "valueTime", "10:00:00", "h"),
        ("@T10:30", "valueTime", "10:30:00", "min"),
        ("@2012-02-29T10+01:00", "valueDateTime", "2012-02-29T10:00:00+01:00", "h"),
        ("@2012-02-29T10:30Z", "valueDateTime", "2012-02-29T10:30:00+00:00", "min"),
    ],
)
def test_a_time_without_seconds_is_filled_and_says_its_precision(expression, element, value, precision):
    (given,) = answer(expression)
    declared = {"extension": [{"url": f"{EXTENSIONS}time-precision", "valueCode": precision}]}
    assert given == {element: value, f"_{element}": declared}


def test_null_and_what_is_empty_are_told_apart():
    assert answer("null") == [NULL]
    assert answer("List<Integer>{}") == [EMPTY_LIST]
    assert parameter("return", {})["_valueBoolean"]["extension"][0]["url"] == f"{EXTENSIONS}cqf-isEmptyTuple"


def test_a_list_repeats_the_parameter_and_keeps_its_nulls():
    assert answer("{ 1, null, 3 }") == [{"valueInteger": 1}, NULL, {"valueInteger": 3}]


def test_lists_within_lists_are_parts_named_element():
    assert answer("{ { 1, 2 }, List<Integer>{} }") == [
        {"part": [{"name": "element", "valueInteger": 1}, {"name": "element", "valueInteger": 2}]},
        EMPTY_LIST,
    ]


def test_tuples_are_parts_by_the_name_of_the_element():
    assert answer("Tuple { id: 1, names: { 'a' }, none: null }") == [
        {
            "part": [
                {"name": "id", "valueInteger": 1},
                {"name": "names", "part": [{"name": "element", "valueString": "a"}]},
                {"name": "none", **NULL},
            ]
        }
    ]


def test_intervals_keep_open_and_null_bounds():
    assert answer("Interval(@2012-01, null]") == [
        {
            "part": [
                {"name": "lowClosed", "valueBoolean": False},
                {"name": "low", "valueDate": "2012-01"},
                {"name": "highClosed", "valueBoolean": True},
                {"name": "high", **NULL},
            ]
        }
    ]


def test_an_uncertain_number_is_the_interval_of_its_values():
    (given,) = answer("hours between @T06 and @T07:00:00")
    assert [part.get("valueInteger") for part in given["part"]] == [None, 0, None, 1]


def test_resources_and_elements_stay_fhir():
    patient = {"resourceType": "Patient", "id": "a"}
    assert parameter("return", patient) == {"name": "return", "resource": patient}
    period = Boxed("Period", {"start": "2012"})
    assert parameter("return", period) == {"name": "return", "valuePeriod": {"start": "2012"}}


def test_an_error_is_an_outcome_in_its_own_parameter():
    with pytest.raises(EvaluationError) as caught:
        evaluate("singleton from { 1, 2 }")
    (given,) = error_parameters(caught.value)["parameter"]
    assert given["name"] == "evaluation error"
    assert given["resource"]["resourceType"] == "OperationOutcome"
    (issue,) = given["resource"]["issue"]
    assert (issue["severity"], issue["code"]) == ("error", "processing")


def test_what_is_no_cql_value_is_refused():
    with pytest.raises(ContentError, match="no CQL value"):
        parameters({"a": {1, 2}})
