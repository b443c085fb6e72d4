"""All there is of a patient, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, or_, select

from measurewise.api.services.records import referred_to
from measurewise.store.access import Access
from measurewise.store.errors import SearchError
from measurewise.store.resources import HELD, read, stored
from measurewise.store.search import Page
from measurewise.store.search_index import moments
from measurewise.store.tables import resources, search_values

_CARE_DATES = (
    "date", "onset-date", "authoredon", "effective-time", "effective", "whenhandedover", "occurrence",
    "authored", "authored-on", "event-date", "sent", "received", "recorded-date", "period", "start-date",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; dates as FHIR writes them, ``after`` the key of the last resource before."""

    patient: str | None
    types: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    since: str | None = None
    count: int = 1000
    after: int = 0


def everything_page(connection: Connection, access: Access, wanted: Wanted) -> Page:
    """A page of the patients' own resources, with the shared ones that those of the page refer to.

    A resource without a date of care comes whatever ``start`` and ``end`` say. Raises NoSuchResourceError.
    """
    conditions = [
        resources.c.deleted.is_(False),
        resources.c.patient.is_not(None),
        access.rows(resources),
    ]
    if wanted.patient is not None:
        read(connection, access, "Patient", wanted.patient)
        conditions.append(resources.c.patient == wanted.patient)
    if wanted.types:
        conditions.append(resources.c.type.in_(wanted.types))
    if wanted.since is not None:
        conditions.append(resources.c.updated > _moment(wanted.since))
    if wanted.start is not None or wanted.end is not None:
        conditions.append(_cared_for(wanted.start, wanted.end))
    total = connection.execute(select(func.count()).select_from(resources).where(*conditions)).scalar_one()
    rows = connection.execute(
        select(*HELD)
        .where(*conditions, resources.c.key > wanted.after)
        .order_by(resources.c.key)
        .limit(wanted.count + 1)
    ).all()
    matches = [stored(row) for row in rows[: wanted.count]]
    included = [
        found
        for found in referred_to(connection, access, [match.body for match in matches])
        if not wanted.types or found.type in wanted.types
    ]
    following = str(matches[-1].key) if len(rows) > wanted.count else None
    return Page(matches, included, total, following)


def _cared_for(start: str | None, end: str | None) -> ColumnElement[bool]:
    values = search_values.c
    dated = select(values.resource).where(values.parameter.in_(_CARE_DATES))
    within = dated
    first, last = moments(start), moments(end)
    if first is not None:
        within = within.where(values.high >= first[0])
    if last is not None:
        within = within.where(values.low <= last[1])
    return or_(resources.c.key.in_(within), resources.c.key.not_in(dated))


def _moment(text: str) -> datetime:
    span = moments(text)
    if span is None:
        raise SearchError(f"'{text}' is no moment.", where="_since", mend="Write 2026-01-31T08:00:00Z.")
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=span[0])
