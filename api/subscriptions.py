"""Where sources send the notifications of their subscriptions: ``/fhir/$subscription-hook/{source}``.

A notification is believed only as a hint: whatever resources it holds, the patients are read from the source
itself. It comes with the source's secret (``Authorization: Bearer``, a header that the Subscription's channel
carries), and queues a job, so that the source never waits.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from measurewise.api.fhir import media
from measurewise.api.fhir.audit_trail import Asking, AuditTrail
from measurewise.api.fhir.bodies import body_of
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.responding import base_url, respond
from measurewise.api.jobs.syncing import queue_sync
from measurewise.api.security.errors import SignInError
from measurewise.api.security.principal import Principal
from measurewise.api.security.scopes import Scopes
from measurewise.api.services.context import Services
from measurewise.api.services.sources import proves
from measurewise.api.services.sync import SyncRequest
from measurewise.fhir_server_adapter.notifications import Notification, read_notification, read_rest_hook
from measurewise.store import sources
from measurewise.store.access import OPERATOR, Access
from measurewise.store.database import now
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.sources import Source

PATH: Final = "/$subscription-hook/{source}"
_TAGS: Final = ["Sources"]
_NAME: Final = "$subscription-hook"
_BROKEN: Final = frozenset({"error", "off"})
_RECEIVED: Final = {"resourceType": "Bundle", "type": "transaction-response"}
"""The answer to a Bundle: the backport asks for the status alone, but HAPI sends it again and again until a
Bundle comes back."""


def subscription_router() -> APIRouter:
    """The endpoint of topic-based notifications and of R4's own REST hook, which adds type and id."""
    found = APIRouter(tags=list(_TAGS))

    @found.post(PATH, summary="A notification of a source's subscription")
    async def notified(request: Request, source: str) -> Response:
        known = await _proven(request, source)
        body = await body_of(request)

        def work(call: Call) -> Reply:
            if not body.strip():
                _taken(call.services, known, Notification("event-notification"))
                return Reply(None, 200)
            _taken(call.services, known, read_notification(media.parse_body(body)))
            return Reply(dict(_RECEIVED), 200)

        return await respond(request, "operation", None, work, operation=_NAME)

    @found.put(f"{PATH}/{{resource_type}}/{{identity}}", summary="A resource that changed (R4 REST hook)")
    @found.post(f"{PATH}/{{resource_type}}/{{identity}}", summary="A resource that changed (R4 REST hook)")
    @found.delete(f"{PATH}/{{resource_type}}/{{identity}}", summary="A resource that is gone (R4 REST hook)")
    async def sent(request: Request, source: str, resource_type: str, identity: str) -> Response:
        known = await _proven(request, source)
        body = await body_of(request) if request.method != "DELETE" else b""

        def work(call: Call) -> Reply:
            resource: Any = media.parse_body(body) if body.strip() else None
            path = f"{resource_type}/{identity}"
            _taken(call.services, known, read_rest_hook(request.method, path, resource))
            return Reply(None, 200)

        return await respond(request, "operation", None, work, operation=_NAME)

    return found


async def _proven(request: Request, identity: str) -> Source:
    """The source of a name, if it is the one that asks. Raises SignInError, the same whatever is wrong."""
    media.check_address(request.url.path, request.url.query)
    services: Services = request.app.state.services
    scheme, _, given = request.headers.get("authorization", "").partition(" ")

    def known() -> Source | None:
        try:
            with services.database.read() as connection:
                return sources.read(connection, OPERATOR, identity)
        except NoSuchResourceError:
            return None

    secret = given.strip() if scheme.lower() == "bearer" else None
    source = await run_in_threadpool(known)
    if source is None or not proves(services.settings, identity, secret):
        error = SignInError(
            "this is not the secret of a source.",
            where="http.Authorization",
            mend="Send the hook secret of the source as a bearer token.",
            code="login",
        )
        trail: AuditTrail = request.app.state.audit
        await run_in_threadpool(trail.refused, None, _asking(request), error)
        raise error
    access = Access(frozenset({source.organization}))
    request.state.principal = Principal(f"source:{source.id}", "subscription", Scopes(), access)
    return source


def _asking(request: Request) -> Asking:
    return Asking(
        "operation",
        f"{request.method} {request.url.path}",
        getattr(request.state, "request_id", ""),
        base_url(request),
        request.client.host if request.client is not None else None,
        operation=_NAME,
    )


def _taken(services: Services, source: Source, told: Notification) -> None:
    """Queue what a notification asks for; a handshake and a heartbeat that missed nothing ask for nothing."""
    moment = now()
    with services.database.write() as connection:
        known = sources.read(connection, OPERATOR, source.id)
        sources.note_heard(connection, source.id, moment)
        if told.status in _BROKEN and known.settings.subscribe != "no":
            sources.look_at(connection, source.id, moment)
        if told.kind == "handshake":
            # the numbers begin (again) here
            sources.number_anew(connection, source.id, told.last_event or 0)
            return
        lost = told.missed(known.last_event or 0)
        if told.last_event is not None:
            sources.note_event(connection, source.id, told.last_event)
        if told.kind == "event-notification" or lost or told.status in _BROKEN:
            queue_sync(connection, source, _wanted(known, told, lost=lost))


def _wanted(source: Source, told: Notification, *, lost: bool) -> SyncRequest:
    """Just whom the notification names, unless it names nobody or others were lost before."""
    owned = tuple(sorted(told.patients))
    references = tuple(sorted(told.changed | told.deleted))
    if source.synced is None or told.status in _BROKEN:
        return SyncRequest(source.id)
    subscription = (told.subscription or "").removeprefix("Subscription/")
    ours = any(one.id == subscription for one in source.subscriptions.held)
    if lost and ours and told.last_event is not None:
        first = (source.last_event or 0) + 1
        return SyncRequest(
            source.id, subscription=subscription, first_event=first, last_event=told.last_event
        )
    if lost or not (owned or references):
        return SyncRequest(source.id)
    return SyncRequest(source.id, patients=owned, references=references)
