"""Bulk Data exports (https://hl7.org/fhir/uv/bulkdata/STU2/export.html): what goes into which file.

An export is dealt out by resource type and ranges of keys, a file each. Resources that are no patient's own
(a Medication, a Practitioner) come with a patient or group export where one of its resources refers to them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import ColumnElement, Connection, or_, select, text

from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.context import Services
from measurewise.api.services.records import referred_to
from measurewise.api.services.subjects import Asked, find_subjects
from measurewise.engine import Period
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.access import Access
from measurewise.store.database import now
from measurewise.store.resources import HELD, Stored, stored
from measurewise.store.search import Codes, Criterion, Search, conditions
from measurewise.store.tables import resources

PER_FILE: Final = 10_000
_AT_ONCE: Final = 400
Level = Literal["system", "patient", "group"]


class ExportRequest(msgspec.Struct, frozen=True):
    """What to export; ``url`` is the request as it came, ``filters`` are queries as ``Condition?code=x``."""

    level: Level
    url: str
    group: str | None = None
    patients: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    since: str | None = None

    def wants(self, resource_type: str) -> bool:
        """Whether resources of a type are asked for."""
        return not self.types or resource_type in self.types

    @property
    def since_moment(self) -> datetime | None:
        """``_since`` in UTC."""
        return None if self.since is None else moment_of(self.since)

    def searches(self, resource_type: str) -> list[Search]:
        """The type filters of a type; a resource that one of them finds is exported."""
        found = []
        for query in self.filters:
            kind, _, parameters = query.partition("?")
            if kind == resource_type:
                pairs = parse_qsl(parameters, keep_blank_values=True)
                found.append(Search(kind, tuple(Criterion.parse(*pair) for pair in pairs)))
        return found


class Share(msgspec.Struct, frozen=True):
    """A file's worth: the resources of a type between two keys, as they were at ``moment``.

    Without a type it is the share of what is not there: deletions, and members of a group who are missing.
    ``emit`` is False where only the references of the resources are wanted.
    """

    moment: datetime
    type: str = ""
    number: int = 0
    first: int = 0
    last: int = 0
    emit: bool = True
    references: bool = False


class File(msgspec.Struct, frozen=True):
    """A file of the export: of output, deletions or errors."""

    role: Literal["output", "deleted", "error"]
    type: str
    name: str
    count: int


class Exported(msgspec.Struct, frozen=True):
    """What a share came to; ``referred`` are the shared resources that its resources refer to.

    ``patients`` are the ids of those whose resources are in the file.
    """

    moment: datetime
    looked_at: int = 0
    files: tuple[File, ...] = ()
    referred: tuple[tuple[str, str], ...] = ()
    patients: tuple[str, ...] = ()


def moment_of(instant: str) -> datetime:
    """A FHIR instant or date in UTC, in which the store keeps its own. Raises RequestError."""
    try:
        found = datetime.fromisoformat(instant)
    except ValueError:
        raise RequestError(
            f"'{instant}' is no instant.", where="_since", mend="Write 2026-01-31T08:00:00Z."
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def check_export(services: Services, access: Access, request: ExportRequest) -> None:
    """Raises MeasurewiseError for a request that cannot be honoured: nobody waits for a job to hear it."""
    _ = request.since_moment
    for query in request.filters:
        kind, mark, parameters = query.partition("?")
        if not mark or not parameters or not request.wants(kind):
            raise RequestError(
                f"the filter '{query}' is no search of an exported type.",
                where="_typeFilter",
                mend="Write Condition?category=problem-list-item, and name Condition in _type too.",
            )
        for search in request.searches(kind):
            conditions(access, search, services.catalog.codes)
    with services.database.read() as connection:
        members(connection, access, request)


def members(
    connection: Connection, access: Access, request: ExportRequest
) -> tuple[frozenset[str] | None, tuple[str, ...]]:
    """The ids of the patients to export (None: all), and references of those who are not there.

    Raises NoSuchResourceError for a Group that is not there, RequestError for a patient who is not in it.
    """
    if request.level == "group":
        today = now().date().isoformat()
        asked = Asked(subject=f"Group/{request.group}")
        found = find_subjects(connection, access, asked, Period(today, today))
        identities = frozenset(identity for _, identity in found.patients)
        outside = [identity for identity in request.patients if identity not in identities]
        if outside:
            raise RequestError(
                f"Patient/{outside[0]} is no member of Group/{request.group}.", where="patient"
            )
        return (frozenset(request.patients) or identities), () if request.patients else found.missing
    if request.patients:
        for identity in request.patients:
            find_subjects(connection, access, Asked(subject=f"Patient/{identity}"), Period("2000", "2000"))
        return frozenset(request.patients), ()
    return None, ()


def settled(services: Services) -> datetime:
    """A moment before which nothing will be written any more: what is younger comes with the next export."""
    with services.database.write() as connection:
        if services.database.is_sqlite:
            # There is one writer, so whoever holds its place knows that all others have ended.
            return now()
        oldest = connection.execute(
            text("SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database()")
        ).scalar_one()
        return min(now(), oldest) if oldest is not None else now()


def deal_out(
    connection: Connection, access: Access, request: ExportRequest, moment: datetime
) -> tuple[list[Share], int]:
    """The shares of an export, and how many resources are looked at."""
    chosen, _ = members(connection, access, request)
    where = [*_visible(access, request.level), resources.c.updated <= moment]
    types = list(connection.execute(select(resources.c.type).where(*where).distinct()).scalars())
    scan = request.level != "system" and (
        not request.types or any(kind not in types for kind in request.types)
    )
    shares = [Share(moment)]
    total = 0
    for kind in sorted(types):
        if not (request.wants(kind) or scan):
            continue
        rows = connection.execute(
            select(resources.c.key, resources.c.patient)
            .where(*where, resources.c.type == kind)
            .order_by(resources.c.key)
        )
        keys = [key for key, patient in rows if chosen is None or patient in chosen]
        total += len(keys)
        for number, start in enumerate(range(0, len(keys), PER_FILE), start=1):
            part = keys[start : start + PER_FILE]
            shares.append(Share(moment, kind, number, part[0], part[-1], request.wants(kind), scan))
    return shares, total


def export_share(
    connection: Connection, access: Access, codes: Codes, request: ExportRequest, share: Share, folder: Path
) -> Exported:
    """Write the file of a share; written again, it is the same file."""
    if not share.type:
        return Exported(share.moment, 0, tuple(_absent(connection, access, request, share.moment, folder)))
    chosen, _ = members(connection, access, request)
    where = [
        *_visible(access, request.level),
        resources.c.updated <= share.moment,
        resources.c.type == share.type,
        resources.c.key.between(share.first, share.last),
    ]
    searches = request.searches(share.type)
    if searches:
        where.append(or_(*(conditions(access, search, codes) for search in searches)))
    rows = connection.execute(
        select(resources.c.key, resources.c.patient).where(*where).order_by(resources.c.key)
    )
    keys = [key for key, patient in rows if chosen is None or patient in chosen]
    since = request.since_moment
    referred: dict[tuple[str, str], None] = {}
    given: dict[str, None] = {}

    def bodies() -> Iterator[bytes]:
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            query = select(*HELD).where(resources.c.key.in_(part)).order_by(resources.c.key)
            found = [stored(row) for row in connection.execute(query)]
            if share.references:
                for named in referred_to(connection, access, [one.body for one in found]):
                    referred[named.type, named.id] = None
            if share.emit:
                for one in found:
                    if since is None or one.updated > since:
                        if one.patient is not None:
                            given[one.patient] = None
                        yield one.body

    name = f"{share.type}.{share.number}.ndjson"
    count = _write(folder / name, bodies())
    files = (File("output", share.type, name, count),) if count else ()
    return Exported(share.moment, len(keys), files, tuple(referred), tuple(given))


def export_referred(
    connection: Connection,
    access: Access,
    codes: Codes,
    request: ExportRequest,
    outcomes: Sequence[Exported],
    folder: Path,
) -> list[File]:
    """Write the files of what the exported patients' resources refer to and nobody owns."""
    by_type: dict[str, dict[str, None]] = {}
    for outcome in outcomes:
        for kind, identity in outcome.referred:
            if request.wants(kind):
                by_type.setdefault(kind, {})[identity] = None
    since = request.since_moment
    files = []
    for kind, identities in sorted(by_type.items()):
        found = _shared(connection, access, codes, request, kind, list(identities), outcomes[0].moment)
        kept = [one.body for one in found if since is None or one.updated > since]
        # Patients' own resources of the same type have files of their own, numbered from 1.
        name = f"{kind}.0.ndjson"
        if kept:
            files.append(File("output", kind, name, _write(folder / name, kept)))
    return files


