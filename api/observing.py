"""How the server is watched: request ids, structured logs, health, readiness and Prometheus metrics."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from datetime import UTC
from typing import Final

import structlog
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from measurewise.engine.errors import MeasurewiseError
from measurewise.store.database import now
from measurewise.store.tables import job_steps, jobs

REQUEST_ID: Final = "x-request-id"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._\-]{1,64}")

_requests: Final = Counter("measurewise_requests_total", "Requests answered.", ["method", "route", "status"])
_seconds: Final = Histogram(
    "measurewise_request_seconds",
    "Time to answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
_jobs: Final = Gauge("measurewise_jobs", "Jobs in the store.", ["kind", "state"])
_oldest: Final = Gauge(
    "measurewise_oldest_job_seconds", "How long the oldest job that has not ended has been there.", ["state"]
)
_steps: Final = Gauge("measurewise_job_steps", "Steps of jobs that have not ended.", ["state"])

_log = structlog.stdlib.get_logger("measurewise.request")


class Observed:
    """Gives each request an id (the client's, where it sends a sound one), and counts, times and logs it.

    The log names route templates, never addresses: those may hold a patient's name.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((v.decode("latin-1") for k, v in scope["headers"] if k == REQUEST_ID.encode()), "")
        request_id = given if _GIVEN_ID.fullmatch(given) else str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (REQUEST_ID.encode(), request_id.encode())]
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, told)
        except Exception:
            _log.exception("request failed", method=_method(scope), route=_route(scope))
            raise
        finally:
            elapsed = time.perf_counter() - started
            method, route = _method(scope), _route(scope)
            _requests.labels(method, route, status).inc()
            _seconds.labels(method, route).observe(elapsed)
            _log.info(
                "request",
                method=method,
                route=route,
                status=status,
                milliseconds=round(elapsed * 1000, 1),
            )
            structlog.contextvars.unbind_contextvars("request_id")


def observing_router() -> APIRouter:
    """``/health`` (the process answers), ``/ready`` (the store does too) and ``/metrics``."""
    found = APIRouter(tags=["Service"])

    @found.get("/health", summary="Whether the process answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @found.get("/ready", summary="Whether requests can be served")
    async def ready(request: Request) -> Response:
        try:
            await run_in_threadpool(request.app.state.services.database.check)
        except MeasurewiseError as error:
            return JSONResponse({"status": "unavailable", "reason": error.what}, status_code=503)
        return JSONResponse({"status": "ready"})

    @found.get("/metrics", summary="Prometheus metrics")
    async def metrics(request: Request) -> Response:
        await run_in_threadpool(_count_jobs, request)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return found


def configure_logs(*, as_json: bool, level: int = logging.INFO) -> None:
    """Logs as lines of JSON, or readable ones for a person at a terminal."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # These log whole addresses, which may name a patient.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True


def _method(scope: Scope) -> str:
    """The method, where it is one that there is: a client may write anything in its place."""
    method = str(scope["method"])
    return method if method in _METHODS else "(other)"


def _route(scope: Scope) -> str:
    route = scope.get("route")
    return str(getattr(route, "path", "(none)"))


def _count_jobs(request: Request) -> None:
    """Jobs as the store has them: the workers are other processes, which share nothing else with this one."""
    with request.app.state.services.database.read() as connection:
        query = select(jobs.c.kind, jobs.c.state, func.count(), func.min(jobs.c.created))
        found = connection.execute(query.group_by(jobs.c.kind, jobs.c.state)).all()
        query = select(job_steps.c.state, func.count()).where(job_steps.c.state != "done")
        steps = connection.execute(query.group_by(job_steps.c.state)).all()
    moment = now()
    ages = {"queued": 0.0, "running": 0.0}
    _jobs.clear()
    for kind, state, count, since in found:
        _jobs.labels(kind, state).set(count)
        if state in ages:
            created = since.replace(tzinfo=UTC) if since.tzinfo is None else since
            ages[state] = max(ages[state], (moment - created).total_seconds())
    for state, age in ages.items():
        _oldest.labels(state).set(age)
    counted = {"waiting": 0, "claimed": 0}
    counted.update((state, count) for state, count in steps)
    for state, count in counted.items():
        _steps.labels(state).set(count)
