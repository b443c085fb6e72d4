"""The RESTful interactions of a resource type (FHIR R4, 3.1.0): each a function of a Call.

Those that write take a connection, so that a transaction bundle can do several of them in one.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from sqlalchemy import Connection

from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import no_nul
from measurewise.api.fhir.outcomes import RequestError, information
from measurewise.api.fhir.types import STORED
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.record.compartment import decode_head
from measurewise.store import resources as store
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.resources import Stored
from measurewise.store.search import DEFAULT_COUNT, MOST, Criterion, Search, search

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_ETAG: Final = re.compile(r'(?:W/)?"([0-9]{1,18})"')
_AFTER: Final = "_after"
_CONTROL: Final = frozenset({"_format", "_pretty"})
Pairs = Sequence[tuple[str, str]]


def read(call: Call, resource_type: str, identity: str) -> Reply:
    """``GET [type]/[id]``, with ``If-None-Match``."""
    _checked_type(resource_type)
    with call.services.database.read() as connection:
        found = store.read(connection, call.access, resource_type, identity)
        _within_restrictions(call, connection, found)
    return _unless_known(call, found)


def vread(call: Call, resource_type: str, identity: str, version: str) -> Reply:
    """``GET [type]/[id]/_history/[version]``."""
    _checked_type(resource_type)
    if _NUMBER.fullmatch(version) is None:
        raise RequestError(f"there is no version '{version}'.", code="not-found")
    with call.services.database.read() as connection:
        found = store.vread(connection, call.access, resource_type, identity, int(version))
        _within_restrictions(call, connection, found)
    return _unless_known(call, found)


def history(call: Call, resource_type: str, identity: str) -> Reply:
    """``GET [type]/[id]/_history``."""
    _checked_type(resource_type)
    with call.services.database.read() as connection:
        versions = store.history(connection, call.access, resource_type, identity)
        _within_restrictions(call, connection, versions[0][0])
    entries = []
    for found, method in versions:
        entry: dict[str, Any] = {
            "fullUrl": f"{call.base}/{found.reference}",
            "request": {"method": method, "url": found.reference},
            "response": {
                "status": {"POST": "201", "DELETE": "204"}.get(method, "200"),
                "etag": f'W/"{found.version}"',
                "lastModified": _instant(found),
            },
        }
        if not found.deleted:
            entry["resource"] = msgspec.Raw(found.body)
        entries.append(entry)
    bundle = {"resourceType": "Bundle", "type": "history", "total": len(entries), "entry": entries}
    return Reply(
        bundle, touched=(f"{resource_type}/{identity}",), patients=_patients(*(v for v, _ in versions))
    )


def find(call: Call, resource_type: str, pairs: Pairs) -> Reply:
    """``GET [type]?...`` and ``POST [type]/_search``: a searchset whose next link leads on."""
    _checked_type(resource_type)
    asked, kept = _search(resource_type, pairs)
    limits = call.principal.search_parameters(resource_type)
    asked = replace(asked, criteria=(*asked.criteria, *(Criterion.parse(*limit) for limit in limits)))
    with call.services.database.read() as connection:
        page = search(connection, call.access, asked, call.services.catalog.codes)
    included = [found for found in page.included if call.principal.may(found.type, "r")]
    links = [{"relation": "self", "url": f"{call.base}/{resource_type}{_query(pairs)}"}]
    if page.next is not None:
        following = _query([*kept, (_AFTER, page.next)])
        links.append({"relation": "next", "url": f"{call.base}/{resource_type}{following}"})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = links
    entries = [_entry(call, found, "match") for found in page.matches]
    entries += [_entry(call, found, "include") for found in included]
    if entries:
        bundle["entry"] = entries
    shown = (*page.matches, *included)
    return Reply(bundle, touched=tuple(found.reference for found in shown), patients=_patients(*shown))


def create(
    call: Call,
    connection: Connection,
    resource_type: str,
    resource: dict[str, Any],
    if_none_exist: str | None = None,
) -> Reply:
    """``POST [type]``: a new id, unless ``If-None-Exist`` finds what is there already."""
    _checked_body(resource_type, resource)
    if if_none_exist is not None:
        found = matching(call, connection, resource_type, if_none_exist)
        if found is not None:
            return _answer(found)
    new = {**resource, "id": str(uuid.uuid4())}
    _check_writable(call, connection, new)
    written = store.write(connection, call.home, new)
    return _written(call, written)


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
    expected = None
    if if_match is not None:
        expected = _version_asked(if_match)
        if expected is None:
            raise RequestError(f"If-Match '{if_match}' names no version.", mend='Write W/"1".')
    _check_writable(call, connection, resource)
    return _written(call, store.write(connection, call.home, resource, if_match=expected))


def update_conditionally(
    call: Call, connection: Connection, resource_type: str, query: str, resource: dict[str, Any]
) -> Reply:
    """``PUT [type]?...``: update the one that the search finds, or create."""
    _checked_body(resource_type, resource)
    found = matching(call, connection, resource_type, query)
    if found is None:
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
    return _written(call, store.write(connection, found.organization or call.home, changed))


def delete(call: Call, connection: Connection, resource_type: str, identity: str) -> Reply:
    """``DELETE [type]/[id]``: its versions stay; deleting twice is no fault."""
    _checked_type(resource_type)
    _check_writable(call, connection, {"resourceType": resource_type, "id": identity}, gone=True)
    removed = store.remove(connection, call.access, resource_type, identity)
    headers = {} if removed is None else {"ETag": f'W/"{removed.version}"'}
    patients = () if removed is None else _patients(removed)
    return Reply(None, 204, headers, touched=(f"{resource_type}/{identity}",), patients=patients)


def matching(call: Call, connection: Connection, resource_type: str, query: str) -> Stored | None:
    """The one resource that a condition finds. Raises RequestError where there are several."""
    pairs = parse_qsl(query.partition("?")[2] or query, keep_blank_values=True)
    asked, _ = _search(resource_type, [*pairs, ("_count", "2")])
    if not asked.criteria:
        raise RequestError("a condition without criteria would match everything.", mend="Add criteria.")
    found = search(connection, call.access, asked, call.services.catalog.codes).matches
    if len(found) > 1:
        raise RequestError(
            f"more than one {resource_type} matches '{query}'.",
            code="multiple-matches",
            mend="Make the criteria narrower.",
        )
    return found[0] if found else None


def _search(resource_type: str, pairs: Pairs) -> tuple[Search, list[tuple[str, str]]]:
    """The search of a query, and the pairs that its next page repeats."""
    criteria: list[Criterion] = []
    includes: list[str] = []
    reverse: list[str] = []
    sort: tuple[str, ...] = ()
    count, after, total = DEFAULT_COUNT, None, True
    kept = [(name, value) for name, value in pairs if name != _AFTER]
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise no_nul("the search")
        match name:
            case "_count":
                if _NUMBER.fullmatch(value) is None:
                    raise RequestError(f"_count is '{value}', which is no number.", where="_count")
                count = min(int(value), MOST)
            case "_summary":
                if value not in ("count", "false"):
                    raise RequestError(
                        f"_summary={value} is not served.", code="not-supported", where="_summary",
                        mend="Use count or leave it out.",
                    )  # fmt: skip
                count = 0 if value == "count" else count
            case "_total":
                if value not in ("none", "estimate", "accurate"):
                    raise RequestError(f"_total is '{value}'.", where="_total")
                total = value != "none"
            case "_include":
                includes.append(value)
            case "_revinclude":
                reverse.append(value)
            case "_sort":
                sort = tuple(value.split(","))
            case "_after":
                after = value
            case _ if name in _CONTROL:
                pass
            case _ if value == "":
                raise RequestError(f"the search parameter '{name}' is empty.", where=name)
            case _:
                criteria.append(Criterion.parse(name, value))
    asked = Search(resource_type, tuple(criteria), count, after, tuple(includes), tuple(reverse), sort, total)
    return asked, kept


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


def _checked_type(resource_type: str) -> None:
    if resource_type not in STORED:
        raise RequestError(
            f"'{resource_type}' is no resource type that this server keeps.",
            code="not-supported",
            mend="See metadata for those it keeps.",
            status=404,
        )


def _checked_body(resource_type: str, resource: dict[str, Any]) -> None:
    _checked_type(resource_type)
    if resource["resourceType"] != resource_type:
        raise RequestError(
            f"the body is a {resource['resourceType']}, the address asks for a {resource_type}.",
            where="resourceType",
            mend="Send it to the address of its type.",
        )


def _version_asked(etag: str | None) -> int | None:
    match = _ETAG.fullmatch(etag.strip()) if etag else None
    return None if match is None else int(match[1])


def _unless_known(call: Call, found: Stored) -> Reply:
    """The resource, or 304 where ``If-None-Match`` names its version, among others or as ``*``."""
    named = [tag.strip() for tag in call.headers.get("if-none-match", "").split(",")]
    if "*" in named or found.version in {_version_asked(tag) for tag in named}:
        return Reply(None, 304, _stamps(found), touched=(found.reference,), patients=_patients(found))
    return _answer(found)


def _answer(found: Stored) -> Reply:
    return Reply(found.body, 200, _stamps(found), touched=(found.reference,), patients=_patients(found))


def _written(call: Call, written: Stored) -> Reply:
    headers = _stamps(written)
    headers["Location"] = f"{call.base}/{written.reference}/_history/{written.version}"
    preferred = call.headers.get("prefer", "")
    body: bytes | dict[str, Any] | None = written.body
    if "return=minimal" in preferred:
        body = None
    elif "return=OperationOutcome" in preferred:
        body = information(f"{written.reference} is stored as version {written.version}.")
    return Reply(body, 201 if written.created else 200, headers, (written.reference,), _patients(written))


def _stamps(found: Stored) -> dict[str, str]:
    modified = found.updated.strftime("%a, %d %b %Y %H:%M:%S GMT")
    return {"ETag": f'W/"{found.version}"', "Last-Modified": modified}


def _instant(found: Stored) -> str:
    return found.updated.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entry(call: Call, found: Stored, mode: str) -> dict[str, Any]:
    return {
        "fullUrl": f"{call.base}/{found.reference}",
        "resource": msgspec.Raw(found.body),
        "search": {"mode": mode},
    }


def _patients(*found: Stored) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stored.patient for stored in found if stored.patient is not None))


def _query(pairs: Pairs) -> str:
    return f"?{urlencode(pairs)}" if pairs else ""
