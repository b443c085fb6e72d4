"""What an EHR may send that nobody thought of: every part of it is honoured, reported or refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from served import YEAR, issue, put, start

from measurewise.api.settings import Settings

MEASURE = "DiabetesGlycemicControl"
EVALUATE = f"/fhir/Measure/{MEASURE}/$evaluate"
EVALUATE_R4 = f"/fhir/Measure/{MEASURE}/$evaluate-measure"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("unusual")
    yield from start(Settings(data_folder=folder, _env_file=None))  # type: ignore[call-arg]


def patient(identity: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": identity, "birthDate": "1970-05-01", **more}


def group(*members: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Group", "type": "person", "actual": True, "member": list(members), **more}


def named(reference: str, **more: Any) -> dict[str, Any]:
    return {"entity": {"reference": reference}, **more}


def evaluate(client: TestClient, *parameters: dict[str, Any], kind: str = "subject-list") -> Any:
    """The answer to ``$evaluate`` with these parameters beside the period."""
    given = [
        {"name": "periodStart", "valueDate": YEAR["periodStart"]},
        {"name": "periodEnd", "valueDate": YEAR["periodEnd"]},
        {"name": "reportType", "valueCode": kind},
        *parameters,
    ]
    return client.post(EVALUATE, json={"resourceType": "Parameters", "parameter": given})


def of_group(client: TestClient, **members: Any) -> tuple[list[str], list[str]]:
    """The patients who were evaluated for a group, and what is said of those who were not."""
    answer = evaluate(client, {"name": "subjectGroup", "resource": members["group"]}, kind="individual")
    assert answer.status_code == 200, answer.text
    parts = answer.json().get("parameter", ())
    bundles = [part["resource"] for part in parts if part["name"] == "return"]
    subjects = [bundle["entry"][0]["resource"]["subject"]["reference"] for bundle in bundles]
    listed = evaluate(client, {"name": "subjectGroup", "resource": members["group"]})
    report = listed.json()["parameter"][0]["resource"]["entry"][0]["resource"]
    outcomes = [one for one in report.get("contained", ()) if one["resourceType"] == "OperationOutcome"]
    return sorted(subjects), [said["diagnostics"] for one in outcomes for said in one["issue"]]


def test_members_of_a_group_are_found_by_identifier(client: TestClient) -> None:
    put(client, patient("a", identifier=[{"system": "urn:mrn", "value": "7"}]))
    by_identifier = {"entity": {"identifier": {"system": "urn:mrn", "value": "7"}}}
    assert of_group(client, group=group(by_identifier, named("Patient/a"))) == (["Patient/a"], [])


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ({"entity": {"identifier": {"system": "urn:mrn", "value": "9"}}}, "urn:mrn|9"),
        (named("Practitioner/p"), "Practitioner/p"),
        ({"entity": {"display": "Anna"}}, "Group.member[1]"),
        ({}, "Group.member[1]"),
        ("Patient/a", "Group.member[1]"),
        (named("Group/nowhere"), "Group/nowhere"),
    ],
)
def test_a_member_who_cannot_be_evaluated_is_reported(client: TestClient, member: Any, said: str) -> None:
    put(client, patient("a"))
    subjects, missing = of_group(client, group=group(named("Patient/a"), member))
    assert subjects == ["Patient/a"]
    assert len(missing) == 1
    assert said in missing[0]


def test_former_members_are_left_out_without_a_word(client: TestClient) -> None:
    put(client, patient("a"), patient("b"), patient("c"))
    members = (
        named("Patient/a", period={"start": "2026-06-01"}),
        named("Patient/b", period={"end": "2025-12-31"}),
        named("Patient/c", inactive=True),
    )
    assert of_group(client, group=group(*members)) == (["Patient/a"], [])


def test_groups_that_hold_each_other_many_times_over_are_each_looked_at_once(client: TestClient) -> None:
    put(client, patient("a"))
    depth = 40
    for level in range(depth):
        inner = (named(f"Group/left-{level + 1}"), named(f"Group/right-{level + 1}"))
        for side in ("left", "right"):
            put(client, group(*inner, named("Group/left-0"), id=f"{side}-{level}"))
    for side in ("left", "right"):
        put(client, group(named("Patient/a"), id=f"{side}-{depth}"))
    answer = client.get(f"{EVALUATE_R4}?periodStart=2026-01-01&periodEnd=2026-12-31&subject=Group/left-0")
    assert answer.status_code == 200
    assert not [one for one in answer.json()["contained"] if one["resourceType"] == "OperationOutcome"]


@pytest.mark.parametrize(
    ("given", "where"),
    [
        (
            {"actual": False, "characteristic": [{"code": {"text": "age"}, "valueBoolean": True}]},
            "Group.characteristic",
        ),
        ({"member": {"entity": {"reference": "Patient/a"}}}, "Group.member"),
        ({"type": "animal"}, "Group.type"),
    ],
)
def test_a_group_whose_members_cannot_be_told_is_refused(
    client: TestClient, given: dict[str, Any], where: str
) -> None:
    resource = {"resourceType": "Group", "type": "person", "actual": True, **given}
    answer = evaluate(client, {"name": "subjectGroup", "resource": resource})
    assert answer.status_code == 400
    assert issue(answer)["expression"] == [where]


def outcome_of(answer: Any) -> list[str]:
    """What an answer says of those who were not evaluated."""
    assert answer.status_code == 200, answer.text
    (found,) = (one["resource"] for one in answer.json()["parameter"] if one["name"] == "not-evaluated")
    return [said["diagnostics"] for said in found["issue"]]


@pytest.mark.parametrize("operation", ["evaluate", "care-gaps"])
@pytest.mark.parametrize("prefer", ["", "respond-async"])
def test_whoever_is_not_there_is_told_of_beside_the_reports_on_others(
    client: TestClient, operation: str, prefer: str
) -> None:
    put(client, patient("a"), group(named("Patient/a"), named("Patient/nobody"), id="two"))
    asked = {**YEAR, "measureId": MEASURE, "subject": "Group/two"}
    more = {"evaluate": {"reportType": "individual"}, "care-gaps": {"status": "open-gap"}}.get(operation, {})
    answer = client.get(
        f"/fhir/Measure/${operation}", params={**asked, **more}, headers={"Prefer": prefer} if prefer else {}
    )
    if answer.status_code == 202:
        answer = waited_for(client, answer)
    (said,) = outcome_of(answer)
    assert "Patient/nobody" in said
    # Somebody without gaps has no document.
    returned = [one for one in answer.json()["parameter"] if one["name"] == "return"]
    assert len(returned) == (operation == "evaluate")


def test_whoever_is_not_there_is_told_of_beside_reports_in_a_bundle(client: TestClient) -> None:
    put(client, patient("a"), group(named("Patient/a"), named("Patient/nobody"), id="two"), group(id="none"))
    asked = {**YEAR, "reportType": "subject"}
    answer = client.get(EVALUATE_R4, params={**asked, "subject": "Group/two"}).json()
    report, outcome = (entry["resource"] for entry in answer["entry"])
    assert (report["resourceType"], report["subject"]["reference"]) == ("MeasureReport", "Patient/a")
    assert "Patient/nobody" in outcome["issue"][0]["diagnostics"]
    assert "entry" not in client.get(EVALUATE_R4, params={**asked, "subject": "Group/none"}).json()


def waited_for(client: TestClient, accepted: Any) -> Any:
    """The answer of a job in place of the one that says that it was queued."""
    for _ in range(600):
        polled = client.get(accepted.headers["content-location"])
        if polled.status_code != 202:
            (entry,) = polled.json()["entry"]
            return Answer(entry["resource"])
        time.sleep(0.05)
    raise AssertionError("the job never ended")


class Answer:
    """A job's result, as if it had been the answer of the request."""

    status_code = 200

    def __init__(self, resource: dict[str, Any]) -> None:
        self.text = str(resource)
        self.json = lambda: resource


