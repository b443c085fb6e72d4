"""A server that holds some official measures, and patients to ask about."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from measurewise.api.services.content import add
from measurewise.store import resources as store
from measurewise.synthetic import synthesize

MEASURES = (
    "CMS122FHIRDiabetesAssessGreaterThan9Percent",
    "CMS165FHIRControllingHighBloodPressure",
    "CMS130FHIRColorectalCancerScreening",
)


def give_official_content(client: TestClient, ecqm: Path) -> None:
    """Put the official content into the store, as ``measurewise content add`` does."""
    services = client.app.state.services  # type: ignore[attr-defined]
    paths = (ecqm / "measures", ecqm / "libraries", ecqm / "valuesets.ndjson.gz")
    add(services.database, [one for path in paths for one in _resources(path)])


def _resources(path: Path) -> Iterable[dict[str, Any]]:
    if path.is_file():
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            yield from (json.loads(line, parse_float=Decimal) for line in stream)
        return
    for file in sorted(path.glob("*.json.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as stream:
            yield json.load(stream, parse_float=Decimal)


def give_patients(client: TestClient, records: Iterable[Iterable[dict[str, Any]]], organization: str) -> int:
    """Put records into the store; how many there were."""
    services = client.app.state.services  # type: ignore[attr-defined]
    count = 0
    for record in records:
        count += 1
        with services.database.write() as connection:
            for resource in record:
                store.write(connection, organization, resource)
    return count


def synthetic(count: int, year: int) -> list[list[dict[str, Any]]]:
    """Synthetic records of a year."""
    return [[entry["resource"] for entry in bundle["entry"]] for bundle in synthesize(count, 1, year)]


def official_cases(ecqm: Path, measure: str) -> list[list[dict[str, Any]]]:
    """The records of a measure's official cases."""
    with gzip.open(ecqm / "cases" / f"{measure}.ndjson.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line, parse_float=Decimal)["resources"] for line in stream]
