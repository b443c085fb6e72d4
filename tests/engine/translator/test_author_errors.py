"""What authors are told: a deck of broken libraries, each with the errors that it must give.

The last lines of each file are the errors: ``// error LINE:COLUMN: message``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from libraries import Texts

from measurewise.engine.translator import CqlTranslationError, Translator, checked, translate

DECK = sorted((Path(__file__).parent / "errors").glob("*.cql"))

COMMON = """library Common version '1.0.0'
valueset "Inpatient": 'urn:vs:inpatient'
define private "Secret": 1
define "Adults": true
define function Twice(n Integer): n * 2
define fluent function doubled(n Integer): n * 2
"""
INCLUDED = {
    ("Common", "1.0.0"): COMMON,
    ("Broken", None): "library Broken\ndefine A: 1 + 'a'\n",
    ("Loop", None): "library Loop\ninclude Test\n",
}


def test_the_deck_has_at_least_sixty_snippets():
    assert len(DECK) >= 60


@pytest.mark.parametrize("path", DECK, ids=lambda path: path.stem)
def test_a_broken_library_gives_its_errors_and_no_others(path: Path):
    text = path.read_text(encoding="utf-8")
    expected = [line.removeprefix("// error ") for line in text.splitlines() if line.startswith("// error ")]
    translation = Translator(Texts(INCLUDED)).translate(text)
    assert [str(issue) for issue in translation.errors] == expected


def test_what_is_right_is_translated_beside_what_is_wrong():
    translation = translate("library T\ndefine Wrong: Foo\ndefine Right: 1 + 1\n")
    assert [statement.name for statement in translation.library.statements] == ["Right"]


def test_an_error_is_told_once_and_not_again_where_the_definition_is_used():
    translation = translate("library T\ndefine A: Foo\ndefine B: A + 1\ndefine C: B and A\n")
    assert len(translation.errors) == 1


def test_checked_raises_all_errors_with_the_name_of_the_text():
    translation = translate("library T\ndefine A: Foo\ndefine B: Bar\n")
    with pytest.raises(CqlTranslationError) as raised:
        checked(translation, "T.cql")
    assert str(raised.value).startswith('T.cql:2:11: There is no name "Foo" here.')
    assert len(raised.value.issues) == 2


def test_a_comparison_with_null_is_a_warning_and_no_error():
    translation = translate("library T\ndefine A: 1 = null\n")
    assert not translation.errors
    (warning,) = translation.warnings
    assert str(warning) == ("2:11: A comparison with null is always null. Write 'is null' or 'is not null'.")


def test_a_type_test_that_cannot_succeed_is_a_warning():
    (warning,) = translate("library T\ndefine A: 1 is String\n").warnings
    assert str(warning) == "2:11: This is never true: Integer is not String."
