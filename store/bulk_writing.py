"""Many resources at once: what ``resources.write`` does for each, in a few statements for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update

from measurewise.engine.record.compartment import decode_head
from measurewise.store.access import SHARED
from measurewise.store.content_shape import check_content_shape
from measurewise.store.database import now
from measurewise.store.resources import CONTENT_TYPES, HELD, Stored, same, stored, with_meta
from measurewise.store.results import Change, changed
from measurewise.store.search_index import index
from measurewise.store.tables import resource_versions, resources, search_values

_AT_ONCE: Final = 400
_Name = tuple[str, str, str]
"""Organisation, type and id."""


@dataclass(slots=True)
class Written:
    """How many resources were created, changed, or left as they were for saying the same.

    ``patients`` are the ids of those whose resources these are, or were before.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    patients: set[str] = field(default_factory=set, compare=False)


@dataclass(slots=True)
class _Rows:
    """What is to be written: rows of each table, and by organisation what changes for its results."""

    new: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    concerned: dict[str, list[Change]] = field(default_factory=dict)


def write_many(connection: Connection, organization: str, given: Iterable[dict[str, Any]]) -> Written:
    """Create or update resources under their own types and ids, as ``resources.write`` one by one would.

    A resource that comes several times gets a version each time, where it differs. Nobody's ``If-Match`` is
    held, so this is for data that are loaded, not for what users edit.
    """
    written = Written()
    pending = [(_name(organization, resource), resource) for resource in given]
    while pending:
        now_written: dict[_Name, dict[str, Any]] = {}
        later: list[tuple[_Name, dict[str, Any]]] = []
        for name, resource in pending:
            if name in now_written:
                later.append((name, resource))
            else:
                now_written[name] = resource
        _write(connection, now_written, written)
        pending = later
    return written


def _name(organization: str, resource: dict[str, Any]) -> _Name:
    resource_type = str(resource["resourceType"])
    owner = SHARED if resource_type in CONTENT_TYPES else organization
    return owner, resource_type, str(resource["id"])


def _write(connection: Connection, given: dict[_Name, dict[str, Any]], written: Written) -> None:
    known = _known(connection, list(given))
    moment = now()
    fresh = _keys(connection, sum(name not in known for name in given))
    rows = _Rows()
    for name, resource in given.items():
        check_content_shape(resource)
        before = known.get(name)
        if before is None:
            written.created += 1
            _add(rows, name, resource, fresh.pop(), 1, moment, None)
        elif not before.deleted and same(before.parsed(), resource):
            written.unchanged += 1
        else:
            written.updated += not before.deleted
            written.created += before.deleted
            _add(rows, name, resource, before.key, before.version + 1, moment, before)
    whose = {before.patient for before in known.values()} | {
        row["patient"] for row in rows.new + rows.changed
    }
    written.patients |= {patient for patient in whose if patient is not None}
    _save(connection, rows)


def _add(
    rows: _Rows,
    name: _Name,
    resource: dict[str, Any],
    key: int,
    version: int,
    moment: datetime,
    before: Stored | None,
) -> None:
    owner, resource_type, identity = name
    body = with_meta(resource, version, moment)
    patient = decode_head(body).compartment()
    values = {"version": version, "updated": moment, "deleted": False, "patient": patient, "body": body}
    if before is None:
        rows.new.append({"key": key, "organization": owner, "type": resource_type, "id": identity, **values})
    else:
        rows.changed.append({"of": key, **values})
    method = "POST" if before is None else "PUT"
    rows.versions.append(
        {"resource": key, "version": version, "updated": moment, "method": method, "body": body}
    )
    rows.values += [{"resource": key, **value._asdict()} for value in index(resource)]
    was = before if before is not None and not before.deleted else None
    change = (
        Change(resource_type, (patient,), (body,))
        if was is None
        else Change(resource_type, (patient, was.patient), (body, was.body))
    )
    rows.concerned.setdefault(owner, []).append(change)


def _save(connection: Connection, rows: _Rows) -> None:
    if rows.new:
        connection.execute(insert(resources), rows.new)
    if rows.changed:
        connection.execute(update(resources).where(resources.c.key == bindparam("of")), rows.changed)
        for part in _parts([row["of"] for row in rows.changed]):
            connection.execute(delete(search_values).where(search_values.c.resource.in_(part)))
    if rows.versions:
        connection.execute(insert(resource_versions), rows.versions)
    if rows.values:
        connection.execute(insert(search_values), rows.values)
    for owner, changes in sorted(rows.concerned.items()):
        changed(connection, owner, changes)


def _known(connection: Connection, names: Sequence[_Name]) -> dict[_Name, Stored]:
    """The rows that are there, deleted ones too."""
    by_type: dict[tuple[str, str], list[str]] = {}
    for owner, resource_type, identity in names:
        by_type.setdefault((owner, resource_type), []).append(identity)
    found: dict[_Name, Stored] = {}
    for (owner, resource_type), identities in by_type.items():
        for part in _parts(identities):
            query = select(*HELD).where(
                resources.c.organization == owner,
                resources.c.type == resource_type,
                resources.c.id.in_(part),
            )
            for row in connection.execute(query):
                one = stored(row)
                found[owner, resource_type, one.id] = one
    return found


def _keys(connection: Connection, count: int) -> list[int]:
    """Keys for new resources, the lowest last, so that they are taken in the order of the resources."""
    if not count:
        return []
    if connection.dialect.name == "sqlite":
        # The transaction writes, so nobody else can take them meanwhile.
        highest = connection.execute(select(func.max(resources.c.key))).scalar_one() or 0
        return list(range(highest + count, highest, -1))
    taken = connection.execute(
        text("SELECT nextval(pg_get_serial_sequence('resources', 'key')) FROM generate_series(1, :count)"),
        {"count": count},
    ).scalars()
    return sorted(map(int, taken), reverse=True)


def _parts(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
