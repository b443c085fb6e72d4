"""Exports and imports that are broken off go on where they stopped; on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from finished_jobs import work_off

from measurewise.api.jobs import exporting, importing
from measurewise.api.jobs.kind import Requester, encoded
from measurewise.api.jobs.worker import Worker
from measurewise.api.services import importing as service
from measurewise.api.services.bulk import ExportRequest
from measurewise.api.services.context import Services, open_services
from measurewise.api.services.importing import ImportRequest
from measurewise.api.settings import Settings
from measurewise.store import jobs
from measurewise.store.access import OPERATOR
from measurewise.store.histories import Versions, versions
from measurewise.store.jobs import Job
from measurewise.store.resources import of_types

PEOPLE = 2500


@pytest.fixture
def services(database_url: str, tmp_path: Path) -> Services:
    given = Settings(database=database_url, data_folder=tmp_path, shipped_content=False, _env_file=None)  # type: ignore[call-arg]
    return open_services(given)


def submitted(services: Services, kind: str, request: Any) -> str:
    requester = encoded(Requester("operator", "local", None, base="http://127.0.0.1:8000/fhir"))
    with services.database.write() as connection:
        return jobs.submit(connection, "default", kind, encoded(request), requester)


def job(services: Services, identity: str) -> Job:
    with services.database.read() as connection:
        return jobs.read(connection, OPERATOR, identity)


def imported(services: Services, tmp_path: Path) -> str:
    upload = tmp_path / "upload.ndjson"
    people = ({"resourceType": "Patient", "id": f"p{number}"} for number in range(PEOPLE))
    upload.write_bytes(b"\n".join(json.dumps(one).encode() for one in people))
    return submitted(services, importing.NAME, ImportRequest(upload=str(upload)))


class Killed(BaseException):
    """What a worker that is killed leaves behind."""


def test_an_import_goes_on_after_its_worker_was_killed(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = imported(services, tmp_path)
    worker = Worker(services)
    done = jobs.done
    ended = 0

    def die_before_the_step_is_noted(*args: Any) -> None:
        nonlocal ended
        ended += 1
        if ended == 2:
            raise Killed
        done(*args)

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "done", die_before_the_step_is_noted)
        with pytest.raises(Killed):
            work_off(worker)
    with services.database.read() as connection:
        written = len(list(of_types(connection, OPERATOR, ["Patient"])))
    # Whole steps only: the step that was not noted is written all the same.
    assert written % service.LINES_AT_ONCE == 0
    assert 0 < written < PEOPLE
    # The dead worker's claim runs out.
    with services.database.write() as connection:
        connection.exec_driver_sql("UPDATE job_steps SET state = 'waiting' WHERE state = 'claimed'")
    work_off(Worker(services))
    ended_job = job(services, identity)
    assert ended_job.state == "completed"
    told = msgspec.json.decode(ended_job.result or b"")["issue"]
    assert len(told) == 1
    assert f"{PEOPLE} resources were imported" in told[0]["details"]["text"]
    with services.database.read() as connection:
        assert len(list(of_types(connection, OPERATOR, ["Patient"]))) == PEOPLE
        assert versions(connection, OPERATOR, Versions("Patient", "p1500", 9)).total == 1


def test_an_export_holds_all_that_was_imported_and_nothing_twice(services: Services, tmp_path: Path) -> None:
    imported(services, tmp_path)
    work_off(Worker(services))
    identity = submitted(services, exporting.NAME, ExportRequest("patient", "http://127.0.0.1:8000/fhir/x"))
    worker = Worker(services)
    worker.work_once()
    worker.work_once()
    # A step that is done again writes the same file.
    with services.database.write() as connection:
        connection.exec_driver_sql("UPDATE job_steps SET state = 'waiting', outcome = NULL WHERE number > 0")
    work_off(worker)
    ended = job(services, identity)
    assert ended.state == "completed", ended.progress
    (file,) = msgspec.json.decode(ended.result or b"")["output"]
    folder = services.settings.data_folder / "exports" / identity
    lines = (folder / file["url"].rpartition("/")[2]).read_bytes().splitlines()
    assert len(lines) == file["count"] == PEOPLE
    assert len({json.loads(line)["id"] for line in lines}) == PEOPLE
    assert [one.name for one in folder.iterdir()] == [file["url"].rpartition("/")[2]]
