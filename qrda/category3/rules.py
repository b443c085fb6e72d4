"""The rules that CMS applies to every programme when it converts a report.

Source: the answers of CMS's QRDA III conversion tool and its error texts; each rule names its code. Where
CMS's answer is a known slip, the finding's ``cms`` says what CMS answers (see ``docs/qrda.md``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from measurewise.qrda.category3.document import (
    CATEGORY_SECTION,
    CATEGORY_SECTION_EXTENSION,
    Document,
    Kind,
    Part,
    whole_number,
)
from measurewise.qrda.category3.finding import Finding, finding
from measurewise.qrda.category3.rules_measures import measure_findings
from measurewise.qrda.category3.rules_pcf import pcf_findings
from measurewise.qrda.year_data import Programme, YearData

_PROMOTING_EXCLUDED_BY_HIE_5: Final = {"PI_HIE_1", "PI_LVOTC_1", "PI_HIE_4", "PI_LVITC_2"}


def programme_of(document: Document, year: YearData) -> Programme | None:
    """The programme a report is for, or None when it names none that the year has."""
    if len(document.programme_names) != 1:
        return None
    return year.programmes.get(document.programme_names[0].upper())


def findings(document: Document, year: YearData) -> list[Finding]:
    """Everything that is wrong with a report, in the order of the document."""
    programme = programme_of(document, year)
    found = list(_document(document, year, programme))
    if programme is not None:
        found += _identity(document, year, programme)
        if programme.name == "pcf":
            found += pcf_findings(document, year)
    for section in document.parts:
        if section.kind is Kind.QUALITY_SECTION:
            found += _quality_section(section, year, programme)
        elif section.kind is Kind.PROMOTING_SECTION:
            found += _promoting_section(section, year)
        elif section.kind is Kind.ACTIVITY_SECTION:
            found += _activity_section(section, year)
        if section.kind is not Kind.PROMOTING_SECTION:
            for proportion in section.of(Kind.PROPORTION):
                found += [finding(year, 15, proportion.at), *_proportion(proportion, year)]
    return found


def reporting_day(text: str) -> date | None:
    """A day as CMS reads it: separators ignored, a time after the day ignored; None when it is none."""
    digits = text.strip().replace("-", "").replace("/", "")[:8]
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _document(document: Document, year: YearData, programme: Programme | None) -> Iterator[Finding]:
    sections = {
        kind: document.of(kind)
        for kind in (Kind.PROMOTING_SECTION, Kind.ACTIVITY_SECTION, Kind.QUALITY_SECTION)
    }
    if not any(sections.values()):
        yield finding(year, 23, document.at)
    if len(sections[Kind.PROMOTING_SECTION]) > 1:
        yield finding(year, 26, document.at)
    if len(sections[Kind.ACTIVITY_SECTION]) > 1:
        yield finding(year, 27, document.at)
    if len(sections[Kind.QUALITY_SECTION]) > 1:
        yield finding(year, 28, document.at, cms=27)
    names = ", ".join(year.programmes)
    if len(document.programme_names) != 1:
        yield finding(year, 24, document.at, names)
    elif programme is None:
        named = {"program name": document.programme_names[0], "list of valid program names": names}
        yield finding(year, 25, document.at, named=named)
    elif programme.entity_type == "virtualGroup" and not document.virtual_group_ids:
        yield finding(year, 78, document.at)


def _identity(document: Document, year: YearData, programme: Programme) -> Iterator[Finding]:
    """What the submissions API asks of an individual or a group, and CMS's converter does not."""
    if programme.entity_type in ("individual", "group") and not any(document.tins):
        yield finding(year, 1002, document.at, programme.entity_type, cms=None)
    if programme.entity_type == "individual" and not any(document.npis):
        yield finding(year, 1003, document.at, cms=None)


def _reporting_parameters(section: Part, year: YearData) -> Iterator[Finding]:
    for act in section.of(Kind.REPORTING_PARAMETERS):
        starts = act.texts("c:effectiveTime/c:low/@value")
        ends = act.texts("c:effectiveTime/c:high/@value")
        if len(starts) != 1:
            yield finding(year, 29, act.at)
        elif len(ends) != 1:
            yield finding(year, 30, act.at)
        else:
            days = [reporting_day(text) for text in (starts[0], ends[0])]
            for text, day in zip((starts[0], ends[0]), days, strict=True):
                if day is None:
                    yield finding(year, 69, act.at, text)
            if any(day is not None and day.year != year.year for day in days):
                yield finding(year, 1001, act.at, f"{starts[0]} to {ends[0]}", cms=None)


