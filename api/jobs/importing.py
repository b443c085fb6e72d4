"""The job of ``$import`` and ``$bulk-submit-data``: all is fetched first, then written step by step.

A step writes its lines in one transaction, and what is there already is left as it is: a step that is done
again after a crash changes nothing more.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from measurewise.api.fhir.outcomes import outcome
from measurewise.api.jobs.auditing import write_down
from measurewise.api.jobs.kind import Done, Kind, Plan, Tick, requester_of
from measurewise.api.services.bulk_files import forget_import, import_folder, remove_expired
from measurewise.api.services.context import Services
from measurewise.api.services.importing import Fault, ImportRequest, Lines, deal_out, fetch, read_lines
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store import resources as store
from measurewise.store.access import Access
from measurewise.store.bulk_writing import write_many
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.jobs import Job
from measurewise.store.resources import Stored

NAME: Final = "import"
_MOST_TOLD: Final = 1000


class _Imported(msgspec.Struct, frozen=True):
    """What a step came to."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    faults: tuple[Fault, ...] = ()
    told: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()


def _request(job: Job) -> ImportRequest:
    return msgspec.json.decode(job.request, type=ImportRequest)


def _plan(services: Services, job: Job) -> Plan:
    remove_expired(services)
    fetched = fetch(services.settings, _request(job), import_folder(services, job.id))
    shares = list(deal_out(fetched))
    works = [msgspec.json.encode(lines) for lines, _ in shares]
    return Plan(works, sum(count for _, count in shares), "importing")


def _step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
    lines = msgspec.json.decode(work, type=Lines)
    if lines.faults:
        return Done(msgspec.json.encode(_Imported(told=lines.faults)), 0)
    request = _request(job)
    if lines.deleted:
        with services.database.write() as connection:
            gone = _delete(connection, Access(frozenset({job.organization})), lines.deleted)
            write_down(
                connection, job, (one.patient for one in gone if one.patient), (one.reference for one in gone)
            )
        return Done(msgspec.json.encode(_Imported(deleted=len(gone))), len(lines.deleted))
    access = requester_of(job).access
    found, faults = read_lines(lines, access, services.settings.organization, request.source)
    if not tick():
        return Done(b"", 0)
    with services.database.write() as connection:
        written = write_many(connection, job.organization, found)
        write_down(connection, job, sorted(written.patients))
    patients = [one["id"] for one in found if one["resourceType"] == "Patient"] if request.group else []
    imported = _Imported(
        written.created, written.updated, written.unchanged, 0, tuple(faults), (), tuple(patients)
    )
    return Done(msgspec.json.encode(imported), len(found) + len(faults))


def _delete(connection: Connection, access: Access, references: tuple[str, ...]) -> list[Stored]:
    """Delete resources; what was there."""
    gone = []
    for reference in references:
        kind, _, identity = reference.rpartition("/")
        try:
            removed = store.remove(connection, access, kind.rpartition("/")[2], identity)
        except NoSuchResourceError:
            continue
        if removed is not None:
            gone.append(removed)
    return gone


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    request = _request(job)
    steps = [msgspec.json.decode(data, type=_Imported) for data in outcomes]
    with services.database.write() as connection:
        if request.report is not None:
            report = store.parse(request.report.encode())
            # The same job writes the same report, however often it ends.
            identity = report.get("id") or str(uuid.uuid5(uuid.NAMESPACE_OID, job.id))
            kept = store.write(connection, job.organization, {**report, "id": identity})
            write_down(connection, job, [kept.patient] if kept.patient else [], [kept.reference])
        if request.group is not None:
            members = dict.fromkeys(identity for step in steps for identity in step.patients)
            _join(connection, job.organization, request.group, list(members))
            write_down(connection, job, members, [f"Group/{request.group}"])
    forget_import(services, job.id)
    return to_json(outcome(*_told(steps)))


def _join(connection: Connection, organization: str, identity: str, patients: list[str]) -> None:
    """Make patients members of a Group, which is made where it is not there."""
    group: dict[str, Any] = {"resourceType": "Group", "id": identity, "type": "person", "actual": True}
    try:
        own = Access(frozenset({organization}))
        group = store.read(connection, own, "Group", identity).parsed()
    except NoSuchResourceError:
        pass
    members = list(group.get("member") or ())
    known = {(member.get("entity") or {}).get("reference") for member in members}
    members += [
        {"entity": {"reference": f"Patient/{patient}"}}
        for patient in patients
        if f"Patient/{patient}" not in known
    ]
    if members:
        group["member"] = members
    store.write(connection, organization, group)


def _told(steps: list[_Imported]) -> list[dict[str, Any]]:
    """The issues of the OperationOutcome: how much was imported, then every line that was not."""
    created, updated, unchanged, deleted = (
        sum(getattr(step, name) for step in steps) for name in ("created", "updated", "unchanged", "deleted")
    )
    faults = [fault for step in steps for fault in step.faults]
    counts = f"{created} created, {updated} changed, {unchanged} left as they were, {deleted} deleted"
    said = (
        f"{created + updated + unchanged} resources were imported ({counts}); {len(faults)} lines were not."
    )
    issues: list[dict[str, Any]] = [
        {"severity": "information", "code": "informational", "details": {"text": said}}
    ]
    for step in steps:
        issues += [
            {"severity": "warning", "code": "not-found", "details": {"text": sentence}}
            for sentence in step.told
        ]
    for fault in faults[:_MOST_TOLD]:
        issues.append(
            {
                "severity": "error",
                "code": "invalid",
                "details": {"text": f"{fault.url}, line {fault.line}: {fault.what}"},
                "expression": [f"line {fault.line}"],
            }
        )
    if len(faults) > _MOST_TOLD:
        more = f"{len(faults) - _MOST_TOLD} more lines were not imported."
        issues.append({"severity": "error", "code": "invalid", "details": {"text": more}})
    return issues


KIND: Final = Kind(NAME, _plan, _step, _finish, forget=forget_import)
