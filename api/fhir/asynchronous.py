"""Answers that take their time: queue, wait or poll (FHIR asynchronous pattern with a result Bundle)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from measurewise.api.fhir.audit_trail import Asking, AuditTrail
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import FHIR_JSON, FhirResponse
from measurewise.api.fhir.outcomes import STATUS, RequestError
from measurewise.api.fhir.sending import sent
from measurewise.api.jobs import kinds
from measurewise.api.jobs.kind import Requester, encoded, requester_of
from measurewise.api.security.gate import principal as principal_of
from measurewise.api.security.principal import Principal
from measurewise.api.services.context import Services
from measurewise.store import jobs
from measurewise.store.database import now
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.jobs import Job

PATH: Final = "/_jobs"
_RETRY_SECONDS: Final = 1
_LONGEST_WAIT: Final = 0.5
_RESULTS: Final[Any] = {200: {"content": {FHIR_JSON: {}, "application/json": {}, "text/csv": {}}}}


@dataclass(frozen=True, slots=True)
class Queued(Reply):
    """A reply that is being made by a job; ``always`` later, where the client does not ask for that too."""

    job: str = ""
    always: bool = False


def queue(
    call: Call,
    kind: str,
    request: Any,
    *,
    touched: tuple[str, ...] = (),
    always: bool = False,
    operation: str | None = None,
) -> Queued:
    """Queue a job that sees what the call may see, and nothing more.

    ``operation`` is the name for the audit trail, where the address does not end with it.
    """
    access = call.access
    requester = Requester(
        call.principal.subject,
        call.principal.client_id,
        None if access.organizations is None else tuple(sorted(access.organizations)),
        access.patient,
        call.request_id,
        call.base,
        call.url,
        operation or _operation(call),
        call.principal.name,
        call.principal.issuer,
        call.principal.token_id,
    )
    with call.services.database.write() as connection:
        identity = jobs.submit(connection, call.home, kind, encoded(request), encoded(requester))
    return Queued(None, 202, touched=touched, job=identity, always=always)


def _operation(call: Call) -> str:
    """The operation that was asked for, such as ``Measure/$evaluate``, by the address and its type."""
    name = urlsplit(call.url).path.rpartition("/")[2]
    return f"{call.target[0]}/{name}" if call.target[0] else name


def accepted(base: str, identity: str) -> Response:
    """202, and where to ask how far it is."""
    return FhirResponse(None, status_code=202, headers={"Content-Location": f"{base}{PATH}/{identity}"})


async def waited_for(services: Services, principal: Principal, identity: str) -> Reply:
    """The result of a job, waited for. Raises RequestError where it takes longer than is waited."""
    pause, until = 0.01, time.monotonic() + services.settings.wait_seconds
    while time.monotonic() < until:
        job = await run_in_threadpool(read_job, services, principal, identity)
        if job.ended:
            return _result(job)
        await asyncio.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_WAIT)
    raise RequestError(
        "this takes longer than the server waits.", code="timeout", mend="Ask with Prefer: respond-async."
    )


def job_router() -> APIRouter:
    """How far a job is, its result, and its end."""
    found = APIRouter(tags=["Jobs"])

    @found.get(PATH + "/{identity}", summary="How far a job is, or its result", responses=_RESULTS)
    async def status(request: Request, identity: str) -> Response:
        services: Services = request.app.state.services
        principal = await principal_of(request)
        job = await run_in_threadpool(read_job, services, principal, identity)
        if not job.ended:
            headers = {"X-Progress": progress(job), "Retry-After": str(_RETRY_SECONDS)}
            return FhirResponse(None, status_code=202, headers=headers)
        reply = _result(job)
        # Whose data are in it the job wrote down itself.
        await run_in_threadpool(_write_down, request, principal, job, reply.status)
        if job.state != "completed":
            return FhirResponse(reply.resource, status_code=reply.status)
        if kinds.named(job.kind).answer == "itself":
            return await sent(request, _itself(services, job))
        response = {"status": str(reply.status)}
        body = msgspec.Raw(job.result or b"null")
        bundle = {
            "resourceType": "Bundle",
            "type": "batch-response",
            "entry": [{"resource": body, "response": response}],
        }
        return await sent(request, FhirResponse(bundle))

    @found.delete(PATH + "/{identity}", summary="Cancel a job, or forget its result")
    async def cancel(request: Request, identity: str) -> Response:
        services: Services = request.app.state.services
        principal = await principal_of(request)
        job = await run_in_threadpool(_cancel, services, principal, identity)
        await run_in_threadpool(_write_down, request, principal, job, 202)
        return FhirResponse(None, status_code=202)

    return found


def _itself(services: Services, job: Job) -> Response:
    """The result without a Bundle around it, and until when it is there."""
    until = _until(services, job)
    headers = {} if until is None else {"Expires": format_datetime(until, usegmt=True)}
    return FhirResponse(job.result, headers=headers, media_type=kinds.named(job.kind).media_type(job))


def progress(job: Job) -> str:
    """A job's progress in a few words (at most 100 characters, as the pattern asks)."""
    if job.total:
        return f"{job.progress[:60]}: {job.done} of {job.total} ({100 * job.done // job.total} %)"
    return job.progress[:100]


