"""FHIR resources, kept with every version: the repository of all that is read and written by type and id.

Each function takes a connection (``Database.read`` or ``write``) and an ``Access``; what the access may not
see is as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, delete, insert, select, update

from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.record.compartment import decode_head
from measurewise.store.access import SHARED, Access
from measurewise.store.content_shape import check_content_shape
from measurewise.store.database import now
from measurewise.store.errors import (
    ConflictError,
    DeletedResourceError,
    ForbiddenError,
    NoSuchResourceError,
    PreconditionError,
)
from measurewise.store.results import Change, changed
from measurewise.store.search_index import index
from measurewise.store.tables import resource_versions, resources, search_values

CONTENT_TYPES: Final = frozenset({"Measure", "Library", "ValueSet", "CodeSystem"})
"""Types that belong to the whole installation rather than to an organisation."""

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_HELD: Final = (
    resources.c.key,
    resources.c.organization,
    resources.c.type,
    resources.c.id,
    resources.c.version,
    resources.c.updated,
    resources.c.deleted,
    resources.c.patient,
    resources.c.body,
)
_AT_ONCE: Final = 400


@dataclass(frozen=True, slots=True)
class Stored:
    """A version of a resource. ``body`` is its JSON; ``created`` whether this write made it."""

    key: int
    organization: str
    type: str
    id: str
    version: int
    updated: datetime
    body: bytes
    patient: str | None = None
    deleted: bool = False
    created: bool = False

    @property
    def reference(self) -> str:
        """``Type/id``."""
        return f"{self.type}/{self.id}"

    def parsed(self) -> dict[str, Any]:
        """The resource with its decimals as written."""
        parsed: dict[str, Any] = _decode(self.body)
        return parsed


def read(connection: Connection, access: Access, resource_type: str, identity: str) -> Stored:
    """The current version. Raises NoSuchResourceError, DeletedResourceError, ConflictError."""
    rows = connection.execute(_found(access, resource_type, identity)).all()
    if not rows:
        raise NoSuchResourceError(f"there is no {resource_type}/{identity}.", where=resource_type)
    if len(rows) > 1:
        raise ConflictError(
            f"several organisations have a {resource_type}/{identity}.",
            mend="Name the organisation in the header X-Organization.",
        )
    stored = _stored(rows[0])
    if stored.deleted:
        raise DeletedResourceError(f"{stored.reference} was deleted.", where=stored.reference)
    return stored


def write(
    connection: Connection,
    organization: str,
    resource: dict[str, Any],
    *,
    if_match: int | None = None,
    only_new: bool = False,
) -> Stored:
    """Create or update the resource under its own type and id, as a new version.

    Content belongs to the whole installation, whatever ``organization`` is. The body keeps every element and
    digit; ``meta.versionId`` and ``meta.lastUpdated`` become the store's. A write that changes nothing makes
    no version. Raises PreconditionError where the current version is not ``if_match``, ConflictError where
    the resource is there and ``only_new`` asked; ContentError for content that could never be loaded.
    """
    check_content_shape(resource)
    resource_type, identity = str(resource["resourceType"]), str(resource["id"])
    owner = SHARED if resource_type in CONTENT_TYPES else organization
    row = connection.execute(
        select(*_HELD).where(
            resources.c.organization == owner,
            resources.c.type == resource_type,
            resources.c.id == identity,
        )
    ).first()
    known = None if row is None else _stored(row)
    if if_match is not None and (known is None or known.version != if_match):
        there = "not there" if known is None else f"at version {known.version}"
        raise PreconditionError(
            f"{resource_type}/{identity} is {there}, not at version {if_match}.",
            mend="Read it again and repeat the change.",
        )
    if known is not None and not known.deleted:
        if only_new:
            raise ConflictError(f"{known.reference} is there already.")
        if same(known.parsed(), resource):
            return known
    version = 1 if known is None else known.version + 1
    moment = now()
    body = with_meta(resource, version, moment)
    patient = decode_head(body).compartment()
    values: dict[str, Any] = {
        "version": version, "updated": moment, "deleted": False, "patient": patient, "body": body,
    }  # fmt: skip
    if known is None:
        result = connection.execute(
            insert(resources).values(organization=owner, type=resource_type, id=identity, **values)
        )
        key = int(result.inserted_primary_key[0])  # type: ignore[index]
    else:
        key = known.key
        connection.execute(update(resources).where(resources.c.key == key).values(**values))
        connection.execute(delete(search_values).where(search_values.c.resource == key))
    method = "POST" if known is None else "PUT"
    connection.execute(
        insert(resource_versions).values(
            resource=key, version=version, updated=moment, method=method, body=body
        )
    )
    rows = [{"resource": key, **value._asdict()} for value in index(resource)]
    if rows:
        connection.execute(insert(search_values), rows)
    before = known if known is not None and not known.deleted else None
    patients = (patient,) if before is None else (patient, before.patient)
    bodies = (body,) if before is None else (body, before.body)
    changed(connection, owner, [Change(resource_type, patients, bodies)])
    created = known is None or known.deleted
    return Stored(key, owner, resource_type, identity, version, moment, body, patient, created=created)


def remove(connection: Connection, access: Access, resource_type: str, identity: str) -> Stored | None:
    """Delete a resource; its versions stay. None where it was deleted before.

    Raises NoSuchResourceError; ForbiddenError for what is shared, where the access is an organisation's.
    """
    row = connection.execute(_found(access, resource_type, identity)).first()
    if row is None:
        raise NoSuchResourceError(f"there is no {resource_type}/{identity}.", where=resource_type)
    known = _stored(row)
    if known.deleted:
        return None
    moment = now()
    version = known.version + 1
    connection.execute(
        update(resources)
        .where(resources.c.key == known.key)
        .values(version=version, updated=moment, deleted=True, body=b"")
    )
    connection.execute(
        insert(resource_versions).values(
            resource=known.key, version=version, updated=moment, method="DELETE", body=b""
        )
    )
    connection.execute(delete(search_values).where(search_values.c.resource == known.key))
    changed(connection, known.organization, [Change(resource_type, (known.patient,), (known.body,))])
    return Stored(
        known.key, known.organization, known.type, known.id, version, moment, b"", known.patient, deleted=True
    )


def compartment(
    connection: Connection, organization: str, patient: str, types: Iterable[str] | None = None
) -> list[Stored]:
    """All current resources of one patient, of all types or some."""
    query = select(*_HELD).where(
        resources.c.organization == organization,
        resources.c.patient == patient,
        resources.c.deleted.is_(False),
    )
    if types is not None:
        query = query.where(resources.c.type.in_(sorted(types)))
    return [_stored(row) for row in connection.execute(query.order_by(resources.c.key))]


def patients(connection: Connection, access: Access, *, after: str = "") -> Iterator[tuple[str, str]]:
    """Organisation and id of every Patient the access may see, in order of organisation and id."""
    query = (
        select(resources.c.organization, resources.c.id)
        .where(
            resources.c.type == "Patient",
            resources.c.deleted.is_(False),
            resources.c.id > after,
            access.rows(resources),
        )
        .order_by(resources.c.organization, resources.c.id)
    )
    for row in connection.execute(query):
        yield row[0], row[1]


def of_references(
    connection: Connection, access: Access, references: Sequence[tuple[str, str]]
) -> list[Stored]:
    """The current resources of some types and ids, those that are there."""
    by_type: dict[str, list[str]] = {}
    for kind, identity in references:
        by_type.setdefault(kind, []).append(identity)
    found: list[Stored] = []
    for kind, identities in by_type.items():
        for start in range(0, len(identities), _AT_ONCE):
            query = select(*_HELD).where(
                resources.c.type == kind,
                resources.c.id.in_(identities[start : start + _AT_ONCE]),
                resources.c.deleted.is_(False),
                access.rows(resources),
            )
            found += [_stored(row) for row in connection.execute(query.order_by(resources.c.key))]
    return found


def of_types(connection: Connection, access: Access, types: Iterable[str]) -> Iterator[Stored]:
    """All current resources of some types."""
    query = select(*_HELD).where(
        resources.c.type.in_(sorted(types)), resources.c.deleted.is_(False), access.rows(resources)
    )
    for row in connection.execute(query.order_by(resources.c.key)):
        yield _stored(row)


def stored(row: Any) -> Stored:
    """A row of ``HELD`` columns as a Stored."""
    return _stored(row)


HELD: Final = _HELD
"""The columns that ``stored`` takes."""


def valid_id(identity: Any) -> bool:
    """Whether a text can be a FHIR id."""
    return isinstance(identity, str) and _ID.fullmatch(identity) is not None


def parse(body: bytes) -> Any:
    """JSON with its decimals as written. Raises msgspec.MsgspecError."""
    return _decode(body)


def check_content_keeper(access: Access, keeper: str, resource_type: str) -> None:
    """Raises ForbiddenError unless the access is that of the organisation that keeps the content."""
    if access.patient is not None or (
        access.organizations is not None and keeper not in access.organizations
    ):
        raise ForbiddenError(
            f"a {resource_type} belongs to all organisations, so only '{keeper}' may change it.",
            mend="Ask the operator of this server.",
        )


ABSENT: Final = object()
"""What ``patient_of`` gives for a resource that was never there."""


def patient_of(connection: Connection, organization: str, resource_type: str, identity: str) -> Any:
    """The patient in whose compartment a resource is (None: in nobody's), or ABSENT."""
    row = connection.execute(
        select(resources.c.patient).where(
            resources.c.organization == organization,
            resources.c.type == resource_type,
            resources.c.id == identity,
        )
    ).first()
    return ABSENT if row is None else row[0]


def _found(access: Access, resource_type: str, identity: str) -> Select[Any]:
    return select(*_HELD).where(
        resources.c.type == resource_type, resources.c.id == identity, access.rows(resources)
    )


def _stored(row: Any) -> Stored:
    key, organization, kind, identity, version, updated, deleted, patient, body = row
    return Stored(key, organization, kind, identity, version, aware(updated), body, patient, deleted)


def aware(moment: datetime) -> datetime:
    """SQLite keeps no zones; what is stored is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def with_meta(resource: dict[str, Any], version: int, moment: datetime) -> bytes:
    """The JSON of a resource, with the store's version and time in its meta."""
    meta = resource.get("meta")
    kept = dict(meta) if isinstance(meta, dict) else {}
    kept["versionId"] = str(version)
    kept["lastUpdated"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"resourceType": resource["resourceType"], "id": resource["id"], "meta": kept}
    return to_json({**head, **{k: v for k, v in resource.items() if k not in head}})


def same(known: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two versions say the same, whatever the store wrote into their meta."""
    return to_json(_without_stamp(known)) == to_json(_without_stamp(new))


def _without_stamp(resource: dict[str, Any]) -> dict[str, Any]:
    meta = resource.get("meta")
    kept = (
        {k: v for k, v in sorted(meta.items()) if k not in ("versionId", "lastUpdated")}
        if isinstance(meta, dict)
        else {}
    )
    head = {"resourceType": resource["resourceType"], "id": resource["id"], "meta": kept}
    return {**head, **{k: v for k, v in resource.items() if k not in head}}
