"""Bulk imports over HTTP: from another server of ours, from files it serves, and as a body of lines."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from over_http import Serving, serving
from served import YEAR, issue

from measurewise.api.services.evaluation import evaluate_stored
from measurewise.api.settings import Settings
from measurewise.engine import Period
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.measure.result_json import to_result_json
from measurewise.fhir_server_adapter.bulk import BulkPatients, ExportRequest
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.store.access import OPERATOR
from measurewise.store.resources import patients
from measurewise.synthetic import synthesize

NDJSON = {"Content-Type": "application/fhir+ndjson"}
PATIENTS = 300


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(data_folder=folder, _env_file=None, **more)  # type: ignore[call-arg]


def lines(*resources: dict[str, Any]) -> bytes:
    return b"\n".join(to_json(resource) for resource in resources)


def outcome(client: httpx.Client, answer: httpx.Response) -> list[dict[str, Any]]:
    """The issues that an import comes to; kicked off with 202, polled with Retry-After."""
    assert answer.status_code == 202, answer.text
    for _ in range(3000):
        status = client.get(answer.headers["Content-Location"])
        if status.status_code == 202:
            assert int(status.headers["Retry-After"]) > 0
            assert status.headers["X-Progress"]
            time.sleep(0.05)
            continue
        assert status.status_code == 200, status.text
        (entry,) = status.json()["entry"]
        assert entry["resource"]["resourceType"] == "OperationOutcome"
        return list(entry["resource"]["issue"])
    raise AssertionError("the import did not end")


def failure(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """The issue with which an import failed as a whole."""
    for _ in range(600):
        status = client.get(answer.headers["Content-Location"])
        if status.status_code != 202:
            assert status.status_code >= 400
            return issue(status)
        time.sleep(0.05)
    raise AssertionError("the import did not end")


def pull(url: str, **more: str) -> dict[str, Any]:
    parameter = [{"name": "exportUrl", "valueUrl": url}]
    parameter += [{"name": name, "valueString": value} for name, value in more.items()]
    return {"resourceType": "Parameters", "parameter": parameter}


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with 300 synthetic patients, who came to it as a body of lines."""
    with serving(settings(tmp_path_factory.mktemp("practice"))) as served:
        made = [entry["resource"] for bundle in synthesize(PATIENTS, 7, 2026) for entry in bundle["entry"]]
        answer = served.client.post("/$import", content=lines(*made), headers=NDJSON)
        (told,) = outcome(served.client, answer)
        assert told["severity"] == "information"
        distinct = {(resource["resourceType"], resource["id"]) for resource in made}
        assert f"({len(distinct)} created," in told["details"]["text"]
        group = {
            "resourceType": "Group", "id": "few", "type": "person", "actual": True,
            "member": [{"entity": {"reference": f"Patient/{name}"}} for name in ids(served)[:20]],
        }  # fmt: skip
        assert served.client.put("/Group/few", json=group).status_code == 201
        yield served


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Another server, with nobody in it."""
    with serving(settings(tmp_path_factory.mktemp("other"))) as served:
        yield served


def ids(served: Serving) -> list[str]:
    with served.services.database.read() as connection:
        return [identity for _, identity in patients(connection, OPERATOR)]


def results(served: Serving) -> dict[str, list[str]]:
    """Every patient's result in every measure, as JSON."""
    content = served.services.catalog.content
    measures = tuple(sorted(measure.name for measure in content.measures))
    prepared = served.services.catalog.prepare(measures, Period(YEAR["periodStart"], YEAR["periodEnd"]))
    with served.services.database.read() as connection:
        everyone = list(patients(connection, OPERATOR))
    found = evaluate_stored(served.services, prepared, everyone)
    assert found.failed == 0
    by_patient: dict[str, list[str]] = {}
    for of_measure in found.results:
        for result in of_measure:
            by_patient.setdefault(result.subject, []).append(to_result_json(result).decode())
    return by_patient


def test_a_practice_goes_from_server_to_server_and_every_result_stays(
    practice: Serving, other: Serving, tmp_path: Path
) -> None:
    answer = other.client.post("/$import", json=pull(f"{practice.base}/Patient/$export"))
    (told,) = outcome(other.client, answer)
    assert " 0 lines were not" in told["details"]["text"]
    assert len(ids(other)) == PATIENTS
    assert ids(other) == ids(practice)
    here, there = results(practice), results(other)
    assert len(here) == PATIENTS
    assert there == here
    # The same over HTTP, and somebody is in a numerator at all.
    numerators = 0
    for measure in practice.services.catalog.content.measures:
        counts = []
        for served in (practice, other):
            report = served.client.get(f"/Measure/{measure.id}/$evaluate-measure", params=YEAR).json()
            counts.append(
                [
                    (population["code"]["coding"][0]["code"], population.get("count", 0))
                    for group in report["group"]
                    for population in group["population"]
                ]
            )
        assert counts[0] == counts[1]
        numerators += sum(count for code, count in counts[0] if code == "numerator")
    assert numerators > 0


