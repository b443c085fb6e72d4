"""What the tests load into HAPI: synthetic patients and official cases, with ids of their own."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec

from measurewise.synthetic import synthesize

Resource = dict[str, Any]
OFFICIAL = (
    "CMS122FHIRDiabetesAssessGreaterThan9Percent",
    "CMS165FHIRControllingHighBloodPressure",
    "CMS130FHIRColorectalCancerScreening",
    "CMS69FHIRPCSBMIScreenAndFollowUp",
    "CMS506FHIRSafeUseofOpioids",
)
encode = msgspec.json.Encoder(decimal_format="number").encode


def synthetic_records(patients: int) -> Iterator[list[Resource]]:
    """Each synthetic patient's resources."""
    for bundle in synthesize(patients):
        yield [entry["resource"] for entry in bundle["entry"]]


def official_records(ecqm: Path, measures: Iterable[str] = OFFICIAL) -> Iterator[list[Resource]]:
    """Each official case's resources. Ids become the case's own, since cases share some."""
    for measure in measures:
        short = measure.partition("FHIR")[0].lower()
        with gzip.open(ecqm / "cases" / f"{measure}.ndjson.gz") as lines:
            for number, line in enumerate(lines):
                case = json.loads(line, parse_float=Decimal)
                yield renamed(case["resources"], f"{short}-{number}")


def renamed(resources: list[Resource], prefix: str) -> list[Resource]:
    """The resources with ids ``<prefix>-<n>``, and references between them that follow."""
    names = {
        f"{resource['resourceType']}/{resource['id']}": f"{resource['resourceType']}/{prefix}-{number}"
        for number, resource in enumerate(resources)
    }
    return [
        {**_following(resource, names), "id": f"{prefix}-{number}"}
        for number, resource in enumerate(resources)
    ]


def _following(value: Any, names: dict[str, str]) -> Any:
    if type(value) is dict:
        changed = {name: _following(part, names) for name, part in value.items()}
        if type(value.get("reference")) is str:
            changed["reference"] = names.get(value["reference"], value["reference"])
        return changed
    return [_following(part, names) for part in value] if type(value) is list else value


def transactions(records: Iterable[list[Resource]], size: int = 400) -> Iterator[bytes]:
    """Transactions of whole records, some ``size`` updates each."""
    entries: list[Resource] = []
    for record in records:
        for resource in record:
            address = f"{resource['resourceType']}/{resource['id']}"
            entries.append({"resource": resource, "request": {"method": "PUT", "url": address}})
        if len(entries) >= size:
            yield _transaction(entries)
            entries = []
    if entries:
        yield _transaction(entries)


def _transaction(entries: list[Resource]) -> bytes:
    return encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})


async def load(base_url: str, records: Iterable[list[Resource]], *, width: int = 3) -> int:
    """Load records, ``width`` transactions at a time; how many transactions. Raises where one is refused."""
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue(width)
    sent = 0
    async with httpx.AsyncClient(timeout=600, trust_env=False) as http:

        async def worker() -> None:
            nonlocal sent
            while (body := await waiting.get()) is not None:
                for attempt in range(5):
                    headers = {"Content-Type": "application/fhir+json", "Prefer": "return=minimal"}
                    response = await http.post(base_url, content=body, headers=headers)
                    # two transactions that create the same tag at once: one of them is told to come again
                    if response.is_success or response.status_code not in (409, 500) or attempt == 4:
                        break
                if not response.is_success:
                    raise RuntimeError(f"HAPI refused a transaction: {response.text[:2000]}")
                sent += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(worker())
            for body in transactions(records):
                await waiting.put(body)
            for _ in range(width):
                await waiting.put(None)
    return sent
