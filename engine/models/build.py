"""Write the shipped tables: ``python -m measurewise.engine.models.build FOLDER [--out FOLDER]``.

FOLDER holds the official model-info XML files (``*.xml`` or ``*.xml.gz``) of
https://github.com/cqframework/clinical_quality_language (Apache-2.0).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from measurewise.engine.models.table import FOLDER, INDEX
from measurewise.engine.models.xml import read_model_info

SOURCE = "https://github.com/cqframework/clinical_quality_language"
LICENCE = "Apache-2.0"
SHARED_LENGTH = 60


def write_tables(folder: Path, out: Path) -> list[Path]:
    """Read every model info in a folder and write its table and the index; the files written."""
    written: list[Path] = []
    index: list[dict[str, str]] = []
    for path in sorted([*folder.glob("*.xml"), *folder.glob("*.xml.gz")]):
        xml = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        header = {
            "source": f"{SOURCE} {path.name.removesuffix('.gz')}",
            "licence": LICENCE,
            "sha256": hashlib.sha256(xml).hexdigest(),
        }
        table = header | share_types(read_model_info(xml))
        file = f"{table['name'].lower()}-{table['version']}.json"
        (out / file).write_text(render(table), encoding="utf-8")
        written.append(out / file)
        index.append({"name": table["name"], "version": table["version"], "url": table["url"], "file": file})
    index.sort(key=lambda row: (row["name"], [int(part) for part in row["version"].split(".")]))
    (out / INDEX).write_text(_lines(index) + "\n", encoding="utf-8")
    return [*written, out / INDEX]


def share_types(table: dict[str, Any]) -> dict[str, Any]:
    """Replace long types that recur (a choice of every resource) by ``#n``, listed once under ``types``."""
    counts: Counter[str] = Counter()
    for row in table["classes"].values():
        counts.update(cell[2] for cell in row.get("search", ()) if cell[2])
        counts.update(cell for cell in row.get("elements", {}).values() if isinstance(cell, str))
    shared = [kind for kind, count in counts.items() if count > 1 and len(kind) > SHARED_LENGTH]
    number = {kind: f"#{i}" for i, kind in enumerate(shared)}
    for row in table["classes"].values():
        for cell in row.get("search", ()):
            cell[2] = number.get(cell[2], cell[2])
        for name, cell in row.get("elements", {}).items():
            if isinstance(cell, str):
                row["elements"][name] = number.get(cell, cell)
    classes = table.pop("classes")
    return {**table, "types": shared, "classes": classes}


def render(table: dict[str, Any]) -> str:
    """The table as JSON, one line a header entry, conversion, context and class, for readable diffs."""
    parts = []
    for key, value in table.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"{_compact(name)}:{_compact(row)}" for name, row in value.items())
            text = "{\n" + rows + "\n}"
        else:
            text = _lines(value) if isinstance(value, list) and value else _compact(value)
        parts.append(f"{_compact(key)}:{text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(rows: list[Any]) -> str:
    return "[\n" + ",\n".join(map(_compact, rows)) + "\n]"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m measurewise.engine.models.build", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of official model-info XML files")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the tables go")
    arguments = parser.parse_args()
    for path in write_tables(arguments.folder, arguments.out):
        print(path)


if __name__ == "__main__":
    main()
