"""Batches and transactions (FHIR R4, 3.1.0.11): several interactions in one request.

A transaction is done whole or not at all, in the order DELETE, POST, PUT, GET; references between its entries
by ``fullUrl`` become the ids that they are given.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import Connection

from measurewise.api.fhir import interactions
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.outcomes import RequestError, outcome_of, status_of
from measurewise.engine.errors import MeasurewiseError

_ORDER: Final = ("DELETE", "POST", "PUT", "GET")
_RIGHT: Final = {"DELETE": "d", "POST": "c", "PUT": "u"}


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
            if method == "GET":
                replies.append(_get(call, url))
                continue
            with call.services.database.write() as connection:
                replies.append(_one(call, connection, method, url, entry, position))
        except MeasurewiseError as error:
            replies.append(Reply(outcome_of(error), status_of(error)))
    return replies


def _transaction(call: Call, entries: list[dict[str, Any]]) -> list[Reply]:
    requests = [_request(entry, position) for position, entry in enumerate(entries)]
    replies: list[Reply | None] = [None] * len(entries)
    with call.services.database.write() as connection:
        prepared = [dict(entry) for entry in entries]
        ids = _given_ids(call, connection, requests, prepared)
        for method in _ORDER[:3]:
            for position, (asked, url) in enumerate(requests):
                if asked == method:
                    entry = prepared[position]
                    if isinstance(entry.get("resource"), dict):
                        entry["resource"] = _relinked(entry["resource"], ids)
                    replies[position] = _one(call, connection, method, url, entry, position)
    for position, (asked, url) in enumerate(requests):
        if asked == "GET":
            replies[position] = _get(call, url)
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
            found = interactions.matching(call, connection, kind, condition) if condition else None
            identity = found.id if found else str(uuid.uuid4())
            entry["given"] = identity
        elif "?" in url:
            found = interactions.matching(call, connection, kind, url)
            identity = found.id if found else str(resource.get("id") or uuid.uuid4())
            entry["resource"] = {**resource, "id": identity}
        else:
            identity = url.rpartition("/")[2]
        full_url = entry.get("fullUrl")
        if isinstance(full_url, str):
            ids[full_url] = f"{kind}/{identity}"
    return ids


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
    call = call.permitted(parts[0], _RIGHT[method])
    if method == "DELETE":
        if len(parts) != 2 or query:
            raise RequestError(f"'{url}' names no resource to delete.", where=f"{where}.request.url")
        return interactions.delete(call, connection, parts[0], parts[1])
    resource = entry.get("resource")
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise RequestError(f"the {method} has no resource.", code="required", where=f"{where}.resource")
    if method == "POST":
        given, condition = entry.get("given"), _text(entry, "ifNoneExist", position)
        if given is None:
            return interactions.create(call, connection, parts[0], resource, condition)
        if condition is not None:
            return interactions.create(call, connection, parts[0], resource, condition)
        return interactions.update(call, connection, parts[0], given, {**resource, "id": given})
    if query:
        return interactions.update_conditionally(call, connection, parts[0], query, resource)
    if len(parts) != 2:
        raise RequestError(f"'{url}' names no resource to update.", where=f"{where}.request.url")
    if_match = _text(entry, "ifMatch", position)
    return interactions.update(call, connection, parts[0], parts[1], resource, if_match)


def _get(call: Call, url: str) -> Reply:
    path, _, query = url.partition("?")
    parts = path.split("/")
    narrowed = replace(call, headers={}).permitted(
        parts[0], "r" if len(parts) > 1 else "s", restrictable=True
    )
    match parts:
        case [kind]:
            return interactions.find(narrowed, kind, parse_qsl(query, keep_blank_values=True))
        case [kind, identity] if not identity.startswith("$"):
            return interactions.read(narrowed, kind, identity)
        case [kind, identity, "_history", version]:
            return interactions.vread(narrowed, kind, identity, version)
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
    if reply.resource is not None:
        body = msgspec.Raw(reply.resource) if isinstance(reply.resource, bytes) else reply.resource
        if failed:
            response["outcome"] = body
        else:
            entry["resource"] = body
    entry["response"] = response
    return entry
