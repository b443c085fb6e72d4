"""Looking after the Subscriptions at the sources, and asking for what their notifications missed.

The workers do it every so often (``look_after_all``). Whatever could mean that notifications were missed
makes the source be asked for changes: a Subscription that is new, that was in error or gone, numbers of
events that do not go on, a heartbeat that did not come, and the mere passing of ``catch_up`` seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection

from measurewise.api.fhir.outcomes import issue
from measurewise.api.jobs.syncing import is_syncing, queue_sync
from measurewise.api.services.context import Services
from measurewise.api.services.subscribing import Looked, looked_after
from measurewise.api.services.sync import SyncRequest
from measurewise.engine.errors import MeasurewiseError
from measurewise.store import sources
from measurewise.store.access import OPERATOR
from measurewise.store.database import now
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.sources import Source, Subscriptions

_SOON: Final = timedelta(seconds=5)
_log = structlog.stdlib.get_logger("measurewise.subscriptions")


def look_after_all(services: Services) -> int:
    """Look after the Subscriptions of every source where it is time to; how many sources that were.

    Several workers share the sources. What goes wrong is kept with the source and tried again the next time.
    """
    moment = now()
    with services.database.read() as connection:
        due = sources.due(connection, moment)
    after = moment + timedelta(seconds=services.settings.subscription_seconds)
    done = 0
    for identity in due:
        with services.database.write() as connection:
            if not sources.take_due(connection, identity, moment, after):
                continue
            source = sources.read(connection, OPERATOR, identity)
        done += 1
        try:
            look_after(services, source)
        except NoSuchResourceError:
            continue  # It was removed meanwhile.
        except MeasurewiseError as error:
            _log.warning("subscriptions not looked after", source=identity, code=error.code)
            said = msgspec.structs.replace(source.subscriptions, issues=(issue(error),))
            with services.database.write() as connection:
                sources.keep_subscriptions(connection, identity, said)
    return done


def look_after(services: Services, source: Source) -> Subscriptions:
    """Make the Subscriptions at a source what its settings say, and queue what was missed.

    Raises SourceError where the source cannot be reached or has no Subscriptions.
    """
    looked = looked_after(services, source)
    moment = now()
    with services.database.write() as connection:
        known = sources.read(connection, OPERATOR, source.id)
        sources.keep_subscriptions(connection, source.id, looked.known)
        if looked.number is not None:
            sources.number_anew(connection, source.id, looked.number)
        if looked.soon:
            sources.look_at(connection, source.id, moment + _SOON)
        if looked.missed or _silent(known, looked, moment) or _late(connection, known, moment):
            queue_sync(connection, known, SyncRequest(source.id))
        elif looked.events is not None:
            first, last, subscription = looked.events
            asked = SyncRequest(source.id, subscription=subscription, first_event=first, last_event=last)
            queue_sync(connection, known, asked)
            sources.note_event(connection, source.id, last)
    return looked.known


def _silent(source: Source, looked: Looked, moment: datetime) -> bool:
    """Whether a heartbeat did not come; where the source counts its events, that count tells more."""
    heartbeat = source.settings.heartbeat
    if source.settings.subscribe != "topic" or not heartbeat or looked.numbered:
        return False
    return source.heard is None or moment - source.heard > timedelta(seconds=2 * heartbeat)


def _late(connection: Connection, source: Source, moment: datetime) -> bool:
    """Whether it is time to ask for all changes, whatever was told of them."""
    catch_up = source.settings.catch_up
    if not catch_up or is_syncing(connection, source):
        return False
    if source.synced is None:
        return True
    return moment - datetime.fromisoformat(source.synced) > timedelta(seconds=catch_up)
