"""Named sources: FHIR servers (or files) whose patients are kept in the store, and how far they are synced.

No secret stands here: those come from the server's settings, by the source's id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, delete, func, insert, or_, select, update

from measurewise.store.access import Access
from measurewise.store.errors import ConflictError, NoSuchResourceError, StoreError
from measurewise.store.tables import source_patients, source_resources, sources

WayName = Literal["auto", "searches", "everything", "bulk", "files"]
SignInName = Literal["none", "bearer", "basic", "client-credentials", "backend-services"]
SubscribeName = Literal["no", "criteria", "topic"]
PayloadName = Literal["empty", "id-only", "full-resource"]

_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")
_COLUMNS: Final = (
    sources.c.id,
    sources.c.organization,
    sources.c.url,
    sources.c.settings,
    sources.c.synced,
    sources.c.last_event,
    sources.c.subscriptions,
    sources.c.heard,
)


class SourceSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a source is read.

    ``group`` is the id of a Group at the source whose members are wanted; ``rule`` an attribution rule, for
    ``provider`` and ``practice`` in the dates ``start`` to ``end``; with neither, all patients. ``overlap``
    are the seconds before the last sync from which changes are asked for again. With ``prefixed`` the ids of
    its resources begin with the source's own.

    ``subscribe`` says which Subscriptions are kept at the source: by ``criteria`` one for each type that the
    measures retrieve, or one of a ``topic`` (canonical URL) with ``filters``, a ``payload`` and a
    ``heartbeat`` in seconds (0: none is asked for). ``catch_up`` are the seconds after which all changes are
    asked for in any case (0: never).
    """

    way: WayName = "auto"
    sign_in: SignInName = "none"
    page_size: int = 500
    concurrency: int = 4
    batch: int = 20
    overlap: float = 60.0
    prefixed: bool = False
    group: str | None = None
    rule: str | None = None
    provider: tuple[str, ...] = ()
    practice: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    types: tuple[str, ...] = ()
    subscribe: SubscribeName = "no"
    topic: str | None = None
    filters: tuple[str, ...] = ()
    payload: PayloadName = "id-only"
    heartbeat: int = 0
    catch_up: float = 3600.0


class Subscribed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Subscription at the source: its id there, criteria or topic, status, and until when it is to live;
    ``asked`` tells how it was asked for."""

    id: str
    criteria: str
    status: str
    end: str = ""
    asked: str = ""


class Subscriptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of the Subscriptions at a source.

    ``types`` are those that the measures of the content's ``revision`` retrieve; ``issues`` what the source
    would not do, as OperationOutcome.issue.
    """

    held: tuple[Subscribed, ...] = ()
    revision: int | None = None
    types: tuple[str, ...] = ()
    issues: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A source. ``synced`` is the source's own time up to which all its changes are stored (ISO 8601);
    ``heard`` when a notification came the last time."""

    id: str
    organization: str
    url: str
    settings: SourceSettings
    synced: str | None = None
    last_event: int | None = None
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    heard: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """How many patients of a source are in the store, and how many could not be read the last time."""

    held: int
    failed: int


def add(connection: Connection, source: Source) -> None:
    """Keep a new source. Raises ConflictError for an id that is taken, StoreError for one of a wrong form."""
    if _ID.fullmatch(source.id) is None:
        raise StoreError(
            f"'{source.id}' cannot be a source's name.",
            where="source",
            mend="Begin with a small letter; then up to 19 small letters, digits and hyphens.",
        )
    if connection.execute(select(sources.c.id).where(sources.c.id == source.id)).first() is not None:
        raise ConflictError(
            f"there is a source '{source.id}' already.", where="source", mend="Choose another name."
        )
    connection.execute(
        insert(sources).values(
            id=source.id,
            organization=source.organization,
            url=source.url,
            settings=msgspec.json.encode(source.settings),
            synced=source.synced,
            last_event=source.last_event,
        )
    )


def read(connection: Connection, access: Access, identity: str) -> Source:
    """Raises NoSuchResourceError where there is none or the access may not see it."""
    row = connection.execute(
        select(*_COLUMNS).where(sources.c.id == identity, access.own_rows(sources))
    ).first()
    if row is None:
        raise NoSuchResourceError(
            f"there is no source '{identity}'.", where="source", mend="See measurewise source list."
        )
    return _source(row)


def listed(connection: Connection, access: Access) -> list[Source]:
    """All sources, by id."""
    rows = connection.execute(select(*_COLUMNS).where(access.own_rows(sources)).order_by(sources.c.id))
    return [_source(row) for row in rows]


def remove(connection: Connection, source: Source) -> None:
    """Forget a source and what it gave; the data themselves stay (see ``source_data.remove_all``)."""
    for table in (source_resources, source_patients):
        connection.execute(delete(table).where(table.c.source == source.id))
    connection.execute(delete(sources).where(sources.c.id == source.id))


def advance(connection: Connection, source: str, since: str | None, until: str) -> bool:
    """Note that all changes until a moment are stored, if what was known before is still ``since``."""
    known = sources.c.synced.is_(None) if since is None else sources.c.synced == since
    done = connection.execute(update(sources).where(sources.c.id == source, known).values(synced=until))
    return done.rowcount == 1


def note_event(connection: Connection, source: str, number: int) -> None:
    """Note the number of the last event that the source's subscription told of."""
    connection.execute(
        update(sources)
        .where(sources.c.id == source, or_(sources.c.last_event.is_(None), sources.c.last_event < number))
        .values(last_event=number)
    )


