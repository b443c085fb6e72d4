"""Our own server as the source: searches by date bring less, and each patient comes to the same."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from source_server import Watched, source_server

from measurewise.cli import main
from measurewise.cql_libraries import library_resources, measure_resources
from measurewise.engine import Content, Engine, Prepared
from measurewise.engine.terminology.value_sets import ValueSetIndex
from measurewise.fhir_server_adapter.capabilities import Capabilities, read_capabilities
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.pulling import SearchedPatients
from measurewise.fhir_server_adapter.search_plan import search_plan
from measurewise.store.bulk_writing import write_many
from measurewise.synthetic import synthesize
from measurewise.valuesets import value_set_resources

PATIENTS = 30


def two_years(patients: int) -> list[dict[str, Any]]:
    """Records with what happened in 2026, and once more as if it had happened ten years before."""
    made = [entry["resource"] for bundle in synthesize(patients, 1, 2026) for entry in bundle["entry"]]
    before = []
    for resource in made:
        if resource["resourceType"] in ("Encounter", "ServiceRequest"):
            old = earlier(copy.deepcopy(resource))
            before.append({**old, "id": f"{resource['id']}-before"})
    return made + before


def earlier(value: Any) -> Any:
    """The same with all dates ten years earlier."""
    if isinstance(value, dict):
        return {name: earlier(item) for name, item in value.items()}
    if isinstance(value, list):
        return [earlier(item) for item in value]
    if isinstance(value, str) and re.match(r"20\d\d-\d\d", value):
        return f"{int(value[:4]) - 10}{value[4:]}"
    return value


def pulled(
    url: str, prepared: Prepared, value_sets: ValueSetIndex, by_date: bool
) -> tuple[dict[str, Any], int]:
    """What each patient comes to, and how many resources were brought."""

    async def run() -> tuple[dict[str, Any], int]:
        async with FhirClient(url) as client:
            offered: Capabilities = await read_capabilities(client)
            windows = prepared.windows if by_date else None
            plan = search_plan(prepared.program.tables.retrievals, offered, value_sets, windows=windows)
            results: dict[str, Any] = {}
            brought = 0
            async for one in SearchedPatients(client, plan).patients():
                results[one.patient_id] = [
                    (group.counts, group.observations)
                    for result in prepared.evaluate(one.record())
                    for group in result.groups
                ]
                brought += len(one.resources)
            return results, brought

    return asyncio.run(run())


def dated(watched: Watched) -> set[str]:
    """The types that were searched by date, with the parameters."""
    found = set()
    for asked in watched.asked:
        parameters = re.findall(r"(?<=[?& ])([\w-]+=[gl]e[\d-]+)", asked)
        kind = re.match(r"\w+ /fhir/(\w+)", asked)
        if parameters and kind:
            found.add(f"{kind[1]} {' '.join(parameters)}")
    return found


def test_searches_by_date_bring_less_and_change_nothing(tmp_path: Path) -> None:
    value_sets = ValueSetIndex(value_set_resources())
    content = Content.of([*library_resources(), *measure_resources(), *value_set_resources()])
    prepared = Engine(content).prepare("DiabetesGlycemicControl", "HighBloodPressureFollowUp", period="2026")
    with source_server(tmp_path, 0) as (url, watched):
        with watched.services.database.write() as connection:
            write_many(connection, "default", two_years(PATIENTS))
        whole, all_resources = pulled(url, prepared, value_sets, by_date=False)
        assert dated(watched) == set()
        found, resources = pulled(url, prepared, value_sets, by_date=True)
    print(f"{resources:,} resources by date, {all_resources:,} without")
    assert dated(watched) == {
        "Encounter date=ge2025-12-27 date=le2027-01-05",
        "ServiceRequest authored=ge2025-12-27 authored=le2027-01-05",
    }
    assert found == whole
    assert len(found) == PATIENTS
    assert any(any(counts) for groups in found.values() for counts, _ in groups)
    assert resources < 0.8 * all_resources


def test_the_command_line_searches_by_date_unless_told_not_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def groups(*more: str) -> Any:
        command = ["evaluate", "--server", url, "--way", "searches", "--period", "2026", "--json", *more]
        assert main([*command, "--measure", "DiabetesGlycemicControl", "--no-cache"]) == 0
        shown = capsys.readouterr().out
        (printed,) = re.findall(r"^\{.*$", shown, re.MULTILINE)  # between the server's log lines
        return [measure["groups"] for measure in json.loads(printed)["measures"]]

    with source_server(tmp_path, 0) as (url, watched):
        with watched.services.database.write() as connection:
            write_many(connection, "default", two_years(5))
        capsys.readouterr()
        everything = groups("--all-dates")
        assert dated(watched) == set()
        assert groups() == everything
        assert len(dated(watched)) == 2
        watched.asked.clear()
        # individual reports list what was looked at, which a search by date would shorten
        reports = str(tmp_path / "reports.ndjson")
        groups("--report", "individual", "--output", reports)
        assert dated(watched) == set()
