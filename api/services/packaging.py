"""A measure with all it needs, as it stands in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from measurewise.api.services.requirements import Requirements
from measurewise.engine.content.content import MeasureContent
from measurewise.engine.terminology.canonical import split_canonical, value_set_key
from measurewise.store.access import Access
from measurewise.store.resources import Stored, of_types


def package(
    connection: Connection,
    access: Access,
    measures: Sequence[MeasureContent],
    required: Iterable[Requirements],
) -> list[Stored]:
    """The measures, their libraries and value sets (all pages and versions of those that are not pinned)."""
    identities = {(measure.url, measure.version) for measure in measures}
    libraries: set[tuple[str | None, str | None]] = set()
    value_sets: set[tuple[str, str | None]] = set()
    for requirements in required:
        libraries |= {(library.name, library.version) for library in requirements.libraries}
        value_sets |= {
            (value_set_key(url), use.version or version)
            for use in requirements.value_sets
            for url, version in [split_canonical(use.url)]
        }
    found: list[Stored] = []
    for stored in of_types(connection, access, ("Measure", "Library", "ValueSet")):
        resource = stored.parsed()
        url, version = resource.get("url"), resource.get("version")
        wanted = False
        match stored.type:
            case "Measure":
                wanted = (url, version) in identities
            case "Library":
                wanted = (resource.get("name") or resource.get("id"), version) in libraries
            case _:
                key = value_set_key(str(url))
                wanted = (key, None) in value_sets or (key, version) in value_sets
        if wanted:
            found.append(stored)
    order = {"Measure": 0, "Library": 1, "ValueSet": 2}
    return sorted(found, key=lambda stored: order[stored.type])
