"""MeasureReports as what QRDA III states of them: counts under the year's GUIDs.

A report names its measure by canonical URL; the CMS number in it (or in the identifiers of the Measure,
where the URL has none) finds the measure of the year. Groups are joined in their order, populations by
their code, strata by the order of the stratifiers. What cannot be stated without loss is an error; what
is left out because the year or the report does not have it is a notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.extensions import code_of
from measurewise.qrda.category3.writing.supplemental import (
    Counted,
    Element,
    counted,
    element_of,
    nobody,
    vocabulary,
)
from measurewise.qrda.category3.writing.year import YearIdentifiers, cms_number
from measurewise.qrda.year_data import MeasureIdentifiers, PopulationGroup

Json = Mapping[str, Any]
MissingPolicy = Literal["error", "leave-out"]

POPULATIONS: Final = {
    "initial-population": "IPOP",
    "denominator": "DENOM",
    "denominator-exclusion": "DENEX",
    "numerator": "NUMER",
    "numerator-exclusion": "NUMEX",
    "denominator-exception": "DENEXCEP",
}
"""QRDA's population codes (ValueSet PopulationInclusionObservationType) by FHIR's, in the order written."""


@dataclass(frozen=True, slots=True)
class StratumResult:
    """A stratum's part of a population."""

    guid: str
    count: int


@dataclass(frozen=True, slots=True)
class PopulationResult:
    """A population's count, its strata, and its members by supplemental data element."""

    code: str
    guid: str
    count: int
    strata: tuple[StratumResult, ...]
    supplemental: tuple[tuple[Element, Counted], ...]


@dataclass(frozen=True, slots=True)
class RateResult:
    """One group: its populations in QRDA's order."""

    populations: tuple[PopulationResult, ...]

    def count(self, code: str) -> int:
        """The count of a population, 0 where the measure does not have it."""
        return next((one.count for one in self.populations if one.code == code), 0)

    @property
    def numerator(self) -> PopulationResult:
        """The population that the performance rate refers to."""
        return next(one for one in self.populations if one.code == "NUMER")

    @property
    def performance_rate(self) -> Fraction | None:
        """Numerator without exclusions over denominator without exclusions and exceptions; None over 0."""
        eligible = self.count("DENOM") - self.count("DENEX") - self.count("DENEXCEP")
        return Fraction(self.count("NUMER") - self.count("NUMEX"), eligible) if eligible > 0 else None


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """A measure's results with its identifiers of the year."""

    identifiers: MeasureIdentifiers
    title: str
    rates: tuple[RateResult, ...]


def cms_number_of(report: Json, measures: Mapping[str, Json]) -> str:
    """The CMS number (``CMS122``) of a report's measure.

    ``measures`` are Measure resources by canonical URL without version. Raises ContentError where neither the
    URL nor the Measure tells.
    """
    url = str(report.get("measure") or "").partition("|")[0]
    found = cms_number(url.rpartition("/")[2])
    if found is not None:
        return found
    measure = measures.get(url, {})
    texts = [str(item.get("value", "")) for item in measure.get("identifier") or ()]
    for text in (*texts, str(measure.get("id", "")), str(measure.get("name", ""))):
        if (found := cms_number(text)) is not None:
            return found
    raise ContentError(
        "its measure's URL has no CMS number, and no Measure resource tells it.",
        where=f"MeasureReport of {url or 'no measure'}",
        mend="Give the Measure resource too (--content); an identifier names it, such as CMS122FHIR.",
    )


def measure_result(
    report: Json,
    number: str,
    year: YearIdentifiers,
    notices: list[str],
    *,
    missing_supplemental_data: MissingPolicy = "error",
) -> MeasureResult:
    """A summary report joined to a year's identifiers; what was left out is added to ``notices``.

    Raises ContentError for a measure that the year lacks, and for counts that the year's populations cannot
    carry or that the report does not have.
    """
    identifiers = year.measures.get(number)
    if identifiers is None:
        raise ContentError(
            f"performance year {year.year} has no eCQM {number}.",
            where=str(report.get("measure")),
            mend="Leave its report out, or report for a year that has it.",
        )
    where = f"{number} ({identifiers.ecqm_id})"
    groups = _groups(report, where)
    exclusions = year.numerator_exclusions.get(identifiers.ecqm_id, (None,) * len(identifiers.groups))
    known = [
        (own, {**own.populations, "NUMEX": exclusion} if exclusion else own.populations)
        for own, exclusion in zip(identifiers.groups, exclusions, strict=True)
        if own.populations
    ]
    if len(groups) != len(known):
        raise ContentError(
            f"the report has {len(groups)} groups; the measure of {year.year} has {len(known)}.",
            where=where,
            mend="Evaluate the measure's version of that year.",
        )
    rates = []
    for place, (group, (own, guids)) in enumerate(zip(groups, known, strict=True), 1):
        at = where if len(known) == 1 else f"{where}, group {place}"
        rates.append(_rate(group, own, guids, at, year.year, notices, missing_supplemental_data))
    title = year.titles.get(identifiers.ecqm_id, identifiers.ecqm_id)
    return MeasureResult(identifiers, title, tuple(rates))


def _groups(report: Json, where: str) -> Sequence[Json]:
    if report.get("resourceType") != "MeasureReport" or report.get("type") != "summary":
        raise ContentError(
            f"it is no summary MeasureReport but {report.get('type') or report.get('resourceType')}.",
            where=where,
            mend="Evaluate with --report summary.",
        )
    if report.get("status") != "complete":
        raise ContentError(
            f"its status is {report.get('status')}.", where=where, mend="Report what is complete."
        )
    return report.get("group") or ()


