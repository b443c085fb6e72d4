"""``_history`` of a resource, a type and everything (FHIR R4, 3.1.0.16): ``_since``, ``_at``, pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.fhir.searching import AFTER, Pairs, count_of, link, patients
from measurewise.api.fhir.types import check_stored
from measurewise.store.histories import Versions, versions
from measurewise.store.resources import Stored
from measurewise.store.search import DEFAULT_COUNT
from measurewise.store.search_index import moments

_TAKEN: Final = ("_since", "_at", "_count", "_format", "_pretty")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATUS: Final = {"POST": "201", "DELETE": "204"}


def history(call: Call, resource_type: str | None, identity: str | None, pairs: Pairs) -> Reply:
    """``GET [type]/[id]/_history``, ``[type]/_history`` and ``_history``: the newest versions first."""
    if resource_type is not None:
        check_stored(resource_type)
    asked = _asked(resource_type, identity, pairs)
    with call.services.database.read() as connection:
        page = versions(connection, call.access, asked)
    path = "/".join(part for part in (resource_type, identity, "_history") if part is not None)
    links = [link(call, "self", path, pairs)]
    if page.next is not None:
        kept = [pair for pair in pairs if pair[0] != AFTER]
        links.append(link(call, "next", path, [*kept, (AFTER, page.next)]))
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "history"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = links
    if page.entries:
        bundle["entry"] = [_entry(call, found, method) for found, method in page.entries]
    shown = [found for found, _ in page.entries]
    touched = tuple(dict.fromkeys(found.reference for found in shown))
    return Reply(bundle, touched=touched, patients=patients(*shown))


def _asked(resource_type: str | None, identity: str | None, pairs: Pairs) -> Versions:
    """What a query asks for. Raises RequestError for a parameter that a history does not have."""
    said: dict[str, str] = {}
    for name, value in pairs:
        if name not in (*_TAKEN, AFTER):
            raise RequestError(
                f"a history has no parameter '{name}'.", code="not-supported", where=name,
                mend=f"Use one of {', '.join(_TAKEN)}.",
            )  # fmt: skip
        said[name] = value
    since = _span("_since", said["_since"])[0] if "_since" in said else None
    at = _span("_at", said["_at"]) if "_at" in said else None
    count = count_of("_count", said["_count"]) if "_count" in said else DEFAULT_COUNT
    return Versions(resource_type, identity, count, since, at, said.get(AFTER))


def _span(name: str, value: str) -> tuple[datetime, datetime]:
    """The first and last moment that a date can mean."""
    # A plus sign of an offset comes out of many a query string as a space.
    found = moments(value.replace(" ", "+"))
    if found is None:
        raise RequestError(
            f"{name} is '{value}', which is no date.", where=name, mend="Write 2026-01-31T08:00:00Z."
        )
    return _EPOCH + timedelta(microseconds=found[0]), _EPOCH + timedelta(microseconds=found[1])


def _entry(call: Call, found: Stored, method: str) -> dict[str, Any]:
    """A version; that of a deletion has no resource."""
    url = found.type if method == "POST" else found.reference
    entry: dict[str, Any] = {"fullUrl": f"{call.base}/{found.reference}"}
    if not found.deleted:
        entry["resource"] = msgspec.Raw(found.body)
    modified = found.updated.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry["request"] = {"method": method, "url": url}
    entry["response"] = {
        "status": _STATUS.get(method, "200"), "etag": f'W/"{found.version}"', "lastModified": modified,
    }  # fmt: skip
    return entry
