"""The Subscriptions that the server keeps at its sources: created, renewed, ended, and what they missed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from measurewise.api.fhir.outcomes import issue
from measurewise.api.services.context import Services
from measurewise.api.services.measures import canonical_of
from measurewise.api.services.source_reading import instant
from measurewise.api.services.sources import client_of, hook_secret, synced_types
from measurewise.engine import Period
from measurewise.engine.errors import MeasurewiseError
from measurewise.fhir_server_adapter import subscribing as adapter
from measurewise.fhir_server_adapter.capabilities import Capabilities, read_capabilities
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.search_plan import required_types
from measurewise.fhir_server_adapter.subscribing import Held, Topic, Wanted
from measurewise.store import sources
from measurewise.store.database import now
from measurewise.store.sources import Source, Subscribed, Subscriptions

LIFE: Final = timedelta(days=7)
"""How long a Subscription is asked for; it is renewed when half of it has passed."""
_PATIENCE: Final = timedelta(minutes=10)
"""How long a Subscription is expected to become active at any moment."""


@dataclass(slots=True)
class Looked:
    """What was found and done at a source, and ``known`` to be kept of it; ``asked``: how each was asked for.

    ``missed``: all changes are to be asked for; ``events``: only those from one number to another of a
    Subscription; ``number``: from where on the numbers count now. ``numbered``: the source said how many
    events there were; ``soon``: one that was asked for lately is not active yet.
    """

    held: list[Held] = field(default_factory=list)
    errors: list[MeasurewiseError] = field(default_factory=list)
    asked: dict[str, str] = field(default_factory=dict)
    missed: bool = False
    number: int | None = None
    numbered: bool = False
    events: tuple[int, int, str] | None = None
    soon: bool = False
    known: Subscriptions = field(default_factory=Subscriptions)


def hook_address(services: Services, source: Source) -> str:
    """Where a source sends its notifications: below the address by which others reach this server."""
    return f"{services.settings.security.fhir_url}/$subscription-hook/{source.id}"


def looked_after(services: Services, source: Source) -> Looked:
    """Make the Subscriptions at a source what its settings say, and find out what was missed.

    Raises SourceError where the source cannot be reached or has no Subscriptions.
    """
    secret = hook_secret(services.settings, source)
    revision, types = _retrieved(services, source.subscriptions)
    looked = asyncio.run(_looked_after(services, source, secret, types))
    looked.soon = any(one.status == "requested" and _left(one, LIFE - _PATIENCE) for one in looked.held)
    looked.known = Subscriptions(
        tuple(
            Subscribed(one.id, one.criteria, one.status, one.end, looked.asked.get(one.criteria, ""))
            for one in looked.held
        ),
        revision,
        tuple(sorted(types)),
        tuple(issue(error) for error in looked.errors),
    )
    return looked


def end_subscriptions(services: Services, source: Source) -> int:
    """Delete all Subscriptions at a source; how many there were. Raises SourceError."""

    async def run() -> int:
        async with client_of(services.settings, source) as client:
            there = await _held(services, source, client, await read_capabilities(client))
            for one in there:
                await adapter.end(client, one.id)
            return len(there)

    ended = asyncio.run(run())
    with services.database.write() as connection:
        sources.keep_subscriptions(connection, source.id, Subscriptions())
        sources.look_at(connection, source.id, None)
    return ended


async def _looked_after(services: Services, source: Source, secret: str, types: Iterable[str]) -> Looked:
    looked = Looked()
    async with client_of(services.settings, source) as client:
        capabilities = await read_capabilities(client)
        if not adapter.offers_subscriptions(capabilities):
            raise SourceError(
                "the server offers no Subscriptions.",
                where=source.url,
                mend="Add the source without --subscribe, and sync it with --every.",
                code="not-supported",
            )
        wanted = {one.criteria: one for one in _wanted(services, source, secret, types, capabilities)}
        looked.asked = {criteria: one.digest for criteria, one in wanted.items()}
        known = {one.id: one for one in source.subscriptions.held}
        for held in await _held(services, source, client, capabilities):
            asked = wanted.pop(held.criteria, None)
            if asked is None:
                await adapter.end(client, held.id)
                continue
            before = known.get(held.id)
            if held.status == "active" and (before is None or before.status != "active"):
                looked.missed = True
            broken = held.status in ("error", "off")
            otherwise = before is None or before.asked != asked.digest or _foreign(held, secret)
            if broken or otherwise or not _left(held, LIFE / 2):
                looked.missed = looked.missed or broken
                held = await _asked(client, asked, held.id, looked) or held
            looked.held.append(held)
        for asked in wanted.values():
            created = await _asked(client, asked, None, looked)
            if created is not None:
                looked.held.append(created)
                looked.missed = looked.missed or created.status == "active"
                if asked.topic is not None:
                    looked.number = 0
        if source.settings.subscribe == "topic" and adapter.offers(capabilities, "status"):
            await _counted(client, source, looked, events=adapter.offers(capabilities, "events"))
    return looked


async def _asked(client: FhirClient, wanted: Wanted, identity: str | None, looked: Looked) -> Held | None:
    """Create or renew one Subscription; what the source will not do is noted, and the others go on."""
    try:
        return await adapter.ask_for(client, wanted, identity)
    except SourceError as error:
        if error.status is None or error.status >= 500:
            raise
        looked.errors.append(error)
        looked.asked.pop(wanted.criteria, None)
        return None


async def _counted(client: FhirClient, source: Source, looked: Looked, *, events: bool) -> None:
    """Compare the number of the last event at the source with that of the last one that came."""
    for held in looked.held:
        if held.status != "active" or looked.number is not None:
            continue
        try:
            told = await adapter.status_of(client, held.id)
        except SourceError as error:
            looked.errors.append(error)
            continue
        known = source.last_event or 0
        last = told.last_event
        if last is None:
            continue
        looked.numbered = True
        if last > known and events:
            looked.events = (known + 1, last, held.id)
        elif last != known:
            looked.missed, looked.number = True, last


def _wanted(
    services: Services, source: Source, secret: str, types: Iterable[str], capabilities: Capabilities
) -> list[Wanted]:
    settings = source.settings
    endpoint = hook_address(services, source)
    until = instant(now() + LIFE)
    if settings.subscribe == "topic":
        topic = Topic(settings.filters, settings.payload, settings.heartbeat)
        return [Wanted(settings.topic or "", endpoint, secret, until, topic, deletions=_hapi(capabilities))]
    return [
        Wanted(
            f"{kind}?",
            endpoint,
            secret,
            until,
            payload=settings.payload != "empty",
            deletions=_hapi(capabilities),
        )
        for kind in sorted(set(types) & synced_types(source) & capabilities.types.keys())
    ]


def _hapi(capabilities: Capabilities) -> bool:
    return "HAPI" in capabilities.software


async def _held(
    services: Services, source: Source, client: FhirClient, capabilities: Capabilities
) -> list[Held]:
    """What is held at the source for this server, of each criteria one; any further ones are ended."""
    known = [one.id for one in source.subscriptions.held]
    found: dict[str, Held] = {}
    for held in await adapter.held_at(client, capabilities, hook_address(services, source), known):
        if held.criteria in found:
            await adapter.end(client, held.id)
        else:
            found[held.criteria] = held
    return list(found.values())


def _retrieved(services: Services, known: Subscriptions) -> tuple[int, frozenset[str]]:
    """The resource types that the measures of the content retrieve, and the content's revision.

    What medicines are is told by Medications, which retrieves of requests follow.
    """
    loaded = services.catalog.loaded()
    if known.revision == loaded.revision:
        return loaded.revision, frozenset(known.types)
    year = Period.parse(str(now().year))
    found: set[str] = {"Patient"}
    for measure in loaded.content.measures:
        try:
            prepared = services.catalog.prepare((canonical_of(measure),), year)
        except MeasurewiseError:
            continue  # Nobody can evaluate it, so nobody waits for its data.
        found |= required_types(prepared.program.tables.retrievals)
    if any(kind.startswith("Medication") for kind in found):
        found.add("Medication")
    return loaded.revision, frozenset(found)


def _left(held: Held, most: timedelta) -> bool:
    """Whether a Subscription has more than so much time left; one without an end has."""
    if not held.end:
        return True
    try:
        return datetime.fromisoformat(held.end) - now() > most
    except (ValueError, TypeError):
        return False


def _foreign(held: Held, secret: str) -> bool:
    """Whether a Subscription shows another secret than that of the settings."""
    return bool(held.header) and f"Authorization: Bearer {secret}" not in held.header
