"""Proving that ELM was made from the CQL beside it, on official and shipped libraries."""

from __future__ import annotations

import json

import pytest

from measurewise import cql_libraries
from measurewise.engine.content import LibraryContent, load_content
from measurewise.engine.content.provenance import doubt


def test_the_elm_of_every_official_library_is_proved(official):
    assert [str(library) for library in official.libraries if doubt(library) is not None] == []


@pytest.fixture(scope="module")
def hospice() -> LibraryContent:
    return load_content(cql_libraries.FOLDER).resolve("HospiceCare")


def changed(library: LibraryContent, text: str | None = None, tree: object = None) -> LibraryContent:
    return LibraryContent.from_texts(
        cql=(library.cql if text is None else text).encode(),
        elm_json=library.elm_json if tree is None else json.dumps(tree).encode(),
    )


def test_layout_and_comments_do_not_matter(hospice):
    assert doubt(hospice) is None
    assert hospice.cql is not None
    spread = hospice.cql.replace("\n", "\n\n  // a remark with a ' in it\n")
    assert doubt(changed(hospice, spread)) is None


@pytest.mark.parametrize(("old", "new"), [("exists", "not exists"), ("'finished'", "'planned'")])
def test_a_body_that_says_something_else_is_told_by_its_definition(hospice, old, new):
    assert hospice.cql is not None
    head, mark, rest = hospice.cql.partition("context Patient")
    assert old in rest
    reason = doubt(changed(hospice, head + mark + rest.replace(old, new, 1)))
    assert reason is not None
    assert reason.endswith("was made from another text")


def test_white_space_within_a_string_matters(hospice):
    tree = json.loads(hospice.elm_json)
    (url,) = {d["id"] for d in tree["library"]["valueSets"]["def"][:1]}
    moved = hospice.cql.replace(url, url + " ")
    assert doubt(changed(hospice, moved)) is not None


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (None, "it does not tell the translator's version and options"),
        ({"translatorVersion": "1"}, "it does not tell the translator's version and options"),
        (
            {"translatorVersion": "1", "translatorOptions": "EnableLocators"},
            "it was translated without EnableAnnotations, so nothing ties it to the text",
        ),
    ],
)
def test_a_translator_that_does_not_say_what_it_did_proves_nothing(hospice, info, reason):
    tree = json.loads(hospice.elm_json)
    tree["library"]["annotation"] = [] if info is None else [{"type": "CqlToElmInfo", **info}]
    assert doubt(changed(hospice, tree=tree)) == reason


def test_a_definition_without_text_is_told(hospice):
    tree = json.loads(hospice.elm_json)
    last = tree["library"]["statements"]["def"][-1]
    del last["annotation"]
    assert doubt(changed(hospice, tree=tree)) == f'its definition "{last["name"]}" carries no text'


def test_one_text_alone_is_not_in_doubt(hospice):
    assert doubt(hospice.without_elm()) is None
    assert doubt(LibraryContent.from_texts(elm_json=hospice.elm_json)) is None
