"""Literals, logic and conditionals as the compiler makes them; what is not needed is not evaluated."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest
from given_libraries import (
    alias,
    binary,
    boom,
    call,
    case,
    decimal,
    evaluated,
    function,
    if_,
    named_type,
    nary,
    node,
    of,
    op,
    operand,
    query,
    seen,
    traces,
)

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import logical
from measurewise.engine.runtime.values import Long, Quantity

TRUTH = (True, False, None)


def hidden(value: bool | None) -> dict:
    """A Boolean that the compiler cannot know: it comes out of a query."""
    return node("First", source=query(("H", of([value])), returning=alias("H"), distinct=False))


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (of(True), True),
        (of(-7), -7),
        (of("a 'quoted' \\ \n text"), "a 'quoted' \\ \n text"),
        (decimal("0.10"), Decimal("0.10")),
        (node("Literal", valueType="{urn:hl7-org:elm-types:r1}Long", value="5000000000"), Long(5000000000)),
        (node("Quantity", value=1.5, unit="mg"), Quantity(Decimal("1.5"), "mg")),
        (node("Null"), None),
        (of([1, None, 3]), [1, None, 3]),
    ],
)
def test_a_literal_is_its_value_and_of_its_type(literal, value):
    found = evaluated(literal)
    assert found == value
    assert type(found) is type(value)


def test_decimals_keep_the_digits_of_their_text():
    assert str(evaluated(decimal("1.10000000"))) == "1.10000000"


@pytest.mark.parametrize(("a", "b"), list(product(TRUTH, TRUTH)))
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("And", logical.and_),
        ("Or", logical.or_),
        ("Xor", logical.xor),
        ("Implies", logical.implies),
    ],
)
def test_the_tables_of_three_valued_logic(kind, table, known, a, b):
    left, right = (of(a), of(b)) if known else (hidden(a), hidden(b))
    assert evaluated(binary(kind, left, right)) is table(a, b)
    # As a condition only "is true" counts.
    assert evaluated(if_(binary(kind, left, right), 1, 2)) == (1 if table(a, b) else 2)
    # Under a not, null stays null and decides nothing.
    assert evaluated(op("Not", binary(kind, left, right))) is logical.not_(table(a, b))
    assert evaluated(if_(op("Not", binary(kind, left, right)), 1, 2)) == (1 if table(a, b) is False else 2)


@pytest.mark.parametrize("parts", list(product(TRUTH, TRUTH, TRUTH)))
def test_longer_chains_are_as_the_operators_in_turn(parts):
    a, b, c = parts
    x, y, z = map(hidden, parts)
    assert evaluated(binary("And", binary("And", x, y), z)) is logical.and_(logical.and_(a, b), c)
    assert evaluated(binary("Or", x, binary("Or", y, z))) is logical.or_(a, logical.or_(b, c))
    assert evaluated(binary("Or", binary("And", x, y), z)) is logical.or_(logical.and_(a, b), c)


@pytest.mark.parametrize(
    ("kind", "deciding", "value"), [("And", False, False), ("Or", True, True), ("Implies", False, True)]
)
@pytest.mark.parametrize("known", [True, False])
def test_the_second_operand_rests_where_the_first_decides(kind, deciding, value, known):
    first = of(deciding) if known else hidden(deciding)
    assert evaluated(binary(kind, first, boom())) is value
    assert evaluated(if_(binary(kind, first, boom()), "yes", "no")) == ("yes" if value else "no")


@pytest.mark.parametrize(("kind", "open_"), [("And", True), ("Or", False), ("Implies", True)])
def test_the_second_operand_is_evaluated_where_the_first_leaves_it_open(kind, open_):
    for first in (open_, None):
        with pytest.raises(EvaluationError, match="it was evaluated"):
            evaluated(binary(kind, hidden(first), boom()))


def test_operands_of_a_chain_are_evaluated_in_order_and_once():
    parts = [seen(hidden(value), f"part {n}") for n, value in enumerate([True, None, True, False, True])]
    chain = parts[0]
    for part in parts[1:]:
        chain = binary("And", chain, part)
    assert traces(chain) == (False, ["part 0", "part 1", "part 2", "part 3"])


def test_an_if_takes_the_else_branch_for_null():
    assert evaluated(if_(hidden(None), 1, 2)) == 2
    assert evaluated(if_(None, 1, 2)) == 2


@pytest.mark.parametrize("known", [True, False])
def test_only_the_branch_that_is_taken_is_evaluated(known):
    yes, no = (of(True), of(False)) if known else (hidden(True), hidden(False))
    assert evaluated(if_(yes, 1, boom())) == 1
    assert evaluated(if_(no, boom(), 2)) == 2
    assert evaluated(case((no, boom()), (yes, "second"), (boom("a later when"), 3))) == "second"
    assert evaluated(case((no, boom()), (hidden(None), boom()), otherwise="none")) == "none"


def test_a_case_with_a_comparand_compares_it_once():
    selected = case((1, "one"), (2, "two"), otherwise="many", comparand=seen(op("Add", 1, 1), "compared"))
    assert traces(selected) == ("two", ["compared"])
    assert evaluated(case((None, "null"), otherwise="other", comparand=None)) == "other"


def test_coalesce_evaluates_operands_until_one_is_not_null():
    assert evaluated(nary("Coalesce", None, hidden(None), "found", boom())) == "found"
    assert evaluated(nary("Coalesce", None, None)) is None
    assert evaluated(nary("Coalesce", of([None, 3, 4]))) == 3
    # False is a value.
    assert evaluated(nary("Coalesce", hidden(False), boom())) is False


def test_tests_of_null_true_and_false_are_never_null():
    for value, (null, true, false) in {
        True: (False, True, False),
        False: (False, False, True),
        None: (True, False, False),
    }.items():
        found = [evaluated(op(kind, hidden(value))) for kind in ("IsNull", "IsTrue", "IsFalse")]
        assert found == [null, true, false]


def test_what_two_branches_share_is_not_taken_from_the_branch_that_did_not_run():
    # The same query stands in a branch that is skipped and after it.
    shared = query(("N", of([1, 2, 3])), where=binary("Greater", alias("N"), 1))
    expression = binary(
        "Or",
        binary("And", hidden(False), op("Exists", shared)),
        binary("Equal", node("Count", source=shared), 2),
    )
    assert evaluated(expression) is True


def test_an_operand_that_raises_rests_inside_a_function_too():
    decide = function(
        "decide",
        {"first": named_type("Boolean")},
        binary("And", operand("first"), boom()),
    )
    assert evaluated(call("decide", hidden(False)), functions=[decide]) is False
    with pytest.raises(EvaluationError, match="it was evaluated"):
        evaluated(call("decide", hidden(True)), functions=[decide])
