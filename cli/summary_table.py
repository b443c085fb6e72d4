"""Sums of measures as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from measurewise.cli.output import Column
from measurewise.engine.measure.accumulate import GroupTotals, SummaryAccumulator
from measurewise.engine.measure.aggregates import Aggregate, Number
from measurewise.engine.measure.coded import CodedValue
from measurewise.engine.measure.composite import scored_components
from measurewise.engine.measure.definition import CompositeScoring, Group, PopulationCode, Scoring
from measurewise.engine.measure.scoring import as_decimal, score_unit

ABBREVIATIONS: Final = {
    PopulationCode.INITIAL_POPULATION: "IPOP",
    PopulationCode.DENOMINATOR: "DENOM",
    PopulationCode.DENOMINATOR_EXCLUSION: "DENEX",
    PopulationCode.NUMERATOR: "NUMER",
    PopulationCode.NUMERATOR_EXCLUSION: "NUMEX",
    PopulationCode.DENOMINATOR_EXCEPTION: "DENEXCEP",
    PopulationCode.MEASURE_POPULATION: "MSRPOPL",
    PopulationCode.MEASURE_POPULATION_EXCLUSION: "MSRPOPLEX",
}
"""The abbreviations of HQMF and QRDA, in the order in which the populations are derived."""


Table = tuple[list[Column], list[list[str]]]


def summary_tables(summaries: Sequence[SummaryAccumulator], *, strata: bool = False) -> list[Table]:
    """Columns and rows: a row a group, and below it, if asked for, a row a stratum.

    Groups that measure a population stand in a table apart from those with a numerator and a denominator,
    whose columns they would leave empty.
    """
    tables: list[Table] = []
    several = any(len(summary.measure.groups) > 1 for summary in summaries)
    for observing in (False, True):
        chosen = [
            (summary, number, group, totals)
            for summary in summaries
            for number, (group, totals) in enumerate(
                zip(summary.measure.groups, summary.groups, strict=True), 1
            )
            if (group.position(PopulationCode.MEASURE_POPULATION) is not None) == observing
        ]
        present = {population.code for _, _, group, _ in chosen for population in group.populations}
        codes = [code for code in ABBREVIATIONS if code in present]
        rows: list[list[str]] = []
        named: SummaryAccumulator | None = None
        for summary, number, group, totals in chosen:
            name = "" if len(summary.measure.groups) == 1 else group.id or str(number)
            rows.append(
                [
                    "" if summary is named else summary.measure.name,
                    *([name] if several else []),
                    _counted(group),
                    *_cells(codes, group, totals.counts),
                    _shown(group, totals.score(group), totals.aggregates),
                ]
            )
            named = summary
            if strata:
                rows += _stratum_rows(codes, group, totals, [""] * (1 + several))
        if rows:
            columns = [Column("Measure", style="bold"), *([Column("Group")] if several else [])]
            columns += [Column("Counts"), *(Column(ABBREVIATIONS[code], "right") for code in codes)]
            tables.append(([*columns, Column("Score", "right", "green")], rows))
    return tables


def _stratum_rows(
    codes: Sequence[PopulationCode], group: Group, totals: GroupTotals, blank: Sequence[str]
) -> list[list[str]]:
    rows: list[list[str]] = []
    for stratifier, by_value in zip(group.stratifiers, totals.strata, strict=True):
        name = " / ".join(component.criteria.name for component in stratifier.components)
        for values, sums in sorted(by_value.items()):
            value = sums.score(group)
            rows.append(
                [
                    f"  {name}: {' / '.join(map(_named, values))}",
                    *blank,
                    *_cells(codes, group, sums.counts),
                    _shown(group, value, sums.aggregates),
                ]
            )
    return rows


def summary_json(summary: SummaryAccumulator) -> dict[str, Any]:
    """One measure's sums; scores and observations as exact decimals, strata by the text of their values."""
    groups: list[dict[str, Any]] = []
    for group, totals in zip(summary.measure.groups, summary.groups, strict=True):
        strata = [
            {
                "stratifier": stratifier.id or " / ".join(c.criteria.name for c in stratifier.components),
                "value": " / ".join(map(_named, values)),
                "populations": _populations(group, sums.counts),
                "score": _number(sums.score(group)),
            }
            for stratifier, by_value in zip(group.stratifiers, totals.strata, strict=True)
            for values, sums in sorted(by_value.items())
        ]
        groups.append(
            {
                "id": group.id,
                "scoring": group.scoring,
                "basis": group.basis,
                "populations": _populations(group, totals.counts),
                "observations": [
                    {
                        "id": observation.id,
                        "aggregate": aggregate.method,
                        "count": aggregate.count,
                        "value": _number(aggregate.result()),
                        "unit": aggregate.unit,
                    }
                    for observation, aggregate in zip(group.observations, totals.aggregates, strict=True)
                ],
                "strata": strata,
                "score": _number(totals.score(group)),
                "unit": score_unit(group, totals.aggregates),
            }
        )
        if group.composite is not None:
            groups[-1]["compositeScoring"] = group.composite.scoring
        if totals.components:
            groups[-1]["components"] = _components(group, totals)
    measure = summary.measure
    return {
        "measure": measure.name,
        "version": measure.version,
        "url": measure.url,
        "patients": summary.patients,
        "groups": groups,
    }