def _quality_section(section: Part, year: YearData, programme: Programme | None) -> Iterator[Finding]:
    extensions = section.texts(f"c:templateId[@root='{CATEGORY_SECTION}']/@extension")
    if extensions != (CATEGORY_SECTION_EXTENSION,):
        yield finding(year, 95, section.at)
    if len(section.of(Kind.REPORTING_PARAMETERS)) != 1:
        yield finding(year, 32, section.at)
    measures = section.of(Kind.MEASURE)
    if not measures:
        yield finding(year, 81, section.at)
    guids = [measure.measure_ids[0] for measure in measures if measure.measure_ids]
    if len(set(guids)) < len(guids):
        yield finding(year, 71, section.at)
    yield from _reporting_parameters(section, year)
    for measure in measures:
        yield from measure_findings(measure, year, programme)


def _promoting_section(section: Part, year: YearData) -> Iterator[Finding]:
    if len(section.of(Kind.REPORTING_PARAMETERS)) != 1:
        yield finding(year, 22, section.at)
    reported = {name for part in section.of(Kind.PROPORTION, Kind.ATTESTATION) for name in part.measure_ids}
    if "PI_HIE_5" in reported and reported & _PROMOTING_EXCLUDED_BY_HIE_5:
        yield finding(year, 102, section.at)
    yield from _reporting_parameters(section, year)
    for proportion in section.of(Kind.PROPORTION):
        yield from _proportion(proportion, year)
    for attestation in section.of(Kind.ATTESTATION):
        if len(attestation.measure_ids) != 1:
            yield finding(year, 12, attestation.at)
        if len(attestation.of(Kind.PERFORMED)) != 1:
            yield finding(year, 11, attestation.at)
        yield from _performed(attestation, year)


def _proportion(proportion: Part, year: YearData) -> Iterator[Finding]:
    denominators = proportion.of(Kind.DENOMINATOR)
    numerators = proportion.of(Kind.NUMERATOR)
    if len(proportion.measure_ids) != 1:
        yield finding(year, 16, proportion.at)
    elif not proportion.parts:
        yield finding(year, 17, proportion.at)
    elif len(denominators) != 1:
        yield finding(year, 18, proportion.at, "Denominator")
    elif len(numerators) != 1:
        yield finding(year, 18, proportion.at, "Numerator")
    sound = True
    for name, parts in (("Numerator", numerators), ("Denominator", denominators)):
        for part in parts:
            for wrong in _proportion_count(part, name, year):
                sound = False
                yield wrong
    if sound and len(numerators) == len(denominators) == 1 and numerators[0].count > denominators[0].count:
        yield finding(year, 1004, proportion.at, numerators[0].count, denominators[0].count, cms=None)


def _proportion_count(part: Part, name: str, year: YearData) -> Iterator[Finding]:
    counts = part.of(Kind.AGGREGATE_COUNT)
    if len(counts) != 1:
        yield finding(year, 39, part.at, name)
        return
    texts = counts[0].counts
    if len(texts) != 1:
        yield finding(year, 42, counts[0].at, name, texts[0] if texts else "empty")
    elif (number := whole_number(texts[0])) is None:
        yield finding(year, 41, counts[0].at, name, texts[0])
    elif number < 0:
        yield finding(year, 42, counts[0].at, name, texts[0])


def _activity_section(section: Part, year: YearData) -> Iterator[Finding]:
    activities = section.of(Kind.ACTIVITY)
    acts = section.of(Kind.REPORTING_PARAMETERS)
    if not activities:
        yield finding(year, 43, section.at)
    elif len(acts) != 1:
        yield finding(year, 44, section.at)
    elif len(activities) + len(acts) != len(section.parts):
        yield finding(year, 45, section.at)
    yield from _reporting_parameters(section, year)
    for activity in activities:
        if len(activity.of(Kind.PERFORMED)) != 1:
            yield finding(year, 50, activity.at)
        yield from _performed(activity, year)
    for count in section.of(Kind.AGGREGATE_COUNT):
        if len(count.counts) != 1:
            yield finding(year, 8, count.at, "IA_SECTION_V3", len(count.counts))
        elif whole_number(count.counts[0]) is None:
            yield finding(year, 9, count.at)


def _performed(part: Part, year: YearData) -> Iterator[Finding]:
    for performed in part.of(Kind.PERFORMED):
        if len(performed.code) != 1 or performed.code[0].upper() not in ("Y", "N"):
            yield finding(year, 51, performed.at)
