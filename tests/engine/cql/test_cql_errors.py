"""Broken CQL: every error is reported, where it stands, with what was expected and how to mend it."""

from __future__ import annotations

import inspect
import sys

import pytest

from measurewise.engine.cql.errors import CqlError, CqlSyntaxError
from measurewise.engine.cql.parser import parse_expression, parse_library, read_library
from measurewise.engine.errors import MeasurewiseError

BROKEN = [
    ("define A: 1 +", ["1:14: Expected an expression, found the end of the text."]),
    ("define A: (1 + 2", ["1:17: Expected ')', found the end of the text."]),
    ("define A 1", ["1:10: Expected ':', found the number 1."]),
    ("define : 1", ["1:8: Expected the name of the definition, found ':'."]),
    ("define", ["1:7: Expected the name of the definition, found the end of the text."]),
    (
        "library X version 1.0",
        ["1:19: Expected the version as a string, found the number 1.0."],
    ),
    (
        'library X version "1.0"',
        [
            '1:19: Expected the version as a string, found the name "1.0". '
            "Strings stand in single quotes, names in double quotes."
        ],
    ),
    (
        "valueset 'A': 'x'",
        [
            "1:10: Expected the name of the value set, found the string 'A'. "
            "Names stand in double quotes, strings in single quotes."
        ],
    ),
    ("code \"A\": 'x'", ["1:14: Expected 'from', found the end of the text."]),
    (
        "define A: if x then y",
        [
            "1:22: Expected 'else', found the end of the text. "
            "Every 'if' of CQL has an 'else'; 'else null' says that there is no other value."
        ],
    ),
    (
        "define A: case when a then b end",
        [
            "1:30: Expected 'else', found 'end'. "
            "Every 'case' of CQL has an 'else'; 'else null' says that there is no other value."
        ],
    ),
    ("define A: case x else 1 end", ["1:18: Expected 'when', found 'else'."]),
    ("define A: X == Y", ["1:14: Expected an expression, found '='. CQL compares with a single '='."]),
    ("define A: X <> Y", ["1:14: Expected an expression, found '>'. CQL writes '!=' for 'not equal'."]),
    ("define A: X && Y", ["1:14: Expected an expression, found '&'. CQL writes 'and'."]),
    ("define A: X || Y", ["1:14: Expected an expression, found '|'. CQL writes 'or'."]),
    ("define A: !X", ["1:11: '!' is no part of CQL. Write 'not', '!=' or '!~'."]),
    ('define A: "x', ["1:11: This quoted identifier is never closed."]),
    ("define A: 'x\ndefine B: 1", ["1:11: This string is never closed."]),
    ("define A: 1 /* x", ["1:13: This comment is never closed."]),
    ("define A: 1;", ["1:12: ';' is no part of CQL. Nothing ends a statement in CQL; leave it out."]),
    ("define A: ‘x", ["1:11: '‘' is no part of CQL. Write a straight quote (')."]),
    (
        "define A: X.point",
        [
            "1:13: Expected the name of an element or function, found 'point'. "
            "'point' is a reserved word; write it in double quotes to use it as a name."
        ],
    ),
    (
        "define A: all.b",
        [
            "1:11: Expected an expression, found 'all'. "
            "'all' is a reserved word; write it in double quotes to use it as a name."
        ],
    ),
    ("define A: {1 2}", ["1:14: Expected ',' or '}', found the number 2."]),
    ("define A: F(1 2)", ["1:15: Expected ',' or ')', found the number 2."]),
    (
        "define A: Interval 1, 2]",
        [
            "1:20: Expected '[' or '(', found the number 1. "
            "An interval looks like Interval[low, high) or Interval(low, high]."
        ],
    ),
    ("define A: Interval[1, 2}", ["1:24: Expected ']' or ')', found '}'."]),
    ("define A: Tuple { a 1 }", ["1:21: Expected ':', found the number 1."]),
    ("define A: foo bar baz", ["1:19: Expected an operator or the next definition, found 'baz'."]),
    ("define A: [E] e with [F] f e.x = f.x", ["1:28: Expected 'such that', found 'e'."]),
    ("define A: [E] e sort e.x", ["1:22: Expected 'by', 'asc' or 'desc', found 'e'."]),
    ("define A: from [E]", ["1:19: Expected an alias for the source, found the end of the text."]),
    (
        "define A: [E] e aggregate r starting x: 1",
        [
            "1:38: Only a string, a number or a quantity may stand here without parentheses. "
            "Put the starting value in parentheses."
        ],
    ),
    (
        "define A(x Integer): x",
        ["1:9: Expected ':', found '('. Write 'define function' to define a function."],
    ),
    ("define function F(x): x", ["1:20: Expected a type name, found ')'."]),
    (
        "define A: X is not Integer",
        [
            "1:20: Expected 'null', 'true' or 'false', found 'Integer'. "
            "Write 'not (X is Type)' to ask that X is of another type."
        ],
    ),
    ("define A: convert 1 Integer", ["1:21: Expected 'to', found 'Integer'."]),
    ("define A: cast 1 Integer", ["1:18: Expected 'as', found 'Integer'."]),
    (
        "define A: 1 + exists X",
        ["1:15: Expected a term, found 'exists'. Put this operand in parentheses."],
    ),
    ("define A: start of [X]", ["1:20: Expected a term, found '['. Put this operand in parentheses."]),
    ("define A: [X].y", ["1:14: Expected an operator or the next definition, found '.'."]),
    (
        "define A: duration in day of x",
        ["1:23: Expected a precision such as 'days', found 'day'. Write 'days'."],
    ),
    ("define A: X starts within 3 days Y", ["1:34: Expected 'of', found 'Y'."]),
    (
        "define A: X properly Y",
        ["1:22: Expected 'between', 'includes', 'during', 'included in' or 'within', found 'Y'."],
    ),
    ("define A: X same day Y", ["1:22: Expected 'as', 'or before' or 'or after', found 'Y'."]),
    (
        "define A: 1\nvalueset \"V\": 'x'",
        ["2:1: Declarations must come before the first 'context' or 'define'."],
    ),
    ("define A: 1\nlibrary X", ["2:1: The library definition must come first."]),
    (
        "foo\ndefine A: 1",
        [
            "1:1: Expected 'define', 'context', 'parameter', 'valueset', 'code' or another definition, "
            "found 'foo'."
        ],
    ),
    (
        "define A:\ndefine B: (1\ndefine C: 2 2\ndefine D: 1",
        [
            "2:1: Expected an expression, found 'define'.",
            "3:1: Expected ')', found 'define'.",
            "3:13: Expected an operator or the next definition, found the number 2.",
        ],
    ),
    (
        "define A: { 1 +, F(2 *) } and [E: ]",
        [
            "1:16: Expected an expression, found ','.",
            "1:23: Expected an expression, found ')'.",
            "1:35: Expected an expression, found ']'.",
        ],
    ),
]


