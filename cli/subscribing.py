"""``measurewise source subscribe`` and ``unsubscribe``: Subscriptions that the server keeps at a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import print_json
from measurewise.cli.store import DatabaseUrl, DataFolder, settings_of
from measurewise.engine.errors import MeasurewiseError
from measurewise.store.sources import PayloadName, SourceSettings

if TYPE_CHECKING:
    from measurewise.api.services.context import Services
    from measurewise.store.sources import Source

Name = Annotated[str, Parameter(help="The source's name.")]


@Parameter(name="*")
@dataclass(frozen=True)
class SubscribeOptions:
    """What the Subscriptions are to be like."""

    topic: Annotated[
        str | None,
        Parameter(
            help="Canonical URL of a topic of the source (R4 backport): one Subscription of it. Without, one "
            "by criteria for each type that the measures retrieve."
        ),
    ] = None
    topic_filter: Annotated[
        list[str] | None,
        Parameter(negative="", help="For --topic: a filter, such as Encounter?status=final."),
    ] = None
    payload: Annotated[
        PayloadName,
        Parameter(help="What notifications hold; by criteria the resource, or nothing where it is empty."),
    ] = "id-only"
    heartbeat: Annotated[
        int, Parameter(help="For --topic: seconds between the source's signs of life; 0 for none.")
    ] = 0
    catch_up: Annotated[
        float, Parameter(help="Ask for all changes after so many seconds in any case; 0 for never.")
    ] = 3600.0

    def applied(self, settings: SourceSettings) -> SourceSettings:
        """Settings with these Subscriptions. Raises MeasurewiseError for a negative number of seconds."""
        for option, seconds in (("--heartbeat", self.heartbeat), ("--catch-up", self.catch_up)):
            if seconds < 0:
                raise MeasurewiseError("these seconds are negative.", where=option, mend="Give 0 or more.")
        return msgspec.structs.replace(
            settings,
            subscribe="criteria" if self.topic is None else "topic",
            topic=self.topic,
            filters=tuple(self.topic_filter or ()),
            payload=self.payload,
            heartbeat=self.heartbeat,
            catch_up=self.catch_up,
        )


def subscribe(
    name: Name,
    /,
    *,
    options: SubscribeOptions | None = None,
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """Have a source tell of changes: create its Subscriptions now, or bring them up to date.

    The server's workers look after them from then on. The source must reach the server at
    MEASUREWISE_SECURITY__BASE_URL, and proves itself by MEASUREWISE_SOURCES__[NAME]__HOOK_SECRET. The exit
    status is 1 when the source would not keep all of them.
    """
    from measurewise.api.jobs.subscribing import look_after
    from measurewise.api.services.sources import change_source

    services = opened(data_folder, database)
    known = _read(services, name)
    changed = change_source(services, known, (options or SubscribeOptions()).applied(known.settings))
    held = look_after(services, changed)
    if json:
        print_json({"source": name, "subscriptions": msgspec.to_builtins(held)})
    else:
        for one in held.held:
            print(f"{one.criteria}: {one.status}")
        for issue in held.issues:
            print(
                f"{issue['severity']}: {', '.join(issue.get('expression', ()))}: {issue['details']['text']}"
            )
    return 1 if held.issues else 0


def unsubscribe(
    name: Name,
    /,
    *,
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """Delete the Subscriptions at a source, which is then read only when asked to: measurewise sync."""
    from measurewise.api.services.sources import change_source
    from measurewise.api.services.subscribing import end_subscriptions

    services = opened(data_folder, database)
    known = _read(services, name)
    ended = end_subscriptions(services, known)
    change_source(
        services,
        known,
        msgspec.structs.replace(known.settings, subscribe="no", topic=None, filters=(), heartbeat=0),
    )
    if json:
        print_json({"source": name, "ended": ended})
    else:
        print(f"{name}: {ended} Subscriptions were deleted.")
    return 0


def described(source: Source) -> dict[str, Any]:
    """The Subscriptions at a source, for ``--json``."""
    heard = None if source.heard is None else source.heard.isoformat()
    return {"heard": heard, "subscriptions": msgspec.to_builtins(source.subscriptions)}


def opened(data_folder: Path | None, database: str | None) -> Services:
    """The services of the command line: warnings alone go to the log."""
    import logging
    import sys

    from measurewise.api.observing import configure_logs
    from measurewise.api.services.context import open_services

    configure_logs(as_json=not sys.stderr.isatty(), level=logging.WARNING)
    return open_services(settings_of(data_folder, database))


def _read(services: Services, name: str) -> Source:
    from measurewise.store import sources
    from measurewise.store.access import OPERATOR

    with services.database.read() as connection:
        return sources.read(connection, OPERATOR, name)