@pytest.mark.parametrize(
    "given",
    [
        5,
        [5],
        [{"name": "x"}],
        [{"name": "x", "valueInteger": "many"}],
        [{"name": "x", "valueBoolean": "yes"}],
        [{"name": "x", "valueString": 7}],
        [{"name": "x", "valueDecimal": "NaN"}],
        [{"name": "x", "valuePeriod": "2026"}],
        [{"name": "x", "valuePeriod": {"start": "soon"}}],
        [{"name": "x", "valueQuantity": [1]}],
        [{"name": "x", "valueQuantity": {"value": "NaN"}}],
        [{"name": "x", "valueQuantity": {"value": True}}],
        [{"name": "x", "valueCoding": "x"}],
        [{"name": "x", "valueCodeableConcept": {"coding": [1]}}],
        [{"name": "x", "valueRatio": {"numerator": 1}}],
    ],
)
def test_cql_parameters_that_are_none_are_refused(client: TestClient, given: Any) -> None:
    resource = {"resourceType": "Parameters", "parameter": given}
    put(client, patient("a"))
    subject = {"name": "subject", "valueString": "Patient/a"}
    answer = evaluate(client, subject, {"name": "parameters", "resource": resource}, kind="individual")
    assert answer.status_code == 400
    assert issue(answer)["expression"][0].startswith("parameters.parameter")


