from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import pytest
from given_measures import (
    PROPORTION,
    GivenDefinitions,
    encounter,
    group,
    measure,
    population,
)
from given_results import EVALUATE, MEASURE, accumulated, groups_of_patients, patient
from hypothesis import given

from measurewise.engine.errors import ContentError
from measurewise.engine.measure import accumulate
from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.coded import TRUE, CodedValue
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.runtime.values import Code, Concept, Tuple


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
    by_sex = first.supplemental_data[0]
    assert by_sex is not None
    assert by_sex[(CodedValue("", "M", "urn:sex"),)] == [2, 2, 1, 0, 0, 0]
    assert second.supplemental_data[0] == {
        (CodedValue("", "F", "urn:sex"),): [2, 2],
        (CodedValue("", "M", "urn:sex"),): [1, 1],
    }


def with_datum(value: Any) -> PatientResult:
    names = [item["criteria"]["expression"].replace(" ", "_") for item in PROPORTION]
    values: dict[str, Any] = dict.fromkeys(names, True)
    return EVALUATE(GivenDefinitions(**values, Old=True, Stays=[], Sex=value), "Patient/1")


def categories(*values: Any) -> dict[tuple[str, ...], int]:
    counted = accumulated([with_datum(value) for value in values]).groups[0].supplemental_data[0]
    assert counted is not None
    return {tuple(v.code or v.text for v in found): counts[0] for found, counts in counted.items()}


def test_who_has_two_values_is_counted_once_under_both() -> None:
    asian, white = Code("2028-9", "urn:race"), Code("2106-3", "urn:race")
    both = Tuple(codes=[white, asian], display="two")
    turned = Tuple(codes=[asian, white], display="two")
    alone = Tuple(codes=[white], display="one")
    assert categories(both, turned, alone) == {("2028-9", "2106-3"): 2, ("2106-3",): 1}


def test_a_concept_is_counted_under_all_its_codes() -> None:
    local, typology = Code("MCR", "urn:own"), Code("1", "https://nahdo.org/sopt")
    payer = Tuple(code=Concept((local, typology), None), period=None)
    in_fhir = Tuple(
        code={"coding": [{"system": c.system, "code": c.code} for c in (typology, local)]}, period=None
    )
    assert categories([payer], [in_fhir]) == {("1", "MCR"): 2}


def test_who_has_no_value_is_counted_as_unknown_and_resources_are_no_values() -> None:
    assert categories(None, [], [encounter("1", length=1)]) == {("unknown",): 3}


def test_a_datum_with_too_many_values_is_not_counted_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulate, "MOST_CATEGORIES", 2)
    one, two, three = (accumulated([with_datum(name)]) for name in ("a", "b", "c"))
    one.merge(two)
    assert one.groups[0].supplemental_data[0] is not None
    assert len(one.groups[0].supplemental_data[0]) == 2
    one.merge(three)
    assert one.groups[0].supplemental_data == [None]
    three.merge(one)
    assert three.groups[0].supplemental_data == [None]


def test_an_empty_summary_has_no_score() -> None:
    assert SummaryAccumulator(MEASURE).scores() == (None, None)


def test_a_result_of_another_measure_is_refused() -> None:
    other = read_measure(measure(group("cohort", population("initial-population")), url="http://x"))
    with pytest.raises(ContentError, match="one accumulator a measure"):
        SummaryAccumulator(other).add(patient((True,) * 7, []))
