"""Write the facts of each performance year that converting QRDA III needs into ``qrda/data/<year>/``.

Run by hand when CMS publishes new data: ``python scripts/derive_qrda_data.py SHARED``, with the folder that
holds ``mips/measures-data`` (CMS, qpp-measures-data) and ``qrda/category3/error_codes_py*.tsv`` (CMS, texts).
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

YEARS = (2023, 2024, 2025)
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


def main(shared: Path) -> None:
    """Write measures and error texts of every year."""
    for year in YEARS:
        folder = Path(__file__).parent.parent / "qrda" / "data" / str(year)
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(shared / "mips" / "measures-data" / f"{year}-measures.json.gz") as stream:
            entries = json.load(stream)
        measures = [_measure(entry) for entry in entries if entry.get("eMeasureUuid")]
        _write(folder / "measures.json", {"source": f"CMS, qpp-measures-data, {year}", "measures": measures})
        errors = {}
        lines = (shared / "qrda" / "category3" / f"error_codes_py{year}.tsv").read_text().splitlines()
        for line in lines:
            code, name, text = line.split("\t", 2)
            errors[code] = {"name": name, "text": text.strip()}
        _write(
            folder / "errors.json",
            {"source": f"CMS, QRDA III conversion tool, error texts of {year}", "errors": errors},
        )


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
