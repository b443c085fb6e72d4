"""The addresses of resources below ``/fhir`` (FHIR R4, 3.1.0): each turns a request into an interaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from starlette.responses import Response

from measurewise.api.fhir import interactions, media
from measurewise.api.fhir.bodies import body_of
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.histories import history
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.fhir.patching import check_kind, parse_patch
from measurewise.api.fhir.responding import Work, respond
from measurewise.api.fhir.searching import Pairs, find
from measurewise.api.fhir.validation import validated

_TAG: Final = "Resources"
_TYPE: Final = "/{resource_type}"
_ONE: Final = "/{resource_type}/{identity}"


def add_resource_routes(found: APIRouter) -> None:
    """Everything that is done with resources by type and id."""
    _history_routes(found)
    _search_routes(found)
    _validate_routes(found)
    _read_routes(found)
    _create_and_update_routes(found)
    _patch_and_delete_routes(found)


def offer(found: APIRouter, path: str, endpoint: Callable[..., Any], summary: str, tag: str = _TAG) -> None:
    """A route for GET, and for HEAD, which answers the same without the body."""
    found.add_api_route(path, endpoint, methods=["GET"], tags=[tag], summary=summary)
    found.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)


def _history_routes(found: APIRouter) -> None:
    async def of_everything(request: Request) -> Response:
        work = _history(None, None, _pairs(request))
        return await respond(request, "history", None, work)

    async def of_type(request: Request, resource_type: str) -> Response:
        work = _history(resource_type, None, _pairs(request))
        return await respond(request, "history", resource_type, work)

    async def of_one(request: Request, resource_type: str, identity: str) -> Response:
        work = _history(resource_type, identity, _pairs(request))
        return await respond(request, "history", resource_type, work, identity)

    offer(found, "/_history", of_everything, "Versions of everything")
    offer(found, f"{_TYPE}/_history", of_type, "Versions of a type")
    offer(found, f"{_ONE}/_history", of_one, "Versions of a resource")


def _search_routes(found: APIRouter) -> None:
    @found.post(f"{_TYPE}/_search", tags=[_TAG], summary="Search by form")
    async def search_by_form(request: Request, resource_type: str) -> Response:
        pairs = _pairs(request)
        form = ""
        if media.is_form(request.headers):
            form = (await body_of(request)).decode("utf-8", "replace")
            pairs += parse_qsl(form, keep_blank_values=True)
        return await _found(request, resource_type, pairs, form)

    async def search(request: Request, resource_type: str) -> Response:
        return await _found(request, resource_type, _pairs(request))

    offer(found, _TYPE, search, "Search")


def _validate_routes(found: APIRouter) -> None:
    @found.post(f"{_TYPE}/$validate", tags=[_TAG], summary="Check a resource")
    @found.post(f"{_ONE}/$validate", tags=[_TAG], summary="Check a resource")
    async def validate(request: Request, resource_type: str) -> Response:
        body = media.parse_body(await body_of(request))

        def work(call: Call) -> Reply:
            call.permitted(resource_type, "r")
            return Reply(validated(resource_type, body))

        return await respond(
            request, "operation", resource_type, work, operation=f"{resource_type}/$validate"
        )


def _read_routes(found: APIRouter) -> None:
    async def read(request: Request, resource_type: str, identity: str) -> Response:
        if identity.startswith("$"):
            raise RequestError(
                f"there is no operation {resource_type}/{identity} for GET.", code="not-supported", status=404
            )
        pairs = _pairs(request)

        def work(call: Call) -> Reply:
            permitted = call.permitted(resource_type, "r", restrictable=True)
            return interactions.read(permitted, resource_type, identity, pairs)

        return await respond(request, "read", resource_type, work, identity)

    async def vread(request: Request, resource_type: str, identity: str, version: str) -> Response:
        pairs = _pairs(request)

        def work(call: Call) -> Reply:
            permitted = call.permitted(resource_type, "r", restrictable=True)
            return interactions.vread(permitted, resource_type, identity, version, pairs)

        return await respond(request, "vread", resource_type, work, identity)

    offer(found, _ONE, read, "Read")
    offer(found, f"{_ONE}/_history/{{version}}", vread, "Version")


def _create_and_update_routes(found: APIRouter) -> None:
    @found.post(_TYPE, tags=[_TAG], summary="Create")
    async def create(request: Request, resource_type: str) -> Response:
        _check_plain(request)
        body = media.parse_body(await body_of(request))
        condition = request.headers.get("if-none-exist")

        def work(call: Call) -> Reply:
            permitted = call.permitted(resource_type, "c" if condition is None else "cs")
            with call.services.database.write() as connection:
                return interactions.create(permitted, connection, resource_type, body, condition)

        return await respond(request, "create", resource_type, work)

    @found.put(_TYPE, tags=[_TAG], summary="Conditional update")
    async def update_conditionally(request: Request, resource_type: str) -> Response:
        body = media.parse_body(await body_of(request))
        work = _changing(
            request, interactions.update_conditionally, resource_type, request.url.query, body, rights="us"
        )
        return await respond(request, "update", resource_type, work)

    @found.put(_ONE, tags=[_TAG], summary="Update")
    async def update(request: Request, resource_type: str, identity: str) -> Response:
        _check_plain(request)
        body = media.parse_body(await body_of(request))
        work = _changing(request, interactions.update, resource_type, identity, body, rights="u")
        return await respond(request, "update", resource_type, work, identity)


def _patch_and_delete_routes(found: APIRouter) -> None:
    @found.patch(_TYPE, tags=[_TAG], summary="Conditional patch")
    async def patch_conditionally(request: Request, resource_type: str) -> Response:
        patch = await _patch(request)
        work = _changing(
            request, interactions.patch_conditionally, resource_type, request.url.query, patch, rights="us"
        )
        return await respond(request, "patch", resource_type, work)

    @found.patch(_ONE, tags=[_TAG], summary="Patch")
    async def patch_one(request: Request, resource_type: str, identity: str) -> Response:
        _check_plain(request)
        patch = await _patch(request)
        work = _changing(request, interactions.patch, resource_type, identity, patch, rights="u")
        return await respond(request, "patch", resource_type, work, identity)

    @found.delete(_TYPE, tags=[_TAG], summary="Conditional delete")
    async def delete_conditionally(request: Request, resource_type: str) -> Response:
        work = _changing(
            request, interactions.delete_conditionally, resource_type, request.url.query, rights="ds"
        )
        return await respond(request, "delete", resource_type, work)

    @found.delete(_ONE, tags=[_TAG], summary="Delete")
    async def delete(request: Request, resource_type: str, identity: str) -> Response:
        _check_plain(request)
        work = _changing(request, interactions.delete, resource_type, identity, rights="d")
        return await respond(request, "delete", resource_type, work, identity)


def _check_plain(request: Request) -> None:
    """Raises RequestError for a parameter of a change to one resource, which has none to honour."""
    for name, _ in _pairs(request):
        if name not in ("_format", "_pretty"):
            raise RequestError(
                f"this has no parameter '{name}'.", code="not-supported", where=name, mend="Leave it out."
            )


async def _patch(request: Request) -> list[dict[str, Any]]:
    check_kind(request.headers.get("content-type"))
    return parse_patch(await body_of(request))


def _changing(
    request: Request, change: Callable[..., Reply], resource_type: str, *what: Any, rights: str
) -> Work:
    """A change in a transaction of its own, by who may do it, at the version that ``If-Match`` names."""
    if_match = request.headers.get("if-match")

    def work(call: Call) -> Reply:
        permitted = call.permitted(resource_type, rights)
        with call.services.database.write() as connection:
            return change(permitted, connection, resource_type, *what, if_match)

    return work


def _history(resource_type: str | None, identity: str | None, pairs: Pairs) -> Work:
    # What a granular scope's search finds is told by current versions alone: such a scope does not suffice.
    return lambda call: history(call.permitted(resource_type or "*", "r"), resource_type, identity, pairs)


async def _found(
    request: Request, resource_type: str, pairs: Sequence[tuple[str, str]], form: str = ""
) -> Response:
    def work(call: Call) -> Reply:
        return find(call.permitted(resource_type, "s", restrictable=True), resource_type, pairs)

    return await respond(request, "search", resource_type, work, form=form)


def _pairs(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.url.query, keep_blank_values=True)
