from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from given_measures import CQFM, PROPORTION, GivenDefinitions, coded, encounter, group, measure, population

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.composite import (
    check_component,
    component_group,
    composite_result,
    weighted_score,
)
from measurewise.engine.measure.definition import Component, Group, MeasureDefinition
from measurewise.engine.measure.populations import evaluate_patient
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.measure.results import GroupResult, PatientResult

INCREASE = read_measure(measure(group("proportion", *PROPORTION)))
DECREASE = read_measure(measure(group("proportion", *PROPORTION, notation="decrease")))
EPISODES = read_measure(measure(group("proportion", *PROPORTION, basis="Encounter")))


def composite(method: str, components: int = 3, weights: tuple[str, ...] = ()) -> MeasureDefinition:
    artifacts: list[dict[str, Any]] = [
        {"type": "composed-of", "resource": f"http://example.org/Measure/C{number}"}
        for number in range(components)
    ]
    for artifact, weight in zip(artifacts, weights, strict=False):
        artifact["extension"] = [{"url": CQFM + "weight", "valueDecimal": Decimal(weight)}]
    return read_measure(
        measure(
            scoring=coded("", "composite"),
            compositeScoring=coded("", method),
            improvementNotation=coded("", "increase"),
            relatedArtifact=artifacts,
        )
    )


def part(how: str, definition: MeasureDefinition = INCREASE) -> tuple[Group, GroupResult]:
    """A component result: met, failed, out (not eligible), excluded, excepted."""
    flags = {
        "out": (False,) * 6,
        "met": (True, True, False, True, False, False),
        "failed": (True, True, False, False, False, False),
        "excluded": (True, True, True, False, False, False),
        "excepted": (True, True, False, False, False, True),
    }[how]
    values: list[Any] = list(flags)
    if definition is EPISODES:
        values = [[encounter("a")] if flag else [] for flag in flags]
    names = [item["criteria"]["expression"].replace(" ", "_") for item in PROPORTION]
    given = GivenDefinitions(**dict(zip(names, values, strict=True)))
    return definition.groups[0], evaluate_patient(definition, given, "Patient/1").groups[0]


def score(definition: MeasureDefinition, *patients: tuple[tuple[Group, GroupResult], ...]) -> object:
    summary = SummaryAccumulator(definition)
    for number, parts in enumerate(patients):
        result = composite_result(definition.groups[0], parts)
        summary.add(PatientResult(definition.canonical, f"Patient/{number}", (result,)))
    return summary.scores()[0]


def test_all_or_nothing_takes_everything_a_patient_is_eligible_for() -> None:
    definition = composite("all-or-nothing")
    met, failed, out = part("met"), part("failed"), part("out")
    assert score(definition, (met, met, out)) == 1
    assert score(definition, (met, failed, out)) == 0
    assert score(definition, (out, out, out)) is None
    assert score(definition, (met, met, met), (met, failed, met), (out, out, met)) == Fraction(2, 3)


def test_all_or_nothing_leaves_out_the_excluded_and_excepts_those_who_fail() -> None:
    definition = composite("all-or-nothing", 2)
    assert score(definition, (part("excluded"), part("met"))) is None
    assert score(definition, (part("excepted"), part("met"))) == 1
    assert score(definition, (part("excepted"), part("failed"))) is None


def test_opportunity_counts_services() -> None:
    definition = composite("opportunity")
    met, failed, out = part("met"), part("failed"), part("out")
    assert score(definition, (met, met, failed), (out, failed, out)) == Fraction(2, 4)
    assert score(definition, (part("excluded"), part("excepted"), met)) == 1


def test_the_published_example_of_ten_patients_and_ten_measures() -> None:
    columns = {
        "A": "TTTFFT-FFT",
        "B": "TTTTTT-TTT",
        "C": "TTTTTF-TFT",
        "D": "T-----TTFT",
        "E": "FFTTTTTTFF",
        "F": "TTTT---FFT",
        "G": "T-----TTTT",
        "H": "FTFTFTFTTT",
        "I": "TFT-----TT",
        "J": "TTTTFFTTTT",
    }
    how = {"T": part("met"), "F": part("failed"), "-": part("out")}
    patients = [tuple(how[letter] for letter in column) for column in columns.values()]
    assert score(composite("opportunity", 10), *patients) == Fraction(59, 79)
    linear = score(composite("linear", 10), *patients)
    assert isinstance(linear, Fraction)
    assert round(float(linear), 3) == 0.765


def test_linear_passes_over_who_had_no_opportunity_left() -> None:
    definition = composite("linear", 2)
    assert score(definition, (part("excepted"), part("excluded")), (part("met"), part("failed"))) == Fraction(
        1, 2
    )


def test_a_decrease_component_is_fulfilled_by_not_being_in_its_numerator() -> None:
    bad_met, bad_failed = part("met", DECREASE), part("failed", DECREASE)
    assert score(composite("all-or-nothing", 2), (part("met"), bad_failed)) == 1
    assert score(composite("all-or-nothing", 2), (part("met"), bad_met)) == 0
    assert score(composite("opportunity", 2), (part("met"), bad_failed), (part("met"), bad_met)) == Fraction(
        3, 4
    )
    assert score(composite("linear", 2), (part("failed"), bad_failed)) == Fraction(1, 2)


def test_an_episode_component_counts_for_the_patient_by_existing() -> None:
    assert score(composite("all-or-nothing", 2), (part("met", EPISODES), part("met"))) == 1
    assert score(composite("opportunity", 2), (part("failed", EPISODES), part("met"))) == Fraction(1, 2)


def test_weighted_averages_scores_and_turns_decreasing_ones_round() -> None:
    increase, decrease = INCREASE.groups[0], DECREASE.groups[0]
    plain = composite("weighted").groups[0]
    scores = [(increase, Fraction(4, 5)), (increase, Fraction(4, 5)), (decrease, Fraction(1, 5))]
    assert weighted_score(plain, scores) == Fraction(4, 5)
    weighted = composite("weighted", 2, ("0.75", "0.25")).groups[0]
    assert weighted_score(weighted, [(increase, Fraction(1)), (increase, Fraction(0))]) == Fraction(3, 4)
    assert weighted_score(weighted, [(increase, None), (increase, Fraction(1, 3))]) == Fraction(1, 3)
    assert weighted_score(weighted, [(increase, None), (increase, None)]) is None


def test_a_component_group_is_found_by_its_id_and_demanded_when_there_are_several() -> None:
    two = read_measure(
        measure(
            group("cohort", population("initial-population", id="p1"), id="g1"),
            group("cohort", population("initial-population", id="p2"), id="g2"),
        )
    )
    assert component_group(Component("u", "g2"), two) == 1
    assert component_group(Component("u"), INCREASE) == 0
    with pytest.raises(ContentError, match="has 2 groups"):
        component_group(Component("u"), two)
    with pytest.raises(ContentError, match="no group 'g3'"):
        component_group(Component("u", "g3"), two)


def test_a_cohort_cannot_be_a_component_of_an_individual_composite() -> None:
    cohort = read_measure(measure(group("cohort", population("initial-population"))))
    with pytest.raises(ContentError, match="no numerator to combine"):
        check_component(composite("opportunity", 2).groups[0], cohort.groups[0])
    with pytest.raises(ContentError, match="no score to weigh"):
        check_component(composite("weighted", 2).groups[0], cohort.groups[0])
