"""Write ``units.json`` from the official ``ucum-essence.xml``.

Run by hand when UCUM publishes a new version::

    python -m measurewise.engine.runtime.ucum.generate ucum-essence.xml

Only facts are taken over (code, definition, whether it takes prefixes, whether it is special or arbitrary);
names and prose stay with UCUM.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

_NAMESPACE = "{http://unitsofmeasure.org/ucum-essence}"


def table_of(essence: Path) -> dict[str, object]:
    """The facts of an essence file, in the shape that :mod:`.table` loads."""
    root = ET.parse(essence).getroot()  # noqa: S314 -- a file that the maintainer fetched from UCUM
    units: dict[str, list[object]] = {}
    for element in root.findall(f"{_NAMESPACE}unit"):
        value = element.find(f"{_NAMESPACE}value")
        if value is None:
            raise SystemExit(f"{element.get('Code')}: no value")
        function = value.find(f"{_NAMESPACE}function")
        metric = element.get("isMetric") == "yes"
        if function is not None:
            definition: list[object] = [
                function.get("value"),
                function.get("Unit"),
                metric,
                function.get("name"),
            ]
        else:
            arbitrary = element.get("isArbitrary") == "yes" and value.get("Unit") == "1"
            definition = [value.get("value"), value.get("Unit"), metric, "arbitrary" if arbitrary else ""]
        units[str(element.get("Code"))] = definition
    prefixes = {}
    for element in root.findall(f"{_NAMESPACE}prefix"):
        value = element.find(f"{_NAMESPACE}value")
        prefixes[str(element.get("Code"))] = "" if value is None else str(value.get("value"))
    return {
        "source": "ucum-essence.xml of the Unified Code for Units of Measure, https://ucum.org",
        "version": root.get("version"),
        "revised": root.get("revision-date"),
        "notice": "Copyright 1999-2022 Regenstrief Institute, Inc. All rights reserved. Licensed under the "
        "UCUM License, Version 1.0, https://unitsofmeasure.org/license; distributed on an AS IS basis, "
        "without warranties or conditions of any kind, either express or implied.",
        "columns": "units: code -> value, unit, takes prefixes, special function or 'arbitrary'",
        "prefixes": prefixes,
        "base": [str(element.get("Code")) for element in root.findall(f"{_NAMESPACE}base-unit")],
        "units": units,
    }


def text_of(table: dict[str, object]) -> str:
    """The table as JSON with one unit a line, so that a new version shows as a readable difference."""
    lines = []
    for key, value in table.items():
        if key == "units" and isinstance(value, dict):
            rows = (f"    {json.dumps(code)}: {json.dumps(row)}" for code, row in value.items())
            lines.append('  "units": {\n' + ",\n".join(rows) + "\n  }")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    Path(__file__).with_name("units.json").write_text(text_of(table_of(Path(sys.argv[1]))), encoding="utf-8")
