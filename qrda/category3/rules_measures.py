"""The rules for one quality measure: its GUIDs, its populations and their counts, its performance rates."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from lxml import etree

from measurewise.qrda.category3.document import SUPPLEMENTAL, Kind, Part, whole_number
from measurewise.qrda.category3.finding import Finding, finding
from measurewise.qrda.category3.rules_pcf import UNSOUND, pcf_measure_findings
from measurewise.qrda.year_data import MeasureIdentifiers, PopulationGroup, Programme, YearData

INITIAL = ("IPOP", "IPP")
_CHECKED = ("DENEXCEP", "DENEX", "NUMER", "DENOM")
_CHECKED_FOR_PCF = (*_CHECKED, "IPOP")


def measure_findings(measure: Part, year: YearData, programme: Programme | None) -> list[Finding]:
    """What is wrong with one measure, populations before their counts."""
    name = programme.name if programme is not None else ""
    found: list[Finding] = []
    compared: set[etree._Element] = set()
    if name in ("mips", "pcf"):
        found += _identified(measure, year, name)
        compared = _compared_unchecked(measure, year, name, {one.code for one in found})
    elif name:
        # CMS's converter does not look at the populations of APP reports.
        found += [_unseen_by_cms(one) for one in _identified(measure, year, name)]
    found += _counts(measure, year, compared)
    found += _rates(measure, year)
    return found


def of_type(measure: Part, code: str) -> list[Part]:
    """The populations of a measure that have a type; ``IPOP`` takes ``IPP`` too."""
    codes = INITIAL if code == "IPOP" else (code,)
    return [part for part in measure.of(Kind.MEASURE_DATA) if part.code and part.code[0] in codes]


def population(measure: Part, code: str, guid: str) -> Part | None:
    """The population of a type whose GUID is the group's, or None."""
    for part in of_type(measure, code):
        if part.references and part.references[0].upper() == guid:
            return part
    return None


def identifiers(measure: Part, year: YearData) -> MeasureIdentifiers | None:
    """The measure's identifiers in the year's data, by its GUID."""
    return year.measures.get(measure.measure_ids[0].lower()) if measure.measure_ids else None


def _unseen_by_cms(one: Finding) -> Finding:
    return Finding(one.code, one.message, one.mend, one.at, None, one.warning)


def _identified(measure: Part, year: YearData, programme: str) -> Iterator[Finding]:
    if len(measure.measure_ids) != 1:
        yield finding(year, 70, measure.at)
    if not measure.of(Kind.MEASURE_DATA):
        yield finding(year, 7, measure.at)
    for data in measure.of(Kind.MEASURE_DATA):
        if len(data.code) != 1:
            yield finding(year, 58, data.at)
        elif len(data.references) != 1:
            yield finding(year, 57, data.at)
    known = identifiers(measure, year)
    if known is None:
        if measure.measure_ids:
            yield finding(year, 6, measure.at, measure.measure_ids[0])
        return
    groups = known.reported_groups
    sound = True
    checked = _CHECKED_FOR_PCF if programme == "pcf" else _CHECKED
    for code in checked:
        expected = sum(code in group.populations for group in groups)
        actual = len(of_type(measure, code))
        if expected != actual:
            sound = False
            yield finding(year, 14, measure.at, known.ecqm_id, expected, _either(code, " or "), actual)
    for group in groups:
        for wrong in _group(measure, year, programme, known, group, checked):
            sound = False
            yield wrong
    if programme == "pcf":
        yield from pcf_measure_findings(measure, year, known, sound)


def _group(
    measure: Part,
    year: YearData,
    programme: str,
    known: MeasureIdentifiers,
    group: PopulationGroup,
    checked: tuple[str, ...],
) -> Iterator[Finding]:
    for code in checked:
        guid = group.populations.get(code)
        if guid is not None and population(measure, code, guid) is None:
            yield finding(year, 59, measure.at, known.ecqm_id, _either(code, ","), guid)
    yield from _rate_of(measure, year, programme, known, group)
    denominator = population(measure, "DENOM", group.populations.get("DENOM", ""))
    initial = population(measure, "IPOP", group.populations.get("IPOP", ""))
    if denominator is not None and initial is not None:
        if programme == "pcf":
            if denominator.count != initial.count:
                named = {"Program name": programme, "measure population id": group.populations["DENOM"]}
                yield finding(year, 101, _count_place(denominator), named=named)
        elif denominator.count > initial.count and not _is_no_number(initial):
            yield finding(year, 13, _count_place(denominator), group.populations["DENOM"])
    numerator = population(measure, "NUMER", group.populations.get("NUMER", ""))
    if programme != "pcf" and denominator is not None and numerator is not None:
        if numerator.count > denominator.count:
            yield finding(year, 1004, numerator.at, numerator.count, denominator.count, cms=None)


