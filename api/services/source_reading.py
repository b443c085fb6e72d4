"""Asking a source: who is to be read, what has changed, and the patients themselves."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from measurewise.api.services.sources import synced_types
from measurewise.engine.measure.reports.edge import to_json
from measurewise.fhir_server_adapter.attribution import Span, group_members
from measurewise.fhir_server_adapter.bulk import BulkPatients, ExportRequest
from measurewise.fhir_server_adapter.capabilities import Capabilities, capabilities_of
from measurewise.fhir_server_adapter.client import FhirClient, read_json
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.notifications import Notification
from measurewise.fhir_server_adapter.pulling import EverythingPatients, SearchedPatients, patient_ids
from measurewise.fhir_server_adapter.search_plan import BY_REFERENCE, SearchPlan, TypeSearch
from measurewise.fhir_server_adapter.sources import FilePatients, Pulled, Way, choose_source
from measurewise.fhir_server_adapter.subscribing import events_of, offers
from measurewise.store.database import now
from measurewise.store.resources import parse
from measurewise.store.sources import Source

_CHANGES_A_FILE: Final = 1000
GONE: Final = (404, 410)
"""What a server answers for what it does not have."""


class Reading(msgspec.Struct, frozen=True):
    """How patients are pulled one by one: ``way`` is searches or everything, empty where neither is there.

    ``searches`` are (type, patient parameter); ``by_reference`` the types read where they are referred to.
    """

    way: str
    searches: tuple[tuple[str, str], ...] = ()
    by_reference: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """What a source says of itself, and its own time before anything was read of it."""

    capabilities: Capabilities
    moment: str
    reading: Reading


@dataclass(slots=True)
class Spooled:
    """Patients or changes put into files of the job's folder, so that steps can take them from there."""

    files: list[tuple[str, int]] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    failed: list[Pulled] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    moment: str | None = None


async def opened(client: FhirClient, source: Source) -> Opened:
    """A source's capabilities and time. Raises SourceError."""
    response = await client.send("GET", client.url("metadata"))
    capabilities = capabilities_of(read_json(response), where=client.base_url)
    moment = _http_date(response.headers.get("Date"))
    return Opened(capabilities, moment, _reading(capabilities, source))


def _http_date(said: str | None) -> str:
    """The server's time in the header Date, which is of whole seconds, cut off."""
    try:
        found = parsedate_to_datetime(said or "")
    except ValueError:
        # a server without a clock says no time; this machine's is off from the source's by less than that
        found = now() - timedelta(minutes=5)
    return instant(found)


