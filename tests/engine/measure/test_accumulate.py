from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import pytest
from given_measures import (
    PROPORTION,
    GivenDefinitions,
    criteria,
    encounter,
    group,
    measure,
    observation,
    population,
)
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.coded import TRUE, CodedValue
from measurewise.engine.measure.populations import Evaluator
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.runtime.values import Code, Tuple

MEASURE = read_measure(
    measure(
        group("proportion", *PROPORTION, stratifier=[{"id": "s", "criteria": criteria("Old")}]),
        group(
            "continuous-variable",
            population("initial-population", "Stays", id="ip2"),
            population("measure-population", "Stays", id="mp"),
            observation("o", "Days", "mp", "median"),
            id="group-2",
            basis="Encounter",
        ),
        supplementalData=[{"id": "sde-sex", "criteria": criteria("Sex")}],
    )
)
EVALUATE = Evaluator(MEASURE, supplemental_data=True)


def patient(flags: tuple[bool, ...], days: list[int], sex: str | None = "F") -> PatientResult:
    names = [item["criteria"]["expression"].replace(" ", "_") for item in PROPORTION]
    definitions = GivenDefinitions(
        **dict(zip(names, flags, strict=False)),
        Old=flags[-1],
        Stays=[encounter(str(number), length=length) for number, length in enumerate(days)],
        Days=lambda e: e["length"],
        Sex=None if sex is None else Code(sex, "urn:sex"),
    )
    return EVALUATE(definitions, "Patient/1")


patients = st.builds(
    patient,
    st.tuples(*[st.booleans()] * 7),
    st.lists(st.integers(0, 5), max_size=3),
    st.sampled_from(["F", "M", None]),
)
groups_of_patients = st.lists(patients, max_size=4)


def accumulated(results: list[PatientResult]) -> SummaryAccumulator:
    return SummaryAccumulator(MEASURE).add_all(results)


@given(groups_of_patients, groups_of_patients, groups_of_patients)
def test_how_patients_were_dealt_out_never_shows(
    a: list[PatientResult], b: list[PatientResult], c: list[PatientResult]
) -> None:
    whole = accumulated([*a, *b, *c])
    left = accumulated(a)
    left.merge(accumulated(b))
    left.merge(accumulated(c))
    right = accumulated(c)
    inner = SummaryAccumulator(MEASURE)
    inner.merge(accumulated(b))
    inner.merge(accumulated(a))
    right.merge(pickle.loads(pickle.dumps(inner)))  # noqa: S301
    assert whole == left == right


@given(groups_of_patients)
def test_the_numerator_lies_within_the_denominator_and_strata_within_the_whole(
    results: list[PatientResult],
) -> None:
    totals = accumulated(results).groups[0]
    initial, denominator, excluded, numerator, numerator_excluded, exception = totals.counts
    assert numerator + exception <= denominator - excluded <= initial
    assert numerator_excluded <= numerator
    for index, count in enumerate(totals.counts):
        assert sum((stratum.counts[index] or 0) for stratum in totals.strata[0].values()) == count
    score = totals.score(MEASURE.groups[0])
    assert score is None or 0 <= score <= 1


def test_scores_come_from_the_sums() -> None:
    eligible = (True, True, False)
    summary = accumulated(
        [
            patient((*eligible, True, False, False, True), [3, 4]),
            patient((*eligible, False, False, False, False), [10], "M"),
            patient((*eligible, False, False, True, False), []),
            patient((True, True, True, True, False, False, True), [], "M"),
        ]
    )
    first, second = summary.groups
    assert summary.patients == 4
    assert first.counts == [4, 4, 1, 1, 0, 1]
    assert summary.scores() == (Fraction(1, 2), 4)
    assert first.strata[0][(TRUE,)].counts == [2, 2, 1, 1, 0, 0]
    assert second.patients == 2
    assert first.supplemental_data[0][CodedValue("", "M", "urn:sex")] == [2, 2, 1, 0, 0, 0]
    assert second.supplemental_data[0][CodedValue("", "F", "urn:sex")] == [2, 2]


def test_supplemental_tuples_are_counted_by_their_codes() -> None:
    race = Tuple(codes=[Code("2106-3", "urn:race"), Code("2028-9", "urn:race")], display="two")
    names = [item["criteria"]["expression"].replace(" ", "_") for item in PROPORTION]
    values: dict[str, Any] = dict.fromkeys(names, True)
    result = EVALUATE(GivenDefinitions(**values, Old=True, Stays=[], Sex=race), "Patient/1")
    counted = accumulated([result]).groups[0].supplemental_data[0]
    assert sorted(value.code for value in counted) == ["2028-9", "2106-3"]


def test_an_empty_summary_has_no_score() -> None:
    assert SummaryAccumulator(MEASURE).scores() == (None, None)


def test_a_result_of_another_measure_is_refused() -> None:
    other = read_measure(measure(group("cohort", population("initial-population")), url="http://x"))
    with pytest.raises(ContentError, match="one accumulator a measure"):
        SummaryAccumulator(other).add(patient((True,) * 7, []))
