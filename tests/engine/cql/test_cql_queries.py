"""Queries and retrieves."""

from __future__ import annotations

from cql_trees import parse

from measurewise.engine.cql.tree import (
    AggregateClause,
    Binary,
    FunctionCall,
    Identifier,
    ListSelector,
    Literal,
    Member,
    Membership,
    Query,
    Retrieve,
    ReturnClause,
    Span,
    Unary,
)

AT = Span(0, 0)


def query(text: str) -> Query:
    tree = parse(text)
    assert isinstance(tree, Query)
    return tree


def retrieve(text: str) -> Retrieve:
    tree = parse(text)
    assert isinstance(tree, Retrieve)
    return tree


def test_retrieves_in_all_their_forms() -> None:
    assert str(retrieve("[Encounter]").type) == "Encounter"
    plain = retrieve('[Encounter: "VS"]')
    assert (plain.code_path, plain.comparator, plain.terminology) == (None, None, Identifier(AT, "VS"))
    path = retrieve('[FHIR."Encounter": a.b[0]."c" in "VS"]')
    assert path.code_path is not None
    assert (path.code_path.path, path.comparator) == ("a.b[0].c", "in")
    assert retrieve("[Encounter: type ~ C]").comparator == "~"
    related = retrieve('["E" -> Condition: encounter in "VS"]')
    assert related.context == Identifier(AT, "E")
    assert retrieve("[L.E -> Condition]").context == Member(AT, Identifier(AT, "L"), Identifier(AT, "E"))
    computed = retrieve("[Encounter: type in Codes(a)]")
    assert isinstance(computed.terminology, FunctionCall)
    assert isinstance(retrieve("[Encounter: (a) union b]").terminology, Binary)


def test_all_clauses_of_a_query() -> None:
    found = query(
        """from [A] a, (B) b, L.C c
           let x: a.b, y: x
           with [D] d such that d.e = a.e
           without F f such that f.g
           where a.h and b.i
           return all Tuple { j: x }
           sort by j desc, start of k, l ascending"""
    )
    assert [s.alias.name for s in found.sources] == ["a", "b", "c"]
    assert [item.name.name for item in found.lets] == ["x", "y"]
    assert [r.without for r in found.relationships] == [False, True]
    assert isinstance(found.where, Binary)
    assert isinstance(found.result, ReturnClause)
    assert found.result.modifier == "all"
    assert found.sort is not None
    assert [item.descending for item in found.sort.items] == [True, False, False]


def test_a_query_needs_no_from() -> None:
    found = query("[A] a, [B] b where a.x = b.x")
    assert len(found.sources) == 2
    assert query('"Common"."Encounters" E return E.id').sources[0].source == parse("Common.Encounters")


def test_aggregate_clauses() -> None:
    found = query("a x aggregate distinct r starting 1: r * x").result
    assert isinstance(found, AggregateClause)
    assert (found.modifier, found.starting) == ("distinct", Literal(AT, "integer", "1"))
    assert isinstance(query("a x aggregate r starting (null as Integer): r").result, AggregateClause)
    assert query("a x sort desc").sort.descending  # type: ignore[union-attr]


def test_a_query_swallows_what_follows_its_last_clause() -> None:
    found = query("[A] a return a.b union c")
    assert isinstance(found.result, ReturnClause)
    assert isinstance(found.result.value, Binary)


def test_a_query_is_an_operand_of_logic() -> None:
    tree = parse("exists [A] a where a.b in c")
    assert isinstance(tree, Unary)
    assert isinstance(tree.operand, Query)
    assert isinstance(tree.operand.where, Membership)
    assert isinstance(parse("([A] a sort asc) union [B]"), Binary)


def test_commas_of_a_list_end_a_query_that_names_no_further_alias() -> None:
    found = parse("{ [A] a where a.b, c }")
    assert isinstance(found, ListSelector)
    assert len(found.elements) == 2
