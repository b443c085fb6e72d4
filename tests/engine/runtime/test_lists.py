"""The list operators, held against naive definitions that compare every pair."""

import time
from decimal import Decimal as D
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import lists
from measurewise.engine.runtime.comparison import compare, equal
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_time
from measurewise.engine.runtime.sorting import order, sort, sort_by
from measurewise.engine.runtime.values import Boxed, Code, Concept, Interval, Long, Quantity, Tuple

T1, T2, T3 = (parse_time(text) for text in ("15:59:59.999", "20:59:59.999", "20:59:49.999"))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lists.exists([]), False),
        (lists.exists([None]), False),
        (lists.exists([None, 1]), True),
        (lists.exists([1]), True),
        (lists.exists(None), False),
        (lists.length([None, 1]), 2),
        (lists.length(None), 0),
        (lists.first([1, None]), 1),
        (lists.first([]), None),
        (lists.first(None), None),
        (lists.last([1, None]), None),
        (lists.last([1, 2]), 2),
        (lists.indexer([1, 2], 1), 2),
        (lists.indexer([1, 2], 2), None),
        (lists.indexer([1, 2], -1), None),
        (lists.indexer(None, 0), None),
        (lists.index_of([1, 2], 2), 1),
        (lists.index_of([1, 2], 3), -1),
        (lists.index_of([], 3), -1),
        (lists.index_of([1, None], None), None),
        (lists.index_of(None, []), None),
        (lists.singleton_from([1]), 1),
        (lists.singleton_from([]), None),
        (lists.singleton_from(None), None),
        (lists.flatten([[1, 2], [3], [], [None]]), [1, 2, 3, None]),
        (lists.flatten([[1], None]), [1]),
        (lists.flatten([[[1]], [2]]), [[1], 2]),
        (lists.flatten(None), None),
        (lists.slice_([1, 2, 3, 4, 5]), [1, 2, 3, 4, 5]),
        (lists.slice_([1, 2, 3, 4, 5], 1, 3), [2, 3]),
        (lists.slice_([1, 2, 3, 4, 5], 1, -1), [2, 3, 4]),
        (lists.slice_([1, 2, 3, 4, 5], -2), [4, 5]),
        (lists.slice_([1, 2, 3], -4, 2), [1, 2]),
        (lists.slice_([1, 2, 3], 4, 2), []),
        (lists.slice_(None, 1), None),
        (lists.skip([1, 2, 3], 2), [3]),
        (lists.skip([1, 2, 3], None), [1, 2, 3]),
        (lists.skip([1, 2, 3], -1), []),
        (lists.skip(None, 1), None),
        (lists.tail([1, 2, 3]), [2, 3]),
        (lists.tail([]), []),
        (lists.tail(None), None),
        (lists.take([1, 2, 3], 2), [1, 2]),
        (lists.take([1, 2, 3], 0), []),
        (lists.take([1, 2, 3], None), []),
        (lists.take([1, 2, 3], -1), []),
        (lists.take(None, 1), None),
        (lists.to_list(1), [1]),
        (lists.to_list(None), []),
        (lists.contains([1, None], None), True),
        (lists.contains([1], None), False),
        (lists.contains([None, "b", "c"], "a"), False),
        (lists.contains(["a", "b"], "a"), True),
        (lists.contains([Boxed("string", "a")], "a"), True),
        (lists.contains(None, "a"), False),
        (lists.contains([True], 1), False),
        (lists.contains([parse_date("2012")], parse_date("2012-01-01")), None),
        (lists.contains([parse_date("2012"), parse_date("2012-01-01")], parse_date("2012-01-01")), True),
        (lists.in_(None, []), False),
        (lists.in_(1, None), False),
        (lists.in_(1, [Long(1)]), True),
        (lists.equivalent_contains(["A", "B"], "a"), True),
        (lists.equivalent_contains(["B"], "a"), False),
        (lists.equivalent_contains(["B"], None), False),
        (lists.equivalent_in(None, ["B", None]), True),
        (lists.equivalent_in("a", None), False),
        (lists.includes([], []), True),
        (lists.includes([None], [None]), True),
        (lists.includes([1, 2, 3], []), True),
        (lists.includes([1, 2, 3], [2, 2]), True),
        (lists.includes([1, 2, 3], [4]), False),
        (lists.includes(None, [2]), None),
        (lists.includes([1], None), None),
        (lists.included_in([2], [1, 2, 3]), True),
        (lists.included_in([4], [1, 2, 3]), False),
        (lists.proper_includes([], []), False),
        (lists.proper_includes([1, 2], [1]), True),
        (lists.proper_includes([1, 1], [1]), False),
        (lists.proper_includes([1, 2, 3], [4]), False),
        (lists.proper_includes([1, None], [1]), True),
        (lists.proper_includes([None], [None]), False),
        (lists.proper_includes(None, [1]), None),
        (lists.proper_included_in([1, 2], [1, 2, 3]), True),
        (lists.proper_included_in([], [1]), True),
        (lists.proper_included_in([1], None), None),
        (lists.proper_contains(None, "a"), False),
        (lists.proper_contains(["a"], "a"), False),
        (lists.proper_contains(["s", "u", "n"], None), False),
        (lists.proper_contains([None, None], None), False),
        (lists.proper_contains(["a", "b"], "a"), True),
        (lists.proper_contains(["a", "b"], "c"), False),
        (lists.proper_contains(["a", "b", None], "a"), True),
        (lists.proper_contains([T1, T2, T3], T1), True),
        (lists.proper_in("a", []), False),
        (lists.proper_in(None, [None]), False),
        (lists.proper_in(None, ["s", None]), True),
        (lists.proper_in("a", ["a", "a"]), False),
        (lists.proper_in("a", ["a", None]), None),
        (lists.union([1, 2, 3], [2, 4]), [1, 2, 3, 4]),
        (lists.union([None], [None]), [None]),
        (lists.union(None, [1]), [1]),
        (lists.union(None, None), []),
        (lists.intersect([2, None, 3, 2], [1, 2, 3, None]), [2, None, 3]),
        (lists.intersect([1], None), None),
        (lists.except_([1, 4, 4, None], [1, None]), [4]),
        (lists.except_([1, 4, 4], None), [1, 4]),
        (lists.except_(None, [1]), None),
        (lists.distinct(["a", None, "a", None]), ["a", None]),
        (lists.distinct([True, 1]), [True, 1]),
        (lists.distinct(None), None),
        (
            lists.times([Tuple(a=1), Tuple(a=2)], [Tuple(b=3)]),
            [Tuple(a=1, b=3), Tuple(a=2, b=3)],
        ),
        (lists.times(None, []), None),
        (lists.children(None), None),
        (lists.children(1), []),
        (lists.children(Tuple(a=[1, 2], b=None, c="x")), [1, 2, "x"]),
        (lists.children([Quantity(D(5), "mg")]), [D(5), "mg"]),
        (lists.descendents(None), None),
        (lists.descendents(Tuple(a=Tuple(b=[1]), c=2)), [Tuple(b=[1]), 1, 2]),
    ],
)
def test_list_operators(answer, expected):
    assert answer == expected
    assert type(answer) is type(expected)


