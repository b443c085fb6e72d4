"""The versions of resources, the newest first (FHIR R4, 3.1.0.16): of one, of a type, of everything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from measurewise.engine.record.compartment import decode_head
from measurewise.store.access import SHARED, Access
from measurewise.store.errors import ConflictError, NoSuchResourceError, SearchError
from measurewise.store.resources import Stored, aware
from measurewise.store.tables import resource_versions, resources

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,9})")
_SHOWN: Final = (
    resource_versions.c.resource,
    resources.c.organization,
    resources.c.type,
    resources.c.id,
    resource_versions.c.version,
    resource_versions.c.updated,
    resource_versions.c.method,
    resource_versions.c.body,
    resources.c.patient,
)


@dataclass(frozen=True, slots=True)
class Versions:
    """Which versions are asked for.

    Those of one resource, a type (no ``identity``), or everything (no ``resource_type``); made at ``since``
    or later; that were current at some moment of ``at`` (its first and last). ``after`` is where the page
    before ended.
    """

    resource_type: str | None
    identity: str | None
    count: int
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Versions, each with the method that made it; how many there are in all, where that is known."""

    entries: list[tuple[Stored, str]]
    total: int | None = None
    next: str | None = None


def versions(connection: Connection, access: Access, asked: Versions) -> VersionPage:
    """One page. Raises NoSuchResourceError, ConflictError for one resource; SearchError for a false page.

    Where the access is bound to a patient, versions from when a resource was another patient's are left out.
    """
    if asked.resource_type is not None and asked.identity is not None:
        _check_one(connection, access, asked.resource_type, asked.identity)
    condition = _condition(access, asked)
    joined = resource_versions.join(resources, resources.c.key == resource_versions.c.resource)
    total = None
    if asked.after is None and access.patient is None:
        total = connection.execute(select(func.count()).select_from(joined).where(condition)).scalar_one()
    if asked.count == 0:
        return VersionPage([], total)
    own = resource_versions.c
    query = (
        select(*_SHOWN)
        .select_from(joined)
        .where(condition, _following(asked.after))
        .order_by(own.updated.desc(), own.resource.desc(), own.version.desc())
        .limit(asked.count + 1)
    )
    rows = connection.execute(query).all()
    shown = rows[: asked.count]
    entries = [entry for entry in map(_entry, shown) if _is_open_to(access, entry[0])]
    following = _mark(shown[-1]) if len(rows) > asked.count else None
    return VersionPage(entries, total, following)


def version(
    connection: Connection, access: Access, resource_type: str, identity: str, number: int
) -> tuple[Stored, str, bool]:
    """One version, the method that made it, and whether it is the current one. Raises NoSuchResourceError."""
    _check_one(connection, access, resource_type, identity)
    own = resource_versions.c
    row = connection.execute(
        select(*_SHOWN, resources.c.version)
        .join(resources, resources.c.key == own.resource)
        .where(
            resources.c.type == resource_type,
            resources.c.id == identity,
            access.rows(resources),
            own.version == number,
        )
    ).first()
    if row is not None:
        stored, method = _entry(row[:-1])
        if _is_open_to(access, stored):
            return stored, method, row[-1] == number
    raise NoSuchResourceError(f"{resource_type}/{identity} has no version {number}.", where=resource_type)


def _check_one(connection: Connection, access: Access, resource_type: str, identity: str) -> None:
    named = and_(resources.c.type == resource_type, resources.c.id == identity)
    found = connection.execute(select(func.count()).where(named, access.rows(resources))).scalar_one()
    if not found:
        raise NoSuchResourceError(f"there is no {resource_type}/{identity}.", where=resource_type)
    if found > 1:
        raise ConflictError(
            f"several organisations have a {resource_type}/{identity}.",
            mend="Name the organisation in the header X-Organization.",
        )


def _condition(access: Access, asked: Versions) -> ColumnElement[bool]:
    made = resource_versions.c.updated
    met = [access.rows(resources)]
    if asked.resource_type is not None:
        met.append(resources.c.type == asked.resource_type)
    if asked.identity is not None:
        met.append(resources.c.id == asked.identity)
    if asked.since is not None:
        # What has a version of then or later was itself changed then or later, which an index tells.
        met += [made >= asked.since, resources.c.updated >= asked.since]
    if asked.at is not None:
        start, end = asked.at
        later = resource_versions.alias()
        replaced = exists().where(
            later.c.resource == resource_versions.c.resource,
            later.c.version == resource_versions.c.version + 1,
            later.c.updated <= start,
        )
        met += [made <= end, ~replaced]
    return and_(*met)


def _following(after: str | None) -> ColumnElement[bool]:
    """Versions that come after the last one of a page."""
    if after is None:
        return and_(True)
    match = _PAGE.fullmatch(after)
    if match is None:
        raise _no_such_page()
    try:
        moment = _EPOCH + timedelta(microseconds=int(match[1]))
    except OverflowError:
        raise _no_such_page() from None
    key, number = int(match[2]), int(match[3])
    own = resource_versions.c
    return or_(
        own.updated < moment,
        and_(own.updated == moment, own.resource < key),
        and_(own.updated == moment, own.resource == key, own.version < number),
    )


def _no_such_page() -> SearchError:
    return SearchError("this page does not exist.", where="_after", mend="Follow next links only.")


def _mark(row: Any) -> str:
    return f"{(aware(row[5]) - _EPOCH) // timedelta(microseconds=1)}-{row[0]}-{row[4]}"


def _entry(row: Any) -> tuple[Stored, str]:
    key, organization, kind, identity, number, updated, method, body, patient = row
    deleted = method == "DELETE"
    whose = _patient(body, patient)
    return Stored(key, organization, kind, identity, number, aware(updated), body, whose, deleted), method


def _is_open_to(access: Access, found: Stored) -> bool:
    """Whether a version is of the patient to whom an access is bound: a resource may have been moved."""
    return access.patient in (None, found.patient) or found.organization == SHARED


def _patient(body: bytes, current: str | None) -> str | None:
    """In whose compartment a version was; a deletion's is where the resource was at last."""
    if not body:
        return current
    try:
        return decode_head(body).compartment()
    except msgspec.MsgspecError:
        return None