def manifest(
    request: ExportRequest, outcomes: Sequence[Exported], more: Iterable[File], base: str, signed: bool
) -> dict[str, Any]:
    """The completed export as the guide writes it ("Response - Complete Status"); ``base`` holds them."""
    files = [*(file for outcome in outcomes for file in outcome.files), *more]
    listed: dict[str, list[dict[str, Any]]] = {"output": [], "deleted": [], "error": []}
    for file in files:
        listed[file.role].append({"type": file.type, "url": f"{base}/{file.name}", "count": file.count})
    return {
        "transactionTime": outcomes[0].moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request": request.url,
        "requiresAccessToken": signed,
        **listed,
    }


def _visible(access: Access, level: Level) -> list[ColumnElement[bool]]:
    found = [access.rows(resources), resources.c.deleted.is_(False)]
    if level != "system":
        found.append(resources.c.patient.is_not(None))
    return found


def _shared(
    connection: Connection,
    access: Access,
    codes: Codes,
    request: ExportRequest,
    kind: str,
    identities: Sequence[str],
    moment: datetime,
) -> list[Stored]:
    where = [
        access.rows(resources),
        resources.c.deleted.is_(False),
        resources.c.patient.is_(None),
        resources.c.type == kind,
        resources.c.updated <= moment,
    ]
    searches = request.searches(kind)
    if searches:
        where.append(or_(*(conditions(access, search, codes) for search in searches)))
    found: list[Stored] = []
    for start in range(0, len(identities), _AT_ONCE):
        part = identities[start : start + _AT_ONCE]
        query = select(*HELD).where(*where, resources.c.id.in_(part)).order_by(resources.c.key)
        found += [stored(row) for row in connection.execute(query)]
    return found


