"""The value sets that ship: one FHIR R4 ValueSet a file, each with its compose and its expansion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

__all__ = ["FOLDER", "value_set_resources"]


def value_set_resources() -> Iterator[dict[str, Any]]:
    """The shipped ValueSet resources, by file name."""
    for path in sorted(FOLDER.glob("*.json")):
        yield json.loads(path.read_bytes())
