"""Batches and transactions (FHIR R4, 3.1.0.11): several interactions in one request.

A transaction is done whole or not at all, in the order DELETE, POST, PUT, PATCH, GET; references
between its entries by ``fullUrl`` become the ids that they are given.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import Connection

from measurewise.api.fhir import interactions
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.histories import history
from measurewise.api.fhir.outcomes import RequestError, outcome_of, status_of
from measurewise.api.fhir.patching import JSON_PATCH, check_kind, parse_patch
from measurewise.api.fhir.searching import find, matching
from measurewise.engine.errors import MeasurewiseError
from measurewise.store.database import again

_ORDER: Final = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")
_CHANGES: Final = ("DELETE", "POST", "PUT", "PATCH")
_RIGHT: Final = {"DELETE": "d", "POST": "c", "PUT": "u", "PATCH": "u"}
_CONDITIONS: Final = {
    "ifNoneMatch": "if-none-match", "ifModifiedSince": "if-modified-since",
}  # fmt: skip


def process(call: Call, bundle: dict[str, Any]) -> Reply:
    """Do what a batch or transaction asks. Raises MeasurewiseError where a transaction cannot be done."""
    entries = bundle.get("entry") or []
    kind = bundle.get("type")
    if bundle.get("resourceType") != "Bundle" or kind not in ("batch", "transaction"):
        raise RequestError(
            "the base takes a Bundle of type batch or transaction.", where="Bundle.type", mend="Set its type."
        )
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RequestError("Bundle.entry is no list of entries.", code="structure", where="Bundle.entry")
    replies = _transaction(call, entries) if kind == "transaction" else _batch(call, entries)
    answer = {
        "resourceType": "Bundle",
        "type": f"{kind}-response",
        "entry": [_response(reply) for reply in replies],
    }
    touched = tuple(dict.fromkeys(name for reply in replies for name in reply.touched))
    patients = tuple(dict.fromkeys(name for reply in replies for name in reply.patients))
    return Reply(answer, touched=touched, patients=patients)


def _batch(call: Call, entries: list[dict[str, Any]]) -> list[Reply]:
    replies: list[Reply] = []
    for position, entry in enumerate(entries):
        try:
            method, url = _request(entry, position)
            if method not in _CHANGES:
                replies.append(_get(call, url, entry, position))
                continue
            replies.append(again(partial(_alone, call, method, url, entry, position)))
        except MeasurewiseError as error:
            replies.append(Reply(outcome_of(error), status_of(error)))
    return replies


def _alone(call: Call, method: str, url: str, entry: dict[str, Any], position: int) -> Reply:
    """Do what one entry asks, in a transaction of its own."""
    with call.services.database.write() as connection:
        return _one(call, connection, method, url, entry, position)


def _transaction(call: Call, entries: list[dict[str, Any]]) -> list[Reply]:
    requests = [_request(entry, position) for position, entry in enumerate(entries)]
    replies: list[Reply | None] = [None] * len(entries)
    with call.services.database.write() as connection:
        prepared = [dict(entry) for entry in entries]
        ids = _given_ids(call, connection, requests, prepared)
        _check_changed_once(requests, prepared)
        for method in _CHANGES:
            for position, (asked, url) in enumerate(requests):
                if asked == method:
                    entry = prepared[position]
                    if isinstance(entry.get("resource"), dict):
                        entry["resource"] = _relinked(entry["resource"], ids)
                    replies[position] = _one(call, connection, method, url, entry, position)
    for position, (asked, url) in enumerate(requests):
        if asked not in _CHANGES:
            replies[position] = _get(call, url, prepared[position], position)
    return [reply for reply in replies if reply is not None]


def _given_ids(
    call: Call, connection: Connection, requests: list[tuple[str, str]], entries: list[dict[str, Any]]
) -> dict[str, str]:
    """What each fullUrl becomes: the reference under which its resource will be found.

    A POST becomes a PUT under a new id (or stays what ``ifNoneExist`` finds), so that references to it are
    known before it is written.
    """
    ids: dict[str, str] = {}
    for position, (method, url) in enumerate(requests):
        entry = entries[position]
        resource = entry.get("resource")
        if method not in ("POST", "PUT") or not isinstance(resource, dict):
            continue
        kind = str(resource.get("resourceType"))
        if method == "POST":
            condition = _text(entry, "ifNoneExist", position)
            found = None
            if condition:
                found = matching(call.permitted(kind, "s"), connection, kind, condition)
            identity = found.id if found else str(uuid.uuid4())
            entry["given"] = identity
        elif "?" in url:
            found = matching(call.permitted(kind, "s"), connection, kind, url)
            identity = found.id if found else str(resource.get("id") or uuid.uuid4())
            entry["resource"] = {**resource, "id": identity}
        else:
            identity = url.rpartition("/")[2]
        full_url = entry.get("fullUrl")
        if isinstance(full_url, str):
            ids[full_url] = f"{kind}/{identity}"
    return ids


def _check_changed_once(requests: list[tuple[str, str]], entries: list[dict[str, Any]]) -> None:
    """Raises RequestError where two entries change one resource: a transaction must fail then."""
    seen: dict[str, int] = {}
    for position, ((method, url), entry) in enumerate(zip(requests, entries, strict=True)):
        if method not in ("DELETE", "PUT", "PATCH"):
            continue
        kind, conditional, _ = url.partition("?")
        if conditional:
            if method != "PUT" or not isinstance(entry.get("resource"), dict):
                continue
            url = f"{kind}/{entry['resource'].get('id')}"
        if url in seen:
            raise RequestError(
                f"the entries {seen[url]} and {position} both change {url}.",
                where=f"Bundle.entry[{position}].request.url",
                mend="Change a resource once in a transaction, or send a batch.",
            )
        seen[url] = position


def _relinked(node: Any, ids: dict[str, str]) -> Any:
    if isinstance(node, dict):
        changed = {name: _relinked(value, ids) for name, value in node.items()}
        reference = changed.get("reference")
        if isinstance(reference, str) and reference in ids:
            changed["reference"] = ids[reference]
        return changed
    if isinstance(node, list):
        return [_relinked(item, ids) for item in node]
    return node


def _one(
    call: Call, connection: Connection, method: str, url: str, entry: dict[str, Any], position: int
) -> Reply:
    path, _, query = url.partition("?")
    parts = path.split("/")
    where = f"Bundle.entry[{position}]"
    condition = _text(entry, "ifNoneExist", position) if method == "POST" else None
    call = call.permitted(parts[0], _RIGHT[method] + ("s" if query or condition else ""))
    if len(parts) != (1 if query or method == "POST" else 2) or (query and method == "POST"):
        raise RequestError(
            f"'{url}' names nothing for {method}.", where=f"{where}.request.url",
            mend="Write Type to make, Type/id or Type?criteria to change.",
        )  # fmt: skip
    if_match = _text(entry, "ifMatch", position)
    if method == "DELETE":
        if query:
            return interactions.delete_conditionally(call, connection, parts[0], query, if_match)
        return interactions.delete(call, connection, parts[0], parts[1], if_match)
    resource = entry.get("resource")
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise RequestError(f"the {method} has no resource.", code="required", where=f"{where}.resource")
    if method == "PATCH":
        operations = _operations(resource, f"{where}.resource")
        if query:
            return interactions.patch_conditionally(call, connection, parts[0], query, operations, if_match)
        return interactions.patch(call, connection, parts[0], parts[1], operations, if_match)
    if method == "POST":
        return interactions.create(call, connection, parts[0], resource, condition, entry.get("given"))
    if query:
        return interactions.update_conditionally(call, connection, parts[0], query, resource, if_match)
    return interactions.update(call, connection, parts[0], parts[1], resource, if_match)


def _operations(resource: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """The JSON Patch that a Binary holds (FHIR R4, 3.1.0.11.2). Raises RequestError."""
    if resource["resourceType"] != "Binary":
        raise RequestError(
            f"a PATCH in a bundle is a Binary, not a {resource['resourceType']}.", code="not-supported",
            where=where, mend=f"Put a JSON Patch into a Binary of {JSON_PATCH}.",
        )  # fmt: skip
    check_kind(str(resource.get("contentType")))
    try:
        content = base64.b64decode(str(resource.get("data")), validate=True)
    except ValueError:
        raise RequestError("the patch is no base64.", code="structure", where=f"{where}.data") from None
    return parse_patch(content)


def _get(call: Call, url: str, entry: dict[str, Any], position: int) -> Reply:
    """What GET answers; HEAD has no body."""
    reply = _got(call, url, entry, position)
    return replace(reply, resource=None) if entry["request"]["method"] == "HEAD" else reply


def _got(call: Call, url: str, entry: dict[str, Any], position: int) -> Reply:
    path, _, query = url.partition("?")
    parts = path.split("/")
    pairs = parse_qsl(query, keep_blank_values=True)
    conditions = {header: _text(entry, name, position) for name, header in _CONDITIONS.items()}
    headers = {header: value for header, value in conditions.items() if value is not None}
    call = replace(call, headers=headers)
    match parts:
        case ["_history"]:
            return history(call.permitted("*", "r"), None, None, pairs)
        case [kind, "_history"]:
            return history(call.permitted(kind, "r"), kind, None, pairs)
        case [kind, identity, "_history"]:
            return history(call.permitted(kind, "r"), kind, identity, pairs)
        case [kind]:
            return find(call.permitted(kind, "s", restrictable=True), kind, pairs)
        case [kind, identity] if not identity.startswith("$"):
            return interactions.read(call.permitted(kind, "r", restrictable=True), kind, identity, pairs)
        case [kind, identity, "_history", version]:
            return interactions.vread(
                call.permitted(kind, "r", restrictable=True), kind, identity, version, pairs
            )
    raise RequestError(f"'{url}' cannot be asked for in a bundle.", code="not-supported")


def _request(entry: dict[str, Any], position: int) -> tuple[str, str]:
    request = entry.get("request")
    where = f"Bundle.entry[{position}].request"
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        raise RequestError("the entry has no request.", code="required", where=where)
    method = request.get("method")
    if method not in _ORDER:
        raise RequestError(
            f"the method '{method}' is not served.", code="not-supported", where=f"{where}.method",
            mend=f"Use one of {', '.join(_ORDER)}.",
        )  # fmt: skip
    return str(method), str(request["url"]).lstrip("/")


def _text(entry: dict[str, Any], name: str, position: int) -> str | None:
    """A condition of the entry's request. Raises RequestError where it is no text."""
    value = entry["request"].get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError(
            f"{name} is no text.", code="structure", where=f"Bundle.entry[{position}].request.{name}"
        )
    return value


def _response(reply: Reply) -> dict[str, Any]:
    response: dict[str, Any] = {"status": str(reply.status)}
    if "Location" in reply.headers:
        response["location"] = reply.headers["Location"]
    if "ETag" in reply.headers:
        response["etag"] = reply.headers["ETag"]
    failed = reply.status >= 400
    entry: dict[str, Any] = {}
    if "Last-Modified" in reply.headers:
        moment = parsedate_to_datetime(reply.headers["Last-Modified"])
        response["lastModified"] = moment.isoformat().replace("+00:00", "Z")
    if reply.resource is not None:
        body = msgspec.Raw(reply.resource) if isinstance(reply.resource, bytes) else reply.resource
        if failed:
            response["outcome"] = body
        else:
            entry["resource"] = body
    entry["response"] = response
    return entry