def _components(group: Group, totals: GroupTotals) -> list[dict[str, Any]]:
    """What a weighted composite's score is made of."""
    stated = group.composite.components if group.composite is not None else ()
    return [
        {
            "measure": component.measure,
            "group": part.id,
            "weight": component.weight,
            "populations": _populations(part, of_part.counts),
            "score": _number(of_part.score(part)),
        }
        for component, part, of_part in zip(stated, scored_components(group), totals.components, strict=True)
    ]


def _populations(group: Group, counts: Sequence[int | None]) -> list[dict[str, Any]]:
    return [
        {"id": population.id, "code": population.code, "count": count}
        for population, count in zip(group.populations, counts, strict=True)
        if count is not None
    ]


def _cells(codes: Sequence[PopulationCode], group: Group, counts: Sequence[int | None]) -> list[str]:
    cells: list[str] = []
    for code in codes:
        of_code = [
            count
            for p, count in zip(group.populations, counts, strict=True)
            if p.code is code and count is not None
        ]
        cells.append(" + ".join(f"{count:,}" for count in of_code))
    return cells


def _shown(group: Group, value: Number | None, aggregates: Sequence[Aggregate]) -> str:
    if value is None:
        return "" if group.scoring is Scoring.COHORT else "n/a"
    if _is_share(group):
        return f"{as_decimal(value * 100):,.2f} %"
    unit = score_unit(group, aggregates)
    exact = as_decimal(value)
    short = exact.quantize(Decimal("0.0001")) if exact.as_tuple().exponent < -4 else exact  # type: ignore[operator]
    return f"{short:,f}" + (f" {unit}" if unit else "")


def _counted(group: Group) -> str:
    """What the counts of a group are counts of."""
    method = group.composite.scoring if group.composite is not None else None
    if method is CompositeScoring.WEIGHTED:
        return "components"
    if method is CompositeScoring.OPPORTUNITY:
        return "services"
    return "patients" if group.basis == "boolean" else group.basis


def _is_share(group: Group) -> bool:
    """Whether a score is the part of a whole, to be shown in per cent."""
    if group.composite is not None and group.composite.scoring is CompositeScoring.WEIGHTED:
        return all(_is_share(part) for part in group.composite.groups)
    return group.scoring in (Scoring.PROPORTION, Scoring.COMPOSITE)


def _number(value: Number | None) -> Decimal | None:
    return None if value is None else as_decimal(value)


def _named(value: CodedValue) -> str:
    return value.text or value.code
