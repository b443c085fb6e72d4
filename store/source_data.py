"""What a source gave, as it goes into the store: whole patients, single resources, and what is gone.

Each function belongs into one write transaction and is told when the reading of its data began
(``read_at``). It leaves alone what a later reading brought or took away: jobs side by side cannot put old
data in the place of new ones, and a step that is done twice changes nothing the second time. Resources and
references are in the store's ids (``source_ids``), patients' ids are the source's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, insert, select, tuple_, update

from measurewise.store.access import Access
from measurewise.store.bulk_writing import write_many
from measurewise.store.errors import ConflictError
from measurewise.store.resources import remove
from measurewise.store.source_ids import local_id
from measurewise.store.sources import Source
from measurewise.store.tables import resources, search_values, source_patients, source_resources

_AT_ONCE: Final = 400
Resource = dict[str, Any]
_Name = tuple[str, str]
"""Type and id."""


@dataclass(slots=True)
class Taken:
    """How many resources were created, changed, left as they were, and deleted."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0

    def add(self, other: Taken) -> None:
        """Count another's with these."""
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.deleted += other.deleted

    @property
    def something(self) -> bool:
        """Whether anything was written."""
        return bool(self.created or self.updated or self.deleted)


class _Row(NamedTuple):
    """A resource of the store: its row, whether it is deleted, which source gave it, and when that began."""

    key: int
    deleted: bool
    source: str | None
    read: datetime | None


def replace_patient(
    connection: Connection, source: Source, patient: str, given: Sequence[Resource], read_at: datetime
) -> Taken:
    """Make the store's data of a patient what the source gave.

    What it gave before and does not give any more is deleted. Raises ConflictError, and has then written
    nothing, where a resource of the same type and id came from another source.
    """
    noted = _noted(connection, source.id, patient)
    if noted is not None and noted > read_at:
        return Taken(unchanged=len(given))
    before = _held(connection, source, patient)
    taken = write_changes(connection, source, given, read_at)
    gone = before - {_name(resource) for resource in given}
    taken.add(
        remove_resources(connection, source, (f"{kind}/{identity}" for kind, identity in gone), read_at)
    )
    note_patient(connection, source.id, patient, read_at, held=True)
    return taken


def write_changes(
    connection: Connection, source: Source, given: Sequence[Resource], read_at: datetime
) -> Taken:
    """Write resources that the source gave, whosever they are.

    Raises ConflictError as ``replace_patient`` does.
    """
    known = _rows(connection, source.organization, [_name(resource) for resource in given])
    for (kind, identity), row in known.items():
        if row.source not in (None, source.id) and not row.deleted:
            raise ConflictError(
                f"{kind}/{identity} came from the source '{row.source}'.",
                where=f"{kind}/{identity}",
                mend="Add this source anew with ids of its own (--ids prefixed).",
            )
    fresh = [resource for resource in given if not _later(known.get(_name(resource)), source, read_at)]
    written = write_many(connection, source.organization, fresh)
    rows = _rows(connection, source.organization, [_name(resource) for resource in fresh])
    changed = [row.key for row in rows.values()]
    for start in range(0, len(changed), _AT_ONCE):
        part = changed[start : start + _AT_ONCE]
        connection.execute(delete(source_resources).where(source_resources.c.resource.in_(part)))
    if changed:
        connection.execute(
            insert(source_resources),
            [{"resource": key, "source": source.id, "read": read_at} for key in changed],
        )
    unchanged = written.unchanged + len(given) - len(fresh)
    return Taken(written.created, written.updated, unchanged)


def remove_resources(
    connection: Connection, source: Source, references: Iterable[str], read_at: datetime
) -> Taken:
    """Delete resources (``Type/id``) that the source had given; others stay."""
    taken = Taken()
    names = [(kind, identity) for kind, _, identity in (text.partition("/") for text in references)]
    access = Access(frozenset({source.organization}))
    for (kind, identity), row in sorted(_rows(connection, source.organization, names).items()):
        if row.source != source.id or row.deleted or _later(row, source, read_at):
            continue
        taken.deleted += remove(connection, access, kind, identity) is not None
        # so that what was read before does not bring it back
        connection.execute(
            update(source_resources).where(source_resources.c.resource == row.key).values(read=read_at)
        )
    return taken


def remove_patient(connection: Connection, source: Source, patient: str, read_at: datetime) -> Taken:
    """Delete all that the source had given of a patient who is not there any more."""
    noted = _noted(connection, source.id, patient)
    if noted is not None and noted > read_at:
        return Taken()
    held = _held(connection, source, patient)
    taken = remove_resources(connection, source, (f"{kind}/{identity}" for kind, identity in held), read_at)
    note_patient(connection, source.id, patient, read_at, held=False)
    return taken


