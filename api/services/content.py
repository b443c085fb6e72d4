"""The measures, libraries and terminology of an installation: added, listed and taken away.

Several versions of one measure stand side by side. A resource whose id is that of another one (another URL,
or another version of the same) is kept under an id made of its name and version.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from measurewise.engine import MeasurewiseError, NotFoundError, load_content
from measurewise.engine.content.content import Content
from measurewise.engine.content.files import documents
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.errors import ContentError
from measurewise.engine.terminology.canonical import split_canonical
from measurewise.store.access import OPERATOR, SHARED
from measurewise.store.bulk_writing import Written, write_many
from measurewise.store.database import Database
from measurewise.store.resources import CONTENT_TYPES, Stored, of_types, parse, remove, valid_id

_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9\-.]+")
_LONGEST_ID: Final = 64
_LIBRARY_TYPES: Final = "http://terminology.hl7.org/CodeSystem/library-type"


class _Expansion(msgspec.Struct):
    offset: int | None = None


class _Head(msgspec.Struct):
    """What tells content resources apart."""

    resourceType: str
    id: str | None = None
    url: str | None = None
    version: str | None = None
    name: str | None = None
    title: str | None = None
    expansion: _Expansion | None = None


_head: Final = msgspec.json.Decoder(_Head).decode
_Identity = tuple[str, str, str | None, int]
"""Type, URL (or name), version, and where a page of an expansion begins."""


@dataclass(frozen=True, slots=True)
class Held:
    """A content resource in the store."""

    type: str
    id: str
    url: str | None
    version: str | None
    name: str | None
    title: str | None = None

    @property
    def reference(self) -> str:
        """``Type/id``."""
        return f"{self.type}/{self.id}"

    @property
    def canonical(self) -> str:
        """``url|version``, with the name in place of a URL that is not there."""
        named = self.url or self.name or self.id
        return f"{named}|{self.version}" if self.version else named


@dataclass(frozen=True, slots=True)
class Added:
    """What was added: counts, the resources as they are held, and what a person should know."""

    written: Written
    held: tuple[Held, ...]
    remarks: tuple[str, ...] = field(default=())

    def count(self, resource_type: str) -> int:
        """How many resources of a type came."""
        return sum(one.type == resource_type for one in self.held)


def resources_at(*paths: Path) -> list[dict[str, Any]]:
    """The content resources in files, folders and archives; CQL and ELM files become Libraries.

    Raises NotFoundError and ContentError, as ``engine.load_content`` does.
    """
    content = load_content(*paths)
    found: list[dict[str, Any]] = []
    for path in paths:
        for document in documents(path):
            if document.kind == "json":
                found += _opened(parse(document.data))
    named = {
        (str(one.get("name") or one.get("id")), one.get("version"))
        for one in found
        if one["resourceType"] == "Library"
    }
    for library in content.libraries:
        if library.url is None and (library.name, library.version) not in named:
            found.append(_library_resource(library))
    texts = {(library.name, library.version): _texts(library) for library in content.libraries}
    for one in found:
        if one["resourceType"] == "Library" and not any("data" in part for part in one.get("content") or ()):
            # Its attachments name files beside it, which the store does not have.
            beside = texts.get((str(one.get("name") or one.get("id")), one.get("version")))
            if beside:
                one["content"] = beside
    return found


def _opened(node: Any) -> list[dict[str, Any]]:
    if not isinstance(node, dict):
        return []
    if node.get("resourceType") == "Bundle":
        entries = [entry for entry in node.get("entry") or () if isinstance(entry, dict)]
        return [one for entry in entries for one in _opened(entry.get("resource"))]
    return [node] if node.get("resourceType") in CONTENT_TYPES else []


def _library_resource(library: LibraryContent) -> dict[str, Any]:
    """A Library for CQL and ELM that came as bare files."""
    found: dict[str, Any] = {
        "resourceType": "Library",
        "name": library.name,
        "status": "active",
        "type": {"coding": [{"system": _LIBRARY_TYPES, "code": "logic-library"}]},
        "content": _texts(library),
    }
    if library.version is not None:
        found["version"] = library.version
    return found


def _texts(library: LibraryContent) -> list[dict[str, str]]:
    """The CQL and ELM of a library as attachments."""
    texts = []
    if library.cql is not None:
        texts.append({"contentType": "text/cql", "data": _base64(library.cql.encode())})
    if library.elm_json is not None:
        texts.append({"contentType": "application/elm+json", "data": _base64(library.elm_json)})
    return texts


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def add(database: Database, resources: Iterable[dict[str, Any]]) -> Added:
    """Store content resources, all of them or, where one cannot be, none. Raises ContentError."""
    given = list(resources)
    if not given:
        raise ContentError(
            "there is no measure, library, value set or code system in it.",
            mend="Give FHIR resources or bundles as JSON, or CQL and ELM files.",
        )
    with database.write() as connection:
        placed = _placed(connection, given)
        written = write_many(connection, SHARED, placed)
    held = tuple(_held(_header(resource)) for resource in placed)
    return Added(written, held, tuple(_lacking(database, held)))


def held_content(database: Database, types: Iterable[str] = CONTENT_TYPES) -> list[Held]:
    """All content there is, by type, name and version."""
    with database.read() as connection:
        found = [_held(_head(stored.body)) for stored in of_types(connection, OPERATOR, types)]
    order = {"Measure": 0, "Library": 1, "ValueSet": 2, "CodeSystem": 3}
    return sorted(found, key=lambda one: (order[one.type], one.name or one.id, one.version or ""))


def take_away(database: Database, names: Sequence[str]) -> list[Held]:
    """Delete content by ``Type/id``, ``url|version``, ``name|version``, or either without its version.

    Earlier versions of the resources stay in the history. Raises NotFoundError for a name that nothing has,
    ContentError for one that several have.
    """
    there = held_content(database)
    chosen = [_named(there, name) for name in names]
    with database.write() as connection:
        for one in chosen:
            remove(connection, OPERATOR, one.type, one.id)
    return chosen


def _named(there: Sequence[Held], name: str) -> Held:
    by_reference = [one for one in there if one.reference == name]
    if by_reference:
        return by_reference[0]
    key, version = split_canonical(name)
    found = [one for one in there if key in (one.url, one.name) and version in (None, one.version)]
    # A measure and its library often have one name: the measure is meant.
    measures = [one for one in found if one.type == "Measure"]
    found = measures or found
    if not found:
        raise NotFoundError(f"there is no content '{name}'.", mend="See measurewise content list --all.")
    if len(found) > 1:
        listed = ", ".join(f"{one.canonical} ({one.reference})" for one in found[:10])
        raise ContentError(f"'{name}' could mean {listed}.", mend="Name one with |version or as Type/id.")
    return found[0]


def _placed(connection: Connection, given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The resources under the ids that they are kept under."""
    ids: dict[tuple[str, str], _Identity] = {}
    known: dict[_Identity, str] = {}
    for stored in of_types(connection, OPERATOR, CONTENT_TYPES):
        identity = _identity(_head(stored.body))
        ids[stored.type, stored.id] = identity
        known.setdefault(identity, stored.id)
    placed: list[dict[str, Any]] = []
    for resource in given:
        head = _header(resource)
        identity = _identity(head)
        name = known.get(identity)
        if name is None:
            name = _free_id(head, identity, ids)
            ids[head.resourceType, name] = identity
            known[identity] = name
        placed.append({**resource, "id": name})
    return placed


