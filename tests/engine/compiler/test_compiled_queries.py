"""Queries: sources, lets, relationships, where, return, aggregate and sort."""

from __future__ import annotations

import pytest
from given_libraries import (
    alias,
    binary,
    boom,
    call,
    evaluated,
    function,
    if_,
    let,
    list_type,
    named_type,
    node,
    of,
    op,
    operand,
    property_of,
    query,
    related,
    retrieve,
    seen,
    text_of,
    traces,
)

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.values import Tuple

N = ("N", of([3, 1, 2, 1, None]))


def encounter(name: str, status: str = "finished", **more) -> dict:
    return {"resourceType": "Encounter", "id": name, "status": status, **more}


def ids(resources: list[dict]) -> list[str]:
    return [resource["id"] for resource in resources]


def greater(a, b) -> dict:
    return binary("Greater", a, b)


# ------------------------------------------------------------------------------------ sources, where, return


def test_a_query_without_clauses_is_its_source():
    assert evaluated(query(N)) == [3, 1, 2, 1, None]


def test_where_keeps_the_rows_for_which_it_is_true_not_null():
    assert evaluated(query(N, where=greater(alias("N"), 1))) == [3, 2]


def test_return_is_distinct_unless_it_says_all():
    halves = op("TruncatedDivide", alias("N"), of(2))
    assert evaluated(query(N, returning=halves)) == [1, 0, None]
    assert evaluated(query(N, returning=halves, distinct=False)) == [1, 0, 1, 0, None]


def test_a_query_over_a_null_list_has_no_rows():
    nothing = node("As", of(None), asTypeSpecifier=list_type(named_type("Integer")))
    assert evaluated(query(("N", nothing))) in ([], None)
    assert evaluated(query(("N", nothing), where=greater(alias("N"), 0))) == []
    assert evaluated(op("Exists", query(("N", nothing), where=greater(alias("N"), 0)))) is False


def test_a_query_over_one_value_gives_one_value():
    assert evaluated(query(("N", of(4)), returning=op("Add", alias("N"), of(1)))) == 5
    assert evaluated(query(("N", of(4)), where=greater(alias("N"), 5))) is None
    assert evaluated(query(("N", node("As", of(None), asType="{urn:hl7-org:elm-types:r1}Integer")))) is None


def test_several_sources_give_tuples_each_once():
    found = evaluated(query(("A", of([1, 1])), ("B", of(["x", "y"])), where=of(True)))
    assert found == [Tuple({"A": 1, "B": "x"}), Tuple({"A": 1, "B": "y"})]


def test_a_list_beside_one_value_walks_the_list():
    found = evaluated(
        query(("A", of([1, 2, 3])), ("B", of(2)), where=greater(alias("A"), alias("B")), returning=alias("A"))
    )
    assert found == [3]


def test_a_condition_over_two_sources_joins_them():
    found = evaluated(
        query(
            ("A", of([1, 2, 3])),
            ("B", of([2, 3, 4])),
            where=binary("Equal", alias("A"), alias("B")),
            returning=alias("A"),
        )
    )
    assert found == [2, 3]


def test_a_query_inside_a_query_sees_the_rows_around_it():
    inner = query(("M", of([1, 2, 3])), where=greater(alias("M"), alias("N")))
    assert evaluated(query(("N", of([1, 2, 3])), returning=node("Count", source=inner), distinct=False)) == [
        2,
        1,
        0,
    ]


def test_an_inner_alias_hides_an_outer_one_of_its_name():
    inner = query(("N", of([10, 20])), where=greater(alias("N"), 15))
    assert evaluated(query(("N", of([1, 2])), returning=node("First", source=inner))) == [20]


# ------------------------------------------------------------------------------------ lets


def test_a_let_is_evaluated_where_it_is_needed_and_once_a_row():
    counted = query(
        ("N", of([1, 2])),
        let={"Twice": seen(op("Multiply", alias("N"), of(2)), "let")},
        where=greater(let("Twice"), 0),
        returning=op("Add", let("Twice"), let("Twice")),
    )
    assert traces(counted) == ([4, 8], ["let", "let"])


