"""Patients of one server kept in another: all of them, then what changes, and nothing lost on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from finished_jobs import finished, outcome
from served import YEAR, start
from source_server import Watched, source_server
from sqlalchemy import select
from synced_stores import SECRET, added, contents, delete, our_store, put, queued, settled, stored, sync

from measurewise.api.services.context import Services
from measurewise.engine.errors import MeasurewiseError
from measurewise.store import jobs, sources
from measurewise.store.access import OPERATOR
from measurewise.store.resources import parse
from measurewise.store.tables import resources

PATIENTS = 100
DIABETES = "DiabetesGlycemicControl"
WAYS = ("searches", "everything", "bulk")


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[tuple[str, Watched]]:
    with source_server(tmp_path / "clinic", PATIENTS) as found:
        settled()
        yield found


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Services]:
    yield from our_store(tmp_path / "ours")


def evaluated(services: Services) -> list[Any]:
    for client in start(services.settings):
        report = client.get(
            f"/fhir/Measure/{DIABETES}/$evaluate-measure", params={**YEAR, "reportType": "population"}
        )
        assert report.status_code == 200, report.text
        groups: list[Any] = report.json()["group"]
        return groups
    raise AssertionError


def observation(identity: str, of: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": identity, "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
        "subject": {"reference": f"Patient/{of}"}, "effectiveDateTime": "2026-11-01T08:00:00Z",
        "valueQuantity": {"value": 9.50, "unit": "%", "code": "%", "system": "http://unitsofmeasure.org"},
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_store_becomes_and_stays_what_the_source_has(
    clinic: tuple[str, Watched], ours: Services, way: str
) -> None:
    url, watched = clinic
    added(ours, url, way=way)
    first = sync(ours)
    assert (first["way"], first["read"], first["written"], first["failed"]) == (way, PATIENTS, PATIENTS, 0)
    assert contents(ours) == contents(watched.services)
    assert len(contents(ours)) == first["created_resources"] > 3000
    assert evaluated(ours) == evaluated(watched.services)

    settled()
    everybody = sorted(patient["id"] for patient in stored(watched, "Patient"))
    changed, extended, gone = everybody[3], everybody[40], everybody[77]
    theirs = [o for o in stored(watched, "Observation") if o["subject"]["reference"] == f"Patient/{changed}"]
    delete(watched, f"Observation/{theirs[0]['id']}")
    put(watched, {**theirs[1], "status": "amended"})
    put(watched, observation("new-one", extended))
    put(watched, {"resourceType": "Patient", "id": "new-patient", "birthDate": "1960-01-01"})
    put(watched, observation("of-the-new", "new-patient"))
    of_gone = [
        one
        for kind in ("Observation", "Encounter", "Condition", "Coverage", "MedicationRequest", "Immunization",
                     "ServiceRequest")
        for one in stored(watched, kind)
        if f"Patient/{gone}" in str(one)
    ]  # fmt: skip
    for one in of_gone:
        delete(watched, f"{one['resourceType']}/{one['id']}")
    delete(watched, f"Patient/{gone}")
    watched.asked.clear()
    second = sync(ours, full=way != "bulk")
    assert contents(ours) == contents(watched.services)
    assert "Patient/new-patient" in contents(ours)
    assert second["failed"] == 0
    assert evaluated(ours) == evaluated(watched.services)
    with ours.database.read() as connection:
        assert sources.counts(connection, "clinic") == sources.SourceCounts(PATIENTS, 0)

    settled()
    third = sync(ours)
    assert third["written"] == third["created_resources"] == third["deleted_resources"] == 0


@pytest.mark.parametrize("way", ["searches", "everything"])
def test_only_the_patients_who_changed_are_asked_for(
    clinic: tuple[str, Watched], ours: Services, way: str
) -> None:
    url, watched = clinic
    added(ours, url, way=way)
    watched.asked.clear()
    first = sync(ours)
    asked_first = len(watched.asked)
    settled()
    everybody = sorted(patient["id"] for patient in stored(watched, "Patient"))
    put(watched, observation("n1", everybody[5]))
    put(watched, observation("n2", everybody[60]))
    watched.asked.clear()
    second = sync(ours)
    assert watched.named(everybody) == {everybody[5], everybody[60]}
    assert (second["read"], second["written"], second["created_resources"]) == (2, 2, 2)
    assert contents(ours) == contents(watched.services)
    assert second["synced"] > first["synced"]
    print(f"{way}: {asked_first} requests for {PATIENTS} patients, {len(watched.asked)} for 2 that changed")


def test_a_patient_who_cannot_be_read_is_reported_and_tried_again(
    clinic: tuple[str, Watched], ours: Services
) -> None:
    url, watched = clinic
    added(ours, url, way="everything")
    everybody = sorted(patient["id"] for patient in stored(watched, "Patient"))
    watched.failing = {everybody[10]}
    first = sync(ours)
    assert (first["read"], first["failed"]) == (PATIENTS - 1, 1)
    (issue,) = first["issues"]["issue"]
    assert issue["expression"] == [f"Patient/{everybody[10]}"]
    assert "500" in issue["diagnostics"]
    assert f"Patient/{everybody[10]}" not in contents(ours)
    watched.failing = set()
    settled()
    watched.asked.clear()
    second = sync(ours)
    assert (second["read"], second["failed"]) == (1, 0)
    assert watched.named(everybody) == {everybody[10]}
    assert contents(ours) == contents(watched.services)


def test_a_worker_that_is_killed_loses_nothing_and_counts_nothing_twice(
    clinic: tuple[str, Watched], ours: Services
) -> None:
    url, watched = clinic
    added(ours, url, way="everything", batch=5)
    job = queued(ours)
    watched.slow = 0.01
    environment = {**os.environ, "MEASUREWISE_DATA_FOLDER": str(ours.settings.data_folder)}
    process = subprocess.Popen(
        [sys.executable, "-c", "from measurewise.cli.serve import worker; worker()"], env=environment
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with ours.database.read() as connection:
                if 20 <= jobs.read(connection, OPERATOR, job).done < PATIENTS:
                    break
            time.sleep(0.01)
        else:
            raise AssertionError("the worker did not get going")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with ours.database.read() as connection:
        assert sources.read(connection, OPERATOR, "clinic").synced is None
    assert 0 < len(contents(ours)) < len(contents(watched.services))
    watched.slow = 0.0
    _let_claims_go(ours)
    report = outcome(ours, job)
    assert (report["read"], report["failed"]) == (PATIENTS, 0)
    assert contents(ours) == contents(watched.services)
    with ours.database.read() as connection:
        assert sources.counts(connection, "clinic") == sources.SourceCounts(PATIENTS, 0)
        versions = connection.execute(
            select(resources.c.version).where(resources.c.type == "Observation").distinct()
        ).scalars()
        assert set(versions) == {1}


def _let_claims_go(services: Services) -> None:
    """As when the time of a dead worker's claims has passed."""
    from datetime import timedelta

    from sqlalchemy import update

    from measurewise.store.database import now
    from measurewise.store.tables import job_steps

    with services.database.write() as connection:
        connection.execute(
            update(job_steps)
            .where(job_steps.c.state == "claimed")
            .values(claimed_until=now() - timedelta(seconds=1))
        )


