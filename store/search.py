"""Searches over the stored resources (FHIR R4, 3.1.1): parameters in, one page of resources out.

Pages follow the order in which resources were first written, and a page's link names the last one, so that
what is written while somebody pages through moves nothing between pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, or_, select

from measurewise.store.access import Access
from measurewise.store.errors import SearchError
from measurewise.store.resources import HELD, Stored, of_references, stored
from measurewise.store.search_index import (
    Parameter,
    folded,
    microseconds,
    moments,
    parameters,
    split_reference,
)
from measurewise.store.tables import resources, search_values

DEFAULT_COUNT: Final = 50
MOST: Final = 1000
_PAGE: Final = re.compile(r"[0-9]{1,18}")
# An escaped bar within a value, until it is known whether bars part the value.
_BAR: Final = "\x1f"
_PREFIXES: Final = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_COMPARTMENT_NAMES: Final = ("patient", "subject", "beneficiary")
_SORTS: Final = {"_lastUpdated": resources.c.updated, "_id": resources.c.id}

Codes = Callable[[str], Sequence[tuple[str, str]]]
"""The (system, code) pairs of a value set by its URL; raises a MeasurewiseError where it is not there."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """``name:modifier=value,value``: any of the values."""

    name: str
    modifier: str | None
    values: tuple[str, ...]

    @classmethod
    def parse(cls, key: str, value: str) -> Criterion:
        """From a query's key and value; ``\\,``, ``\\|`` and ``\\$`` stand for themselves."""
        name, _, modifier = key.partition(":")
        return cls(name, modifier or None, tuple(_split(value)))


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for. ``after`` is the key of the last resource of the page before."""

    resource_type: str
    criteria: tuple[Criterion, ...] = ()
    count: int = DEFAULT_COUNT
    after: str | None = None
    includes: tuple[str, ...] = ()
    reverse_includes: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    total: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """A page: what matches, what is included, how many match in all, and where the next page starts."""

    matches: list[Stored]
    included: list[Stored] = field(default_factory=list)
    total: int | None = None
    next: str | None = None


def search(connection: Connection, access: Access, asked: Search, codes: Codes) -> Page:
    """One page. Raises SearchError for parameters that cannot be honoured; none is ignored."""
    condition = conditions(access, asked, codes)
    total = None
    if asked.total:
        total = connection.execute(select(func.count()).select_from(resources).where(condition)).scalar_one()
    if asked.count == 0:
        return Page([], total=total)
    query, offset = _page(select(*HELD).where(condition), asked)
    rows = connection.execute(query.limit(asked.count + 1)).all()
    matches = [stored(row) for row in rows[: asked.count]]
    following = None
    if len(rows) > asked.count:
        following = str(offset + asked.count) if asked.sort else str(matches[-1].key)
    return Page(matches, _included(connection, access, asked, matches), total, following)


def _page(query: Select[Any], asked: Search) -> tuple[Select[Any], int]:
    if asked.after is not None and _PAGE.fullmatch(asked.after) is None:
        raise SearchError("this page does not exist.", where="_after", mend="Follow next links only.")
    after = int(asked.after) if asked.after is not None else 0
    if not asked.sort:
        return query.where(resources.c.key > after).order_by(resources.c.key), 0
    for name in asked.sort:
        column = _SORTS.get(name.lstrip("-"))
        if column is None:
            raise SearchError(
                f"results cannot be sorted by '{name}'.",
                where="_sort",
                mend=f"Sort by one of {', '.join(_SORTS)}.",
            )
        query = query.order_by(column.desc() if name.startswith("-") else column.asc())
    return query.order_by(resources.c.key).offset(after), after


def conditions(access: Access, asked: Search, codes: Codes) -> ColumnElement[bool]:
    """What the rows of ``resources`` that a search finds meet. Raises SearchError."""
    found = [
        resources.c.type == asked.resource_type,
        resources.c.deleted.is_(False),
        access.rows(resources),
    ]
    known = parameters(asked.resource_type)
    for criterion in asked.criteria:
        found.append(_condition(asked.resource_type, criterion, known, codes))
    return and_(*found)


def _condition(
    resource_type: str, criterion: Criterion, known: Mapping[str, Parameter], codes: Codes
) -> ColumnElement[bool]:
    name = criterion.name
    if name == "_id":
        return resources.c.id.in_([value.rpartition("/")[2] for value in criterion.values])
    if name == "_lastUpdated":
        return or_(*(_updated(value) for value in criterion.values))
    if name in _COMPARTMENT_NAMES and name not in known:
        return _of_patient(criterion)
    parameter = known.get(name)
    if parameter is None:
        if name.partition(".")[0] in known or name == "_has":
            raise SearchError("chained searches are not served.", where=name)
        raise SearchError(
            f"{resource_type} is not searched by '{name}'.",
            where=name,
            mend=f"Use one of _id, _lastUpdated, patient, {', '.join(sorted(known))}.",
        )
    if criterion.modifier == "missing":
        return _missing(parameter, criterion)
    rows = or_(false(), *(_value(parameter, criterion.modifier, value, codes) for value in criterion.values))
    found = select(search_values.c.resource).where(search_values.c.parameter == name, rows)
    matching = resources.c.key.in_(found)
    return ~matching if parameter.kind == "token" and criterion.modifier in ("not", "not-in") else matching


def _of_patient(criterion: Criterion) -> ColumnElement[bool]:
    if criterion.modifier not in (None, "Patient"):
        raise SearchError(f"the modifier ':{criterion.modifier}' is not served.", where=criterion.name)
    identities = []
    for value in criterion.values:
        kind, identity = split_reference(value)
        if kind not in (None, "Patient"):
            return false()
        identities.append(identity)
    return resources.c.patient.in_(identities)


def _missing(parameter: Parameter, criterion: Criterion) -> ColumnElement[bool]:
    (asked,) = criterion.values if len(criterion.values) == 1 else ("",)
    if asked not in ("true", "false"):
        raise SearchError("':missing' takes true or false.", where=parameter.name)
    there = resources.c.key.in_(
        select(search_values.c.resource).where(search_values.c.parameter == parameter.name)
    )
    return ~there if asked == "true" else there


def _value(parameter: Parameter, modifier: str | None, value: str, codes: Codes) -> ColumnElement[bool]:
    columns = search_values.c
    if (parameter.kind, modifier) in (("token", None), ("token", "not")):
        return _token(value)
    value = value.replace(_BAR, "|")
    match parameter.kind, modifier:
        case "token", "in" | "not-in":
            return _any_code(codes(value))
        case "string", None:
            return columns.value.startswith(folded(value), autoescape=True)
        case "string", "contains":
            return columns.value.contains(folded(value), autoescape=True)
        case "string", "exact":
            return columns.system == value
        case "uri", None:
            # A canonical may carry a version that the search does not name.
            return or_(columns.value == value, columns.value.startswith(f"{value}|", autoescape=True))
        case "uri", "below":
            return columns.value.startswith(value, autoescape=True)
        case "reference", None:
            kind, identity = split_reference(value)
            same = columns.value == identity
            return same if kind is None else and_(same, columns.system == kind)
        case "date", None:
            return _date(value, parameter.name)
        case "reference", str() as kind if kind[:1].isupper():
            return and_(columns.value == value.rpartition("/")[2], columns.system == kind)
        case _:
            raise SearchError(f"the modifier ':{modifier}' is not served.", where=parameter.name)


def _token(value: str) -> ColumnElement[bool]:
    columns = search_values.c
    system, bar, code = value.rpartition("|")
    system, code = system.replace(_BAR, "|"), code.replace(_BAR, "|")
    conditions: list[ColumnElement[bool]] = []
    if bar:
        conditions.append(columns.system == system if system else columns.system.is_(None))
    if code or not bar:
        conditions.append(columns.value == code)
    return and_(*conditions)


def _any_code(pairs: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    by_system: dict[str, list[str]] = {}
    for system, code in pairs:
        by_system.setdefault(system, []).append(code)
    return or_(
        false(),
        *(
            and_(
                search_values.c.system == system,
                search_values.c.value.in_(found),
            )
            for system, found in by_system.items()
        ),
    )


def _span(value: str, name: str) -> tuple[str, int, int]:
    prefix, text = (value[:2], value[2:]) if value[:2] in _PREFIXES else ("eq", value)
    # A plus sign of an offset comes out of many a query string as a space.
    span = moments(text.replace(" ", "+"))
    if span is None:
        raise SearchError(
            f"'{value}' is no date.", where=name, mend="Write 2026-01-31 or ge2026-01-31T08:00:00Z."
        )
    return prefix, *span


def _date(value: str, name: str) -> ColumnElement[bool]:
    prefix, low, high = _span(value, name)
    start, end = search_values.c.low, search_values.c.high
    match prefix:
        case "eq":
            return and_(start >= low, end <= high)
        case "ne":
            return or_(start < low, end > high)
        case "gt":
            return end > high
        case "lt":
            return start < low
        case "ge":
            return end >= low
        case "le":
            return start <= high
        case "sa":
            return start > high
        case "eb":
            return end < low
        case _:
            return and_(start <= high, end >= low)


def _updated(value: str) -> ColumnElement[bool]:
    prefix, low, high = _span(value, "_lastUpdated")
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    first, last = (epoch + timedelta(microseconds=moment) for moment in (low, high))
    column = resources.c.updated
    match prefix:
        case "eq" | "ap":
            return and_(column >= first, column <= last)
        case "ne":
            return or_(column < first, column > last)
        case "gt" | "sa":
            return column > last
        case "lt" | "eb":
            return column < first
        case "ge":
            return column >= first
        case _:
            return column <= last


def _included(
    connection: Connection, access: Access, asked: Search, matches: Sequence[Stored]
) -> list[Stored]:
    """What ``_include`` and ``_revinclude`` add, each once, nothing that matches by itself."""
    found: dict[int, Stored] = {}
    keys = [match.key for match in matches]
    for include in asked.includes:
        kind, name, target = _include(include, "_include")
        if kind != asked.resource_type:
            raise SearchError(f"'{include}' is not about {asked.resource_type}.", where="_include")
        references = _referenced(connection, kind, name, keys, matches)
        wanted = [(system, value) for system, value in references if target in (None, system)]
        for resource in of_references(connection, access, wanted):
            found[resource.key] = resource
    for include in asked.reverse_includes:
        kind, name, _ = _include(include, "_revinclude")
        for resource in _referring(connection, access, kind, name, matches):
            found[resource.key] = resource
    return [resource for key, resource in found.items() if key not in set(keys)]


def _include(text: str, where: str) -> tuple[str, str, str | None]:
    kind, _, rest = text.partition(":")
    name, _, target = rest.partition(":")
    parameter = parameters(kind).get(name)
    if name not in _COMPARTMENT_NAMES and (parameter is None or parameter.kind != "reference"):
        raise SearchError(f"'{text}' names no reference.", where=where, mend="Write Type:parameter.")
    return kind, name, target or None


def _referenced(
    connection: Connection, kind: str, name: str, keys: Sequence[int], matches: Sequence[Stored]
) -> list[tuple[str, str]]:
    if name in _COMPARTMENT_NAMES and name not in parameters(kind):
        return sorted({("Patient", match.patient) for match in matches if match.patient is not None})
    rows = connection.execute(
        select(search_values.c.system, search_values.c.value)
        .where(
            search_values.c.resource.in_(keys),
            search_values.c.parameter == name,
            search_values.c.system.is_not(None),
        )
        .distinct()
    )
    return [(str(system), str(value)) for system, value in rows]


def _referring(
    connection: Connection, access: Access, kind: str, name: str, matches: Sequence[Stored]
) -> list[Stored]:
    here = [resources.c.type == kind, resources.c.deleted.is_(False), access.rows(resources)]
    identities = [match.id for match in matches]
    if name in _COMPARTMENT_NAMES and name not in parameters(kind):
        here.append(resources.c.patient.in_([m.id for m in matches if m.type == "Patient"]))
    elif matches:
        here.append(
            resources.c.key.in_(
                select(search_values.c.resource).where(
                    search_values.c.parameter == name,
                    search_values.c.system == matches[0].type,
                    search_values.c.value.in_(identities),
                )
            )
        )
    else:
        return []
    return [stored(row) for row in connection.execute(select(*HELD).where(*here).order_by(resources.c.key))]


def _split(value: str) -> list[str]:
    parts, current, escaped = [], "", False
    for character in value:
        if escaped:
            current, escaped = current + (_BAR if character == "|" else character), False
        elif character == "\\":
            escaped = True
        elif character == ",":
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


__all__ = [
    "DEFAULT_COUNT",
    "MOST",
    "Codes",
    "Criterion",
    "Page",
    "Search",
    "conditions",
    "microseconds",
    "search",
]
