"""What results were computed with: the measure, its libraries and its value sets' expansions, by version.

A report carries it as a contained Library of type asset-collection (the manifest of the CRMI guide,
https://hl7.org/fhir/uv/crmi/StructureDefinition-crmi-manifestlibrary.html).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

import measurewise
from measurewise.api.services.catalog import Catalog, Loaded
from measurewise.engine import MeasurewiseError, Period, Prepared

COMPUTED_WITH: Final = "https://measurewise.example/fhir/StructureDefinition/computed-with"
"""The extension of a MeasureReport that refers to its manifest."""
MANIFEST: Final = "computed-with"
"""The id of the contained manifest."""
_TYPES: Final = "http://terminology.hl7.org/CodeSystem/library-type"
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
