from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.runtime import uncertainty
from measurewise.engine.runtime.uncertainty import Uncertain, Uncertainty, between, bounds
from measurewise.engine.runtime.values import Interval

uncertain = st.builds(lambda a, b: between(min(a, b), max(a, b)), st.integers(-6, 6), st.integers(-6, 6))


def values(value: Uncertain) -> range:
    low, high = bounds(value)
    return range(low, high + 1)


@pytest.mark.parametrize(
    ("operator", "holds"),
    [
        (uncertainty.equal, lambda x, y: x == y),
        (uncertainty.less, lambda x, y: x < y),
        (uncertainty.less_or_equal, lambda x, y: x <= y),
        (uncertainty.greater, lambda x, y: x > y),
        (uncertainty.greater_or_equal, lambda x, y: x >= y),
    ],
)
@given(uncertain, uncertain)
def test_a_comparison_is_known_when_every_pair_agrees(
    operator: Callable[[Uncertain, Uncertain], bool | None],
    holds: Callable[[int, int], bool],
    a: Uncertain,
    b: Uncertain,
) -> None:
    answers = {holds(x, y) for x, y in product(values(a), values(b))}
    assert operator(a, b) == (answers.pop() if len(answers) == 1 else None)


@pytest.mark.parametrize(
    ("operator", "result"),
    [
        (uncertainty.add, lambda x, y: x + y),
        (uncertainty.subtract, lambda x, y: x - y),
        (uncertainty.multiply, lambda x, y: x * y),
    ],
)
@given(uncertain, uncertain)
def test_arithmetic_spans_the_possible_results(
    operator: Callable[[Uncertain, Uncertain], Uncertain | None],
    result: Callable[[int, int], int],
    a: Uncertain,
    b: Uncertain,
) -> None:
    results = [result(x, y) for x, y in product(values(a), values(b))]
    got = operator(a, b)
    assert got is not None
    assert bounds(got) == (min(results), max(results))


@given(uncertain)
def test_negation_turns_the_bounds_round(a: Uncertain) -> None:
    negated = uncertainty.negate(a)
    assert negated is not None
    assert set(values(negated)) == {-value for value in values(a)}


def test_an_uncertainty_of_width_zero_is_its_point() -> None:
    assert between(3, 3) == 3
    assert uncertainty.subtract(Uncertainty(1, 2), None) is None
    assert uncertainty.multiply(Uncertainty(0, 5), 0) == 0


def test_an_uncertainty_leaves_as_the_interval_of_its_values() -> None:
    assert uncertainty.as_interval(Uncertainty(4, 16)) == Interval(4, 16)


@pytest.mark.parametrize(
    "operator",
    [
        uncertainty.equal,
        uncertainty.less,
        uncertainty.less_or_equal,
        uncertainty.greater,
        uncertainty.greater_or_equal,
        uncertainty.add,
        uncertainty.multiply,
    ],
)
def test_null_operands_give_null(operator: Callable[[Uncertain | None, Uncertain | None], object]) -> None:
    assert operator(None, 1) is None
    assert operator(Uncertainty(1, 2), None) is None
    assert uncertainty.negate(None) is None