def hook(client: TestClient, path: str = "", method: str = "POST", secret: str = SECRET, **sent: Any) -> Any:
    headers = {"Authorization": f"Bearer {secret}"}
    return client.request(method, f"/fhir/$subscription-hook/clinic{path}", headers=headers, **sent)


def notification(kind: str, *changed: str, number: int = 1, entries: tuple[Any, ...] = ()) -> dict[str, Any]:
    events = [
        {
            "name": "notification-event",
            "part": [
                {"name": "event-number", "valueString": str(number + place)},
                {"name": "focus", "valueReference": {"reference": reference}},
            ],
        }
        for place, reference in enumerate(changed)
    ]
    status = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subscription", "valueReference": {"reference": "Subscription/1"}},
            {"name": "status", "valueCode": "active"},
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": str(number + len(changed) - 1)},
            *events,
        ],
    }
    return {"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}, *entries]}


def waited(services: Services, until: Any) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    _idle(services)


def _idle(services: Services) -> None:
    from sqlalchemy import func

    from measurewise.store.tables import jobs as rows

    while True:
        with services.database.read() as connection:
            query = select(func.count()).where(rows.c.state.in_(("queued", "running")))
            if not connection.execute(query).scalar_one():
                return
        time.sleep(0.02)


def test_notifications_bring_the_patients_they_name(clinic: tuple[str, Watched], ours: Services) -> None:
    url, watched = clinic
    added(ours, url, way="searches")
    sync(ours)
    settled()
    everybody = sorted(patient["id"] for patient in stored(watched, "Patient"))
    for client in start(ours.settings):
        assert hook(client, json=notification("handshake", number=1)).status_code == 200
        watched.asked.clear()
        put(watched, observation("by-id", everybody[1]))
        told = notification("event-notification", f"{url}/Observation/by-id")
        assert hook(client, json=told).status_code == 200
        waited(ours, lambda: "Observation/by-id" in contents(ours))
        assert watched.named(everybody) == {everybody[1]}

        watched.asked.clear()
        put(watched, observation("whole", everybody[2]))
        entry = {"resource": observation("whole", everybody[2]) | {"status": "cancelled"}}
        told = notification("event-notification", f"{url}/Observation/whole", number=2, entries=(entry,))
        assert hook(client, json=told).status_code == 200
        waited(ours, lambda: "Observation/whole" in contents(ours))
        assert watched.named(everybody) == {everybody[2]}
        # what the notification itself says of the resource is not believed
        assert parse(contents(ours)["Observation/whole"])["status"] == "final"

        put(watched, observation("missed", everybody[3]))
        put(watched, observation("told", everybody[4]))
        told = notification("event-notification", f"{url}/Observation/told", number=4)
        assert hook(client, json=told).status_code == 200
        waited(ours, lambda: "Observation/missed" in contents(ours))
        assert "Observation/told" in contents(ours)

        put(watched, observation("empty", everybody[5]))
        assert hook(client).status_code == 200
        waited(ours, lambda: "Observation/empty" in contents(ours))

        put(watched, observation("plain", everybody[6]))
        answer = hook(client, "/Observation/plain", "PUT", json=observation("plain", everybody[6]))
        assert answer.status_code == 200
        waited(ours, lambda: "Observation/plain" in contents(ours))

        delete(watched, "Observation/plain")
        assert hook(client, "/Observation/plain", "DELETE").status_code == 200
        waited(ours, lambda: "Observation/plain" not in contents(ours))
        assert contents(ours) == contents(watched.services)


def test_nobody_else_can_notify(clinic: tuple[str, Watched], ours: Services) -> None:
    url, _ = clinic
    added(ours, url)
    for client in start(ours.settings):
        for answer in (
            hook(client, secret="wrong"),  # noqa: S106, it is none
            client.post("/fhir/$subscription-hook/clinic"),
            client.post("/fhir/$subscription-hook/nobody", headers={"Authorization": f"Bearer {SECRET}"}),
            client.put("/fhir/$subscription-hook/clinic/Patient/1", json={}),
        ):
            assert answer.status_code == 401
            assert answer.json()["resourceType"] == "OperationOutcome"
        assert hook(client, json={"resourceType": "Bundle"}).status_code == 400
    with ours.database.read() as connection:
        assert connection.execute(select(jobs.jobs.c.id)).all() == []


def test_two_sources_of_one_organisation_stay_apart(
    clinic: tuple[str, Watched], ours: Services, tmp_path: Path
) -> None:
    url, watched = clinic
    assert not added(ours, url, way="everything").settings.prefixed
    with source_server(tmp_path / "hospital", 5) as (other, hospital):
        assert added(ours, other, "hospital", way="everything").settings.prefixed
        sync(ours)
        report = sync(ours, "hospital")
        assert (report["read"], report["failed"]) == (5, 0)
        both = contents(ours)
        own = contents(watched.services)
        assert {name: both[name] for name in own} == own
        assert len(both) == len(own) + len(contents(hospital.services))
        some = stored(hospital, "Observation")[0]
        kept = parse(both[f"Observation/hospital.{some['id']}"])
        assert kept["subject"]["reference"] == some["subject"]["reference"].replace("/", "/hospital.")
        added(ours, other, "third", way="everything", prefixed=False)
        with ours.database.write() as connection:
            third = sources.read(connection, OPERATOR, "third")
            assert third.settings.prefixed


def test_a_source_that_has_nobody_any_more_does_not_empty_the_store(
    clinic: tuple[str, Watched], ours: Services
) -> None:
    url, watched = clinic
    added(ours, url, way="searches")
    sync(ours)
    before = contents(ours)
    for patient in stored(watched, "Patient"):
        delete(watched, f"Patient/{patient['id']}")
    done = finished(ours, queued(ours, full=True))
    assert done.state == "failed"
    assert "no patients at all" in done.progress
    assert contents(ours) == before


def test_settings_that_do_not_go_together_are_refused(ours: Services) -> None:
    for settings, said in (
        ({"rule": "nearest"}, "no rule 'nearest'"),
        ({"rule": "most-visits"}, "needs a provider or practice, and a period"),
        ({"provider": ("Practitioner/1",)}, "needs a rule"),
        ({"way": "files", "sign_in": "bearer"}, "files have no sign-in"),
    ):
        with pytest.raises(MeasurewiseError, match=said):
            added(ours, "https://clinic.example/fhir", **settings)
