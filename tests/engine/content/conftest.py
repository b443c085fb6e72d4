from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from measurewise.engine.content import Content, load_content

INTEGER = "{urn:hl7-org:elm-types:r1}Integer"


@pytest.fixture(scope="session")
def official(ecqm_dir: Path) -> Content:
    """The official measures, libraries and value sets."""
    return load_content(ecqm_dir / "measures", ecqm_dir / "libraries", ecqm_dir / "valuesets.ndjson.gz")


def _elm_of(
    name: str, version: str | None = "1.0.0", includes: tuple[tuple[str, str | None], ...] = ()
) -> dict[str, Any]:
    """A small ELM library with one definition."""
    one = {"type": "Literal", "valueType": INTEGER, "value": "1"}
    body: dict[str, Any] = {
        "identifier": {"id": name, "version": version},
        "schemaIdentifier": {"id": "urn:hl7-org:elm", "version": "r1"},
        "statements": {"def": [{"name": "One", "expression": one}]},
    }
    if includes:
        body["includes"] = {
            "def": [{"localIdentifier": n, "path": n, **({"version": v} if v else {})} for n, v in includes]
        }
    return {"library": body}


def _cql_of(
    name: str, version: str | None = "1.0.0", includes: tuple[tuple[str, str | None], ...] = ()
) -> str:
    """The CQL text of the same library."""
    lines = [f"library {name}" + (f" version '{version}'" if version else "")]
    lines += [f"include {n}" + (f" version '{v}'" if v else "") + f" called {n}" for n, v in includes]
    return "\n".join([*lines, "define One: 1"])


def _library_of(
    name: str,
    version: str = "1.0.0",
    *,
    elm: dict[str, Any] | None = None,
    cql: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A FHIR Library with these contents."""
    texts = [("application/elm+json", json.dumps(elm) if elm else None), ("text/cql", cql)]
    return {
        "resourceType": "Library",
        "name": name,
        "version": version,
        "content": [
            {"contentType": media_type, "data": base64.b64encode(text.encode()).decode()}
            for media_type, text in texts
            if text is not None
        ],
        **more,
    }


@pytest.fixture
def make() -> Callable[..., dict[str, Any]]:
    """Makes a FHIR Library with ELM that includes what is given as ``(name, version)`` pairs."""

    def make(
        name: str, version: str = "1.0.0", *includes: tuple[str, str | None], **more: Any
    ) -> dict[str, Any]:
        return _library_of(name, version, elm=_elm_of(name, version, includes), **more)

    return make


@pytest.fixture
def elm_of() -> Callable[..., dict[str, Any]]:
    """Makes ELM JSON: ``elm_of(name, version, includes)``."""
    return _elm_of


@pytest.fixture
def cql_of() -> Callable[..., str]:
    """Makes the CQL text of the same library: ``cql_of(name, version, includes)``."""
    return _cql_of


@pytest.fixture
def library_of() -> Callable[..., dict[str, Any]]:
    """Makes a FHIR Library: ``library_of(name, version, elm=..., cql=...)``."""
    return _library_of
