from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from given_measures import (
    PROPORTION,
    GivenDefinitions,
    criteria,
    encounter,
    group,
    measure,
    observation,
    population,
)

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.definition import MeasureDefinition
from measurewise.engine.measure.extensions import CRITERIA_REFERENCE, DATA_ABSENT_REASON, SUPPLEMENTAL_DATA
from measurewise.engine.measure.populations import evaluate_patient
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.measure.reports.data_collection import data_collection_report
from measurewise.engine.measure.reports.edge import to_json, validate
from measurewise.engine.measure.reports.individual import individual_report
from measurewise.engine.measure.reports.parts import Reporting
from measurewise.engine.measure.reports.subject_list import subject_list_report
from measurewise.engine.measure.reports.summary import summary_report
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.runtime.temporal import Date, DateTime, pack
from measurewise.engine.runtime.values import Boxed, Code, Concept, Interval, Quantity, Ratio, Tuple

REPORTING = Reporting("2026-01-01", "2026-12-31", "2027-01-15T08:00:00Z", "Organization/1")
NAMES = [item["criteria"]["expression"].replace(" ", "_") for item in PROPORTION]
A, B, C = (encounter(name) for name in "abc")

SCREENING = read_measure(
    measure(
        group(
            "proportion",
            *[{**item, "description": f"The {item['id']}"} for item in PROPORTION],
            basis="Encounter",
            stratifier=[
                {"id": "s", "description": "Urgent ones", "criteria": criteria("Urgent")},
                {"id": "m", "component": [{"criteria": criteria("Sex")}, {"criteria": criteria("Urgent")}]},
            ],
        ),
        supplementalData=[
            {"id": "sde", "criteria": criteria("SDE")},
            {
                "id": "risk",
                "criteria": criteria("Risk"),
                "usage": [{"coding": [{"code": "risk-adjustment-factor"}]}],
            },
        ],
    )
)
WAITING = read_measure(
    measure(
        group(
            "continuous-variable",
            population("initial-population"),
            population("measure-population"),
            observation("o", "Minutes", "measure-population", "Average"),
            basis="Encounter",
        ),
        group("cohort", population("initial-population", "Cohort", id="c"), id="g2"),
    )
)


def screened(subject: str = "Patient/1", sde: Any = None, numerator: int = 1) -> PatientResult:
    lists = ([A, B, C], [A, B, C], [A], [B, C][:numerator], [], [])
    return evaluate_patient(
        SCREENING,
        GivenDefinitions(
            [A, B, C, {"resourceType": "Condition", "id": "x"}],
            **dict(zip(NAMES, lists, strict=True)),
            Urgent=[B],
            Sex="F",
            SDE=sde,
            Risk=[A],
        ),
        subject,
        supplemental_data=True,
        evaluated_resources=True,
    )


def waited(*minutes: Any) -> PatientResult:
    stays = [encounter(str(number)) for number, _ in enumerate(minutes)]
    given = GivenDefinitions(
        Initial_Population=stays,
        Measure_Population=stays,
        Minutes=lambda e: minutes[int(e["id"])],
        Cohort=True,
    )
    return evaluate_patient(WAITING, given, "Patient/1")


def rendered(report: dict[str, Any]) -> dict[str, Any]:
    validate(report)
    parsed: dict[str, Any] = json.loads(to_json(report), parse_float=Decimal)
    return parsed


def test_an_individual_report_states_measure_patient_counts_and_score() -> None:
    report = rendered(individual_report(SCREENING, screened(), REPORTING))
    assert report["type"] == "individual"
    assert report["measure"] == "http://example.org/Measure/Example|1.0.0"
    assert report["subject"] == {"reference": "Patient/1"}
    assert report["reporter"] == {"reference": "Organization/1"}
    assert report["period"] == {"start": "2026-01-01", "end": "2026-12-31"}
    assert report["meta"]["profile"][0].endswith("/indv-measurereport-deqm")
    assert report["improvementNotation"]["coding"][0]["code"] == "increase"
    (only,) = report["group"]
    assert only["id"] == "group-1"
    assert [(p["id"], p["count"]) for p in only["population"]] == [
        ("initial-population", 3),
        ("denominator", 3),
        ("denominator-exclusion", 1),
        ("numerator", 1),
        ("numerator-exclusion", 0),
        ("denominator-exception", 0),
    ]
    assert only["population"][0]["extension"][0]["valueMarkdown"] == "The initial-population"
    assert only["measureScore"] == {"value": Decimal("0.5")}


