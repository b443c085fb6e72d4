"""Sums come back from JSON as they were, to the last digit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from given_measures import group, measure, observation, population
from given_results import MEASURE, accumulated, groups_of_patients
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.measure.results import GroupResult, Observed, PatientResult
from measurewise.engine.measure.summary_json import from_summary_json, to_summary_json


def of_values(method: str) -> SummaryAccumulator:
    return SummaryAccumulator(
        read_measure(
            measure(
                group(
                    "continuous-variable",
                    population("initial-population", "Stays", id="ip"),
                    population("measure-population", "Stays", id="mp"),
                    observation("o", "Days", "mp", method),
                    basis="Encounter",
                )
            )
        )
    )


@given(groups_of_patients, groups_of_patients)
def test_sums_can_be_handed_on_and_merged(a: list[PatientResult], b: list[PatientResult]) -> None:
    summary = accumulated(a)
    summary.merge(from_summary_json(MEASURE, to_summary_json(accumulated(b))))
    assert summary == accumulated([*a, *b])


numbers = st.one_of(st.integers(), st.fractions(), st.none())


@pytest.mark.parametrize("method", ["sum", "average", "median", "minimum", "maximum", "count"])
@given(values=st.lists(numbers, max_size=5))
def test_numbers_of_any_size_stay_exact(method: str, values: list[int | Fraction | None]) -> None:
    summary = of_values(method)
    observed = tuple(Observed(None, value, "d") for value in values)
    summary.add(
        PatientResult(summary.measure.canonical, "Patient/1", (GroupResult((1, 1), (), (observed,)),))
    )
    assert from_summary_json(summary.measure, to_summary_json(summary)) == summary


def test_sums_of_another_measure_are_refused() -> None:
    sums = to_summary_json(accumulated([])).replace(MEASURE.canonical.encode(), b"urn:another")
    with pytest.raises(ContentError, match="urn:another"):
        from_summary_json(MEASURE, sums)
