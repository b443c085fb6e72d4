"""The summary MeasureReport: a population by its numbers alone (DEQM).

Supplemental data, where they were counted, follow the measure's own stratifiers as stratifiers of their own
(as in the Category III example of FHIR R4, ``measurereport-cms146-cat3-example``): the id is that of the
supplemental datum, each stratum a combination of values that members have, each population its count. A
stratum's value has a coding for each value of the combination, so the strata of a datum add up to the
population.
"""

from __future__ import annotations

from typing import Final

from measurewise.engine.measure.accumulate import ByCategory, GroupTotals, SummaryAccumulator
from measurewise.engine.measure.coded import CodedValue
from measurewise.engine.measure.definition import Group, MeasureDefinition, SupplementalData
from measurewise.engine.measure.extensions import SUMMARY_PROFILE
from measurewise.engine.measure.reports.parts import (
    Json,
    Reporting,
    Stratum,
    add_scoring,
    head,
    render_group,
)

_SUPPLEMENTAL: Final = "supplemental-data"


def summary_report(summary: SummaryAccumulator, reporting: Reporting) -> Json:
    """The report of what an accumulator has counted."""
    report = head("summary", SUMMARY_PROFILE, summary.measure, reporting)
    groups = summary_groups(summary)
    add_scoring(report, summary.measure, groups)
    report["group"] = groups
    return report


def summary_groups(summary: SummaryAccumulator) -> list[Json]:
    """The groups of a report over many patients; strata are ordered by value."""
    groups: list[Json] = []
    for group, totals in zip(summary.measure.groups, summary.groups, strict=True):
        strata = [
            [
                Stratum(values, sums.counts, sums.aggregates, sums.score(group))
                for values, sums in sorted(by_value.items(), key=lambda entry: entry[0])
            ]
            for by_value in totals.strata
        ]
        groups.append(
            render_group(
                group,
                totals.counts,
                totals.aggregates,
                strata,
                totals.score(group),
                _by_supplemental_data(summary.measure, group, totals),
            )
        )
    return groups


def _by_supplemental_data(measure: MeasureDefinition, group: Group, totals: GroupTotals) -> list[Json]:
    return [
        _stratifier(item, group, counted)
        for item, counted in zip(measure.supplemental_data, totals.supplemental_data, strict=False)
        if counted and _SUPPLEMENTAL in item.usage
    ]


def _stratifier(item: SupplementalData, group: Group, counted: ByCategory) -> Json:
    rendered: Json = {} if item.id is None else {"id": item.id}
    rendered["code"] = [item.concept or {"text": item.criteria.name}]
    rendered["stratum"] = [
        {"value": _value(values), "population": _populations(group, counts)}
        for values, counts in sorted(counted.items())
    ]
    return rendered


def _value(values: tuple[CodedValue, ...]) -> Json:
    concepts = [value.concept() for value in values]
    codings = [coding for concept in concepts for coding in concept.get("coding", ())]
    texts = [concept["text"] for concept in concepts if "text" in concept]
    value: Json = {"coding": codings} if codings else {}
    return {**value, "text": ", ".join(texts)} if texts else value


def _populations(group: Group, counts: list[int]) -> list[Json]:
    return [
        {
            **({} if population.id is None else {"id": population.id}),
            "code": population.concept,
            "count": count,
        }
        for population, count in zip(group.populations, counts, strict=True)
    ]
