"""The summary MeasureReport: a population by its numbers alone (DEQM)."""

from __future__ import annotations

from collections.abc import Sequence

from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.aggregates import Number
from measurewise.engine.measure.extensions import SUMMARY_PROFILE
from measurewise.engine.measure.reports.parts import Json, Reporting, add_scoring, head, render_group


def summary_report(
    summary: SummaryAccumulator, reporting: Reporting, scores: Sequence[Number | None] | None = None
) -> Json:
    """The report of what an accumulator has counted.

    ``scores`` replaces the scores of the groups where they do not follow from the counts: those of a weighted
    composite, which come from its components.
    """
    report = head("summary", SUMMARY_PROFILE, summary.measure, reporting)
    groups = summary_groups(summary, scores)
    add_scoring(report, summary.measure, groups)
    report["group"] = groups
    return report


def summary_groups(summary: SummaryAccumulator, scores: Sequence[Number | None] | None = None) -> list[Json]:
    """The groups of a report over many patients; strata are ordered by value."""
    measure_scores = summary.scores() if scores is None else scores
    groups: list[Json] = []
    for group, totals, measure_score in zip(
        summary.measure.groups, summary.groups, measure_scores, strict=True
    ):
        strata = [
            [
                (values, sums.counts, sums.aggregates)
                for values, sums in sorted(by_value.items(), key=lambda entry: entry[0])
            ]
            for by_value in totals.strata
        ]
        groups.append(render_group(group, totals.counts, totals.aggregates, strata, measure_score))
    return groups
