"""A population of synthetic patients: made one at a time, the same for the same seed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from measurewise.synthetic import background, blood_pressure, demographics, diabetes, hospital
from measurewise.synthetic import vocabulary as v
from measurewise.synthetic.chance import Chance
from measurewise.synthetic.chart import Chart
from measurewise.synthetic.stories import Diabetes, stories

STORY = f"{v.CANONICAL}/CodeSystem/synthetic-story"

_encode = msgspec.json.Encoder(decimal_format="number").encode

Bundle = dict[str, Any]


def synthesize(patients: int, seed: int = 1, year: int = 2026) -> Iterator[Bundle]:
    """Synthetic patients, each a FHIR R4 Bundle of type ``collection`` that begins with the Patient.

    Patient by patient in constant memory. The same ``seed`` and ``year`` (the measurement year) give the same
    patients on every machine; asking for more leaves the first ones as they are. Quantities are Decimal.
    ``Bundle.meta.tag`` names the stories the record tells; nothing inside the record does.
    """
    for number in range(patients):
        yield synthetic_patient(number, seed, year)


def synthetic_patient(number: int, seed: int = 1, year: int = 2026) -> Bundle:
    """Patient ``number`` (from 0) of the population; see ``synthesize``."""
    told = stories(seed, number)
    chart = Chart(Chance(f"{seed} patient {number}"), f"synthetic-{seed}-{number + 1:06d}", year)
    patient = demographics.introduce(chart, told)
    background.tell(chart, visits_this_year=told.diabetes is not Diabetes.NO_VISIT)
    diabetes.tell(chart, told.diabetes)
    blood_pressure.tell(chart, told.blood_pressure)
    hospital.tell(chart, told.hospital)
    if chart.died is not None:
        patient["deceasedDateTime"] = chart.told(chart.died)
    tags = [f"diabetes-{told.diabetes}", f"blood-pressure-{told.blood_pressure}", f"hospital-{told.hospital}"]
    return {
        "resourceType": "Bundle",
        "id": chart.patient,
        "meta": {"tag": [{"system": STORY, "code": tag} for tag in tags]},
        "type": "collection",
        "entry": [
            {"fullUrl": f"{v.CANONICAL}/{each['resourceType']}/{each['id']}", "resource": each}
            for each in chart.resources
        ],
    }


def bundle_json(bundle: Bundle) -> bytes:
    """The bundle as JSON; decimals keep their digits (``72.50`` stays ``72.50``)."""
    return _encode(bundle)


def write_ndjson(bundles: Iterable[Bundle], target: Path | IO[bytes]) -> int:
    """Write one bundle a line and return how many; a file appears only when it is whole."""
    if not isinstance(target, Path):
        return _write_lines(bundles, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as lines:
            count = _write_lines(bundles, lines)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def write_folder(bundles: Iterable[Bundle], folder: Path) -> int:
    """Write one file a bundle, named by its id, into the folder and return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for bundle in bundles:
        (folder / f"{bundle['id']}.json").write_bytes(bundle_json(bundle) + b"\n")
        count += 1
    return count


def _write_lines(bundles: Iterable[Bundle], lines: IO[bytes]) -> int:
    count = 0
    for bundle in bundles:
        lines.write(bundle_json(bundle) + b"\n")
        count += 1
    return count