def test_a_let_that_raises_does_no_harm_where_it_is_not_needed():
    careful = query(
        ("N", of([1, 2])),
        let={"Bad": boom()},
        where=binary("Or", greater(alias("N"), 0), let("Bad")),
    )
    assert evaluated(careful) == [1, 2]
    with pytest.raises(EvaluationError, match="it was evaluated"):
        evaluated(query(("N", of([1, 2])), let={"Bad": boom()}, where=let("Bad")))


def test_a_let_first_needed_in_a_branch_is_there_for_what_follows():
    rows = query(
        ("N", of([1, 2, 3])),
        let={"Next": op("Add", alias("N"), of(1))},
        where=binary(
            "Or",
            binary("And", greater(alias("N"), 2), greater(let("Next"), 3)),
            binary("Equal", alias("N"), 1),
        ),
        returning=let("Next"),
    )
    assert evaluated(rows) == [2, 4]


def test_a_let_may_hang_on_one_before_it():
    rows = query(
        ("N", of([1, 2])),
        let={"A": op("Add", alias("N"), of(1)), "B": op("Multiply", let("A"), of(10))},
        returning=let("B"),
    )
    assert evaluated(rows) == [20, 30]


# ------------------------------------------------------------------------------------ with, without


def test_with_keeps_a_row_once_however_many_rows_fit():
    fitting = related("With", "M", of([0, 0, 1]), greater(alias("N"), alias("M")))
    assert evaluated(query(("N", of([2, 1, 0])), relationship=[fitting])) == [2, 1]


def test_without_keeps_the_rows_that_nothing_fits_a_null_condition_included():
    fitting = related("Without", "M", of([1, None]), binary("Equal", alias("N"), alias("M")))
    assert evaluated(query(("N", of([2, 1])), relationship=[fitting])) == [2]


def test_relationships_and_where_must_all_hold():
    found = evaluated(
        query(
            ("N", of([1, 2, 3, 4])),
            relationship=[
                related("With", "M", of([2]), binary("GreaterOrEqual", alias("N"), alias("M"))),
                related("Without", "M", of([4]), binary("Equal", alias("N"), alias("M"))),
            ],
            where=binary("Less", alias("N"), 4),
        )
    )
    assert found == [2, 3]


def test_a_relationship_to_one_value_or_to_nothing():
    one = related("With", "M", of(1), greater(alias("N"), alias("M")))
    assert evaluated(query(("N", of([1, 2])), relationship=[one])) == [2]
    null = node("As", of(None), asType="{urn:hl7-org:elm-types:r1}Integer")
    assert evaluated(query(("N", of([1])), relationship=[related("With", "M", null, of(True))])) == []
    assert evaluated(query(("N", of([1])), relationship=[related("Without", "M", null, of(True))])) == [1]


def test_the_related_list_is_evaluated_once_for_all_rows():
    listed = query(("M", of([1, 2])), where=greater(seen(alias("M"), "related"), 0))
    fitting = related("With", "M", listed, greater(alias("N"), alias("M")))
    assert traces(query(("N", of([1, 2, 3])), relationship=[fitting])) == ([2, 3], ["related", "related"])


def test_a_list_that_is_joined_is_evaluated_once():
    listed = query(("M", of([1, 2])), where=greater(seen(alias("M"), "related"), 0))
    fitting = related("With", "M", listed, binary("Equal", alias("N"), alias("M")))
    assert traces(query(("N", of([1, 2, 3])), relationship=[fitting])) == ([1, 2], ["related", "related"])


# ------------------------------------------------------------------------------------ exists, early exits


def test_exists_stops_at_the_first_row():
    finished = binary("Equal", seen(text_of("E", "status"), "row"), "finished")
    rows = query(("E", retrieve("Encounter")), where=finished)
    encounters = [encounter("a", "arrived"), encounter("b"), encounter("c")]
    assert traces(op("Exists", rows), *encounters) == (True, ["row", "row"])


