"""Measures with all they need from another FHIR server: libraries, value sets, their expansions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from measurewise.api.services.terminology_server import expanded
from measurewise.engine.content.content import Content
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.value_set_use import value_set_uses
from measurewise.engine.errors import MeasurewiseError, NotFoundError
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.terminology.canonical import split_canonical, version_key
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError


async def measures_with_content(
    client: FhirClient, names: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Measures by id, name or canonical URL (each with ``|version`` where wanted), and what they use.

    The second list tells what could not be had, a sentence each. Raises NotFoundError for a measure that is
    not there, SourceError where the server does not answer.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    remarks: list[str] = []
    measures = [await _measure(client, name) for name in names]
    for measure in measures:
        found["Measure", str(measure["id"])] = measure
    pending = [str(canonical) for measure in measures for canonical in measure.get("library") or ()]
    asked: set[str] = set()
    while pending:
        canonical = pending.pop()
        if canonical in asked or canonical.startswith("#"):
            continue
        asked.add(canonical)
        library = await _library(client, canonical)
        if library is None:
            remarks.append(f"The server has no library {canonical}.")
            continue
        found["Library", str(library["id"])] = library
        pending += _included(library)
    for canonical in _value_sets(list(found.values()), remarks):
        value_set = await _value_set(client, canonical, remarks)
        if value_set is not None:
            found["ValueSet", str(value_set.get("id") or canonical)] = value_set
    return list(found.values()), remarks


async def _measure(client: FhirClient, name: str) -> dict[str, Any]:
    key, version = split_canonical(name)
    for parameter in ("url",) if "://" in key else ("_id", "name", "identifier"):
        matching = await _search(client, "Measure", parameter, key, version)
        if matching:
            return matching[-1]
    raise NotFoundError(f"the server has no measure '{name}'.", where=client.base_url)


async def _library(client: FhirClient, canonical: str) -> dict[str, Any] | None:
    key, version = split_canonical(canonical)
    matching = await _search(client, "Library", "url" if "://" in key else "name", key, version)
    if not matching and "://" in key:
        # What CQL includes it names without a URL, and some servers give libraries others than measures do.
        matching = await _search(client, "Library", "name", key.rpartition("/")[2], version)
    return matching[-1] if matching else None


async def _search(
    client: FhirClient, kind: str, parameter: str, value: str, version: str | None
) -> list[dict[str, Any]]:
    """What a search finds, the highest version last."""
    asked = [(parameter, value), *([("version", version)] if version else [])]
    found = [one async for one in client.search(kind, asked) if one.get("resourceType") == kind]
    if parameter == "name":
        # A search by name finds names that begin so, too.
        found = [one for one in found if one.get("name") == value]
    return sorted(found, key=lambda one: version_key(one.get("version")))


def _included(library: dict[str, Any]) -> list[str]:
    """The libraries that a library's CQL includes, under the canonicals by which it says it depends on them.

    What else it depends on (model info, value sets) is not asked for.
    """
    base = str(library.get("url") or "").rpartition("/")[0]
    stated = {}
    for related in library.get("relatedArtifact") or ():
        canonical = str(related.get("resource"))
        if related.get("type") == "depends-on" and "/Library/" in canonical:
            stated[split_canonical(canonical)[0].rpartition("/")[2]] = canonical
    found = []
    for include in LibraryContent.from_resource(to_json(library)).includes():
        named = f"{base}/{include.name}" if base else include.name
        versioned = f"{named}|{include.version}" if include.version else named
        found.append(stated.get(include.name, versioned))
    return found


def _value_sets(resources: list[dict[str, Any]], remarks: list[str]) -> list[str]:
    """The canonicals of the value sets that the measures use."""
    content = Content.of([to_json(one) for one in resources])
    found: dict[str, None] = {}
    for measure in content.measures:
        try:
            uses = value_set_uses(content.closure(measure, stale="notice"))
        except MeasurewiseError as error:
            remarks.append(str(error))
            continue
        found.update(dict.fromkeys(use.canonical for use in uses))
    return list(found)


async def _value_set(client: FhirClient, canonical: str, remarks: list[str]) -> dict[str, Any] | None:
    key, version = split_canonical(canonical)
    matching = await _search(client, "ValueSet", "url", key, version)
    if matching and "expansion" in matching[-1]:
        return matching[-1]
    try:
        whole = await expanded(client, canonical)
    except SourceError as error:
        if matching:
            return matching[-1]
        remarks.append(f"The value set {canonical} cannot be had: {error.what}")
        return None
    return {**(matching[-1] if matching else {}), **whole}
