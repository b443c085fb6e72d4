"""The RESTful interactions of a resource type (FHIR R4, 3.1.0): each a function of a Call.

Those that write take a connection, so that a transaction bundle can do several of them in one.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final

from sqlalchemy import Connection

from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.outcomes import RequestError, information
from measurewise.api.fhir.patching import patched
from measurewise.api.fhir.searching import Pairs, matching, patients
from measurewise.api.fhir.types import check_stored
from measurewise.api.fhir.views import View
from measurewise.api.security.scopes import Need
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.record.compartment import decode_head
from measurewise.store import resources as store
from measurewise.store.errors import (
    DeletedResourceError,
    NoSuchResourceError,
    PreconditionError,
)
from measurewise.store.histories import version as stored_version
from measurewise.store.resources import Stored
from measurewise.store.search import Criterion, Search, search

_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_ETAG: Final = re.compile(r'(?:W/)?"([0-9]{1,18})"')
_OF_READING: Final = ("_summary", "_elements", "_format", "_pretty")


def read(call: Call, resource_type: str, identity: str, pairs: Pairs = ()) -> Reply:
    """``GET [type]/[id]``, with ``If-None-Match``, ``If-Modified-Since``, ``_summary`` and ``_elements``."""
    check_stored(resource_type)
    view = _view(resource_type, pairs)
    with call.services.database.read() as connection:
        found = store.read(connection, call.access, resource_type, identity)
        _within_restrictions(call, connection, found)
    return _unless_known(call, found, view)


def vread(call: Call, resource_type: str, identity: str, version: str, pairs: Pairs = ()) -> Reply:
    """``GET [type]/[id]/_history/[version]``, of a deleted resource too."""
    check_stored(resource_type)
    view = _view(resource_type, pairs)
    if _NUMBER.fullmatch(version) is None:
        raise RequestError(f"there is no version '{version}'.", code="not-found")
    with call.services.database.read() as connection:
        found, method, current = stored_version(
            connection, call.access, resource_type, identity, int(version)
        )
        if method == "DELETE":
            raise DeletedResourceError(f"{found.reference} was deleted with this version.")
        if current:
            _within_restrictions(call, connection, found)
        else:
            # What a granular scope's search finds is told by the current version alone.
            call.principal.permit(Need(resource_type, "r"))
    return _unless_known(call, found, view)


def create(
    call: Call,
    connection: Connection,
    resource_type: str,
    resource: dict[str, Any],
    if_none_exist: str | None = None,
    given: str | None = None,
) -> Reply:
    """``POST [type]``: a new id (a transaction's ``given``), unless ``If-None-Exist`` finds what is there."""
    _checked_body(resource_type, resource)
    if if_none_exist is not None:
        found = matching(call, connection, resource_type, if_none_exist)
        if found is not None:
            return _shown(call, found, 200, _stamps(found))
    new = {**resource, "id": given or str(uuid.uuid4())}
    _check_writable(call, connection, new)
    return _written(call, store.write(connection, call.home, new))


def update(
    call: Call,
    connection: Connection,
    resource_type: str,
    identity: str,
    resource: dict[str, Any],
    if_match: str | None = None,
) -> Reply:
    """``PUT [type]/[id]``: the resource under that id, made where it is not there; ``If-Match`` is held."""
    _checked_body(resource_type, resource)
    if resource.get("id") != identity:
        raise RequestError(
            f"the resource has the id '{resource.get('id')}', the address '{identity}'.",
            where=f"{resource_type}.id",
            mend="Make them the same.",
        )
    if not store.valid_id(identity):
        raise RequestError(
            f"'{identity}' is no FHIR id.", code="value", where=f"{resource_type}.id",
            mend="Use up to 64 letters, digits, hyphens and dots.",
        )  # fmt: skip
    _check_writable(call, connection, resource)
    expected = _expected(if_match)
    return _written(call, store.write(connection, call.home, resource, if_match=expected))


def update_conditionally(
    call: Call,
    connection: Connection,
    resource_type: str,
    query: str,
    resource: dict[str, Any],
    if_match: str | None = None,
) -> Reply:
    """``PUT [type]?...``: update the one that the search finds, or create."""
    _checked_body(resource_type, resource)
    found = matching(call, connection, resource_type, query)
    if found is None:
        if if_match is not None:
            raise _not_at(if_match, f"what '{query}' would find")
        given = resource.get("id")
        new = resource if store.valid_id(given) else {**resource, "id": str(uuid.uuid4())}
        _check_writable(call, connection, new)
        return _written(call, store.write(connection, call.home, new, only_new=True))
    if resource.get("id") not in (None, found.id):
        raise RequestError(
            f"the search finds {found.reference}, the resource has the id '{resource.get('id')}'.",
            where=f"{resource_type}.id",
        )
    changed = {**resource, "id": found.id}
    _check_writable(call, connection, changed)
    owner = found.organization or call.home
    return _written(call, store.write(connection, owner, changed, if_match=_expected(if_match)))


def patch(
    call: Call,
    connection: Connection,
    resource_type: str,
    identity: str,
    operations: list[dict[str, Any]],
    if_match: str | None = None,
) -> Reply:
    """``PATCH [type]/[id]`` by JSON Patch; ``If-Match`` is held."""
    check_stored(resource_type)
    found = store.read(connection, call.access, resource_type, identity)
    return _patched(call, connection, found, operations, if_match)


def patch_conditionally(
    call: Call,
    connection: Connection,
    resource_type: str,
    query: str,
    operations: list[dict[str, Any]],
    if_match: str | None = None,
) -> Reply:
    """``PATCH [type]?...``: the one that the search finds is patched."""
    check_stored(resource_type)
    found = matching(call, connection, resource_type, query)
    if found is None:
        raise NoSuchResourceError(f"no {resource_type} matches '{query}'.", where=resource_type)
    return _patched(call, connection, found, operations, if_match)


def delete(
    call: Call, connection: Connection, resource_type: str, identity: str, if_match: str | None = None
) -> Reply:
    """``DELETE [type]/[id]``: its versions stay; deleting twice is no fault; ``If-Match`` is held."""
    check_stored(resource_type)
    _check_writable(call, connection, {"resourceType": resource_type, "id": identity}, gone=True)
    expected = _expected(if_match)
    if expected is not None:
        current = store.read(connection, call.access, resource_type, identity)
        if current.version != expected:
            raise _not_at(str(if_match), f"{current.reference}, which is at version {current.version},")
    removed = store.remove(connection, call.access, resource_type, identity)
    headers = {} if removed is None else {"ETag": f'W/"{removed.version}"'}
    touched = () if removed is None else patients(removed)
    return Reply(None, 204, headers, touched=(f"{resource_type}/{identity}",), patients=touched)


def delete_conditionally(
    call: Call, connection: Connection, resource_type: str, query: str, if_match: str | None = None
) -> Reply:
    """``DELETE [type]?...``: the one that the search finds, if any; several are refused."""
    check_stored(resource_type)
    found = matching(call, connection, resource_type, query)
    if found is None:
        return Reply(None, 204)
    return delete(call, connection, resource_type, found.id, if_match)


def _patched(
    call: Call,
    connection: Connection,
    found: Stored,
    operations: list[dict[str, Any]],
    if_match: str | None,
) -> Reply:
    changed = patched(found.parsed(), operations)
    _check_writable(call, connection, changed)
    owner = found.organization or call.home
    return _written(call, store.write(connection, owner, changed, if_match=_expected(if_match)))


def _view(resource_type: str, pairs: Pairs) -> View:
    """How much of a resource a read shows. Raises RequestError for a parameter that a read does not have."""
    said: dict[str, str] = {}
    for name, value in pairs:
        if name not in _OF_READING:
            raise RequestError(
                f"a read has no parameter '{name}'.", code="not-supported", where=name,
                mend=f"Use one of {', '.join(_OF_READING)}.",
            )  # fmt: skip
        said[name] = value
    if said.get("_summary") == "count":
        raise RequestError("a read has nothing to count.", where="_summary", mend="Search with it.")
    return View.parse(resource_type, said.get("_summary"), said.get("_elements"))


def _within_restrictions(call: Call, connection: Connection, found: Stored) -> None:
    """Raises NoSuchResourceError for what the token's granular scopes leave out."""
    limits = call.principal.search_parameters(found.type)
    if not limits:
        return
    criteria = (Criterion("_id", None, (found.id,)), *(Criterion.parse(*limit) for limit in limits))
    asked = Search(found.type, criteria, count=1, total=False)
    if not search(connection, call.access, asked, call.services.catalog.codes).matches:
        raise NoSuchResourceError(f"there is no {found.reference}.", where=found.type)


def _check_writable(
    call: Call, connection: Connection, resource: dict[str, Any], *, gone: bool = False
) -> None:
    """Raises ForbiddenError for what this caller may not change, whatever the scopes say of the type.

    Content is the whole installation's and kept by the organisation of its operator; a token that is bound to
    a patient changes that patient's data alone.
    """
    resource_type, identity = str(resource["resourceType"]), str(resource["id"])
    if resource_type in store.CONTENT_TYPES:
        store.check_content_keeper(call.access, call.services.settings.organization, resource_type)
    if call.access.patient is None:
        return
    before = store.patient_of(connection, call.home, resource_type, identity)
    patients = [] if before is store.ABSENT else [before]
    if not gone:
        patients.append(decode_head(to_json(resource)).compartment())
    call.principal.check_compartment(*patients)


def _checked_body(resource_type: str, resource: dict[str, Any]) -> None:
    check_stored(resource_type)
    if resource["resourceType"] != resource_type:
        raise RequestError(
            f"the body is a {resource['resourceType']}, the address asks for a {resource_type}.",
            where="resourceType",
            mend="Send it to the address of its type.",
        )


def _expected(if_match: str | None) -> int | None:
    """The version that ``If-Match`` names. Raises RequestError."""
    if if_match is None:
        return None
    expected = _version_asked(if_match)
    if expected is None:
        raise RequestError(f"If-Match '{if_match}' names no version.", mend='Write W/"1".')
    return expected


def _not_at(if_match: str, what: str) -> PreconditionError:
    return PreconditionError(
        f"{what} is not at version {if_match}.", mend="Read it again and repeat the change."
    )


def _version_asked(etag: str | None) -> int | None:
    match = _ETAG.fullmatch(etag.strip()) if etag else None
    return None if match is None else int(match[1])


def _unless_known(call: Call, found: Stored, view: View) -> Reply:
    """The resource, or 304 where the client has it already."""
    touched, whose = (found.reference,), patients(found)
    if _is_known(call.headers, found):
        return Reply(None, 304, _stamps(found), touched=touched, patients=whose)
    return Reply(view.of(found.body), 200, _stamps(found), touched=touched, patients=whose)


def _is_known(headers: Mapping[str, str], found: Stored) -> bool:
    """Whether ``If-None-Match`` names the version, among others or as ``*``; else by ``If-Modified-Since``.

    RFC 9110, 13.1.3: the date is looked at only where there is no ``If-None-Match``, and passed over where it
    is none. It has whole seconds.
    """
    tags = headers.get("if-none-match")
    if tags is not None:
        named = [tag.strip() for tag in tags.split(",")]
        return "*" in named or found.version in {_version_asked(tag) for tag in named}
    try:
        since = parsedate_to_datetime(headers.get("if-modified-since", ""))
    except ValueError:
        return False
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return found.updated.replace(microsecond=0) <= since


def _written(call: Call, written: Stored) -> Reply:
    headers = _stamps(written)
    headers["Location"] = f"{call.base}/{written.reference}/_history/{written.version}"
    return _shown(call, written, 201 if written.created else 200, headers)


def _shown(call: Call, found: Stored, status: int, headers: Mapping[str, str]) -> Reply:
    """What is answered to a change: the resource if the token may read it, or what the client prefers."""
    preferred = call.headers.get("prefer", "").replace(" ", "")
    body: bytes | dict[str, Any] | None = None
    if "return=OperationOutcome" in preferred:
        body = information(f"{found.reference} is stored as version {found.version}.")
    elif "return=minimal" not in preferred and call.principal.may(found.type, "r"):
        body = found.body
    return Reply(body, status, headers, (found.reference,), patients(found))


def _stamps(found: Stored) -> dict[str, str]:
    modified: datetime = found.updated.astimezone(UTC)
    return {"ETag": f'W/"{found.version}"', "Last-Modified": format_datetime(modified, usegmt=True)}
