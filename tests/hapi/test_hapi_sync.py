"""What a real server says has changed: exactly that, deletions too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hapi_process import Hapi

from measurewise.fhir_server_adapter.capabilities import Capabilities, read_capabilities
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.sync import Changes, PatientChanges, changes_since

TYPES = ("Patient", "Observation", "Condition", "Medication")


def observation(identity: str, of: str, value: int = 1) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "code": {"text": "something"},
        "subject": {"reference": f"Patient/{of}"},
        "valueInteger": value,
    }


class Writing:
    """Writes to the server, and takes everything away at the end."""

    def __init__(self, hapi: Hapi) -> None:
        self._http = httpx.Client(base_url=hapi.base_url, timeout=60, trust_env=False)
        self._written: set[str] = set()

    def put(self, resource: dict[str, Any]) -> None:
        address = f"{resource['resourceType']}/{resource['id']}"
        self._http.put(f"/{address}", json=resource).raise_for_status()
        self._written.add(address)

    def delete(self, address: str) -> None:
        self._http.delete(f"/{address}").raise_for_status()

    def close(self) -> None:
        for address in sorted(self._written):
            self.delete(address)
        self._http.close()


@pytest.fixture
def writing(hapi: Hapi) -> Iterator[Writing]:
    writing = Writing(hapi)
    for patient in ("sync-a", "sync-b", "sync-c"):
        writing.put({"resourceType": "Patient", "id": patient})
    writing.put(observation("sync-o1", "sync-a"))
    writing.put(observation("sync-o2", "sync-a"))
    writing.put(observation("sync-o3", "sync-b"))
    writing.put({"resourceType": "Medication", "id": "sync-m", "code": {"text": "some"}})
    yield writing
    writing.close()


def changes(hapi: Hapi, since: str, **capabilities: Any) -> Changes:
    async def run() -> Changes:
        async with FhirClient(hapi.base_url) as client:
            offered: Capabilities = replace(await read_capabilities(client), **capabilities)
            return await changes_since(client, offered, since, TYPES)

    return asyncio.run(run())


def now(hapi: Hapi) -> str:
    """The server's moment, after all that was written."""
    return changes(hapi, "2999-01-01T00:00:00Z").until


@pytest.mark.parametrize("by", ["the history of the system", "the history of each type"])
def test_exactly_what_changed_and_what_was_deleted_is_told(by: str, hapi: Hapi, writing: Writing) -> None:
    since = now(hapi)
    writing.put(observation("sync-o1", "sync-a", 2))
    writing.put(observation("sync-o4", "sync-b"))
    writing.delete("Observation/sync-o2")
    writing.put({"resourceType": "Medication", "id": "sync-m", "code": {"text": "another"}})
    found = changes(hapi, since, history=by == "the history of the system")
    assert found.patients == {
        "sync-a": PatientChanges({"Observation/sync-o1"}, {"Observation/sync-o2"}),
        "sync-b": PatientChanges({"Observation/sync-o4"}),
    }
    assert found.stale() == {"sync-a", "sync-b"}
    assert found.changed == {"Medication/sync-m"}
    assert found.deleted == set()
    assert found.remarks == []
    assert changes(hapi, found.until).patients == {}


def test_what_is_deleted_and_written_again_is_changed(hapi: Hapi, writing: Writing) -> None:
    since = now(hapi)
    writing.delete("Observation/sync-o1")
    writing.put(observation("sync-o1", "sync-a", 3))
    assert changes(hapi, since).patients == {"sync-a": PatientChanges({"Observation/sync-o1"})}


def test_a_resource_that_goes_to_another_patient_makes_both_stale(hapi: Hapi, writing: Writing) -> None:
    since = now(hapi)
    writing.put(observation("sync-o3", "sync-b", 5))
    writing.put(observation("sync-o3", "sync-c"))
    assert changes(hapi, since).stale() == {"sync-b", "sync-c"}


def test_a_deleted_patient_is_told(hapi: Hapi, writing: Writing) -> None:
    since = now(hapi)
    writing.delete("Patient/sync-c")
    assert changes(hapi, since).patients == {"sync-c": PatientChanges(set(), {"Patient/sync-c"})}


def test_without_histories_changes_come_by_search_and_missing_deletions_are_said(
    hapi: Hapi, writing: Writing
) -> None:
    since = now(hapi)
    writing.put(observation("sync-o1", "sync-a", 4))
    writing.delete("Observation/sync-o2")

    async def run() -> Changes:
        async with FhirClient(hapi.base_url) as client:
            offered = await read_capabilities(client)
            types = {
                kind: replace(known, interactions=known.interactions - {"history-type"})
                for kind, known in offered.types.items()
            }
            return await changes_since(client, replace(offered, history=False, types=types), since, TYPES)

    found = asyncio.run(run())
    assert found.patients == {"sync-a": PatientChanges({"Observation/sync-o1"})}
    assert found.remarks == [
        "The server does not tell what was deleted of Condition, Medication, Observation, Patient."
    ]
