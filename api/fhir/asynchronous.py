"""Answers that take their time: queue, wait or poll (FHIR asynchronous pattern with a result Bundle)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import FhirResponse
from measurewise.api.fhir.outcomes import STATUS, RequestError
from measurewise.api.jobs.kind import Requester, encoded
from measurewise.api.security.gate import principal as principal_of
from measurewise.api.services.context import Services
from measurewise.store import jobs
from measurewise.store.access import Access
from measurewise.store.jobs import Job

PATH: Final = "/_jobs"
_RETRY_SECONDS: Final = 1
_LONGEST_WAIT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Queued(Reply):
    """A reply that is being made by a job."""

    job: str = ""


def queue(call: Call, kind: str, request: Any, *, touched: tuple[str, ...] = ()) -> Queued:
    """Queue a job that sees what the call may see, and nothing more."""
    access = call.access
    requester = Requester(
        call.principal.subject,
        call.principal.client_id,
        None if access.organizations is None else tuple(sorted(access.organizations)),
        access.patient,
        call.request_id,
        call.base,
    )
    with call.services.database.write() as connection:
        identity = jobs.submit(connection, call.home, kind, encoded(request), encoded(requester))
    return Queued(None, 202, touched=touched, job=identity)


def accepted(base: str, identity: str) -> Response:
    """202, and where to ask how far it is."""
    return FhirResponse(None, status_code=202, headers={"Content-Location": f"{base}{PATH}/{identity}"})


async def waited_for(services: Services, access: Access, identity: str) -> Reply:
    """The result of a job, waited for. Raises RequestError where it takes longer than is waited."""
    pause, until = 0.01, time.monotonic() + services.settings.wait_seconds
    while time.monotonic() < until:
        job = await run_in_threadpool(_read, services, access, identity)
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

    @found.get(PATH + "/{identity}", summary="How far a job is, or its result")
    async def status(request: Request, identity: str) -> Response:
        services: Services = request.app.state.services
        access = (await principal_of(request)).access
        job = await run_in_threadpool(_read, services, access, identity)
        if not job.ended:
            headers = {"X-Progress": progress(job), "Retry-After": str(_RETRY_SECONDS)}
            return FhirResponse(None, status_code=202, headers=headers)
        reply = _result(job)
        if job.state != "completed":
            return FhirResponse(reply.resource, status_code=reply.status)
        response = {"status": str(reply.status)}
        body = msgspec.Raw(job.result or b"null")
        bundle = {
            "resourceType": "Bundle",
            "type": "batch-response",
            "entry": [{"resource": body, "response": response}],
        }
        return FhirResponse(bundle)

    @found.delete(PATH + "/{identity}", summary="Cancel a job, or forget its result")
    async def cancel(request: Request, identity: str) -> Response:
        services: Services = request.app.state.services
        access = (await principal_of(request)).access
        await run_in_threadpool(_cancel, services, access, identity)
        return FhirResponse(None, status_code=202)

    return found


def progress(job: Job) -> str:
    """A job's progress in a few words (at most 100 characters, as the pattern asks)."""
    if job.total:
        return f"{job.progress[:60]}: {job.done} of {job.total} ({100 * job.done // job.total} %)"
    return job.progress[:100]


def _read(services: Services, access: Access, identity: str) -> Job:
    with services.database.read() as connection:
        return jobs.read(connection, access, identity)


def _cancel(services: Services, access: Access, identity: str) -> None:
    with services.database.write() as connection:
        jobs.cancel(connection, access, identity)


def _result(job: Job) -> Reply:
    """What a job that has ended came to. Raises RequestError for one that was cancelled or gave up."""
    if job.state == "completed":
        return Reply(job.result)
    if job.state == "cancelled":
        raise RequestError("the job was cancelled.", code="not-found", mend="Ask for it anew.")
    if job.result is None:
        raise RequestError(f"the job failed: {job.progress}.", code="exception", status=500)
    issues = msgspec.json.decode(job.result).get("issue") or [{}]
    return Reply(job.result, STATUS.get(issues[0].get("code", ""), 500))
