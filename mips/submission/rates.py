"""What the submissions API computes from the counts of a quality measurement.

Source: CMS, QPP submissions API documentation, Measurements (reportingRate, performanceRate, caseCount and
the overall algorithms of measures with several rates). Rates are percentages with two decimals.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from measurewise.mips.programme_year import REGISTRY, ProgrammeMeasure
from measurewise.qrda.qpp_model import MultiPerformanceRate, PerformanceRate, Rate, Stratum


@dataclass(frozen=True, slots=True)
class Rates:
    """Percentages from 0 to 100, None where there is nothing to divide by."""

    performance_rate: float | None
    reporting_rate: float | None
    case_count: int


def reported_cases(value: Rate) -> int:
    """Met, not met, exclusions and exceptions together."""
    return sum(
        part or 0
        for part in (
            value.performance_met,
            value.performance_not_met,
            value.eligible_population_exclusion,
            value.eligible_population_exception,
        )
    )


def reporting_rate(value: Rate) -> float | None:
    """Data completeness: the reported cases as a percentage of the eligible population."""
    return _percent(reported_cases(value), value.eligible_population or 0)


def performance_rate(value: Rate) -> float | None:
    """Met as a percentage of met and not met."""
    return _percent(*_performance(value))


def case_count(value: Rate, method: str) -> int:
    """The eligible population; of eCQMs without exclusions, which CQMs have taken out before."""
    excluded = 0 if method == REGISTRY else value.eligible_population_exclusion or 0
    return (value.eligible_population or 0) - excluded


def rates(value: PerformanceRate | MultiPerformanceRate, measure: ProgrammeMeasure, method: str) -> Rates:
    """The rates of a measure, its strata combined by the measure's algorithm.

    A measure of several rates is as complete as all its rates together, unless its algorithm names the
    stratum that counts. A stratum "overall" counts only where the algorithm says so; one without cases has no
    rate and no part in a mean.
    """
    if isinstance(value, PerformanceRate):
        return Rates(performance_rate(value), reporting_rate(value), case_count(value, method))
    strata = {stratum.stratum: stratum for stratum in value.strata or ()}
    algorithm = measure.overall_algorithm
    if algorithm == "overallStratumOnly" and "overall" in strata:
        return _of(strata["overall"], strata["overall"], method)
    if algorithm == "split" and {"reporting", "performance"} <= strata.keys():
        return _of(strata["performance"], strata["reporting"], method)
    parts = [one for one in value.strata or () if one.stratum != "overall"]
    counts = [case_count(one, method) for one in parts]
    completeness = _percent(
        sum(map(reported_cases, parts)), sum(one.eligible_population or 0 for one in parts)
    )
    if algorithm == "weightedAverage":
        met, of = map(sum, zip(*map(_performance, parts), strict=True)) if parts else (0, 0)
        return Rates(_percent(met, of), completeness, sum(counts))
    if algorithm == "sumNumerators":
        total = sum(one.performance_met or 0 for one in parts)
        return Rates(float(total), completeness, max(counts, default=0))
    found = [Decimal(met) / of for met, of in map(_performance, parts) if of]
    mean = _rounded(sum(found, Decimal()) / len(found) * 100) if found else None
    return Rates(mean, completeness, max(counts, default=0))


def _of(performance: Stratum, reporting: Stratum, method: str) -> Rates:
    return Rates(performance_rate(performance), reporting_rate(reporting), case_count(reporting, method))


def _performance(value: Rate) -> tuple[int, int]:
    met = value.performance_met or 0
    return met, met + (value.performance_not_met or 0)


def _percent(part: int, whole: int) -> float | None:
    return _rounded(Decimal(part) / whole * 100) if whole > 0 else None


def _rounded(value: Decimal) -> float:
    return float(value.quantize(Decimal("0.01"), ROUND_HALF_UP))