def test_a_singleton_of_many_is_one_clear_error():
    with pytest.raises(EvaluationError, match="a list of 3 elements"):
        lists.singleton_from([1, 3, 5])


# --- against every pair -----------------------------------------------------------------------------------


def is_same(a, b):
    return a is b if a is None or b is None else equal(a, b) is True


def naive_distinct(source):
    out = []
    for element in source:
        if not any(is_same(element, kept) for kept in out):
            out.append(element)
    return out


def naive_contains(source, element):
    if element is None:
        return None in [x for x in source if x is None]
    answers = [equal(x, element) for x in source if x is not None]
    return True if True in answers else None if None in answers else False


def same_lists(a, b):
    return len(a) == len(b) and all(
        x is y or (x == y and type(x) is type(y)) for x, y in zip(a, b, strict=True)
    )


codes = st.builds(Code, st.sampled_from("abc"), st.sampled_from([None, "s"]))
elements = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 4),
    st.integers(0, 4).map(Long),
    st.decimals(0, 4, places=1),
    st.sampled_from("abcd"),
    st.sampled_from(["2012", "2012-01", "2012-01-01", "2012-01-02"]).map(parse_date),
    st.builds(Quantity, st.sampled_from([D(1), D(100)]), st.sampled_from(["m", "cm", "g", "?"])),
    codes,
    st.builds(Concept, st.lists(codes, max_size=2)),
    st.builds(Interval, st.integers(0, 1), st.integers(2, 3), st.booleans(), st.booleans()),
    st.fixed_dictionaries({"x": st.one_of(st.none(), st.integers(0, 1))}).map(Tuple),
    st.fixed_dictionaries(
        {"resourceType": st.just("Encounter"), "id": st.sampled_from("12"), "status": st.sampled_from("ab")}
    ),
    st.lists(st.integers(0, 1), max_size=2),
)
sources = st.lists(elements, max_size=12)


