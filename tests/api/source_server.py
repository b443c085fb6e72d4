"""A server over real HTTP that counts what it is asked and fails where a test wants it to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import uvicorn

from measurewise.api.app import create_app
from measurewise.api.jobs.worker import Worker
from measurewise.api.settings import Settings
from measurewise.store.bulk_writing import write_many
from measurewise.synthetic import synthesize


class Watched:
    """An ASGI application with its requests noted; what names one of ``failing`` is answered with 500."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.asked: list[str] = []
        self.failing: set[str] = set()
        self.slow = 0.0
        self.services = app.state.services

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        body = b"".join(message.get("body", b"") for message in messages)
        text = f"{scope['method']} {scope['path']}?{scope['query_string'].decode()} {body.decode()}"
        self.asked.append(unquote_plus(text))
        if self.slow:
            time.sleep(self.slow)
        if any(identity in self.asked[-1] for identity in self.failing):
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        pending = iter(messages)

        async def again() -> Any:
            return next(pending, None) or await receive()

        await self._app(scope, again, send)

    def named(self, identities: list[str]) -> set[str]:
        """Which of some ids the requests name."""
        return {identity for identity in identities if any(identity in asked for asked in self.asked)}


@contextmanager
def source_server(
    folder: Path, patients: int, around: Callable[[Any], Any] = lambda app: app
) -> Iterator[tuple[str, Watched]]:
    """The FHIR base of a server with synthetic patients, and the watch over it; ``around`` may wrap that."""
    watched = Watched(create_app(Settings(data_folder=folder, _env_file=None)))  # type: ignore[call-arg]
    resources = [entry["resource"] for bundle in synthesize(patients, 1, 2026) for entry in bundle["entry"]]
    with watched.services.database.write() as connection:
        write_many(connection, "default", resources)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(around(watched), port=port, log_config=None, lifespan="off"))
    worker = Worker(watched.services)
    threads = [threading.Thread(target=server.run), threading.Thread(target=worker.run)]
    for thread in threads:
        thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/fhir", watched
    finally:
        server.should_exit = True
        worker.stopping.set()
        for thread in threads:
            thread.join()