def _either(code: str, between: str) -> str:
    """A population's code as CMS's texts have it."""
    return between.join(reversed(INITIAL)) if code in INITIAL else code


def _count_place(data: Part) -> etree._Element:
    """Where CMS says that a population's count stands: its aggregate count, if there is one."""
    return next((count.at for count in data.of(Kind.AGGREGATE_COUNT)), data.at)


def _is_no_number(data: Part) -> bool:
    """A count that is there and cannot be compared; it is told by itself (9)."""
    texts = [text for count in data.of(Kind.AGGREGATE_COUNT) for text in count.counts]
    return len(texts) == 1 and whole_number(texts[0]) is None


def _rate_of(
    measure: Part, year: YearData, programme: str, known: MeasureIdentifiers, group: PopulationGroup
) -> Iterator[Finding]:
    numerator = group.populations.get("NUMER")
    if numerator is None:
        return
    rates = measure.of(Kind.PERFORMANCE_RATE)
    untied = [rate for rate in rates if len(rate.references) != 1]
    for rate in untied:
        yield finding(year, 61, rate.at)
    tied = any(rate.references and rate.references[0].upper() == numerator for rate in rates)
    # Only Primary Care First must report a rate; elsewhere a rate that is there must be tied.
    if not tied and (programme == "pcf" or (rates and not untied)):
        yield finding(year, 59, measure.at, known.ecqm_id, "performanceRateUuid", numerator)


def _counts(measure: Part, year: YearData, compared: set[etree._Element]) -> Iterator[Finding]:
    for data in measure.of(Kind.MEASURE_DATA):
        counts = data.of(Kind.AGGREGATE_COUNT)
        guid = data.references[0] if data.references else ""
        if len(counts) != 1:
            yield finding(year, 52, data.at, guid)
            continue
        texts = counts[0].counts
        if len(texts) != 1:
            yield finding(year, 8, counts[0].at, "MEASURE_DATA_CMS_V4", len(texts))
        elif (number := whole_number(texts[0])) is None:
            yield finding(year, 9, counts[0].at, cms=3 if data.at in compared else 9)
        elif number < 0:
            yield finding(year, 53, _count_place(data), guid)
        for part in data.of(*SUPPLEMENTAL, Kind.STRATUM):
            yield from _part_counts(part, year)


def _part_counts(part: Part, year: YearData) -> Iterator[Finding]:
    """The counts of a stratum or of a supplemental data element."""
    for count in part.of(Kind.AGGREGATE_COUNT):
        if len(count.counts) != 1:
            yield finding(year, 8, count.at, part.kind.name, len(count.counts))
        elif whole_number(count.counts[0]) is None:
            yield finding(year, 9, count.at)


def _compared_unchecked(
    measure: Part, year: YearData, programme: str, codes: set[int]
) -> set[etree._Element]:
    """The populations whose counts CMS's converter compares before it has looked whether they are numbers.

    It stops there (3). MIPS: the denominator with its initial population. Primary Care First: the numerator,
    exclusions and exceptions with the denominator, once everything else about the populations is in order.
    """
    known = identifiers(measure, year)
    found: set[etree._Element] = set()
    for group in known.reported_groups if known is not None else ():
        parts = {code: population(measure, code, guid) for code, guid in group.populations.items()}
        if programme == "mips":
            pair = [parts.get("DENOM"), parts.get("IPOP")]
            found |= {part.at for part in pair if part is not None} if None not in pair else set()
        elif not codes & UNSOUND:
            found |= {part.at for code, part in parts.items() if part and code not in ("DENOM", "IPOP")}
    return found


def _rates(measure: Part, year: YearData) -> Iterator[Finding]:
    for rate in measure.of(Kind.PERFORMANCE_RATE):
        if rate.texts("c:value/@nullFlavor")[:1] == ("NA",):
            continue
        values = rate.texts("c:value/@value")
        if not values:
            yield finding(year, 72, rate.at)
            continue
        try:
            within = 0 <= Decimal(values[0].strip()) <= 1
        except InvalidOperation:
            within = False
        if not within:
            yield finding(year, 33, rate.at, values[0])
