"""QRDA Category I documents of any origin as FHIR R4 resources, with what could not be mapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda.category1.blood_pressure import blood_pressures, is_part
from measurewise.qrda.category1.cda import children, derived_id, find, find_all, has_template, local
from measurewise.qrda.category1.data_types import from_ts
from measurewise.qrda.category1.elements import read_elements
from measurewise.qrda.category1.entries import read_entry
from measurewise.qrda.category1.patient import read_expired, read_record_target, source_of
from measurewise.qrda.category1.slots import RESOURCE_ID
from measurewise.qrda.category3.reading import path_of, read_xml

_PATIENT_DATA: Final = "2.16.840.1.113883.10.20.17.2.4"
_MEASURES: Final = "2.16.840.1.113883.10.20.24.2.2"
_PARAMETERS: Final = "2.16.840.1.113883.10.20.17.2.1"
_MEASURE_ID: Final = "2.16.840.1.113883.4.738"


class NotQrda1Error(MeasurewiseError):
    """An XML document that is no QRDA Category I report."""

    code = "structure"


@dataclass(frozen=True, slots=True)
class NotMapped:
    """A part of a document that no FHIR element came of: its XPath (no prefix needed), and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportedDocument:
    """One document's patient and resources.

    ``own`` holds the positions in ``resources`` whose FHIR ids the document states; ``measures`` are
    version-specific identifiers, ``period`` first and last day where told, ``created`` when the document
    was made.
    """

    name: str
    patient: dict[str, Any]
    resources: tuple[dict[str, Any], ...]
    own: frozenset[int]
    not_mapped: tuple[NotMapped, ...]
    measures: tuple[str, ...]
    period: tuple[str | None, str | None]
    created: str
    source: str | None


def read_document(data: bytes, name: str = "") -> ImportedDocument:
    """Read a document.

    Raises UnreadableXmlError for what is no XML or not to be read safely, NotQrda1Error for what is no QRDA
    I.
    """
    root = read_xml(data)
    sections = list(find_all(root, "component/structuredBody/component/section"))
    patient_data = [one for one in sections if has_template(one, _PATIENT_DATA)]
    if local(root) != "ClinicalDocument" or not patient_data:
        raise NotQrda1Error(
            "the document has no patient data section of QRDA Category I.",
            where=name,
            mend="Give QRDA Category I reports; QRDA III reports are read by measurewise qrda3.",
        )
    patient, left = read_record_target(root)
    not_mapped = [NotMapped(path_of(one), "no FHIR element for this part of the patient") for one in left]
    reference = f"Patient/{patient['id']}"
    resources: list[dict[str, Any]] = []
    own: set[int] = set()
    for section in patient_data:
        for entry in children(section, "entry"):
            if _is_of_patient(entry, reference):
                not_mapped += _read_patient_elements(entry, patient)
                continue
            if is_part(entry):
                continue
            if read_expired(entry, patient):
                cause = find(entry, "observation/entryRelationship[typeCode=CAUS]")
                if cause is not None:
                    not_mapped.append(NotMapped(path_of(cause), "no FHIR element for the cause of death"))
                continue
            read = read_entry(entry, reference)
            not_mapped += (NotMapped(path_of(one.element), one.reason) for one in read.unmapped)
            if read.resource is not None:
                if read.own:
                    own.add(len(resources))
                resources.append(read.resource)
            resources.extend(read.others)
    known = (_PATIENT_DATA, _MEASURES, _PARAMETERS)
    not_mapped += (
        NotMapped(path_of(one), "not a section that QRDA Category I has")
        for one in sections
        if not any(has_template(one, template) for template in known)
    )
    _apart(resources, own)
    resources += blood_pressures(resources, own)
    return ImportedDocument(
        name=name,
        patient=patient,
        resources=tuple(resources),
        own=frozenset(own),
        not_mapped=tuple(not_mapped),
        measures=tuple(_measures(sections)),
        period=_period(sections),
        created=_created(root),
        source=source_of(root),
    )


def _is_of_patient(entry: etree._Element, reference: str) -> bool:
    return any(
        one.get("root") == RESOURCE_ID and one.get("extension") == reference
        for one in find_all(entry, "act/id")
    )


def _read_patient_elements(entry: etree._Element, patient: dict[str, Any]) -> list[NotMapped]:
    act = next(one for one in entry if local(one) == "act")
    return [NotMapped(path_of(one), reason) for one, reason in read_elements(act, patient) if reason]


def _apart(resources: list[dict[str, Any]], own: set[int]) -> None:
    """Give entries of other systems that share an id, and are not alike, ids of their own."""
    seen: dict[tuple[str, str], int] = {}
    for position, resource in enumerate(resources):
        if position in own:
            continue
        key = (str(resource["resourceType"]), str(resource.get("id")))
        count = seen.get(key, 0)
        seen[key] = count + 1
        if count:
            resource["id"] = derived_id(key[1], str(count))


def _measures(sections: list[etree._Element]) -> list[str]:
    return [
        str(one.get("extension")).lower()
        for section in sections
        if has_template(section, _MEASURES)
        for one in find_all(section, "entry/organizer/reference/externalDocument/id")
        if one.get("root") == _MEASURE_ID and one.get("extension")
    ]


def _period(sections: list[etree._Element]) -> tuple[str | None, str | None]:
    for section in sections:
        if has_template(section, _PARAMETERS):
            for time in find_all(section, "entry/act/effectiveTime"):
                bounds = [
                    next((from_ts(one.get("value")) for one in children(time, name)), None)
                    for name in ("low", "high")
                ]
                return bounds[0], bounds[1]
    return None, None


def _created(root: etree._Element) -> str:
    return next((from_ts(one.get("value")) or "" for one in children(root, "effectiveTime")), "")
