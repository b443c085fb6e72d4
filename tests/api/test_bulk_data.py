"""Bulk Data Access over HTTP: exports with their files, imports, and a practice from server to server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from served import issue, put, start

from measurewise.api.settings import Settings

LATER = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("bulk")
    for client in start(Settings(data_folder=folder, _env_file=None)):  # type: ignore[call-arg]
        put(client, {"resourceType": "Practitioner", "id": "dr"})
        put(client, {"resourceType": "Practitioner", "id": "other"})
        put(client, {"resourceType": "Medication", "id": "pill", "code": {"text": "a pill"}})
        for name in ("one", "two", "three"):
            put(client, *patient(name))
        put(client, group("pair", "one", "two"))
        put(client, group("gap", "one", "nobody"))
        yield client


def patient(name: str) -> list[dict[str, Any]]:
    about = {"subject": {"reference": f"Patient/{name}"}}
    found: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": name, "generalPractitioner": [{"reference": "Practitioner/dr"}]},
        {
            "resourceType": "Observation", "id": f"{name}-weight", "status": "final", **about,
            "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
            "effectiveDateTime": "2026-03-01T09:10:00Z",
        },
        {
            "resourceType": "Observation", "id": f"{name}-height", "status": "final", **about,
            "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2"}]},
        },
    ]  # fmt: skip
    if name == "two":
        found.append(
            {
                "resourceType": "MedicationRequest", "id": "two-order", "status": "active", "intent": "order",
                **about, "medicationReference": {"reference": "Medication/pill"},
            }
        )  # fmt: skip
    return found


def group(name: str, *members: str) -> dict[str, Any]:
    listed = [{"entity": {"reference": f"Patient/{member}"}} for member in members]
    return {"resourceType": "Group", "id": name, "type": "person", "actual": True, "member": listed}


def export(client: TestClient, path: str, **parameters: str) -> dict[str, Any]:
    """The manifest of an export, polled for."""
    answer = client.get(f"/fhir/{path}", params=parameters, headers=LATER)
    assert answer.status_code == 202, answer.text
    return polled(client, answer.headers["Content-Location"])


def polled(client: TestClient, where: str) -> dict[str, Any]:
    for _ in range(600):
        answer = client.get(where, headers={"Accept": "application/json"})
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return {**found, "(headers)": dict(answer.headers), "(status)": where}
        assert int(answer.headers["Retry-After"]) > 0
        assert len(answer.headers["X-Progress"]) <= 100
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def names(client: TestClient, manifest: dict[str, Any]) -> list[str]:
    """The references of all resources in the manifest's output files, whose counts are checked."""
    found = []
    for item in manifest["output"]:
        answer = client.get(item["url"], headers={"Accept": "application/fhir+ndjson"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/fhir+ndjson")
        resources = [json.loads(line) for line in answer.content.splitlines()]
        assert len(resources) == item["count"]
        assert {resource["resourceType"] for resource in resources} == {item["type"]}
        found += [f"{resource['resourceType']}/{resource['id']}" for resource in resources]
    assert len(found) == len(set(found))
    return sorted(found)


OF_ONE = ["Observation/one-height", "Observation/one-weight", "Patient/one"]
OF_TWO = ["MedicationRequest/two-order", "Observation/two-height", "Observation/two-weight", "Patient/two"]


def test_a_group_is_exported_with_what_its_patients_records_refer_to(served: TestClient) -> None:
    manifest = export(served, "Group/pair/$export", _outputFormat="application/fhir+ndjson")
    assert names(served, manifest) == sorted([*OF_ONE, *OF_TWO, "Medication/pill", "Practitioner/dr"])
    assert manifest["request"].endswith("/fhir/Group/pair/$export?_outputFormat=application%2Ffhir%2Bndjson")
    assert manifest["requiresAccessToken"] is False
    assert manifest["deleted"] == []
    assert manifest["error"] == []
    assert manifest["transactionTime"].endswith("Z")
    assert manifest["(headers)"]["content-type"].startswith("application/json")
    assert manifest["(headers)"]["expires"].endswith("GMT")


def test_all_patients_are_exported_without_what_belongs_to_nobody_and_nobody_refers_to(
    served: TestClient,
) -> None:
    found = names(served, export(served, "Patient/$export"))
    assert "Patient/three" in found
    assert "Practitioner/dr" in found
    assert "Practitioner/other" not in found


def test_the_whole_server_is_exported(served: TestClient) -> None:
    found = names(served, export(served, "$export", _type="Practitioner,Group,Measure"))
    assert {"Practitioner/dr", "Practitioner/other", "Group/pair"} < set(found)
    assert any(name.startswith("Measure/") for name in found)


def test_types_and_searches_narrow_an_export(served: TestClient) -> None:
    weight = "Observation?code=http://loinc.org|29463-7&date=ge2026-01-01"
    manifest = export(served, "Group/pair/$export", _type="Patient,Observation", _typeFilter=weight)
    weights = ["Observation/one-weight", "Observation/two-weight"]
    assert names(served, manifest) == [*weights, "Patient/one", "Patient/two"]
    either = f"{weight},Observation?code=8302-2,29463-7"
    manifest = export(served, "Group/pair/$export", _type="Observation", _typeFilter=either)
    assert len(names(served, manifest)) == 4
    assert names(served, export(served, "Group/pair/$export", _type="Medication")) == ["Medication/pill"]


def test_patients_may_be_named_in_a_post(served: TestClient) -> None:
    parameter = [{"name": "patient", "valueReference": {"reference": "Patient/one"}}]
    body = {"resourceType": "Parameters", "parameter": parameter}
    answer = served.post("/fhir/Group/pair/$export", json=body, headers=LATER)
    assert answer.status_code == 202
    manifest = polled(served, answer.headers["Content-Location"])
    assert names(served, manifest) == sorted([*OF_ONE, "Practitioner/dr"])
    parameter[0]["valueReference"]["reference"] = "Patient/three"  # type: ignore[index]
    answer = served.post("/fhir/Group/pair/$export", json=body, headers=LATER)
    assert answer.status_code == 400
    assert "no member" in issue(answer)["details"]["text"]


def test_members_who_are_not_there_are_told(served: TestClient) -> None:
    manifest = export(served, "Group/gap/$export", _type="Patient")
    assert names(served, manifest) == ["Patient/one"]
    (error,) = manifest["error"]
    assert error["count"] == 1
    outcome = json.loads(served.get(error["url"]).content)
    assert "Patient/nobody" in outcome["issue"][0]["details"]["text"]


def test_what_has_changed_and_what_was_deleted_since_is_exported(client: TestClient) -> None:
    put(client, *patient("one"), *patient("two"))
    first = export(client, "Patient/$export")
    assert len(names(client, first)) == 7
    weight = client.get("/fhir/Observation/one-weight").json()
    put(client, {**weight, "status": "amended"})
    assert client.delete("/fhir/Observation/two-height").status_code == 204
    second = export(client, "Patient/$export", _since=first["transactionTime"])
    assert names(client, second) == ["Observation/one-weight"]
    (deleted,) = second["deleted"]
    bundle = json.loads(client.get(deleted["url"]).content)
    assert bundle["type"] == "transaction"
    (entry,) = bundle["entry"]
    assert entry["request"] == {"method": "DELETE", "url": "Observation/two-height"}


@pytest.mark.parametrize(
    ("path", "parameters", "headers", "said"),
    [
        ("Patient/$export", {}, {}, "respond-async"),
        ("Patient/$export", {"_outputFormat": "text/csv"}, LATER, "_outputFormat"),
        ("Patient/$export", {"_type": "Nonsense"}, LATER, "Nonsense"),
        ("Patient/$export", {"_since": "yesterday"}, LATER, "yesterday"),
        ("Patient/$export", {"_typeFilter": "Observation?colour=red"}, LATER, "colour"),
        ("Patient/$export", {"_typeFilter": "Observation?_include=x"}, LATER, "_include"),
        ("Patient/$export", {"_type": "Patient", "_typeFilter": "Observation?code=1"}, LATER, "_typeFilter"),
        ("Patient/$export", {"_elements": "id"}, LATER, "_elements"),
        ("Patient/$export", {"includeAssociatedData": "x"}, LATER, "includeAssociatedData"),
        ("Patient/$export", {"organizeOutputBy": "Patient"}, LATER, "organizeOutputBy"),
        ("$export", {"patient": "Patient/one"}, LATER, "patient"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    served: TestClient, path: str, parameters: dict[str, str], headers: dict[str, str], said: str
) -> None:
    answer = served.get(f"/fhir/{path}", params=parameters, headers=headers)
    assert answer.status_code == 400, answer.text
    told = issue(answer)
    assert told["severity"] == "error"
    assert said in json.dumps(told)


def test_a_group_that_is_not_there_cannot_be_exported(served: TestClient) -> None:
    assert served.get("/fhir/Group/none/$export", headers=LATER).status_code == 404


def test_an_export_that_is_given_up_leaves_nothing_behind(served: TestClient) -> None:
    manifest = export(served, "Group/pair/$export")
    url, job = manifest["output"][0]["url"], manifest["(status)"].rpartition("/")[2]
    folder = served.app.state.services.settings.data_folder / "exports" / job  # type: ignore[attr-defined]
    assert folder.is_dir()
    assert served.delete(manifest["(status)"]).status_code == 202
    assert not folder.exists()
    assert served.get(manifest["(status)"]).status_code == 404
    assert served.get(url).status_code == 404


def test_an_export_expires(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path, export_hours=1 / 3600, _env_file=None)  # type: ignore[call-arg]
    for client in start(settings):
        put(client, *patient("one"))
        manifest = export(client, "Patient/$export")
        time.sleep(1.1)
        assert client.get(manifest["(status)"]).status_code == 404
        assert client.get(manifest["output"][0]["url"]).status_code == 404
        put(client, *patient("two"))
        export(client, "Patient/$export")
        assert len(list((tmp_path / "exports").iterdir())) == 1


def test_no_other_file_is_served(served: TestClient) -> None:
    manifest = export(served, "Group/pair/$export", _type="Patient")
    where = manifest["output"][0]["url"].rpartition("/")[0]
    for name in ("..%2F..%2Fmeasurewise.db", ".Patient.1.ndjson", "Patient.9.ndjson"):
        assert served.get(f"{where}/{name}").status_code == 404
