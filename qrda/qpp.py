"""QPP submission JSON from a QRDA III report, as CMS's conversion tool writes it.

Shape: CMS, QPP submissions API documentation (submission, measurement sets, measurements).
"""

from __future__ import annotations

from typing import Any, Final

from measurewise.qrda.category3.document import Document, Kind, Part
from measurewise.qrda.category3.rules import reporting_day
from measurewise.qrda.category3.rules_measures import identifiers
from measurewise.qrda.year_data import MeasureIdentifiers, PopulationGroup, Programme, YearData

_METHOD: Final = "electronicHealthRecord"


def submission(document: Document, programme: Programme, year: YearData) -> dict[str, Any]:
    """The submission of a report without errors; populations whose count is missing are left out."""
    result: dict[str, Any] = {"performanceYear": _performance_year(document, year)}
    result["entityType"] = programme.entity_type
    if programme.entity_type == "individual" and document.npis:
        result["nationalProviderIdentifier"] = document.npis[0]
    if programme.entity_type in ("individual", "group") and document.tins:
        result["taxpayerIdentificationNumber"] = document.tins[0]
    entity = _entity_id(document, programme)
    if entity is not None:
        result["entityId"] = entity
    sets = [_set(document, section, programme, year) for section in document.parts]
    found = [one for one in sets if one is not None]
    if found:
        result["measurementSets"] = found
    return result


def _performance_year(document: Document, year: YearData) -> int:
    days = [day for day in map(reporting_day, document.starts) if day is not None]
    return days[0].year if days else year.year


def _entity_id(document: Document, programme: Programme) -> str | None:
    ids = {
        "virtualGroup": document.virtual_group_ids,
        "subgroup": document.subgroup_ids,
        "apm": document.practice_site_ids if programme.name == "pcf" else document.apm_entity_ids,
    }.get(programme.entity_type, ())
    return ids[0] if ids else None


def _set(document: Document, section: Part, programme: Programme, year: YearData) -> dict[str, Any] | None:
    category = {
        Kind.QUALITY_SECTION: "quality",
        Kind.PROMOTING_SECTION: "pi",
        Kind.ACTIVITY_SECTION: "ia",
    }.get(section.kind)
    if category is None:
        return None
    result: dict[str, Any] = {"category": category, "submissionMethod": _METHOD}
    if document.cehrt_ids and (category == "pi" or (category == "quality" and year.cehrt_in_quality)):
        result["cehrtId"] = document.cehrt_ids[0]
    measurements = [one for one in (_measurement(part, year) for part in section.parts) if one is not None]
    if measurements:
        result["measurements"] = measurements
    mips = programme.name == "mips"
    result["programName"] = document.mvp_ids[0] if mips and document.mvp_ids else programme.name
    for name, path in (("performanceStart", "low"), ("performanceEnd", "high")):
        for act in section.of(Kind.REPORTING_PARAMETERS):
            day = next(map(reporting_day, act.texts(f"c:effectiveTime/c:{path}/@value")), None)
            if day is not None:
                result[name] = day.isoformat()
    result["source"] = "qrda3"
    return result


def _measurement(part: Part, year: YearData) -> dict[str, Any] | None:
    if part.kind is Kind.MEASURE:
        known = identifiers(part, year)
        return None if known is None else {"measureId": known.measure_id, "value": _quality(part, known)}
    if part.kind is Kind.PROPORTION:
        numerators, denominators = part.of(Kind.NUMERATOR), part.of(Kind.DENOMINATOR)
        value: Any = {"numerator": numerators[0].count, "denominator": denominators[0].count}
    elif part.kind in (Kind.ATTESTATION, Kind.ACTIVITY):
        value = part.of(Kind.PERFORMED)[0].code[0].upper() == "Y"
    else:
        return None
    return {"measureId": next(iter(part.measure_ids), ""), "value": value}


def _quality(measure: Part, known: MeasureIdentifiers) -> dict[str, Any]:
    data = measure.of(Kind.MEASURE_DATA)
    value: dict[str, Any] = {"isEndToEndReported": True}
    if known.metric_type != "singlePerformanceRate":
        value["strata"] = [_stratum(data, group, known) for group in known.groups]
    elif len(known.reported_groups) > 1:
        # One rate over several groups of populations: CMS adds the groups up and writes every count.
        value |= _rate(data, summed=True)
    else:
        value |= _rate(data)
    return value


def _stratum(data: tuple[Part, ...], group: PopulationGroup, known: MeasureIdentifiers) -> dict[str, Any]:
    if not group.populations:
        # A rate that eCQMs do not report is sent with zeros.
        zeros = {"performanceMet": 0, "performanceNotMet": 0, "eligiblePopulation": 0}
        if any("DENEX" in other.populations for other in known.groups):
            zeros["eligiblePopulationExclusion"] = 0
        return {**zeros, "stratum": group.name}
    guids = set(group.populations.values())
    own = tuple(part for part in data if part.references and part.references[0].upper() in guids)
    return {**_rate(own), "stratum": group.name}


def _rate(data: tuple[Part, ...], *, summed: bool = False) -> dict[str, int]:
    """The counts of one rate; performanceNotMet = DENOM - DENEX - DENEXCEP - NUMER."""
    counts: dict[str, int] = dict.fromkeys(("NUMER", "DENOM", "DENEX", "DENEXCEP"), 0) if summed else {}
    for part in data:
        code = part.code[0] if part.code else ""
        if code in ("NUMER", "DENOM", "DENEX", "DENEXCEP"):
            counts[code] = counts.get(code, 0) + part.count if summed else counts.get(code, part.count)
    value = {}
    if "NUMER" in counts:
        value["performanceMet"] = counts["NUMER"]
    if "DENEX" in counts:
        value["eligiblePopulationExclusion"] = counts["DENEX"]
    if "DENEXCEP" in counts:
        value["eligiblePopulationException"] = counts["DENEXCEP"]
    if "DENOM" in counts:
        value["performanceNotMet"] = counts["DENOM"] - sum(
            counts.get(code, 0) for code in ("NUMER", "DENEX", "DENEXCEP")
        )
        value["eligiblePopulation"] = counts["DENOM"]
    return value
