from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from given_measures import CQFM, PROPORTION, coded, criteria, group, measure, observation, population

from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.measure.criteria import resolve_criteria
from measurewise.engine.measure.definition import (
    AggregateMethod,
    CompositeScoring,
    PopulationCode,
    Scoring,
)
from measurewise.engine.measure.reading import read_measure

CV = (population("initial-population"), population("measure-population"))
RATIO = (population("initial-population"), population("denominator"), population("numerator"))


def test_every_official_measure_reads_without_a_notice(ecqm_dir: Path) -> None:
    read = [
        read_measure(json.loads(gzip.decompress(path.read_bytes())))
        for path in sorted((ecqm_dir / "measures").glob("*.json.gz"))
    ]
    assert len(read) == 43
    assert [definition.notices for definition in read] == [()] * 43
    assert sum(len(definition.groups) for definition in read) == 53
    assert {g.basis for d in read for g in d.groups} == {"boolean", "Encounter", "Observation", "Procedure"}
    malnutrition = next(d for d in read if d.name.startswith("CMS986"))
    assert [g.observations[0].aggregate for g in malnutrition.groups] == [
        *[AggregateMethod.SUM] * 4,
        AggregateMethod.COUNT,
        AggregateMethod.AVERAGE,
    ]


def test_scoring_basis_and_notation_may_stand_at_the_measure() -> None:
    definition = read_measure(
        measure(
            {"id": "g", "population": list(PROPORTION)},
            scoring=coded("", "proportion"),
            improvementNotation=coded("", "decrease"),
            rateAggregation="both rates",
            extension=[{"url": CQFM + "populationBasis", "valueCode": "Encounter"}],
        )
    )
    (only,) = definition.groups
    assert only.scoring is Scoring.PROPORTION
    assert (only.basis, only.improvement_notation, only.rate_aggregation) == (
        "Encounter",
        "decrease",
        "both rates",
    )


def test_the_group_outranks_the_measure() -> None:
    definition = read_measure(
        measure(
            group("cohort", population("initial-population"), basis="Encounter", notation="decrease"),
            scoring=coded("", "proportion"),
            improvementNotation=coded("", "increase"),
        )
    )
    assert definition.groups[0].scoring is Scoring.COHORT
    assert definition.groups[0].improvement_notation == "decrease"


@pytest.mark.parametrize(
    ("key", "written", "meant"),
    [
        ("valueCode", "median", AggregateMethod.MEDIAN),
        ("valueString", "Average", AggregateMethod.AVERAGE),
        ("valueString", "SUM", AggregateMethod.SUM),
        ("valueCode", "max", AggregateMethod.MAXIMUM),
    ],
)
def test_the_aggregate_method_is_read_from_code_or_string_in_any_case(
    key: str, written: str, meant: AggregateMethod
) -> None:
    definition = read_measure(
        measure(
            group("continuous-variable", *CV, observation("o", "Wait", "measure-population", written, key))
        )
    )
    assert definition.groups[0].observations[0].aggregate is meant


def test_an_observation_of_an_undefined_population_takes_the_only_one_and_says_so() -> None:
    definition = read_measure(
        measure(group("continuous-variable", *CV, observation("o", "Wait", "no-such-id", "sum")))
    )
    assert definition.groups[0].observations[0].source == 1
    assert "no-such-id" in definition.notices[0].what


@pytest.mark.parametrize(
    ("expression", "language", "library", "name"),
    [
        ("Initial Population", "text/cql-identifier", None, "Initial Population"),
        ('"Initial Population"', "text/cql-identifier", None, "Initial Population"),
        ('SDE."SDE Sex"', "text/cql-identifier", "SDE", "SDE Sex"),
        ("Visits (2.5 hours)", "text/cql-identifier", None, "Visits (2.5 hours)"),
        ("InitialPopulation", "text/cql", None, "InitialPopulation"),
        ('"Lib"."In"', "text/cql-expression", "Lib", "In"),
    ],
)
def test_criteria_name_a_definition(expression: str, language: str, library: str | None, name: str) -> None:
    item = population("initial-population")
    item["criteria"] = {"language": language, "expression": expression}
    found = read_measure(measure(group("cohort", item))).groups[0].populations[0].criteria
    assert found is not None
    assert (found.library, found.name) == (library, name)


def _without(resource: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != key}


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        ({"resourceType": "Bundle"}, "expected a Measure"),
        (_without(measure(group("cohort", population("initial-population"))), "url"), "no url"),
        (_without(measure(group("cohort", population("initial-population"))), "library"), "no library"),
        (measure(), "no group"),
        (measure({"population": list(PROPORTION)}), "how it is scored"),
        (measure(group("percentage", *PROPORTION)), "unknown scoring 'percentage'"),
        (measure(group("proportion", *PROPORTION[:2])), "needs numerator"),
        (measure(group("cohort", *PROPORTION)), "may not have a denominator"),
        (measure(group("ratio", *RATIO, PROPORTION[5])), "may not have a denominator-exception"),
        (measure(group("proportion", *PROPORTION, {**PROPORTION[3], "id": "n2"})), "at most 1 may be"),
        (measure(group("proportion", *PROPORTION[:5], {**PROPORTION[5], "id": "numerator"})), "the id"),
        (measure(group("cohort", _without(population("initial-population"), "criteria"))), "no criteria"),
        (measure(group("cohort", {**population("initial-population"), "code": {}})), "unknown population"),
        (
            measure(group("ratio", *RATIO, {**RATIO[0], "id": "second"})),
            "which one the denominator is drawn from",
        ),
        (measure(group("ratio", *RATIO, observation("o", "N", "zzz", "sum"))), "refers to 'zzz'"),
        (
            measure(group("continuous-variable", *CV, observation("o", "N", "measure-population", "best"))),
            "unknown aggregate method 'best'",
        ),
        (
            measure(group("continuous-variable", *CV, population("measure-observation", "N"))),
            "how its values are aggregated",
        ),
        (measure(group("cohort", population("initial-population"), stratifier=[{"id": "s"}])), "either"),
        (measure(scoring=coded("", "composite")), "composite scoring method"),
    ],
)
def test_a_malformed_measure_is_one_clear_error(resource: dict[str, Any], says: str) -> None:
    with pytest.raises(ContentError) as caught:
        read_measure(resource)
    assert says in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize("expression", ["exists [Encounter]", "A.B.C", "Count(X) > 2"])
