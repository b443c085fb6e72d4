"""The aggregate functions against definitions in exact fractions and Python's statistics module."""

import statistics
from decimal import Decimal as D
from fractions import Fraction
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import aggregates as g
from measurewise.engine.runtime.comparison import compare
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.decimals import of_fraction
from measurewise.engine.runtime.values import Code, Long, Quantity

MAX = 2**31 - 1


def q(value: str, unit: str) -> Quantity:
    return Quantity(D(value), unit)


def mg(*values: str) -> list[Quantity]:
    return [q(value, "mg") for value in values]


ONE_TO_FIVE = [D("1.0"), D("2.0"), D("3.0"), D("4.0"), D("5.0")]
MEASURED = mg("1.0", "2.0", "3.0", "4.0", "5.0")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (g.count([15, 5, 99, None, 1]), 4),
        (g.sum_([6, 2, None]), 8),
        (g.sum_([MAX, 1]), None),
        (g.sum_([MAX, 1, -1]), MAX),
        (g.sum_([Long(MAX), 1]), Long(MAX + 1)),
        (g.sum_([D("6.0"), 2]), D("8.0")),
        (g.sum_([q("1", "g"), q("1", "mg")]), q("1.001", "g")),
        (g.sum_([q("1", "g"), q("1", "m")]), None),
        (g.sum_(MEASURED), q("15", "mg")),
        (g.product([2, 3]), 6),
        (g.product([2**16, 2**16]), None),
        (g.product([Long(2), 3]), Long(6)),
        (g.product([D("1.5"), D("2")]), D("3")),
        (g.product(mg("1.0", "2.0", "3.0", "4.0")), q("24", "mg")),
        (g.avg([D("5.5"), D("4.7"), D("4.8")]), D("5")),
        (g.avg([1, 2]), D("1.5")),
        (g.avg([1, 1, 2]), D("1.33333333")),
        (g.avg(mg("5.5", "4.7", "4.8")), q("5", "mg")),
        (g.avg([q("1", "m"), q("1", "cm")]), q("0.505", "m")),
        (g.median([D("2.0"), D("4.0"), D("8.0"), D("6.0")]), D("5")),
        (g.median([3, 1, 2]), D(2)),
        (g.median(mg("1.0", "2.0", "3.0")), q("2", "mg")),
        (g.median([q("1", "m"), q("3", "cm"), q("2", "cm")]), q("0.03", "m")),
        (g.mode([2, 1, 8, 2, 9, 1, 9, 9]), 9),
        (g.mode(["b", "a", "a", "b"]), "b"),
        (g.mode([q("1", "m"), q("2", "cm"), q("100", "cm")]), q("1", "m")),
        (g.variance(ONE_TO_FIVE), D("2.5")),
        (g.variance(MEASURED), q("2.5", "mg")),
        (g.variance([D(1)]), None),
        (g.population_variance(ONE_TO_FIVE), D(2)),
        (g.population_variance([D(1)]), D(0)),
        (g.std_dev(ONE_TO_FIVE), D("1.58113883")),
        (g.std_dev(MEASURED), q("1.58113883", "mg")),
        (g.std_dev([D(1)]), None),
        (g.population_std_dev(ONE_TO_FIVE), D("1.41421356")),
        (g.geometric_mean([D("2.0"), D("8.0")]), D("4")),
        (g.geometric_mean([D("2.0"), D("0.0")]), D("0")),
        (g.geometric_mean([D("-2.0"), D("8.0")]), None),
        (g.min_([5, 12, None, 0]), 0),
        (g.max_([5, 12, None, 0]), 12),
        (g.max_(["hi", "bye", "zebra"]), "zebra"),
        (g.max_([1, D("1.5"), Long(1)]), D("1.5")),
        (g.max_([q("1", "m"), q("101", "cm")]), q("101", "cm")),
        (g.max_([q("1", "m"), q("1", "g")]), None),
        (g.min_([parse_time("15:59"), parse_time("05:59")]), parse_time("05:59")),
        (g.all_true([True, None, True]), True),
        (g.all_true([True, False, None]), False),
        (g.all_true([]), True),
        (g.any_true([False, None, True]), True),
        (g.any_true([False, None]), False),
        (g.any_true([]), False),
    ],
)
def test_aggregates(answer, expected):
    assert answer == expected
    assert type(answer) is type(expected)


@pytest.mark.parametrize(
    "aggregate",
    [
        g.sum_, g.product, g.avg, g.median, g.mode, g.variance, g.population_variance, g.std_dev,
        g.population_std_dev, g.geometric_mean, g.min_, g.max_,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
@pytest.mark.parametrize("source", [None, [], [None, None]])
def test_without_a_value_the_aggregate_is_null(aggregate, source):
    assert aggregate(source) is None


def test_without_a_list_counting_and_logic_still_answer():
    assert g.count(None) == 0
    assert g.all_true(None) is True
    assert g.any_true(None) is False


def test_the_extreme_of_imprecise_dates_is_null_unless_one_is_known_to_be_it():
    day, month, later = parse_date("2012-01-15"), parse_date("2012-01"), parse_date("2013")
    assert g.max_([day, month, later]) == later
    assert g.min_([day, month, later]) is None
    assert g.max_([month, day]) is None
    assert g.max_([month, later, day]) == later


def test_the_extreme_of_values_without_an_order_is_one_clear_error():
    with pytest.raises(EvaluationError, match="no order"):
        g.max_([Code("a"), Code("b")])


# --- laws -------------------------------------------------------------------------------------------------

numbers = st.lists(st.decimals(-1000, 1000, places=3), min_size=1, max_size=8)


@given(numbers)
def test_statistics_are_the_exact_ones_rounded_once(source):
    exact = [Fraction(value) for value in source]
    assert g.sum_(source) == of_fraction(sum(exact))
    assert g.avg(source) == of_fraction(statistics.mean(exact))
    assert g.median(source) == of_fraction(statistics.median(exact))
    assert g.population_variance(source) == of_fraction(statistics.pvariance(exact))
    if len(source) > 1:
        assert g.variance(source) == of_fraction(statistics.variance(exact))
        assert abs(Fraction(g.std_dev(source)) ** 2 - statistics.variance(exact)) < Fraction(1, 10**4)
    product = prod(exact)
    expected = of_fraction(product)
    assert g.product(source) == expected


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8))
def test_integers_stay_integers_in_sums_and_extremes(source):
    assert g.sum_(source) == sum(source)
    assert g.min_(source) == min(source)
    assert g.max_(source) == max(source)
    assert g.mode(source) == max(source, key=source.count)


@given(
    st.lists(
        st.sampled_from(["2012", "2012-01", "2012-02", "2012-01-01", "2012-01-01T10", "2013"]),
        min_size=1,
        max_size=5,
    )
)
def test_an_extreme_is_an_element_known_to_be_so_if_there_is_one(texts):
    source = [parse_datetime(text, 0) for text in texts]
    for aggregate, wanted in ((g.min_, -1), (g.max_, 1)):
        known = [x for x in source if all(compare(x, y) in (0, wanted) for y in source)]
        answer = aggregate(source)
        assert answer == known[0] if known else answer is None


@given(numbers, st.integers(0, 7))
def test_nulls_do_not_matter(source, place):
    holed = source[:place] + [None] + source[place:]
    for aggregate in (g.sum_, g.avg, g.median, g.mode, g.std_dev, g.min_, g.max_, g.count):
        assert aggregate(holed) == aggregate(source)
