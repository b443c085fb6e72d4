"""What to search for at a server, so that a patient's record holds all that some measures retrieve.

From the retrieves of compiled programs (``program.tables.retrievals``) to searches. A search may find more
than the measures need, never less: codes are searched only where R4 has a search parameter over exactly
the element that the retrieve filters, and only where each retrieve of the type has codes; dates only for
retrieves of which no use looks outside a window of time (``Prepared.windows``). Search parameters: https://hl7.org/fhir/R4/searchparameter-registry.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from measurewise.engine.compiler.planner import Terminology
from measurewise.engine.compiler.prefilter.windows import Windows
from measurewise.engine.compiler.retrieval import CodeFilter, Retrieval
from measurewise.fhir_server_adapter.capabilities import Capabilities

_CODE_PARAMETERS = {
    ("AllergyIntolerance", "code"): "code",
    ("CarePlan", "category"): "category",
    ("CareTeam", "category"): "category",
    ("ChargeItem", "code"): "code",
    ("Communication", "category"): "category",
    ("Condition", "code"): "code",
    ("Coverage", "type"): "type",
    ("Device", "type"): "type",
    ("DeviceRequest", "codeCodeableConcept"): "code",
    ("DiagnosticReport", "code"): "code",
    ("Encounter", "type"): "type",
    ("EpisodeOfCare", "type"): "type",
    ("Immunization", "vaccineCode"): "vaccine-code",
    ("MedicationAdministration", "medicationCodeableConcept"): "code",
    ("MedicationDispense", "medicationCodeableConcept"): "code",
    ("MedicationRequest", "medicationCodeableConcept"): "code",
    ("MedicationStatement", "medicationCodeableConcept"): "code",
    ("Observation", "code"): "code",
    ("Procedure", "code"): "code",
    ("ServiceRequest", "code"): "code",
    ("Specimen", "type"): "type",
    ("Task", "code"): "code",
}

_DATE_PARAMETERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "AdverseEvent": {"date": ("date",)},
    "AllergyIntolerance": {"date": ("recordedDate",)},
    "CarePlan": {"date": ("period",)},
    "CareTeam": {"date": ("period",)},
    "Claim": {"created": ("created",)},
    "Communication": {"sent": ("sent",), "received": ("received",)},
    "Condition": {
        "onset-date": ("onsetDateTime", "onsetPeriod"),
        "abatement-date": ("abatementDateTime", "abatementPeriod"),
        "recorded-date": ("recordedDate",),
    },
    "DeviceRequest": {
        "authored-on": ("authoredOn",),
        "event-date": ("occurrenceDateTime", "occurrencePeriod"),
    },
    "DiagnosticReport": {"date": ("effectiveDateTime", "effectivePeriod"), "issued": ("issued",)},
    "Encounter": {"date": ("period",)},
    "EpisodeOfCare": {"date": ("period",)},
    "Goal": {"start-date": ("startDate",)},
    "Immunization": {"date": ("occurrenceDateTime",)},
    "MedicationAdministration": {"effective-time": ("effectiveDateTime", "effectivePeriod")},
    "MedicationDispense": {"whenhandedover": ("whenHandedOver",), "whenprepared": ("whenPrepared",)},
    "MedicationRequest": {"authoredon": ("authoredOn",)},
    "MedicationStatement": {"effective": ("effectiveDateTime", "effectivePeriod")},
    "NutritionOrder": {"datetime": ("dateTime",)},
    "Observation": {"date": ("effectiveDateTime", "effectivePeriod", "effectiveInstant")},
    "Procedure": {"date": ("performedDateTime", "performedPeriod")},
    "QuestionnaireResponse": {"authored": ("authored",)},
    "ServiceRequest": {
        "authored": ("authoredOn",),
        "occurrence": ("occurrenceDateTime", "occurrencePeriod"),
    },
    "Task": {
        "authored-on": ("authoredOn",),
        "modified": ("lastModified",),
        "period": ("executionPeriod",),
    },
}
"""Search parameters of type date, with the forms of their element that servers index as spans of time. What
has another form (Timing, Age, Range, string) may not be found by date."""

BY_REFERENCE = frozenset(
    {
        "Medication",
        "Organization",
        "Practitioner",
        "PractitionerRole",
        "Location",
        "HealthcareService",
        "Substance",
    }
)
"""Types that belong to no patient: read when a patient's resource refers to them."""

