"""The official libraries and conformance tests beside the checkout, read where they lie."""

from __future__ import annotations

import base64
import gzip
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

SHARED = Path(__file__).parents[4] / "shared"
LIBRARIES = SHARED / "ecqm" / "libraries"
CONFORMANCE = SHARED / "cql-tests"

# Under CI nothing is skipped: a green run there means that these ran.
CI = os.environ.get("CI") == "true"

needs_libraries = pytest.mark.skipif(
    not LIBRARIES.is_dir() and not CI, reason="the official libraries are not beside the checkout"
)
needs_conformance = pytest.mark.skipif(
    not CONFORMANCE.is_dir() and not CI, reason="the official conformance tests are not beside the checkout"
)


@dataclass(frozen=True)
class Library:
    name: str
    cql: str
    elm: dict[str, Any]


@cache
def libraries() -> tuple[Library, ...]:
    found = []
    for path in sorted(LIBRARIES.glob("*.json.gz")):
        resource = json.loads(gzip.decompress(path.read_bytes()))
        content = {c["contentType"]: base64.b64decode(c["data"]) for c in resource["content"]}
        elm = json.loads(content["application/elm+json"])["library"]
        found.append(Library(path.name.removesuffix(".json.gz"), content["text/cql"].decode(), elm))
    return tuple(found)


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    invalid: str


@cache
def conformance_cases() -> tuple[Case, ...]:
    n = "{http://hl7.org/fhirpath/tests}"
    found = []
    for path in sorted(CONFORMANCE.glob("*.xml")):
        for test in ElementTree.parse(path).getroot().iter(f"{n}test"):  # noqa: S314
            for element in [*test.findall(f"{n}expression"), *test.findall(f"{n}output")]:
                if element.text:
                    found.append(
                        Case(f"{path.stem}.{test.get('name')}", element.text, element.get("invalid", ""))
                    )
    return tuple(found)
