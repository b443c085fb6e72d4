"""A store that is kept like a clinic's server: what tests of syncs ask of both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finished_jobs import outcome
from source_server import Watched
from sqlalchemy import select

from measurewise.api.jobs.syncing import queue_sync
from measurewise.api.services.context import Services, open_services
from measurewise.api.services.sources import add_source
from measurewise.api.services.sync import SyncRequest
from measurewise.api.settings import Settings
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store import sources
from measurewise.store.access import OPERATOR
from measurewise.store.resources import of_types, remove, write
from measurewise.store.sources import Source, SourceSettings
from measurewise.store.tables import resources

OVERLAP = 1.0
SECRET = "a-secret-of-the-clinic"  # noqa: S105, of this test


def our_store(folder: Path) -> Iterator[Services]:
    """A store of its own that takes a clinic's notifications."""
    services = open_services(
        Settings(data_folder=folder, sources={"clinic": {"hook_secret": SECRET}}, _env_file=None)  # type: ignore[call-arg]
    )
    yield services
    services.database.close()


def queued(services: Services, identity: str = "clinic", **request: Any) -> str:
    """The id of a sync that waits for a worker."""
    with services.database.write() as connection:
        source = sources.read(connection, OPERATOR, identity)
        return queue_sync(connection, source, SyncRequest(identity, **request))


def added(services: Services, url: str, identity: str = "clinic", **settings: Any) -> Source:
    chosen = SourceSettings(**{"overlap": OVERLAP, **settings})
    return add_source(services, Source(identity, "default", url, chosen))


def sync(services: Services, identity: str = "clinic", **request: Any) -> dict[str, Any]:
    """The report of a sync, as a dictionary."""
    return outcome(services, queued(services, identity, **request))


def contents(services: Services) -> dict[str, bytes]:
    """All patients' data and what they refer to, without the stores' own versions and times."""
    with services.database.read() as connection:
        kinds = connection.execute(select(resources.c.type).distinct()).scalars().all()
        kept = set(kinds) - {"Measure", "Library", "ValueSet", "CodeSystem"}
        found = {}
        for one in of_types(connection, OPERATOR, kept):
            resource = one.parsed()
            resource["meta"] = {
                k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")
            }
            found[one.reference] = to_json(dict(sorted(resource.items())))
    return found


def put(watched: Watched, resource: dict[str, Any]) -> None:
    with watched.services.database.write() as connection:
        write(connection, "default", resource)


def delete(watched: Watched, reference: str) -> None:
    with watched.services.database.write() as connection:
        remove(connection, OPERATOR, *reference.split("/"))


def stored(watched: Watched, kind: str) -> list[dict[str, Any]]:
    with watched.services.database.read() as connection:
        return [one.parsed() for one in of_types(connection, OPERATOR, [kind])]


def settled() -> None:
    """Past the overlap, so that what follows is all that is asked for; a server's Date is of whole seconds,
    and may be a second old."""
    time.sleep(OVERLAP + 3)