def _absent(
    connection: Connection, access: Access, request: ExportRequest, moment: datetime, folder: Path
) -> Iterator[File]:
    """The files of deletions since ``_since``, and of members of the group who are not there."""
    chosen, missing = members(connection, access, request)
    since = request.since_moment
    if since is not None:
        where = [
            access.rows(resources),
            resources.c.deleted.is_(True),
            resources.c.updated > since,
            resources.c.updated <= moment,
        ]
        if request.level != "system":
            where.append(resources.c.patient.is_not(None))
        rows = connection.execute(
            select(resources.c.type, resources.c.id, resources.c.patient)
            .where(*where)
            .order_by(resources.c.key)
        )
        gone = [
            f"{kind}/{identity}"
            for kind, identity, patient in rows
            if request.wants(kind) and (chosen is None or patient in chosen)
        ]
        bundles = (_deletions(gone[start : start + _AT_ONCE]) for start in range(0, len(gone), _AT_ONCE))
        name = "Bundle.deleted.ndjson"
        count = _write(folder / name, bundles)
        if count:
            yield File("deleted", "Bundle", name, count)
    if missing:
        name = "OperationOutcome.error.ndjson"
        count = _write(folder / name, (_not_there(reference) for reference in missing))
        yield File("error", "OperationOutcome", name, count)


def _deletions(references: Sequence[str]) -> bytes:
    entries = [{"request": {"method": "DELETE", "url": reference}} for reference in references]
    return to_json({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def _not_there(reference: str) -> bytes:
    said = f"{reference} is a member of the group and is not in the store."
    issue = {"severity": "warning", "code": "not-found", "details": {"text": said}}
    return to_json({"resourceType": "OperationOutcome", "issue": [issue]})


def _write(file: Path, lines: Iterable[bytes]) -> int:
    """Write the lines under the file's name when all are there; no file for none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    count = 0
    try:
        with unfinished.open("wb") as out:
            for line in lines:
                out.write(line + b"\n")
                count += 1
        if count:
            os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)
    return count
