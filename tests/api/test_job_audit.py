"""Every kind of job leaves AuditEvents that name the patients whose data it touched, and nobody else."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from official_site import give_official_content, give_patients, synthetic
from served import put, start
from source_server import source_server

from measurewise.api.jobs.auditing import PATIENTS_AN_EVENT
from measurewise.api.jobs.kinds import KINDS
from measurewise.api.jobs.refreshing import queue_refresh
from measurewise.api.jobs.syncing import queue_sync
from measurewise.api.services.context import Services
from measurewise.api.services.sources import add_source
from measurewise.api.services.sync import SyncRequest
from measurewise.api.settings import Settings
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.sources import Source, SourceSettings

MEASURE = "CMS130FHIRColorectalCancerScreening"
YEAR = {"periodStart": "2025-01-01", "periodEnd": "2025-12-31"}
OURS = {"x-organization": "practice"}
LATER = {**OURS, "prefer": "respond-async"}
PATIENTS = 12
REPORT = {
    "year": 2025,
    "programme": "mips",
    "entity": {"type": "group", "name": "Good Health Clinic", "tin": "123456789"},
    "cehrtId": "0015CABCDEFGHIJ",
}


@dataclass(frozen=True)
class Site:
    """A practice with patients; another organisation's are never to be named."""

    client: TestClient
    services: Services
    clinic: str
    names: frozenset[str]

    def later(self, path: str, **asked: Any) -> str:
        """The id of the job of a request."""
        return job_of(self.client.get(path, params=asked, headers=LATER))


