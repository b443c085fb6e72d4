"""Jobs that outlive a request and a process: rows that workers claim, step by step.

A job has a request and, once it was planned, steps; each step is claimed by one worker for a while, which it
prolongs as it goes on. A worker that dies loses its claim, and another takes the step again, so a step's
outcome must not depend on how often it was begun. When every step is done one worker finishes the job.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from measurewise.store.access import Access
from measurewise.store.database import Database, now
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.tables import job_steps, jobs

State = Literal["queued", "running", "completed", "failed", "cancelled"]
CLAIM: Final = timedelta(seconds=60)
ATTEMPTS: Final = 3
PLAN: Final = 0
"""The number of a job's first step, which adds the others."""

_COLUMNS: Final = (
    jobs.c.id,
    jobs.c.organization,
    jobs.c.kind,
    jobs.c.state,
    jobs.c.request,
    jobs.c.requester,
    jobs.c.done,
    jobs.c.total,
    jobs.c.progress,
    jobs.c.result,
    jobs.c.created,
    jobs.c.finished,
)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands; ``request``, ``requester`` and ``result`` are JSON that its kind understands."""

    id: str
    organization: str
    kind: str
    state: State
    request: bytes
    requester: bytes
    done: int
    total: int | None
    progress: str
    result: bytes | None
    created: datetime
    finished: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Step:
    """A claimed step. Number 0 plans the job; ``finishing`` steps come when all others are done."""

    job: Job
    number: int
    work: bytes
    attempts: int
    finishing: bool = False


def submit(connection: Connection, organization: str, kind: str, request: bytes, requester: bytes) -> str:
    """Queue a job and give its id."""
    identity = str(uuid.uuid4())
    connection.execute(
        insert(jobs).values(
            id=identity, organization=organization, kind=kind, state="queued", request=request,
            requester=requester, done=0, total=None, progress="waiting", created=now(),
        )
    )  # fmt: skip
    _add(connection, identity, PLAN, [b""])
    return identity


def read(connection: Connection, access: Access, identity: str) -> Job:
    """Raises NoSuchResourceError where there is none or the access may not see it."""
    row = connection.execute(select(*_COLUMNS).where(jobs.c.id == identity, access.own_rows(jobs))).first()
    if row is None:
        raise NoSuchResourceError(f"there is no job {identity}.", mend="Ask for it anew.")
    return _job(row)


def cancel(connection: Connection, access: Access, identity: str) -> Job:
    """Cancel a job, or forget the result of one that has ended. Raises NoSuchResourceError."""
    job = read(connection, access, identity)
    if job.ended:
        connection.execute(delete(jobs).where(jobs.c.id == identity))
    else:
        connection.execute(
            update(jobs)
            .where(jobs.c.id == identity)
            .values(state="cancelled", progress="cancelled", finished=now())
        )
        connection.execute(delete(job_steps).where(job_steps.c.job == identity))
    return job


def claim(database: Database, worker: str) -> Step | None:
    """The next step to do, now this worker's until ``CLAIM`` has passed; None where there is none."""
    with database.read() as connection:
        if _claimable(connection, lock=False) is None:
            return None
    with database.write() as connection:
        row = _claimable(connection, lock=not database.is_sqlite)
        if row is None:
            return None
        identity, number, work, attempts = row
        if attempts >= ATTEMPTS:
            _fail(connection, identity, f"step {number} was begun {attempts} times and never ended")
            return None
        connection.execute(
            update(job_steps)
            .where(job_steps.c.job == identity, job_steps.c.number == number)
            .values(state="claimed", claimed_by=worker, claimed_until=now() + CLAIM, attempts=attempts + 1)
        )
        connection.execute(
            update(jobs).where(jobs.c.id == identity, jobs.c.state == "queued").values(state="running")
        )
        job = _job(connection.execute(select(*_COLUMNS).where(jobs.c.id == identity)).one())
        finishing = number < 0
        return Step(job, number, work, attempts + 1, finishing)


def prolong(connection: Connection, step: Step, worker: str) -> bool:
    """Hold a claim for another ``CLAIM``; False where it was lost or the job cancelled: leave the step."""
    result = connection.execute(
        update(job_steps)
        .where(
            job_steps.c.job == step.job.id,
            job_steps.c.number == step.number,
            job_steps.c.state == "claimed",
            job_steps.c.claimed_by == worker,
        )
        .values(claimed_until=now() + CLAIM)
    )
    return result.rowcount == 1


