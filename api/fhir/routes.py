"""The addresses below ``/fhir``: each turns a request into a Call, and its Reply into a response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute

from measurewise.api.audit import Interaction
from measurewise.api.fhir import asynchronous, bundles, export_files, media
from measurewise.api.fhir.arguments import Arguments, Declared, from_query, from_resource
from measurewise.api.fhir.bodies import body_of, received
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import FhirResponse
from measurewise.api.fhir.metadata import capability_statement, operation_definition
from measurewise.api.fhir.operation import LINES, Level, Operation
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.fhir.resource_routes import add_resource_routes, offer
from measurewise.api.fhir.responding import admitted, admitted_to_files, base_url, respond
from measurewise.api.fhir.sending import sent
from measurewise.api.security.gate import principal as principal_of

_QUERY_TYPES: Final = {
    "boolean": "boolean", "integer": "integer", "positiveInt": "integer", "decimal": "number",
}  # fmt: skip


def router(operations: Iterable[Operation]) -> APIRouter:
    """All routes below the FHIR base."""
    found = APIRouter()
    offered = tuple(operations)
    _service_routes(found, offered)
    behind_the_gate = APIRouter(dependencies=[Depends(admitted)])
    jobs = asynchronous.job_router()
    behind_the_gate.include_router(jobs)
    _bundle_route(found)
    _export_file_route(found)
    for operation in offered:
        _operation_routes(behind_the_gate, operation)
    add_resource_routes(behind_the_gate)
    found.include_router(behind_the_gate)
    _options_routes(found, [*found.routes, *jobs.routes, *behind_the_gate.routes])
    return found


def _service_routes(found: APIRouter, operations: Sequence[Operation]) -> None:
    async def metadata(request: Request) -> Response:
        media.check_accepted(request.headers.get("accept"), request.query_params.get("_format"))
        statement = capability_statement(request.app.state.services, base_url(request), operations)
        return await sent(request, FhirResponse(statement))

    async def definition(request: Request, identity: str) -> Response:
        for operation in operations:
            if operation.id == identity:
                return await sent(request, FhirResponse(operation_definition(operation, base_url(request))))
        raise RequestError(f"there is no OperationDefinition/{identity}.", code="not-found")

    offer(found, "/metadata", metadata, "CapabilityStatement", "Service")
    offer(found, "/OperationDefinition/{identity}", definition, "What an operation takes", "Service")


def _options_routes(found: APIRouter, offered: Iterable[BaseRoute]) -> None:
    """OPTIONS on every address, whose ``Allow`` lists what is served there."""
    methods: dict[str, set[str]] = {}
    for route in offered:
        if isinstance(route, APIRoute):
            methods.setdefault(route.path, set()).update(route.methods or ())
    for path, served in methods.items():
        allow = {"Allow": ", ".join(sorted({*served, "OPTIONS"}))}
        found.add_api_route(path, _telling(allow), methods=["OPTIONS"], include_in_schema=False)


def _telling(headers: dict[str, str]) -> Callable[..., Any]:
    async def options() -> Response:
        return Response(status_code=204, headers=headers)

    return options


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

        return await respond(
            request, "operation", operation.resource_type, work, identity, operation.name,
            produces=operation.produces,
        )  # fmt: skip

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
