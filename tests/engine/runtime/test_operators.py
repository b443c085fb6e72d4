"""The table of operators, and those that choose between lists, intervals and other operands."""

import keyword
import re
from decimal import Decimal as D

import pytest

from measurewise.engine.elm.schema import node_classes
from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import operators as o
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime
from measurewise.engine.runtime.temporal import DAY, MONTH
from measurewise.engine.runtime.values import Interval, Quantity

OPEN = Interval(1, 5, True, False)
CLOSED = Interval(1, 5)
JANUARY = Interval(parse_date("2012-01-01"), parse_date("2012-01-31"))


def test_every_name_is_an_elm_node_and_names_one_function():
    functions = {}
    for name, function in o.OPERATORS.items():
        assert name in node_classes()
        assert functions.setdefault(function.__name__, function) is function


def test_functions_are_named_after_their_nodes():
    # TimezoneFrom is an older name of TimezoneOffsetFrom, Descendents an older spelling, Sort the clause.
    others = {"TimezoneFrom", "Descendants", "Sort"}
    for name, function in o.OPERATORS.items():
        if name in others:
            continue
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        assert function.__name__.rstrip("_") == snake
        assert not keyword.iskeyword(function.__name__)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (o.length("abc"), 3),
        (o.length([1, None]), 2),
        (o.length(None), None),
        (o.indexer("ab", 1), "b"),
        (o.indexer(["a", "b"], 1), "b"),
        (o.indexer(None, 1), None),
        (o.contains([1, 2], 2), True),
        (o.contains([1, None], None), True),
        (o.contains(OPEN, 5), False),
        (o.contains(CLOSED, 5), True),
        (o.contains(CLOSED, None), None),
        (o.contains(None, 5), False),
        (o.contains(JANUARY, parse_date("2012-02-01"), MONTH), False),
        (o.in_(parse_date("2012-01"), JANUARY, MONTH), True),
        (o.in_(parse_date("2012-01"), JANUARY, DAY), None),
        (o.in_(3, None), False),
        (o.proper_contains([1, 2], 2), True),
        (o.proper_contains([1], 1), False),
        (o.proper_contains(CLOSED, 3), True),
        (o.proper_in(1, [1, None]), None),
        (o.proper_in(3, CLOSED), True),
        (o.includes([1, 2], [2]), True),
        (o.includes([1, 2], 2), True),
        (o.includes([1, 2], None), None),
        (o.includes(None, [1]), None),
        (o.includes(CLOSED, OPEN), True),
        (o.includes(CLOSED, 5), True),
        (o.includes(CLOSED, None), None),
        (o.included_in([2], [1, 2]), True),
        (o.included_in(2, [1, 2]), True),
        (o.included_in([1], None), None),
        (o.included_in(OPEN, CLOSED), True),
        (o.included_in(CLOSED, OPEN), False),
        (o.proper_includes([1, 2], [2]), True),
        (o.proper_includes([1, 2], 2), True),
        (o.proper_includes(CLOSED, CLOSED), False),
        (o.proper_includes([1], None), None),
        (o.proper_included_in(OPEN, CLOSED), True),
        (o.proper_included_in([1], [1]), False),
        (o.proper_included_in(1, [1, 2]), True),
        (o.proper_included_in([1], None), None),
        (o.union([1], [2], [1, 3]), [1, 2, 3]),
        (o.union(None, [1]), [1]),
        (o.union(CLOSED, Interval(4, 8)), Interval(1, 8)),
        (o.union(CLOSED, None), None),
        (o.intersect([1, 2, 3], [2, 3], [3]), [3]),
        (o.intersect([1], None), None),
        (o.intersect(None, [1]), None),
        (o.intersect(CLOSED, Interval(4, 8)), Interval(4, 5)),
        (o.except_([1, 2, 3], [2], [3]), [1]),
        (o.except_([1, 2], None), [1, 2]),
        (o.except_(None, [1]), None),
        (o.except_(CLOSED, Interval(4, 8)), Interval(1, 3)),
    ],
)
def test_operators_choose_by_their_operands(answer, expected):
    assert answer == expected
    assert type(answer) is type(expected)


def test_the_table_reaches_each_kind_of_operand():
    add, equal, before, successor = (o.OPERATORS[n] for n in ("Add", "Equal", "Before", "Successor"))
    month = Quantity(D(1), "month")
    assert add(parse_datetime("2012-01-31", 0), month) == parse_datetime("2012-02-29", 0)
    assert add(Quantity(D(1), "cm"), Quantity(D(1), "m")) == Quantity(D(101), "cm")
    assert equal(CLOSED, Interval(1, 6, True, False)) is True
    assert before(CLOSED, Interval(6, 8)) is True
    assert before(parse_date("2012-01-15"), JANUARY) is False
    assert successor(parse_date("2012-02")) == parse_date("2012-03")


@pytest.mark.parametrize(
    "operation",
    [
        lambda: o.in_(1, "abc"),
        lambda: o.contains(1, 1),
        lambda: o.proper_in(1, 1),
        lambda: o.included_in(1, "abc"),
        lambda: o.proper_included_in(1, "abc"),
        lambda: o.included_in([1], CLOSED),
        lambda: o.proper_includes(CLOSED, [1]),
    ],
)
def test_operands_that_do_not_fit_are_one_clear_error(operation):
    with pytest.raises(EvaluationError, match="is not defined for a"):
        operation()
