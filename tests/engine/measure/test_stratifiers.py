from __future__ import annotations

from typing import Any

from given_measures import (
    CQFM,
    PROPORTION,
    GivenDefinitions,
    coded,
    criteria,
    encounter,
    group,
    measure,
    observation,
    population,
)

from measurewise.engine.measure.coded import FALSE, TRUE, UNKNOWN, CodedValue
from measurewise.engine.measure.definition import MeasureDefinition
from measurewise.engine.measure.populations import evaluate_patient
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.measure.results import StratumResult
from measurewise.engine.runtime.values import Code, Concept

A, B, C = (encounter(name) for name in "abc")
FIRST_FOUR = (PROPORTION[0], PROPORTION[1], PROPORTION[3])


def stratified(*stratifiers: dict[str, Any], basis: str = "boolean") -> MeasureDefinition:
    return read_measure(measure(group("proportion", *FIRST_FOUR, basis=basis, stratifier=list(stratifiers))))


def strata(definition: MeasureDefinition, **values: Any) -> tuple[StratumResult, ...]:
    found = evaluate_patient(definition, GivenDefinitions(**values), "Patient/1")
    return found.groups[0].strata[0]


def shown(found: tuple[StratumResult, ...]) -> dict[Any, tuple[int | None, ...]]:
    return {
        stratum.values if len(stratum.values) > 1 else stratum.values[0]: stratum.counts for stratum in found
    }


PATIENT = {"Initial_Population": True, "Denominator": True, "Numerator": False}
EPISODES = {"Initial_Population": [A, B, C], "Denominator": [A, B], "Numerator": [B]}
ONE = {"id": "s", "criteria": criteria("Split")}


def test_a_boolean_puts_the_patient_into_true_or_false() -> None:
    assert shown(strata(stratified(ONE), **PATIENT, Split=True)) == {TRUE: (1, 1, 0)}
    assert shown(strata(stratified(ONE), **PATIENT, Split=False)) == {FALSE: (1, 1, 0)}


def test_nobody_in_the_initial_population_falls_into_no_stratum() -> None:
    assert strata(stratified(ONE), Initial_Population=False) == ()


def test_each_distinct_value_is_a_stratum_and_null_is_unknown() -> None:
    definition = stratified(ONE)
    female = Code("248152002", "http://snomed.info/sct", display="Female")
    assert shown(strata(definition, **PATIENT, Split=female)) == {
        CodedValue("", "248152002", "http://snomed.info/sct"): (1, 1, 0)
    }
    assert shown(strata(definition, **PATIENT, Split=Concept([female], "F"))) == {
        CodedValue("", "248152002", "http://snomed.info/sct"): (1, 1, 0)
    }
    assert shown(strata(definition, **PATIENT, Split="18-64")) == {CodedValue("18-64"): (1, 1, 0)}
    assert shown(strata(definition, **PATIENT, Split=None)) == {UNKNOWN: (1, 1, 0)}


def test_a_list_of_values_puts_the_patient_into_several_strata() -> None:
    assert list(shown(strata(stratified(ONE), **PATIENT, Split=["b", "a", "b"]))) == [
        CodedValue("a"),
        CodedValue("b"),
    ]


def test_a_list_of_episodes_divides_the_episodes() -> None:
    found = strata(stratified(ONE, basis="Encounter"), **EPISODES, Split=[B, C])
    assert shown(found) == {FALSE: (1, 1, 0), TRUE: (2, 1, 1)}


def test_an_empty_list_of_episodes_leaves_all_in_false() -> None:
    found = strata(stratified(ONE, basis="Encounter"), **EPISODES, Split=[])
    assert shown(found) == {FALSE: (3, 2, 1)}


def test_a_function_of_the_episode_gives_each_its_stratum() -> None:
    found = strata(
        stratified(ONE, basis="Encounter"), **EPISODES, Split=lambda e: {"a": "low", "b": "high"}.get(e["id"])
    )
    assert shown(found) == {
        UNKNOWN: (1, 0, 0),
        CodedValue("high"): (1, 1, 1),
        CodedValue("low"): (1, 1, 0),
    }


def test_a_value_of_the_patient_divides_all_episodes_alike() -> None:
    assert shown(strata(stratified(ONE, basis="Encounter"), **EPISODES, Split="F")) == {
        CodedValue("F"): (3, 2, 1)
    }
    assert shown(strata(stratified(ONE, basis="Encounter"), **EPISODES, Split=True)) == {TRUE: (3, 2, 1)}


def test_components_make_a_stratum_of_each_combination() -> None:
    definition = stratified(
        {"component": [{"criteria": criteria("Sex")}, {"criteria": criteria("Urgent")}]}, basis="Encounter"
    )
    found = strata(definition, **EPISODES, Sex="F", Urgent=[A])
    assert shown(found) == {
        (CodedValue("F"), FALSE): (2, 1, 1),
        (CodedValue("F"), TRUE): (1, 1, 0),
    }


def test_a_stratifier_counts_only_the_populations_it_applies_to() -> None:
    definition = stratified(
        {
            **ONE,
            "extension": [{"url": CQFM + "appliesTo", "valueCodeableConcept": coded("", "denominator")}],
        }
    )
    assert shown(strata(definition, **PATIENT, Split=True)) == {TRUE: (None, 1, None)}


def test_a_stratum_has_the_observations_of_its_members() -> None:
    definition = read_measure(
        measure(
            group(
                "continuous-variable",
                population("initial-population"),
                population("measure-population"),
                observation("o", "Minutes", "measure-population", "sum"),
                basis="Encounter",
                stratifier=[ONE],
            )
        )
    )
    found = strata(
        definition,
        Initial_Population=[A, B, C],
        Measure_Population=[A, B, C],
        Minutes=lambda e: ord(e["id"]),
        Split=[A, C],
    )
    assert {s.values[0].text: [o.value for o in s.observations[0]] for s in found} == {
        "true": [97, 99],
        "false": [98],
    }