def test_exists_stops_at_the_first_row_that_is_not_null():
    rows = query(("N", of([None, 1, 2, 3])), returning=seen(alias("N"), "row"), distinct=False)
    assert traces(op("Exists", rows)) == (True, ["row", "row"])


def test_any_true_stops_at_the_first_row_that_is_true():
    over = query(("N", of([None, 1, 2, 3])), returning=greater(seen(alias("N"), "row"), 1))
    assert traces(node("AnyTrue", source=over)) == (True, ["row", "row", "row"])
    none = query(("N", of([None, 1])), returning=greater(alias("N"), 1))
    assert evaluated(node("AnyTrue", source=none)) is False


def test_exists_over_several_sources_stops_all_loops():
    rows = query(
        ("A", of([1, 2, 3])),
        ("B", of([1, 2, 3])),
        where=binary("Equal", op("Add", seen(alias("A"), "pair"), alias("B")), 3),
    )
    value, told = traces(op("Exists", rows))
    assert value is True
    assert len(told) == 2


def test_exists_counts_only_rows_that_are_not_null():
    assert evaluated(op("Exists", of([None]))) is False
    assert evaluated(op("Exists", query(("N", of([None, None]))))) is False
    assert evaluated(op("Exists", query(("N", of([1])), returning=of(None)))) is False
    assert evaluated(op("Exists", query(("N", of([None, 1]))))) is True


def test_exists_over_a_union_leaves_the_second_list_alone_where_the_first_has_rows():
    first = query(("N", of([1])), where=greater(alias("N"), 0))
    second = query(("N", of([1])), where=boom())
    assert evaluated(op("Exists", node("Union", first, second))) is True


def test_with_stops_at_the_first_related_row_that_fits():
    rows = query(
        ("N", of([5])),
        relationship=[related("With", "M", of([1, 2, 3]), greater(alias("N"), seen(alias("M"), "tried")))],
    )
    assert traces(rows) == ([5], ["tried"])


# ------------------------------------------------------------------------------------ aggregate


def fold(identifier: str, expression: dict, starting=..., distinct: bool = False) -> dict:
    found = {"identifier": identifier, "expression": expression, "distinct": distinct}
    return found if starting is ... else found | {"starting": of(starting)}


def test_aggregate_folds_the_rows_in_order():
    total = fold("T", op("Add", op("Multiply", alias("T"), of(10)), alias("N")), 0)
    assert evaluated(query(("N", of([1, 2, 3])), aggregate=total)) == 123
    assert evaluated(query(("N", of([1, 2, 3])), where=greater(alias("N"), 5), aggregate=total)) == 0


def test_aggregate_without_a_start_starts_with_null():
    total = fold("T", node("Coalesce", op("Add", alias("T"), alias("N")), alias("N")))
    assert evaluated(query(("N", of([1, 2, 3])), aggregate=total)) == 6


def test_aggregate_distinct_folds_each_row_once():
    total = fold("T", op("Add", alias("T"), alias("N")), 0, distinct=True)
    assert evaluated(query(("N", of([1, 2, 1])), aggregate=total)) == 3


def test_aggregate_over_several_sources_sees_every_pair():
    total = fold("T", op("Add", alias("T"), op("Multiply", alias("A"), alias("B"))), 0)
    assert evaluated(query(("A", of([1, 2])), ("B", of([3, 4])), aggregate=total)) == 21


# ------------------------------------------------------------------------------------ sort


def test_sort_by_the_row_itself_puts_nulls_first_going_up_and_last_going_down():
    up = [{"type": "ByDirection", "direction": "asc"}]
    down = [{"type": "ByDirection", "direction": "descending"}]
    assert evaluated(query(N, sort=up)) == [None, 1, 1, 2, 3]
    assert evaluated(query(N, sort=down)) == [3, 2, 1, 1, None]


def test_sort_comes_after_return():
    negated = query(
        ("N", of([1, 3, 2])),
        returning=op("Negate", alias("N")),
        sort=[{"type": "ByDirection", "direction": "asc"}],
    )
    assert evaluated(negated) == [-3, -2, -1]


