"""Every operation, at once or by a job, tells of a patient who cannot be evaluated and counts the others."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deqm_data import DIABETES, URL, group, patient
from fastapi.testclient import TestClient
from served import YEAR, issue, put, start

from measurewise.api.settings import Settings
from measurewise.store.resources import write

CQL = """
library Fragile version '1.0.0'
using FHIR version '4.0.1'
parameter "Measurement Period" Interval<DateTime>
context Patient
define "Initial Population": true
define "Denominator": true
define "Numerator": "One Test" is not null and "No Allergy"
define "One Test": singleton from ([Observation])
define "No Allergy":
  Message(true, exists [AllergyIntolerance], 'allergy', 'Error', 'there must be no allergy')
"""
MEASURE = "https://clinic.example/Measure/Fragile"
CODES = "http://terminology.hl7.org/CodeSystem/measure-population"


def content() -> list[dict[str, Any]]:
    def population(code: str, expression: str) -> dict[str, Any]:
        return {
            "code": {"coding": [{"system": CODES, "code": code}]},
            "criteria": {"language": "text/cql-identifier", "expression": expression},
        }

    return [
        {
            "resourceType": "Library", "id": "Fragile", "url": "https://clinic.example/Library/Fragile",
            "name": "Fragile", "version": "1.0.0", "status": "active",
            "type": {"coding": [{"code": "logic-library"}]},
            "content": [{"contentType": "text/cql", "data": base64.b64encode(CQL.encode()).decode()}],
        },
        {
            "resourceType": "Measure", "id": "Fragile", "url": MEASURE, "name": "Fragile", "version": "1.0.0",
            "status": "active", "library": ["https://clinic.example/Library/Fragile|1.0.0"],
            "scoring": {"coding": [{"code": "proportion"}]},
            "improvementNotation": {"coding": [{"code": "increase"}]},
            "group": [{"population": [
                population("initial-population", "Initial Population"),
                population("denominator", "Denominator"),
                population("numerator", "Numerator"),
            ]}],
        },
    ]  # fmt: skip


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"url": "https://clinic.example/deep"}
    for _ in range(levels):
        found = {"url": "https://clinic.example/deep", "extension": [found]}
    return found


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A measure fails for ``two`` and ``allergic``, every measure for ``deep``; ``gone`` is not there."""
    folder: Path = tmp_path_factory.mktemp("failing")
    for served in start(Settings(data_folder=folder, _env_file=None)):  # type: ignore[call-arg]
        put(served, *content(), group("all", "good", "two", "allergic", "deep", "gone"))
        for name in ("good", "two", "allergic", "deep"):
            put(served, *patient(name))
        test = patient("two")[3]
        put(served, {**test, "id": "two-second"})
        about = {"reference": "Patient/allergic"}
        put(served, {"resourceType": "AllergyIntolerance", "id": "nuts", "patient": about})
        # Past the API, which takes nothing that is nested so deeply.
        hostile = {**patient("deep")[3], "contained": [{"resourceType": "Basic", "id": "b"}]}
        with served.app.state.services.database.write() as connection:  # type: ignore[attr-defined]
            write(connection, "default", {**hostile, "extension": [nested(450)]})
        yield served


def answer_to(client: TestClient, operation: str, asked: dict[str, Any], prefer: str) -> dict[str, Any]:
    """The resource that an operation answers with, whether at once or by a job."""
    given = client.get(f"/fhir/Measure/{operation}", params={**YEAR, **asked}, headers={"prefer": prefer})
    if given.status_code == 202:
        where = given.headers["content-location"]
        until = time.monotonic() + 60
        while (given := client.get(where)).status_code == 202:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert given.status_code == 200, given.text
        found: dict[str, Any] = given.json()["entry"][0]["resource"]
        return found
    # One operation has no job; the others must have been one where that was asked for.
    assert not prefer or operation == "$collect-data"
    assert given.status_code == 200, given.text
    return dict(given.json())


def within(node: Any, kind: str) -> list[dict[str, Any]]:
    """All resources of a type in an answer."""
    if isinstance(node, list):
        return [one for item in node for one in within(item, kind)]
    if not isinstance(node, dict):
        return []
    mine = [node] if node.get("resourceType") == kind else []
    return mine + [one for value in node.values() for one in within(value, kind)]


