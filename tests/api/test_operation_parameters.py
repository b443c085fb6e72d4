"""Every parameter of the measure operations shows in the answer or is refused with a reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deqm_data import DIABETES, PRESSURE, URL, group, parameters, patient
from fastapi.testclient import TestClient
from served import YEAR, issue, put, start

from measurewise.api.operations import OPERATIONS
from measurewise.api.settings import Settings

CODES = "http://terminology.hl7.org/CodeSystem/measure-population"
MANIFEST = "https://clinic.example/Library/fixed"
CHOSEN = "https://clinic.example/Measure/Chosen"
CQL = """
library Chosen version '1.0.0'
using FHIR version '4.0.1'
parameter "Measurement Period" Interval<DateTime>
parameter "Everybody" Boolean default true
context Patient
define "Initial Population": "Everybody"
"""
FUTURE = "2100-01-01T00:00:00Z"
Asked = dict[str, Any]


def content(measure: dict[str, Any]) -> list[dict[str, Any]]:
    """A newer version of a measure, with topic and programme; a manifest; a measure with a parameter."""
    programme = {"code": {"code": "program"}, "valueCodeableConcept": {"coding": [{"code": "mips"}]}}
    topic = [{"coding": [{"system": "http://topics.example", "code": "sugar"}]}]
    population = {
        "code": {"coding": [{"system": CODES, "code": "initial-population"}]},
        "criteria": {"language": "text/cql-identifier", "expression": "Initial Population"},
    }
    library = "https://clinic.example/Library/Chosen"
    return [
        {**measure, "id": "Newer", "version": "9.0.0", "topic": topic, "useContext": [programme]},
        {
            "resourceType": "Library", "id": "fixed", "url": MANIFEST, "version": "1", "status": "active",
            "type": {"coding": [{"code": "asset-collection"}]},
            "relatedArtifact": [{"type": "composed-of", "resource": f"{URL}{DIABETES}|1.0.0"}],
        },
        {
            "resourceType": "Library", "id": "Chosen", "url": library, "name": "Chosen", "version": "1.0.0",
            "status": "active", "type": {"coding": [{"code": "logic-library"}]},
            "content": [{"contentType": "text/cql", "data": base64.b64encode(CQL.encode()).decode()}],
        },
        {
            "resourceType": "Measure", "id": "Chosen", "url": CHOSEN, "name": "Chosen", "version": "1.0.0",
            "status": "active", "library": [f"{library}|1.0.0"],
            "scoring": {"coding": [{"code": "cohort"}]}, "group": [{"population": [population]}],
        },
    ]  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("parameters")
    for served in start(Settings(data_folder=folder, _env_file=None)):  # type: ignore[call-arg]
        put(served, *content(served.get(f"/fhir/Measure/{DIABETES}").json()))
        put(served, *({"resourceType": kind, "id": "a"} for kind in ("Practitioner", "Organization")))
        put(served, {"resourceType": "Location", "id": "a"})
        doctor = [{"reference": "Practitioner/a"}]
        one = patient("one", generalPractitioner=doctor, managingOrganization={"reference": "Organization/a"})
        one[1]["location"] = [{"location": {"reference": "Location/a"}}]
        two = patient("two", managingOrganization={"reference": "Organization/a"})
        two[3]["valueQuantity"]["value"] = 7.1
        put(served, *one, *two, *patient("three"))
        put(served, group("all", "one", "two", "three"))
        yield served


def seen(answer: Any) -> dict[str, Any]:
    """What can be seen of the parameters in an answer."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    bundles = [part["resource"] for part in body.get("parameter", ())]
    resources = [entry["resource"] for bundle in bundles for entry in bundle.get("entry", ())] or [body]
    reports = [one for one in resources if one["resourceType"] == "MeasureReport"]
    counts = [
        population["count"]
        for report in reports
        for population in report.get("group", [{}])[0].get("population", ())[:1]
    ]
    gaps = [
        one["modifierExtension"][0]["valueCodeableConcept"]["coding"][0]["code"]
        for one in resources
        if one["resourceType"] == "DetectedIssue"
    ]
    return {
        "kinds": {report["type"] for report in reports},
        "measures": {report["measure"].removeprefix(URL) for report in reports},
        "subjects": {report["subject"]["reference"][8:] for report in reports if "subject" in report},
        "reporters": {(report.get("reporter") or {}).get("reference") for report in reports},
        "starts": {report["period"]["start"] for report in reports},
        "ends": {report["period"]["end"] for report in reports},
        "count": sum(counts),
        "evaluated": any(report.get("evaluatedResource") for report in reports),
        "data": any(one["resourceType"] == "Observation" for one in resources),
        "bundles": {bundle["type"] for bundle in bundles},
        "gaps": set(gaps),
    }


