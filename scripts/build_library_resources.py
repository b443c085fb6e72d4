"""Put translated ELM beside its CQL, and write the FHIR Library resource that holds the two together.

Run by ``build_elm.sh``: ``python scripts/build_library_resources.py FOLDER_WITH_ELM``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from elm_serialization import standard_form

CONTENT = Path(__file__).resolve().parents[1] / "cql_libraries"
CANONICAL = "https://measurewise.example"
CQFM = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition"
USING = re.compile(r"^using (\w+) version '([^']+)'", re.MULTILINE)


def title_and_description(cql: str) -> tuple[str, str]:
    """What the comment at the head of the CQL says with ``@title`` and ``@description``."""
    tags: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in cql[cql.index("/*") + 2 : cql.index("*/")].strip().splitlines():
        text = line.strip()
        if text.startswith("@"):
            name, _, text = text[1:].partition(":")
            lines = tags.setdefault(name, [])
        lines.append(text.strip())
    return " ".join(tags["title"]), " ".join(tags["description"])


def depends_on(cql: str, elm: dict[str, Any]) -> list[dict[str, str]]:
    """One ``relatedArtifact`` for each model, library and value set that the library names (CQFM 3.12)."""

    def artifact(display: str, resource: str) -> dict[str, str]:
        return {"type": "depends-on", "display": display, "resource": resource}

    models = [
        artifact(f"{name} model information", f"http://hl7.org/fhir/Library/{name}-ModelInfo|{version}")
        for name, version in USING.findall(cql)
    ]
    libraries = [
        artifact(f"Library {library['path']}", f"{CANONICAL}/Library/{library['path']}|{library['version']}")
        for library in elm.get("includes", {}).get("def", [])
    ]
    value_sets = [
        artifact(f"Value set {value_set['name']}", value_set["id"])
        for value_set in elm.get("valueSets", {}).get("def", [])
    ]
    return models + libraries + value_sets


def library_resource(name: str, cql: str, elm: dict[str, Any]) -> dict[str, Any]:
    """The Library resource; its two attachments point at the files beside it."""
    title, description = title_and_description(cql)
    parameters = [
        {"name": parameter["name"], "use": "in", "min": 0, "max": "1", "type": "Period"}
        for parameter in elm.get("parameters", {}).get("def", [])
    ]
    resource: dict[str, Any] = {
        "resourceType": "Library",
        "id": name,
        "meta": {"profile": [f"{CQFM}/computable-library-cqfm", f"{CQFM}/elm-library-cqfm"]},
        "url": f"{CANONICAL}/Library/{name}",
        "version": elm["identifier"]["version"],
        "name": name,
        "title": title,
        "status": "active",
        "experimental": False,
        "type": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/library-type", "code": "logic-library"}
            ]
        },
        "publisher": "Measurewise",
        "description": description,
        "relatedArtifact": depends_on(cql, elm),
        "content": [
            {"contentType": "text/cql", "url": f"{name}.cql"},
            {"contentType": "application/elm+json", "url": f"{name}.elm.json"},
        ],
    }
    if parameters:
        resource["parameter"] = parameters
    return resource


def main(translated: Path) -> None:
    """Write ``<Name>.elm.json`` and ``library.json`` for every library, from the ELM in ``translated``."""
    for source in sorted(CONTENT.glob("*/*.cql")):
        name = source.stem
        elm = standard_form(json.loads((translated / f"{name}.elm.json").read_bytes()))
        compact = json.dumps(elm, ensure_ascii=False, separators=(",", ":"))
        (source.parent / f"{name}.elm.json").write_text(compact + "\n", encoding="utf-8")
        resource = library_resource(name, source.read_text(encoding="utf-8"), elm["library"])
        text = json.dumps(resource, ensure_ascii=False, indent=2)
        (source.parent / "library.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
