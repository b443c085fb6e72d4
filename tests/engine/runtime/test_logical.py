"""Three-valued logic, held to its whole truth tables, and the nullological operators."""

from itertools import product

import pytest

from measurewise.engine.runtime import logical

T, F, N = True, False, None
VALUES = (T, F, N)

# Rows are the left operand, columns the right, both in the order true, false, null
# (CQL Reference, tables 9-A, 9-A1, 9-C and 9-D).
TABLES = {
    logical.and_: ((T, F, N), (F, F, F), (N, F, N)),
    logical.or_: ((T, T, T), (T, F, N), (T, N, N)),
    logical.xor: ((F, T, N), (T, F, N), (N, N, N)),
    logical.implies: ((T, F, N), (T, T, T), (T, N, N)),
}


@pytest.mark.parametrize("operator", TABLES, ids=lambda f: f.__name__)
def test_every_row_of_the_truth_table_holds(operator):
    for (row, left), (column, right) in product(enumerate(VALUES), enumerate(VALUES)):
        assert operator(left, right) is TABLES[operator][row][column], (left, right)


def test_not_turns_true_and_false_round_and_leaves_null():
    assert [logical.not_(value) for value in VALUES] == [F, T, N]


def test_de_morgan_holds_for_null_too():
    for a, b in product(VALUES, VALUES):
        assert logical.not_(logical.and_(a, b)) is logical.or_(logical.not_(a), logical.not_(b))


def test_implies_is_or_with_the_left_negated():
    for a, b in product(VALUES, VALUES):
        assert logical.implies(a, b) is logical.or_(logical.not_(a), b)


def test_tests_of_truth_are_never_null():
    assert [logical.is_true(v) for v in VALUES] == [T, F, F]
    assert [logical.is_false(v) for v in VALUES] == [F, T, F]
    assert [logical.is_null(v) for v in (T, F, N, 0, "")] == [F, F, T, F, F]


def test_coalesce_gives_the_first_value_that_is_not_null():
    assert logical.coalesce(None, 0, 1) == 0
    assert logical.coalesce(None, None) is None
    assert logical.coalesce(["a"], None) == ["a"]


def test_coalesce_of_one_list_looks_into_it():
    assert logical.coalesce([None, None, "a"]) == "a"
    assert logical.coalesce([]) is None
    assert logical.coalesce(None) is None
