"""Canonical URLs of the extensions and profiles that measures and measure reports use, and how to read one.

The same extensions live under three roots, by the age of the content: QM IG STU (``cqfm-``, US realm), the
universal-realm QM IG (``cqm-``) and the FHIR extension pack (``cqf-``). A reader takes any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

CQFM: Final = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition/cqfm-"
_CQM: Final = "http://hl7.org/fhir/uv/cqm/StructureDefinition/cqm-"
_CQF: Final = "http://hl7.org/fhir/StructureDefinition/cqf-"

_DEQM: Final = "http://hl7.org/fhir/us/davinci-deqm/StructureDefinition/"

INDIVIDUAL_PROFILE: Final = _DEQM + "indv-measurereport-deqm"
SUBJECT_LIST_PROFILE: Final = _DEQM + "subjectlist-measurereport-deqm"
SUMMARY_PROFILE: Final = _DEQM + "summary-measurereport-deqm"
DATA_EXCHANGE_PROFILE: Final = _DEQM + "datax-measurereport-deqm"

MEASURE_SCORING: Final = _DEQM + "extension-measureScoring"
GROUP_IMPROVEMENT_NOTATION: Final = _DEQM + "extension-groupImprovementNotation"
SUBMIT_DATA_UPDATE_TYPE: Final = _DEQM + "extension-submitDataUpdateType"

CRITERIA_REFERENCE: Final = _CQF + "criteriaReference"
MEASURE_INFO: Final = _CQF + "measureInfo"
POPULATION_DESCRIPTION: Final = "http://hl7.org/fhir/StructureDefinition/measurereport-populationDescription"
COUNT_QUANTITY: Final = "http://hl7.org/fhir/StructureDefinition/measurereport-countQuantity"
SUPPLEMENTAL_DATA: Final = "http://hl7.org/fhir/StructureDefinition/measurereport-supplementalData"
DATA_ABSENT_REASON: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

MEASURE_SCORING_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/measure-scoring"
MEASURE_POPULATION_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/measure-population"
IMPROVEMENT_NOTATION_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/measure-improvement-notation"
DATA_ABSENT_REASON_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def extensions(element: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """The extensions of an element called ``name`` (``"scoring"``), under whichever guide's root."""
    found = element.get("extension")
    if not found:
        return
    wanted = (CQFM + name, _CQM + name, _CQF + name)
    for extension in found:
        if extension.get("url") in wanted:
            yield extension


def value_of(extension: Mapping[str, Any]) -> Any:
    """The ``value[x]`` of an extension, or None."""
    for key, value in extension.items():
        if key.startswith("value"):
            return value
    return None


def extension_value(element: Mapping[str, Any], name: str) -> Any:
    """The value of the first extension called ``name`` that has one, or None."""
    for extension in extensions(element, name):
        value = value_of(extension)
        if value is not None:
            return value
    return None


def code_of(concept: Any) -> str | None:
    """The first code of a CodeableConcept or Coding, the text where it has no code; a string is itself."""
    if isinstance(concept, str):
        return concept
    if not isinstance(concept, Mapping):
        return None
    for coding in concept.get("coding") or ():
        code = coding.get("code")
        if isinstance(code, str):
            return code
    code = concept.get("code") or concept.get("text")
    return code if isinstance(code, str) else None
