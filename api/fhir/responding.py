"""How every request is let in, written down and answered: the way around all the work of the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from measurewise.api.audit import Interaction
from measurewise.api.fhir import asynchronous, media
from measurewise.api.fhir.audit_trail import Asking, AuditTrail
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import FhirResponse
from measurewise.api.fhir.sending import sent
from measurewise.api.security.gate import principal as principal_of
from measurewise.api.services.context import Services
from measurewise.engine.errors import MeasurewiseError

Work = Callable[[Call], Reply]


async def admitted(request: Request) -> None:
    """Who asks is let in before anything of the request is looked at; who is not is written down."""
    await _admitted(request)


async def admitted_to_files(request: Request) -> None:
    """As ``admitted``, for an answer that is no FHIR JSON."""
    await _admitted(request, of_any_kind=True)


async def _admitted(request: Request, *, of_any_kind: bool = False) -> None:
    try:
        await principal_of(request)
        media.check_address(request.url.path, request.url.query)
        if not of_any_kind:
            media.check_accepted(
                request.headers.get("accept"), request.query_params.get("_format"), _produced(request)
            )
    except MeasurewiseError as error:
        path = request.url.path
        interaction: Interaction = "operation" if "$" in path or not path.startswith("/fhir") else "read"
        trail: AuditTrail = request.app.state.audit
        await run_in_threadpool(trail.refused, None, _asking(request, interaction), error)
        raise


def _produced(request: Request) -> frozenset[str]:
    """What the address gives besides FHIR JSON, as its route declares it."""
    responses = getattr(request.scope.get("route"), "responses", None) or {}
    return frozenset(responses.get(200, {}).get("content", ()))


def _asking(
    request: Request, interaction: Interaction, resource: str | None = None, operation: str | None = None
) -> Asking:
    return Asking(
        interaction,
        f"{request.method} {request.url.path}{f'?{request.url.query}' if request.url.query else ''}",
        getattr(request.state, "request_id", ""),
        base_url(request),
        request.client.host if request.client is not None else None,
        resource,
        operation,
    )


async def respond(
    request: Request,
    interaction: Interaction,
    resource_type: str | None,
    work: Work,
    identity: str | None = None,
    operation: str | None = None,
    form: str = "",
    produces: str | None = None,
) -> Response:
    """Who asks is checked, the work done in a thread, its audit record written, and its reply sent.

    ``form`` is the body of a search by form, which the record keeps with the address; ``produces`` the media
    type of what an operation gives besides FHIR JSON.
    """
    headers = request.headers
    services: Services = request.app.state.services
    trail: AuditTrail = request.app.state.audit
    base = base_url(request)
    asking = _asking(
        request,
        interaction,
        f"{resource_type}/{identity}" if resource_type and identity else None,
        operation,
    )
    address = asking.request.partition("/fhir")[2]
    if form:
        asking = replace(asking, request=f"{asking.request}\n{form}")
    principal = await principal_of(request)
    call = Call(
        services,
        principal,
        base,
        organization=headers.get("x-organization"),
        headers={name.lower(): value for name, value in headers.items()},
        request_id=asking.request_id,
        url=f"{base}{address}",
    )
    reply = await run_in_threadpool(trail.around, call, asking, work)
    if isinstance(reply, asynchronous.Queued):
        if call.asynchronous or reply.always:
            return asynchronous.accepted(base, reply.job)
        reply = await asynchronous.waited_for(services, principal, reply.job)
    return await sent(request, media.content_of_binary(response_of(reply), request, produces))


def response_of(reply: Reply) -> Response:
    """The response that says what a reply says."""
    if reply.file is not None:
        return FileResponse(reply.file, reply.status, dict(reply.headers), reply.media_type)
    return FhirResponse(
        reply.resource, status_code=reply.status, headers=dict(reply.headers), media_type=reply.media_type
    )


def base_url(request: Request) -> str:
    """The FHIR base as clients know it: as configured, or on an open development server as asked for."""
    security = request.app.state.services.settings.security
    if security.open:
        return f"{str(request.base_url).rstrip('/')}/fhir"
    return str(security.fhir_url)
