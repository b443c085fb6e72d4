"""What results were computed with: the measure, its libraries and its value sets' expansions, by version.

A report carries it as a contained Library of type asset-collection (the manifest of the CRMI guide,
https://hl7.org/fhir/uv/crmi/StructureDefinition-crmi-manifestlibrary.html). A request may name such a
Library: then its versions are those that results are computed with, or nothing is computed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import measurewise
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.catalog import Catalog, Loaded
from measurewise.api.services.context import Services
from measurewise.engine import MeasurewiseError, Period, Prepared
from measurewise.engine.terminology.canonical import split_canonical
from measurewise.store.access import OPERATOR
from measurewise.store.search import Criterion, Search, search

COMPUTED_WITH: Final = "https://measurewise.example/fhir/StructureDefinition/computed-with"
"""The extension of a MeasureReport that refers to its manifest."""
MANIFEST: Final = "computed-with"
"""The id of the contained manifest."""
_TYPES: Final = "http://terminology.hl7.org/CodeSystem/library-type"
_EXPANSION: Final = "expansionParameters"
_MOST: Final = 256


class Manifests:
    """The manifests of measures, made once for each state of a catalog's content; safe for threads."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Catalog, dict[tuple[Any, str], dict[str, Any]]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, catalog: Catalog, canonical: str, period: Period) -> dict[str, Any]:
        """The manifest of a measure, by canonical URL. Raises NotFoundError and ContentError."""
        loaded = catalog.loaded()
        key = (loaded.revision, canonical)
        with self._lock:
            known = self._known.setdefault(catalog, {})
            found = known.get(key)
        if found is None:
            found = manifest(loaded, catalog.prepare((canonical,), period))
            with self._lock:
                if len(known) >= _MOST:
                    known.clear()
                known[key] = found
        return found


_manifests: Final = Manifests()


def fixed_versions(services: Services, reference: str | None) -> dict[str, str]:
    """The versions that a manifest fixes, by canonical URL; ``reference`` is its own, maybe with a version.

    Raises RequestError (404 where it is not there, 400 for what it asks and is not done here).
    """
    if reference is None:
        return {}
    url, version = split_canonical(reference)
    criteria = [Criterion("url", None, (url,))]
    if version is not None:
        criteria.append(Criterion("version", None, (version,)))
    with services.database.read() as connection:
        asked = Search("Library", tuple(criteria), total=False)
        found = [one.parsed() for one in search(connection, OPERATOR, asked, services.catalog.codes).matches]
    if not found:
        raise RequestError(
            f"there is no Library {reference}.",
            code="not-found",
            where="manifest",
            mend="Store the manifest first; a report's own contains one.",
        )
    if len(found) > 1:
        raise RequestError(
            f"there are {len(found)} Libraries {reference}.", where="manifest", mend="Add |version."
        )
    return _fixed_by(found[0], reference)


def _fixed_by(library: dict[str, Any], reference: str) -> dict[str, str]:
    kinds = {coding.get("code") for coding in (library.get("type") or {}).get("coding") or ()}
    if "asset-collection" not in kinds:
        raise RequestError(
            f"the Library {reference} is no manifest.",
            where="manifest",
            mend="Name a Library of type asset-collection.",
        )
    if any(str(one.get("url")).endswith(_EXPANSION) for one in library.get("extension") or ()):
        raise RequestError(
            f"the manifest {reference} has parameters for expansions, which are not honoured.",
            code="not-supported",
            where="manifest",
            mend="Fix the versions of value sets instead, and load their expansions.",
        )
    fixed: dict[str, str] = {}
    for artifact in library.get("relatedArtifact") or ():
        url, version = split_canonical(str(artifact.get("resource", "")))
        if version is None:
            continue
        if fixed.setdefault(url, version) != version:
            raise RequestError(
                f"the manifest {reference} fixes {url} at {fixed[url]} and at {version}.", where="manifest"
            )
    return fixed


def at_fixed_versions(references: Iterable[str], fixed: Mapping[str, str]) -> list[str]:
    """Canonical references, those without a version at the one that is fixed."""
    return [
        f"{reference}|{fixed[reference]}" if "|" not in reference and reference in fixed else reference
        for reference in references
    ]


def check_fixed_versions(
    catalog: Catalog, measures: Iterable[str], period: Period, fixed: Mapping[str, str]
) -> None:
    """Raises RequestError (409) where measures would be computed with another version than is fixed."""
    if not fixed:
        return
    for measure in measures:
        for artifact in _manifests.of(catalog, measure, period)["relatedArtifact"]:
            url, version = split_canonical(artifact["resource"])
            if url in fixed and version != fixed[url]:
                raise RequestError(
                    f"the manifest fixes {url} at {fixed[url]}; {measure} is computed here with "
                    f"{version or 'no version'}.",
                    code="conflict",
                    where="manifest",
                    mend="Load the versions of the manifest, or name the measure with |version.",
                )


def say_what_it_was_computed_with(report: dict[str, Any], catalog: Catalog, period: Period) -> None:
    """Add the manifest of its measure to a MeasureReport."""
    found = _manifests.of(catalog, report["measure"], period)
    report["contained"] = [*report.get("contained", ()), found]
    extension = {"url": COMPUTED_WITH, "valueReference": {"reference": f"#{MANIFEST}"}}
    report["extension"] = [*report.get("extension", ()), extension]


def manifest(loaded: Loaded, prepared: Prepared) -> dict[str, Any]:
    """The Library that lists what prepared measures are computed with, each by canonical and version.

    A value set's ``label`` names its expansion, or says that its codes were computed from its definition.
    """
    related = [
        *({"type": "composed-of", "resource": one.canonical} for one in prepared.measures),
        *_libraries(loaded, prepared),
        *_value_sets(loaded, prepared),
    ]
    return {
        "resourceType": "Library",
        "id": MANIFEST,
        "name": "ComputedWith",
        "description": f"What Measurewise {measurewise.__version__} computed the report with.",
        "status": "active",
        "type": {"coding": [{"system": _TYPES, "code": "asset-collection"}]},
        "relatedArtifact": related,
    }


def _libraries(loaded: Loaded, prepared: Prepared) -> Iterator[dict[str, Any]]:
    for name, version in sorted(prepared.program.tables.libraries, key=str):
        canonical = name
        try:
            library = loaded.content.resolve(name, version)
        except MeasurewiseError:
            # A library within its Measure is in no list of libraries.
            library = None
        if library is not None:
            canonical, version = library.url or name, library.version
        resource = f"{canonical}|{version}" if version else canonical
        yield {"type": "depends-on", "resource": resource}


def _value_sets(loaded: Loaded, prepared: Prepared) -> Iterator[dict[str, Any]]:
    tables = prepared.program.tables
    used: set[tuple[str, str | None]] = set(tables.value_sets)
    for retrieval in tables.retrievals:
        coded = retrieval.code_filter
        if coded is not None and coded.value_set is not None:
            used.add((coded.value_set, coded.version))
    found: dict[str, dict[str, Any]] = {}
    for url, version in sorted(used, key=str):
        identity = loaded.engine.value_sets.expansion_identity(url, version)
        resource = f"{identity.url}|{identity.version}" if identity.version else identity.url
        match identity.source:
            case "expansion":
                parts = (identity.identifier, identity.timestamp and f"of {identity.timestamp}")
                label = " ".join(["expansion", *(part for part in parts if part)])
            case "compose":
                label = "computed from its definition"
            case _:
                label = "missing, taken as empty"
        found[resource] = {"type": "depends-on", "label": label, "resource": resource}
    yield from found.values()
