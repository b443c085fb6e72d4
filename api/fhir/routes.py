"""The addresses below ``/fhir``: each turns a request into a Call, and its Reply into a response."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from measurewise.api.audit import Interaction
from measurewise.api.fhir import asynchronous, bundles, export_files, interactions, media
from measurewise.api.fhir.arguments import Arguments, Declared, from_query, from_resource
from measurewise.api.fhir.audit_trail import Asking, AuditTrail
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import FhirResponse
from measurewise.api.fhir.metadata import capability_statement, operation_definition
from measurewise.api.fhir.operation import LINES, Level, Operation
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.fhir.validation import validated
from measurewise.api.security.gate import principal as principal_of
from measurewise.api.services.context import Services
from measurewise.api.settings import Settings
from measurewise.engine.errors import MeasurewiseError

_QUERY_TYPES: Final = {
    "boolean": "boolean", "integer": "integer", "positiveInt": "integer", "decimal": "number",
}  # fmt: skip
_TAG_RESOURCES: Final = "Resources"
Work = Callable[[Call], Reply]


def router(operations: Iterable[Operation]) -> APIRouter:
    """All routes below the FHIR base."""
    found = APIRouter()
    offered = tuple(operations)
    _service_routes(found, offered)
    behind_the_gate = APIRouter(dependencies=[Depends(admitted)])
    behind_the_gate.include_router(asynchronous.job_router())
    _bundle_route(found)
    _export_file_route(found)
    for operation in offered:
        _operation_routes(behind_the_gate, operation)
    _resource_routes(behind_the_gate)
    found.include_router(behind_the_gate)
    return found


def _service_routes(found: APIRouter, operations: Sequence[Operation]) -> None:
    @found.get("/metadata", tags=["Service"], summary="CapabilityStatement")
    async def metadata(request: Request) -> Response:
        media.check_accepted(request.headers.get("accept"), request.query_params.get("_format"))
        return FhirResponse(capability_statement(request.app.state.services, base_url(request), operations))

    @found.get("/OperationDefinition/{identity}", tags=["Service"], summary="What an operation takes")
    async def definition(request: Request, identity: str) -> Response:
        for operation in operations:
            if operation.id == identity:
                return FhirResponse(operation_definition(operation, base_url(request)))
        raise RequestError(f"there is no OperationDefinition/{identity}.", code="not-found")


def _bundle_route(found: APIRouter) -> None:
    let_in = [Depends(admitted)]

    @found.post("", tags=["Service"], summary="Batch or transaction", dependencies=let_in)
    @found.post("/", include_in_schema=False, dependencies=let_in)
    async def bundle(request: Request) -> Response:
        body = media.parse_body(await body_of(request))
        kind: Interaction = "batch" if body.get("type") == "batch" else "transaction"
        return await respond(request, kind, None, lambda call: bundles.process(call, body))


def _export_file_route(found: APIRouter) -> None:
    let_in = [Depends(admitted_to_files)]

    @found.get(export_files.PATH, tags=["Jobs"], summary="A file of an export", dependencies=let_in)
    async def exported(request: Request, job: str, name: str) -> Response:
        def work(call: Call) -> Reply:
            return export_files.export_file_reply(call, job, name)

        return await respond(request, "operation", None, work, operation="$export")


def _operation_routes(found: APIRouter, operation: Operation) -> None:
    for level, path in operation.paths():
        endpoint = _operation_endpoint(operation, level)
        described: dict[str, Any] = {
            "summary": operation.title,
            "tags": [operation.resource_type or "System"],
            "openapi_extra": _documented(operation, level),
        }
        if operation.produces:
            described["responses"] = {200: {"content": {operation.produces: {}, media.FHIR_JSON: {}}}}
        found.add_api_route(path, endpoint, methods=["POST"], name=f"{operation.id} {level}", **described)
        if not operation.affects_state:
            extra = {**described, "openapi_extra": _documented(operation, level, query=True)}
            found.add_api_route(path, endpoint, methods=["GET"], name=f"{operation.id} {level} get", **extra)


def _operation_endpoint(operation: Operation, level: Level) -> Callable[..., Any]:
    async def endpoint(request: Request) -> Response:
        identity = request.path_params.get("identity")
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        if request.method == "GET":
            arguments = from_query(operation.parameters, pairs, operation.name)
        elif operation.takes_lines and media.is_lines(request.headers):
            arguments = from_query(_optional(operation.parameters), pairs, operation.name)
            (await principal_of(request)).permit_operation(operation.needs_for(arguments))
            arguments = Arguments({**arguments.values, LINES: [await received(request, ".ndjson")]})
        else:
            body = await body_of(request)
            arguments = _posted(operation, body, pairs)

        def work(call: Call) -> Reply:
            permitted = replace(
                call,
                principal=call.principal.permit_operation(operation.needs_for(arguments)),
                target=(operation.resource_type, identity),
                arguments=arguments,
            )
            return operation.handler(permitted)

        response = await respond(
            request, "operation", operation.resource_type, work, identity, operation.name
        )
        return media.content_of_binary(response, request, operation.produces)

    return endpoint


def _posted(operation: Operation, body: bytes, pairs: Sequence[tuple[str, str]]) -> Arguments:
    """The arguments of a POST: those of the body and of the URL together."""
    given = from_query(_optional(operation.parameters), pairs, operation.name)
    if not body.strip():
        return from_query(operation.parameters, pairs, operation.name)
    resource = media.parse_body(body)
    sent = from_resource(
        _optional(operation.parameters) if pairs else operation.parameters, resource, operation.name
    )
    if not pairs:
        return sent
    twice = [name for name in given.values if name in sent and given.all(name) != sent.all(name)]
    if twice:
        raise RequestError(f"the parameter '{min(twice)}' is not the same in the address and in the body.")
    together = Arguments({**given.values, **sent.values})
    for parameter in operation.parameters:
        if parameter.minimum and parameter.name not in together:
            return from_resource(operation.parameters, resource, operation.name)
    return together


def _optional(parameters: Iterable[Declared]) -> list[Declared]:
    return [replace(parameter, minimum=0) for parameter in parameters]


def _resource_routes(found: APIRouter) -> None:
    @found.post("/{resource_type}/_search", tags=[_TAG_RESOURCES], summary="Search by form")
    async def search_by_form(request: Request, resource_type: str) -> Response:
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        form = ""
        if media.is_form(request.headers):
            form = (await body_of(request)).decode("utf-8", "replace")
            pairs += parse_qsl(form, keep_blank_values=True)
        return await _found(request, resource_type, pairs, form)

    @found.get("/{resource_type}", tags=[_TAG_RESOURCES], summary="Search")
    async def search(request: Request, resource_type: str) -> Response:
        return await _found(request, resource_type, parse_qsl(request.url.query, keep_blank_values=True))

    @found.post("/{resource_type}/$validate", tags=[_TAG_RESOURCES], summary="Check a resource")
    @found.post("/{resource_type}/{identity}/$validate", tags=[_TAG_RESOURCES], summary="Check a resource")
    async def validate(request: Request, resource_type: str) -> Response:
        body = media.parse_body(await body_of(request))

        def work(call: Call) -> Reply:
            call.permitted(resource_type, "r")
            return Reply(validated(resource_type, body))

        return await respond(
            request, "operation", resource_type, work, operation=f"{resource_type}/$validate"
        )

    @found.post("/{resource_type}", tags=[_TAG_RESOURCES], summary="Create")
    async def create(request: Request, resource_type: str) -> Response:
        body = media.parse_body(await body_of(request))
        condition = request.headers.get("if-none-exist")

        def work(call: Call) -> Reply:
            permitted = call.permitted(resource_type, "c")
            with call.services.database.write() as connection:
                return interactions.create(permitted, connection, resource_type, body, condition)

        return await respond(request, "create", resource_type, work)

    @found.put("/{resource_type}", tags=[_TAG_RESOURCES], summary="Conditional update")
    async def update_conditionally(request: Request, resource_type: str) -> Response:
        body = media.parse_body(await body_of(request))
        query = request.url.query

        def work(call: Call) -> Reply:
            permitted = call.permitted(resource_type, "u")
            with call.services.database.write() as connection:
                return interactions.update_conditionally(permitted, connection, resource_type, query, body)

        return await respond(request, "update", resource_type, work)

    @found.get("/{resource_type}/{identity}", tags=[_TAG_RESOURCES], summary="Read")
    async def read(request: Request, resource_type: str, identity: str) -> Response:
        if identity.startswith("$"):
            raise RequestError(
                f"there is no operation {resource_type}/{identity} for GET.", code="not-supported", status=404
            )
        return await respond(
            request, "read", resource_type, _reading(interactions.read, resource_type, identity), identity
        )

    @found.put("/{resource_type}/{identity}", tags=[_TAG_RESOURCES], summary="Update")
    async def update(request: Request, resource_type: str, identity: str) -> Response:
        body = media.parse_body(await body_of(request))
        if_match = request.headers.get("if-match")

        def work(call: Call) -> Reply:
            permitted = call.permitted(resource_type, "u")
            with call.services.database.write() as connection:
                return interactions.update(permitted, connection, resource_type, identity, body, if_match)

        return await respond(request, "update", resource_type, work, identity)

    @found.delete("/{resource_type}/{identity}", tags=[_TAG_RESOURCES], summary="Delete")
    async def delete(request: Request, resource_type: str, identity: str) -> Response:
        def work(call: Call) -> Reply:
            permitted = call.permitted(resource_type, "d")
            with call.services.database.write() as connection:
                return interactions.delete(permitted, connection, resource_type, identity)

        return await respond(request, "delete", resource_type, work, identity)

    @found.get("/{resource_type}/{identity}/_history", tags=[_TAG_RESOURCES], summary="Versions")
    async def history(request: Request, resource_type: str, identity: str) -> Response:
        work = _reading(interactions.history, resource_type, identity)
        return await respond(request, "history", resource_type, work, identity)

    @found.get("/{resource_type}/{identity}/_history/{version}", tags=[_TAG_RESOURCES], summary="Version")
    async def vread(request: Request, resource_type: str, identity: str, version: str) -> Response:
        work = _reading(interactions.vread, resource_type, identity, version)
        return await respond(request, "vread", resource_type, work, identity)


async def _found(
    request: Request, resource_type: str, pairs: Sequence[tuple[str, str]], form: str = ""
) -> Response:
    def work(call: Call) -> Reply:
        return interactions.find(call.permitted(resource_type, "s", restrictable=True), resource_type, pairs)

    return await respond(request, "search", resource_type, work, form=form)


def _reading(interaction: Callable[..., Reply], resource_type: str, *where: str) -> Work:
    return lambda call: interaction(
        call.permitted(resource_type, "r", restrictable=True), resource_type, *where
    )


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
) -> Response:
    """Who asks is checked, the work done in a thread, its audit record written, and its reply sent.

    ``form`` is the body of a search by form, which the record keeps with the address.
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
    return response_of(reply)


