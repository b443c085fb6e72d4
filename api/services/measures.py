"""Which measures a request means: by id, canonical URL or identifier."""

from __future__ import annotations

from collections.abc import Iterable

from measurewise.api.fhir.arguments import missing
from measurewise.api.services.catalog import Catalog
from measurewise.engine import Content, NotFoundError
from measurewise.engine.content.content import MeasureContent


def measures_named(
    catalog: Catalog, ids: Iterable[str], urls: Iterable[str], identifiers: Iterable[str]
) -> tuple[str, ...]:
    """The measures as references that the catalog takes, each once, in the order named.

    An id means the Measure that is read under it, whatever else has its name and a higher version.
    Raises RequestError where none is named, NotFoundError for one that is not there.
    """
    content = catalog.content
    found: dict[str, None] = {}
    for named in ids:
        found[canonical_of(measure_of_id(content, named))] = None
    for named in urls:
        found[canonical_of(content.measure(named.removeprefix("Measure/")))] = None
    for text in identifiers:
        system, bar, value = text.rpartition("|")
        matching = [
            measure
            for measure in content.measures
            if any(
                identifier.get("value") == value and (not bar or (identifier.get("system") or "") == system)
                for identifier in measure.resource.get("identifier") or ()
            )
        ]
        if not matching:
            raise NotFoundError(f"no measure has the identifier '{text}'.", where="measureIdentifier")
        found.update(dict.fromkeys(canonical_of(measure) for measure in matching))
    if not found:
        raise missing("measureUrl", "Name measures by measureId, measureUrl or measureIdentifier.")
    return tuple(found)


def measure_of_id(content: Content, identity: str) -> MeasureContent:
    """The measure of an id on this server, or else of a name. Raises NotFoundError."""
    bare = identity.removeprefix("Measure/")
    return next((one for one in content.measures if one.id == bare), None) or content.measure(bare)


def references_to(content: Content, measures: Iterable[str]) -> tuple[str, ...]:
    """Measures as references, ``Measure/[id]``, for the audit trail; those without an id are left out."""
    found = [content.measure(measure.removeprefix("Measure/")).id for measure in measures]
    return tuple(f"Measure/{identity}" for identity in found if identity)


def canonical_of(measure: MeasureContent) -> str:
    """The measure's URL with its version; its name where it has no URL."""
    canonical = measure.url or measure.name
    return f"{canonical}|{measure.version}" if measure.version else canonical
