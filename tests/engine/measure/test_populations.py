from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from given_measures import (
    CQFM,
    PROPORTION,
    GivenDefinitions,
    encounter,
    group,
    measure,
    observation,
    population,
)
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.measure.populations import Evaluator, evaluate_patient
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.measure.results import GroupResult
from measurewise.engine.measure.scoring import group_score
from measurewise.engine.runtime.values import Quantity

BOOLEAN = read_measure(measure(group("proportion", *PROPORTION)))
EPISODES = read_measure(measure(group("proportion", *PROPORTION, basis="Encounter")))
RATIO_POPULATIONS = (
    population("initial-population"),
    population("denominator"),
    population("denominator-exclusion"),
    population("numerator"),
    population("numerator-exclusion"),
)
RATIO = read_measure(
    measure(
        group(
            "ratio",
            *RATIO_POPULATIONS,
            observation("od", "Days", "denominator", "sum"),
            observation("on", "Falls", "numerator", "count"),
            basis="Encounter",
        )
    )
)
CV_POPULATIONS = (
    population("initial-population"),
    population("measure-population"),
    population("measure-population-exclusion"),
)
CV = read_measure(
    measure(
        group(
            "continuous-variable",
            *CV_POPULATIONS,
            observation("o", "Minutes", "measure-population", "median"),
            basis="Encounter",
        )
    )
)

A, B, C, D = (encounter(name) for name in "abcd")


def counts(definition: Any, **values: Any) -> tuple[int, ...]:
    return result(definition, **values).counts


def result(definition: Any, **values: Any) -> GroupResult:
    return evaluate_patient(definition, GivenDefinitions(**values), "Patient/1").groups[0]


def given_all(value: Any, **other: Any) -> dict[str, Any]:
    names = (
        "Initial_Population",
        "Denominator",
        "Denominator_Exclusion",
        "Numerator",
        "Numerator_Exclusion",
        "Denominator_Exception",
        "Measure_Population",
        "Measure_Population_Exclusion",
    )
    return {**dict.fromkeys(names, value), **other}


def test_nobody_outside_the_initial_population_counts_anywhere() -> None:
    assert counts(BOOLEAN, **given_all(True, Initial_Population=False)) == (0, 0, 0, 0, 0, 0)


def test_outside_the_initial_population_only_its_criterion_is_evaluated() -> None:
    definitions = GivenDefinitions(Initial_Population=None)
    evaluate_patient(BOOLEAN, definitions, "Patient/1")
    assert definitions.asked == ["Initial Population"]


def test_an_excluded_patient_is_in_neither_numerator_nor_exception() -> None:
    assert counts(BOOLEAN, **given_all(True)) == (1, 1, 1, 0, 0, 0)


def test_an_exclusion_does_not_count_outside_the_denominator() -> None:
    assert counts(BOOLEAN, **given_all(True, Denominator=False)) == (1, 0, 0, 0, 0, 0)


def test_the_numerator_keeps_its_count_beside_its_exclusion() -> None:
    assert counts(BOOLEAN, **given_all(True, Denominator_Exclusion=False)) == (1, 1, 0, 1, 1, 0)


def test_an_exception_does_not_count_where_the_numerator_is_met() -> None:
    met = given_all(False, Initial_Population=True, Denominator=True, Numerator=True)
    assert counts(BOOLEAN, **{**met, "Denominator_Exception": True}) == (1, 1, 0, 1, 0, 0)
    assert counts(BOOLEAN, **{**met, "Denominator_Exception": True, "Numerator": None}) == (1, 1, 0, 0, 0, 1)


def test_a_null_criterion_is_false_or_an_empty_list() -> None:
    assert counts(BOOLEAN, **given_all(None, Initial_Population=True, Denominator=True)) == (1, 1, 0, 0, 0, 0)
    assert counts(EPISODES, **given_all(None, Initial_Population=[A], Denominator=[A])) == (1, 1, 0, 0, 0, 0)


def test_episodes_are_counted_each_on_its_own_way() -> None:
    found = result(
        EPISODES,
        Initial_Population=[A, B, C, D],
        Denominator=[D, C, B, A],
        Denominator_Exclusion=[A],
        Numerator=[A, B, C],
        Numerator_Exclusion=[C],
        Denominator_Exception=[B, D],
    )
    assert found.counts == (4, 4, 1, 2, 1, 1)
    assert found.members[3] == (B, C)
    assert group_score(EPISODES.groups[0], found) == Fraction(1, 2)


