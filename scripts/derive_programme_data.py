"""Write the measures of each performance year into ``mips/data/<year>/measures.json``, one measure a line.

Run by hand when CMS publishes new data: ``python scripts/derive_programme_data.py SHARED``, with the folder
that holds ``mips/measures-data`` (CMS, qpp-measures-data: measures and MVPs of every year). Members that are
empty, false or null are left out, as are descriptions.
"""

from __future__ import annotations

import gzip
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

YEARS = (2023, 2024, 2025, 2026)
KEPT = (
    "measureId",
    "category",
    "title",
    "metricType",
    "overallAlgorithm",
    "eMeasureId",
    "measureType",
    "isHighPriority",
    "isInverse",
    "isRegistryMeasure",
    "firstPerformanceYear",
    "submissionMethods",
    "allowedPrograms",
    "allowedRegistrationTypes",
    "allowedVendors",
    "measureSets",
    "isIcdImpacted",
    "icdImpacted",
    "clinicalGuidelineChanged",
    "sevenPointCapRemoved",
    "weight",
    "subcategoryId",
    "objective",
    "isRequired",
    "isBonus",
    "reportingCategory",
    "exclusion",
    "substitutes",
    "preprod",
)


def _measure(entry: dict[str, Any], ecqm: dict[str, Any]) -> dict[str, Any]:
    kept = {name: entry[name] for name in KEPT if entry.get(name) not in (None, False, [])}
    kept["title"] = " ".join(kept["title"].split())
    strata = entry.get("strata") or []
    names = [stratum.get("name") for stratum in strata]
    if any(names):
        kept["strata"] = names
    # Identifiers of eCQMs may stand in a file of their own, in the same order.
    counted = ecqm.get(entry.get("eMeasureId") or "", entry).get("strata") or []
    rates = sum(bool(stratum.get("eMeasureUuids")) for stratum in counted)
    if entry.get("eMeasureId") and (rates > 1 or any(names)):
        kept["ecqmRates"] = rates
    return kept


def main(shared: Path) -> None:
    """Write the measures of every year."""
    folder = shared / "mips" / "measures-data"
    for year in YEARS:
        ecqm: dict[str, Any] = {}
        identifiers = folder / f"{year}-ecqm-identifiers.json.gz"
        if identifiers.exists():
            ecqm = {entry["eMeasureId"]: entry for entry in _read(identifiers)}
        source = folder / f"{year}-measures.json.gz"
        measures = [_measure(entry, ecqm) for entry in _read(source)]
        mvps = {entry["mvpId"]: entry["title"].strip() for entry in _read(folder / f"{year}-mvp.json.gz")}
        header = {
            "source": f"CMS, qpp-measures-data, measures and MVPs of {year}; read {date.today()}",
            "mvps": dict(sorted(mvps.items())),
        }
        _write(Path(__file__).parent.parent / "mips" / "data" / str(year) / "measures.json", header, measures)


def _read(path: Path) -> Any:
    with gzip.open(path) as stream:
        return json.load(stream)


def _write(path: Path, header: dict[str, Any], measures: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in measures]
    head = json.dumps(header, ensure_ascii=False)[:-1]
    path.write_text(head + ', "measures": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