def test_an_inline_expression_is_refused(expression: str) -> None:
    item = population("initial-population")
    item["criteria"] = {"language": "text/cql-expression", "expression": expression}
    with pytest.raises(ContentError, match="not the name of a definition"):
        read_measure(measure(group("cohort", item)))


def test_stratifiers_carry_their_populations_and_components() -> None:
    definition = read_measure(
        measure(
            group(
                "proportion",
                *PROPORTION,
                stratifier=[
                    {
                        "id": "s1",
                        "criteria": criteria("Old"),
                        "extension": [
                            {"url": CQFM + "appliesTo", "valueCodeableConcept": coded("", "numerator")}
                        ],
                    },
                    {"id": "s2", "component": [{"criteria": criteria("Sex")}, {"criteria": criteria("Age")}]},
                ],
            )
        )
    )
    first, second = definition.groups[0].stratifiers
    assert (first.applies_to, first.is_multi) == (("numerator",), False)
    assert [part.criteria.name for part in second.components] == ["Sex", "Age"]
    assert second.is_multi


def _component(number: int, **extension: Any) -> dict[str, Any]:
    return {
        "type": "composed-of",
        "resource": f"http://example.org/Measure/C{number}|1",
        "extension": [{"url": CQFM + name, **value} for name, value in extension.items()],
    }


def test_a_composite_takes_its_components_from_related_artifacts() -> None:
    definition = read_measure(
        measure(
            scoring=coded("", "composite"),
            compositeScoring=coded("", "weighted"),
            relatedArtifact=[
                {"type": "citation", "citation": "a book"},
                _component(1, weight={"valueDecimal": Decimal("0.2")}, groupId={"valueString": "g2"}),
                _component(2),
            ],
        )
    )
    composite = definition.groups[0].composite
    assert composite is not None
    assert composite.scoring is CompositeScoring.WEIGHTED
    assert [(c.measure, c.group_id, c.weight) for c in composite.components] == [
        ("http://example.org/Measure/C1|1", "g2", Decimal("0.2")),
        ("http://example.org/Measure/C2|1", None, None),
    ]


def test_a_composite_group_takes_its_components_from_its_extensions() -> None:
    rendered = group("composite", notation="decrease")
    rendered["extension"] += [
        {"url": CQFM + "compositeScoring", "valueCodeableConcept": coded("", "opportunity")},
        *[{"url": CQFM + "component", "valueRelatedArtifact": _component(n)} for n in (1, 2, 3)],
    ]
    (only,) = read_measure(measure(rendered)).groups
    assert only.composite is not None
    assert len(only.composite.components) == 3
    assert PopulationCode.DENOMINATOR in [p.code for p in only.populations]


def test_a_composite_of_one_is_refused() -> None:
    with pytest.raises(ContentError, match="at least two components"):
        read_measure(
            measure(
                scoring=coded("", "composite"),
                compositeScoring=coded("", "linear"),
                relatedArtifact=[_component(1)],
            )
        )


PLAIN = measure(group("proportion", *PROPORTION))
NAMES = [
    "Initial Population",
    "Denominator",
    "Denominator Exclusion",
    "Numerator",
    "Numerator Exclusion",
    "Denominator Exception",
]


def test_criteria_that_the_library_has_stay_as_they_are() -> None:
    definition = read_measure(PLAIN)
    assert resolve_criteria(definition, NAMES) == definition


def test_a_name_in_other_letter_case_is_taken_with_a_notice() -> None:
    names = [name.replace("Exclusion", "EXCLUSION") for name in NAMES]
    resolved = resolve_criteria(read_measure(PLAIN), names)
    assert [p.criteria.name for p in resolved.groups[0].populations if p.criteria] == [
        names[0],
        names[1],
        names[2],
        names[3],
        names[4],
        names[5],
    ]
    assert ["letter case" in notice.what for notice in resolved.notices] == [True, True]


def test_letter_case_is_refused_when_strict_and_when_two_definitions_could_be_meant() -> None:
    definition = read_measure(PLAIN)
    with pytest.raises(NotFoundError, match="'NUMERATOR'"):
        resolve_criteria(definition, ["NUMERATOR" if n == "Numerator" else n for n in NAMES], strict=True)
    ambiguous = [n for n in NAMES if n != "Numerator"] + ["NUMERATOR", "numerator"]
    with pytest.raises(NotFoundError):
        resolve_criteria(definition, ambiguous)


def test_a_missing_definition_suggests_the_nearest() -> None:
    names = ["Numerators" if n == "Numerator" else n for n in NAMES]
    with pytest.raises(NotFoundError, match="Did the measure mean 'Numerators'"):
        resolve_criteria(read_measure(PLAIN), names)