def test_sort_by_a_column_is_stable():
    rows = query(
        ("E", retrieve("Encounter")),
        returning=node(
            "Tuple",
            element=[
                {"name": "id", "value": text_of("E", "id")},
                {"name": "status", "value": text_of("E", "status")},
            ],
        ),
        sort=[{"type": "ByColumn", "direction": "desc", "path": "status"}],
    )
    found = evaluated(
        rows, encounter("a", "arrived"), encounter("b"), encounter("c", "arrived"), encounter("d")
    )
    assert ids(found) == ["b", "d", "a", "c"]


def test_sort_by_several_keys_takes_the_first_as_the_weightiest():
    rows = query(
        ("E", retrieve("Encounter")),
        sort=[
            {"type": "ByColumn", "direction": "asc", "path": "status.value"},
            {"type": "ByColumn", "direction": "desc", "path": "id.value"},
        ],
    )
    found = evaluated(
        rows, encounter("a"), encounter("b", "arrived"), encounter("c"), encounter("d", "arrived")
    )
    assert ids(found) == ["d", "b", "c", "a"]


def test_sort_by_an_expression_has_the_row_as_its_scope():
    start = node(
        "ByExpression",
        direction="asc",
        expression=property_of(property_of(node("IdentifierRef", name="period"), "start"), "value"),
    )
    rows = query(("E", retrieve("Encounter")), sort=[start])
    found = evaluated(
        rows,
        encounter("a", period={"start": "2026-05-01"}),
        encounter("b", period={"start": "2026-01-01"}),
        encounter("c"),
        encounter("d", period={"start": "2026-03-01T08:00:00Z"}),
    )
    assert ids(found) == ["c", "b", "d", "a"]


def test_first_and_last_take_the_ends_of_what_is_sorted():
    up = query(
        N, where=op("Not", op("IsNull", alias("N"))), sort=[{"type": "ByDirection", "direction": "asc"}]
    )
    assert evaluated(node("First", source=up)) == 1
    assert evaluated(node("Last", source=up)) == 3
    assert evaluated(node("First", source=query(N, where=of(False)))) is None


# ------------------------------------------------------------------------------------ evaluated once


def test_a_closed_list_inside_a_loop_is_evaluated_once():
    closed = query(("M", of([1, 2])), where=greater(seen(alias("M"), "inner"), 0))
    rows = query(("N", of([1, 2, 3])), where=binary("In", alias("N"), closed))
    value, told = traces(rows)
    assert value == [1, 2]
    assert told == ["inner", "inner"]


def test_a_closed_expression_that_raises_rests_where_no_row_asks_for_it():
    rows = query(
        ("N", of([1, 2])),
        where=binary("Or", greater(alias("N"), 0), op("Exists", query(("M", of([1])), where=boom()))),
    )
    assert evaluated(rows) == [1, 2]
    assert evaluated(query(("N", of([])), where=op("Exists", query(("M", of([1])), where=boom())))) == []


def test_a_function_that_looks_around_the_record_remembers_what_it_found():
    body = op(
        "Exists",
        query(
            ("O", retrieve("Observation")),
            where=binary("Equal", seen(text_of("O", "id"), "looked"), text_of(operand("e"), "id")),
        ),
    )
    near = function("near", {"e": named_type("{http://hl7.org/fhir}Encounter")}, body)
    rows = query(("E", retrieve("Encounter")), where=call("near", alias("E")))
    twice = query(("E", rows), where=call("near", alias("E")))
    observations = [{"resourceType": "Observation", "id": "a"}]
    value, told = traces(twice, encounter("a"), encounter("b"), *observations, functions=[near])
    assert ids(value) == ["a"]
    # Once for each of two encounters, not once more for the one that is asked about again.
    assert len(told) <= 2


def test_if_inside_a_row_takes_the_branch_of_each_row():
    rows = query(("N", of([1, 2, 3])), returning=if_(greater(alias("N"), 1), of("many"), of("one")))
    assert evaluated(rows) == ["one", "many"]