ONE_DIABETES = {"measureId": DIABETES}
MINE = {"practitioner": "Practitioner/a"}
ALICE = {"subject": "Patient/one"}
ALL = {"subject": "Group/all"}
IDENTIFIER = f"https://measurewise.example/identifiers/measure|{PRESSURE}"
JUST_ONE = group(None, "one")
NOBODY = {
    "resourceType": "Parameters", "parameter": [{"name": "Everybody", "valueBoolean": False}],
}  # fmt: skip

# By operation and parameter: a request without it (or with another value), one with it, what is seen then.
HONOURED: dict[str, dict[str, tuple[Asked, Asked, Asked]]] = {
    "$evaluate-measure": {
        "periodStart": (
            {"measure": DIABETES},
            {"measure": DIABETES, "periodStart": "2026-03-02"},
            {"starts": {"2026-03-02"}, "count": 0},
        ),
        "periodEnd": (
            {"measure": DIABETES},
            {"measure": DIABETES, "periodEnd": "2026-02-28"},
            {"ends": {"2026-02-28"}, "count": 0},
        ),
        "measure": ({"measure": DIABETES}, {"measure": PRESSURE}, {"measures": {f"{PRESSURE}|1.0.0"}}),
        "reportType": (
            {"measure": DIABETES},
            {"measure": DIABETES, "reportType": "subject-list"},
            {"kinds": {"subject-list"}},
        ),
        "subject": ({"measure": DIABETES}, {"measure": DIABETES, **ALICE}, {"subjects": {"one"}, "count": 1}),
        "practitioner": ({"measure": DIABETES}, {"measure": DIABETES, **MINE}, {"count": 1}),
        "lastReceivedOn": (
            {"measure": DIABETES, **ALICE},
            {"measure": DIABETES, **ALICE, "lastReceivedOn": FUTURE},
            {"evaluated": False},
        ),
    },
    "$evaluate": {
        "periodStart": (
            ONE_DIABETES,
            {**ONE_DIABETES, "periodStart": "2026-03-02"},
            {"starts": {"2026-03-02"}, "count": 0},
        ),
        "periodEnd": (
            ONE_DIABETES,
            {**ONE_DIABETES, "periodEnd": "2026-02-28"},
            {"ends": {"2026-02-28"}, "count": 0},
        ),
        "measureId": (ONE_DIABETES, {"measureId": PRESSURE}, {"measures": {f"{PRESSURE}|1.0.0"}}),
        "measureUrl": (ONE_DIABETES, {"measureUrl": URL + PRESSURE}, {"measures": {f"{PRESSURE}|1.0.0"}}),
        "measureIdentifier": (
            ONE_DIABETES,
            {"measureIdentifier": IDENTIFIER},
            {"measures": {f"{PRESSURE}|1.0.0"}},
        ),
        "measure": (ONE_DIABETES, {"measure": URL + PRESSURE}, {"measures": {f"{PRESSURE}|1.0.0"}}),
        "reportType": (
            ONE_DIABETES,
            {**ONE_DIABETES, "reportType": "subject-list"},
            {"kinds": {"subject-list"}},
        ),
        "subject": (ONE_DIABETES, {**ONE_DIABETES, **ALICE}, {"subjects": {"one"}, "count": 1}),
        "subjectGroup": (ONE_DIABETES, {**ONE_DIABETES, "subjectGroup": JUST_ONE}, {"count": 1}),
        "provider": (ONE_DIABETES, {**ONE_DIABETES, "provider": "Practitioner/a"}, {"count": 1}),
        "providerResource": (
            ONE_DIABETES,
            {**ONE_DIABETES, "providerResource": {"resourceType": "Organization", "id": "a"}},
            {"count": 2},
        ),
        "location": (ONE_DIABETES, {**ONE_DIABETES, "location": "Location/a"}, {"count": 1}),
        "parameters": ({"measureId": "Chosen"}, {"measureId": "Chosen", "parameters": NOBODY}, {"count": 0}),
        "reporter": (
            ONE_DIABETES,
            {**ONE_DIABETES, "reporter": "Organization/a"},
            {"reporters": {"Organization/a"}},
        ),
        "lastReceivedOn": (
            {**ONE_DIABETES, **ALICE},
            {**ONE_DIABETES, **ALICE, "lastReceivedOn": FUTURE},
            {"evaluated": False},
        ),
        "manifest": (
            {"measureUrl": URL + DIABETES},
            {"measureUrl": URL + DIABETES, "manifest": MANIFEST},
            {"measures": {f"{DIABETES}|1.0.0"}},
        ),
    },
    "$care-gaps": {
        "periodStart": (
            {**ONE_DIABETES, **ALL},
            {**ONE_DIABETES, **ALL, "periodStart": "2026-02-02"},
            {"starts": {"2026-02-02"}},
        ),
        "periodEnd": (
            {**ONE_DIABETES, **ALL},
            {**ONE_DIABETES, **ALL, "periodEnd": "2026-06-30"},
            {"ends": {"2026-06-30"}},
        ),
        "subject": ({**ONE_DIABETES, **ALL}, {**ONE_DIABETES, **ALICE}, {"subjects": {"one"}}),
        "subjectGroup": (
            {**ONE_DIABETES, **ALL},
            {**ONE_DIABETES, "subjectGroup": JUST_ONE},
            {"subjects": {"one"}},
        ),
        "organization": (
            {**ONE_DIABETES, **ALL},
            {**ONE_DIABETES, "organization": "Organization/a"},
            {"subjects": {"one", "two"}},
        ),
        "practitioner": (
            {**ONE_DIABETES, "organization": "Organization/a"},
            {**ONE_DIABETES, "organization": "Organization/a", **MINE},
            {"subjects": {"one"}},
        ),
        "status": (
            {**ONE_DIABETES, **ALL},
            {**ONE_DIABETES, **ALL, "status": "closed-gap"},
            {"gaps": {"closed-gap"}, "subjects": {"two"}},
        ),
        "measureId": (
            {"measureUrl": [URL + DIABETES, URL + PRESSURE], **ALICE},
            {**ONE_DIABETES, **ALICE},
            {"measures": {f"{DIABETES}|1.0.0"}},
        ),
        "measureUrl": (
            {**ONE_DIABETES, **ALICE},
            {"measureUrl": URL + DIABETES, **ALICE},
            {"measures": {f"{DIABETES}|9.0.0"}},
        ),
        "measureIdentifier": (
            {"measureId": "Newer", **ALICE},
            {"measureIdentifier": DIABETES, **ALICE},
            {"measures": {f"{DIABETES}|1.0.0", f"{DIABETES}|9.0.0"}},
        ),
        "measure": (
            {**ONE_DIABETES, **ALICE},
            {"measure": URL + DIABETES, **ALICE},
            {"measures": {f"{DIABETES}|9.0.0"}},
        ),
        "topic": (ALICE, {**ALICE, "topic": "sugar"}, {"measures": {f"{DIABETES}|9.0.0"}}),
        "program": (ALICE, {**ALICE, "program": "mips"}, {"measures": {f"{DIABETES}|9.0.0"}}),
        "manifest": (
            {"measureUrl": URL + DIABETES, **ALICE},
            {"measureUrl": URL + DIABETES, **ALICE, "manifest": MANIFEST},
            {"measures": {f"{DIABETES}|1.0.0"}},
        ),
        "reporter": (
            {**ONE_DIABETES, **ALL},
            {**ONE_DIABETES, **ALL, "reporter": "Organization/a"},
            {"reporters": {"Organization/a"}},
        ),
        "isDocument": (
            {**ONE_DIABETES, **ALL},
            {**ONE_DIABETES, **ALL, "isDocument": "false"},
            {"bundles": {"collection"}},
        ),
    },
    "$collect-data": {
        "periodStart": (
            {**ONE_DIABETES, **ALICE},
            {**ONE_DIABETES, **ALICE, "periodStart": "2026-02-02"},
            {"starts": {"2026-02-02"}},
        ),
        "periodEnd": (
            {**ONE_DIABETES, **ALICE},
            {**ONE_DIABETES, **ALICE, "periodEnd": "2026-06-30"},
            {"ends": {"2026-06-30"}},
        ),
        "measureId": (
            {"measureId": PRESSURE, **ALICE},
            {**ONE_DIABETES, **ALICE},
            {"measures": {f"{DIABETES}|1.0.0"}},
        ),
        "measureUrl": (
            {**ONE_DIABETES, **ALICE},
            {"measureUrl": URL + PRESSURE, **ALICE},
            {"measures": {f"{PRESSURE}|1.0.0"}},
        ),
        "measureIdentifier": (
            {**ONE_DIABETES, **ALICE},
            {"measureIdentifier": IDENTIFIER, **ALICE},
            {"measures": {f"{PRESSURE}|1.0.0"}},
        ),
        "measure": (
            {**ONE_DIABETES, **ALICE},
            {"measure": URL + PRESSURE, **ALICE},
            {"measures": {f"{PRESSURE}|1.0.0"}},
        ),
        "subject": ({**ONE_DIABETES, **ALL}, {**ONE_DIABETES, **ALICE}, {"subjects": {"one"}}),
        "subjectGroup": (
            {**ONE_DIABETES, **ALL},
            {**ONE_DIABETES, "subjectGroup": JUST_ONE},
            {"subjects": {"one"}},
        ),
        "practitioner": ({**ONE_DIABETES, **ALL}, {**ONE_DIABETES, **ALL, **MINE}, {"subjects": {"one"}}),
        "manifest": (
            {"measureUrl": URL + DIABETES, **ALICE},
            {"measureUrl": URL + DIABETES, **ALICE, "manifest": MANIFEST},
            {"measures": {f"{DIABETES}|1.0.0"}},
        ),
        "reporter": (
            {**ONE_DIABETES, **ALICE},
            {**ONE_DIABETES, **ALICE, "reporter": "Organization/a"},
            {"reporters": {"Organization/a"}},
        ),
        "lastReceivedOn": (
            {**ONE_DIABETES, **ALICE},
            {**ONE_DIABETES, **ALICE, "lastReceivedOn": FUTURE},
            {"data": False},
        ),
    },
}  # fmt: skip
# Declared, so that the reason can be told.
REFUSED = {
    "$evaluate-measure": {"productLine": ("hmo", "do not differ by product line")},
    "$evaluate": {},
    "$care-gaps": {},
    "$collect-data": {"validateResources": ("true", "It is one of false")},
}
# What a generation or a common extension of it names, and this server has not.
UNKNOWN = {
    "$evaluate-measure": ("measureUrl", "subjectGroup", "reporter", "provider", "parameters", "manifest"),
    "$evaluate": ("practitioner", "productLine", "organization", "status"),
    "$care-gaps": ("lastReceivedOn", "reportType", "provider", "parameters", "location"),
    "$collect-data": ("dataEndpoint", "reportType", "provider", "organization", "location"),
}
EVERYWHERE = (
    "additionalData", "dataEndpoint", "contentEndpoint", "terminologyEndpoint", "useServerData",
    "supplementalData", "supplementalDataElements",
)  # fmt: skip


