"""Bringing a source's patients into the store: all of them the first time, then only what has changed.

A sync is planned (``plan_sync``) as works, each of which (``do_work``) ends in one write transaction and can
be done again without harm. When all are done ``finish_sync`` notes up to which of the source's own moments
everything is stored; nothing is noted before. The next sync asks for changes from some seconds before that
moment on, since a server gives a resource its time a little before others can read it: what comes twice is
found unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from measurewise.api.fhir.outcomes import issue
from measurewise.api.services import source_reading as reading
from measurewise.api.services.context import Services
from measurewise.api.services.source_reading import Opened, Reading, Spooled
from measurewise.api.services.source_storing import Outcome, store_changes, store_gone, store_patients
from measurewise.api.services.sources import client_of, synced_types
from measurewise.engine.errors import MeasurewiseError
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.gathering import Gathered, owners
from measurewise.fhir_server_adapter.pulling import follow
from measurewise.fhir_server_adapter.sources import Pulled, Way, choose_source
from measurewise.fhir_server_adapter.sync import changes_since
from measurewise.store import source_data, sources
from measurewise.store.access import Access
from measurewise.store.database import now
from measurewise.store.source_ids import local_reference
from measurewise.store.sources import Source

_REFERENCES_AT_ONCE: Final = 50
_LONG: Final = 200


class SyncRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to sync: with ``full`` everything anew; with ``patients`` or ``references`` (ids and ``Type/id``
    at the source) only these; with ``subscription`` (an id there) what its events from ``first_event`` to
    ``last_event`` name; else what has changed."""

    source: str
    full: bool = False
    patients: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    subscription: str = ""
    first_event: int = 0
    last_event: int = 0

    @property
    def some(self) -> bool:
        """Whether only named patients or resources are wanted."""
        return bool(self.patients or self.references)


