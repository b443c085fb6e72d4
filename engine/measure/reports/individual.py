"""The individual MeasureReport: one patient, counted, scored, with the data it rests on (DEQM)."""

from __future__ import annotations

from measurewise.engine.measure.definition import MeasureDefinition
from measurewise.engine.measure.extensions import CRITERIA_REFERENCE, INDIVIDUAL_PROFILE
from measurewise.engine.measure.reports.parts import (
    Json,
    Reporting,
    Stratum,
    add_scoring,
    head,
    render_group,
)
from measurewise.engine.measure.reports.supplemental import add_supplemental_data
from measurewise.engine.measure.results import PatientResult, reference_of
from measurewise.engine.measure.scoring import aggregates_of, group_score


def individual_report(measure: MeasureDefinition, result: PatientResult, reporting: Reporting) -> Json:
    """A patient's report.

    ``evaluatedResource`` lists what the result says was evaluated, each with the populations it is a member
    of; the members of a resource basis are always listed.
    """
    report = head("individual", INDIVIDUAL_PROFILE, measure, reporting, result.subject)
    groups: list[Json] = []
    for group, found in zip(measure.groups, result.groups, strict=True):
        strata = [
            [
                Stratum(
                    stratum.values,
                    stratum.counts,
                    aggregates_of(group, stratum.observations),
                    group_score(group, stratum),
                )
                for stratum in of_stratifier
            ]
            for of_stratifier in found.strata
        ]
        groups.append(
            render_group(
                group,
                found.counts,
                aggregates_of(group, found.observations),
                strata,
                group_score(group, found),
            )
        )
    add_scoring(report, measure, groups)
    add_supplemental_data(report, measure, result.supplemental_data, result.subject)
    report["group"] = groups
    evaluated = _evaluated(measure, result)
    if evaluated:
        report["evaluatedResource"] = evaluated
    return report


def _evaluated(measure: MeasureDefinition, result: PatientResult) -> list[Json]:
    populations: dict[str, list[str]] = {reference: [] for reference in result.evaluated_resources}
    for group, found in zip(measure.groups, result.groups, strict=True):
        for population, members in zip(group.populations, found.members, strict=False):
            for member in members:
                reference = member if isinstance(member, str) and "/" in member else reference_of(member)
                if reference is None:
                    continue
                ids = populations.setdefault(reference, [])
                if population.id is not None and population.id not in ids:
                    ids.append(population.id)
    return [_reference(reference, ids) for reference, ids in populations.items()]


def _reference(reference: str, population_ids: list[str]) -> Json:
    rendered: Json = {"reference": reference}
    if population_ids:
        rendered["extension"] = [
            {"url": CRITERIA_REFERENCE, "valueString": identity} for identity in population_ids
        ]
    return rendered
