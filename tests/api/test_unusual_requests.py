"""What an EHR may send that nobody thought of: every part of it is honoured, reported or refused."""

from __future__ import annotations

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
    bundles = [part["resource"] for part in answer.json().get("parameter", ())]
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