def number_anew(connection: Connection, source: str, number: int) -> None:
    """Note that a subscription has begun (again) to count its events, and how far it is."""
    connection.execute(update(sources).where(sources.c.id == source).values(last_event=number))


def note_heard(connection: Connection, source: str, moment: datetime) -> None:
    """Note that a notification came."""
    connection.execute(update(sources).where(sources.c.id == source).values(heard=moment))


def change(connection: Connection, source: str, settings: SourceSettings) -> None:
    """Give a source other settings."""
    connection.execute(
        update(sources).where(sources.c.id == source).values(settings=msgspec.json.encode(settings))
    )


def keep_subscriptions(connection: Connection, source: str, found: Subscriptions) -> None:
    """Note what is known of the Subscriptions at a source."""
    connection.execute(
        update(sources).where(sources.c.id == source).values(subscriptions=msgspec.json.encode(found))
    )


def look_at(connection: Connection, source: str, moment: datetime | None) -> None:
    """Say when a source's Subscriptions are to be looked after the next time."""
    connection.execute(update(sources).where(sources.c.id == source).values(look_at=moment))


def due(connection: Connection, moment: datetime) -> list[str]:
    """The sources whose Subscriptions are to be looked after."""
    query = select(sources.c.id).where(sources.c.look_at <= moment).order_by(sources.c.look_at)
    return list(connection.execute(query).scalars())


def take_due(connection: Connection, source: str, moment: datetime, after: datetime) -> bool:
    """Take it upon oneself to look after a source's Subscriptions; others do not before ``after``."""
    mine = connection.execute(
        update(sources).where(sources.c.id == source, sources.c.look_at <= moment).values(look_at=after)
    )
    return mine.rowcount == 1


def held_patients(connection: Connection, source: str) -> set[str]:
    """The ids (at the source) of the patients whose data are in the store."""
    query = select(source_patients.c.patient).where(
        source_patients.c.source == source, source_patients.c.held
    )
    return set(connection.execute(query).scalars())


def failed_patients(connection: Connection, source: str) -> dict[str, dict[str, Any]]:
    """Why patients could not be read whole the last time, by id at the source."""
    query = (
        select(source_patients.c.patient, source_patients.c.error)
        .where(source_patients.c.source == source, source_patients.c.error.is_not(None))
        .order_by(source_patients.c.patient)
    )
    return {patient: msgspec.json.decode(error) for patient, error in connection.execute(query)}


def counts(connection: Connection, source: str) -> SourceCounts:
    """How many patients of the source there are."""
    query = select(func.count().filter(source_patients.c.held), func.count(source_patients.c.error)).where(
        source_patients.c.source == source
    )
    held, failed = connection.execute(query).one()
    return SourceCounts(int(held), int(failed))


def _source(row: Any) -> Source:
    identity, organization, url, settings, synced, last_event, subscriptions, heard = row
    return Source(
        identity,
        organization,
        url,
        msgspec.json.decode(settings, type=SourceSettings),
        synced,
        last_event,
        Subscriptions() if subscriptions is None else msgspec.json.decode(subscriptions, type=Subscriptions),
        heard.replace(tzinfo=UTC) if heard is not None and heard.tzinfo is None else heard,
    )