def read_job(services: Services, principal: Principal, identity: str) -> Job:
    """A job, for whoever asked for it: its result holds what their scopes allowed, not somebody else's."""
    with services.database.read() as connection:
        job = jobs.read(connection, principal.access, identity)
    requester = requester_of(job)
    if not principal.operator and (requester.subject, requester.client_id) != (
        principal.subject,
        principal.client_id,
    ):
        raise NoSuchResourceError(f"there is no job {identity}.", mend="Ask for it anew.")
    until = _until(services, job)
    if until is not None and until <= now():
        raise NoSuchResourceError(f"the result of the job {identity} has expired.", mend="Ask for it anew.")
    return job


def _until(services: Services, job: Job) -> datetime | None:
    """When the result of a job that has ended is given up, if ever."""
    expires = kinds.named(job.kind).expires
    if expires is None or job.finished is None:
        return None
    # SQLite keeps no zones, PostgreSQL gives its own.
    aware = job.finished if job.finished.tzinfo is not None else job.finished.replace(tzinfo=UTC)
    finished = aware.astimezone(UTC)
    return finished + timedelta(seconds=expires(services))


def _cancel(services: Services, principal: Principal, identity: str) -> Job:
    job = read_job(services, principal, identity)
    with services.database.write() as connection:
        jobs.cancel(connection, principal.access, identity)
    kinds.named(job.kind).forget(services, identity)
    return job


def _write_down(request: Request, principal: Principal, job: Job, status: int) -> None:
    """The audit record of a result that is handed out, or of a job's end."""
    requester = requester_of(job)
    asking = Asking(
        "operation",
        f"{request.method} {request.url.path}",
        getattr(request.state, "request_id", ""),
        requester.base,
        request.client.host if request.client is not None else None,
        operation=requester.operation or job.kind,
    )
    trail: AuditTrail = request.app.state.audit
    trail.done(principal, asking, status)


def _result(job: Job) -> Reply:
    """What a job that has ended came to. Raises RequestError for one that was cancelled or gave up."""
    if job.state == "completed":
        kind = kinds.named(job.kind)
        return Reply(job.result, media_type=kind.media_type(job) if kind.answer == "itself" else None)
    if job.state == "cancelled":
        raise RequestError("the job was cancelled.", code="not-found", mend="Ask for it anew.")
    if job.result is None:
        raise RequestError(f"the job failed: {job.progress}.", code="exception", status=500)
    issues = msgspec.json.decode(job.result).get("issue") or [{}]
    return Reply(job.result, STATUS.get(issues[0].get("code", ""), 500))