def _rate(
    group: Json,
    known: PopulationGroup,
    guids: dict[str, str],
    where: str,
    year: int,
    notices: list[str],
    missing: MissingPolicy,
) -> RateResult:
    counts = _counts(group, guids, where, year, notices)
    stratifiers = group.get("stratifier") or ()
    strata = _strata(stratifiers, known, where, year, notices)
    supplemental = _supplemental(stratifiers, counts, where, notices, missing)
    populations = []
    for fhir, code in POPULATIONS.items():
        if code in guids:
            populations.append(
                PopulationResult(
                    code,
                    guids[code],
                    counts[fhir],
                    tuple(StratumResult(guid, within[fhir]) for guid, within in strata if fhir in within),
                    tuple((element, found[fhir]) for element, found in supplemental),
                )
            )
    return RateResult(tuple(populations))


def _counts(
    group: Json, guids: Mapping[str, str], where: str, year: int, notices: list[str]
) -> dict[str, int]:
    """The counts by FHIR population code, each a population of the year."""
    counts: dict[str, int] = {}
    for population in group.get("population") or ():
        code = code_of(population.get("code")) or ""
        count = population.get("count")
        if not isinstance(count, int) or count < 0:
            raise ContentError(
                f"{code or 'a population'} has no whole number for a count.",
                where=where,
                mend="Give each population its count.",
            )
        if code not in POPULATIONS or code in counts:
            raise ContentError(
                f"population {code or 'without code'} is none that a proportion measure has once.",
                where=where,
                mend="QRDA III of eligible clinicians takes proportion measures.",
            )
        if POPULATIONS[code] in guids:
            counts[code] = count
        elif count:
            raise ContentError(
                f"the report counts {count} under {code}, and the measure of {year} has no such population.",
                where=where,
                mend="Evaluate the measure's version of that year.",
            )
        else:
            notices.append(f"{where}: {code} is 0 and left out; the measure of {year} does not have it.")
    lacking = [code for code, name in POPULATIONS.items() if name in guids and code not in counts]
    if lacking:
        raise ContentError(
            f"the report does not count {', '.join(lacking)}, which the measure of {year} has.",
            where=where,
            mend="Evaluate the measure's version of that year.",
        )
    return counts


def _strata(
    stratifiers: Sequence[Json], known: PopulationGroup, where: str, year: int, notices: list[str]
) -> list[tuple[str, dict[str, int]]]:
    """Each stratum's GUID with its counts by FHIR population code."""
    own = [one for one in stratifiers if element_of(one) is None]
    if len(own) != len(known.strata):
        if not known.strata:
            notices.append(f"{where}: {len(own)} strata are left out; {year} has no GUIDs for them.")
        else:
            notices.append(
                f"{where}: {year} has {len(known.strata)} strata and the report {len(own)}; none is written."
            )
        return []
    strata = []
    for place, (guid, stratifier) in enumerate(zip(known.strata, own, strict=True), 1):
        values = {_said(stratum): stratum for stratum in stratifier.get("stratum") or ()}
        if not values.keys() <= {"true", "false", "unknown"}:
            notices.append(f"{where}: stratifier {place} says no yes or no; its stratum is not written.")
            continue
        within = values.get("true") or {}
        everywhere = {
            code_of(population.get("code")) or ""
            for stratum in values.values()
            for population in stratum.get("population") or ()
        } or set(POPULATIONS)
        counts = {
            code_of(population.get("code")) or "": int(population.get("count") or 0)
            for population in within.get("population") or ()
        }
        strata.append((guid, {code: counts.get(code, 0) for code in everywhere}))
    return strata


def _said(stratum: Json) -> str:
    return (code_of(stratum.get("value")) or "").lower()


def _supplemental(
    stratifiers: Sequence[Json],
    counts: Mapping[str, int],
    where: str,
    notices: list[str],
    missing: MissingPolicy,
) -> list[tuple[Element, dict[str, Counted]]]:
    by_element = {
        element.name: stratifier
        for stratifier in reversed(stratifiers)
        if (element := element_of(stratifier)) is not None
    }
    found: list[tuple[Element, dict[str, Counted]]] = []
    for element in vocabulary().elements:
        stratifier = by_element.get(element.name)
        if stratifier is not None:
            unmapped: set[str] = set()
            strata = stratifier.get("stratum") or ()
            by_population = counted(element, strata, counts, unmapped)
            found.append((element, by_population))
            notices += _remarks(element, by_population, counts, unmapped, where)
        elif not any(counts.values()):
            found.append((element, {code: nobody(element) for code in counts}))
        elif missing == "error":
            raise ContentError(
                f"the report does not count its populations by {element.name}.",
                where=where,
                mend="Evaluate with --supplemental-data, or have these counts left out; CMS's schematron "
                "then refuses the file.",
            )
        else:
            notices.append(f"{where}: no counts by {element.name}; the file breaks CMS's schematron there.")
    return found


def _remarks(
    element: Element,
    found: Mapping[str, Counted],
    counts: Mapping[str, int],
    unmapped: set[str],
    where: str,
) -> list[str]:
    remarks = []
    if unmapped:
        remarks.append(
            f"{where}: {element.name} unknown, for want of a value for {', '.join(sorted(unmapped))}."
        )
    initial = "initial-population"
    if element.translated and found[initial].unknown:
        remarks.append(
            f"{where}: {found[initial].unknown} of {counts[initial]} have no known {element.name}; QRDA III "
            "has no value for that, and they are in none."
        )
    for code, count in counts.items():
        if (stated := found[code].stated) < count:
            remarks.append(f"{where}: of {count} in {code}, only {stated} are counted by {element.name}.")
    return remarks
