"""Summary MeasureReports made by hand, the description of a practice, and what was written read back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lxml import etree

from measurewise.qrda.category3.document import Document, Kind, Part, read_document
from measurewise.qrda.category3.writing.description import Description, Entity, EntityType, Programme

AT = datetime(2026, 1, 15, 8, 30)
CODES = {
    "IPOP": "initial-population",
    "DENOM": "denominator",
    "DENEX": "denominator-exclusion",
    "NUMER": "numerator",
    "NUMEX": "numerator-exclusion",
    "DENEXCEP": "denominator-exception",
}
SDE = {
    "sex": ("M", "F"),
    "ethnicity": ("2186-5", "2135-2"),
    "race": ("1002-5", "2028-9", "2054-5", "2076-8", "2106-3", "2131-1"),
    "payer": ("A", "B", "C", "D"),
}
ENTITIES = {
    EntityType.INDIVIDUAL: Entity(EntityType.INDIVIDUAL, "Dr Philips", tin="123456789", npi="1234567893"),
    EntityType.GROUP: Entity(EntityType.GROUP, "Good Health Clinic", tin="123456789"),
    EntityType.SUBGROUP: Entity(EntityType.SUBGROUP, "Cardiology of Good Health", id="SG-00000001"),
    EntityType.VIRTUAL_GROUP: Entity(EntityType.VIRTUAL_GROUP, "Good Health together", id="x12345"),
    EntityType.APM: Entity(EntityType.APM, "Good Health ACO", id="A1234"),
}


def described(
    year: int = 2025,
    programme: Programme = Programme.MIPS,
    entity: EntityType = EntityType.GROUP,
    **more: Any,
) -> Description:
    """A description that is in order."""
    if programme is Programme.MVP:
        more.setdefault("mvp", "G0057")
    more.setdefault("cehrt_id", "0015CABCDEFGHIJ")
    return Description(year, programme, ENTITIES[entity], **more)


def population(code: str, count: int) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/measure-population"
    return {"code": {"coding": [{"system": system, "code": CODES[code]}]}, "count": count}


def stratum(counts: dict[str, int], *codes: str, text: str | None = None) -> dict[str, Any]:
    """A stratum of those with a value (its codes, or a text) and their counts by QRDA's population codes."""
    value: dict[str, Any] = {"coding": [{"code": code} for code in codes]} if codes else {}
    if text is not None:
        value["text"] = text
    return {"value": value, "population": [population(code, count) for code, count in counts.items()]}


def by_element(name: str, *strata: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"sde-{name}", "code": [{"text": f"SDE {name.title()}"}], "stratum": list(strata)}


def group(counts: dict[str, int], *stratifiers: dict[str, Any], everyone: bool = True) -> dict[str, Any]:
    """A group; with ``everyone`` all members have the first value of each supplemental data element."""
    own = list(stratifiers)
    if everyone:
        own += [by_element(name, stratum(counts, codes[0])) for name, codes in SDE.items()]
    return {"population": [population(code, count) for code, count in counts.items()], "stratifier": own}


def report(number: str, *groups: dict[str, Any], year: int = 2025, **changed: Any) -> dict[str, Any]:
    return {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "measure": f"https://madie.cms.gov/Measure/{number}FHIRExample|0.1.000",
        "period": {"start": f"{year}-01-01", "end": f"{year}-12-31"},
        "group": list(groups),
        **changed,
    }


def read_back(xml: bytes) -> Document:
    found = read_document(etree.fromstring(xml))
    assert found is not None
    return found


def measures_of(xml: bytes) -> list[Part]:
    (section,) = read_back(xml).of(Kind.QUALITY_SECTION)
    return list(section.of(Kind.MEASURE))


def counts_of(measure: Part) -> dict[str, int]:
    """The counts of a measure's populations by GUID."""
    return {part.references[0]: part.count for part in measure.of(Kind.MEASURE_DATA)}


def values_of(part: Part, kind: Kind) -> dict[str, int]:
    """The counts of a population by the codes of a supplemental data element (``UNK`` where none)."""
    found = {}
    for one in part.of(kind):
        codes = one.texts("c:value/c:translation/@code") or one.code or one.texts("c:value/@nullFlavor")
        found[codes[0]] = one.count
    return found
