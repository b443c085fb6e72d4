"""Telling ELM that is older than the CQL beside it, on official libraries."""

from __future__ import annotations

import pytest

from measurewise.engine.content import LibraryContent, staleness


def test_no_official_library_is_stale(official):
    for library in official.libraries:
        assert library.cql is not None
        assert staleness(library) is None, str(library)


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        (
            "version '6.18.000'",
            "version '6.19.000'",
            "the CQL is Hospice version 6.19.000, the ELM Hospice version",
        ),
        ("library Hospice", "library Palliative", "the CQL is Palliative version 6.18.000, the ELM Hospice"),
        (
            "include Status version '1.15.000'",
            "include Status version '1.16.000'",
            "the CQL includes Status version 1.16.000, the ELM Status version 1.15.000",
        ),
        ("include Status version '1.15.000' called Status", "", "the ELM includes Status, the CQL does not"),
        (
            "context Patient",
            "context Patient\ndefine Added: 1",
            'the CQL has the definition "Added", the ELM does not',
        ),
        ('define "Has Hospice', 'define "Had Hospice', 'the CQL has the definition "Had Hospice'),
        (
            "context Patient",
            "context Patient\ndefine function f(a Integer): a",
            'the CQL has the function "f", the ELM does not',
        ),
        (
            "'http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.526.3.1584'",
            "'http://cts.nlm.nih.gov/fhir/ValueSet/1.2.3'",
            'value set "Hospice Care Ambulatory" is http://cts.nlm.nih.gov/fhir/ValueSet/1.2.3 in the CQL',
        ),
    ],
)
def test_each_kind_of_change_to_the_text_is_found(official, old, new, difference):
    library = official.resolve("Hospice", "6.18.000")
    assert old in library.cql
    changed = LibraryContent(
        name="Hospice",
        version="6.18.000",
        cql=library.cql.replace(old, new).encode(),
        elm_json=library.elm_json,
    )
    assert difference in staleness(changed)


def test_comments_strings_and_layout_do_not_matter(official):
    library = official.resolve("Hospice", "6.18.000")
    text = "// define Nothing: 1\n" + library.cql.replace("\n", "\r\n  ") + "\n/* include Nothing */"
    changed = LibraryContent(name="Hospice", version="6.18.000", cql=text.encode(), elm_json=library.elm_json)
    assert staleness(changed) is None


def test_an_overload_more_is_found(official):
    library = official.resolve("FHIRHelpers", "4.4.000")
    text = library.cql + "\ndefine function ToInterval(period Integer): null"
    changed = LibraryContent(name="F", version=None, cql=text.encode(), elm_json=library.elm_json)
    assert 'functions "ToInterval"' in staleness(changed)


def test_many_differences_are_counted_and_not_all_printed(official):
    library = official.resolve("Hospice", "6.18.000")
    text = library.cql + "".join(f"\ndefine Added{n}: {n}" for n in range(9))
    changed = LibraryContent(name="Hospice", version=None, cql=text.encode(), elm_json=library.elm_json)
    assert staleness(changed).endswith("; and 6 more")
