"""Whatever the text, the parser answers with a tree or a CqlError, and the formatter keeps its promise."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache

import pytest
from cql_decks import LIBRARIES, libraries
from hypothesis import given, settings
from hypothesis import strategies as st

from measurewise.engine.cql.errors import CqlError
from measurewise.engine.cql.formatter import format_library
from measurewise.engine.cql.lexer import tokenize
from measurewise.engine.cql.parser import parse_expression, parse_library, read_library
from measurewise.engine.cql.words import KEYWORDS, PHRASES

# CI sets MEASUREWISE_FUZZ to a larger number of examples.
EXAMPLES = int(os.environ.get("MEASUREWISE_FUZZ", "150"))

WORDS = [
    *sorted(KEYWORDS | PHRASES),
    *"()[]{},.:<>=~|&+-*/^%",
    *(
        "->",
        "<=",
        "!=",
        "!~",
        ">=",
        "A",
        "b",
        '"q r"',
        "`t`",
        "'s'",
        "1",
        "2.5",
        "3L",
        "@2020",
        "@T10",
        "$this",
    ),
    *(
        "@2020-01-01T10:00Z",
        "// c\n",
        "/* d */",
        "define X:",
        "define function F(a Integer):",
        '"',
        "'",
        "/*",
        "\\",
    ),
]


@cache
def real_tokens() -> list[list[str]]:
    if not LIBRARIES.is_dir():
        return [["define", "A", ":", "(", "[", "Encounter", "]", "E", "where", "E", ".", "x", "=", "1", ")"]]
    found = []
    for library in libraries():
        tokens = tokenize(library.cql)
        found.append([tokens.spelling(i) for i in range(tokens.kinds.index("END"))])
    return found


def check(text: str) -> None:
    tree, issues = read_library(text)
    for issue in issues:
        assert 0 <= issue.offset <= issue.end <= len(text)
        assert str(issue)
    if issues:
        with pytest.raises(CqlError):
            parse_library(text)
    else:
        formatted = format_library(text)
        assert parse_library(formatted) == tree
        assert format_library(formatted) == formatted
    with suppress(CqlError):
        parse_expression(text)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_any_words_of_cql(text: str) -> None:
    check(text)
    check(f"define X: {text}")


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_real_libraries_with_words_taken_out_and_put_in(data: st.DataObject) -> None:
    tokens = data.draw(st.sampled_from(real_tokens()))
    start = data.draw(st.integers(0, len(tokens) - 1))
    words = tokens[start : start + data.draw(st.integers(1, 80))]
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(words)))
        if data.draw(st.booleans()):
            words.insert(at, data.draw(st.sampled_from(WORDS)))
        else:
            del words[at : at + 1]
    check(data.draw(st.sampled_from([" ", "\n"])).join(words))
