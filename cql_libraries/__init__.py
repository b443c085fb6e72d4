"""The measures that ship: a folder a library, with its CQL, ELM and FHIR resources.

``<Name>/<Name>.cql`` and ``<Name>/<Name>.elm.json`` are the library. ``<Name>/library.json`` is the FHIR
Library, whose attachments name the two files by relative URL; ``<Name>/measure.json`` the FHIR Measure, where
the library is one's logic.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

__all__ = ["FOLDER", "library_resources", "measure_resources"]


def measure_resources() -> Iterator[dict[str, Any]]:
    """The shipped FHIR R4 Measure resources, by name."""
    for path in sorted(FOLDER.glob("*/measure.json")):
        yield json.loads(path.read_bytes())


def library_resources() -> Iterator[dict[str, Any]]:
    """The shipped FHIR R4 Library resources, by name, each with its CQL and ELM inside.

    The content of an attachment is base64 in ``Attachment.data``, as a server would send it.
    """
    for path in sorted(FOLDER.glob("*/library.json")):
        resource = json.loads(path.read_bytes())
        for attachment in resource["content"]:
            file = path.parent / attachment.pop("url")
            attachment["data"] = base64.b64encode(file.read_bytes()).decode("ascii")
        yield resource
