"""Gaps in care over HTTP: each status, on patients and on episodes, as DEQM's documents."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from deqm_data import DIABETES, group, patient
from fastapi.testclient import TestClient
from served import YEAR, issue, put, start

from measurewise.api.settings import Settings
from measurewise.engine.measure.definition import Group, Population, PopulationCode, Scoring
from measurewise.engine.measure.gaps import GapStatus, Standing, gap_status, standing
from measurewise.engine.measure.results import GroupResult

INTERVAL = "HospitalFollowUpInterval"
ALL = [str(status) for status in GapStatus]
PAST = {"periodStart": "2025-01-01", "periodEnd": "2025-12-31"}


def person(identity: str, day: str, a1c: float | None, **more: Any) -> list[dict[str, Any]]:
    """A person with diabetes, seen on a day, with or without a haemoglobin A1c."""
    demographics, visit, condition, test = patient(identity, **more)
    visit["period"] = {"start": f"{day}T09:00:00Z", "end": f"{day}T09:30:00Z"}
    test["effectiveDateTime"] = f"{day}T09:10:00Z"
    if a1c is None:
        return [demographics, visit, condition]
    test["valueQuantity"]["value"] = a1c
    return [demographics, visit, condition, test]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("gaps")
    for served in start(Settings(data_folder=folder, _env_file=None)):  # type: ignore[call-arg]
        put(
            served,
            {"resourceType": "Organization", "id": "org"},
            {"resourceType": "Practitioner", "id": "dr"},
        )
        mine = {
            "managingOrganization": {"reference": "Organization/org"},
            "generalPractitioner": [{"reference": "Practitioner/dr"}],
        }
        put(served, *person("done", "2025-05-05", 7.1, **mine))
        put(served, *person("undone", "2025-05-05", None, managingOrganization=mine["managingOrganization"]))
        put(served, *person("elsewhere", "2020-05-05", 7.1))
        put(served, group("all", "done", "undone", "elsewhere"))
        yield served


def gaps(client: TestClient, **asked: Any) -> dict[str, str]:
    """Each patient's gap by status."""
    answer = client.get("/fhir/Measure/$care-gaps", params={**PAST, "measureId": DIABETES, **asked})
    assert answer.status_code == 200, answer.text
    found = {}
    for part in answer.json().get("parameter", ()):
        bundle = part["resource"]
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "DetectedIssue":
                resource = entry["resource"]
                (extension,) = resource["modifierExtension"]
                status = extension["valueCodeableConcept"]["coding"][0]["code"]
                found[resource["patient"]["reference"].removeprefix("Patient/")] = status
    return found


def test_open_closed_and_not_applicable_gaps_are_told_apart(client: TestClient) -> None:
    told = gaps(client, subject="Group/all", status=ALL)
    assert told == {"done": "closed-gap", "undone": "open-gap", "elsewhere": "not-applicable"}
    assert gaps(client, subject="Group/all") == {"done": "closed-gap", "undone": "open-gap"}
    assert gaps(client, subject="Group/all", status="open-gap") == {"undone": "open-gap"}
    assert gaps(client, subject="Patient/done", status="open-gap") == {}


def test_a_gap_that_only_the_future_opens_is_prospective(client: TestClient) -> None:
    """Done within the year until today; by the end of a period that lies ahead it will lack again."""
    today = date.today()
    lately = (today - timedelta(days=40)).isoformat()
    put(client, *person("ahead", lately, 7.1))
    # From tomorrow's point of view the visit is made, the test is not.
    visit = person("ahead", (today + timedelta(days=20)).isoformat(), None)[1]
    put(client, {**visit, "id": "ahead-visit-2"})
    coming = {
        "periodStart": (today + timedelta(days=1)).isoformat(),
        "periodEnd": (today + timedelta(days=330)).isoformat(),
    }
    told = gaps(client, subject="Patient/ahead", status=ALL, **coming)
    assert told == {"ahead": "prospective-gap"}
    put(client, *person("lacking", lately, None))
    visit = person("lacking", (today + timedelta(days=20)).isoformat(), None)[1]
    put(client, {**visit, "id": "lacking-visit-2"})
    assert gaps(client, subject="Patient/lacking", status=ALL, **coming) == {"lacking": "open-gap"}


def test_a_patients_gaps_are_a_document(client: TestClient) -> None:
    asked = {**PAST, "measureId": DIABETES, "subject": "Patient/undone", "reporter": "Organization/org"}
    bundle = client.get("/fhir/Measure/$care-gaps", params=asked).json()["parameter"][0]["resource"]
    assert bundle["type"] == "document"
    resources = [entry["resource"] for entry in bundle["entry"]]
    kinds = [resource["resourceType"] for resource in resources]
    assert kinds[:3] == ["Composition", "DetectedIssue", "MeasureReport"]
    assert {"Patient", "Organization"} <= set(kinds)
    composition, detected, report = resources[:3]
    (section,) = composition["section"]
    assert section["focus"]["reference"] == f"MeasureReport/{report['id']}"
    assert section["entry"] == [{"reference": f"DetectedIssue/{detected['id']}"}]
    assert detected["evidence"][0]["detail"][0]["reference"] == f"MeasureReport/{report['id']}"
    assert report["type"] == "individual"
    plain = client.get("/fhir/Measure/$care-gaps", params={**asked, "isDocument": "false"}).json()
    assert plain["parameter"][0]["resource"]["type"] == "collection"


def test_an_organizations_patients_and_a_practitioners_among_them(client: TestClient) -> None:
    assert gaps(client, organization="Organization/org") == {"done": "closed-gap", "undone": "open-gap"}
    theirs = gaps(client, organization="Organization/org", practitioner="Practitioner/dr")
    assert theirs == {"done": "closed-gap"}


