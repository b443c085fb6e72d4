"""QPP submission from a QRDA III report, as CMS's conversion tool writes it.

Shape: CMS, QPP submissions API documentation (submission, measurement sets, measurements).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from measurewise.qrda.category3.document import Document, Kind, Part
from measurewise.qrda.category3.rules import reporting_day
from measurewise.qrda.category3.rules_measures import identifiers
from measurewise.qrda.qpp_model import (
    Measurement,
    MeasurementSet,
    MultiPerformanceRate,
    PerformanceRate,
    Proportion,
    Stratum,
    Submission,
    Value,
    to_json,
)
from measurewise.qrda.year_data import MeasureIdentifiers, PopulationGroup, Programme, YearData

_METHOD: Final = "electronicHealthRecord"
_COUNTED: Final = ("NUMER", "DENOM", "DENEX", "DENEXCEP")


def submission(document: Document, programme: Programme, year: YearData) -> dict[str, Any]:
    """The JSON of :func:`submission_of`."""
    return to_json(submission_of(document, programme, year))


def submission_of(document: Document, programme: Programme, year: YearData) -> Submission:
    """The submission of a report without errors; populations whose count is missing are left out."""
    kind = programme.entity_type
    sets = [_set(document, section, programme, year) for section in document.parts]
    found = tuple(one for one in sets if one is not None)
    return Submission(
        performance_year=_performance_year(document, year),
        entity_type=kind,
        entity_id=_entity_id(document, programme),
        taxpayer_identification_number=(
            next(iter(document.tins), None) if kind in ("individual", "group") else None
        ),
        national_provider_identifier=next(iter(document.npis), None) if kind == "individual" else None,
        measurement_sets=found or None,
    )


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


def _set(document: Document, section: Part, programme: Programme, year: YearData) -> MeasurementSet | None:
    category = {
        Kind.QUALITY_SECTION: "quality",
        Kind.PROMOTING_SECTION: "pi",
        Kind.ACTIVITY_SECTION: "ia",
    }.get(section.kind)
    if category is None:
        return None
    certified = category == "pi" or (category == "quality" and year.cehrt_in_quality)
    measurements = tuple(
        one for one in (_measurement(part, year) for part in section.parts) if one is not None
    )
    mvps = document.mvp_ids if programme.name == "mips" else ()
    return MeasurementSet(
        category=category,
        submission_method=_METHOD,
        program_name=mvps[0] if mvps else programme.name,
        cehrt_id=next(iter(document.cehrt_ids), None) if certified else None,
        performance_start=_day(section, "low"),
        performance_end=_day(section, "high"),
        measurements=measurements or None,
        source="qrda3",
    )


def _day(section: Part, bound: str) -> str | None:
    """The start (low) or end (high) of the last reporting period of a section."""
    found = None
    for act in section.of(Kind.REPORTING_PARAMETERS):
        day = next(map(reporting_day, act.texts(f"c:effectiveTime/c:{bound}/@value")), None)
        found = day.isoformat() if day is not None else found
    return found


def _measurement(part: Part, year: YearData) -> Measurement | None:
    if part.kind is Kind.MEASURE:
        known = identifiers(part, year)
        return None if known is None else Measurement(known.measure_id, _quality(part, known))
    if part.kind is Kind.PROPORTION:
        numerators, denominators = part.of(Kind.NUMERATOR), part.of(Kind.DENOMINATOR)
        value: Value = Proportion(numerators[0].count, denominators[0].count)
    elif part.kind in (Kind.ATTESTATION, Kind.ACTIVITY):
        value = part.of(Kind.PERFORMED)[0].code[0].upper() == "Y"
    else:
        return None
    return Measurement(next(iter(part.measure_ids), ""), value)


def _quality(measure: Part, known: MeasureIdentifiers) -> Value:
    data = measure.of(Kind.MEASURE_DATA)
    if known.metric_type != "singlePerformanceRate":
        strata = tuple(_stratum(data, group, known) for group in known.groups)
        return MultiPerformanceRate(is_end_to_end_reported=True, strata=strata)
    # One rate over several groups of populations: CMS adds the groups up and writes every count.
    summed = len(known.reported_groups) > 1
    return PerformanceRate(is_end_to_end_reported=True, **rate_members(_counts(data, summed=summed)))


def _stratum(data: tuple[Part, ...], group: PopulationGroup, known: MeasureIdentifiers) -> Stratum:
    if not group.populations:
        return unreported_stratum(group, known)
    guids = set(group.populations.values())
    own = tuple(part for part in data if part.references and part.references[0].upper() in guids)
    return Stratum(stratum=group.name, **rate_members(_counts(own)))


def unreported_stratum(group: PopulationGroup, known: MeasureIdentifiers) -> Stratum:
    """A rate that eCQMs do not report is sent with zeros."""
    excludes = any("DENEX" in other.populations for other in known.groups)
    return Stratum(
        stratum=group.name,
        performance_met=0,
        performance_not_met=0,
        eligible_population=0,
        eligible_population_exclusion=0 if excludes else None,
    )


def _counts(data: tuple[Part, ...], *, summed: bool = False) -> dict[str, int]:
    """The count of each type of population, the first of its type or all of them added up."""
    counts: dict[str, int] = dict.fromkeys(_COUNTED, 0) if summed else {}
    for part in data:
        code = part.code[0] if part.code else ""
        if code in _COUNTED:
            counts[code] = counts.get(code, 0) + part.count if summed else counts.get(code, part.count)
    return counts


def rate_members(counts: Mapping[str, int]) -> dict[str, Any]:
    """The members of a rate from its counts by NUMER, DENOM, DENEX, DENEXCEP; a missing count has no member.

    performanceNotMet = DENOM - DENEX - DENEXCEP - NUMER.
    """
    value: dict[str, Any] = {}
    if "NUMER" in counts:
        value["performance_met"] = counts["NUMER"]
    if "DENEX" in counts:
        value["eligible_population_exclusion"] = counts["DENEX"]
    if "DENEXCEP" in counts:
        value["eligible_population_exception"] = counts["DENEXCEP"]
    if "DENOM" in counts:
        rest = sum(counts.get(code, 0) for code in ("NUMER", "DENEX", "DENEXCEP"))
        value["performance_not_met"] = counts["DENOM"] - rest
        value["eligible_population"] = counts["DENOM"]
    return value
