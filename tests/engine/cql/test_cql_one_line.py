"""Line breaks are white space: where they stand changes nothing."""

from __future__ import annotations

from dataclasses import fields

import pytest
from cql_decks import libraries, needs_libraries
from cql_trees import bare

from measurewise.engine.cql.lexer import END, tokenize
from measurewise.engine.cql.parser import parse_library
from measurewise.engine.cql.tree import Node, SyntaxTree

IN_LINES = """library A version '1'
using FHIR version '4.0.1'
using System
include B version '2' called B
include C.D
codesystem "S": 'http://s' version '3'
codesystem T: 'http://t'
valueset "V": 'http://v' codesystems { "S", T }
private valueset W: 'http://w'
code "K": 'k' from "S" display 'K'
code L: 'l' from T
public concept "N": { "K", L } display 'N'
parameter "P" Interval<DateTime> default Interval[@2026, @2027)
parameter Q default 5
parameter R
parameter S code
parameter U Integer
context FHIR.Patient
define private "X": 1
define Y: X
context Unfiltered
define function F(a Integer): external
define fluent function G(a code, b List<code>) returns Integer: a
define Z: [Condition: code in "V"] C
  where C.code ~ "K"
  return C.code
define E: [Condition]
"""


def on_one_line(text: str) -> str:
    """The text with one blank where there was white space or a comment, and so without line breaks."""
    tokens = tokenize(text)
    places = zip(tokens.kinds, tokens.starts, tokens.ends, strict=True)
    return " ".join(text[start:end] for kind, start, end in places if kind != END)


def shape(tree: SyntaxTree) -> list[object]:
    """The definitions without places, comments and the tags that stand in comments."""
    every = [*tree.definitions] if tree.library is None else [tree.library, *tree.definitions]
    return [blank(bare(definition)) for definition in every]


def blank(node: object) -> object:
    if isinstance(node, Node):
        named = (f.name for f in fields(node) if f.name not in ("span", "comments", "tags"))
        return (type(node).__name__, *((name, blank(getattr(node, name))) for name in named))
    if isinstance(node, tuple):
        return tuple(blank(item) for item in node)
    return node


def test_every_kind_of_definition_may_follow_another_on_its_line() -> None:
    tree = parse_library(on_one_line(IN_LINES))
    assert "\n" not in tree.text
    assert len(tree.definitions) == 24
    assert shape(tree) == shape(parse_library(IN_LINES))


@pytest.mark.parametrize(
    "text",
    [
        "library A using System define B: 1",
        "using FHIR context Patient define X: 1",
        "define A: 1 context Unfiltered define B: 2",
        "parameter A parameter B Integer context Patient",
        "parameter A code parameter B code default null define X: A",
        "define function F(): external define function G(): 1",
    ],
)
def test_short_libraries_on_one_line_are_read(text: str) -> None:
    assert shape(parse_library(text)) == shape(parse_library("\n".join(text.split())))


@needs_libraries
def test_official_libraries_read_the_same_on_one_line() -> None:
    for library in libraries():
        text = on_one_line(library.cql)
        outside_strings = [k for k in tokenize(text).kinds if k != END]
        assert outside_strings == [k for k in tokenize(library.cql).kinds if k != END]
        assert shape(parse_library(text)) == shape(parse_library(library.cql)), library.name