@pytest.mark.parametrize("value", [{"valueString": None}, {"valueBoolean": True}, {"valueString": ["a"]}])
def test_a_subject_that_is_no_text_is_refused(client: TestClient, value: dict[str, Any]) -> None:
    answer = evaluate(client, {"name": "subject", **value})
    assert answer.status_code == 400
    assert issue(answer)["expression"] == ["Parameters.parameter[3]"]


@pytest.mark.parametrize("place", ["Location/nowhere", "nowhere"])
def test_a_location_that_is_not_there_is_not_found(client: TestClient, place: str) -> None:
    answer = evaluate(client, {"name": "location", "valueString": place})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("start", "end", "period"),
    [
        ("2026", "2026", {"start": "2026-01-01", "end": "2026-12-31"}),
        ("2024-01", "2024-02", {"start": "2024-01-01", "end": "2024-02-29"}),
        ("2026-03-01", "2026-03-01", {"start": "2026-03-01", "end": "2026-03-01"}),
    ],
)
def test_a_report_states_its_period_in_days(
    client: TestClient, start: str, end: str, period: dict[str, str]
) -> None:
    put(client, patient("a"))
    asked = {"periodStart": start, "periodEnd": end, "subject": "Patient/a"}
    assert client.get(EVALUATE_R4, params=asked).json()["period"] == period
    bundle = client.get(EVALUATE, params=asked).json()["parameter"][0]["resource"]
    assert bundle["entry"][0]["resource"]["period"] == period


@pytest.mark.parametrize("name", ["measure", "measureId", "measureUrl", "measureIdentifier"])
def test_a_measure_is_named_in_one_place(client: TestClient, name: str) -> None:
    answer = client.get(EVALUATE, params={**YEAR, name: MEASURE})
    assert answer.status_code == 400
    assert name in issue(answer)["expression"][0]


@pytest.mark.parametrize("operation", ["evaluate", "care-gaps"])
@pytest.mark.parametrize("reporter", ["clinic", "Patient/a", "Organization/", "Organization/a b"])
def test_who_cannot_report_is_refused(client: TestClient, operation: str, reporter: str) -> None:
    put(client, patient("a"))
    asked = {**YEAR, "measureId": MEASURE, "subject": "Patient/a", "reporter": reporter}
    more = {"status": "open-gap"} if operation == "care-gaps" else {}
    answer = client.get(f"/fhir/Measure/${operation}", params={**asked, **more})
    assert answer.status_code == 400
    assert "reporter" in issue(answer)["expression"][0]


@pytest.mark.parametrize("name", ["Measurement Period", "Nobody asks for this"])
def test_a_cql_parameter_that_would_change_nothing_is_refused(client: TestClient, name: str) -> None:
    value = {"name": name, "valuePeriod": {"start": "2025-01-01", "end": "2025-12-31"}}
    resource = {"resourceType": "Parameters", "parameter": [value]}
    answer = evaluate(client, {"name": "parameters", "resource": resource})
    assert answer.status_code == 400
    assert name in issue(answer)["diagnostics"]


@pytest.mark.parametrize("second", ["Patient/twice", "Patient?_id=twice"])
def test_a_transaction_that_changes_a_resource_twice_fails_whole(client: TestClient, second: str) -> None:
    put(client, patient("twice"))
    entries = [
        {"resource": patient("twice", gender=gender), "request": {"method": "PUT", "url": url}}
        for gender, url in (("male", "Patient/twice"), ("female", second))
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = client.post("/fhir", json=bundle)
    assert answer.status_code == 400
    assert issue(answer)["expression"] == ["Bundle.entry[1].request.url"]
    assert "gender" not in client.get("/fhir/Patient/twice").json()
    assert client.post("/fhir", json={**bundle, "type": "batch"}).status_code == 200
    assert client.get("/fhir/Patient/twice").json()["gender"] == "female"
