"""The job of a sync: steps are shares of patients, each one write transaction."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select, update

from measurewise.api.jobs.kind import Done, Kind, Plan, Requester, Tick, encoded, requester_of
from measurewise.api.jobs.refreshing import queue_refresh
from measurewise.api.services.context import Services
from measurewise.api.services.source_storing import Outcome, together
from measurewise.api.services.sync import SyncRequest, Work, do_work, finish_sync, plan_sync
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store import jobs, sources
from measurewise.store.jobs import Job
from measurewise.store.sources import Source
from measurewise.store.tables import jobs as job_rows

NAME: Final = "sync"
_MOST_NAMED: Final = 500


class _Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step's outcome; the first step carries what the finish must know."""

    outcome: Outcome
    note: Work | None = None


def queue_sync(connection: Connection, source: Source, request: SyncRequest) -> str:
    """Queue a sync of a source, and give the job's id; one like it that nobody has begun is enough.

    What is named joins what another that nobody has begun names, so that many notifications are few jobs.
    """
    if request.some:
        joined = _joined(connection, source, request)
        if joined is not None:
            return joined
    asked = encoded(request)
    waiting = connection.execute(
        select(job_rows.c.id).where(
            job_rows.c.organization == source.organization,
            job_rows.c.kind == NAME,
            job_rows.c.state == "queued",
            job_rows.c.request == asked,
        )
    ).scalar()
    if waiting is not None:
        return str(waiting)
    requester = Requester(f"source:{source.id}", "measurewise-sync", (source.organization,))
    return jobs.submit(connection, source.organization, NAME, asked, encoded(requester))


def _joined(connection: Connection, source: Source, request: SyncRequest) -> str | None:
    """The job that names what a request names, too, if one could be found that nobody has begun."""
    query = select(job_rows.c.id, job_rows.c.request).where(
        job_rows.c.organization == source.organization, job_rows.c.kind == NAME, job_rows.c.state == "queued"
    )
    for identity, body in connection.execute(query):
        waiting = msgspec.json.decode(body, type=SyncRequest)
        if waiting.source != source.id or not waiting.some:
            continue
        patients = tuple(sorted({*waiting.patients, *request.patients}))
        references = tuple(sorted({*waiting.references, *request.references}))
        if len(patients) + len(references) > _MOST_NAMED:
            continue
        both = encoded(SyncRequest(source.id, patients=patients, references=references))
        done = connection.execute(
            update(job_rows)
            .where(job_rows.c.id == identity, job_rows.c.state == "queued")
            .values(request=both)
        )
        if done.rowcount == 1:
            return str(identity)
    return None


def is_syncing(connection: Connection, source: Source) -> bool:
    """Whether a sync of all that has changed at a source waits or goes on."""
    query = select(job_rows.c.request).where(
        job_rows.c.organization == source.organization,
        job_rows.c.kind == NAME,
        job_rows.c.state.in_(("queued", "running")),
    )
    asked = [msgspec.json.decode(one, type=SyncRequest) for one in connection.execute(query).scalars()]
    return any(one.source == source.id and not (one.some or one.subscription) for one in asked)


def _request(job: Job) -> SyncRequest:
    return msgspec.json.decode(job.request, type=SyncRequest)


def _folder(services: Services, identity: str) -> Path:
    return services.settings.data_folder / "syncs" / identity


def _plan(services: Services, job: Job) -> Plan:
    _forget_ended(services)
    planned = plan_sync(services, requester_of(job).access, _request(job), _folder(services, job.id))
    return Plan([msgspec.json.encode(work) for work in planned.works], planned.total, "reading patients")


def _step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
    asked = msgspec.json.decode(work, type=Work)
    found = do_work(services, requester_of(job).access, _request(job), asked, _folder(services, job.id))
    note = asked if asked.kind == "note" else None
    count = found.read + found.failed + found.removed
    return Done(msgspec.json.encode(_Step(found, note)), count)


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    steps = [msgspec.json.decode(outcome, type=_Step) for outcome in outcomes]
    note = next(step.note for step in steps if step.note is not None)
    request = _request(job)
    found = together([step.outcome for step in steps])
    finish_sync(services, request, note, [found])
    if found.something:
        queue_refresh(services, job.organization)
    with services.database.read() as connection:
        source = sources.read(connection, requester_of(job).access, request.source)
    _forget(services, job.id)
    return to_json(report(source, note, found))


def report(source: Source, note: Work, found: Outcome) -> dict[str, Any]:
    """What a sync came to, as Parameters, with an OperationOutcome of what is missing."""
    parameters: list[dict[str, Any]] = [{"name": "source", "valueString": source.id}]
    parameters += [
        {"name": name, "valueString": value}
        for name, value in (("way", note.way), ("since", note.since), ("synced", source.synced))
        if value
    ]
    parameters += [
        {"name": name, "valueInteger": getattr(found, name)}
        for name in Outcome.__struct_fields__
        if name not in ("issues", "incomplete")
    ]
    if found.incomplete:
        parameters.append({"name": "incomplete", "valueBoolean": True})
    issues = [*note.issues, *found.issues]
    if issues:
        parameters.append(
            {"name": "issues", "resource": {"resourceType": "OperationOutcome", "issue": issues}}
        )
    return {"resourceType": "Parameters", "parameter": parameters}


def _forget(services: Services, identity: str) -> None:
    shutil.rmtree(_folder(services, identity), ignore_errors=True)


def _forget_ended(services: Services) -> None:
    """Remove what syncs that failed left behind."""
    folder = services.settings.data_folder / "syncs"
    left = [child.name for child in folder.iterdir()] if folder.is_dir() else []
    if not left:
        return
    with services.database.read() as connection:
        query = select(job_rows.c.id).where(job_rows.c.state.in_(("queued", "running")))
        going_on = set(connection.execute(query).scalars())
    for identity in left:
        if identity not in going_on:
            _forget(services, identity)


KIND: Final = Kind(NAME, _plan, _step, _finish, forget=_forget)
