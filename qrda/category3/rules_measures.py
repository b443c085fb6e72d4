"""The rules for one quality measure: its GUIDs, its populations and their counts, its performance rates."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from measurewise.qrda.category3.document import Kind, Part, whole_number
from measurewise.qrda.category3.finding import Finding, finding
from measurewise.qrda.category3.rules_pcf import pcf_measure_findings
from measurewise.qrda.year_data import MeasureIdentifiers, PopulationGroup, Programme, YearData

INITIAL = ("IPOP", "IPP")
_CHECKED = ("DENEXCEP", "DENEX", "NUMER", "DENOM")
_CHECKED_FOR_PCF = (*_CHECKED, "IPOP")


def measure_findings(measure: Part, year: YearData, programme: Programme | None) -> list[Finding]:
    """What is wrong with one measure, populations before their counts."""
    name = programme.name if programme is not None else ""
    found: list[Finding] = []
    if name in ("mips", "pcf"):
        found += _identified(measure, year, name)
    elif name:
        # CMS's converter does not look at the populations of APP reports.
        found += [_unseen_by_cms(one) for one in _identified(measure, year, name)]
    found += _counts(measure, year, name)
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
            yield finding(year, 14, measure.at, known.ecqm_id, expected, code, actual)
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
            yield finding(year, 59, measure.at, known.ecqm_id, code, guid)
    yield from _rate_of(measure, year, programme, known, group)
    denominator = population(measure, "DENOM", group.populations.get("DENOM", ""))
    initial = population(measure, "IPOP", group.populations.get("IPOP", ""))
    if denominator is not None and initial is not None:
        if programme == "pcf":
            if denominator.count != initial.count:
                yield finding(year, 101, denominator.at, programme, group.populations["DENOM"])
        elif denominator.count > initial.count and not _is_no_number(initial):
            yield finding(year, 13, denominator.at, group.populations["DENOM"], year.year)
    numerator = population(measure, "NUMER", group.populations.get("NUMER", ""))
    if programme != "pcf" and denominator is not None and numerator is not None:
        if numerator.count > denominator.count:
            yield finding(year, 1004, numerator.at, numerator.count, denominator.count, cms=None)


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


def _counts(measure: Part, year: YearData, programme: str) -> Iterator[Finding]:
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
            yield finding(year, 9, counts[0].at, cms=_answer_to_no_number(data, programme))
        elif number < 0:
            yield finding(year, 53, data.at, guid)


def _answer_to_no_number(data: Part, programme: str) -> int:
    """CMS's converter stops (3) where it compares counts before it has looked whether they are numbers."""
    code = data.code[0] if data.code else ""
    if programme == "mips":
        return 3 if code in (*INITIAL, "DENOM") else 9
    if programme == "pcf":
        return 3 if code not in (*INITIAL, "DENOM") else 9
    return 9


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
