"""What every kind of MeasureReport is made of."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from measurewise.engine.measure.aggregates import Aggregate, Number
from measurewise.engine.measure.coded import CodedValue
from measurewise.engine.measure.definition import Group, MeasureDefinition, Observation, Stratifier
from measurewise.engine.measure.extensions import (
    COUNT_QUANTITY,
    CQFM,
    DATA_ABSENT_REASON,
    GROUP_IMPROVEMENT_NOTATION,
    IMPROVEMENT_NOTATION_SYSTEM,
    MEASURE_SCORING,
    MEASURE_SCORING_SYSTEM,
    POPULATION_DESCRIPTION,
)
from measurewise.engine.measure.scoring import as_decimal, score_unit

Json = dict[str, Any]

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:measurewise:measure-report")


@dataclass(frozen=True, slots=True)
class Reporting:
    """The circumstances of a report: measurement period, when calculated, who reports.

    ``period_start`` and ``period_end`` are FHIR dates or dateTimes, to the day at least; ``date`` a FHIR
    dateTime; ``reporter`` a reference such as ``Organization/1``.
    """

    period_start: str
    period_end: str
    date: str
    reporter: str | None = None


class Stratum(NamedTuple):
    """One stratum as it is rendered; ``counts`` has None where the stratifier does not apply."""

    values: tuple[CodedValue, ...]
    counts: Sequence[int | None]
    aggregates: Sequence[Aggregate]
    score: Number | None


def report_id(kind: str, measure: MeasureDefinition, reporting: Reporting, subject: str | None) -> str:
    """An id that is the same for the same measure, kind, period, reporter and subject."""
    parts = (
        kind,
        measure.canonical,
        reporting.period_start,
        reporting.period_end,
        reporting.reporter or "",
        subject or "",
    )
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


def head(
    kind: str, profile: str, measure: MeasureDefinition, reporting: Reporting, subject: str | None = None
) -> Json:
    """A report without group, contained and evaluated resources."""
    report: Json = {
        "resourceType": "MeasureReport",
        "id": report_id(kind, measure, reporting, subject),
        "meta": {"profile": [profile]},
        "status": "complete",
        "type": kind,
        "measure": measure.canonical,
    }
    if subject is not None:
        report["subject"] = {"reference": subject}
    report["date"] = reporting.date
    if reporting.reporter is not None:
        report["reporter"] = {"reference": reporting.reporter}
    report["period"] = {"start": reporting.period_start, "end": reporting.period_end}
    return report


def add_scoring(report: Json, measure: MeasureDefinition, groups: Sequence[Json]) -> None:
    """State scoring and improvement notation at the root where all groups agree, else at each group.

    DEQM invariants deqm-2 to deqm-4: at one of the two places, never at both.
    """
    stated = {(group.scoring, group.improvement_notation) for group in measure.groups}
    if len(stated) == 1:
        scoring, notation = stated.pop()
        report.setdefault("extension", []).append(_scoring_extension(scoring))
        if notation is not None:
            report["improvementNotation"] = _notation(notation)
        return
    for group, rendered in zip(measure.groups, groups, strict=True):
        found = rendered.setdefault("extension", [])
        found.append(_scoring_extension(group.scoring))
        if group.improvement_notation is not None:
            found.append(
                {
                    "url": GROUP_IMPROVEMENT_NOTATION,
                    "valueCodeableConcept": _notation(group.improvement_notation),
                }
            )


def render_group(
    group: Group,
    counts: Sequence[int],
    aggregates: Sequence[Aggregate],
    strata: Sequence[Sequence[Stratum]],
    measure_score: Number | None,
    by_supplemental_data: Sequence[Json] = (),
) -> Json:
    """A report's group; ``strata`` has for each stratifier its strata.

    ``by_supplemental_data`` are stratifiers, already rendered, that follow those of the measure.
    """
    rendered: Json = {}
    _identify(rendered, group.id, group.description)
    if group.concept is not None:
        rendered["code"] = group.concept
    rendered["population"] = _populations(group, counts, aggregates)
    if not rendered["population"]:
        del rendered["population"]
    rendered["measureScore"] = render_score(measure_score, score_unit(group, aggregates))
    if group.scoring == "cohort":
        del rendered["measureScore"]
    stratifiers = [
        _stratifier(group, stratifier, found)
        for stratifier, found in zip(group.stratifiers, strata, strict=False)
    ]
    stratifiers += by_supplemental_data
    if stratifiers:
        rendered["stratifier"] = stratifiers
    return rendered


def render_score(value: Number | None, unit: str | None = None) -> Json:
    """A measureScore; where there is none (nothing to divide by), the reason that it does not apply."""
    if value is None:
        return {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": "not-applicable"}]}
    return _quantity(value, unit)


def _quantity(value: Number, unit: str | None) -> Json:
    quantity: Json = {"value": as_decimal(value)}
    if unit is not None and unit != "1":
        quantity.update(unit=unit, system="http://unitsofmeasure.org", code=unit)
    return quantity


def _identify(rendered: Json, identity: str | None, description: str | None) -> None:
    if identity is not None:
        rendered["id"] = identity
    if description:
        rendered["extension"] = [{"url": POPULATION_DESCRIPTION, "valueMarkdown": description}]


def _scoring_extension(scoring: str) -> Json:
    return {
        "url": MEASURE_SCORING,
        "valueCodeableConcept": {"coding": [{"system": MEASURE_SCORING_SYSTEM, "code": str(scoring)}]},
    }


def _notation(code: str) -> Json:
    return {"coding": [{"system": IMPROVEMENT_NOTATION_SYSTEM, "code": code}]}


def _populations(
    group: Group, counts: Sequence[int | None], aggregates: Sequence[Aggregate], described: bool = True
) -> list[Json]:
    rendered: list[Json] = []
    for population, count in zip(group.populations, counts, strict=True):
        if count is None:
            continue
        item: Json = {}
        _identify(item, population.id, population.description if described else None)
        item["code"] = population.concept
        item["count"] = count
        rendered.append(item)
    for observation, aggregate in zip(group.observations, aggregates, strict=True):
        rendered.append(_observation(group, observation, aggregate, described))
    return rendered


def _observation(group: Group, observation: Observation, aggregate: Aggregate, described: bool) -> Json:
    """An observation: its aggregate as ``countQuantity``, which stands in place of a count (deqm-8)."""
    item: Json = {}
    _identify(item, observation.id, observation.description if described else None)
    found = item.setdefault("extension", [])
    source = group.populations[observation.source].id
    if source is not None:
        found.append({"url": CQFM + "criteriaReference", "valueString": source})
    found.append({"url": CQFM + "aggregateMethod", "valueCode": str(observation.aggregate)})
    value = aggregate.result()
    if value is None:
        item["code"] = observation.concept
        item["count"] = 0
        return item
    unit = None if observation.aggregate == "count" else aggregate.unit
    found.append({"url": COUNT_QUANTITY, "valueQuantity": _quantity(value, unit)})
    item["code"] = observation.concept
    return item


def _stratifier(group: Group, stratifier: Stratifier, strata: Sequence[Stratum]) -> Json:
    rendered: Json = {}
    _identify(rendered, stratifier.id, stratifier.description)
    if not stratifier.is_multi:
        name = stratifier.components[0].criteria.name
        rendered["code"] = [stratifier.concept or {"text": name}]
    rendered["stratum"] = [_stratum(group, stratifier, stratum) for stratum in strata]
    if not rendered["stratum"]:
        del rendered["stratum"]
    return rendered


def _stratum(group: Group, stratifier: Stratifier, stratum: Stratum) -> Json:
    rendered: Json = {}
    if stratifier.is_multi:
        rendered["component"] = [
            {
                "code": component.concept or {"text": component.criteria.name},
                "value": value.concept(),
            }
            for component, value in zip(stratifier.components, stratum.values, strict=True)
        ]
    else:
        rendered["value"] = stratum.values[0].concept()
    rendered["population"] = _populations(group, stratum.counts, stratum.aggregates, described=False)
    if not rendered["population"]:
        del rendered["population"]
    if group.scoring != "cohort":
        rendered["measureScore"] = render_score(stratum.score, score_unit(group, stratum.aggregates))
    return rendered