def job_of(accepted: httpx.Response) -> str:
    assert accepted.status_code == 202, accepted.text
    return str(accepted.headers["content-location"]).rpartition("/")[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, ecqm_dir: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("audited")
    settings = Settings(data_folder=folder / "ours", missing_valuesets="empty", _env_file=None)  # type: ignore[call-arg]
    with source_server(folder / "clinic", 3) as (clinic, _):
        for client in start(settings):
            give_official_content(client, ecqm_dir)
            records = synthetic(PATIENTS, 2025)
            give_patients(client, records, "practice")
            put(client, {"resourceType": "Patient", "id": "of-another-organization"})
            names = frozenset(
                str(one["id"]) for record in records for one in record if one["resourceType"] == "Patient"
            )
            group = {
                "resourceType": "Group", "id": "all", "type": "person", "actual": True,
                "member": [{"entity": {"reference": f"Patient/{name}"}} for name in sorted(names)],
            }  # fmt: skip
            assert client.put("/fhir/Group/all", json=group, headers=OURS).status_code == 201
            yield Site(client, client.app.state.services, clinic, names)  # type: ignore[attr-defined]


def ended(site: Site, job: str) -> dict[str, Any]:
    """The result of a job."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        answer = site.client.get(f"/fhir/_jobs/{job}", headers=OURS)
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found
        time.sleep(0.1)
    raise AssertionError("the job does not end")


def trail(site: Site, job: str) -> list[dict[str, Any]]:
    """The audit events that a job left, in their order; they name it in their request."""
    with site.services.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT body FROM audit_events ORDER BY key").all()
    events = [json.loads(bytes(body)) for (body,) in rows]
    return [event for event in events if f"job {job}" in asked_for(event)]


def asked_for(event: dict[str, Any]) -> str:
    queries = [base64.b64decode(one["query"]) for one in event.get("entity", ()) if "query" in one]
    return b" ".join(queries).decode()


def named(events: list[dict[str, Any]], role: str = "1") -> set[str]:
    """The ids of what events name in a role; role 1 are patients."""
    return {
        one["what"]["reference"].partition("/")[2]
        for event in events
        for one in event.get("entity", ())
        if one.get("role", {}).get("code") == role and "what" in one
    }


def evaluate(site: Site) -> tuple[str, set[str]]:
    return site.later(f"/fhir/Measure/{MEASURE}/$evaluate-measure", **YEAR), set(site.names)


def care_gaps(site: Site) -> tuple[str, set[str]]:
    job = site.later("/fhir/Measure/$care-gaps", **YEAR, measureId=MEASURE, subject="Group/all")
    return job, set(site.names)


def export(site: Site) -> tuple[str, set[str]]:
    chosen = sorted(site.names)[:4]
    patients = [{"name": "patient", "valueReference": {"reference": f"Patient/{name}"}} for name in chosen]
    body = {"resourceType": "Parameters", "parameter": patients}
    return job_of(site.client.post("/fhir/Group/all/$export", json=body, headers=LATER)), set(chosen)


def import_lines(site: Site) -> tuple[str, set[str]]:
    lines = [
        {"resourceType": "Patient", "id": "newcomer"},
        {"resourceType": "Observation", "id": "of-nobody-here", "subject": {"reference": "Patient/unseen"}},
        {"resourceType": "Location", "id": "of-nobody"},
    ]
    answer = site.client.post(
        "/fhir/$import",
        content=b"\n".join(map(to_json, lines)),
        headers={"x-organization": "elsewhere", "content-type": "application/fhir+ndjson"},
    )
    return job_of(answer), {"newcomer", "unseen"}


def qrda1_import(site: Site) -> tuple[str, set[str]]:
    manifest = ended(site, qrda_export(site)[0])
    url = next(one["url"] for one in manifest["output"] if one.get("population") == "initial-population")
    content = site.client.get(url, headers=OURS).content
    answer = site.client.post(
        "/qrda/1/import",
        content=content,
        headers={"x-organization": "next", "prefer": "respond-async", "content-type": "application/zip"},
    )
    job = job_of(answer)
    told = ended(site, job)["patients"]
    assert told
    return job, {one["patient"].partition("/")[2] for one in told}


def qrda3(site: Site) -> tuple[str, set[str]]:
    asked = {**YEAR, "measure": MEASURE, "evaluate": "true", "description": json.dumps(REPORT)}
    return site.later("/fhir/MeasureReport/$qrda3", **asked), set(site.names)


def qrda_export(site: Site) -> tuple[str, set[str]]:
    return site.later("/fhir/Measure/$qrda-export", **YEAR, measure=MEASURE), set(site.names)


def qrda_judging(site: Site) -> tuple[str, set[str]]:
    """Documents that are judged become nobody's data here."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.xml", "<a/>")
    answer = site.client.post(
        "/qrda/3/convert", content=stream.getvalue(), headers={**LATER, "content-type": "application/zip"}
    )
    return job_of(answer), set()


def refresh(site: Site) -> tuple[str, set[str]]:
    path = f"/fhir/Measure/{MEASURE}/$evaluate-measure"
    assert site.client.get(path, params=YEAR, headers=OURS).status_code == 200
    changed = sorted(site.names)[3]
    person = site.client.get(f"/fhir/Patient/{changed}", headers=OURS).json()
    person["birthDate"] = "1960-02-29"
    assert site.client.put(f"/fhir/Patient/{changed}", json=person, headers=OURS).status_code == 200
    return str(queue_refresh(site.services, "practice")), {changed}


STARTS: dict[str, Callable[[Site], tuple[str, set[str]]]] = {
    "evaluate": evaluate,
    "care-gaps": care_gaps,
    "export": export,
    "import": import_lines,
    "qrda1-import": qrda1_import,
    "qrda3": qrda3,
    "qrda-export": qrda_export,
    "qrda-judging": qrda_judging,
    "refresh": refresh,
}


def test_no_kind_of_job_is_left_out() -> None:
    assert set(STARTS) | {"sync"} == set(KINDS)


@pytest.mark.parametrize("kind", STARTS)
def test_a_job_names_whose_data_it_touched(site: Site, kind: str) -> None:
    job, expected = STARTS[kind](site)
    ended(site, job)
    events = trail(site, job)
    assert named(events) == expected
    for event in events:
        assert event["outcome"] == "0"
        assert event["type"]["code"] == "rest"
        assert [one["who"]["identifier"]["value"] for one in event["agent"] if one["requestor"]]
    moved = {one["code"] for event in events for one in event["subtype"]}
    if kind.endswith("import"):
        assert "110107" in moved
    if kind.endswith("export"):
        assert "110106" in moved


def test_a_sync_names_whose_data_it_wrote(site: Site) -> None:
    source = add_source(site.services, Source("clinic", "synced", site.clinic, SourceSettings()))
    with site.services.database.write() as connection:
        job = queue_sync(connection, source, SyncRequest("clinic"))
    ended(site, job)
    with site.services.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT body FROM audit_events ORDER BY key").all()
    events = [json.loads(bytes(body)) for (body,) in rows]
    synced = named([event for event in events if asked_for(event) == "sync clinic"])
    page = site.client.get("/fhir/Patient", headers={"x-organization": "synced"}).json()
    there = {entry["resource"]["id"] for entry in page["entry"]}
    assert len(there) == 3
    assert synced == there


def test_data_pulled_from_another_server_and_the_report_beside_them_are_named(site: Site) -> None:
    measure = site.client.get(f"/fhir/Measure/{MEASURE}").json()
    report = {
        "resourceType": "MeasureReport", "id": "sent", "status": "complete", "type": "data-collection",
        "measure": measure["url"], "period": {"start": "2025-01-01", "end": "2025-12-31"},
        "subject": {"reference": "Patient/synthetic-1-000001"},
    }  # fmt: skip
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "measureReport", "resource": report},
            {"name": "exportUrl", "valueUrl": f"{site.clinic}/Patient/$export?_type=Patient"},
        ],
    }
    accepted = site.client.post("/fhir/Measure/$bulk-submit-data", json=body, headers={"x-organization": "w"})
    job = job_of(accepted)
    ended(site, job)
    events = trail(site, job)
    assert named(events) == {f"synthetic-1-{number:06d}" for number in (1, 2, 3)}
    assert named(events, "3") == {"sent"}
    assert {"110107"} <= {one["code"] for event in events for one in event["subtype"]}


