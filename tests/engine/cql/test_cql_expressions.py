"""Operators, terms and selectors: what is read, and how operators group."""

from __future__ import annotations

import pytest
from cql_trees import groups, nodes, parse

from measurewise.engine.cql.tree import (
    As,
    Between,
    Binary,
    Case,
    Cast,
    CodeSelector,
    ComponentFrom,
    ConceptSelector,
    Convert,
    DurationBetween,
    DurationOf,
    ExternalConstant,
    FunctionCall,
    Identifier,
    If,
    Indexer,
    InstanceSelector,
    IntervalSelector,
    IterationVariable,
    ListOf,
    ListSelector,
    Literal,
    Member,
    Membership,
    MethodCall,
    NamedType,
    Quantity,
    Ratio,
    SetAggregate,
    Span,
    TruthTest,
    TupleSelector,
    TypeExtent,
    TypeTest,
    Unary,
)

AT = Span(0, 0)


def name(text: str) -> Identifier:
    return Identifier(AT, text)


def integer(text: str) -> Literal:
    return Literal(AT, "integer", text)


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("a or b and c", "a or (b and c)"),
        ("a xor b or c", "(a xor b) or c"),
        ("a implies b or c", "a implies (b or c)"),
        ("a implies b implies c", "(a implies b) implies c"),
        ("not a and b", "(not a) and b"),
        ("not a = b", "(not a) = b"),
        ("not a is null", "not (a is null)"),
        ("exists a and b", "(exists a) and b"),
        ("not exists a", "not (exists a)"),
        ("a = b in c", "(a = b) in c"),
        ("a < b = c", "(a < b) = c"),
        ("a = b < c", "a = (b < c)"),
        ("a during b = c", "(a during b) = c"),
        ("a union b = c", "(a union b) = c"),
        ("a in b union c", "a in (b union c)"),
        ("a union b intersect c", "(a union b) intersect c"),
        ("a | b", "a | b"),
        ("a + b * c", "a + (b * c)"),
        ("a * b ^ c", "a * (b ^ c)"),
        ("a ^ b ^ c", "(a ^ b) ^ c"),
        ("a - b - c", "(a - b) - c"),
        ("a & b + c", "(a & b) + c"),
        ("a div b mod c", "(a div b) mod c"),
        ("-a ^ b", "(-a) ^ b"),
        ("-a.b", "-(a.b)"),
        ("- -a", "-(-a)"),
        ("start of a.b - 1 day", "(start of (a.b)) - (1 day)"),
        ("date from start of a", "date from (start of a)"),
        ("a + b < c + d", "(a + b) < (c + d)"),
        ("a between b + 1 and c and d", "(a between (b + 1) and c) and d"),
        ("a as X is null", "(a as X) is null"),
        ("distinct a union b", "distinct (a union b)"),
        ("flatten a + b", "flatten (a + b)"),
        ("if a then b else c and d", "if a then b else (c and d)"),
        ("1 + if a then b else c + 2", "1 + (if a then b else (c + 2))"),
        ("days between a and b > 3", "(days between a and b) > 3"),
        ("duration in days of a > 3", "(duration in days of a) > 3"),
        ("a starts before b and c", "(a starts before b) and c"),
        ("a before b + 1 day", "a before (b + 1 day)"),
        ("a is not null and b", "(a is not null) and b"),
        ("collapse a per day", "(collapse a per day)"),
        ("a in day of b", "a in day of b"),
    ],
)
def test_operators_group_as_the_grammar_says(text: str, like: str) -> None:
    assert groups(text, like)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("null", "null", "null"),
        ("true", "boolean", "true"),
        ("'a'", "string", "a"),
        ("5", "integer", "5"),
        ("5.10", "decimal", "5.10"),
        ("5L", "long", "5"),
        ("@2020-01", "date", "2020-01"),
        ("@2020-01-01T", "datetime", "2020-01-01T"),
        ("@2020-01-01T10:00Z", "datetime", "2020-01-01T10:00Z"),
        ("@T10:00", "time", "10:00"),
    ],
)
def test_literals_keep_their_text(text: str, kind: str, value: str) -> None:
    assert parse(text) == Literal(AT, kind, value)


def test_quantities_and_ratios() -> None:
    assert parse("5 'mg'") == Quantity(AT, "5", "mg")
    assert parse("5.0 days") == Quantity(AT, "5.0", "days", True)
    assert parse("1 : 2 'mL'") == Ratio(AT, Quantity(AT, "1", None), Quantity(AT, "2", "mL"))
    assert parse("{ a: 1 }") != parse("{ 1: 1 }")


def test_names_calls_and_indexers() -> None:
    assert parse("a.b") == Member(AT, name("a"), name("b"))
    assert parse('"a"') == parse("`a`") == parse("a")
    assert parse("F(a, 1)") == FunctionCall(AT, name("F"), (name("a"), integer("1")))
    assert parse("a.F()[0]") == Indexer(AT, MethodCall(AT, name("a"), name("F"), ()), integer("0"))
    assert parse("%a") == ExternalConstant(AT, "a")
    assert parse("$this") == IterationVariable(AT, "$this")


