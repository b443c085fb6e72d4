"""CQL text to tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.cql.lexer import Lines, escape, tokenize, unescape


def kinds(text: str) -> list[str]:
    found = tokenize(text).kinds
    return found[: found.index("END")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("define A_1: 5", ["define", "IDENTIFIER", ":", "NUMBER"]),
        ("\"a b\" `c d` 'e'", ["QUOTED", "QUOTED", "STRING"]),
        ("1 1.5 12L 1.5L", ["NUMBER", "NUMBER", "LONG", "NUMBER", "IDENTIFIER"]),
        ("@2020 @2020-01 @2020-01-31", ["DATE", "DATE", "DATE"]),
        ("@2020T @2020-01-31T10:00:00.000+01:00 @2020-01T10Z", ["DATETIME"] * 3),
        ("@T10 @T10:30 @T10:30:15.123", ["TIME"] * 3),
        ("@T06Z", ["TIME", "IDENTIFIER"]),
        ("<= < -> - >= !~ != ~", ["<=", "<", "->", "-", ">=", "!~", "!=", "~"]),
        ("included\n in such  that on or less than", ["included in", "such that", "on or", "less than"]),
        ("included inside", ["IDENTIFIER", "IDENTIFIER"]),
        ("$this $index $total", ["$this", "$index", "$total"]),
        ("a // b\nc /* d\n e */ f", ["IDENTIFIER"] * 3),
        ("dates day days", ["IDENTIFIER", "day", "days"]),
        ("a\u00a0b\ufeffc", ["IDENTIFIER"] * 3),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert kinds(text) == expected


def test_two_quotes_that_escapes_join_are_one_string() -> None:
    assert kinds(r"'a\'b' 'c\\' 'd'") == ["STRING"] * 3


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        (r"'\'\"\`\\\/\f\n\r\t'", "'\"`\\/\f\n\r\t"),
        (r"'\u00e9\u0041'", "éA"),
        (r"'\uD83D\uDE00'", "😀"),
        (r"'\d+'", r"\d+"),
        (r"'\u12'", r"\u12"),
        ("''", ""),
        ('"a \\" b"', 'a " b'),
    ],
)
def test_escapes(spelling: str, value: str) -> None:
    assert unescape(spelling) == value


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from("'\"`"))
def test_an_escaped_value_reads_back(value: str, quote: str) -> None:
    spelling = escape(value, quote)
    assert unescape(spelling) == value
    found = tokenize(spelling)
    assert found.kinds[0] in ("STRING", "QUOTED")
    assert found.ends[0] == len(spelling)


@given(st.text())
def test_any_text_splits_and_nothing_overlaps(text: str) -> None:
    found = tokenize(text)
    end = 0
    for start, stop in zip(found.starts, found.ends, strict=True):
        assert end <= start <= stop <= len(text)
        end = stop
    assert found.kinds[-1] == "END"


def test_lines_and_columns_count_from_one() -> None:
    lines = Lines("ab\ncd\r\ne\rf")
    assert [lines.position(i) for i in (0, 1, 3, 4, 7, 9)] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 1)]
