"""``measurewise serve`` as a process of its own, beside a HAPI that tells it what changes."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from measurewise.store import sources
from measurewise.store.access import OPERATOR
from measurewise.store.database import Database
from measurewise.store.tables import jobs, results

YEAR = {"periodStart": "2026-01-01", "periodEnd": "2026-12-31"}
_COMMAND = [sys.executable, "-c", "from measurewise.cli import main; main()"]
_LONGEST = 240


class Live:
    """A server, its command line in the same settings, and its store to look into."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}/fhir"
        self.hook = f"{self.base}/$subscription-hook/hapi"
        self.log = folder / "serve.log"
        self._environment = {
            **os.environ,
            "MEASUREWISE_DATA_FOLDER": str(folder),
            "MEASUREWISE_PORT": str(port),
            "MEASUREWISE_WORKERS": "1",
            "MEASUREWISE_SECURITY__BASE_URL": f"http://127.0.0.1:{port}",
            "MEASUREWISE_SOURCES__HAPI__HOOK_SECRET": secrets.token_hex(16),
            "MEASUREWISE_SUBSCRIPTION_SECONDS": "600",
        }
        self._folder = folder
        self.secret = self._environment["MEASUREWISE_SOURCES__HAPI__HOOK_SECRET"]

    @contextmanager
    def running(self) -> Iterator[None]:
        """The server and its worker, ended with the block."""
        with self.log.open("ab") as log:
            process = subprocess.Popen([*_COMMAND, "serve"], env=self._environment, stdout=log, stderr=log)
        try:
            waited_for(lambda: _answers(self.base), "the server comes up")
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)

    def command(self, *arguments: str) -> dict[str, Any]:
        """What a command says, as JSON."""
        done = subprocess.run(
            [*_COMMAND, *arguments, "--json"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def source(self) -> dict[str, Any]:
        (found,) = self.command("source", "list")["sources"]
        return dict(found)

    def counts(self, measure: str) -> dict[str, int]:
        """The populations of a summary over all patients, by code; empty where it cannot be had yet."""
        answer = httpx.get(
            f"{self.base}/Measure/{measure}/$evaluate-measure",
            params={**YEAR, "reportType": "population"},
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        (group,) = answer.json()["group"]
        return {one["code"]["coding"][0]["code"]: one["count"] for one in group["population"]}

    def status(self, reference: str) -> int:
        """Whether the server has a resource: the status of a read."""
        return httpx.get(f"{self.base}/{reference}", timeout=60, trust_env=False).status_code

    def idle(self) -> bool:
        """Whether no job waits or goes on."""
        with self._database() as database, database.read() as connection:
            query = select(func.count()).where(jobs.c.state.in_(("queued", "running")))
            return connection.execute(query).scalar_one() == 0

    def computed(self) -> dict[tuple[str, str], tuple[Any, bool]]:
        """When each patient's result of each measure was computed, and whether it is stale."""
        with self._database() as database, database.read() as connection:
            query = select(results.c.patient, results.c.measure, results.c.computed, results.c.stale)
            return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}

    def told(self) -> bool:
        """Whether the source tells of changes: all Subscriptions are active, and this is known here."""
        with self._database() as database, database.read() as connection:
            held = sources.read(connection, OPERATOR, "hapi").subscriptions.held
            return bool(held) and all(one.status == "active" for one in held)

    def synced(self) -> str | None:
        with self._database() as database, database.read() as connection:
            return sources.read(connection, OPERATOR, "hapi").synced

    @contextmanager
    def _database(self) -> Iterator[Database]:
        database = Database(f"sqlite:///{self._folder / 'measurewise.db'}")
        try:
            yield database
        finally:
            database.close()


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/metadata", timeout=10, trust_env=False).is_success
    except httpx.RequestError:
        return False


def waited_for(happened: Callable[[], bool], what: str) -> float:
    """Wait until something has happened; the seconds that it took."""
    begun = time.monotonic()
    while not happened():
        assert time.monotonic() - begun < _LONGEST, f"waited in vain until {what}"
        time.sleep(0.2)
    return time.monotonic() - begun
