"""Subscriptions at a server: asked for, looked at, renewed, ended; and what they missed asked for.

R4's own, by criteria: https://hl7.org/fhir/R4/subscription.html. By topic: Subscriptions R4 Backport 1.1,
https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/components.html, with its operations ``$status`` and
``$events``. A Subscription is known by its criteria and its endpoint, which is this side's own address: so
that nothing is asked for twice, also after a crash between the asking and the noting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from measurewise.engine.measure.reports.edge import to_json
from measurewise.fhir_server_adapter.capabilities import Capabilities
from measurewise.fhir_server_adapter.client import FHIR_JSON, FhirClient, read_json
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.notifications import Notification, read_notification

Payload = Literal["empty", "id-only", "full-resource"]
_BACKPORT: Final = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
_HAPI_DELETIONS: Final = "http://hapifhir.io/fhir/StructureDefinition/subscription-send-delete-messages"
_GONE: Final = (404, 410)


@dataclass(frozen=True, slots=True)
class Topic:
    """What a topic-based Subscription asks for: ``filters`` such as ``Encounter?patient=Patient/1``, and a
    sign of life every ``heartbeat`` seconds, none for 0."""

    filters: tuple[str, ...] = ()
    payload: Payload = "id-only"
    heartbeat: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A Subscription as it should be at a server until ``end`` (an instant).

    ``criteria`` is a search (``Observation?``), or the canonical URL of a topic. Without ``payload`` a hook
    by criteria is called without a resource. ``deletions`` asks HAPI to tell of them, which R4 does not
    foresee.
    """

    criteria: str
    endpoint: str
    secret: str = field(repr=False)
    end: str
    topic: Topic | None = None
    payload: bool = True
    deletions: bool = False

    @property
    def digest(self) -> str:
        """What tells this from a Subscription asked for otherwise, whatever its secret and its end."""
        plain = to_json(replace(self, secret="", end="").resource())
        return hashlib.blake2b(plain, digest_size=16).hexdigest()

    def resource(self) -> dict[str, Any]:
        """The resource to send, status ``requested``."""
        channel: dict[str, Any] = {
            "type": "rest-hook",
            "endpoint": self.endpoint,
            "header": [f"Authorization: Bearer {self.secret}"],
        }
        extensions: list[dict[str, Any]] = []
        found: dict[str, Any] = {
            "resourceType": "Subscription",
            "status": "requested",
            "reason": "Quality measures follow the patients' data.",
            "criteria": self.criteria,
            "end": self.end,
            "channel": channel,
        }
        if self.payload or self.topic is not None:
            channel["payload"] = FHIR_JSON
        if self.topic is not None:
            found["meta"] = {"profile": [f"{_BACKPORT}backport-subscription"]}
            filters = [_extension("filter-criteria", valueString=one) for one in self.topic.filters]
            if filters:
                found["_criteria"] = {"extension": filters}
            content = _extension("payload-content", valueCode=self.topic.payload)
            channel["_payload"] = {"extension": [content]}
            if self.topic.heartbeat:
                extensions.append(_extension("heartbeat-period", valueUnsignedInt=self.topic.heartbeat))
        if self.deletions:
            extensions.append({"url": _HAPI_DELETIONS, "valueBoolean": True})
        if extensions:
            channel["extension"] = extensions
        return found


@dataclass(frozen=True, slots=True)
class Held:
    """A Subscription as a server has it. ``status`` is requested, active, error or off; ``end`` an instant
    or empty; ``header`` what the server shows of the channel's headers."""

    id: str
    criteria: str
    endpoint: str
    status: str
    end: str = ""
    error: str = ""
    header: tuple[str, ...] = field(default=(), repr=False)


def _extension(name: str, **value: Any) -> dict[str, Any]:
    return {"url": f"{_BACKPORT}backport-{name}", **value}


def offers_subscriptions(capabilities: Capabilities) -> bool:
    """Whether Subscriptions can be created at a server."""
    known = capabilities.types.get("Subscription")
    return known is not None and "create" in known.interactions


