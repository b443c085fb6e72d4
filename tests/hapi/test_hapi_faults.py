"""A real server behind a proxy that fails in each way there is: nothing is lost, nothing counted twice, and
what could not be read is said."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from agreement import Counts, Measures
from fault_proxy import Ask, Asked, Fault, Given, fault_proxy
from hapi_process import Hapi
from hapi_records import load, synthetic_records

from measurewise.fhir_server_adapter.bulk import BulkPatients, ExportRequest
from measurewise.fhir_server_adapter.capabilities import read_capabilities
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.pulling import EverythingPatients, SearchedPatients
from measurewise.fhir_server_adapter.retrying import Retries
from measurewise.fhir_server_adapter.search_plan import BY_REFERENCE
from measurewise.fhir_server_adapter.sources import PatientSource, Pulled

IDS = [f"synthetic-1-{number:06d}" for number in range(11, 31)]
Sourced = Callable[[FhirClient], Awaitable[PatientSource]]
Outcome = tuple[list[Pulled], list[str]]


def pulled_through(
    hapi: Hapi, fault: Fault, source: Callable[[FhirClient], Awaitable[PatientSource]]
) -> Outcome:
    async def run() -> Outcome:
        async with (
            fault_proxy(hapi.base_url, fault) as proxy,
            FhirClient(
                proxy.base_url, retries=Retries(attempts=4, first=0.01), concurrency=3, timeout=120
            ) as client,
        ):
            found = await source(client)
            pulled = [one async for one in found.patients()]
            return pulled, found.faults

    return asyncio.run(run())


def searched(measures: Measures, count: int = 20) -> Sourced:
    async def source(client: FhirClient) -> PatientSource:
        plan = measures.plan(await read_capabilities(client))
        return SearchedPatients(client, plan, IDS, count=count, together=5)

    return source


def agrees(outcome: Outcome, measures: Measures, expected: Counts) -> None:
    """All patients came, each once, with each resource once, and with the results of files."""
    pulled, faults = outcome
    assert faults == []
    assert [one.patient_id for one in pulled] == IDS
    for one in pulled:
        names = Counter((r["resourceType"], r["id"]) for r in one.resources)
        assert set(names.values()) == {1}
        assert measures.evaluated(one.record()) == expected[one.patient_id]


async def passed(request: Asked, ask: Ask) -> Given:
    return await ask()


def test_through_a_proxy_that_does_nothing_all_is_as_without(
    loaded: Hapi, measures: Measures, expected: Counts
) -> None:
    agrees(pulled_through(loaded, passed, searched(measures)), measures, expected)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_requests_that_are_refused_for_a_moment_are_repeated(
    status: int, loaded: Hapi, measures: Measures, expected: Counts
) -> None:
    refused: set[tuple[str, bytes]] = set()

    async def fault(request: Asked, ask: Ask) -> Given:
        key = (request.target, request.body)
        if key not in refused:
            refused.add(key)
            return Given(status, b"", {"Retry-After": "0"} if status != 500 else {})
        return await ask()

    agrees(pulled_through(loaded, fault, searched(measures)), measures, expected)
    assert len(refused) > 20


def test_connections_that_break_off_in_a_page_are_made_again(
    loaded: Hapi, measures: Measures, expected: Counts
) -> None:
    cut: set[tuple[str, bytes]] = set()

    async def fault(request: Asked, ask: Ask) -> Given:
        given = await ask()
        key = (request.target, request.body)
        given.cut = key not in cut
        cut.add(key)
        return given

    agrees(pulled_through(loaded, fault, searched(measures)), measures, expected)
    assert any("_getpages" in target for target, _ in cut), "no page was cut"


def test_a_slow_server_is_waited_for(loaded: Hapi, measures: Measures, expected: Counts) -> None:
    async def fault(request: Asked, ask: Ask) -> Given:
        await asyncio.sleep(0.3)
        return await ask()

    agrees(pulled_through(loaded, fault, searched(measures, 200)), measures, expected)


def test_a_page_that_is_given_twice_is_noticed_and_the_patient_read_again(
    loaded: Hapi, measures: Measures, expected: Counts
) -> None:
    repeated: list[str] = []
    last: dict[str, Given] = {}

    async def fault(request: Asked, ask: Ask) -> Given:
        search = request.target.partition("_getpages=")[2].partition("&")[0]
        if search and not repeated:
            # the page before, once more, in place of the one asked for
            repeated.append(search)
            return last["page"]
        given = await ask()
        if request.target.endswith("_search") and b"Observation" not in request.body:
            body = json.loads(given.body) if given.status == 200 else {}
            if any(link["relation"] == "next" for link in body.get("link", ())):
                last["page"] = given
        return given

    agrees(pulled_through(loaded, fault, searched(measures)), measures, expected)
    assert repeated


def test_what_stays_unreadable_is_said_and_the_others_come(
    loaded: Hapi, measures: Measures, expected: Counts
) -> None:
    broken = IDS[7]

    async def fault(request: Asked, ask: Ask) -> Given:
        if broken in request.target or broken.encode() in request.body:
            return Given(500, b"")
        return await ask()

    pulled, faults = pulled_through(loaded, fault, searched(measures))
    assert [one.patient_id for one in pulled] == IDS
    assert [one.patient_id for one in pulled if one.error is not None] == [broken]
    (said,) = faults
    assert said.startswith(f"Patient/{broken} could not be read")
    assert "500" in said
    for one in pulled:
        if one.error is None:
            assert measures.evaluated(one.record()) == expected[one.patient_id]


def test_everything_survives_refusals_and_broken_connections(
    loaded: Hapi, measures: Measures, expected: Counts
) -> None:
    seen: Counter[str] = Counter()

    async def fault(request: Asked, ask: Ask) -> Given:
        seen[request.target] += 1
        if seen[request.target] == 1:
            return Given(503, b"", {"Retry-After": "0"})
        given = await ask()
        given.cut = seen[request.target] == 2
        return given

    async def source(client: FhirClient) -> PatientSource:
        return EverythingPatients(client, IDS, count=15)

    agrees(pulled_through(loaded, fault, source), measures, expected)


def _group(hapi: Hapi, name: str, ids: list[str]) -> str:
    members = [{"entity": {"reference": f"Patient/{patient}"}} for patient in ids]
    group = {"resourceType": "Group", "id": name, "type": "person", "actual": True, "member": members}
    httpx.put(f"{hapi.base_url}/Group/{name}", json=group, trust_env=False).raise_for_status()
    return name


def _exported(group: str, folder: Path) -> Sourced:
    async def source(client: FhirClient) -> PatientSource:
        return BulkPatients(
            client, ExportRequest("group", group=group), folder, by_reference=BY_REFERENCE, poll=0.5
        )

    return source


def _in_order(outcome: Outcome) -> Outcome:
    pulled, faults = outcome
    # an export of a group brings the Group itself, which is no patient's
    assert faults == ["Resources that belong to no patient were left out: 1 Group."]
    return sorted(pulled, key=lambda one: one.patient_id), []


def test_an_export_whose_link_has_expired_is_asked_for_again(
    loaded: Hapi, measures: Measures, expected: Counts, tmp_path: Path
) -> None:
    expired: list[str] = []
    kick_offs: list[str] = []

    async def fault(request: Asked, ask: Ask) -> Given:
        if "$export?" in request.target or request.target.endswith("$export"):
            kick_offs.append(request.target)
        if "/Binary/" in request.target and not expired:
            expired.append(request.target)
            return Given(410, b"")
        return await ask()

    group = _group(loaded, "expiring", IDS)
    outcome = pulled_through(loaded, fault, _exported(group, tmp_path))
    agrees(_in_order(outcome), measures, expected)
    assert expired
    assert len(kick_offs) == 2


def test_an_export_that_breaks_off_goes_on(
    loaded: Hapi, measures: Measures, expected: Counts, tmp_path: Path
) -> None:
    cut: set[str] = set()

    async def fault(request: Asked, ask: Ask) -> Given:
        given = await ask()
        given.cut = "/Binary/" in request.target and request.target not in cut
        cut.add(request.target)
        return given

    group = _group(loaded, "breaking", IDS)
    agrees(_in_order(pulled_through(loaded, fault, _exported(group, tmp_path))), measures, expected)


def test_data_that_change_while_they_are_read_are_neither_lost_nor_counted_twice(
    hapi: Hapi, loaded: Hapi, measures: Measures
) -> None:
    """A patient's observation is changed and another added between two pages."""
    record = [_moved(resource) for resource in next(iter(synthetic_records(1)))]
    asyncio.run(load(hapi.base_url, [record]))
    observations = [r for r in record if r["resourceType"] == "Observation"]
    changed: list[Any] = []

    async def fault(request: Asked, ask: Ask) -> Given:
        if "_getpages" in request.target and not changed:
            added = {**observations[0], "id": "moved-added"}
            newer = {**observations[-1], "note": [{"text": "newer"}]}
            changed.extend((added, newer))
            await load(hapi.base_url, [[added, newer]])
        return await ask()

    async def source(client: FhirClient) -> PatientSource:
        plan = measures.plan(await read_capabilities(client))
        return SearchedPatients(client, plan, [record[0]["id"]], count=5)

    (one,), faults = pulled_through(hapi, fault, source)
    assert changed
    assert faults == []
    names = Counter((r["resourceType"], r["id"]) for r in one.resources)
    assert set(names.values()) == {1}
    known = {("Observation", r["id"]) for r in observations}
    assert (
        known
        <= names.keys()
        <= known | {("Observation", "moved-added")} | {(r["resourceType"], r["id"]) for r in record}
    )
    asyncio.run(_gone(hapi, [*record, changed[0]]))


def _moved(resource: Any) -> Any:
    return json.loads(json.dumps(resource, default=float).replace("synthetic-1-000001", "moved"))


async def _gone(hapi: Hapi, resources: list[Any]) -> None:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        for resource in resources:
            await http.delete(f"{hapi.base_url}/{resource['resourceType']}/{resource['id']}")
