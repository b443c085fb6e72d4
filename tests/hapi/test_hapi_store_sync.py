"""Patients of a real server kept in the store: whole, and after each change what the server has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from finished_jobs import outcome
from hapi_process import Hapi

from measurewise.api.jobs.syncing import queue_sync
from measurewise.api.services.context import Services, open_services
from measurewise.api.services.sources import add_source
from measurewise.api.services.sync import SyncRequest
from measurewise.api.settings import Settings
from measurewise.store import sources
from measurewise.store.access import OPERATOR
from measurewise.store.resources import compartment, of_references
from measurewise.store.sources import Source, SourceSettings
from measurewise.synthetic import synthesize

PATIENTS = 6
OVERLAP = 1.0
SEED = 77
"""Other patients than those that the other tests load."""


class Clinic:
    """Some patients of the server, and the Group of them."""

    def __init__(self, hapi: Hapi) -> None:
        self._http = httpx.Client(base_url=hapi.base_url, timeout=120, trust_env=False)
        self.url = hapi.base_url
        resources = [e["resource"] for bundle in synthesize(PATIENTS, SEED, 2026) for e in bundle["entry"]]
        self.here = {f"{r['resourceType']}/{r['id']}" for r in resources}
        self.patients = sorted(r["id"] for r in resources if r["resourceType"] == "Patient")
        members = [{"entity": {"reference": f"Patient/{patient}"}} for patient in self.patients]
        group = {
            "resourceType": "Group", "id": "store-sync", "type": "person", "actual": True, "member": members,
        }  # fmt: skip
        entries = [
            {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
            for r in (*resources, group)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        self._http.post("/", content=msgspec.json.encode(bundle), headers=_JSON).raise_for_status()

    def put(self, resource: dict[str, Any]) -> None:
        reference = f"{resource['resourceType']}/{resource['id']}"
        content = msgspec.json.encode(resource)
        self._http.put(f"/{reference}", content=content, headers=_JSON).raise_for_status()
        self.here.add(reference)

    def get(self, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get(f"/{reference}").raise_for_status().json()
        return found

    def delete(self, reference: str) -> None:
        self._http.delete(f"/{reference}").raise_for_status()
        self.here.discard(reference)

    def close(self) -> None:
        self._http.delete("/Group/store-sync").raise_for_status()
        # what refers to others goes first; Medications may be other patients' too
        for share in (_is_other, _is("Condition"), _is("Encounter"), _is("Patient")):
            entries = [
                {"request": {"method": "DELETE", "url": one}} for one in sorted(self.here) if share(one)
            ]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answer = self._http.post("/", json=bundle, headers=_JSON)
            assert answer.is_success, answer.text
        self._http.close()


def _is(kind: str) -> Callable[[str], bool]:
    return lambda reference: reference.startswith(f"{kind}/")


def _is_other(reference: str) -> bool:
    return not reference.startswith(("Condition/", "Encounter/", "Patient/", "Medication/"))


_JSON = {"Content-Type": "application/fhir+json"}


@pytest.fixture
def clinic(hapi: Hapi) -> Iterator[Clinic]:
    clinic = Clinic(hapi)
    time.sleep(OVERLAP + 3)
    yield clinic
    clinic.close()


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Services]:
    services = open_services(Settings(data_folder=tmp_path, _env_file=None))  # type: ignore[call-arg]
    yield services
    services.database.close()


def sync(services: Services) -> dict[str, Any]:
    with services.database.write() as connection:
        source = sources.read(connection, OPERATOR, "hapi")
        job = queue_sync(connection, source, SyncRequest("hapi"))
    return outcome(services, job)


def held(services: Services, patients: list[str]) -> set[str]:
    with services.database.read() as connection:
        return {one.reference for patient in patients for one in compartment(connection, "default", patient)}


def value(services: Services, kind: str, identity: str, element: str) -> Any:
    with services.database.read() as connection:
        (found,) = of_references(connection, OPERATOR, [(kind, identity)])
    return found.parsed()[element]


@pytest.mark.parametrize("way", ["searches", "everything"])
def test_the_store_follows_the_server(clinic: Clinic, ours: Services, way: str) -> None:
    settings = SourceSettings(way=way, group="store-sync", overlap=OVERLAP)  # type: ignore[arg-type]
    add_source(ours, Source("hapi", "default", clinic.url, settings))
    first = sync(ours)
    assert (first["read"], first["failed"]) == (PATIENTS, 0)
    patients_own = {reference for reference in clinic.here if not reference.startswith("Medication/")}
    assert held(ours, clinic.patients) == patients_own

    time.sleep(OVERLAP + 3)
    changed, extended, gone = clinic.patients[:3]
    clinic.put({**clinic.get(f"Patient/{changed}"), "birthDate": "1951-02-03"})
    clinic.put(
        {
            "resourceType": "Observation", "id": "store-sync-new", "status": "final",
            "code": {"text": "new"}, "subject": {"reference": f"Patient/{extended}"},
        }
    )  # fmt: skip
    lost = sorted(r for r in held(ours, [gone]) if r.startswith(("Observation/", "Condition/")))[0]
    clinic.delete(lost)
    second = sync(ours)
    assert (second["read"], second["written"], second["failed"]) == (3, 3, 0)
    assert (second["created_resources"], second["updated_resources"], second["deleted_resources"]) == (
        1,
        1,
        1,
    )
    assert value(ours, "Patient", changed, "birthDate") == "1951-02-03"
    assert held(ours, clinic.patients) == {r for r in clinic.here if not r.startswith("Medication/")}
    print(f"{way}: {first['created_resources']} resources, then {second['written']} patients written")
