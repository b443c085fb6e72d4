"""Searches over the stored resources (FHIR R4, 3.1.1): parameters in, one page of resources out.

Pages follow the order in which resources were first written, and a page's link names the last one, so that
what is written while somebody pages through moves nothing between pages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from measurewise.store.access import Access
from measurewise.store.errors import SearchError, UnsupportedSearchError
from measurewise.store.resources import HELD, Stored, stored
from measurewise.store.search_conditions import Codes, Criterion, Finder, May, everything
from measurewise.store.search_includes import Include, included
from measurewise.store.search_index import Parameter, parameters
from measurewise.store.tables import resources, search_values

DEFAULT_COUNT: Final = 50
MOST: Final = 1000
_PAGE: Final = re.compile(r"[0-9]{1,18}")
_SORTS: Final = {"_lastUpdated": resources.c.updated, "_id": resources.c.id}


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for. ``after`` is the key of the last resource of the page before."""

    resource_type: str
    criteria: tuple[Criterion, ...] = ()
    count: int = DEFAULT_COUNT
    after: str | None = None
    includes: tuple[tuple[str, str], ...] = ()
    """Keys and values, such as ``("_include:iterate", "Patient:organization")``."""
    sort: tuple[str, ...] = ()
    total: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """A page: what matches, what is included, how many match in all, and where the next page starts."""

    matches: list[Stored]
    included: list[Stored] = field(default_factory=list)
    total: int | None = None
    next: str | None = None


def search(
    connection: Connection,
    access: Access,
    asked: Search,
    codes: Codes,
    may: May = everything,
) -> Page:
    """One page. Raises SearchError for parameters that cannot be honoured; none is ignored.

    ``may`` says which types chains may search and includes may bring.
    """
    finder = Finder(access, codes, may)
    condition = _conditions(finder, asked)
    includes = [Include.parse(key, value) for key, value in asked.includes]
    total = None
    if asked.total:
        total = connection.execute(select(func.count()).select_from(resources).where(condition)).scalar_one()
    query, offset = _page(select(*HELD).where(condition), asked)
    if asked.count == 0:
        return Page([], total=total)
    rows = connection.execute(query.limit(asked.count + 1)).all()
    matches = [stored(row) for row in rows[: asked.count]]
    following = None
    if len(rows) > asked.count:
        following = str(offset + asked.count) if asked.sort else str(matches[-1].key)
    along = included(connection, finder, asked.resource_type, includes, matches)
    return Page(matches, along, total, following)


def unsupported(
    access: Access, resource_type: str, criterion: Criterion, codes: Codes, may: May
) -> UnsupportedSearchError | None:
    """Why a criterion is not served, None where it is. Raises SearchError where its value is at fault."""
    try:
        Finder(access, codes, may).condition(resources, resource_type, criterion)
    except UnsupportedSearchError as error:
        return error
    return None


def conditions(access: Access, asked: Search, codes: Codes) -> ColumnElement[bool]:
    """What the rows of ``resources`` that a search finds meet. Raises SearchError."""
    return _conditions(Finder(access, codes), asked)


def _conditions(finder: Finder, asked: Search) -> ColumnElement[bool]:
    kind = asked.resource_type
    met = (finder.condition(resources, kind, criterion) for criterion in asked.criteria)
    return and_(finder.visible(resources, kind), *met)


def _page(query: Select[Any], asked: Search) -> tuple[Select[Any], int]:
    if asked.after is not None and _PAGE.fullmatch(asked.after) is None:
        raise SearchError("this page does not exist.", where="_after", mend="Follow next links only.")
    after = int(asked.after) if asked.after is not None else 0
    if not asked.sort:
        return query.where(resources.c.key > after).order_by(resources.c.key), 0
    for name in asked.sort:
        query = query.order_by(*_order(asked.resource_type, name.removeprefix("-"), name.startswith("-")))
    return query.order_by(resources.c.key).offset(after), after


def _order(resource_type: str, name: str, descending: bool) -> list[ColumnElement[Any]]:
    """The order by one parameter; a resource without a value comes last (FHIR R4, 3.1.1.5.1)."""
    column = _SORTS.get(name)
    if column is not None:
        return [column.desc() if descending else column.asc()]
    parameter = parameters(resource_type).get(name)
    if parameter is None:
        raise SearchError(
            f"{resource_type} is not sorted by '{name}'.",
            where="_sort",
            mend=f"Sort by one of {', '.join([*_SORTS, *sorted(parameters(resource_type))])}.",
        )
    value = _least_or_greatest(parameter, descending)
    return [value.is_(None), value.desc() if descending else value.asc()]


def _least_or_greatest(parameter: Parameter, descending: bool) -> ColumnElement[Any]:
    """Of several values the least counts in ascending order, the greatest in descending."""
    columns = search_values.c
    if parameter.kind == "date":
        value: ColumnElement[Any] = func.max(columns.high) if descending else func.min(columns.low)
    else:
        value = func.max(columns.value) if descending else func.min(columns.value)
    found = select(value).where(columns.resource == resources.c.key, columns.parameter == parameter.name)
    return found.correlate(resources).scalar_subquery()


__all__ = [
    "DEFAULT_COUNT",
    "MOST",
    "Codes",
    "Criterion",
    "Page",
    "Search",
    "conditions",
    "search",
    "unsupported",
]
