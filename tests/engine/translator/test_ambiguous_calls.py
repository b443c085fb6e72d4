"""Calls that fit several overloads equally well (Developer's Guide, "Conversion Precedence")."""

from __future__ import annotations

import pytest
from libraries import Texts

from measurewise.engine.models.types import STRING
from measurewise.engine.translator import Translator


def errors(text: str, **others: str) -> list[str]:
    source = Texts({(name, None): cql for name, cql in others.items()})
    return [f"{e.message} {e.mend}" for e in Translator(source).translate(text).errors]


MEND = "Say the type of an operand with 'as', or call the function by its library."


def test_two_functions_that_fit_equally_well_are_both_named() -> None:
    text = "define function F(a Integer): 1\ndefine function F(a String): 2\ndefine X: F(null)"
    told = '"F" with (Any) is ambiguous: F(Integer) and F(String) fit equally well.'
    assert errors(text) == [f"{told} {MEND}"]
    assert errors(text.replace("null", "null as String")) == []


def test_fluent_functions_of_two_libraries_are_named_with_their_libraries() -> None:
    fluent = "library {} define fluent function twice(a Integer): a * 2"
    text = "library Z include A include B define X: 3.twice()"
    told = (
        '"twice" with (Integer) is ambiguous: twice(Integer) of library A and twice(Integer) of library B fit'
    )
    assert errors(text, A=fluent.format("A"), B=fluent.format("B")) == [f"{told} equally well. {MEND}"]


def test_a_function_of_the_library_itself_hides_an_equal_one_of_an_included_library() -> None:
    fluent = "library A define fluent function twice(a Integer): a * 2"
    text = "library Z include A define fluent function twice(a Integer): a + a define X: 3.twice()"
    assert errors(text, A=fluent) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [("Integer", "Quantity"), ("Integer", "Interval<Integer>"), ("Interval<Integer>", "List<Integer>")],
)
def test_simple_types_come_before_classes_intervals_and_lists(first: str, second: str) -> None:
    preferred = f"define function F(a {first}): 'this'\n"
    other = f"define function F(a {second}): 2\n"
    for text in (preferred + other, other + preferred):
        translation = Translator().translate(text + "define X: F(null)")
        assert translation.errors == ()
        assert translation.symbols.definitions["X"].type == STRING


def test_an_operator_over_a_choice_that_fits_two_ways_is_an_error() -> None:
    text = "parameter P Choice<String, DateTime>\nparameter Q Choice<String, DateTime>\ndefine X: P < Q"
    (error,) = errors(text)
    assert error.startswith(
        "'<' is ambiguous here: (String, String) and (DateTime, DateTime) fit equally well."
    )
