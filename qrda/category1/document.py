"""One patient's record as a QRDA Category I document (HL7 QRDA I, STU 5.3; CMS's hospital guide, 2026)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lxml import etree

from measurewise.qrda.category1.blood_pressure import pressures_of
from measurewise.qrda.category1.cda import CDA, SDTC, XSI, add, derived_id, insert, make, qualified
from measurewise.qrda.category1.data_types import to_ts
from measurewise.qrda.category1.elements import Carried, missing, write_elements
from measurewise.qrda.category1.entries import Written, write_entry
from measurewise.qrda.category1.patient import (
    read_record_target,
    write_address,
    write_expired,
    write_record_target,
)
from measurewise.qrda.category1.slots import RESOURCE_ID, Writing

_LOINC: Final = "2.16.840.1.113883.6.1"
_SNOMED: Final = "2.16.840.1.113883.6.96"
_MEASURE_ID: Final = "2.16.840.1.113883.4.738"
_UNIT: Final = "Measurewise"
_NAMESPACES: Final[Any] = {None: CDA, "sdtc": SDTC, "xsi": XSI}
_NO_VALUE_SETS: Final[dict[tuple[str, str], str]] = {}


@dataclass(frozen=True, slots=True)
class MeasureReference:
    """A measure that the document is written for; ``uuid`` is its version-specific identifier."""

    uuid: str
    title: str
    set_id: str | None = None


@dataclass(frozen=True, slots=True)
class CmsHospital:
    """What CMS's guide for hospitals wants besides: CCN, programme (such as HQR_IQR), CEHRT id."""

    ccn: str
    programme: str
    cehrt_id: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What a document says besides the record.

    ``period`` are the first and last day (FHIR dates), ``created`` is a FHIR dateTime, ``source`` names the
    system whose records these are (entries of one source keep their ids from document to document).
    ``value_sets`` gives value set OIDs by resource type, then (system, code). ``elements=False`` writes
    nothing but the templates.
    """

    measures: Sequence[MeasureReference]
    period: tuple[str, str]
    created: str
    source: str = "urn:measurewise"
    custodian: str = "Not stated"
    value_sets: Mapping[str, dict[tuple[str, str], str]] = field(default_factory=dict)
    elements: bool = True
    cms: CmsHospital | None = None


@dataclass(frozen=True, slots=True)
class EntryReport:
    """What became of a resource: its datatype (None: QRDA I has none), elements outside templates, lost ones.

    ``filled``: what the template requires and the resource has not.
    """

    reference: str
    datatype: str | None
    as_elements: tuple[str, ...]
    lost: tuple[str, ...]
    filled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenDocument:
    """The document in UTF-8, and what became of each resource."""

    data: bytes
    entries: tuple[EntryReport, ...]


def write_document(resources: Sequence[dict[str, Any]], settings: Settings) -> WrittenDocument:
    """Write one patient's resources (JSON as parsed, decimals kept); the first Patient is the patient."""
    patient = next(
        (one for one in resources if one.get("resourceType") == "Patient"), {"resourceType": "Patient"}
    )
    owner = _owner(patient, settings)
    subject = f"Patient/{patient.get('id')}"
    document = _header(patient, settings, owner)
    body = add(add(document, "component"), "structuredBody")
    _measure_section(body, settings)
    _parameters_section(body, settings, owner)
    section = _patient_section(body, settings)
    by_reference = {f"{one.get('resourceType')}/{one.get('id')}": one for one in resources}
    stamp = _stamp(settings.created)
    reports: list[EntryReport] = []
    rows: list[tuple[str, str, str]] = []
    for resource in resources:
        kind = str(resource.get("resourceType"))
        reference = f"{kind}/{resource.get('id')}"
        if resource is patient:
            back = _back(document)
            written = _patient_entry(resource, back, owner, settings)
        else:
            values = settings.value_sets.get(kind, _NO_VALUE_SETS)
            context = Writing(values, by_reference, stamp, cms=settings.cms is not None)
            written = write_entry(resource, context, subject, owner, elements=settings.elements)
            if written.datatype is None and not settings.elements:
                reports.append(EntryReport(reference, None, (), written.carried.lost, ()))
                continue
        if written is not None:
            section.append(written.entry)
            if written.datatype is not None:
                section.extend(_pressures(resource, subject, owner, settings))
            rows.append((written.datatype or f"FHIR {kind}", _told(resource), _when(resource)))
            carried = written.carried
            reports.append(
                EntryReport(reference, written.datatype, carried.as_elements, carried.lost, written.filled)
            )
    if settings.cms and not any(one.get("resourceType") == "Coverage" for one in resources):
        section.append(_no_payer(settings, owner))
    expired = write_expired(patient, owner)
    if expired is not None:
        section.append(expired)
    _narrative(section, rows)
    etree.cleanup_namespaces(document, keep_ns_prefixes=["sdtc", "xsi"])
    return WrittenDocument(
        etree.tostring(document, encoding="UTF-8", xml_declaration=True, pretty_print=True), tuple(reports)
    )


