"""Synthetic patients put into a store."""

from __future__ import annotations

from typing import Any

from measurewise.api.services.context import Services
from measurewise.store.bulk_writing import write_many
from measurewise.store.resources import parse
from measurewise.synthetic import bundle_json, synthetic_patient


def resources_of(number: int) -> list[dict[str, Any]]:
    parsed = parse(bundle_json(synthetic_patient(number)))
    return [entry["resource"] for entry in parsed["entry"]]


def load(services: Services, home: str, *numbers: int) -> None:
    with services.database.write() as connection:
        write_many(connection, home, [one for number in numbers for one in resources_of(number)])