def response_of(reply: Reply) -> Response:
    """The response that says what a reply says."""
    if reply.file is not None:
        return FileResponse(reply.file, reply.status, dict(reply.headers), reply.media_type)
    return FhirResponse(
        reply.resource, status_code=reply.status, headers=dict(reply.headers), media_type=reply.media_type
    )


async def body_of(request: Request) -> bytes:
    """The body, if it is of a kind and size that are taken. Raises RequestError."""
    media.check_sent(request.headers.get("content-type"))
    most = request.app.state.services.settings.largest_body
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise RequestError(
                f"the body is larger than {most:,} bytes.", code="too-long",
                mend="Send less at once, or import it ($import).",
            )  # fmt: skip
        parts.append(part)
    return b"".join(parts)


async def received(request: Request, suffix: str) -> Path:
    """The body as a file in the data folder, which whoever asked for it removes. Raises RequestError."""
    settings: Settings = request.app.state.services.settings
    folder = settings.data_folder / "received"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{uuid.uuid4()}{suffix}"
    size = 0
    try:
        with file.open("wb") as out:
            async for part in request.stream():
                size += len(part)
                if size > settings.largest_body:
                    raise RequestError(
                        f"the body is larger than {settings.largest_body:,} bytes.", code="too-long",
                        mend="Send it in several parts.",
                    )  # fmt: skip
                out.write(part)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file


