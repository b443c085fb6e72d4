"""Timing phrases in full."""

from __future__ import annotations

import pytest
from cql_trees import parse

from measurewise.engine.cql.tree import (
    BeforeOrAfterPhrase,
    EndsPhrase,
    IncludedInPhrase,
    IncludesPhrase,
    MeetsPhrase,
    OverlapsPhrase,
    Quantity,
    QuantityOffset,
    SamePhrase,
    Span,
    StartsPhrase,
    Timing,
    TimingPhrase,
    Unary,
    WithinPhrase,
)

AT = Span(0, 0)
DAYS = Quantity(AT, "3", "days", True)


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("same as", SamePhrase(AT, None, None, "as", None)),
        ("starts same day as end", SamePhrase(AT, "starts", "day", "as", "end")),
        ("ends same day or before", SamePhrase(AT, "ends", "day", "or before", None)),
        ("occurs same or after", SamePhrase(AT, "occurs", None, "or after", None)),
        ("includes", IncludesPhrase(AT, False, None, None)),
        ("properly includes day of start", IncludesPhrase(AT, True, "day", "start")),
        ("during", IncludedInPhrase(AT, None, False, None)),
        ("included in", IncludedInPhrase(AT, None, False, None)),
        ("starts properly during day of", IncludedInPhrase(AT, "starts", True, "day")),
        ("before", BeforeOrAfterPhrase(AT, None, None, "before", False, None, None)),
        ("on or before", BeforeOrAfterPhrase(AT, None, None, "before", True, None, None)),
        ("after or on day of", BeforeOrAfterPhrase(AT, None, None, "after", True, "day", None)),
        (
            "starts 3 days or less before or on day of end",
            BeforeOrAfterPhrase(
                AT, "starts", QuantityOffset(AT, DAYS, "or less"), "before", True, "day", "end"
            ),
        ),
        (
            "3 days or more on or after",
            BeforeOrAfterPhrase(AT, None, QuantityOffset(AT, DAYS, "or more"), "after", True, None, None),
        ),
        (
            "ends less than 3 days after start",
            BeforeOrAfterPhrase(
                AT, "ends", QuantityOffset(AT, DAYS, "less than"), "after", False, None, "start"
            ),
        ),
        (
            "more than 3 days before",
            BeforeOrAfterPhrase(AT, None, QuantityOffset(AT, DAYS, "more than"), "before", False, None, None),
        ),
        (
            "occurs 3 days before",
            BeforeOrAfterPhrase(AT, "occurs", QuantityOffset(AT, DAYS, None), "before", False, None, None),
        ),
        ("within 3 days of", WithinPhrase(AT, None, False, DAYS, None)),
        ("starts properly within 3 days of start", WithinPhrase(AT, "starts", True, DAYS, "start")),
        ("meets", MeetsPhrase(AT, None, None)),
        ("meets before day of", MeetsPhrase(AT, "before", "day")),
        ("overlaps", OverlapsPhrase(AT, None, None)),
        ("overlaps after month of", OverlapsPhrase(AT, "after", "month")),
        ("starts", StartsPhrase(AT, None)),
        ("ends day of", EndsPhrase(AT, "day")),
    ],
)
def test_a_phrase_between_two_operands(phrase: str, expected: TimingPhrase) -> None:
    tree = parse(f"a {phrase} b")
    assert isinstance(tree, Timing)
    assert tree.phrase == expected
    assert tree.left == parse("a")
    assert tree.right == parse("b")


def test_the_start_of_an_operand_is_no_part_of_the_phrase() -> None:
    tree = parse("a starts before start of b")
    assert isinstance(tree, Timing)
    assert tree.phrase == BeforeOrAfterPhrase(AT, "starts", None, "before", False, None, None)
    assert isinstance(tree.right, Unary)


def test_start_may_be_the_operand_itself() -> None:
    tree = parse("a before start")
    assert isinstance(tree, Timing)
    assert tree.right == parse("start")


def test_a_quantity_may_be_in_ucum() -> None:
    tree = parse("a 2 'h' or more after b")
    assert isinstance(tree, Timing)
    assert isinstance(tree.phrase, BeforeOrAfterPhrase)
    assert tree.phrase.offset == QuantityOffset(AT, Quantity(AT, "2", "h"), "or more")