def test_our_own_adapter_reads_our_own_export(practice: Serving, tmp_path: Path) -> None:
    content = practice.services.catalog.content
    measures = tuple(sorted(measure.name for measure in content.measures))
    prepared = practice.services.catalog.prepare(measures, Period(YEAR["periodStart"], YEAR["periodEnd"]))

    async def exported() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        async with FhirClient(practice.base) as client:
            source = BulkPatients(client, ExportRequest("patient"), tmp_path / "export", poll=0.05)
            async for pulled in source.patients():
                outcomes = prepared.evaluate(pulled.record())
                found[f"Patient/{pulled.patient_id}"] = [
                    to_result_json(result.compact()).decode() for result in outcomes
                ]
            assert source.faults == []
            assert source.transaction_time is not None
        return found

    assert asyncio.run(exported()) == results(practice)


def test_an_import_brings_what_has_changed_and_what_was_deleted_since(tmp_path: Path) -> None:
    with serving(settings(tmp_path / "a")) as source, serving(settings(tmp_path / "b")) as target:
        weight = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}
        first = [
            {"resourceType": "Patient", "id": "p"},
            *({**weight, "id": name, "subject": {"reference": "Patient/p"}} for name in ("x", "y", "z")),
        ]
        outcome(source.client, source.client.post("/$import", content=lines(*first), headers=NDJSON))
        export = f"{source.base}/Patient/$export"
        outcome(target.client, target.client.post("/$import", json=pull(export)))
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        time.sleep(1.1)
        changed = {**first[1], "status": "amended"}
        assert source.client.put("/Observation/x", json=changed).status_code == 200
        assert source.client.delete("/Observation/y").status_code == 204
        (told,) = outcome(target.client, target.client.post("/$import", json=pull(export, _since=since)))
        assert "(0 created, 1 changed, 0 left as they were, 1 deleted)" in told["details"]["text"]
        assert target.client.get("/Observation/x").json()["status"] == "amended"
        assert target.client.get("/Observation/y").status_code == 410
        assert target.client.get("/Observation/z").status_code == 200


def test_patients_come_into_a_group(practice: Serving, other: Serving) -> None:
    body = pull(f"{practice.base}/Group/few/$export")
    for _ in range(2):
        outcome(other.client, other.client.post("/Group/panel/$import", json=body))
        group = other.client.get("/Group/panel").json()
        assert sorted(m["entity"]["reference"] for m in group["member"]) == [
            f"Patient/{name}" for name in ids(practice)[:20]
        ]


def test_data_for_a_measure_are_pulled_and_its_report_is_kept(practice: Serving, tmp_path: Path) -> None:
    measure = next(
        m for m in practice.services.catalog.content.measures if m.name == "HospitalFollowUpInterval"
    )
    report = {
        "resourceType": "MeasureReport", "id": "bulk", "status": "complete", "type": "data-collection",
        "measure": measure.url, "period": {"start": YEAR["periodStart"], "end": YEAR["periodEnd"]},
    }  # fmt: skip
    body = pull(f"{practice.base}/Group/few/$export")
    body["parameter"].append({"name": "measureReport", "resource": report})
    with serving(settings(tmp_path)) as target:
        outcome(target.client, target.client.post(f"/Measure/{measure.id}/$bulk-submit-data", json=body))
        assert len(ids(target)) == 20
        assert target.client.get("/MeasureReport/bulk").json()["measure"] == measure.url
        # Only what the measure retrieves was asked for.
        assert target.client.get("/Immunization?_summary=count").json()["total"] == 0
        refused = target.client.post("/Measure/nonsense/$bulk-submit-data", json=body)
        assert refused.status_code == 404
        no_report = target.client.post("/Measure/$bulk-submit-data", json=pull(practice.base))
        assert no_report.status_code == 400
        assert "measureReport" in issue(no_report)["details"]["text"]


BAD = [
    b'{"resourceType":"Patient","id":"good"}',
    b'{"resourceType":"Patient","id":"broken"',
    b"",
    b'{"resourceType":"Nonsense","id":"x"}',
    b'{"resourceType":"Patient"}',
    b"[1]",
    b'{"resourceType":"Patient","id":"a b"}',
    b'{"resourceType":"Observation","id":"o","status":"final","valueQuantity":{"value":1.50},'
    b'"subject":{"reference":"Patient/good"}}',
]


def test_lines_that_cannot_be_taken_are_told_with_their_numbers(other: Serving) -> None:
    answer = other.client.post("/$import", content=b"\n".join(BAD), headers=NDJSON)
    told, *errors = outcome(other.client, answer)
    assert "2 created" in told["details"]["text"]
    assert [error["expression"] for error in errors] == [[f"line {number}"] for number in (2, 4, 5, 6, 7)]
    assert "Nonsense" in errors[1]["details"]["text"]
    assert other.client.get("/Patient/good").status_code == 200
    assert b'"value":1.50' in other.client.get("/Observation/o").content


