"""The rules that only Primary Care First has (to performance year 2024)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from measurewise.qrda.category3.document import SUPPLEMENTAL, Document, Kind, Part
from measurewise.qrda.category3.finding import Finding, finding
from measurewise.qrda.year_data import MeasureIdentifiers, YearData

# With one of these, a measure's populations are not those of the year, and its counts are not compared.
UNSOUND: Final = frozenset({14, 37, 48, 49, 59, 61, 101})
_PRACTICE_SITE: Final = re.compile(r"[A-Z]{2}\d{4}")
# What must be counted, by code, as CMS calls it.
_SUPPLEMENTAL_CODES: Final = {
    Kind.RACE: {
        "1002-5": "ALASKAN_NATIVE_AMERICAN_INDIAN",
        "2028-9": "ASIAN",
        "2054-5": "AFRICAN_AMERICAN",
        "2076-8": "HAWAIIAN_PACIFIC_ISLANDER",
        "2106-3": "WHITE",
        "2131-1": "OTHER_RACE",
    },
    Kind.ETHNICITY: {"2135-2": "HISPANIC_LATINO", "2186-5": "NOT_HISPANIC_LATINO"},
    Kind.SEX: {"M": "MALE", "F": "FEMALE"},
    Kind.PAYER: {"A": "MEDICARE", "B": "MEDICAID", "C": "PRIVATE_HEALTH_INSURANCE", "D": "OTHER_PAYER"},
}


def pcf_findings(document: Document, year: YearData) -> Iterator[Finding]:
    """What is wrong with a Primary Care First report as a whole."""
    at = document.at
    yield from _practice(document, year)
    if document.of(Kind.PROMOTING_SECTION):
        yield finding(year, 106, at)
    if document.of(Kind.ACTIVITY_SECTION):
        yield finding(year, 90, at, "PCF", warning=True)
    sections = document.of(Kind.QUALITY_SECTION)
    if not sections:
        yield finding(year, 36, at)
    yield from _clinicians(document, year)
    if len(document.cehrt_ids) > 1:
        yield finding(year, 100, at)
    elif year.pcf_cehrt_pattern and not re.match(year.pcf_cehrt_pattern, next(iter(document.cehrt_ids), "")):
        yield finding(year, 97, at, "PCF")
    yield from _periods(document, year)
    for section in sections:
        yield from _section(section, year)


def pcf_measure_findings(
    measure: Part, year: YearData, known: MeasureIdentifiers, sound: bool
) -> Iterator[Finding]:
    """What is wrong with one measure; ``sound`` says that its populations are those of the year."""
    groups = known.reported_groups
    rates = measure.of(Kind.PERFORMANCE_RATE)
    if len(rates) != len(groups):
        sound = False
        named = {"Expected value": len(groups), "Given measure id": known.ecqm_id}
        yield finding(year, 37, measure.at, named=named)
    strata_findings = list(_strata(measure, year, known))
    yield from strata_findings
    yield from _supplemental(measure, year, known)
    if not sound or strata_findings:
        return
    for group in groups:
        guids = group.populations
        parts = {code: _by_guid(measure, guid) for code, guid in guids.items()}
        count = {code: part.count if part else 0 for code, part in parts.items()}
        denominator = count["DENOM"]
        rest = denominator - count.get("DENEX", 0) - count.get("DENEXCEP", 0)
        if rest < 0:
            yield finding(year, 92, measure.at, known.ecqm_id)
        if count["NUMER"] > rest:
            yield finding(year, 93, measure.at, guids["NUMER"], known.ecqm_id)
        if count.get("DENEX", 0) > denominator:
            yield finding(year, 94, measure.at, guids["DENEX"], known.ecqm_id)
        for rate in rates:
            if not rate.references or rate.references[0].upper() != guids["NUMER"]:
                continue
            if rate.texts("c:value/@nullFlavor") == ("NA",) and not rate.texts("c:value/@value"):
                if rest != 0:
                    yield finding(year, 91, measure.at, rate.references[0], known.ecqm_id)
            elif rest == 0 and _is_zero(rate.texts("c:value/@value")):
                yield finding(year, 98, measure.at)


def _practice(document: Document, year: YearData) -> Iterator[Finding]:
    sites = document.practice_site_ids
    if len(sites) != 1:
        yield finding(year, 35, document.at)
    elif not sites[0]:
        yield finding(year, 62, document.at)
    elif not _PRACTICE_SITE.fullmatch(sites[0]):
        yield finding(year, 63, document.at)
    if not document.practice_site_addresses:
        yield finding(year, 34, document.at)


def _clinicians(document: Document, year: YearData) -> Iterator[Finding]:
    at = document.at
    if not document.tins:
        yield finding(year, 84, at, "PCF")
    for tin in document.tins:
        if not _is_number_of(9, tin):
            yield finding(year, 85, at, "PCF")
    if not document.npis:
        yield finding(year, 87, at, "PCF")
    for npi in document.npis:
        if not _is_number_of(10, npi):
            yield finding(year, 88, at, "PCF")
    # None at all is fewer, too.
    if len(document.tins) > len(document.npis):
        yield finding(year, 89, at, "PCF")
    elif len(document.npis) > len(document.tins):
        yield finding(year, 86, at, "PCF")
    if any(len(who.npis) > 1 or len(who.tins) > 1 for who in document.performers):
        yield finding(year, 105, at)


def _periods(document: Document, year: YearData) -> Iterator[Finding]:
    """The period of every section, also of those that Primary Care First does not take."""
    for section in document.parts:
        for act in section.of(Kind.REPORTING_PARAMETERS):
            for path, day, code in (("low", f"{year.year}0101", 55), ("high", f"{year.year}1231", 56)):
                given = act.texts(f"c:effectiveTime/c:{path}/@value")
                if len(given) == 1 and not given[0].startswith(day):
                    yield finding(year, code, act.at, "PCF")


def _section(section: Part, year: YearData) -> Iterator[Finding]:
    measures = {measure.measure_ids[0].lower() for measure in section.of(Kind.MEASURE) if measure.measure_ids}
    names = {year.measures[guid].ecqm_id.split("v")[0] for guid in measures if guid in year.measures}
    if not set(year.pcf_required) <= names:
        yield finding(year, 103, section.at, len(year.pcf_required), ", ".join(year.pcf_required))


def _strata(measure: Part, year: YearData, known: MeasureIdentifiers) -> Iterator[Finding]:
    for group in known.reported_groups:
        for code, guid in group.populations.items():
            part = _by_guid(measure, guid)
            if part is None:
                continue
            given = [ref.upper() for one in part.of(Kind.STRATUM) for ref in one.references[:1]]
            if len(part.of(Kind.STRATUM)) != len(group.strata):
                expected = f"[{', '.join(group.strata)}]"
                yield finding(
                    year, 49, part.at, len(part.of(Kind.STRATUM)), len(group.strata), code, guid, expected
                )
            for stratum in group.strata:
                if stratum not in given:
                    yield finding(year, 48, part.at, stratum, code, guid)


def _supplemental(measure: Part, year: YearData, known: MeasureIdentifiers) -> Iterator[Finding]:
    for data in measure.of(Kind.MEASURE_DATA):
        population = data.code[0] if data.code else ""
        for kind in SUPPLEMENTAL:
            elements = {_supplemental_code(part): part for part in reversed(data.of(kind))}
            for code, name in _SUPPLEMENTAL_CODES[kind].items():
                part = elements.get(code)
                if part is None:
                    yield finding(year, 66, data.at, kind.name, name, code, population, known.ecqm_id)
                elif len(part.of(Kind.AGGREGATE_COUNT)) != 1:
                    yield finding(year, 67, part.at, code, population, known.ecqm_id)


def _supplemental_code(part: Part) -> str:
    codes = part.texts("c:value/c:translation/@code") if part.kind is Kind.PAYER else part.code
    return codes[0].upper() if codes else ""


def _by_guid(measure: Part, guid: str) -> Part | None:
    for part in measure.of(Kind.MEASURE_DATA):
        if part.references and part.references[0].upper() == guid:
            return part
    return None


def _is_number_of(digits: int, text: str) -> bool:
    return len(text) == digits and text.isascii() and text.isdigit()


def _is_zero(values: tuple[str, ...]) -> bool:
    return bool(values) and bool(re.fullmatch(r"0*\.?0*", values[0].strip())) and "0" in values[0]