def test_no_parameter_is_left_out() -> None:
    for operation in OPERATIONS:
        code = f"${operation.code}"
        if operation.resource_type == "Measure" and code in HONOURED:
            declared = {parameter.name for parameter in operation.parameters}
            assert declared == set(HONOURED[code]) | set(REFUSED[code]), code


@pytest.mark.parametrize(
    ("operation", "name"), [(operation, name) for operation, cases in HONOURED.items() for name in cases]
)
def test_a_parameter_shows_in_the_answer(client: TestClient, operation: str, name: str) -> None:
    without, asked, expected = HONOURED[operation][name]
    path = f"/fhir/Measure/{operation}"
    before = seen(client.post(path, json=parameters(**{**YEAR, **without})))
    after = seen(client.post(path, json=parameters(**{**YEAR, **asked})))
    assert name in asked
    for what, value in expected.items():
        assert after[what] == value
        assert before[what] != value


def assert_refused(client: TestClient, operation: str, asked: Asked, said: str) -> None:
    path = f"/fhir/Measure/{operation}"
    for answer in (
        client.get(path, params={**YEAR, **asked}),
        client.post(path, json=parameters(**{**YEAR, **asked})),
    ):
        assert answer.status_code == 400, answer.text
        assert said in issue(answer)["details"]["text"]


