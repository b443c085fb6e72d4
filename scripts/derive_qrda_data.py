"""Write the facts of each performance year that QRDA III needs into ``qrda/data/<year>/``.

``measures.json`` and ``errors.json`` serve converting, ``measures.json`` and ``writing.json`` serve writing.
Run by hand when CMS publishes new data: ``python scripts/derive_qrda_data.py SHARED``, with the folder that
holds ``mips/measures-data`` (CMS, qpp-measures-data; for 2026 the eCQMs' own identifiers, which have no GUIDs
of strata) and ``qrda/category3/error_codes_py*.tsv`` (CMS, texts).
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

YEARS = (2023, 2024, 2025)
IDENTIFIERS_ONLY = 2026
POPULATIONS = {
    "initialPopulationUuid": "IPOP",
    "denominatorUuid": "DENOM",
    "denominatorExclusionUuid": "DENEX",
    "denominatorExceptionUuid": "DENEXCEP",
    "numeratorUuid": "NUMER",
}


def _measure(entry: dict[str, Any]) -> dict[str, Any]:
    groups = []
    for stratum in entry.get("strata", []):
        uuids = stratum.get("eMeasureUuids")
        group: dict[str, Any] = {"name": stratum.get("name")}
        if uuids:
            group["populations"] = {
                code: uuids[key].upper() for key, code in POPULATIONS.items() if uuids.get(key)
            }
            group["strata"] = [uuid.upper() for uuid in uuids.get("strata", [])]
        groups.append(group)
    return {
        "measureId": entry["measureId"],
        "eMeasureId": entry["eMeasureId"],
        "eMeasureUuid": entry["eMeasureUuid"].lower(),
        "metricType": entry["metricType"],
        "groups": groups,
    }


def _writing(entries: list[dict[str, Any]], with_guids: list[dict[str, Any]]) -> dict[str, Any]:
    """Titles, numerator exclusions, and the PI measures and improvement activities that there are."""
    of_category = {
        name: [entry for entry in entries if entry["category"] == name] for name in ("pi", "ia", "quality")
    }
    exclusions = {
        entry["eMeasureId"]: [
            (stratum.get("eMeasureUuids") or {}).get("numeratorExclusionUuid") for stratum in entry["strata"]
        ]
        for entry in with_guids
    }
    return {
        "titles": {
            entry["eMeasureId"]: entry["title"] for entry in of_category["quality"] if entry.get("eMeasureId")
        },
        "numeratorExclusions": {
            name: [guid and guid.upper() for guid in guids]
            for name, guids in exclusions.items()
            if any(guids)
        },
        "promotingInteroperability": {
            entry["measureId"]: {"title": entry["title"], "metricType": entry["metricType"]}
            for entry in of_category["pi"]
        },
        "improvementActivities": {entry["measureId"]: entry["title"] for entry in of_category["ia"]},
    }


def main(shared: Path) -> None:
    """Write measures, error texts, and what writing needs, of every year."""
    for year in YEARS:
        entries = _entries(shared, f"{year}-measures")
        measures = [entry for entry in entries if entry.get("eMeasureUuid")]
        _write_year(shared, year, entries, measures)
        errors = {}
        lines = (shared / "qrda" / "category3" / f"error_codes_py{year}.tsv").read_text().splitlines()
        for line in lines:
            code, name, text = line.split("\t", 2)
            # The table of 2024 has lost the days.
            text = text.replace("must start on .", f"must start on 01/01/{year}.")
            text = text.replace("must end on .", f"must end on 12/31/{year}.")
            errors[code] = {"name": name, "text": text.strip()}
        _write(
            _folder(year) / "errors.json",
            {"source": f"CMS, QRDA III conversion tool, error texts of {year}", "errors": errors},
        )
    entries = _entries(shared, f"{IDENTIFIERS_ONLY}-measures")
    ids = {entry["eMeasureId"]: entry["measureId"] for entry in entries if entry.get("eMeasureId")}
    measures = [
        {**entry, "measureId": ids[entry["eMeasureId"]]}
        for entry in _entries(shared, f"{IDENTIFIERS_ONLY}-ecqm-identifiers")
    ]
    _write_year(shared, IDENTIFIERS_ONLY, entries, measures)


def _write_year(
    shared: Path, year: int, entries: list[dict[str, Any]], measures: list[dict[str, Any]]
) -> None:
    source = f"CMS, qpp-measures-data, {year}"
    _write(
        _folder(year) / "measures.json",
        {"source": source, "measures": [_measure(entry) for entry in measures]},
    )
    mvps = {entry["mvpId"]: entry["title"] for entry in _entries(shared, f"{year}-mvp")}
    _write(_folder(year) / "writing.json", {"source": source, **_writing(entries, measures), "mvps": mvps})


def _entries(shared: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(shared / "mips" / "measures-data" / f"{name}.json.gz") as stream:
        entries: list[dict[str, Any]] = json.load(stream)
    return entries


def _folder(year: int) -> Path:
    folder = Path(__file__).parent.parent / "qrda" / "data" / str(year)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
