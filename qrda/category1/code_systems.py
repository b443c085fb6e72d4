"""Code systems and identifier systems: FHIR's URIs and CDA's OIDs (``data/code_systems.json``).

A URI without an OID is named by the UUID that RFC 4122 derives from it (version 5, name space URL), which
CDA's ``uid`` allows, with the URI itself as the system's name; so no code loses its system.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

_DATA: Final = Path(__file__).parent / "data" / "code_systems.json"
_OID: Final = "urn:oid:"
_UUID: Final = "urn:uuid:"


def code_system_uid(uri: str) -> tuple[str, str]:
    """The OID (or UUID) and the name by which CDA knows a FHIR code system."""
    known = _code_systems()[0].get(uri)
    return known or _uid(uri)


def code_system_uri(uid: str, name: str | None) -> str:
    """The FHIR URI of a code system that a document names by OID or UUID."""
    return _code_systems()[1].get(uid) or _uri(uid, name)


def identifier_root(system: str) -> tuple[str, str]:
    """The root (OID or UUID) of an identifier's system, and its name."""
    known = _identifiers()[0].get(system)
    return (known, system) if known else _uid(system)


def identifier_system(root: str, name: str | None) -> str:
    """The FHIR system of identifiers with this root."""
    return _identifiers()[1].get(root) or _uri(root, name)


def _uid(uri: str) -> tuple[str, str]:
    if uri.startswith(_OID) and _is_oid(uri[len(_OID) :]):
        return uri[len(_OID) :], uri
    return str(uuid5(NAMESPACE_URL, uri)), uri


def _uri(uid: str, name: str | None) -> str:
    if name and _uid(name)[0] == uid:
        return name
    return f"{_OID}{uid}" if _is_oid(uid) else f"{_UUID}{uid.lower()}"


def _is_oid(text: str) -> bool:
    parts = text.split(".")
    return (
        parts[0] in ("0", "1", "2")
        and all(part.isdecimal() and (part == "0" or part[0] != "0") for part in parts)
        and text.isascii()
    )


@cache
def _read() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_DATA.read_text("utf-8"))
    return content


@cache
def _code_systems() -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    systems = _read()["systems"]
    return (
        {one["uri"]: (one["oid"], one["name"]) for one in systems},
        {oid: one["uri"] for one in systems for oid in (one["oid"], *one.get("also", ()))},
    )


@cache
def _identifiers() -> tuple[dict[str, str], dict[str, str]]:
    systems = _read()["identifiers"]
    return {one["uri"]: one["oid"] for one in systems}, {one["oid"]: one["uri"] for one in systems}
