"""``measurewise serve`` and ``measurewise worker``: the FHIR server, and what does its long work."""

from __future__ import annotations

import signal
import sys
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
    from measurewise.api.jobs.processes import WorkerProcesses
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
    processes = WorkerProcesses(settings.workers, worker)
    print(f"Measurewise serves http://{settings.host}:{settings.port}/fhir", file=sys.stderr)
    try:
        uvicorn.run(app, host=settings.host, port=settings.port, log_config=None, access_log=False)
    finally:
        processes.end()
    return 0


def worker() -> int:
    """Do the long work of a server's jobs, in this process, until SIGINT or SIGTERM."""
    from measurewise.api.jobs.worker import run_worker
    from measurewise.api.observing import configure_logs
    from measurewise.api.settings import Settings

    configure_logs(as_json=not sys.stderr.isatty())
    run_worker(Settings())
    return 0
