"""The string operators."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import strings

WANDER = "Not all who wander are lost"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (strings.concatenate("a", "b", "c"), "abc"),
        (strings.concatenate("a", None), None),
        (strings.combine(["a", None, "c"], "-"), "a-c"),
        (strings.combine(["a", "b"]), "ab"),
        (strings.combine([]), None),
        (strings.combine([None, None], "-"), None),
        (strings.combine(None), None),
        (strings.split("a,b", ","), ["a", "b"]),
        (strings.split("a,b", "-"), ["a,b"]),
        (strings.split("a,b", None), ["a,b"]),
        (strings.split("a,b", ""), ["a,b"]),
        (strings.split(None, ","), None),
        (strings.split_on_matches("a1b22c", r"(\d)+"), ["a", "b", "c"]),
        (strings.split_on_matches("abc", r"\d*"), ["abc"]),
        (strings.split_on_matches("1a1", r"\d"), ["", "a", ""]),
        (strings.split_on_matches(None, r"\d"), None),
        (strings.length(""), 0),
        (strings.length(None), None),
        (strings.upper("aB"), "AB"),
        (strings.lower("aB"), "ab"),
        (strings.indexer("ab", 1), "b"),
        (strings.indexer("ab", 2), None),
        (strings.indexer("ab", -1), None),
        (strings.position_of("b", "abb"), 1),
        (strings.position_of("c", "ab"), -1),
        (strings.position_of(None, "ab"), None),
        (strings.last_position_of("b", "abb"), 2),
        (strings.last_position_of("hi", "Ohio is the place to be!"), 1),
        (strings.starts_with("abc", "ab"), True),
        (strings.starts_with("abc", None), None),
        (strings.ends_with("abc", ""), True),
        (strings.ends_with("abc", "b"), False),
        (strings.substring("ab", 1), "b"),
        (strings.substring("ab", 0, 3), "ab"),
        (strings.substring("abc", 1, 1), "b"),
        (strings.substring("abc", 1, 0), ""),
        (strings.substring("abc", 1, -1), ""),
        (strings.substring("ab", 2), None),
        (strings.substring("", 0), None),
        (strings.substring("ab", -1), None),
        (strings.substring("ab", None), None),
        (strings.to_chars("ab"), ["a", "b"]),
        (strings.to_chars(None), None),
    ],
)
def test_string_operators(answer, expected):
    assert answer == expected


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        (WANDER, r".*\d+", False),
        (WANDER + " - circa 2017", r".*\d+", True),
        (WANDER + " - circa 2017", r"^[\w\s]+$", False),
        ("http://fhir.org/Library/FHIR-ModelInfo|4.0.1", "Library", True),
        ("1,2three", r"\d,\d\w+", True),
        ("a\nb", "a.b", True),
        ("ab", "AB", False),
        ("ab", r"(?<letter>b)\z", True),
        ("naïve", r"^\w+$", True),
        ("ab9", "^[[:alpha:]]+$", False),
        ("ab", None, None),
        (None, "a", None),
    ],
)
def test_matches_looks_for_a_match_anywhere(text, pattern, expected):
    assert strings.matches(text, pattern) is expected


@pytest.mark.parametrize(
    ("pattern", "substitution", "expected"),
    [
        ("bop", "bang", "bang she bang"),
        (r"\s", r"\$", "bop$she$bop"),
        (r"(b)(o)(p)", "$3$2$1", "pob she pob"),
        (r"(b)op", "$12", "b2 she b2"),
        (r"(?<first>b)op", "${first}ee", "bee she bee"),
        (r"b(x)?op", "[$1]", "[] she []"),
        ("bop", r"\\", r"\ she " + "\\"),
        ("bop", "$", "$ she $"),
        ("bop", r"\1", "1 she 1"),
        (None, "x", None),
        ("bop", None, None),
    ],
)
def test_replacements_name_groups_as_java_does(pattern, substitution, expected):
    assert strings.replace_matches("bop she bop", pattern, substitution) == expected


def test_a_pattern_that_is_none_is_one_clear_error():
    with pytest.raises(EvaluationError, match="is not a regular expression"):
        strings.matches("a", "(")
    with pytest.raises(EvaluationError, match="names a group"):
        strings.replace_matches("a", "a", "$1")
    with pytest.raises(EvaluationError, match="names a group"):
        strings.replace_matches("a", "a", "${no}")


@given(st.text(max_size=20), st.text(min_size=1, max_size=2))
def test_combining_what_was_split_gives_the_string_back(text, separator):
    parts = strings.split(text, separator)
    assert separator.join(parts) == text
    if separator in text or text:
        assert strings.combine(parts, separator) == text


@given(st.text(max_size=12), st.text(max_size=3))
def test_an_escaped_pattern_matches_itself_and_is_found_at_its_position(text, part):
    assert strings.matches(text, re.escape(part)) is (part in text)
    position = strings.position_of(part, text)
    assert (position >= 0) is (part in text)
    if position >= 0 and part:
        assert strings.substring(text, position, len(part)) == part
        assert strings.last_position_of(part, text) >= position
