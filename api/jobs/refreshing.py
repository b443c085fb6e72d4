"""The job that keeps an organisation's results live: what changes have made stale is computed again."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import select

from measurewise.api.jobs.kind import Done, Kind, Plan, Requester, Tick, encoded
from measurewise.api.services.context import Services
from measurewise.api.services.evaluation import EvaluationRequest, evaluate_request, prepare
from measurewise.engine.errors import MeasurewiseError
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store import jobs, results
from measurewise.store.access import Access
from measurewise.store.jobs import Job
from measurewise.store.resources import patients
from measurewise.store.tables import jobs as job_rows

NAME: Final = "refresh"
_SHARE: Final = 250


class _Work(msgspec.Struct, frozen=True):
    """A step's work: measures in a period, over some patients of the organisation."""

    measures: tuple[str, ...]
    period_start: str
    period_end: str
    patients: tuple[str, ...]


class _Outcome(msgspec.Struct, frozen=True):
    computed: int
    failed: int


def queue_refresh(services: Services, organization: str) -> str | None:
    """Queue a refresh of an organisation's results, after its data have changed; the id of the job.

    One that waits already is enough, for it has yet to look; one that is under way is not. None where the
    organisation has no results to keep live.
    """
    requester = Requester("measurewise", "measurewise-refresh", (organization,))
    with services.database.write() as connection:
        waiting = connection.execute(
            select(job_rows.c.id).where(
                job_rows.c.organization == organization,
                job_rows.c.kind == NAME,
                job_rows.c.state == "queued",
            )
        ).scalar()
        if waiting is not None:
            return str(waiting)
        if not results.kept_questions(connection, organization):
            return None
        return jobs.submit(connection, organization, NAME, b"{}", encoded(requester))


def _plan(services: Services, job: Job) -> Plan:
    """Every measure and period that has results, over every patient: a step looks which are stale."""
    with services.database.write() as connection:
        results.forget_departed(connection, job.organization)
    with services.database.read() as connection:
        questions = results.kept_questions(connection, job.organization)
        mine = Access(frozenset({job.organization}))
        everybody = [identity for _, identity in patients(connection, mine)]
    by_period: dict[tuple[str, str], list[str]] = {}
    for measure, start, end in questions:
        try:
            prepare(services, EvaluationRequest((measure,), start, end, "summary"))
        except MeasurewiseError:
            continue  # The content has no such measure any more, so nobody can ask for it.
        by_period.setdefault((start, end), []).append(measure)
    works = [
        _Work(tuple(measures), *period, tuple(everybody[first : first + _SHARE]))
        for period, measures in by_period.items()
        for first in range(0, len(everybody), _SHARE)
    ]
    total = len(everybody) * len(by_period)
    return Plan([msgspec.json.encode(work) for work in works], total, "bringing results up to date")


def _step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
    asked = msgspec.json.decode(work, type=_Work)
    request = EvaluationRequest(asked.measures, asked.period_start, asked.period_end, "summary")
    prepared = prepare(services, request)
    theirs = [(job.organization, patient) for patient in asked.patients]
    found = evaluate_request(services, request, prepared, theirs)
    outcome = _Outcome(found.computed, found.failed)
    return Done(msgspec.json.encode(outcome), len(asked.patients), found.read)


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    done = [msgspec.json.decode(outcome, type=_Outcome) for outcome in outcomes]
    computed, failed = sum(one.computed for one in done), sum(one.failed for one in done)
    text = f"{computed} results were computed; {failed} evaluations failed."
    issue = {"severity": "information", "code": "informational", "details": {"text": text}}
    return to_json({"resourceType": "OperationOutcome", "issue": [issue]})


KIND: Final = Kind(NAME, _plan, _step, _finish)