def offers(capabilities: Capabilities, operation: Literal["status", "events"]) -> bool:
    """Whether a server has an operation of the backport on its Subscriptions."""
    known = capabilities.types.get("Subscription")
    return known is not None and not known.operations.isdisjoint({operation, f"backport-{operation}"})


async def held_at(
    client: FhirClient, capabilities: Capabilities, endpoint: str, known: Iterable[str]
) -> list[Held]:
    """The Subscriptions of an endpoint at a server, also those whose ids (``known``) nobody noted.

    By the search parameter ``url`` where the server has it. Raises SourceError.
    """
    offered = capabilities.types.get("Subscription")
    found: dict[str, Held] = {}
    if offered is not None and offered.searchable and "url" in offered.searches:
        async for resource in client.search("Subscription", [("url", endpoint)]):
            held = _held(resource)
            # a server that passes over the parameter gives other people's too
            if held is not None and held.endpoint == endpoint:
                found[held.id] = held
    for identity in known:
        if identity not in found:
            held = await _read(client, identity)
            if held is not None and held.endpoint == endpoint:
                found[identity] = held
    return list(found.values())


async def _read(client: FhirClient, identity: str) -> Held | None:
    try:
        return _held(await client.get(f"Subscription/{identity}"))
    except SourceError as error:
        if error.status in _GONE:
            return None
        raise


async def ask_for(client: FhirClient, wanted: Wanted, identity: str | None = None) -> Held:
    """Create a Subscription, or write it anew under its id. Raises SourceError."""
    resource = wanted.resource()
    method, address = "POST", "Subscription"
    if identity is not None:
        resource["id"] = identity
        method, address = "PUT", f"Subscription/{identity}"
    response = await client.send(
        method,
        client.url(address),
        content=to_json(resource),
        headers={"Content-Type": FHIR_JSON, "Prefer": "return=representation"},
    )
    answered = _held(read_json(response)) if response.content else None
    if answered is not None:
        return answered
    location = response.headers.get("Location", "").partition("/_history")[0]
    identity = identity or location.rstrip("/").rpartition("/")[2]
    if not identity:
        raise SourceError(
            "the server does not say under which id it keeps the Subscription.",
            where="Subscription",
            code="structure",
        )
    return Held(identity, wanted.criteria, wanted.endpoint, "requested", wanted.end)


async def end(client: FhirClient, identity: str) -> None:
    """Delete a Subscription; one that is gone is as good. Raises SourceError."""
    try:
        await client.send("DELETE", client.url(f"Subscription/{identity}"))
    except SourceError as error:
        if error.status not in _GONE:
            raise


async def status_of(client: FhirClient, identity: str) -> Notification:
    """What ``$status`` says: the Subscription's state, the number of its last event. Raises SourceError."""
    return read_notification(await client.get(f"Subscription/{identity}/$status"))


async def events_of(client: FhirClient, identity: str, first: int, last: int) -> Notification:
    """The events from one number to another, both included, as one notification. Raises SourceError, also
    where the server does not have all of them any more."""
    asked = [("eventsSinceNumber", str(first)), ("eventsUntilNumber", str(last)), ("content", "id-only")]
    told = read_notification(await client.get(f"Subscription/{identity}/$events", asked))
    if not told.numbers.issuperset(range(first, last + 1)):
        raise SourceError(
            f"the server does not have all of the events {first} to {last}.",
            where=f"Subscription/{identity}",
            code="incomplete",
        )
    return told


def _held(resource: Any) -> Held | None:
    if type(resource) is not dict or resource.get("resourceType") != "Subscription" or "id" not in resource:
        return None
    channel = resource.get("channel")
    channel = channel if type(channel) is dict else {}
    return Held(
        str(resource["id"]),
        str(resource.get("criteria", "")),
        str(channel.get("endpoint", "")),
        str(resource.get("status", "")),
        str(resource.get("end", "")),
        str(resource.get("error", "")),
        _headers(channel),
    )


def _headers(channel: Mapping[str, Any]) -> tuple[str, ...]:
    said = channel.get("header")
    return tuple(map(str, said)) if type(said) is list else ()
