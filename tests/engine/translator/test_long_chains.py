"""Long chains of operators: neither translator nor writer goes too deep."""

from __future__ import annotations

import pytest

from measurewise.engine import elm
from measurewise.engine.runner.conformance import evaluate
from measurewise.engine.translator import translate


def depth(node: elm.Element) -> int:
    return 1 + max((depth(child) for child in elm.children(node)), default=0)


@pytest.mark.parametrize("word", ["and", "or"])
def test_a_chain_of_a_thousand_conditions_is_grouped(word: str):
    translation = translate("library T\ndefine A: " + f" {word} ".join(["1 = 2"] * 1000) + "\n")
    assert not translation.errors
    assert depth(translation.library.statements[0]) < 20
    assert elm.write_library(translation.library)


def test_a_grouped_chain_has_the_value_of_the_chain():
    assert evaluate(" or ".join(["1 = 2"] * 300 + ["null"] * 3)) is None
    assert evaluate(" or ".join(["1 = 2"] * 300 + ["true"])) is True
    assert evaluate(" and ".join(["1 = 1"] * 300 + ["1 = 2", "null"])) is False


def test_a_chain_of_other_operators_that_is_too_long_is_told():
    (error,) = translate("library T\ndefine A: " + " + ".join(["1"] * 400) + "\n").errors
    assert str(error) == "2:11: This is a chain of 399 operators. Define parts of it by name."


def test_a_chain_of_several_hundred_unions_is_run():
    assert evaluate(" union ".join(f"{{{n}}}" for n in range(500))) == list(range(500))


def test_a_chain_of_a_hundred_keeps_its_grouping():
    translation = translate("library T\ndefine A: " + " or ".join(["true"] * 100) + "\n")
    assert depth(translation.library.statements[0]) > 100
