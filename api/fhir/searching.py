"""Searches over HTTP (FHIR R4, 3.1.1): a query's parameters read, and the searchset that answers them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from sqlalchemy import Connection

from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import check_accepted, no_nul
from measurewise.api.fhir.outcomes import RequestError, outcome_of
from measurewise.api.fhir.types import check_stored
from measurewise.api.fhir.views import View
from measurewise.engine.errors import MeasurewiseError
from measurewise.store.resources import Stored
from measurewise.store.search import DEFAULT_COUNT, MOST, Criterion, Search, search, unsupported

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
AFTER: Final = "_after"
_ONCE: Final = frozenset({"_count", "_summary", "_elements", "_total", "_sort", AFTER})
_TOTALS: Final = ("none", "estimate", "accurate")
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as it is honoured: the search, how much of each resource is shown, and what was left out.

    ``kept`` are the pairs that a next link repeats; ``left_out`` is why others are not among them.
    """

    search: Search
    view: View
    kept: list[tuple[str, str]] = field(default_factory=list)
    left_out: tuple[MeasurewiseError, ...] = ()


def find(call: Call, resource_type: str, pairs: Pairs) -> Reply:
    """``GET [type]?...`` and ``POST [type]/_search``: a searchset whose next link leads on."""
    check_stored(resource_type)
    asked = _asked(call, resource_type, pairs)
    limits = call.principal.search_parameters(resource_type)
    wanted = asked.search
    wanted = replace(wanted, criteria=(*wanted.criteria, *(Criterion.parse(*limit) for limit in limits)))
    with call.services.database.read() as connection:
        page = search(connection, call.access, wanted, call.services.catalog.codes, call.principal.may)
    after = [pair for pair in pairs if pair[0] == AFTER]
    links = [link(call, "self", resource_type, [*asked.kept, *after])]
    if page.next is not None:
        links.append(link(call, "next", resource_type, [*asked.kept, (AFTER, page.next)]))
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = links
    entries = [_entry(call, found, "match", asked.view) for found in page.matches]
    entries += [_entry(call, found, "include", asked.view) for found in page.included]
    if asked.left_out:
        said = outcome_of(*asked.left_out, severity="warning")
        entries.append({"resource": said, "search": {"mode": "outcome"}})
    if entries:
        bundle["entry"] = entries
    shown = (*page.matches, *page.included)
    return Reply(bundle, touched=tuple(found.reference for found in shown), patients=patients(*shown))


def matching(call: Call, connection: Connection, resource_type: str, query: str) -> Stored | None:
    """The one resource that a condition finds. Raises RequestError where there are several."""
    pairs = parse_qsl(query.partition("?")[2] or query, keep_blank_values=True)
    asked = _search(resource_type, [*pairs, ("_count", "2")]).search
    if not asked.criteria:
        raise RequestError("a condition without criteria would match everything.", mend="Add criteria.")
    codes, may = call.services.catalog.codes, call.principal.may
    found = search(connection, call.access, asked, codes, may).matches
    if len(found) > 1:
        raise RequestError(
            f"more than one {resource_type} matches '{query}'.",
            code="multiple-matches",
            mend="Make the criteria narrower.",
        )
    return found[0] if found else None


def count_of(name: str, value: str) -> int:
    """A page's length. Raises RequestError."""
    if _NUMBER.fullmatch(value) is None:
        raise RequestError(f"{name} is '{value}', which is no number.", where=name)
    return min(int(value), MOST)


def link(call: Call, relation: str, path: str, pairs: Pairs) -> dict[str, str]:
    """A link of a Bundle."""
    query = f"?{urlencode(pairs)}" if pairs else ""
    return {"relation": relation, "url": f"{call.base}/{path}{query}"}


def patients(*found: Stored) -> tuple[str, ...]:
    """The patients whose data resources are, each once."""
    return tuple(dict.fromkeys(stored.patient for stored in found if stored.patient is not None))


def _asked(call: Call, resource_type: str, pairs: Pairs) -> Asked:
    """The query, without what is not served where the client prefers that (``Prefer: handling=lenient``)."""
    asked = _search(resource_type, pairs)
    if "handling=lenient" not in call.headers.get("prefer", "").replace(" ", ""):
        return asked
    codes, may = call.services.catalog.codes, call.principal.may
    why = {
        criterion: unsupported(call.access, resource_type, criterion, codes, may)
        for criterion in asked.search.criteria
    }
    served = tuple(criterion for criterion, error in why.items() if error is None)
    dropped = {criterion.key for criterion, error in why.items() if error is not None}
    return replace(
        asked,
        search=replace(asked.search, criteria=served),
        kept=[pair for pair in asked.kept if pair[0] not in dropped],
        left_out=tuple(error for error in why.values() if error is not None),
    )


def _search(resource_type: str, pairs: Pairs) -> Asked:
    """A query's parameters. Raises RequestError."""
    said: dict[str, str] = {}
    criteria: list[Criterion] = []
    includes: list[tuple[str, str]] = []
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise no_nul("the search")
        if name in _ONCE:
            said[name] = value
        elif name == "_format":
            check_accepted(None, value)
        elif name == "_pretty":
            pass
        elif value == "":
            raise RequestError(f"the search parameter '{name}' is empty.", where=name)
        elif name.partition(":")[0] in ("_include", "_revinclude"):
            includes.append((name, value))
        else:
            criteria.append(Criterion.parse(name, value))
    if said.get("_total", "none") not in _TOTALS:
        raise RequestError(
            f"_total is '{said['_total']}'.", where="_total", mend=f"Write one of {', '.join(_TOTALS)}."
        )
    summary = said.get("_summary")
    if summary == "text" and includes:
        raise RequestError("a search with _summary=text includes nothing else.", where="_summary")
    count = count_of("_count", said["_count"]) if "_count" in said else DEFAULT_COUNT
    asked = Search(
        resource_type,
        tuple(criteria),
        0 if summary == "count" else count,
        said.get(AFTER),
        tuple(includes),
        tuple(said["_sort"].split(",")) if "_sort" in said else (),
        said.get("_total") != "none",
    )
    view = View.parse(resource_type, summary, said.get("_elements"))
    return Asked(asked, view, [pair for pair in pairs if pair[0] != AFTER])


def _entry(call: Call, found: Stored, mode: str, view: View) -> dict[str, Any]:
    return {
        "fullUrl": f"{call.base}/{found.reference}",
        "resource": msgspec.Raw(view.of(found.body)),
        "search": {"mode": mode},
    }
