"""A server on a port of its own, with a worker beside it: for those who ask it as another machine would."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn

from measurewise.api.app import create_app
from measurewise.api.jobs.worker import Worker
from measurewise.api.services.context import Services
from measurewise.api.settings import Settings


@dataclass(frozen=True)
class Serving:
    """Its FHIR base, a client of it, and what it works with."""

    base: str
    client: httpx.Client
    services: Services


@contextmanager
def serving(settings: Settings) -> Iterator[Serving]:
    """The server, listening on 127.0.0.1, until the block ends."""
    app = create_app(settings)
    services: Services = app.state.services
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    worker = Worker(services)
    threads = [threading.Thread(target=server.run), threading.Thread(target=worker.run)]
    for thread in threads:
        thread.start()
    try:
        until = time.monotonic() + 60
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        base = f"http://127.0.0.1:{port}/fhir"
        with httpx.Client(base_url=base, timeout=120) as client:
            yield Serving(base, client, services)
    finally:
        worker.stopping.set()
        server.should_exit = True
        for thread in threads:
            thread.join()