_INCLUDES = {
    "MedicationAdministration": "MedicationAdministration:medication",
    "MedicationDispense": "MedicationDispense:medication",
    "MedicationRequest": "MedicationRequest:medication",
    "MedicationStatement": "MedicationStatement:medication",
}


@dataclass(frozen=True, slots=True)
class TypeSearch:
    """One type's search for some patients, in as many requests as it has code chunks.

    ``patient`` is the parameter that names the patient; ``code_chunks`` are values for ``code_parameter``
    (``code`` or ``code:in``), empty for all resources of the type; ``includes`` are values for ``_include``;
    ``dates`` are date parameters with their values, all of which a resource must meet.
    """

    resource_type: str
    patient: str
    code_chunks: tuple[tuple[str, str], ...] = ()
    includes: tuple[str, ...] = ()
    dates: tuple[tuple[str, str], ...] = ()

    def requests(self, patients: Iterable[str], count: int) -> Iterator[list[tuple[str, str]]]:
        """The parameters of each request for some patients, given by id, with a page size."""
        named = ",".join(f"Patient/{patient_id}" for patient_id in patients)
        shared = [(self.patient, named), ("_count", str(count))]
        shared += self.dates
        shared += [("_include", path) for path in self.includes]
        if not self.code_chunks:
            yield shared
        for name, value in self.code_chunks:
            yield [*shared, (name, value)]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """All searches for a patient, one or two a type; ``by_reference`` are types to be read where they are
    referred to.

    ``unsearchable`` are types that the measures retrieve and that the server does not search.
    """

    searches: tuple[TypeSearch, ...]
    by_reference: frozenset[str]
    unsearchable: frozenset[str]


def required_types(retrievals: Iterable[Retrieval]) -> frozenset[str]:
    """The resource types that some retrieves need; Patient always."""
    return frozenset({"Patient", *(retrieval.resource_type for retrieval in retrievals)})


def search_plan(
    retrievals: Iterable[Retrieval],
    capabilities: Capabilities,
    terminology: Terminology,
    *,
    code_in: bool = False,
    chunk: int = 400,
    most_codes: int = 2000,
    windows: Windows | None = None,
) -> SearchPlan:
    """The searches for some retrieves at a server.

    Codes go as lists of ``chunk`` codes without systems (which finds whatever a list with systems finds,
    and is shorter); a type of more than ``most_codes`` codes is asked for whole. With ``code_in`` value
    sets go by URL, for a server that holds the same expansions: whether it does is for the caller to know,
    since a server that holds others would leave data out. With ``windows``, those of the measures that
    retrieve (``Prepared.windows``), retrieves that look only into a window of time have a search by date of
    their own. Raises NotFoundError for a value set that nothing holds.
    """
    by_type: dict[str, list[Retrieval]] = {}
    for retrieval in retrievals:
        by_type.setdefault(retrieval.resource_type, []).append(retrieval)
    searches: list[TypeSearch] = []
    unsearchable: set[str] = set()
    for resource_type in sorted(by_type.keys() - BY_REFERENCE - {"Patient"}):
        patient = capabilities.patient_parameter(resource_type)
        if patient is None:
            unsearchable.add(resource_type)
            continue
        include = _INCLUDES.get(resource_type)
        includes = (include,) if include and capabilities.includes(resource_type, include) else ()
        offered = capabilities.types[resource_type].searches
        of_type: list[TypeSearch] = []
        for dates, some in _by_dates(by_type[resource_type], offered, windows):
            filters = [retrieval.code_filter for retrieval in some]
            chunks = _chunks(resource_type, filters, offered, terminology, code_in, chunk, most_codes)
            if chunks is None and not dates:
                of_type = []  # the whole type has what the other searches would find
            if chunks != ():
                of_type.append(TypeSearch(resource_type, patient, chunks or (), includes, dates))
        searches += of_type
    by_reference = frozenset(by_type.keys() & BY_REFERENCE)
    for kind in by_reference:
        known = capabilities.types.get(kind)
        if known is None or not known.searchable:
            unsearchable.add(kind)
    return SearchPlan(tuple(searches), by_reference, frozenset(unsearchable))