class Work(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of a sync.

    ``note`` carries what the finish must know: ``since``, ``until``, ``issues``. ``patients`` and
    ``references`` are to be asked for; ``gone`` are patients of whom a complete export or folder has nothing;
    ``file`` and ``changes`` are in the job's folder, read at ``read_at``.
    """

    kind: Literal["note", "patients", "references", "gone", "file", "changes"]
    ids: tuple[str, ...] = ()
    file: str = ""
    read_at: datetime | None = None
    reading: Reading = Reading("")
    way: str = ""
    since: str | None = None
    until: str | None = None
    issues: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """The works of a sync, and how many patients (or files of changes) they are."""

    works: list[Work]
    total: int


def plan_sync(services: Services, access: Access, request: SyncRequest, folder: Path) -> Planned:
    """What is to be done. Raises MeasurewiseError where the source cannot be read."""
    with services.database.read() as connection:
        source = sources.read(connection, access, request.source)
        held = sources.held_patients(connection, source.id)
        failed = set(sources.failed_patients(connection, source.id))
    if source.settings.way == "files":
        return asyncio.run(_plan_files(source, held, folder))
    planning = _Planning(services, source, held, failed, folder)
    return asyncio.run(planning.plan(request))


def do_work(services: Services, access: Access, request: SyncRequest, work: Work, folder: Path) -> Outcome:
    """Do one step: read, then write in one transaction."""
    with services.database.read() as connection:
        source = sources.read(connection, access, request.source)
    match work.kind:
        case "note":
            return Outcome()
        case "file":
            found = [(one, False) for one in reading.spooled_patients(folder / work.file)]
            return store_patients(services, source, found, _moment(work))
        case "gone":
            return store_gone(services, source, work.ids, _moment(work))
        case "changes":
            resources = reading.spooled_resources(folder / work.file)
            changed = asyncio.run(_completed(services, source, work.reading, resources))
            return store_changes(services, source, changed, (), _moment(work))
        case "patients":
            read_at = now()
            pulled = asyncio.run(_pulled(services, source, work))
            return store_patients(services, source, pulled, read_at)
        case "references":
            return _do_references(services, source, work)


def finish_sync(services: Services, request: SyncRequest, note: Work, outcomes: Iterable[Outcome]) -> None:
    """Note that everything up to the planned moment is stored, unless something is missing."""
    if note.until is not None and not any(outcome.incomplete for outcome in outcomes):
        with services.database.write() as connection:
            sources.advance(connection, request.source, note.since, note.until)


class _Planning:
    """The plan of one sync of a server."""

    def __init__(
        self, services: Services, source: Source, held: set[str], failed: set[str], folder: Path
    ) -> None:
        self._services = services
        self._source = source
        self._held = held
        self._failed = failed
        self._folder = folder
        self._issues: list[dict[str, Any]] = []

    async def plan(self, request: SyncRequest) -> Planned:
        source = self._source
        async with client_of(self._services.settings, source) as client:
            there = await reading.opened(client, source)
            if request.subscription:
                request = await _told(client, there, request)
            if request.some:
                return await self._some(client, there, request)
            if request.full or source.synced is None:
                return await self._everything(client, there)
            if self._by_exports(there):
                return await self._exported_changes(client, there, source.synced)
            return await self._changes(client, there, source.synced)

    def _by_exports(self, there: Opened) -> bool:
        """Whether changes come as exports: where asked for, or where nothing else tells of deletions."""
        offered = there.capabilities.exports
        possible = (
            "group" in offered if self._source.settings.group else bool({"system", "patient"} & offered)
        )
        if self._source.settings.way == "auto":
            return possible and not there.capabilities.history
        return self._source.settings.way == "bulk"

    async def _everything(self, client: FhirClient, there: Opened) -> Planned:
        settings = self._source.settings
        preferred = None if settings.way == "auto" else Way(settings.way)
        unsearchable = () if there.reading.way else ("all patients",)
        way = choose_source(
            there.capabilities, preferred, group=settings.group is not None, unsearchable=unsearchable
        )
        if way is Way.BULK:
            read_at = now()
            folder = self._folder / "export"
            export = reading.bulk_patients(client, self._source, there, folder, None)
            spooled = await reading.spool_export(export, self._folder, settings.batch)
            return self._of_files(spooled, read_at, there, way.value)
        wanted = await reading.listed(client, self._source)
        gone = self._gone(wanted)
        works = [*self._patient_works(wanted, there), *self._patient_works(gone, there)]
        return self._planned(works, len(wanted) + len(gone), there.moment, way.value)

    def _gone(self, there: Iterable[str]) -> list[str]:
        """The patients in the store who are not among all of the source's. Raises SourceError for none."""
        if self._source.settings.group is not None:
            return []
        return _missing(self._source, self._held, set(there))

    def _of_files(self, spooled: Spooled, read_at: datetime, there: Opened, way: str) -> Planned:
        works = [Work("file", file=name, read_at=read_at) for name, _ in spooled.files]
        total = len(spooled.patients)
        failed = [one.patient_id for one in spooled.failed]
        if not spooled.faults and not failed:
            gone = self._gone(spooled.patients)
            if gone:
                works.append(Work("gone", ids=tuple(gone), read_at=read_at))
                total += len(gone)
        self._told(spooled)
        # an export that lacks something is not all that there was at its moment
        complete = not spooled.faults and not failed
        return self._planned(works, total, (spooled.moment or there.moment) if complete else None, way)

    async def _exported_changes(self, client: FhirClient, there: Opened, since: str) -> Planned:
        if self._source.settings.rule is not None or (self._failed and not there.reading.way):
            # changes alone do not say whether a patient is wanted, nor mend one who was not read whole
            return await self._everything(client, there)
        read_at = now()
        folder = self._folder / "export"
        asked = reading.before(since, self._source.settings.overlap)
        export = reading.bulk_patients(client, self._source, there, folder, asked)
        spooled = await reading.spool_changes(export, self._folder, folder)
        works = [
            Work("changes", file=name, read_at=read_at, reading=there.reading) for name, _ in spooled.files
        ]
        patients = [r.removeprefix("Patient/") for r in spooled.deleted if r.startswith("Patient/")]
        gone = sorted(self._held.intersection(patients))
        if gone:
            works.append(Work("gone", ids=tuple(gone), read_at=read_at))
        works += self._reference_works(set(spooled.deleted), there)
        works += self._patient_works(sorted(self._failed), there)
        self._told(spooled)
        total = sum(count for _, count in spooled.files) + len(gone) + len(self._failed)
        until = None if spooled.faults else spooled.moment or there.moment
        return self._planned(works, total, until, "bulk")

    async def _changes(self, client: FhirClient, there: Opened, since: str) -> Planned:
        capabilities = there.capabilities
        asked = reading.before(since, self._source.settings.overlap)
        types = {
            kind
            for kind in synced_types(self._source) & capabilities.types.keys()
            if capabilities.history
            or "history-type" in capabilities.types[kind].interactions
            or kind in capabilities.last_updated
        }
        changes = await changes_since(client, capabilities, asked, types)
        for remark in changes.remarks:
            told = remark if len(remark) < _LONG else "The server does not tell what was deleted."
            self._remark(told, "Sync with --full now and then.")
        wanted = set(changes.patients)
        if self._source.settings.group is not None:
            members = set(await reading.listed(client, self._source))
            wanted = (wanted & (members | self._held)) | (members - self._held)
        deleted = {p for p in wanted if f"Patient/{p}" in changes.patients.get(p, _NOTHING).deleted}
        wanted |= self._failed
        works = [
            *self._patient_works(sorted(wanted - deleted), there),
            *self._patient_works(sorted(deleted & self._held), there),
            *self._reference_works(changes.changed | changes.deleted, there),
        ]
        total = len(wanted - deleted) + len(deleted & self._held)
        return self._planned(works, total, there.moment, there.reading.way)

    async def _some(self, client: FhirClient, there: Opened, request: SyncRequest) -> Planned:
        wanted = set(request.patients)
        loose: set[str] = set()
        for reference in request.references:
            whose = await _owners_of(client, reference)
            wanted |= whose
            if not whose:
                loose.add(reference)
        if self._source.settings.group is not None:
            wanted &= self._held | set(await reading.listed(client, self._source))
        works = [
            *self._patient_works(sorted(wanted), there),
            *self._reference_works(loose, there),
        ]
        return self._planned(works, len(wanted), None, there.reading.way)

    def _patient_works(self, ids: Sequence[str], there: Opened) -> list[Work]:
        if ids and not there.reading.way:
            raise SourceError(
                "the server has no way to read single patients.",
                where=self._source.url,
                mend="Use the way bulk, and --full.",
                code="not-supported",
            )
        size = self._source.settings.batch
        return [
            Work("patients", ids=tuple(ids[start : start + size]), reading=there.reading)
            for start in range(0, len(ids), size)
        ]

    def _reference_works(self, references: set[str], there: Opened) -> list[Work]:
        """For those that the store has, or that something in it refers to."""
        local = {local_reference(self._source, r): r for r in references if not r.startswith("Patient/")}
        with self._services.database.read() as connection:
            known = source_data.referred_to(connection, self._source, sorted(local))
        wanted = sorted(local[one] for one in known)
        return [
            Work("references", ids=tuple(wanted[start : start + _REFERENCES_AT_ONCE]), reading=there.reading)
            for start in range(0, len(wanted), _REFERENCES_AT_ONCE)
        ]

    def _told(self, spooled: Spooled) -> None:
        for fault in spooled.faults:
            self._issues.append(issue(MeasurewiseError(fault, where=self._source.url)))
        for one in spooled.failed:
            self._issues.append(issue(one.error or MeasurewiseError("unreadable.", where=one.patient_id)))

    def _remark(self, text: str, mend: str) -> None:
        self._issues.append(issue(MeasurewiseError(text, where=self._source.id, mend=mend), "warning"))

    def _planned(self, works: list[Work], total: int, until: str | None, way: str) -> Planned:
        note = Work("note", since=self._source.synced, until=until, way=way, issues=tuple(self._issues))
        return Planned([note, *works], total)


async def _plan_files(source: Source, held: set[str], folder: Path) -> Planned:
    """Files are read whole each time; what is the same writes nothing."""
    read_at = now()
    spooled = await reading.spool_files(source.url, folder, source.settings.batch)
    issues = [
        issue(one.error or MeasurewiseError("unreadable.", where=one.patient_id)) for one in spooled.failed
    ]
    issues += [
        issue(MeasurewiseError(fault, where=source.url), "warning")
        for fault in spooled.faults
        if not spooled.failed
    ]
    works = [Work("file", file=name, read_at=read_at) for name, _ in spooled.files]
    total = len(spooled.patients)
    if not spooled.failed:
        gone = _missing(source, held, set(spooled.patients))
        if gone:
            works.append(Work("gone", ids=tuple(gone), read_at=read_at))
            total += len(gone)
    until = None if spooled.failed else reading.instant(read_at)
    note = Work("note", since=source.synced, until=until, way="files", issues=tuple(issues))
    return Planned([note, *works], total)


def _missing(source: Source, held: set[str], there: set[str]) -> list[str]:
    if held and not there:
        raise SourceError(
            f"the source has no patients at all, where the store has {len(held)} of it.",
            where=source.url,
            mend="Look at the address and the sign-in's rights; remove the source if this is meant so.",
            code="incomplete",
        )
    return sorted(held - there)


async def _told(client: FhirClient, there: Opened, request: SyncRequest) -> SyncRequest:
    """What events name is to be read; all that has changed where the source does not tell of them."""
    told = await reading.told(
        client, there.capabilities, request.subscription, request.first_event, request.last_event
    )
    if told is None:
        return SyncRequest(request.source)
    return SyncRequest(
        request.source,
        patients=tuple(sorted(told.patients)),
        references=tuple(sorted(told.changed | told.deleted)),
    )


async def _owners_of(client: FhirClient, reference: str) -> set[str]:
    """Whose a resource is at the source; nobody's where it is gone."""
    if reference.startswith("Patient/"):
        return {reference.removeprefix("Patient/")}
    try:
        resource = await client.get(reference)
    except SourceError as error:
        if error.status in reading.GONE:
            return set()
        raise
    return owners(resource) if type(resource) is dict else set()


async def _pulled(services: Services, source: Source, work: Work) -> list[tuple[Pulled, bool]]:
    async with client_of(services.settings, source) as client:
        return await reading.pulled(client, source, work.reading, work.ids)


async def _completed(
    services: Services, source: Source, how: Reading, resources: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Changed resources with what they refer to and is no patient's own: it may be older than they are."""
    if not how.by_reference:
        return resources
    gathered = Gathered()
    for resource in resources:
        gathered.add(resource)
    async with client_of(services.settings, source) as client:
        await follow(client, [gathered], {}, frozenset(how.by_reference))
    return list(gathered.resources())


def _do_references(services: Services, source: Source, work: Work) -> Outcome:
    """Read resources one by one, which are then written, or deleted where the source has them no more."""
    read_at = now()

    async def read() -> tuple[list[dict[str, Any]], list[str], list[MeasurewiseError]]:
        found: list[dict[str, Any]] = []
        gone: list[str] = []
        errors: list[MeasurewiseError] = []
        async with client_of(services.settings, source) as client:
            for reference in work.ids:
                try:
                    found.append(await client.get(reference))
                except SourceError as error:
                    if error.status in reading.GONE:
                        gone.append(reference)
                    else:
                        errors.append(error)
        return found, gone, errors

    found, gone, errors = asyncio.run(read())
    changed = asyncio.run(_completed(services, source, work.reading, found)) if found else []
    outcome = store_changes(services, source, changed, gone, read_at)
    return msgspec.structs.replace(
        outcome,
        incomplete=outcome.incomplete or bool(errors),
        issues=(*outcome.issues, *(issue(error) for error in errors)),
    )


def _moment(work: Work) -> datetime:
    return work.read_at or now()


class _Nothing:
    deleted: frozenset[str] = frozenset()


_NOTHING: Final = _Nothing()