def test_episodes_outside_the_initial_population_never_count() -> None:
    assert counts(EPISODES, **given_all([A, B], Initial_Population=[B], Denominator_Exclusion=[A])) == (
        1,
        1,
        0,
        1,
        1,
        0,
    )


def test_copies_of_one_resource_are_one_member_and_two_resources_of_one_id_are_two() -> None:
    copy = dict(A)
    other = encounter("a", status="finished")
    assert counts(EPISODES, **given_all([A, copy, None, A, other], Denominator_Exclusion=[]))[0] == 2
    found = result(EPISODES, **given_all([A, other], Denominator_Exclusion=[copy]))
    assert found.counts == (2, 2, 1, 1, 1, 0)


def test_members_without_a_usable_id_are_told_apart_by_what_they_hold() -> None:
    odd = [{**A, "id": ["a"]}, {**A, "id": ["a"]}, {"resourceType": "Encounter"}]
    assert counts(EPISODES, **given_all(odd, Denominator_Exclusion=odd[:1])) == (2, 2, 1, 1, 1, 0)


def test_a_basis_may_be_a_data_type() -> None:
    definition = read_measure(measure(group("cohort", population("initial-population"), basis="string")))
    assert counts(definition, Initial_Population=["x", "y", "x"]) == (2,)


def test_a_numerator_of_a_ratio_is_not_drawn_from_the_denominator() -> None:
    found = result(
        RATIO,
        Initial_Population=[A, B, C],
        Denominator=[A],
        Denominator_Exclusion=[],
        Numerator=[B, C],
        Numerator_Exclusion=[C],
        Days=lambda e: 4,
        Falls=lambda e: 7,
    )
    assert found.counts == (3, 1, 0, 2, 1)
    assert [[o.member["id"] for o in seen] for seen in found.observations] == [["a"], ["b"]]
    assert group_score(RATIO.groups[0], found) == Fraction(1, 4)


def test_excluded_episodes_are_not_observed() -> None:
    found = result(
        RATIO,
        **given_all([A, B], Denominator_Exclusion=[A], Numerator_Exclusion=[B]),
        Days=lambda e: {"a": 1, "b": 5}[e["id"]],
        Falls=lambda e: 0,
    )
    assert found.counts == (2, 2, 1, 2, 1)
    assert [o.value for o in found.observations[0]] == [5]
    assert [o.member for o in found.observations[1]] == [A]


def test_each_side_of_a_ratio_may_have_its_own_initial_population() -> None:
    def drawn_from(code: str, initial: str) -> dict[str, Any]:
        return population(code, extension=[{"url": CQFM + "criteriaReference", "valueString": initial}])

    definition = read_measure(
        measure(
            group(
                "ratio",
                population("initial-population", "Initial Population 1", id="ip1"),
                population("initial-population", "Initial Population 2", id="ip2"),
                drawn_from("denominator", "ip1"),
                drawn_from("numerator", "ip2"),
                basis="Encounter",
            )
        )
    )
    assert counts(
        definition,
        Initial_Population_1=[A, B],
        Initial_Population_2=[C],
        Denominator=[A, B, C],
        Numerator=[A, B, C],
    ) == (2, 1, 2, 1)


def test_a_continuous_variable_observes_its_population_without_exclusions_zero_included() -> None:
    minutes = {"a": 0, "b": Decimal("12.5"), "c": 30, "d": 99}
    found = result(
        CV,
        Initial_Population=[A, B, C, D],
        Measure_Population=[A, B, C, D],
        Measure_Population_Exclusion=[D],
        Minutes=lambda e: minutes[e["id"]],
    )
    assert found.counts == (4, 4, 1)
    assert [o.value for o in found.observations[0]] == [0, Fraction(25, 2), 30]
    assert group_score(CV.groups[0], found) == Fraction(25, 2)


def test_a_patient_based_observation_is_a_function_without_parameters_or_a_definition() -> None:
    definition = read_measure(
        measure(
            group(
                "continuous-variable",
                *CV_POPULATIONS[:2],
                observation("o", "Minutes", "measure-population", "sum"),
            )
        )
    )
    for minutes in (lambda: Quantity(Decimal(7), "min"), Quantity(Decimal(7), "min")):
        found = result(definition, Initial_Population=True, Measure_Population=True, Minutes=minutes)
        assert [(o.value, o.unit) for o in found.observations[0]] == [(7, "min")]


