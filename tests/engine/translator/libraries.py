"""Sources of libraries for the translator's tests."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from measurewise.engine.errors import NotFoundError

SHIPPED = Path(__file__).parents[3] / "cql_libraries"


class Texts:
    """Libraries in memory by name and version; a name without a version answers to any."""

    def __init__(self, texts: dict[tuple[str, str | None], str]) -> None:
        self._texts = texts

    def resolve_include(self, name: str, version: str | None, namespace: str | None) -> str:
        text = self._texts.get((name, version)) or self._texts.get((name, None))
        if text is not None:
            return text
        shipped = SHIPPED / name / f"{name}.cql"
        if shipped.exists() and f"version '{version}'" in shipped.read_text(encoding="utf-8"):
            return shipped.read_text(encoding="utf-8")
        wanted = f"{name} version {version}" if version else name
        raise NotFoundError(f"Library {wanted} is not there.")


def official_libraries(folder: Path) -> dict[tuple[str, str | None], tuple[str, dict[str, Any]]]:
    """CQL text and ELM JSON of the official libraries by name and version."""
    found = {}
    for path in sorted(folder.glob("*.json.gz")):
        resource = json.loads(gzip.decompress(path.read_bytes()))
        content = {c["contentType"]: base64.b64decode(c["data"]) for c in resource["content"] if "data" in c}
        if "text/cql" in content and "application/elm+json" in content:
            found[resource["name"], resource.get("version")] = (
                content["text/cql"].decode("utf-8"),
                json.loads(content["application/elm+json"]),
            )
    return found
