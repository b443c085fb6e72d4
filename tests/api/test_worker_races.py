"""A worker whose step loses a race at the database does it again, and does not wait for its claim to end."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from measurewise.api.jobs import kinds
from measurewise.api.jobs.kind import Done, Kind, Plan, Requester, Tick, encoded
from measurewise.api.jobs.worker import Worker
from measurewise.api.services.context import Services, open_services
from measurewise.api.settings import Settings
from measurewise.store import jobs
from measurewise.store.access import OPERATOR
from measurewise.store.jobs import Job


class Deadlock(Exception):
    """What PostgreSQL's driver raises for the one of two transactions that has to give way."""

    sqlstate = "40P01"


def test_a_step_that_loses_a_race_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[bytes] = []

    def step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
        begun.append(work)
        if len(begun) < 3:
            raise OperationalError("UPDATE", {}, Deadlock())
        return Done(work, 1)

    kind = Kind("raced", lambda *_: Plan([b"one"], 1, "racing"), step, lambda *_: b"{}")
    monkeypatch.setitem(kinds.KINDS, kind.name, kind)
    services = open_services(Settings(data_folder=tmp_path, shipped_content=False, _env_file=None))  # type: ignore[call-arg]
    requester = Requester("somebody", "", None)
    with services.database.write() as connection:
        identity = jobs.submit(connection, "default", kind.name, b"{}", encoded(requester))
    worker = Worker(services)
    while worker.work_once():
        pass
    with services.database.read() as connection:
        assert jobs.read(connection, OPERATOR, identity).state == "completed"
    assert begun == [b"one"] * 3
    services.database.close()