@pytest.mark.parametrize(("text", "messages"), BROKEN, ids=[text[:30] for text, _ in BROKEN])
def test_every_error_is_reported_where_it_stands(text: str, messages: list[str]) -> None:
    with pytest.raises(CqlSyntaxError) as caught:
        parse_library(text)
    assert [str(issue) for issue in caught.value.issues] == messages


def test_an_error_is_one_line_that_names_the_source() -> None:
    with pytest.raises(CqlError) as caught:
        parse_library("define A:\ndefine B:\n", "my.cql")
    assert isinstance(caught.value, MeasurewiseError)
    assert str(caught.value) == "my.cql:2:1: Expected an expression, found 'define'. (1 more error follows.)"
    assert caught.value.code == "invalid"


def test_an_issue_says_what_was_expected_and_covers_the_token() -> None:
    _, issues = read_library("define A: [E: 'x' foo")
    assert [(i.offset, i.end, i.expected) for i in issues] == [(18, 21, ("']'",))]


def test_the_definitions_without_errors_are_in_the_tree() -> None:
    tree, issues = read_library("define A: 1\ndefine B: )\ndefine C: 3")
    assert len(issues) == 1
    assert [tree.text_of(d) for d in tree.definitions][-1] == "define C: 3"
    assert len(tree.definitions) >= 2


def test_an_expression_must_be_all_of_the_text() -> None:
    with pytest.raises(
        CqlSyntaxError, match=r"1:3: Expected an operator or the end of the expression, found 'b\.?"
    ):
        parse_expression("1 b c")
    with pytest.raises(CqlSyntaxError, match="Expected an expression, found the end of the text"):
        parse_expression("")


@pytest.mark.parametrize("opening", ["(", "- ", "not ", "{", "if a then b else ", "f(", "[A: "])
def test_nesting_beyond_all_measure_is_an_error_not_a_crash(opening: str) -> None:
    with pytest.raises(
        CqlSyntaxError, match=r"nested more than 150 levels deep\. Define parts of it by name\."
    ):
        parse_expression(opening * 5000)


def test_long_chains_are_no_nesting() -> None:
    assert parse_expression("a" + " or a" * 5000)
    assert parse_expression("a" + ".b" * 5000)


def test_a_caller_deep_in_its_own_stack_gets_an_error_too() -> None:
    def deeper(levels: int) -> object:
        return deeper(levels - 1) if levels else parse_expression("(" * 140 + "1" + ")" * 140)

    frames = len(inspect.stack())
    with pytest.raises(CqlSyntaxError, match="nested too deeply"):
        deeper(sys.getrecursionlimit() - frames - 200)
