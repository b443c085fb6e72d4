"""The rules for the value of one measurement, by the measure's metric type.

Source: CMS, QPP submissions API documentation, Measurements; change log of 8/15/20 (exclusions of CQMs),
12/29/21 (performanceRate), 10/05/2022 (strata).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from measurewise.mips.programme_year import REGISTRY, ProgrammeMeasure, ProgrammeYear
from measurewise.mips.submission.problem import Problem, field_path, problem
from measurewise.mips.submission.rates import rates, reported_cases
from measurewise.qrda.qpp_model import (
    MeasurementSet,
    MultiPerformanceRate,
    NonProportion,
    OtherValue,
    Part,
    PerformanceRate,
    Proportion,
    Rate,
    Stratum,
    Value,
    members,
    to_json,
)

_KINDS: Final[dict[str, tuple[type[object], str]]] = {
    "boolean": (bool, "true or false"),
    "proportion": (Proportion, "numerator and denominator"),
    "nonProportion": (
        NonProportion,
        "numerator, denominator, observationInstances and isEndToEndReported",
    ),
    "singlePerformanceRate": (
        PerformanceRate,
        "isEndToEndReported, performanceMet, performanceNotMet and eligiblePopulation",
    ),
    "multiPerformanceRate": (MultiPerformanceRate, "isEndToEndReported and strata"),
}
_KINDS["registrySinglePerformanceRate"] = _KINDS["singlePerformanceRate"]
_KINDS["registryMultiPerformanceRate"] = _KINDS["multiPerformanceRate"]
_QCDR: Final = ("registrySinglePerformanceRate", "registryMultiPerformanceRate")
_REQUIRED: Final[dict[type[object], tuple[str, ...]]] = {
    Proportion: ("numerator", "denominator"),
    NonProportion: ("numerator", "denominator", "observationInstances", "isEndToEndReported"),
    PerformanceRate: ("isEndToEndReported", "performanceMet", "eligiblePopulation"),
    MultiPerformanceRate: ("isEndToEndReported", "strata"),
    Stratum: ("stratum", "performanceMet", "eligiblePopulation"),
}
_PARTS: Final = (
    "performanceMet",
    "performanceNotMet",
    "eligiblePopulationExclusion",
    "eligiblePopulationException",
    "numeratorExclusion",
)


class _Reported:
    """A measurement as its rules see it: measure, year, method, and what of it could not be read."""

    def __init__(
        self, measure: ProgrammeMeasure, one: MeasurementSet, year: ProgrammeYear, unread: set[str]
    ) -> None:
        self.measure = measure
        self.id = measure.measure_id
        self.year = year
        self.method = one.submission_method or ""
        self.by_registry = self.method == REGISTRY
        self.unread = unread


def value_problems(
    value: Value,
    measure: ProgrammeMeasure,
    one: MeasurementSet,
    year: ProgrammeYear,
    place: str,
    unread: set[str],
) -> Iterator[Problem]:
    """The problems of a measurement's value; ``place`` points to the measurement."""
    kind = _KINDS.get(measure.metric_type)
    if kind is None:
        return
    expected, words = kind
    at = f"{place}/value"
    if type(value) is not expected:
        shown = _json(value)
        if at not in unread:
            yield problem(
                "SV-value-kind",
                at,
                at=field_path(place),
                found=shown,
                measure=measure.measure_id,
                expected=words,
            )
        return
    reported = _Reported(measure, one, year, unread)
    for rules in _RULES.get(expected, ()):
        yield from rules(value, reported, at)


def _json(value: Value) -> object:
    if isinstance(value, OtherValue):
        return value.content
    return value if isinstance(value, bool) else to_json(value)


def _complete(value: Part, reported: _Reported, at: str) -> Iterator[Problem]:
    """Required members are there, and nothing is negative."""
    for attribute, name, _ in members(type(value)):
        content = getattr(value, attribute)
        if content is None:
            if name in _REQUIRED[type(value)] and f"{at}/{name}" not in reported.unread:
                if not any(one.startswith(f"{at}/{name}/") for one in reported.unread):
                    yield problem("SV-missing", f"{at}/{name}", name=name, at=field_path(at))
        elif isinstance(content, (int, float)) and content < 0 and not isinstance(value, NonProportion):
            if name != "performanceRate":
                yield problem("SV-negative", f"{at}/{name}", name=name, measure=reported.id, found=content)