def test_a_cohort_is_its_initial_population() -> None:
    definition = read_measure(measure(group("cohort", population("initial-population"), basis="Encounter")))
    found = result(definition, Initial_Population=[A, B])
    assert found.counts == (2,)
    assert group_score(definition.groups[0], found) is None


def test_several_groups_have_results_of_their_own() -> None:
    definition = read_measure(
        measure(
            group("cohort", population("initial-population", "One", id="p1"), id="g1"),
            group("cohort", population("initial-population", "Two", id="p2"), id="g2", basis="Encounter"),
        )
    )
    found = evaluate_patient(definition, GivenDefinitions(One=True, Two=[A, B]), "Patient/1")
    assert [g.counts for g in found.groups] == [(1,), (2,)]


@pytest.mark.parametrize(("definition", "value"), [(BOOLEAN, [A]), (EPISODES, True), (BOOLEAN, 1)])
def test_a_value_of_the_wrong_basis_is_an_error_that_names_the_criterion(definition: Any, value: Any) -> None:
    with pytest.raises(EvaluationError, match="'Initial Population' yielded"):
        counts(definition, **given_all(value))


def test_an_observation_that_is_not_a_number_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="yielded a str"):
        result(CV, **given_all([A], Measure_Population_Exclusion=[]), Minutes=lambda e: "long")


def test_supplemental_data_and_evaluated_resources_come_only_when_asked_for() -> None:
    definition = read_measure(
        measure(
            group("cohort", population("initial-population")),
            supplementalData=[
                {"id": "sde-sex", "criteria": {"language": "text/cql-identifier", "expression": "SDE Sex"}}
            ],
        )
    )
    definitions = GivenDefinitions([A, A, {"resourceType": "Patient"}], Initial_Population=True, SDE_Sex="F")
    assert Evaluator(definition)(definitions, "Patient/1").supplemental_data == ()
    found = Evaluator(definition, supplemental_data=True, evaluated_resources=True)(definitions, "Patient/1")
    assert found.supplemental_data == ("F",)
    assert found.evaluated_resources == ("Encounter/a",)


def test_a_compact_result_keeps_counts_and_names_members() -> None:
    definitions = GivenDefinitions(**given_all([A, B], Denominator_Exclusion=[]))
    found = evaluate_patient(EPISODES, definitions, "Patient/1").compact()
    assert found.groups[0].members[0] == ("Encounter/a", "Encounter/b")
    assert found.groups[0].counts[0] == 2


tri = st.sampled_from([True, False, None])


@given(st.tuples(tri, tri, tri, tri, tri, tri))
def test_patient_based_membership_is_the_standards_formula(values: tuple[bool | None, ...]) -> None:
    ip, denom, denex, numer, numex, denexcep = (value is True for value in values)
    names = [population["criteria"]["expression"].replace(" ", "_") for population in PROPORTION]
    found = result(BOOLEAN, **dict(zip(names, values, strict=True)))
    got = found.counts
    denominator = ip and denom and not denex and not (denexcep and not numer)
    numerator = ip and denom and not denex and numer and not numex
    assert got[1] - got[2] - got[5] == denominator
    assert got[3] - got[4] == numerator


episodes = st.lists(st.sampled_from([A, B, C, D]), max_size=5)


@given(st.tuples(*[episodes] * 6))
def test_episode_membership_is_the_standards_formula(lists: tuple[list[dict[str, Any]], ...]) -> None:
    names = [population["criteria"]["expression"].replace(" ", "_") for population in PROPORTION]
    found = result(EPISODES, **dict(zip(names, lists, strict=True)))
    ip, denom, denex, numer, numex, denexcep = ({e["id"] for e in one} for one in lists)
    members = [{e["id"] for e in one} for one in found.members]
    assert members[1] - members[2] - members[5] == (ip & denom) - denex - (denexcep - numer)
    assert members[3] - members[4] == ((ip & denom) - denex) & numer - numex
    assert members[2] <= members[1] <= members[0]
    assert members[4] <= members[3] <= members[1] - members[2]
    assert not members[5] & (members[2] | members[3])
    assert [len(one) for one in members] == list(found.counts)
