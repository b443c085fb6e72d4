"""The compact tables that ship: one JSON file a model, with its source in the header, and an index of them.

``python -m measurewise.engine.models.build DIR`` writes them from the official model-info XML.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from measurewise.engine.errors import NotFoundError

FOLDER = Path(__file__).parent / "tables"
INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Shipped:
    """A model that ships with the engine."""

    name: str
    version: str
    url: str
    file: str


@cache
def shipped_models() -> tuple[Shipped, ...]:
    """Every model that ships, oldest version first within a name."""
    rows = msgspec.json.decode((FOLDER / INDEX).read_bytes())
    return tuple(Shipped(r["name"], r["version"], r["url"], r["file"]) for r in rows)


def read_table(name: str, version: str | None) -> dict[str, Any]:
    """The shipped table of a model; the newest one when no version is given. Raises NotFoundError."""
    versions = [s for s in shipped_models() if s.name == name]
    for shipped in reversed(versions):
        if version is None or shipped.version == version:
            table: dict[str, Any] = msgspec.json.decode((FOLDER / shipped.file).read_bytes())
            return table
    wanted = name if version is None else f"{name} {version}"
    held = ", ".join(f"{s.name} {s.version}" for s in versions or shipped_models())
    raise NotFoundError(
        f"No model info for {wanted}.",
        mend=f"Load its model-info XML (--model-info FILE); shipped are {held}.",
    )
