"""The official libraries and conformance tests all parse, with the structure that the reference ELM shows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cql_decks import conformance_cases, libraries, needs_conformance, needs_libraries
from cql_trees import nodes

from measurewise.engine.cql.errors import CqlError
from measurewise.engine.cql.parser import parse_expression, parse_library

# The reference places a clause, a boundary word or a starting value where its keyword begins.
KEYWORDS = re.compile(
    r"(?:where|return(?:\s+(?:all|distinct))?|such\s+that|starting)(?:\s|//[^\n]*\n|/\*.*?\*/)*", re.S
)
WORDS_WITHOUT_NODE = {"start", "end", "starts", "ends", "days"}


def located(tree: Any) -> Iterator[tuple[str, str]]:
    """(locator, type) of every located node of an ELM tree."""
    if isinstance(tree, dict):
        if "locator" in tree:
            yield tree["locator"], tree.get("type", "")
        for key, value in tree.items():
            if key != "annotation":
                yield from located(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from located(item)


@needs_libraries
def test_all_official_libraries_parse() -> None:
    assert len(libraries()) == 70
    for library in libraries():
        tree = parse_library(library.cql, library.name)
        assert tree.library is not None
        assert f"{tree.library.name}-{tree.library.version}" == library.name


@needs_libraries
def test_every_expression_that_the_reference_elm_locates_is_a_node_here() -> None:
    seen = 0
    strange = []
    for library in libraries():
        tree = parse_library(library.cql)
        definitions = [*tree.definitions] if tree.library is None else [tree.library, *tree.definitions]
        ours = {node.span for definition in definitions for node in nodes(definition)}
        starts = [0]
        for row in library.cql.split("\n"):
            starts.append(starts[-1] + len(row) + 1)
        for locator, kind in located(library.elm):
            seen += 1
            line, column, end_line, end_column = map(
                int, re.findall(r"\d+", locator) * (1 if "-" in locator else 2)
            )
            start, end = starts[line - 1] + column - 1, starts[end_line - 1] + end_column
            text = library.cql[start:end]
            keyword = KEYWORDS.match(text)
            after = start + keyword.end() if keyword else start
            # A fluent call without arguments is placed at its name when an operator holds it.
            fluent = any(e == end and s < start for s, e in ours) and re.fullmatch(r"\w+\s*\(\s*\)", text)
            if (start, end) in ours or (after, end) in ours or text in WORDS_WITHOUT_NODE or fluent:
                continue
            strange.append((library.name, locator, kind, text))
    assert seen > 30_000
    assert strange == []


@needs_libraries
def test_definitions_and_their_tags_are_those_of_the_reference() -> None:
    compared = 0
    different = []
    for library in libraries():
        tree = parse_library(library.cql)
        ours = {str(tree.locate(d)): [(t.name, t.value) for t in d.tags] for d in tree.definitions}
        for definition in library.elm["statements"]["def"]:
            if "locator" not in definition:
                continue
            compared += 1
            theirs = [
                (tag["name"], tag.get("value", ""))
                for annotation in definition.get("annotation", [])
                for tag in annotation.get("t", [])
            ]
            assert definition["locator"] in ours
            if ours[definition["locator"]] != theirs:
                different.append(f"{library.name} {definition['name']}")
    assert compared > 1_500
    # Of several one-line comments after a tag, the reference takes a piece of the last for its value.
    assert different == [
        "CMS645FHIRBoneDensityProstateCancerAndrogenDeprivationTherapy-1.5.000 SDE Ethnicity",
    ]


@needs_conformance
def test_all_conformance_expressions_parse_but_the_one_that_is_no_cql() -> None:
    cases = conformance_cases()
    refused = []
    for case in cases:
        try:
            parse_expression(case.text)
        except CqlError as error:
            refused.append((case.name, case.invalid, str(error)))
    assert len(cases) > 2_500
    # "hours between @T06Z and ...": a time has no offset.
    assert refused == [
        (
            "CqlDateTimeOperatorsTest.TimeDurationBetweenHourDiffPrecision",
            "true",
            "1:19: Expected 'and', found 'Z'. (1 more error follows.)",
        )
    ]


@needs_libraries
def test_all_libraries_parse_within_two_and_a_half_seconds() -> None:
    texts = [library.cql for library in libraries()]
    start = time.process_time()
    for text in texts:
        parse_library(text)
    assert time.process_time() - start < 2.5


@needs_libraries
@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_line_endings_do_not_matter(ending: str) -> None:
    library = libraries()[0]
    text = library.cql.replace("\r\n", "\n")
    other = parse_library(text.replace("\n", ending))
    assert other == parse_library(text)
    assert [str(other.locate(d)) for d in other.definitions] == [
        str(parse_library(text).locate(d)) for d in parse_library(text).definitions
    ][: len(other.definitions)]
