"""The summary MeasureReport: a population by its numbers alone (DEQM)."""

from __future__ import annotations

from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.extensions import SUMMARY_PROFILE
from measurewise.engine.measure.reports.parts import (
    Json,
    Reporting,
    Stratum,
    add_scoring,
    head,
    render_group,
)


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
        groups.append(render_group(group, totals.counts, totals.aggregates, strata, totals.score(group)))
    return groups
