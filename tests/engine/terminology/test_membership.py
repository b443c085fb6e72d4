"""Membership and subsumption as CQL's clinical operators define them."""

import pytest

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.values import Code, Concept
from measurewise.engine.terminology.membership import (
    any_in,
    code_in,
    concept_in,
    string_in,
    subsumed_by,
    subsumes,
    value_in,
)
from measurewise.engine.terminology.value_sets import ValueSetIndex

SCT, ICD = "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"
ONE_SYSTEM = frozenset({(SCT, "1"), (SCT, "2")})
TWO_SYSTEMS = frozenset({(SCT, "1"), (ICD, "1")})


def test_a_code_is_a_member_by_system_and_code_whatever_its_version_and_display():
    assert code_in(Code("1", SCT, "2019", "old name"), ONE_SYSTEM)
    assert not code_in(Code("1", ICD), ONE_SYSTEM)
    assert not code_in(Code("1"), ONE_SYSTEM)
    assert not code_in(None, ONE_SYSTEM)


def test_a_concept_is_a_member_when_any_of_its_codes_is():
    assert concept_in(Concept([Code("9", SCT), Code("2", SCT)]), ONE_SYSTEM)
    assert not concept_in(Concept([]), ONE_SYSTEM)
    assert not concept_in(None, ONE_SYSTEM)


def test_a_string_is_tested_only_where_one_system_can_be_meant():
    assert string_in("1", ONE_SYSTEM)
    assert not string_in("9", ONE_SYSTEM)
    assert not string_in("1", frozenset())
    assert not string_in(None, TWO_SYSTEMS)
    with pytest.raises(EvaluationError, match="http://x/vs: The string '1'"):
        string_in("1", TWO_SYSTEMS, "http://x/vs")


def test_a_list_is_in_when_any_of_its_values_is():
    assert any_in([None, Code("9", SCT), Concept([Code("1", SCT)])], ONE_SYSTEM)
    assert any_in(["2"], ONE_SYSTEM)
    assert not any_in([], ONE_SYSTEM)
    assert not any_in(None, ONE_SYSTEM)


def test_a_value_of_another_type_is_an_error():
    with pytest.raises(EvaluationError, match="int"):
        value_in(1, ONE_SYSTEM)


def test_subsumption_of_concepts_needs_one_pair_and_null_gives_null():
    tree = {
        "resourceType": "CodeSystem",
        "url": SCT,
        "content": "complete",
        "concept": [{"code": "1", "concept": [{"code": "2"}]}, {"code": "3"}],
    }
    index = ValueSetIndex([tree])
    above = Concept([Code("3", SCT), Code("1", SCT)])
    assert subsumes(above, Code("2", SCT), index) is True
    assert subsumed_by(Code("2", SCT), above, index) is True
    assert subsumes(Code("2", SCT), above, index) is False
    assert subsumes(None, above, index) is None
    assert subsumed_by(above, None, index) is None


def test_equivalent_codes_subsume_each_other_even_where_no_hierarchy_is_at_hand():
    other = Concept([Code("7", ICD), Code("1", SCT)])
    assert subsumes(Concept([Code("8", ICD), Code("1", SCT)]), other, ValueSetIndex()) is True
