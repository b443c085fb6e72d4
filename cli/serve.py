"""``measurewise serve`` and ``measurewise worker``: the FHIR server, and what does its long work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from typing import Annotated

from cyclopts import Parameter


def serve(
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on (MEASUREWISE_HOST).")] = None,
    port: Annotated[int | None, Parameter(help="Port to listen on (MEASUREWISE_PORT).")] = None,
    workers: Annotated[
        int | None, Parameter(help="Worker processes to start beside it (MEASUREWISE_WORKERS).")
    ] = None,
) -> int:
    """Serve the FHIR API, with worker processes for long work beside it; settings come from MEASUREWISE_*.

    Ends on SIGINT or SIGTERM; jobs that are under way go on at the next start.
    """
    import uvicorn

    from measurewise.api.app import create_app
    from measurewise.api.observing import configure_logs
    from measurewise.api.security.settings import allowed_bind
    from measurewise.api.settings import Settings

    given = {"host": host, "port": port, "workers": workers}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    configure_logs(as_json=not sys.stderr.isatty())
    allowed_bind(settings.host, settings.security)
    app = create_app(settings)
    # The server lets a signal take its course when it has closed; the workers must still be told.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    started = [_start(number) for number in range(settings.workers)]
    print(f"Measurewise serves http://{settings.host}:{settings.port}/fhir", file=sys.stderr)
    try:
        uvicorn.run(app, host=settings.host, port=settings.port, log_config=None, access_log=False)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.join(timeout=30)
    return 0


def worker() -> int:
    """Do the long work of a server's jobs, in this process, until SIGINT or SIGTERM."""
    from measurewise.api.jobs.worker import run_worker
    from measurewise.api.observing import configure_logs
    from measurewise.api.settings import Settings

    configure_logs(as_json=not sys.stderr.isatty())
    run_worker(Settings())
    return 0


def _start(number: int) -> multiprocessing.process.BaseProcess:
    # A fresh interpreter: the server's threads and connections must not be copied into it.
    process = multiprocessing.get_context("spawn").Process(target=_work, name=f"measurewise-worker-{number}")
    process.start()
    return process


def _work() -> None:
    # The web process has the right of way.
    os.nice(5)
    _follow_parent()
    worker()


def _follow_parent() -> None:
    """End with the server, however it ends: a worker without it would go on unseen."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