def test_evaluated_resources_name_their_populations() -> None:
    report = rendered(individual_report(SCREENING, screened(), REPORTING))
    by_reference = {
        item["reference"]: [e["valueString"] for e in item.get("extension", ())]
        for item in report["evaluatedResource"]
    }
    assert by_reference == {
        "Encounter/a": ["initial-population", "denominator", "denominator-exclusion"],
        "Encounter/b": ["initial-population", "denominator", "numerator"],
        "Encounter/c": ["initial-population", "denominator"],
        "Condition/x": [],
    }


def test_strata_carry_value_counts_and_score() -> None:
    report = rendered(individual_report(SCREENING, screened(), REPORTING))
    plain, multi = report["group"][0]["stratifier"]
    assert plain["code"] == [{"text": "Urgent"}]
    assert [(s["value"]["text"], s["population"][0]["count"]) for s in plain["stratum"]] == [
        ("false", 2),
        ("true", 1),
    ]
    assert plain["stratum"][1]["measureScore"] == {"value": 1}
    assert "code" not in multi
    assert [[c["value"]["text"] for c in s["component"]] for s in multi["stratum"]] == [
        ["F", "false"],
        ["F", "true"],
    ]


def test_ids_are_the_same_every_time_and_differ_by_patient_and_period() -> None:
    first = individual_report(SCREENING, screened(), REPORTING)
    assert first == individual_report(SCREENING, screened(), REPORTING)
    other = individual_report(SCREENING, screened("Patient/2"), REPORTING)
    later = individual_report(SCREENING, screened(), Reporting("2027-01-01", "2027-12-31", "2028-01-01"))
    assert len({first["id"], other["id"], later["id"]}) == 3


def test_a_score_with_nothing_to_divide_by_is_absent_with_a_reason() -> None:
    result = evaluate_patient(SCREENING, GivenDefinitions(Initial_Population=[]), "Patient/1")
    report = rendered(individual_report(SCREENING, result, REPORTING))
    assert report["group"][0]["measureScore"] == {
        "extension": [{"url": DATA_ABSENT_REASON, "valueCode": "not-applicable"}]
    }


def test_groups_that_differ_state_scoring_each_for_itself() -> None:
    report = rendered(individual_report(WAITING, waited(Quantity(Decimal("7.5"), "min")), REPORTING))
    assert "extension" not in report
    codes = [
        [e["valueCodeableConcept"]["coding"][0]["code"] for e in g["extension"]] for g in report["group"]
    ]
    assert codes == [["continuous-variable", "increase"], ["cohort", "increase"]]
    assert report["group"][0]["measureScore"] == {
        "value": Decimal("7.5"),
        "unit": "min",
        "system": "http://unitsofmeasure.org",
        "code": "min",
    }
    assert "measureScore" not in report["group"][1]


def test_an_observation_carries_its_aggregate_method_and_source() -> None:
    report = rendered(individual_report(WAITING, waited(0, 1, 1), REPORTING))
    seen = report["group"][0]["population"][2]
    values = {
        e["url"].rsplit("/", 1)[-1]: next(v for k, v in e.items() if k != "url") for e in seen["extension"]
    }
    assert values == {
        "cqfm-criteriaReference": "measure-population",
        "cqfm-aggregateMethod": "average",
        "measurereport-countQuantity": {"value": Decimal("0.66666667")},
    }


MORNING = DateTime(pack(2026, 3, 1, 8, 30), 4, -300)