def instant(moment: datetime) -> str:
    """A moment as FHIR writes instants."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def before(moment: str, seconds: float) -> str:
    """The instant so many seconds earlier."""
    return instant(datetime.fromisoformat(moment) - timedelta(seconds=seconds))


async def told(
    client: FhirClient, capabilities: Capabilities, subscription: str, first: int, last: int
) -> Notification | None:
    """The events of a Subscription by their numbers; None where the source does not (or not any more) tell
    what they are about."""
    if not offers(capabilities, "events"):
        return None
    try:
        found = await events_of(client, subscription, first, last)
    except SourceError:
        return None
    return found if found.patients or found.changed or found.deleted else None


def _reading(capabilities: Capabilities, source: Source) -> Reading:
    wanted = synced_types(source)
    searches = {
        kind: parameter
        for kind in sorted(wanted - BY_REFERENCE - {"Patient"})
        if (parameter := capabilities.patient_parameter(kind)) is not None
    }
    by_reference = sorted(
        kind
        for kind in wanted & BY_REFERENCE
        if kind in capabilities.types and _searchable(capabilities, kind)
    )
    # a type that was asked for by name must not be left out in silence
    unsearchable = (
        {kind for kind in source.settings.types if kind != "Patient"} - searches.keys() - BY_REFERENCE
    )
    preferred = source.settings.way
    try:
        way = choose_source(
            capabilities,
            Way(preferred) if preferred in ("searches", "everything") else None,
            few=True,
            unsearchable=unsearchable,
        )
    except SourceError:
        if preferred in ("searches", "everything"):
            raise
        return Reading("")
    if way not in (Way.SEARCHES, Way.EVERYTHING):
        return Reading("")
    return Reading(way.value, tuple(searches.items()), tuple(by_reference))


def _searchable(capabilities: Capabilities, kind: str) -> bool:
    return capabilities.types[kind].searchable


async def pulled(
    client: FhirClient, source: Source, reading: Reading, patients: Iterable[str]
) -> list[tuple[Pulled, bool]]:
    """Patients by their ids at the source, each with whether it is gone from there."""
    by_reference = frozenset(reading.by_reference)
    ids = list(patients)
    served: SearchedPatients | EverythingPatients
    if reading.way == "everything":
        served = EverythingPatients(client, ids, by_reference=by_reference, count=source.settings.page_size)
    else:
        searches = tuple(TypeSearch(kind, parameter) for kind, parameter in reading.searches)
        plan = SearchPlan(searches, by_reference, frozenset())
        served = SearchedPatients(client, plan, ids, count=source.settings.page_size)
    found = []
    async with aclosing(served.patients()) as patients_of_source:  # type: ignore[type-var]
        async for one in patients_of_source:
            error = one.error
            missing = isinstance(error, SourceError) and error.status in GONE
            found.append((one, missing and await is_gone(client, f"Patient/{one.patient_id}")))
    return found


async def is_gone(client: FhirClient, reference: str) -> bool:
    """Whether the source says that it does not have a resource (any more)."""
    try:
        await client.get(reference)
    except SourceError as error:
        return error.status in GONE
    return False


async def listed(client: FhirClient, source: Source) -> list[str]:
    """The ids of all patients who are wanted of a source: all of them, or the members of its Group."""
    settings = source.settings
    if settings.group is None:
        return await _all_ids(client, settings.page_size)
    group = await client.get(f"Group/{settings.group}")
    today = now().date().isoformat()
    span = Span(settings.start or today, settings.end or today)
    members = group_members(group, span)
    return sorted(name.removeprefix("Patient/") for name in members if name.startswith("Patient/"))


async def _all_ids(client: FhirClient, count: int) -> list[str]:
    try:
        return sorted({identity async for identity in patient_ids(client, count=count)})
    except SourceError as error:
        if error.status != 400:
            raise
    # a server that takes no _elements gives whole patients
    found = client.search("Patient", [("_count", str(count))])
    return sorted({str(one["id"]) async for one in found if one.get("resourceType") == "Patient"})


def bulk_patients(
    client: FhirClient, source: Source, there: Opened, folder: Path, since: str | None
) -> BulkPatients:
    """The export of the wanted patients, kept in a folder where it goes on after a crash."""
    settings, capabilities = source.settings, there.capabilities
    by_reference = frozenset(there.reading.by_reference)
    types = synced_types(source) & capabilities.types.keys()
    if settings.group is None and "system" in capabilities.exports:
        request = ExportRequest("system", types=tuple(sorted(types)), since=since)
    else:
        # exports of patients and groups take no types that are in no patient's compartment
        own = tuple(sorted(types - BY_REFERENCE - {"Task"}))
        level = "patient" if settings.group is None else "group"
        request = ExportRequest(level, group=settings.group, types=own, since=since)  # type: ignore[arg-type]
    folder.mkdir(parents=True, exist_ok=True)
    return BulkPatients(
        client, request, folder, capabilities=capabilities, poll=1.0, by_reference=by_reference
    )


async def spool_export(export: BulkPatients, folder: Path, batch: int) -> Spooled:
    """All patients of an export in files."""
    spooled = await _spool(export.patients(), folder, batch)
    spooled.faults += export.faults
    spooled.moment = export.transaction_time
    return spooled


async def spool_files(address: str, folder: Path, batch: int) -> Spooled:
    """All patients of files in files of the job, which stay as they are while steps read them."""
    files = FilePatients(address)
    spooled = await _spool(files.patients(), folder, batch)
    spooled.faults += files.faults
    return spooled


async def _spool(patients: AsyncIterator[Pulled], folder: Path, batch: int) -> Spooled:
    spooled = Spooled()
    share: list[Pulled] = []
    async for one in patients:
        if one.error is not None:
            spooled.failed.append(one)
            continue
        spooled.patients.append(one.patient_id)
        share.append(one)
        if len(share) == batch:
            _put(spooled, folder, [_line(p) for p in share])
            share = []
    if share:
        _put(spooled, folder, [_line(p) for p in share])
    return spooled


def _line(patient: Pulled) -> bytes:
    return to_json({"id": patient.patient_id, "resources": list(patient.resources)})


def _put(spooled: Spooled, folder: Path, lines: list[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"share-{len(spooled.files):06}.ndjson"
    unfinished = folder / f"{name}.part"
    unfinished.write_bytes(b"".join(line + b"\n" for line in lines))
    os.replace(unfinished, folder / name)
    spooled.files.append((name, len(lines)))


async def spool_changes(export: BulkPatients, folder: Path, export_folder: Path) -> Spooled:
    """The changed resources of an export with ``_since`` in files, and what it says is deleted."""
    await export.download()
    spooled = Spooled(deleted=list(export.deleted), faults=list(export.faults))
    spooled.moment = export.transaction_time
    lines: list[bytes] = []
    for file in sorted((export_folder / "resources").iterdir()):
        with file.open("rb") as opened_file:
            for line in opened_file:
                if line.isspace():
                    continue
                lines.append(line.strip())
                if len(lines) == _CHANGES_A_FILE:
                    _put(spooled, folder, lines)
                    lines = []
    if lines:
        _put(spooled, folder, lines)
    return spooled


def spooled_patients(file: Path) -> list[Pulled]:
    """The patients of a file."""
    found = []
    for line in _lines(file):
        value = parse(line)
        found.append(Pulled(str(value["id"]), tuple(value["resources"])))
    return found


def spooled_resources(file: Path) -> list[dict[str, Any]]:
    """The resources of a file."""
    return [parse(line) for line in _lines(file)]


def _lines(file: Path) -> list[bytes]:
    return [line for line in file.read_bytes().split(b"\n") if line]
