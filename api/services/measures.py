"""Which measures a request means: by id, canonical URL or identifier."""

from __future__ import annotations

from collections.abc import Iterable

from measurewise.api.fhir.arguments import missing
from measurewise.api.services.catalog import Catalog
from measurewise.engine import NotFoundError


def measures_named(
    catalog: Catalog, ids: Iterable[str], urls: Iterable[str], identifiers: Iterable[str]
) -> tuple[str, ...]:
    """The measures as references that the catalog takes, each once, in the order named.

    Raises RequestError where none is named, NotFoundError for one that is not there.
    """
    content = catalog.content
    found: dict[str, None] = {}
    for named in (*ids, *urls):
        found[_canonical(content.measure(named.removeprefix("Measure/")))] = None
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
        found.update(dict.fromkeys(_canonical(measure) for measure in matching))
    if not found:
        raise missing("measureUrl", "Name measures by measureId, measureUrl or measureIdentifier.")
    return tuple(found)


def _canonical(measure: object) -> str:
    url, version, name = (getattr(measure, part) for part in ("url", "version", "name"))
    canonical = url or name
    return f"{canonical}|{version}" if version else str(canonical)