@given(sources)
def test_distinct_keeps_the_first_of_each(source):
    assert same_lists(lists.distinct(source), naive_distinct(source))


@given(sources, sources)
def test_set_operators_are_what_comparing_all_pairs_gives(a, b):
    def both(x):
        return any(is_same(x, y) for y in b)

    assert same_lists(lists.union(a, b), naive_distinct(a + b))
    assert same_lists(lists.intersect(a, b), naive_distinct([x for x in a if both(x)]))
    assert same_lists(lists.except_(a, b), naive_distinct([x for x in a if not both(x)]))


@given(sources, elements)
def test_contains_is_what_comparing_with_each_element_gives(source, element):
    assert lists.contains(source, element) is naive_contains(source, element)
    assert lists.in_(element, source) is naive_contains(source, element)


@given(sources, sources)
def test_includes_is_contains_of_every_element(a, b):
    answers = [naive_contains(a, element) for element in b]
    expected = False if False in answers else None if None in answers else True
    assert lists.includes(a, b) is expected
    assert lists.included_in(b, a) is expected


@given(sources)
def test_the_algebra_of_sets_holds(a):
    assert lists.except_(a, a) == [x for x in lists.distinct(a) if x is not None and equal(x, x) is not True]
    assert len(lists.intersect(a, a)) + len(lists.except_(a, a)) == len(lists.distinct(a))
    assert lists.proper_includes(a, a) is False


def test_set_operators_take_linear_time():
    def patient(n):
        return [{"resourceType": "Observation", "id": str(i), "code": {"text": "x"}} for i in range(n)]

    def seconds(n):
        a, b = patient(n), patient(n)
        start = time.perf_counter()
        assert lists.union(a, b) == a
        assert lists.intersect(a, b) == a
        assert lists.except_(a, b) == []
        assert lists.includes(a, b) is True
        return time.perf_counter() - start

    # Quadratic growth would be 400-fold.
    assert min(seconds(4000) for _ in range(3)) < 100 * min(seconds(200) for _ in range(3))


# --- sorting ----------------------------------------------------------------------------------------------


def test_sorting_puts_nulls_lowest_and_is_stable():
    assert sort([3, None, 1, 2]) == [None, 1, 2, 3]
    assert sort([3, None, 1, 2], True) == [3, 2, 1, None]
    assert sort(["back", "aardvark", "Wolf"]) == ["Wolf", "aardvark", "back"]
    assert sort([2, D("1.5"), Long(1)]) == [1, D("1.5"), 2]
    assert sort(None) is None
    rows = [Tuple(a=1, b="x"), Tuple(a=0, b="y"), Tuple(a=1, b="a"), Tuple(a=0, b="y")]
    by_a = sort_by(rows, [(lambda row: row["a"], False)])
    assert [row["b"] for row in by_a] == ["y", "y", "x", "a"]
    assert by_a[0] is rows[1]
    by_both = sort_by(rows, [(lambda row: row["a"], True), (lambda row: row["b"], False)])
    assert [row["b"] for row in by_both] == ["a", "x", "y", "y"]
    assert sort_by([2, 1], ((None, False),)) == [1, 2]
    assert sort_by(None, [(None, False)]) is None


def test_a_less_precise_date_comes_before_those_it_may_mean():
    texts = ["2012-10-05", "2012-01", "2012-10", "2012-01-01"]
    expected = ["2012-01", "2012-01-01", "2012-10", "2012-10-05"]
    assert sort([parse_date(text) for text in texts]) == [parse_date(text) for text in expected]
    assert sort([parse_date(text) for text in texts], True) == [parse_date(text) for text in expected[::-1]]


@given(st.lists(st.one_of(st.none(), st.integers(-3, 3), st.decimals(-3, 3, places=1)), max_size=8))
def test_a_sorted_list_is_in_order_and_has_the_same_elements(source):
    for descending in (False, True):
        out = sort(source, descending)
        assert sorted(map(id, out)) == sorted(map(id, source))
        for a, b in pairwise(out):
            assert order(b, a) <= 0 if descending else order(a, b) <= 0
            if a is not None and b is not None:
                assert compare(a, b) == order(a, b)
