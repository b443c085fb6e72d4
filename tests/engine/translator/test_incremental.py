"""Translating again after an edit: only what changed, and what depends on it."""

from __future__ import annotations

from libraries import Texts

from measurewise.engine import elm
from measurewise.engine.translator import Translator, TranslatorOptions

LIBRARY = """library T version '1.0.0'
define One: 1
define Two: One + One
define Three: Two + 1
define function Half(n Integer): n / 2
define Quarter: Half(One)
define Far: 'far'
"""


def edited(before: str, after: str, options: TranslatorOptions | None = None):
    """The translation of a text after that of another, with the same text translated afresh."""
    translator = Translator(options=options)
    translator.translate(before, "T.cql")
    again = translator.translate(after, "T.cql")
    afresh = Translator(options=options).translate(after, "T.cql")
    assert elm.write_library(again.library) == elm.write_library(afresh.library)
    assert again.errors == afresh.errors
    return again


def test_an_unchanged_text_is_taken_over_whole():
    assert edited(LIBRARY, LIBRARY).reused == 6


def test_an_edit_that_keeps_the_type_costs_one_definition():
    assert edited(LIBRARY, LIBRARY.replace("define One: 1", "define One: 100")).reused == 5


def test_an_edit_of_a_type_costs_what_depends_on_it():
    again = edited(LIBRARY, LIBRARY.replace("define One: 1", "define One: 1.0"))
    assert again.reused == 2
    assert [str(error) for error in again.errors] == [
        '6:17: "Half" cannot be called with (Decimal). It takes (Integer).'
    ]


def test_a_changed_result_of_a_function_reaches_its_callers():
    again = edited(LIBRARY, LIBRARY.replace("n / 2", "n div 2"))
    assert again.reused == 4


def test_definitions_that_only_moved_are_taken_over_with_their_new_places():
    again = edited(LIBRARY, LIBRARY.replace("define Far", "// a remark\n\ndefine   Near: 1\ndefine Far"))
    assert again.reused == 6


def test_a_definition_that_moved_within_its_line_has_its_new_columns():
    assert edited(LIBRARY, LIBRARY.replace("define Far", "  define Far")).reused == 6


def test_a_new_overload_reaches_the_callers():
    more = LIBRARY + "define function Half(n Decimal): n / 2\n"
    assert edited(LIBRARY, more).reused == 5


def test_other_options_take_nothing_over():
    translator = Translator()
    translator.translate(LIBRARY, "T.cql")
    translator.options = TranslatorOptions(locators=False)
    assert translator.translate(LIBRARY, "T.cql").reused == 0


def test_a_type_changed_in_an_included_library_is_seen():
    texts = {("Common", None): "library Common\ndefine N: 1\n"}
    translator = Translator(Texts(texts))
    text = "library T\ninclude Common\ndefine A: Common.N + 1\n"
    translator.translate(text, "T.cql")
    assert translator.translate(text, "T.cql").reused == 1
    texts["Common", None] = "library Common\ndefine N: 'one'\n"
    translator.refresh()
    again = translator.translate(text, "T.cql")
    assert again.reused == 0
    assert "String" in str(again.errors[0])


def test_an_error_is_told_again_though_nothing_changed():
    text = LIBRARY + "define Wrong: Foo\n"
    translator = Translator()
    first = translator.translate(text, "T.cql")
    assert translator.translate(text, "T.cql").errors == first.errors != ()


def test_a_warning_is_told_again_though_nothing_changed():
    text = LIBRARY + "define Odd: 1 = null\n"
    translator = Translator()
    first = translator.translate(text, "T.cql")
    assert translator.translate(text, "T.cql").warnings == first.warnings != ()