def _owner(patient: Mapping[str, Any], settings: Settings) -> str:
    for one in patient.get("identifier") or ():
        if isinstance(one, Mapping) and one.get("value"):
            return f"{settings.source}|{one.get('system')}|{one['value']}"
    return f"{settings.source}|{patient.get('id')}"


def _header(patient: dict[str, Any], settings: Settings, owner: str) -> etree._Element:
    document = etree.Element(qualified("ClinicalDocument"), nsmap=_NAMESPACES)
    add(document, "realmCode", code="US")
    add(document, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    for root, extension in (
        ("2.16.840.1.113883.10.20.22.1.1", "2015-08-01"),
        ("2.16.840.1.113883.10.20.24.1.1", "2017-08-01"),
        ("2.16.840.1.113883.10.20.24.1.2", "2021-08-01"),
        *((("2.16.840.1.113883.10.20.24.1.3", "2025-03-01"),) if settings.cms else ()),
    ):
        add(document, "templateId", root=root, extension=extension)
    measures = ",".join(one.uuid for one in settings.measures)
    add(document, "id", root=derived_id(owner, "document", measures, *settings.period, settings.created))
    add(document, "code", code="55182-0", codeSystem=_LOINC, displayName="Quality Measure Report")
    add(document, "title", "QRDA Category I Report")
    stamp = _stamp(settings.created)
    add(document, "effectiveTime", value=stamp)
    add(document, "confidentialityCode", code="N", codeSystem="2.16.840.1.113883.5.25")
    add(document, "languageCode", code="en")
    write_record_target(document, patient, owner, settings.source, cms=settings.cms is not None)
    author = add(document, "author")
    add(author, "time", value=stamp)
    assigned = add(author, "assignedAuthor")
    add(assigned, "id", root=derived_id(settings.source, "author"))
    write_address(assigned, None)
    add(assigned, "telecom", nullFlavor="UNK")
    device = add(assigned, "assignedAuthoringDevice")
    add(device, "manufacturerModelName", _UNIT)
    add(device, "softwareName", _UNIT)
    _custodian(document, settings)
    if settings.cms:
        recipient = add(add(document, "informationRecipient"), "intendedRecipient")
        add(recipient, "id", root="2.16.840.1.113883.3.249.7", extension=settings.cms.programme)
        entity = add(add(document, "participant", typeCode="DEV"), "associatedEntity", classCode="RGPR")
        add(entity, "id", root="2.16.840.1.113883.3.2074.1", extension=settings.cms.cehrt_id)
    return document


def _custodian(document: etree._Element, settings: Settings) -> None:
    organization = add(
        add(add(document, "custodian"), "assignedCustodian"), "representedCustodianOrganization"
    )
    if settings.cms:
        add(organization, "id", root="2.16.840.1.113883.4.336", extension=settings.cms.ccn)
    else:
        add(organization, "id", root=derived_id(settings.source, "custodian"))
    add(organization, "name", settings.custodian)
    add(organization, "telecom", nullFlavor="UNK")
    write_address(organization, None)


def _section(
    body: etree._Element, templates: Sequence[tuple[str, str | None]], code: str, title: str
) -> etree._Element:
    section = add(add(body, "component"), "section")
    for root, extension in templates:
        add(section, "templateId", root=root, **({"extension": extension} if extension else {}))
    add(section, "code", code=code, codeSystem=_LOINC)
    add(section, "title", title)
    add(section, "text")
    return section


def _measure_section(body: etree._Element, settings: Settings) -> None:
    section = _section(
        body,
        (("2.16.840.1.113883.10.20.24.2.2", None), ("2.16.840.1.113883.10.20.24.2.3", None)),
        "55186-1",
        "Measure Section",
    )
    _table(
        section, ("eCQM", "Version-specific identifier"), [(one.title, one.uuid) for one in settings.measures]
    )
    for one in settings.measures:
        organizer = add(add(section, "entry"), "organizer", classCode="CLUSTER", moodCode="EVN")
        add(organizer, "templateId", root="2.16.840.1.113883.10.20.24.3.98")
        add(organizer, "templateId", root="2.16.840.1.113883.10.20.24.3.97")
        add(organizer, "id", root=derived_id("measure", one.uuid))
        add(organizer, "statusCode", code="completed")
        external = add(
            add(organizer, "reference", typeCode="REFR"), "externalDocument", classCode="DOC", moodCode="EVN"
        )
        add(external, "id", root=_MEASURE_ID, extension=one.uuid)
        add(external, "text", one.title)
        if one.set_id:
            add(external, "setId", root=one.set_id)


def _parameters_section(body: etree._Element, settings: Settings, owner: str) -> None:
    cms = settings.cms is not None
    section = _section(
        body,
        (
            ("2.16.840.1.113883.10.20.17.2.1", None),
            *((("2.16.840.1.113883.10.20.17.2.1.1", "2016-03-01"),) if cms else ()),
        ),
        "55187-9",
        "Reporting Parameters",
    )
    start, end = settings.period
    _table(section, ("Reporting period",), [(f"{start} to {end}",)])
    act = add(add(section, "entry", typeCode="DRIV"), "act", classCode="ACT", moodCode="EVN")
    add(act, "templateId", root="2.16.840.1.113883.10.20.17.3.8")
    if cms:
        add(act, "templateId", root="2.16.840.1.113883.10.20.17.3.8.1", extension="2016-03-01")
    add(act, "id", root=derived_id(owner, "period", start, end))
    add(act, "code", code="252116004", codeSystem=_SNOMED, displayName="Observation Parameters")
    time = add(act, "effectiveTime")
    for name, date in (("low", start), ("high", end)):
        stamp = to_ts(date)
        add(time, name, **({"value": stamp[:8]} if stamp else {"nullFlavor": "UNK"}))


def _patient_section(body: etree._Element, settings: Settings) -> etree._Element:
    return _section(
        body,
        (
            ("2.16.840.1.113883.10.20.17.2.4", None),
            ("2.16.840.1.113883.10.20.24.2.1", "2021-08-01"),
            *((("2.16.840.1.113883.10.20.24.2.1.1", "2022-02-01"),) if settings.cms else ()),
        ),
        "55188-7",
        "Patient Data",
    )


def _back(document: etree._Element) -> dict[str, Any]:
    return read_record_target(document)[0]


def _patient_entry(
    patient: dict[str, Any], back: dict[str, Any], owner: str, settings: Settings
) -> Written | None:
    """What the header does not say of the patient; it keeps the section from being empty, too."""
    reference = f"Patient/{patient.get('id')}"
    entry = etree.Element(qualified("entry"), typeCode="DRIV")
    act = make(entry, "act[classCode=ACT,moodCode=EVN]")
    insert(act, etree.Element(qualified("id"), root=derived_id(owner, reference, "patient")))
    insert(act, etree.Element(qualified("id"), root=RESOURCE_ID, extension=reference))
    make(act, "code").set("nullFlavor", "NA")
    carried: Carried = write_elements(act, list(missing(patient, back)), allowed=settings.elements)
    return Written(entry, "Patient", carried, ())


def _no_payer(settings: Settings, owner: str) -> etree._Element:
    """The payer that CMS's guide wants, for a patient of whom none is known."""
    context = Writing({}, {}, _stamp(settings.created), cms=True)
    return write_entry({"resourceType": "Coverage"}, context, "", f"{owner}|payer", elements=False).entry


def _pressures(
    resource: dict[str, Any], subject: str, owner: str, settings: Settings
) -> Iterator[etree._Element]:
    """A blood pressure's systolic and diastolic exam, each stating what it is a part of."""
    context = Writing({}, {}, _stamp(settings.created), cms=settings.cms is not None)
    for part, exam in pressures_of(resource):
        entry = write_entry(exam, context, subject, f"{owner}|{part}", elements=False).entry
        insert(entry[0], etree.Element(qualified("id"), root=RESOURCE_ID, extension=part))
        yield entry


def _narrative(section: etree._Element, rows: list[tuple[str, str, str]]) -> None:
    _table(section, ("Data", "Code", "Time"), rows)


def _table(section: etree._Element, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = section.find(qualified("text"))
    if text is None or not rows:
        return
    table = add(text, "table")
    head = add(add(table, "thead"), "tr")
    for title in heads:
        add(head, "th", title)
    body = add(table, "tbody")
    for row in rows:
        line = add(body, "tr")
        for cell in row:
            add(line, "td", cell)


def _told(resource: Mapping[str, Any]) -> str:
    """A resource's code for people."""
    for name in ("code", "type", "vaccineCode", "medicationCodeableConcept", "codeCodeableConcept"):
        concept = resource.get(name)
        concept = concept[0] if isinstance(concept, list) and concept else concept
        codings = concept.get("coding") if isinstance(concept, Mapping) else None
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, Mapping):
                shown = str(coding.get("display") or coding.get("code") or "")
                return "".join(one for one in shown if one.isprintable())
    return ""


def _when(resource: Mapping[str, Any]) -> str:
    for name, value in resource.items():
        if name.endswith(("DateTime", "Period", "period", "authoredOn", "sent")) and not name.startswith("_"):
            moment = value.get("start") if isinstance(value, Mapping) else value
            if isinstance(moment, str) and to_ts(moment):
                return moment
    return ""


def _stamp(created: str) -> str:
    stamp = to_ts(created)
    if stamp is None:
        raise ValueError(f"no date and time: {created}")
    return stamp