def remove_all(connection: Connection, source: Source, read_at: datetime) -> Taken:
    """Delete everything that a source had given."""
    query = (
        select(resources.c.type, resources.c.id)
        .join(source_resources, source_resources.c.resource == resources.c.key)
        .where(source_resources.c.source == source.id, resources.c.deleted.is_(False))
    )
    references = [f"{kind}/{identity}" for kind, identity in connection.execute(query)]
    return remove_resources(connection, source, references, read_at)


def note_patient(
    connection: Connection,
    source: str,
    patient: str,
    read_at: datetime,
    *,
    held: bool,
    error: dict[str, Any] | None = None,
) -> None:
    """Note that a patient's data were stored or removed, or why they could not be read.

    With an error, ``held`` counts only where the patient was not known: earlier data stay.
    """
    row = (source_patients.c.source == source) & (source_patients.c.patient == patient)
    told = None if error is None else msgspec.json.encode(error)
    if connection.execute(select(source_patients.c.source).where(row)).first() is None:
        connection.execute(
            insert(source_patients).values(
                source=source, patient=patient, read=read_at, held=held, error=told
            )
        )
        return
    changes: dict[str, Any] = {"error": told}
    if error is None:
        changes |= {"read": read_at, "held": held}
    connection.execute(update(source_patients).where(row).values(**changes))


def note_held(connection: Connection, source: str, patient: str, read_at: datetime) -> None:
    """Note that a patient is in the store; an error of an earlier reading stays noted."""
    row = (source_patients.c.source == source) & (source_patients.c.patient == patient)
    if connection.execute(update(source_patients).where(row).values(held=True)).rowcount == 0:
        note_patient(connection, source, patient, read_at, held=True)


def referred_to(connection: Connection, source: Source, references: Sequence[str]) -> set[str]:
    """Those of some references (``Type/id``) that the store has from the source, or that something of the
    organisation refers to."""
    names = [(kind, identity) for kind, _, identity in (text.partition("/") for text in references)]
    found = {
        name for name, row in _rows(connection, source.organization, names).items() if row.source == source.id
    }
    for start in range(0, len(names), _AT_ONCE):
        query = (
            select(search_values.c.system, search_values.c.value)
            .join(resources, resources.c.key == search_values.c.resource)
            .where(
                resources.c.organization == source.organization,
                tuple_(search_values.c.system, search_values.c.value).in_(names[start : start + _AT_ONCE]),
            )
            .distinct()
        )
        found |= {(kind, identity) for kind, identity in connection.execute(query)}
    return {f"{kind}/{identity}" for kind, identity in found}


def _held(connection: Connection, source: Source, patient: str) -> set[_Name]:
    """What the store has from the source in a patient's compartment."""
    query = (
        select(resources.c.type, resources.c.id)
        .join(source_resources, source_resources.c.resource == resources.c.key)
        .where(
            resources.c.organization == source.organization,
            resources.c.patient == local_id(source, patient),
            resources.c.deleted.is_(False),
            source_resources.c.source == source.id,
        )
    )
    return {(kind, identity) for kind, identity in connection.execute(query)}


def _rows(connection: Connection, organization: str, names: Iterable[_Name]) -> dict[_Name, _Row]:
    by_type: dict[str, list[str]] = {}
    for kind, identity in names:
        by_type.setdefault(kind, []).append(identity)
    found: dict[_Name, _Row] = {}
    for kind, identities in by_type.items():
        for start in range(0, len(identities), _AT_ONCE):
            query = (
                select(
                    resources.c.id,
                    resources.c.key,
                    resources.c.deleted,
                    source_resources.c.source,
                    source_resources.c.read,
                )
                .outerjoin(source_resources, source_resources.c.resource == resources.c.key)
                .where(
                    resources.c.organization == organization,
                    resources.c.type == kind,
                    resources.c.id.in_(identities[start : start + _AT_ONCE]),
                )
            )
            for identity, key, deleted, source, read in connection.execute(query):
                found[kind, identity] = _Row(key, deleted, source, _aware(read))
    return found


def _later(row: _Row | None, source: Source, read_at: datetime) -> bool:
    """Whether the store's resource came with a later reading of the source."""
    return row is not None and row.source == source.id and row.read is not None and row.read > read_at


def _noted(connection: Connection, source: str, patient: str) -> datetime | None:
    """When the reading began that the patient's data come from."""
    row = connection.execute(
        select(source_patients.c.read)
        .where(
            source_patients.c.source == source,
            source_patients.c.patient == patient,
            source_patients.c.error.is_(None),
        )
        .with_for_update()
    ).first()
    return None if row is None else _aware(row[0])


def _name(resource: Resource) -> _Name:
    return str(resource["resourceType"]), str(resource["id"])


def _aware(moment: datetime | None) -> datetime | None:
    """SQLite keeps no zones; what is stored is UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