Dates = tuple[tuple[str, str], ...]


def _by_dates(
    retrievals: list[Retrieval], offered: frozenset[str], windows: Windows | None
) -> list[tuple[Dates, list[Retrieval]]]:
    """The retrieves of one type that look into a window of time with the date parameters that find it, and
    after them those that do not, without."""
    if windows is None:
        return [((), retrievals)]
    for parameter, elements in _DATE_PARAMETERS.get(retrievals[0].resource_type, {}).items():
        bounded = [r for r in retrievals if parameter in offered and windows.of([r], elements)]
        dates = _dates(bounded, offered, windows)
        if dates:
            others = [r for r in retrievals if r not in bounded]
            return [(dates, bounded)] + ([((), others)] if others else [])
    return [((), retrievals)]


def _dates(retrievals: list[Retrieval], offered: frozenset[str], windows: Windows) -> Dates:
    """The date parameters for retrieves of one type and their values.

    A span of time is found by ``ge`` where its end, and by ``le`` where its start, lies on that side; one
    without end or start reaches on for ever: https://hl7.org/fhir/R4/search.html#date.
    """
    found: list[tuple[str, str]] = []
    for parameter, elements in (_DATE_PARAMETERS[retrievals[0].resource_type] if retrievals else {}).items():
        window = windows.of(retrievals, elements) if parameter in offered else None
        if window is not None:
            found += [(parameter, f"ge{window.first}")] if window.first else []
            found += [(parameter, f"le{window.last}")] if window.last else []
    return tuple(found)


def _chunks(
    resource_type: str,
    filters: list[CodeFilter | None],
    offered: frozenset[str],
    terminology: Terminology,
    code_in: bool,
    chunk: int,
    most_codes: int,
) -> tuple[tuple[str, str], ...] | None:
    """The code parameters and their values; None for the whole type, ``()`` for nothing."""
    codes: dict[str, dict[str, None]] = {}
    value_sets: dict[tuple[str, str], None] = {}
    for code_filter in filters:
        if code_filter is None:
            return None
        # a negated resource stands for a value set by name and carries no code that a search could find
        if code_filter.comparator == "~" and code_filter.value_set is not None:
            return None
        for element in code_filter.elements:
            parameter = _CODE_PARAMETERS.get((resource_type, element.name))
            if parameter is None or parameter not in offered:
                return None
            if code_in and code_filter.value_set is not None:
                version = f"|{code_filter.version}" if code_filter.version else ""
                value_sets[f"{parameter}:in", code_filter.value_set + version] = None
                continue
            wanted = codes.setdefault(parameter, {})
            if code_filter.value_set is not None:
                members = terminology.members(code_filter.value_set, code_filter.version)
                wanted.update((code, None) for _, code in sorted(members, key=str))
            wanted.update((code, None) for _, code in code_filter.codes)
    if sum(map(len, codes.values())) > most_codes:
        return None
    found = list(value_sets)
    for parameter, wanted in codes.items():
        listed = [_escaped(code) for code in wanted]
        found += [
            (parameter, ",".join(listed[start : start + chunk])) for start in range(0, len(listed), chunk)
        ]
    return tuple(found)


def _escaped(code: str) -> str:
    """A code as a search value: https://hl7.org/fhir/R4/search.html#escaping."""
    for sign in ("\\", ",", "|", "$"):
        code = code.replace(sign, "\\" + sign)
    return code
