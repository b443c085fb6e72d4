"""Jobs outlive processes: each step is done once, and a dead worker's step comes back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from measurewise.store import jobs
from measurewise.store.access import OPERATOR, Access
from measurewise.store.database import Database, now
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.tables import job_steps


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    found.migrate()
    yield found
    found.close()


def submitted(database: Database, organization: str = "ours") -> str:
    with database.write() as connection:
        return jobs.submit(connection, organization, "count", b"{}", b"{}")


def planned(database: Database, steps: int) -> str:
    identity = submitted(database)
    step = jobs.claim(database, "planner")
    assert step is not None
    with database.write() as connection:
        jobs.plan(connection, step, [str(n).encode() for n in range(steps)], steps, "counting")
    return identity


def state(database: Database, identity: str) -> jobs.Job:
    with database.read() as connection:
        return jobs.read(connection, OPERATOR, identity)


def work_through(database: Database, worker: str, done: list[bytes]) -> None:
    while (step := jobs.claim(database, worker)) is not None:
        with database.write() as connection:
            if step.finishing:
                jobs.complete(connection, step, b",".join(jobs.outcomes(connection, step.job.id)))
            else:
                done.append(step.work)
                jobs.done(connection, step, step.work, 1)


def expire_claims(database: Database) -> None:
    with database.write() as connection:
        connection.execute(update(job_steps).values(claimed_until=now() - timedelta(seconds=1)))


def test_a_job_is_planned_done_and_finished_in_order(database: Database) -> None:
    identity = planned(database, 3)
    done: list[bytes] = []
    work_through(database, "w", done)
    job = state(database, identity)
    assert (job.state, job.result, job.done, job.total) == ("completed", b"0,1,2", 3, 3)
    assert done == [b"0", b"1", b"2"]


def test_a_job_without_steps_is_finished(database: Database) -> None:
    identity = planned(database, 0)
    work_through(database, "w", [])
    assert state(database, identity).state == "completed"


def test_many_workers_do_each_step_once(database: Database) -> None:
    identity = planned(database, 40)
    done: list[bytes] = []
    threads = [
        threading.Thread(target=work_through, args=(database, f"w{number}", done)) for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work_through(database, "last", done)
    assert Counter(done) == Counter(str(n).encode() for n in range(40))
    assert state(database, identity).state == "completed"


def test_a_dead_workers_step_comes_back_and_counts_once(database: Database) -> None:
    identity = planned(database, 1)
    dead = jobs.claim(database, "dead")
    assert dead is not None
    assert jobs.claim(database, "other") is None
    expire_claims(database)
    again = jobs.claim(database, "other")
    assert again is not None
    assert (again.number, again.attempts) == (dead.number, 2)
    with database.write() as connection:
        assert not jobs.prolong(connection, dead, "dead")
        assert jobs.prolong(connection, again, "other")
        jobs.done(connection, again, b"one", 1)
        jobs.done(connection, dead, b"two", 1)
    work_through(database, "w", [])
    assert state(database, identity).result == b"one"
    assert state(database, identity).done == 1


def test_a_step_that_kills_every_worker_fails_the_job(database: Database) -> None:
    identity = planned(database, 1)
    for _ in range(jobs.ATTEMPTS):
        assert jobs.claim(database, "dies") is not None
        expire_claims(database)
    assert jobs.claim(database, "dies") is None
    job = state(database, identity)
    assert job.state == "failed"
    assert "3 times" in job.progress


def test_a_cancelled_job_stays_cancelled(database: Database) -> None:
    identity = planned(database, 2)
    step = jobs.claim(database, "w")
    assert step is not None
    with database.write() as connection:
        jobs.cancel(connection, OPERATOR, identity)
    with database.write() as connection:
        jobs.done(connection, step, b"late", 1)
        jobs.complete(connection, step, b"late")
        assert not jobs.prolong(connection, step, "w")
    assert state(database, identity).state == "cancelled"
    assert jobs.claim(database, "w") is None


def test_a_job_belongs_to_its_organisation(database: Database) -> None:
    identity = submitted(database, "ours")
    with database.read() as connection:
        assert jobs.read(connection, Access(frozenset({"ours"})), identity).kind == "count"
        with pytest.raises(NoSuchResourceError):
            jobs.read(connection, Access(frozenset({"theirs"})), identity)
