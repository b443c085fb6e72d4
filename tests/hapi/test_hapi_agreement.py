"""Five measures over what a real HAPI FHIR server gives, by each way: patient by patient as from files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agreement import OFFICIAL, SHIPPED, Counts, Measures
from hapi_process import Hapi

from measurewise.fhir_server_adapter.bulk import BulkPatients, ExportRequest
from measurewise.fhir_server_adapter.capabilities import Capabilities, read_capabilities
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.pulling import EverythingPatients, SearchedPatients
from measurewise.fhir_server_adapter.search_plan import search_plan
from measurewise.fhir_server_adapter.sources import PatientSource

Sourced = Callable[[FhirClient, Capabilities, Measures, Path], PatientSource]


def _searched(client: FhirClient, offered: Capabilities, measures: Measures, folder: Path) -> PatientSource:
    plan = measures.plan(offered)
    assert plan.unsearchable == frozenset()
    return SearchedPatients(client, plan)


def _everything(client: FhirClient, offered: Capabilities, measures: Measures, folder: Path) -> PatientSource:
    return EverythingPatients(client, by_reference=measures.plan(offered).by_reference)


def _exported(client: FhirClient, offered: Capabilities, measures: Measures, folder: Path) -> PatientSource:
    return BulkPatients(client, ExportRequest("system"), folder, capabilities=offered, poll=1.0)


WAYS: dict[str, Sourced] = {"searches": _searched, "$everything": _everything, "Bulk Data": _exported}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_each_patient_the_results_of_files(
    way: str,
    loaded: Hapi,
    measures: Measures,
    expected: Counts,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run() -> tuple[Counts, list[str], float, float]:
        async with FhirClient(loaded.base_url, concurrency=4, timeout=300) as client:
            source = WAYS[way](client, await read_capabilities(client), measures, tmp_path)
            wall, own = time.perf_counter(), time.process_time()
            found = await measures.counted(source)
            return found, source.faults, time.perf_counter() - wall, time.process_time() - own

    found, faults, wall, own = asyncio.run(run())
    differing = [patient for patient in expected if found.get(patient) != expected[patient]]
    with capsys.disabled():
        print(
            f"\n{way}: {len(found):,} patients x {measures.count} measures in {wall:.1f} s, "
            f"{1 - own / wall:.0%} of it waiting for HAPI; "
            f"{len(expected) - len(differing):,} of {len(expected):,} agree with files"
        )
    # an export brings what belongs to no patient too; that it is left out is said
    assert [fault for fault in faults if not fault.startswith("Resources that belong to no patient")] == []
    assert differing == []
    assert found.keys() == expected.keys()
    assert measures.count == 5
    assert measures.reached(found) == measures.reached(expected)
    assert all(measures.reached(found)), "a measure that counts nobody would prove nothing"
    assert own <= 0.2 * wall, "four fifths of the time should be waiting for the server"


@pytest.mark.parametrize("name", ["DiabetesGlycemicControl", "HighBloodPressureFollowUp"])
def test_searches_by_date_give_each_patient_the_results_of_files(
    name: str, loaded: Hapi, measures: Measures, expected: Counts, capsys: pytest.CaptureFixture[str]
) -> None:
    """One measure at a time, since of several together each sees to it that less is left out."""
    at = (*SHIPPED, *OFFICIAL).index(name)
    assert [len(measure.groups) for measure in measures.prepared.measures] == [1] * 5
    prepared = measures._engine.prepare(name, period="2026")

    async def run(by_date: bool) -> tuple[dict[str, Any], int]:
        windows = prepared.windows if by_date else None
        async with FhirClient(loaded.base_url, concurrency=4, timeout=300) as client:
            offered = await read_capabilities(client)
            retrievals = prepared.program.tables.retrievals
            plan = search_plan(retrievals, offered, measures._engine.value_sets, windows=windows)
            assert any(search.dates for search in plan.searches) == by_date
            found, resources = {}, 0
            async for pulled in SearchedPatients(client, plan).patients():
                (result,) = prepared.evaluate(pulled.record())
                (group,) = result.compact().groups
                found[pulled.patient_id] = (group.counts, group.observations)
                resources += len(pulled.resources)
            return found, resources

    found, resources = asyncio.run(run(True))
    whole, all_resources = asyncio.run(run(False))
    with capsys.disabled():
        print(
            f"\n{name}: {resources:,} resources by date, {all_resources:,} without, {len(found):,} patients"
        )
    assert found == whole == {patient: groups[at] for patient, groups in expected.items()}
    assert resources < all_resources