def test_who_fetches_or_forgets_a_result_is_written_down(site: Site) -> None:
    job, _ = evaluate(site)
    ended(site, job)
    assert site.client.delete(f"/fhir/_jobs/{job}", headers=OURS).status_code == 202
    with site.services.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT body FROM audit_events ORDER BY key").all()
    asked = [asked_for(json.loads(bytes(body))) for (body,) in rows]
    assert asked.count(f"GET /fhir/_jobs/{job}") == 1
    assert asked.count(f"DELETE /fhir/_jobs/{job}") == 1


def test_a_job_that_fails_is_written_down_with_the_reason(site: Site) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "exportUrl", "valueUrl": f"{site.clinic}/Group/nobody/$export"}],
    }
    job = job_of(site.client.post("/fhir/$import", json=body, headers=OURS))
    until = time.monotonic() + 60
    while site.client.get(f"/fhir/_jobs/{job}", headers=OURS).status_code == 202:
        assert time.monotonic() < until
        time.sleep(0.1)
    (event,) = trail(site, job)
    assert event["outcome"] in ("4", "8")
    assert event["outcomeDesc"]


def test_an_event_names_no_more_patients_than_it_may(site: Site) -> None:
    lines = [
        to_json({"resourceType": "Patient", "id": f"many-{n}"}) for n in range(2 * PATIENTS_AN_EVENT + 1)
    ]
    answer = site.client.post(
        "/fhir/$import",
        content=b"\n".join(lines),
        headers={"x-organization": "many", "content-type": "application/fhir+ndjson"},
    )
    job = job_of(answer)
    ended(site, job)
    events = trail(site, job)
    assert [len(named([event])) for event in events] == [PATIENTS_AN_EVENT, PATIENTS_AN_EVENT, 1]
    assert len(named(events)) == len(lines)
