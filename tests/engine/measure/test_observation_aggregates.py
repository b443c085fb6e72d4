from __future__ import annotations

import pickle
import statistics
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.measure.aggregates import Aggregate, observed
from measurewise.engine.measure.definition import AggregateMethod
from measurewise.engine.measure.results import Observed
from measurewise.engine.measure.scoring import as_decimal
from measurewise.engine.runtime.values import Long, Quantity

numbers = st.one_of(
    st.integers(-1000, 1000), st.decimals("-1000", "1000", places=3, allow_nan=False, allow_infinity=False)
)
samples = st.lists(st.one_of(st.none(), numbers), max_size=12)
methods = st.sampled_from(AggregateMethod)


def aggregate(method: AggregateMethod, values: list[object]) -> Aggregate:
    return Aggregate(method).add_all(observed(None, value, "test") for value in values)


@given(samples)
def test_every_method_agrees_with_the_textbook(values: list[int | Decimal | None]) -> None:
    exact = [Fraction(value) for value in values if value is not None]
    expected: dict[AggregateMethod, object] = {AggregateMethod.COUNT: len(exact)}
    if exact:
        expected |= {
            AggregateMethod.SUM: sum(exact),
            AggregateMethod.AVERAGE: sum(exact) / len(exact),
            AggregateMethod.MEDIAN: statistics.median(exact),
            AggregateMethod.MINIMUM: min(exact),
            AggregateMethod.MAXIMUM: max(exact),
            AggregateMethod.MODE: min(statistics.multimode(exact)),
        }
    for method in AggregateMethod:
        assert aggregate(method, list(values)).result() == expected.get(method)


@given(methods, samples, samples, samples)
def test_merging_is_associative_and_commutative(
    method: AggregateMethod, a: list[object], b: list[object], c: list[object]
) -> None:
    left = aggregate(method, a)
    left.merge(aggregate(method, b))
    left.merge(aggregate(method, c))
    right = aggregate(method, c)
    inner = aggregate(method, b)
    inner.merge(aggregate(method, a))
    right.merge(inner)
    assert left == right == aggregate(method, [*a, *b, *c])
    assert pickle.loads(pickle.dumps(left)) == left  # noqa: S301


def test_zero_is_an_observation() -> None:
    assert aggregate(AggregateMethod.AVERAGE, [0, 1]).result() == Fraction(1, 2)
    assert aggregate(AggregateMethod.COUNT, [0]).result() == 1


def test_tenths_add_up_exactly() -> None:
    assert aggregate(AggregateMethod.SUM, [Decimal("0.1")] * 10).result() == 1


def test_observations_in_two_units_are_an_error() -> None:
    running = Aggregate(AggregateMethod.SUM)
    running.add(observed(None, Quantity(Decimal(1), "min"), "test"))
    with pytest.raises(EvaluationError, match="'min' and in 'h'"):
        running.add(observed(None, Quantity(Decimal(1), "h"), "test"))


def test_a_long_is_a_number_and_a_boolean_is_none() -> None:
    assert observed(None, Long(5), "test") == Observed(None, 5)
    with pytest.raises(EvaluationError):
        observed(None, True, "test")


def test_a_median_needs_as_much_room_as_there_are_distinct_values() -> None:
    running = Aggregate(AggregateMethod.MEDIAN)
    for number in range(10_000):
        running.add(Observed(None, number % 7))
    assert len(running.occurrences) == 7
    assert running.result() == 3


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (Fraction(1, 3), "0.33333333"),
        (Fraction(2, 3), "0.66666667"),
        (Fraction(1, 2), "0.5"),
        (Fraction(100), "100"),
        (10**9, "1000000000"),
        (Fraction(0), "0"),
    ],
)
def test_a_score_is_written_with_at_most_eight_places(number: Fraction | int, shown: str) -> None:
    assert str(as_decimal(number)) == shown
