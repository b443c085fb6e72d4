"""Jobs outlive the processes that do them: real ones, killed in the middle of their work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgresql_server import new_database
from served import YEAR
from sqlalchemy import func, select, update
from stored_patients import load

from measurewise.api.services.context import Services, open_services
from measurewise.api.services.evaluation import EvaluationRequest, evaluate_stored, prepare, reports
from measurewise.api.settings import Settings
from measurewise.engine import to_json
from measurewise.store.access import OPERATOR
from measurewise.store.database import Database, now
from measurewise.store.resources import patients
from measurewise.store.tables import job_steps, results

MEASURE = "HighBloodPressureFollowUp"
PATIENTS = 300


@pytest.fixture(params=["sqlite", "postgresql"])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Services]:
    """A store with patients, and the server's settings."""
    url = new_database(request, tmp_path, request.param)
    opened = open_services(Settings(data_folder=tmp_path, database=url, _env_file=None))  # type: ignore[call-arg]
    load(opened, "default", *range(PATIENTS))
    yield opened
    opened.database.close()


@contextlib.contextmanager
def serving(services: Services, workers: int) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """``measurewise serve`` as a process group of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = services.settings
    process = subprocess.Popen(
        [sys.executable, "-c", "from measurewise.cli import main; main()", "serve"],
        env={
            **os.environ,
            "MEASUREWISE_DATA_FOLDER": str(settings.data_folder),
            "MEASUREWISE_DATABASE": settings.database_url,
            "MEASUREWISE_PORT": str(port),
            "MEASUREWISE_WORKERS": str(workers),
        },
        cwd=settings.data_folder,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

            def answers() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return client.get("/health").status_code == 200
                return False

            wait_until(answers)
            yield process, client
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def wait_until(happened: Callable[[], Any], *, seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = happened()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen")


def claimed(database: Database) -> str | None:
    """Who evaluates a share of the patients at this moment."""
    with database.read() as connection:
        return connection.execute(
            select(job_steps.c.claimed_by).where(job_steps.c.state == "claimed", job_steps.c.number > 0)
        ).scalar()


def expire_claims_of_the_dead(database: Database) -> None:
    """Let the minute pass after which a claim that nobody prolongs is void."""
    with database.write() as connection:
        connection.execute(
            update(job_steps)
            .where(job_steps.c.state == "claimed")
            .values(claimed_until=now() - timedelta(seconds=1))
        )


def queue(client: httpx.Client) -> str:
    asked = {"prefer": "respond-async"}
    answer = client.get(f"/fhir/Measure/{MEASURE}/$evaluate-measure", params=YEAR, headers=asked)
    assert answer.status_code == 202, answer.text
    return answer.headers["content-location"].split("/", 3)[3]


def result(client: httpx.Client, job: str) -> dict[str, Any]:
    answer = wait_until(lambda: (found := client.get(job)).status_code != 202 and found)
    assert answer.status_code == 200, answer.text
    (entry,) = answer.json()["entry"]
    return without_date(entry["resource"])


def without_date(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name not in ("id", "date")}


def undisturbed(services: Services) -> dict[str, Any]:
    """What nobody has disturbed and nothing has kept."""
    request = EvaluationRequest((MEASURE,), YEAR["periodStart"], YEAR["periodEnd"], "summary")
    prepared = prepare(services, request)
    with services.database.read() as connection:
        everybody = list(patients(connection, OPERATOR))
        found = evaluate_stored(services, prepared, everybody)
        (report,) = reports(connection, services, prepared, request, found)
    assert len(everybody) == PATIENTS
    return without_date(json.loads(to_json(report)))


def kept(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(results)).scalar_one()


def test_another_worker_takes_over_from_one_that_was_killed(services: Services) -> None:
    with serving(services, 2) as (_, client):
        job = queue(client)
        worker = wait_until(lambda: claimed(services.database))
        os.kill(int(worker.split("-")[-2]), signal.SIGKILL)
        expire_claims_of_the_dead(services.database)
        assert result(client, job) == undisturbed(services)
    assert kept(services.database) == PATIENTS


def test_a_job_goes_on_after_the_whole_server_was_killed(services: Services) -> None:
    with serving(services, 2) as (process, client):
        job = queue(client)
        wait_until(lambda: claimed(services.database))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
    assert claimed(services.database) is not None
    expire_claims_of_the_dead(services.database)
    with serving(services, 1) as (_, client):
        assert result(client, job) == undisturbed(services)
    assert kept(services.database) == PATIENTS
