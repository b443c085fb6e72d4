"""Long chains of operators: neither translator nor writer goes too deep."""

from __future__ import annotations

import pytest

from measurewise.engine import elm
from measurewise.engine.errors import MeasurewiseError
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


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "+".join(["1"] * 5000),
        "(1+" * 3000 + "1" + ")" * 3000,
        "not " * 3000 + "true",
        "Tuple{a:" * 140 + "1" + "}" * 140,
        "if true then " * 3000 + "1" + " else 2" * 3000,
        "".join(f"if 1={n} then {n} else " for n in range(140)) + "3",
        "case " + "".join(f"when {n}=1 then {n} " for n in range(600)) + "else 1 end",
        " and ".join(["true"] * 3000),
        "Tuple{a:1}" + ".a" * 3000,
        "{1}" + "[0]" * 3000,
        "1" + " as Integer" * 3000,
        "1 as " + "List<" * 3000 + "Integer" + ">" * 3000,
    ],
    ids=lambda text: text[:24],
)
def test_what_is_too_deep_is_one_cql_error(text: str):
    with pytest.raises(MeasurewiseError) as caught:
        evaluate(text)
    assert "nested" in caught.value.what or "chain" in caught.value.what
    assert caught.value.mend