def _free_id(head: _Head, identity: _Identity, ids: dict[tuple[str, str], _Identity]) -> str:
    """The resource's own id where it is free, else one of its name and version."""
    if valid_id(head.id) and (head.resourceType, str(head.id)) not in ids:
        return str(head.id)
    named = head.name or (head.url or "").rpartition("/")[2] or head.id or head.resourceType
    stem = _NOT_IN_IDS.sub("-", f"{named}-{head.version}" if head.version else named).strip("-")
    number, found = 1, stem[:_LONGEST_ID]
    while (head.resourceType, found) in ids:
        number += 1
        ending = f"-{number}"
        found = stem[: _LONGEST_ID - len(ending)] + ending
    return found


def _header(resource: dict[str, Any]) -> _Head:
    try:
        return msgspec.convert(resource, _Head)
    except msgspec.ValidationError as error:
        raise ContentError(
            f"this {resource.get('resourceType')} cannot be kept ({error}).",
            where=str(resource.get("url") or resource.get("id") or ""),
            mend="Mend its id, url, version or name.",
        ) from None


def _identity(head: _Head) -> _Identity:
    offset = head.expansion.offset if head.expansion is not None else None
    return head.resourceType, head.url or head.name or head.id or "", head.version, offset or 0


def _held(head: _Head) -> Held:
    return Held(head.resourceType, str(head.id), head.url, head.version, head.name, head.title)


def _lacking(database: Database, held: Sequence[Held]) -> Iterable[str]:
    """A sentence for each measure that came without its library."""
    measures = [one for one in held if one.type == "Measure"]
    if not measures:
        return
    with database.read() as connection:
        found: list[Stored] = list(of_types(connection, OPERATOR, ("Measure", "Library")))
    content = Content.of([stored.body for stored in found], source="the store")
    for one in measures:
        try:
            content.primary_library(content.measure(one.canonical))
        except MeasurewiseError as error:
            yield error.what
