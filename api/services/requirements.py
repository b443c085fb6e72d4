"""What measures and libraries need: data, libraries, value sets (QM IG, "Data requirements")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from measurewise.api.services.catalog import Loaded
from measurewise.api.services.measures import canonical_of
from measurewise.engine import Period
from measurewise.engine.compiler.program import compile_program
from measurewise.engine.compiler.retrieval import CodeFilter, Retrieval
from measurewise.engine.content.content import MeasureContent
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.notice import Notice
from measurewise.engine.content.resolution import ResolvedLibrary
from measurewise.engine.content.value_set_use import ValueSetUse, value_set_uses
from measurewise.engine.runner.compilation import criteria_of
from measurewise.fhir_server_adapter.search_plan import BY_REFERENCE
from measurewise.store.search_index import parameters

_PROFILE: Final = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition/module-definition-library-cqfm"
_TYPES: Final = "http://terminology.hl7.org/CodeSystem/library-type"
_QUERY_PATTERN: Final = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition/cqfm-fhirQueryPattern"
_PATIENT: Final = "{{context.patientId}}"
"""Stands for the patient's id in a query (QM IG, fhirQueryPattern)."""
_MOST_CODES: Final = 500


@dataclass(frozen=True, slots=True)
class Requirements:
    """Retrieves, value sets and libraries that some definitions reach."""

    retrievals: tuple[Retrieval, ...]
    value_sets: tuple[ValueSetUse, ...]
    libraries: tuple[LibraryContent, ...]
    parameters: tuple[tuple[str, str], ...] = ()


def measure_requirements(loaded: Loaded, measure: MeasureContent, period: Period) -> Requirements:
    """What a measure's criteria reach. Raises NotFoundError and ContentError."""
    prepared = loaded.engine.prepare(canonical_of(measure), period=period)
    closure = loaded.engine.trees.closure(measure, [])
    names = {criteria.name for definition in prepared.measures for criteria in criteria_of(definition)}
    return Requirements(
        tuple(prepared.program.tables.retrievals),
        tuple(value_set_uses(closure, names)),
        _contents(closure),
        _parameters(closure),
    )


def library_requirements(loaded: Loaded, library: LibraryContent, names: Sequence[str] = ()) -> Requirements:
    """What definitions of a library reach, all of them where none is named."""
    notices: list[Notice] = []
    closure = loaded.engine.trees.closure_of(library, notices)
    trees = [resolved.tree for resolved in closure if resolved.tree is not None]
    identity = (trees[-1].identifier.id or "", trees[-1].identifier.version)
    program = compile_program(
        trees, {identity: tuple(names) if names else None}, model=loaded.engine.trees.model
    )
    return Requirements(
        tuple(program.tables.retrievals),
        tuple(value_set_uses(closure, names or None)),
        _contents(closure),
        _parameters(closure),
    )


def module_definition(
    requirements: Iterable[Requirements], period: tuple[str | None, str | None] = (None, None)
) -> dict[str, Any]:
    """The Library of type module-definition that says what is needed, each thing once."""
    libraries: dict[str, None] = {}
    value_sets: dict[str, str] = {}
    data: dict[Retrieval, None] = {}
    parameters: dict[str, str] = {}
    for required in requirements:
        data.update(dict.fromkeys(required.retrievals))
        for library in required.libraries:
            libraries[_canonical(library)] = None
        for use in required.value_sets:
            value_sets.setdefault(use.canonical, use.name)
        parameters.update(required.parameters)
    found: dict[str, Any] = {
        "resourceType": "Library",
        "meta": {"profile": [_PROFILE]},
        "status": "active",
        "type": {"coding": [{"system": _TYPES, "code": "module-definition"}]},
    }
    start, end = period
    if start or end:
        effective = {"start": start, "end": end}
        found["effectivePeriod"] = {name: value for name, value in effective.items() if value}
    depends = [{"type": "depends-on", "resource": url} for url in libraries]
    depends += [
        {"type": "depends-on", "display": f"Value set {name}", "resource": url}
        for url, name in value_sets.items()
    ]
    if depends:
        found["relatedArtifact"] = depends
    if parameters:
        found["parameter"] = [
            {"name": name, "use": "in", "min": 0, "max": "1", "type": kind}
            for name, kind in parameters.items()
        ]
    required_data = [_data_requirement(retrieval) for retrieval in data]
    if required_data:
        found["dataRequirement"] = sorted(required_data, key=lambda item: (item["type"], str(item)))
    return found


def _data_requirement(retrieval: Retrieval) -> dict[str, Any]:
    query = {"url": _QUERY_PATTERN, "valueString": _query(retrieval)}
    found: dict[str, Any] = {"extension": [query], "type": retrieval.resource_type}
    if retrieval.template is not None:
        found["profile"] = [retrieval.template]
    if retrieval.code_filter is not None:
        coded = retrieval.code_filter
        found["codeFilter"] = [_code_filter(element.name, coded) for element in coded.elements]
    return found


def _query(retrieval: Retrieval) -> str:
    """The search that finds it for one patient, or more than it where no search parameter has its codes."""
    kind = retrieval.resource_type
    if kind == "Patient":
        return f"/Patient?_id={_PATIENT}"
    conditions = [] if kind in BY_REFERENCE else [f"patient=Patient/{_PATIENT}"]
    coded = retrieval.code_filter
    if coded is not None and len(coded.elements) == 1:
        path = (coded.elements[0].name,)
        named = [
            one.name for one in parameters(kind).values() if one.kind == "token" and one.paths == (path,)
        ]
        if named and coded.value_set is not None:
            version = f"|{coded.version}" if coded.version else ""
            conditions.insert(0, f"{named[0]}:in={coded.value_set}{version}")
        elif named and 0 < len(coded.codes) <= _MOST_CODES:
            codes = ",".join(f"{system}|{code}" if system else code for system, code in coded.codes)
            conditions.insert(0, f"{named[0]}={codes}")
    return f"/{kind}?{'&'.join(conditions)}" if conditions else f"/{kind}"


def _code_filter(path: str, code_filter: CodeFilter) -> dict[str, Any]:
    # A choice is named by its element, not by its JSON property.
    found: dict[str, Any] = {"path": path.removesuffix("CodeableConcept") or path}
    if code_filter.value_set is not None:
        version = f"|{code_filter.version}" if code_filter.version else ""
        found["valueSet"] = code_filter.value_set + version
    if code_filter.codes:
        found["code"] = [
            {"system": system, "code": code} if system else {"code": code}
            for system, code in code_filter.codes[:_MOST_CODES]
        ]
    return found


def _contents(closure: Sequence[ResolvedLibrary]) -> tuple[LibraryContent, ...]:
    """The libraries, the outermost first."""
    return tuple(resolved.content for resolved in reversed(closure))


def _parameters(closure: Sequence[ResolvedLibrary]) -> tuple[tuple[str, str], ...]:
    tree = closure[-1].tree
    if tree is None:
        return ()
    return tuple(
        (parameter.name, "Period" if parameter.name == "Measurement Period" else "Type")
        for parameter in tree.parameters
        if parameter.name is not None
    )


def _canonical(library: LibraryContent) -> str:
    url = library.url or f"Library/{library.name}"
    return f"{url}|{library.version}" if library.version else url