def plan(connection: Connection, step: Step, works: Sequence[bytes], total: int, progress: str) -> None:
    """End the planning step by adding the steps of the job; without any it goes on to its finish."""
    _add(connection, step.job.id, PLAN + 1, works)
    connection.execute(update(jobs).where(jobs.c.id == step.job.id).values(total=total, progress=progress))
    done(connection, step, b"", 0, progress)


def done(connection: Connection, step: Step, outcome: bytes, count: int, progress: str | None = None) -> None:
    """End a step with its outcome; ``count`` is how much of the job's total it was.

    The last step of a job adds the finishing one (number -1). A step that was taken by another meanwhile
    changes nothing.
    """
    result = connection.execute(
        update(job_steps)
        .where(
            job_steps.c.job == step.job.id,
            job_steps.c.number == step.number,
            job_steps.c.state == "claimed",
        )
        .values(state="done", outcome=outcome, claimed_by=None, claimed_until=None)
    )
    if result.rowcount != 1:
        return
    changes: dict[str, Any] = {"done": jobs.c.done + count}
    if progress is not None:
        changes["progress"] = progress
    connection.execute(
        update(jobs).where(jobs.c.id == step.job.id, jobs.c.state == "running").values(**changes)
    )
    if step.finishing:
        return
    # The job's row is locked by the update before, so two last steps cannot both miss each other.
    open_steps = connection.execute(
        select(func.count())
        .select_from(job_steps)
        .where(job_steps.c.job == step.job.id, job_steps.c.state != "done")
    ).scalar_one()
    if open_steps == 0:
        _add(connection, step.job.id, -1, [b""])


def outcomes(connection: Connection, identity: str) -> list[bytes]:
    """The outcomes of a job's steps in their order, the planning one left out."""
    rows = connection.execute(
        select(job_steps.c.outcome)
        .where(job_steps.c.job == identity, job_steps.c.number > PLAN, job_steps.c.state == "done")
        .order_by(job_steps.c.number)
    )
    return [outcome for (outcome,) in rows]


def complete(connection: Connection, step: Step, result: bytes, progress: str = "completed") -> None:
    """End the job with its result; its steps are forgotten. A job cancelled meanwhile stays so."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == step.job.id, jobs.c.state == "running")
        .values(state="completed", result=result, progress=progress, finished=now())
    )
    connection.execute(delete(job_steps).where(job_steps.c.job == step.job.id))


def fail(connection: Connection, step: Step, result: bytes, progress: str) -> None:
    """End the job as failed; ``result`` is what is told of it (an OperationOutcome)."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == step.job.id, jobs.c.state.in_(("queued", "running")))
        .values(state="failed", result=result, progress=progress, finished=now())
    )
    connection.execute(delete(job_steps).where(job_steps.c.job == step.job.id))


def _fail(connection: Connection, identity: str, why: str) -> None:
    connection.execute(
        update(jobs).where(jobs.c.id == identity).values(state="failed", progress=why, finished=now())
    )
    connection.execute(delete(job_steps).where(job_steps.c.job == identity))


def _claimable(connection: Connection, *, lock: bool) -> Any:
    query = (
        select(job_steps.c.job, job_steps.c.number, job_steps.c.work, job_steps.c.attempts)
        .select_from(job_steps.join(jobs, jobs.c.id == job_steps.c.job))
        .where(
            or_(
                job_steps.c.state == "waiting",
                (job_steps.c.state == "claimed") & (job_steps.c.claimed_until < now()),
            )
        )
        .order_by(jobs.c.created, job_steps.c.number)
        .limit(1)
    )
    if lock:
        query = query.with_for_update(skip_locked=True, of=job_steps)
    return connection.execute(query).first()


def _add(connection: Connection, identity: str, first: int, works: Sequence[bytes]) -> None:
    if works:
        connection.execute(
            insert(job_steps),
            [
                {"job": identity, "number": first + offset, "state": "waiting", "work": work, "attempts": 0}
                for offset, work in enumerate(works)
            ],
        )


def _job(row: Any) -> Job:
    return Job(*row)