class Files(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; one of them leads elsewhere."""

    def do_GET(self) -> None:
        if self.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("files")
    people = [{"resourceType": "Patient", "id": f"file-{number}"} for number in range(2500)]
    (folder / "patients.ndjson").write_bytes(lines(*people) + b"\n")
    (folder / "weights.ndjson").write_bytes(b'{"resourceType":"Basic","id":"w"}\n')
    away = {"output": [{"type": "Patient", "url": "http://10.0.0.1/secret.ndjson"}]}
    (folder / "away.json").write_text(json.dumps(away))
    here = {"output": [{"type": "Patient", "url": "patients.ndjson"}, {"type": "Basic", "url": "gone"}]}
    (folder / "here.json").write_text(json.dumps(here))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def manifest(*inputs: tuple[str, str], **more: str) -> dict[str, Any]:
    parameter: list[dict[str, Any]] = [{"name": name, "valueString": value} for name, value in more.items()]
    for kind, url in inputs:
        part = [{"name": "type", "valueCode": kind}, {"name": "url", "valueUrl": url}]
        parameter.append({"name": "input", "part": part})
    return {"resourceType": "Parameters", "parameter": parameter}


def test_files_are_fetched_by_their_addresses(other: Serving, files: str) -> None:
    body = manifest(
        ("Patient", f"{files}/patients.ndjson"), ("Observation", f"{files}/weights.ndjson"),
        inputFormat="application/fhir+ndjson", inputSource="https://ehr.example/fhir",
    )  # fmt: skip
    told, error = outcome(other.client, other.client.post("/$import", json=body))
    assert "2500 created" in told["details"]["text"]
    assert "weights.ndjson, line 1: this is a Basic, in a file of Observation." in error["details"]["text"]
    assert other.client.get("/Patient/file-2499").json()["meta"]["source"] == "https://ehr.example/fhir"


def test_a_manifest_that_is_there_is_imported(other: Serving, files: str) -> None:
    body = pull(f"{files}/here.json", exportType="static", _type="Patient")
    (told,) = outcome(other.client, other.client.post("/$import", json=body))
    assert "2500 resources were imported" in told["details"]["text"]
    gone = pull(f"{files}/here.json", exportType="static")
    assert "404" in failure(other.client, other.client.post("/$import", json=gone))["details"]["text"]


@pytest.mark.parametrize("url", ["http://10.0.0.1/x", "http://metadata/x", "file:///etc/passwd", "ftp://h/x"])
def test_addresses_elsewhere_are_refused(other: Serving, url: str) -> None:
    for body in (manifest(("Patient", url)), pull(url + "/Patient/$export")):
        answer = other.client.post("/$import", json=body)
        assert answer.status_code in (400, 403), answer.text
        assert issue(answer)["code"] in ("value", "forbidden")


def test_links_elsewhere_are_not_followed(other: Serving, files: str) -> None:
    away = pull(f"{files}/away.json", exportType="static")
    told = failure(other.client, other.client.post("/$import", json=away))
    assert told["code"] == "forbidden"
    assert "10.0.0.1" in told["details"]["text"]
    redirected = manifest(("Patient", f"{files}/elsewhere"))
    told = failure(other.client, other.client.post("/$import", json=redirected))
    assert "302" in told["details"]["text"]


def test_in_production_no_host_is_asked_that_is_not_named(files: str) -> None:
    from measurewise.api.fhir.outcomes import RequestError
    from measurewise.api.security.settings import SecuritySettings
    from measurewise.api.services.importing import check_address

    given = Settings(security=SecuritySettings(environment="production"), _env_file=None)  # type: ignore[call-arg]
    with pytest.raises(RequestError, match=r"127\.0\.0\.1"):
        check_address(given, f"{files}/patients.ndjson", "input.url")
    named = given.model_copy(update={"import_hosts": ("ehr.example",)})
    check_address(named, "https://ehr.example/fhir/$export", "exportUrl")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"resourceType": "Parameters"}, "input"),
        (manifest(inputFormat="text/csv"), "text/csv"),
        (manifest(("Nonsense", "http://127.0.0.1/x")), "Nonsense"),
        (pull("http://127.0.0.1/fhir/Patient"), "exportUrl"),
        (pull("http://127.0.0.1/$export?_elements=id"), "_elements"),
        (manifest(("Patient", "http://127.0.0.1/x"), _type="Patient"), "_type"),
    ],
)
def test_what_cannot_be_imported_is_refused(other: Serving, body: dict[str, Any], said: str) -> None:
    answer = other.client.post("/$import", json=body)
    assert answer.status_code == 400, answer.text
    assert said in json.dumps(issue(answer))


def test_nothing_that_was_fetched_stays(other: Serving, files: str) -> None:
    answer = other.client.post("/$import", json=manifest(("Patient", f"{files}/patients.ndjson")))
    outcome(other.client, answer)
    folder = other.services.settings.data_folder
    assert not (folder / "imports" / answer.headers["Content-Location"].rpartition("/")[2]).exists()
    assert list((folder / "received").iterdir()) == []
