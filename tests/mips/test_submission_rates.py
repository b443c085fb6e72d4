"""The rates that the submissions API computes, held to CMS's published answers and to its formulas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.mips.programme_year import ELECTRONIC, REGISTRY, programme_year
from measurewise.mips.submission.rates import Rates, rates
from measurewise.qrda.qpp_model import MultiPerformanceRate, PerformanceRate, Stratum

MEASURES = programme_year(2025).measures
COUNTS = st.integers(0, 500)


def one(met: int, missed: int, eligible: int, exclusion: int = 0, exception: int = 0) -> PerformanceRate:
    return PerformanceRate(
        performance_met=met,
        performance_not_met=missed,
        eligible_population=eligible,
        eligible_population_exclusion=exclusion,
        eligible_population_exception=exception,
    )


def several(**strata: tuple[int, int, int]) -> MultiPerformanceRate:
    return MultiPerformanceRate(
        strata=tuple(
            Stratum(name, performance_met=met, performance_not_met=missed, eligible_population=eligible)
            for name, (met, missed, eligible) in strata.items()
        )
    )


def by(algorithm: str, value: MultiPerformanceRate) -> Rates:
    measure = replace(MEASURES["239"], overall_algorithm=algorithm)
    return rates(value, measure, REGISTRY)


@pytest.mark.parametrize(
    ("counts", "performance", "reporting"),
    [((36, 120, 156), 23.08, 100.0), ((12, 61, 156), 16.44, 46.79), ((120, 36, 156), 76.92, 100.0)],
)
def test_the_answers_of_cmss_tutorial_come_out(
    counts: tuple[int, int, int], performance: float, reporting: float
) -> None:
    found = rates(one(*counts), MEASURES["236"], REGISTRY)
    assert (found.performance_rate, found.reporting_rate, found.case_count) == (performance, reporting, 156)


def test_exclusions_and_exceptions_are_reported_and_do_not_count_as_missed() -> None:
    found = rates(one(60, 25, 100, exclusion=10, exception=5), MEASURES["236"], ELECTRONIC)
    assert found == Rates(performance_rate=70.59, reporting_rate=100.0, case_count=90)
    assert rates(one(60, 25, 100, exclusion=10), MEASURES["236"], REGISTRY).case_count == 100


def test_nothing_to_divide_by_is_no_rate() -> None:
    assert rates(one(0, 0, 0), MEASURES["236"], ELECTRONIC) == Rates(None, None, 0)
    assert by("simpleAverage", several()) == Rates(None, None, 0)
    assert by("weightedAverage", several()) == Rates(None, None, 0)


def test_strata_are_combined_as_the_measure_says() -> None:
    value = several(a=(1, 1, 2), b=(9, 1, 20), overall=(5, 0, 5))
    assert by("simpleAverage", value) == Rates(70.0, 54.55, 20)
    assert by("weightedAverage", value) == Rates(83.33, 54.55, 22)
    assert by("sumNumerators", value) == Rates(10.0, 54.55, 20)
    assert by("overallStratumOnly", value) == Rates(100.0, 100.0, 5)
    split = several(reporting=(1, 1, 8), performance=(3, 1, 9))
    assert by("split", split) == Rates(75.0, 25.0, 8)


def test_an_empty_stratum_has_no_part_in_a_mean() -> None:
    assert by("simpleAverage", several(a=(1, 1, 2), b=(0, 0, 0))).performance_rate == 50.0


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_whole_rate_is_complete_and_between_0_and_100(met: int, missed: int, out: int, spared: int) -> None:
    eligible = met + missed + out + spared
    found = rates(one(met, missed, eligible, out, spared), MEASURES["236"], ELECTRONIC)
    assert found.reporting_rate == (100.0 if eligible else None)
    assert found.case_count == eligible - out
    if met + missed:
        assert found.performance_rate is not None
        assert abs(found.performance_rate - 100 * met / (met + missed)) <= 0.005 + 1e-9


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=5))
def test_a_weighted_average_is_the_rate_of_all_together(parts: list[tuple[int, int]]) -> None:
    named: Any = {f"s{n}": (met, missed, met + missed) for n, (met, missed) in enumerate(parts)}
    met, missed = (sum(column) for column in zip(*parts, strict=True))
    assert (
        by("weightedAverage", several(**named)).performance_rate
        == rates(one(met, missed, met + missed), MEASURES["236"], REGISTRY).performance_rate
    )
