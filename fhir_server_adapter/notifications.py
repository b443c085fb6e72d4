"""What a server's subscription sends: which resources changed, and whether something was missed.

Subscriptions R4 Backport 1.1 (https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/notifications.html), with
empty, id-only and full-resource content; and the plain REST hook of R4
(https://hl7.org/fhir/R4/subscription.html#2.46.7.1), which sends a resource to ``[endpoint]/[type]/[id]``, or
nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.gathering import owners


@dataclass(frozen=True, slots=True)
class Notification:
    """What came: ``kind`` is ``handshake``, ``heartbeat``, ``event-notification`` or another of the standard.

    ``changed`` and ``deleted`` are references; ``patients`` the ids of those whom the resources that came
    along are about. With neither (content ``empty``), ask the server what changed (``sync.changes_since``).
    ``first_event`` and ``last_event`` are the least and the greatest of the ``numbers`` of the events in this
    notification; where it has none, ``last_event`` is the number of events that there were.
    """

    kind: str
    subscription: str | None = None
    topic: str | None = None
    status: str | None = None
    first_event: int | None = None
    last_event: int | None = None
    changed: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    numbers: frozenset[int] = frozenset()

    def missed(self, last_known: int) -> bool:
        """Whether events were lost since event ``last_known``: then ask the server what changed."""
        if self.first_event is not None:
            return self.first_event > last_known + 1
        return self.last_event is not None and self.last_event > last_known


def read_notification(payload: Any) -> Notification:
    """The notification in a Bundle of the R4 backport. Raises SourceError for anything else."""
    entries = payload.get("entry") if type(payload) is dict else None
    first = entries[0].get("resource") if type(entries) is list and entries and _is(entries[0]) else None
    if type(first) is not dict or first.get("resourceType") != "Parameters":
        raise SourceError(
            "this is no notification of a subscription.",
            where="subscription",
            mend="The Bundle begins with the Parameters of the subscription's status.",
            code="structure",
        )
    status = {str(part.get("name")): part for part in _parts(first.get("parameter"))}
    kind = _value(status.get("type"))
    if kind is None:
        raise SourceError("the notification does not say of what type it is.", where="type", code="required")
    numbers: list[int] = []
    changed: set[str] = set()
    deleted: set[str] = set()
    patients: set[str] = set()
    for event in _parts(first.get("parameter")):
        if event.get("name") != "notification-event":
            continue
        parts = {str(part.get("name")): part for part in _parts(event.get("part"))}
        number = _number(parts.get("event-number"))
        if number is not None:
            numbers.append(number)
        focus = _relative(_value(parts.get("focus")))
        if focus is not None:
            changed.add(focus)
    for entry in _parts(payload["entry"][1:]):
        request = entry.get("request")
        method = request.get("method") if type(request) is dict else None
        resource = entry.get("resource")
        if method == "DELETE":
            url = request.get("url") if type(request) is dict else None
            reference = _relative(url) or _relative(entry.get("fullUrl"))
            if reference is not None:
                deleted.add(reference)
        elif type(resource) is dict:
            patients |= owners(resource)
    total = _number(status.get("events-since-subscription-start"))
    return Notification(
        kind,
        subscription=_relative(_value(status.get("subscription"))),
        topic=_value(status.get("topic")),
        status=_value(status.get("status")),
        first_event=min(numbers, default=None),
        last_event=max(numbers, default=total),
        changed=frozenset(changed - deleted),
        deleted=frozenset(deleted),
        patients=frozenset(patients),
        numbers=frozenset(numbers),
    )


def read_rest_hook(method: str, path: str, resource: Any) -> Notification:
    """What R4's own REST hook tells: ``path`` is what follows the endpoint, ``resource`` the body or None.

    Raises SourceError for a body that is not the resource of the path.
    """
    reference = _relative(path.strip("/"))
    if reference is None:
        return Notification("event-notification")
    if method.upper() == "DELETE":
        return Notification("event-notification", deleted=frozenset({reference}))
    if resource is None:
        return Notification("event-notification", changed=frozenset({reference}))
    if type(resource) is not dict or f"{resource.get('resourceType')}/{resource.get('id')}" != reference:
        raise SourceError("the body is not the resource of the path.", where=reference, code="invalid")
    return Notification(
        "event-notification", changed=frozenset({reference}), patients=frozenset(owners(resource))
    )


def _is(value: Any) -> bool:
    return type(value) is dict


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    for part in value if type(value) is list else ():
        if type(part) is dict:
            yield part


def _value(part: Mapping[str, Any] | None) -> str | None:
    for name, value in (part or {}).items():
        if name.startswith("value"):
            if type(value) is dict:
                value = value.get("reference")
            return None if value is None else str(value)
    return None


def _number(part: Mapping[str, Any] | None) -> int | None:
    value = _value(part)
    return int(value) if value is not None and value.isdigit() else None


def _relative(address: Any) -> str | None:
    """``Type/id`` of a reference, relative or absolute, with or without a version."""
    if type(address) is not str:
        return None
    parts = address.partition("/_history")[0].rstrip("/").split("/")
    return "/".join(parts[-2:]) if len(parts) > 1 and parts[-1] and parts[-2][:1].isupper() else None