def _proportion(value: Proportion, reported: _Reported, at: str) -> Iterator[Problem]:
    numerator, denominator = value.numerator, value.denominator
    if numerator is not None and denominator is not None and numerator > denominator >= 0:
        yield problem(
            "SV-proportion",
            f"{at}/numerator",
            numerator=numerator,
            denominator=denominator,
            measure=reported.id,
        )


def _counts(value: Rate, reported: _Reported, at: str) -> Iterator[Problem]:
    """The parts of the eligible population are parts of it."""
    eligible = value.eligible_population
    above = False
    if eligible is not None and eligible >= 0:
        for attribute, name, _ in members(type(value)):
            content = getattr(value, attribute)
            if name in _PARTS and content is not None and content > eligible:
                above = True
                yield problem(
                    "SV-above-eligible",
                    f"{at}/{name}",
                    name=name,
                    measure=reported.id,
                    found=content,
                    eligible=eligible,
                )
        total = reported_cases(value)
        if total > eligible and not above:
            place = f"{at}/eligiblePopulation"
            yield problem("SV-sum-above-eligible", place, measure=reported.id, found=total, eligible=eligible)
    excluded = value.eligible_population_exclusion
    if reported.by_registry and not reported.measure.is_registry_measure and excluded:
        place = f"{at}/eligiblePopulationExclusion"
        yield problem("SV-cqm-exclusion", place, measure=reported.id, found=excluded)


def _completeness(
    value: PerformanceRate | MultiPerformanceRate, reported: _Reported, at: str
) -> Iterator[Problem]:
    parts = (value.strata or ()) if isinstance(value, MultiPerformanceRate) else (value,)
    counts = [count for part in parts for count in (part.performance_met, part.performance_not_met)]
    if any(count is None or count < 0 for count in counts):
        return
    rate = rates(value, reported.measure, reported.method).reporting_rate
    least = reported.year.terms.data_completeness
    if rate is not None and rate < least:
        year = reported.year.year
        yield problem("SV-completeness", at, measure=reported.id, found=rate, least=least, year=year)


def _rate(value: PerformanceRate | MultiPerformanceRate, reported: _Reported, at: str) -> Iterator[Problem]:
    place = f"{at}/performanceRate"
    rate = value.performance_rate
    if rate is None:
        if reported.measure.metric_type in _QCDR and place not in reported.unread:
            yield problem("SV-rate-missing", place, measure=reported.id)
    elif not 0 <= rate <= 100:
        yield problem("SV-rate-range", place, measure=reported.id, found=rate)


def _strata(value: MultiPerformanceRate, reported: _Reported, at: str) -> Iterator[Problem]:
    known = reported.measure.strata
    seen: set[str] = set()
    for number, stratum in enumerate(value.strata or ()):
        place = f"{at}/strata/{number}"
        yield from _complete(stratum, reported, place)
        yield from _counts(stratum, reported, place)
        name = stratum.stratum
        if name is None:
            continue
        if name in seen:
            yield problem("SV-duplicate-stratum", f"{place}/stratum", measure=reported.id, stratum=name)
        elif known and name not in known:
            yield problem(
                "SV-stratum-unknown", f"{place}/stratum", measure=reported.id, found=name, known=known
            )
        seen.add(name)
    if value.strata is None or not known:
        return
    least = reported.year.terms.registry_strata.get(reported.id) if reported.by_registry else None
    if least is not None:
        if len(seen & set(known)) != least:
            yield problem(
                "SV-stratum-count",
                f"{at}/strata",
                measure=reported.id,
                least=least,
                found=len(seen),
                known=known,
            )
        return
    for name in known:
        if name not in seen:
            yield problem(
                "SV-stratum-missing", f"{at}/strata", measure=reported.id, stratum=name, known=known
            )


_RULES: Final[dict[type[object], tuple[Callable[..., Iterator[Problem]], ...]]] = {
    Proportion: (_complete, _proportion),
    NonProportion: (_complete,),
    PerformanceRate: (_complete, _counts, _rate, _completeness),
    MultiPerformanceRate: (_complete, _rate, _strata, _completeness),
}
