"""A server with the shipped content, in process, with a worker beside it; and what is asked of it often."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import httpx
from fastapi.testclient import TestClient
from postgresql_server import make_database

from measurewise.api.app import create_app
from measurewise.api.jobs.worker import Worker
from measurewise.api.settings import Settings

BASE = "http://127.0.0.1:8000"
TEMPLATE = "MEASUREWISE_TEST_TEMPLATE"
"""A PostgreSQL server's URL and the database on it that each test has a copy of (see test_postgresql.py)."""
YEAR = {"periodStart": "2026-01-01", "periodEnd": "2026-12-31"}


def start(settings: Settings, issuer: httpx.AsyncClient | None = None) -> Iterator[TestClient]:
    """A client of a server with these settings, and one worker in a thread."""
    template = os.environ.get(TEMPLATE)
    if template is not None and settings.database is None:
        server, _, name = template.rpartition(" ")
        settings = settings.model_copy(update={"database": make_database(server, name)})
    app = create_app(settings, client=issuer)
    worker = Worker(app.state.services)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        with TestClient(app, base_url=BASE) as client:
            yield client
    finally:
        worker.stopping.set()
        thread.join()


def put(client: TestClient, *resources: dict[str, Any]) -> None:
    """Store resources under their own ids."""
    for resource in resources:
        answer = client.put(f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text


def issue(answer: Any) -> dict[str, Any]:
    """The first issue of the OperationOutcome in an answer."""
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    found: dict[str, Any] = outcome["issue"][0]
    return found