def test_measures_are_chosen_by_topic_and_programme(client: TestClient) -> None:
    measure = client.get(f"/fhir/Measure/{DIABETES}").json()
    tagged = {
        **measure,
        "id": "Tagged",
        "version": "2.0.0",
        "topic": [{"coding": [{"system": "http://topics", "code": "diabetes"}]}],
        "useContext": [
            {
                "code": {"code": "program"},
                "valueCodeableConcept": {"coding": [{"system": "http://programs", "code": "mips"}]},
            }
        ],
    }
    put(client, tagged)
    for asked in ({"topic": "diabetes"}, {"topic": "http://topics|diabetes"}, {"program": "mips"}):
        answer = client.get(
            "/fhir/Measure/$care-gaps", params={**PAST, "subject": "Patient/undone", **asked}
        ).json()
        report = answer["parameter"][0]["resource"]["entry"][2]["resource"]
        assert report["measure"].endswith("|2.0.0")
    for asked in ({"topic": "bowling"}, {"program": "bowling"}):
        answer = client.get("/fhir/Measure/$care-gaps", params={**PAST, "subject": "Patient/undone", **asked})
        assert answer.status_code == 404
    client.delete("/fhir/Measure/Tagged")


def test_without_a_measure_all_proportions_are_asked(client: TestClient) -> None:
    answer = client.get(
        "/fhir/Measure/$care-gaps", params={**PAST, "subject": "Patient/undone", "status": ALL}
    )
    measures = {
        entry["resource"]["measure"]
        for part in answer.json()["parameter"]
        for entry in part["resource"]["entry"]
        if entry["resource"]["resourceType"] == "MeasureReport"
    }
    assert len(measures) == 2


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"measureId": DIABETES}, 400, "'subject' is missing"),
        ({"subject": "Patient/done", "organization": "Organization/org"}, 400, "exclude each other"),
        ({"subject": "Patient/done", "practitioner": "Practitioner/dr"}, 400, "'organization' is missing"),
        ({"subject": "Patient/no_such_id"}, 400, "Write Patient/[id] or Group/[id]"),
        ({"subject": "Device/1"}, 400, "Write Patient/[id] or Group/[id]"),
        ({"subject": "Patient/nobody"}, 404, "no Patient/nobody"),
        ({"subject": "Patient/done", "measureId": "nothing"}, 404, "no measure"),
        ({"subject": "Patient/done", "status": "ajar"}, 400, "is one of open-gap"),
        ({"subject": "Patient/done", "periodStart": "then"}, 400, "is no date"),
        (
            {"subject": "Patient/done", "measureId": "HospitalFollowUpInterval"},
            400,
            "no care gaps can be told",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    client: TestClient, asked: dict[str, str], status: int, said: str
) -> None:
    answer = client.get("/fhir/Measure/$care-gaps", params={**YEAR, **asked})
    assert answer.status_code == status, answer.text
    assert said.casefold() in issue(answer)["details"]["text"].casefold()
    assert client.get("/fhir/Measure/$care-gaps", params={"subject": "Patient/done"}).status_code == 400


def test_gaps_of_many_come_from_a_job(client: TestClient) -> None:
    asked = {**PAST, "measureId": DIABETES, "subject": "Group/all", "status": ALL}
    accepted = client.get("/fhir/Measure/$care-gaps", params=asked, headers={"prefer": "respond-async"})
    assert accepted.status_code == 202
    for _ in range(600):
        answer = client.get(accepted.headers["content-location"])
        if answer.status_code == 200:
            break
        time.sleep(0.05)
    assert len(answer.json()["entry"][0]["resource"]["parameter"]) == 3


def made(notation: str) -> Group:
    codes = (
        PopulationCode.INITIAL_POPULATION,
        PopulationCode.DENOMINATOR,
        PopulationCode.DENOMINATOR_EXCLUSION,
        PopulationCode.NUMERATOR,
    )
    return Group(
        Scoring.PROPORTION,
        "Encounter",
        populations=tuple(Population(code, None) for code in codes),
        improvement_notation=notation,
    )


def test_episodes_stand_each_for_itself() -> None:
    members = (("Encounter/1", "Encounter/2", "Encounter/3"),) * 2 + (("Encounter/3",), ("Encounter/1",))
    result = GroupResult((3, 3, 1, 1), members)
    assert standing(made("increase"), result) == Standing(2, 1, ("Encounter/2",))
    assert standing(made("decrease"), result) == Standing(2, 1, ("Encounter/1",))
    excluded = GroupResult((1, 1, 1, 0), (("Encounter/3",),) * 3 + ((),))
    assert not standing(made("increase"), excluded).applies


@pytest.mark.parametrize(
    ("at_end", "now", "status"),
    [
        (Standing(0, 0), None, GapStatus.NOT_APPLICABLE),
        (Standing(1, 0), None, GapStatus.CLOSED),
        (Standing(1, 1), None, GapStatus.OPEN),
        (Standing(1, 1), Standing(1, 1), GapStatus.OPEN),
        (Standing(1, 1), Standing(1, 0), GapStatus.PROSPECTIVE),
        (Standing(1, 1), Standing(0, 0), GapStatus.PROSPECTIVE),
        (Standing(1, 0), Standing(1, 1), GapStatus.CLOSED),
    ],
)
def test_a_status_follows_from_how_one_stands_now_and_then(
    at_end: Standing, now: Standing | None, status: GapStatus
) -> None:
    assert gap_status(at_end, now) is status