def base_url(request: Request) -> str:
    """The FHIR base as clients know it: as configured, or on an open development server as asked for."""
    security = request.app.state.services.settings.security
    if security.open:
        return f"{str(request.base_url).rstrip('/')}/fhir"
    return str(security.fhir_url)


def _documented(operation: Operation, level: Level, *, query: bool = False) -> dict[str, Any]:
    """What OpenAPI says of an operation."""
    parameters: list[dict[str, Any]] = []
    if level == "instance":
        parameters.append({"name": "identity", "in": "path", "required": True, "schema": {"type": "string"}})
    if not query:
        listed = "\n".join(
            f"* `{p.name}` ({p.kind}, {p.minimum}..{p.maximum or '*'}): {p.documentation}"
            for p in operation.parameters
        )
        example: dict[str, Any] = {"resourceType": "Parameters", "parameter": []}
        body = {"content": {media.FHIR_JSON: {"schema": {"type": "object"}, "example": example}}}
        return {"parameters": parameters, "requestBody": body, "description": listed}
    for parameter in operation.parameters:
        schema: dict[str, Any] = {"type": _QUERY_TYPES.get(parameter.kind, "string")}
        if parameter.codes:
            schema["enum"] = list(parameter.codes)
        if parameter.maximum != 1:
            schema = {"type": "array", "items": schema}
        parameters.append(
            {
                "name": parameter.name,
                "in": "query",
                "required": parameter.minimum > 0,
                "description": parameter.documentation,
                "schema": schema,
            }
        )
    return {"parameters": parameters}