@pytest.mark.parametrize(
    ("value", "key", "shown"),
    [
        (True, "valueBoolean", True),
        ("F", "valueString", "F"),
        (3, "valueInteger", 3),
        (Decimal("1.10"), "valueQuantity", {"value": Decimal("1.10")}),
        (
            Quantity(Decimal("72.50"), "kg"),
            "valueQuantity",
            {"value": Decimal("72.50"), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
        ),
        (Code("M", "urn:sex"), "valueCodeableConcept", {"coding": [{"system": "urn:sex", "code": "M"}]}),
        (
            Concept([Code("M")], "Male"),
            "valueCodeableConcept",
            {"coding": [{"code": "M"}], "text": "Male"},
        ),
        (
            Tuple(codes=[Code("2106-3", "urn:race"), None], display="White"),
            "valueCodeableConcept",
            {"coding": [{"system": "urn:race", "code": "2106-3"}], "text": "White"},
        ),
        (Date(pack(2026, 3, 1)), "valueDateTime", "2026-03-01"),
        (MORNING, "valueDateTime", "2026-03-01T08:30:00-05:00"),
        (
            Interval(MORNING, None),
            "valuePeriod",
            {"start": "2026-03-01T08:30:00-05:00"},
        ),
        (
            Interval(1, 5),
            "valueRange",
            {"low": {"value": 1}, "high": {"value": 5}},
        ),
        (
            Ratio(Quantity(Decimal(1)), Quantity(Decimal(2), "h")),
            "valueRatio",
            {
                "numerator": {"value": 1},
                "denominator": {
                    "value": 2,
                    "unit": "h",
                    "system": "http://unitsofmeasure.org",
                    "code": "h",
                },
            },
        ),
        ({"coding": [{"code": "x"}]}, "valueCodeableConcept", {"coding": [{"code": "x"}]}),
        (
            {"system": "urn:x", "code": "x"},
            "valueCodeableConcept",
            {"coding": [{"system": "urn:x", "code": "x"}]},
        ),
        ({"start": "2026-01-01"}, "valuePeriod", {"start": "2026-01-01"}),
        (Boxed("string", "boxed"), "valueString", "boxed"),
    ],
)
def test_a_calculated_supplemental_datum_is_a_contained_observation(value: Any, key: str, shown: Any) -> None:
    report = rendered(individual_report(SCREENING, screened(sde=value), REPORTING))
    (seen,) = report["contained"]
    assert seen[key] == shown
    assert seen["code"] == {"text": "SDE"}
    found = [e["valueReference"] for e in report["extension"] if e["url"] == SUPPLEMENTAL_DATA]
    assert [(r["reference"], r["extension"][0]["valueString"]) for r in found] == [
        (f"#{seen['id']}", "sde"),
        ("Encounter/a", "risk"),
    ]
    assert found[0]["extension"][0]["url"] == CRITERIA_REFERENCE


def test_a_supplemental_tuple_becomes_components_and_a_list_several_observations() -> None:
    payer = Tuple(code={"coding": [{"code": "1"}]}, period={"start": "2026-01-01"})
    report = rendered(individual_report(SCREENING, screened(sde=[payer, "other", None]), REPORTING))
    first, second = report["contained"]
    assert [(c["code"]["text"], sorted(c)[1]) for c in first["component"]] == [
        ("code", "valueCodeableConcept"),
        ("period", "valuePeriod"),
    ]
    assert second["valueString"] == "other"


def test_a_summary_report_sums_up() -> None:
    summary = SummaryAccumulator(SCREENING).add_all([screened("Patient/1"), screened("Patient/2", None, 2)])
    report = rendered(summary_report(summary, REPORTING))
    assert report["type"] == "summary"
    assert "subject" not in report
    assert [p["count"] for p in report["group"][0]["population"]] == [6, 6, 2, 3, 0, 0]
    assert report["group"][0]["measureScore"] == {"value": Decimal("0.75")}
    assert report["group"][0]["stratifier"][0]["stratum"][1]["population"][0]["count"] == 2


def test_a_summary_report_counts_supplemental_data_within_each_population() -> None:
    asian, white = Code("2028-9", "urn:race"), Code("2106-3", "urn:race")
    people = [
        screened("Patient/1", Tuple(codes=[white], display="White")),
        screened("Patient/2", Tuple(codes=[white, asian], display="White, Asian"), 2),
        screened("Patient/3", None, 0),
    ]
    summary = SummaryAccumulator(SCREENING).add_all(people)
    report = rendered(summary_report(summary, REPORTING))
    *own, by_race = report["group"][0]["stratifier"]
    assert [stratifier["id"] for stratifier in own] == ["s", "m"]
    assert (by_race["id"], by_race["code"]) == ("sde", [{"text": "SDE"}])
    counted = {
        tuple(coding["code"] for coding in stratum["value"]["coding"]): [
            (population["id"], population["count"]) for population in stratum["population"]
        ]
        for stratum in by_race["stratum"]
    }
    assert set(counted) == {("2106-3",), ("2028-9", "2106-3"), ("unknown",)}
    assert counted["2028-9", "2106-3"] == [
        ("initial-population", 3),
        ("denominator", 3),
        ("denominator-exclusion", 1),
        ("numerator", 2),
        ("numerator-exclusion", 0),
        ("denominator-exception", 0),
    ]
    assert counted[("unknown",)][3] == ("numerator", 0)


def test_a_summary_report_of_a_mean_waiting_time() -> None:
    summary = SummaryAccumulator(WAITING).add_all([waited(1, 2), waited(3), waited()])
    report = rendered(summary_report(summary, REPORTING))
    assert report["group"][0]["measureScore"] == {"value": 2}
    assert report["group"][1]["population"][0]["count"] == 3


def test_a_subject_list_names_who_is_in_each_population() -> None:
    results = [screened("Patient/2"), screened("Patient/1", None, 0)]
    report = rendered(subject_list_report(SCREENING, results, REPORTING))
    assert report["type"] == "subject-list"
    lists = {item["id"]: item for item in report["contained"]}
    numerator = report["group"][0]["population"][3]
    assert numerator["count"] == 1
    listed = lists[numerator["subjectResults"]["reference"][1:]]["entry"]
    individual = individual_report(SCREENING, results[0], REPORTING)
    assert [entry["item"] for entry in listed] == [
        {"reference": f"MeasureReport/{individual['id']}", "display": "Patient/2"}
    ]
    everyone = lists[report["group"][0]["population"][0]["subjectResults"]["reference"][1:]]
    assert [entry["item"]["display"] for entry in everyone["entry"]] == ["Patient/1", "Patient/2"]


def test_a_data_collection_report_has_data_and_no_result() -> None:
    report = rendered(
        data_collection_report(SCREENING, "Patient/1", ["Encounter/a", "Encounter/a"], REPORTING)
    )
    assert report["evaluatedResource"] == [{"reference": "Encounter/a"}]
    assert "group" not in report
    assert report["extension"][0]["valueCode"] == "snapshot"


def test_an_invalid_report_is_an_error_that_names_the_element() -> None:
    report = individual_report(SCREENING, screened(), REPORTING)
    report["status"] = 5
    report["group"][0]["population"][0]["count"] = "many"
    with pytest.raises(ContentError, match="group") as caught:
        validate(report)
    assert "status" in str(caught.value)


def test_json_keeps_decimals_as_they_are() -> None:
    assert to_json({"value": Decimal("1.10")}) == b'{"value":1.10}'


def test_a_measure_without_version_is_named_by_its_url() -> None:
    definition: MeasureDefinition = read_measure(
        measure(group("cohort", population("initial-population")), version=None)
    )
    result = evaluate_patient(definition, GivenDefinitions(Initial_Population=True), "Patient/1")
    assert rendered(individual_report(definition, result, REPORTING))["measure"] == definition.url
