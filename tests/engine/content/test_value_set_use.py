"""Value sets that the logic refers to."""

from __future__ import annotations

import pytest

from measurewise.engine.content import Content, missing_value_sets, value_set_uses
from measurewise.engine.errors import NotFoundError
from measurewise.engine.terminology.value_sets import ValueSetIndex


def test_every_official_measure_has_its_value_sets(official):
    index = official.value_set_index()
    for measure in official.measures:
        uses = value_set_uses(official.closure(measure))
        assert missing_value_sets(uses, index) == [], str(measure)


def test_only_what_the_asked_definitions_reach_counts(official):
    libraries = official.closure(official.measure("CMS122"))
    everything = value_set_uses(libraries)
    numerator = value_set_uses(libraries, ["Numerator"])
    assert {use.name for use in numerator} == {"HbA1c Laboratory Test"}
    assert set(numerator) < set(everything)
    defined = sum(len(library.tree.value_sets) for library in libraries)
    assert len(everything) < defined


def test_a_value_set_named_in_an_included_library_is_found_there(official):
    libraries = official.closure(official.measure("CMS122"))
    exclusions = value_set_uses(libraries, ["Denominator Exclusions"])
    assert {use.library for use in exclusions} >= {"Hospice 6.18.000", "PalliativeCare 1.18.000"}


def test_a_missing_value_set_is_an_error_that_names_it(official):
    uses = value_set_uses(official.closure(official.measure("CMS122")), ["Numerator"])
    with pytest.raises(NotFoundError) as caught:
        missing_value_sets(uses, ValueSetIndex())
    assert str(caught.value).startswith(
        'a value set is not there: "HbA1c Laboratory Test" (http://cts.nlm.nih.gov'
    )
    assert 'set missing_valuesets to "empty"' in str(caught.value)


def test_many_missing_value_sets_are_counted(official):
    uses = value_set_uses(official.closure(official.measure("CMS122")))
    with pytest.raises(
        NotFoundError, match=rf"{len(uses)} value sets are not there: .*; and {len(uses) - 10} more\."
    ):
        missing_value_sets(uses, ValueSetIndex())


def test_missing_value_sets_can_be_taken_as_empty_with_a_notice_each(official):
    uses = value_set_uses(official.closure(official.measure("CMS122")))
    notices = missing_value_sets(uses, Content().value_set_index(), "empty")
    assert len(notices) == len(uses)
    assert {notice.kind for notice in notices} == {"missing-value-set"}