def base(operation: str) -> Asked:
    """A request that is answered."""
    return {"measure": DIABETES, **ALICE} if operation == "$evaluate-measure" else {**ONE_DIABETES, **ALICE}


@pytest.mark.parametrize("operation", HONOURED)
def test_what_is_not_honoured_is_refused(client: TestClient, operation: str) -> None:
    for name, (value, said) in REFUSED[operation].items():
        assert_refused(client, operation, {**base(operation), name: value}, said)
    for name in {*UNKNOWN[operation], *EVERYWHERE}:
        assert_refused(client, operation, {**base(operation), name: "x"}, f"no parameter '{name}'")


@pytest.mark.parametrize(
    ("operation", "asked", "said"),
    [
        ("$evaluate-measure", {"measure": DIABETES, "lastReceivedOn": FUTURE}, "for individual reports"),
        ("$evaluate", {**ONE_DIABETES, "lastReceivedOn": FUTURE}, "for individual reports"),
        ("$evaluate", {**ONE_DIABETES, "provider": "Location/a"}, "Name a Practitioner or an Organization"),
        ("$care-gaps", {**ONE_DIABETES, **ALICE, **MINE}, "'organization' is missing"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(
    client: TestClient, operation: str, asked: Asked, said: str
) -> None:
    assert_refused(client, operation, asked, said)


@pytest.mark.parametrize("operation", ["$evaluate", "$collect-data"])
@pytest.mark.parametrize("name", ["measureId", "measureUrl", "measureIdentifier", "measure"])
def test_a_measure_in_the_address_is_named_there_alone(client: TestClient, operation: str, name: str) -> None:
    path = f"/fhir/Measure/{DIABETES}/{operation}"
    value = {"measureIdentifier": IDENTIFIER, "measureId": PRESSURE}.get(name, URL + PRESSURE)
    answer = client.get(path, params={**YEAR, **ALICE, name: value})
    assert answer.status_code == 400, answer.text
    assert "the address names the measure" in issue(answer)["details"]["text"]


def test_values_that_name_nothing_are_refused(client: TestClient) -> None:
    """A parameter that selects, and whose value selects nothing that is there, does not select everything."""
    for operation, asked, status in (
        ("$evaluate", {"provider": "Practitioner/none"}, 404),
        ("$evaluate", {"location": "Location/none"}, 404),
        ("$evaluate", {"manifest": "https://clinic.example/none"}, 404),
        ("$evaluate", {"providerResource": {"resourceType": "Practitioner"}}, 400),
        ("$evaluate", {"parameters": {**NOBODY, "parameter": [{"name": "No", "valueBoolean": True}]}}, 400),
        ("$care-gaps", {"organization": "Organization/none"}, 404),
        ("$care-gaps", {**ALICE, "topic": "none"}, 404),
        ("$care-gaps", {**ALICE, "program": "none"}, 404),
        ("$collect-data", {"practitioner": "Practitioner/none"}, 404),
    ):
        body = parameters(**{**YEAR, **ONE_DIABETES, **asked})
        answer = client.post(f"/fhir/Measure/{operation}", json=body)
        assert answer.status_code == status, (operation, asked, answer.text)
        assert issue(answer)["severity"] == "error"


@pytest.mark.parametrize("operation", ["$evaluate-measure", "$evaluate", "$collect-data"])
def test_the_measure_in_the_address_is_the_one_that_is_read_there(client: TestClient, operation: str) -> None:
    """A newer version with the same name has an id, and so an address, of its own."""
    for identity, version in ((DIABETES, "1.0.0"), ("Newer", "9.0.0")):
        answer = client.get(f"/fhir/Measure/{identity}/{operation}", params={**YEAR, **ALICE})
        assert seen(answer)["measures"] == {f"{DIABETES}|{version}"}


def test_the_audit_trail_refers_to_measures_by_their_ids(client: TestClient) -> None:
    database = client.app.state.services.database  # type: ignore[attr-defined]
    for operation in HONOURED:
        named = {"measure": URL + DIABETES} if operation == "$evaluate-measure" else ONE_DIABETES
        assert client.get(f"/fhir/Measure/{operation}", params={**YEAR, **ALICE, **named}).status_code == 200
        with database.read() as connection:
            query = "SELECT body FROM audit_events ORDER BY key DESC LIMIT 1"
            event = json.loads(bytes(connection.exec_driver_sql(query).scalar_one()))
        references = {one["what"].get("reference") for one in event["entity"] if "what" in one}
        assert references & {f"Measure/{DIABETES}", "Measure/Newer"}, operation
        assert not [one for one in references if one and one.count("/") != 1]
