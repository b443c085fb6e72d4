"""The official libraries and conformance tests beside the checkout, read where they lie."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from xml.etree import ElementTree

from shared_inputs import SHARED, needs

LIBRARIES = SHARED / "ecqm" / "libraries"
CONFORMANCE = SHARED / "cql-tests"

needs_libraries = needs("ecqm", "libraries")
needs_conformance = needs("cql-tests")


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