def told(answer: dict[str, Any]) -> set[str]:
    """Whom an answer says that they could not be evaluated, by OperationOutcomes."""
    issues = [one for outcome in within(answer, "OperationOutcome") for one in outcome["issue"]]
    assert all(one["severity"] == "error" for one in issues)
    return {name for one in issues for name in re.findall("Patient/([a-z]+)", one["diagnostics"])}


def initial(report: dict[str, Any]) -> int:
    return int(report["group"][0]["population"][0]["count"])


BOTH = {"measureUrl": [MEASURE, URL + DIABETES], "subject": "Group/all"}
FAILING = {"two", "allergic", "deep", "gone"}
HOW = pytest.mark.parametrize("prefer", ["", "respond-async"], ids=["at once", "by a job"])


@HOW
@pytest.mark.parametrize("kind", ["population", "summary", "subject-list"])
def test_reports_on_many_count_the_others_and_name_who_failed(
    client: TestClient, kind: str, prefer: str
) -> None:
    answer = answer_to(client, "$evaluate", {**BOTH, "reportType": kind}, prefer)
    fragile, diabetes = within(answer, "MeasureReport")
    # Who fails in one measure counts in the other.
    assert (initial(fragile), initial(diabetes)) == (1, 3)
    assert told(answer) == FAILING


@HOW
@pytest.mark.parametrize("kind", ["population", "subject-list"])
def test_the_report_of_r4_does_so_too(client: TestClient, kind: str, prefer: str) -> None:
    asked = {"measure": MEASURE, "subject": "Group/all", "reportType": kind}
    answer = answer_to(client, "$evaluate-measure", asked, prefer)
    assert answer["resourceType"] == "MeasureReport"
    assert initial(answer) == 1
    assert told(answer) == FAILING


@HOW
@pytest.mark.parametrize("kind", ["subject", "individual"])
@pytest.mark.parametrize(
    ("operation", "asked"),
    [("$evaluate", BOTH), ("$evaluate-measure", {"measure": MEASURE, "subject": "Group/all"})],
    ids=["DEQM", "R4"],
)
def test_individual_reports_are_there_of_the_others(
    client: TestClient, operation: str, asked: dict[str, Any], kind: str, prefer: str
) -> None:
    answer = answer_to(client, operation, {**asked, "reportType": kind}, prefer)
    by_measure: dict[str, set[str]] = {}
    for report in within(answer, "MeasureReport"):
        name = report["measure"].partition("|")[0].rpartition("/")[2]
        by_measure.setdefault(name, set()).add(report["subject"]["reference"].partition("/")[2])
    expected = {"Fragile": {"good"}}
    if operation == "$evaluate":
        expected[DIABETES] = {"good", "two", "allergic"}
    assert by_measure == expected
    assert told(answer) == FAILING


@HOW
def test_gaps_are_told_of_the_others(client: TestClient, prefer: str) -> None:
    every = ["open-gap", "closed-gap", "prospective-gap", "not-applicable"]
    answer = answer_to(client, "$care-gaps", {**BOTH, "status": every}, prefer)
    found = {
        (report["measure"].partition("|")[0].rpartition("/")[2], report["subject"]["reference"][8:])
        for report in within(answer, "MeasureReport")
    }
    assert found == {("Fragile", "good"), (DIABETES, "good"), (DIABETES, "two"), (DIABETES, "allergic")}
    assert told(answer) == FAILING


@HOW
def test_data_are_collected_of_the_others(client: TestClient, prefer: str) -> None:
    answer = answer_to(client, "$collect-data", BOTH, prefer)
    subjects = [report["subject"]["reference"][8:] for report in within(answer, "MeasureReport")]
    # Nothing is computed here, so only data that cannot be read fail.
    assert subjects == ["good", "good", "two", "two", "allergic", "allergic"]
    assert told(answer) == {"deep", "gone"}


@pytest.mark.parametrize("operation", ["$evaluate", "$collect-data"])
def test_of_one_patient_alone_the_failure_is_the_answer(client: TestClient, operation: str) -> None:
    asked = {**YEAR, "measureUrl": URL + DIABETES, "subject": "Patient/deep"}
    refused = client.get(f"/fhir/Measure/{operation}", params=asked)
    assert refused.status_code == 422, refused.text
    assert "nested too deeply" in issue(refused)["details"]["text"]
    assert "Patient/deep" in issue(refused)["diagnostics"]
