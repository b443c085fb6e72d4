"""Jobs of a store done to their end, as a worker process would."""

from __future__ import annotations

from typing import Any

import msgspec

from measurewise.api.jobs.worker import Worker
from measurewise.api.services.context import Services
from measurewise.store import jobs
from measurewise.store.access import OPERATOR
from measurewise.store.jobs import Job


def work_off(worker: Worker) -> None:
    """Do what there is to do."""
    while worker.work_once():
        pass


def finished(services: Services, job: str) -> Job:
    """A job, after all that there was to do is done."""
    work_off(Worker(services))
    with services.database.read() as connection:
        return jobs.read(connection, OPERATOR, job)


def outcome(services: Services, job: str) -> dict[str, Any]:
    """The Parameters that a job came to, by name, after all that there was to do is done."""
    done = finished(services, job)
    assert done.state == "completed", done.result
    found: dict[str, Any] = {}
    for parameter in msgspec.json.decode(done.result or b"{}")["parameter"]:
        name = parameter.pop("name")
        (found[name],) = parameter.values()
    return found