@pytest.mark.parametrize(
    "word", ["start", "end", "date", "time", "code", "version", "contains", "where", "display"]
)
def test_words_that_are_not_reserved_may_be_names(word: str) -> None:
    assert parse(word) == name(word)
    assert parse(f"a.{word}") == Member(AT, name("a"), name(word))
    assert parse(f"{{ {word}: 1 }}").elements[0].name == name(word)  # type: ignore[attr-defined]


@pytest.mark.parametrize("word", ["where", "exists", "all", "distinct", "is", "as", "in", "contains", "day"])
def test_any_word_may_be_a_function_after_a_dot(word: str) -> None:
    assert parse(f"a.{word}(b)") == MethodCall(AT, name("a"), name(word), (name("b"),))


def test_selectors() -> None:
    assert parse("Interval[1, 2)") == IntervalSelector(AT, integer("1"), True, integer("2"), False)
    assert parse("Interval(1, 2]") == IntervalSelector(AT, integer("1"), False, integer("2"), True)
    assert parse("{ }") == ListSelector(AT, None, ())
    assert parse("List<Integer>{ 1 }") == ListSelector(AT, NamedType(AT, (name("Integer"),)), (integer("1"),))
    assert parse("{ : }") == TupleSelector(AT, ())
    assert parse("Tuple { a: 1 }") == parse("{ a: 1 }")
    instance = parse("FHIR.Quantity { value: 1 }")
    assert isinstance(instance, InstanceSelector)
    assert str(instance.type) == "FHIR.Quantity"
    assert isinstance(parse("System.Code { code: 'a' }"), InstanceSelector)
    assert isinstance(parse("Concept { codes: a }"), InstanceSelector)
    code = parse("Code 'a' from \"B\".\"C\" display 'd'")
    assert isinstance(code, CodeSelector)
    assert (code.code.value, str(code.system)) == ("a", "B.C")
    concept = parse("Concept { Code 'a' from B, Code 'c' from D } display 'e'")
    assert isinstance(concept, ConceptSelector)
    assert len(concept.codes) == 2


def test_type_operators() -> None:
    integer_type = NamedType(AT, (name("Integer"),))
    assert parse("a is Integer") == TypeTest(AT, name("a"), integer_type)
    assert parse("a as List<Integer>") == As(AT, name("a"), ListOf(AT, integer_type))
    assert parse("cast a as Integer") == Cast(AT, name("a"), integer_type)
    assert parse("convert a to Integer") == Convert(AT, name("a"), integer_type)
    assert parse("convert a to 'mg'") == Convert(AT, name("a"), None, "mg")
    assert parse("convert a to days") == Convert(AT, name("a"), None, "days", True)
    assert parse("minimum Integer") == TypeExtent(AT, "minimum", integer_type)
    assert parse("a is not true") == TruthTest(AT, name("a"), True, "true")
    nested = parse("a as Choice<Tuple { b FHIR.code, c Interval<Integer> }, Integer>")
    assert sum(isinstance(node, NamedType) for node in nodes(nested)) == 3
    assert isinstance(parse("cast (a as B) as C"), Cast)


def test_operators_of_several_words() -> None:
    a = name("a")
    assert parse("successor of a") == Unary(AT, "successor of", a)
    assert parse("singleton from a") == Unary(AT, "singleton from", a)
    assert parse("point from a") == Unary(AT, "point from", a)
    assert (
        parse("timezoneoffset from a") == parse("timezone from a") == ComponentFrom(AT, "timezoneoffset", a)
    )
    assert parse("duration in days of a") == DurationOf(AT, "duration", "day", a)
    assert parse("difference in months of a") == DurationOf(AT, "difference", "month", a)
    assert parse("days between a and a") == DurationBetween(AT, "duration", "day", a, a)
    assert parse("duration in days between a and a") == parse("days between a and a")
    assert parse("difference in days between a and a") == DurationBetween(AT, "difference", "day", a, a)
    assert parse("a properly between a and a") == Between(AT, a, True, a, a)
    assert parse("a contains day of a") == Membership(AT, "contains", "day", a, a)
    assert parse("expand a per 1 day") == SetAggregate(AT, "expand", a, Quantity(AT, "1", "day", True))
    assert parse("collapse a per day") == SetAggregate(AT, "collapse", a, "day")
    assert parse("collapse a") == SetAggregate(AT, "collapse", a, None)


def test_conditionals() -> None:
    ladder = parse("if a then 1 else if b then 2 else 3")
    assert isinstance(ladder, If)
    assert isinstance(ladder.otherwise, If)
    case = parse("case a when 1 then 2 when 3 then 4 else 5 end")
    assert isinstance(case, Case)
    assert case.comparand == name("a")
    assert len(case.items) == 2
    assert parse("case when a then 1 else 2 end").comparand is None  # type: ignore[attr-defined]


def test_spans_cover_exactly_the_text_of_a_node() -> None:
    text = "( a ).b [ 0 ] + F( c , d )  "
    tree = parse(text)
    assert isinstance(tree, Binary)
    assert [text[n.span.start : n.span.end] for n in (tree, tree.left, tree.right)] == [
        "( a ).b [ 0 ] + F( c , d )",
        "( a ).b [ 0 ]",
        "F( c , d )",
    ]
