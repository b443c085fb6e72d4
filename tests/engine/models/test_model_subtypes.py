"""Subtype and compatibility tests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.models.model import load_model
from measurewise.engine.models.names import parse_type, write_type
from measurewise.engine.models.subtypes import common_supertype, is_compatible, is_subtype
from measurewise.engine.models.types import (
    ANY,
    CODESYSTEM,
    INTEGER,
    STRING,
    VALUESET,
    VOCABULARY,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    choice_of,
    tuple_of,
)

MODELS = load_model("FHIR", "4.0.1").models
QUANTITY, AGE = NamedType("FHIR", "Quantity"), NamedType("FHIR", "Age")
names = st.sampled_from(
    [ANY, INTEGER, STRING, VOCABULARY, VALUESET, CODESYSTEM, QUANTITY, AGE, NamedType("FHIR", "Element")]
)
types: st.SearchStrategy[DataType] = st.recursive(
    names,
    lambda inner: st.one_of(
        inner.map(ListType),
        inner.map(IntervalType),
        st.lists(inner, min_size=1, max_size=3).map(lambda members: choice_of(*members)),
        st.dictionaries(st.sampled_from("ab"), inner, min_size=1).map(tuple_of),
    ),
    max_leaves=6,
)


@given(types)
def test_a_type_is_a_subtype_of_itself_and_of_any(a: DataType) -> None:
    assert is_subtype(a, a, MODELS)
    assert is_subtype(a, ANY, MODELS)
    assert is_compatible(ANY, a, MODELS)


@given(types, types, types)
def test_subtyping_is_transitive(a: DataType, b: DataType, c: DataType) -> None:
    if is_subtype(a, b, MODELS) and is_subtype(b, c, MODELS):
        assert is_subtype(a, c, MODELS)


@given(types, types)
def test_the_common_supertype_holds_both(a: DataType, b: DataType) -> None:
    whole = common_supertype(a, b, MODELS)
    assert is_subtype(a, whole, MODELS)
    assert is_subtype(b, whole, MODELS)


@given(types, types)
def test_a_subtype_is_compatible(a: DataType, b: DataType) -> None:
    if is_subtype(a, b, MODELS):
        assert is_compatible(a, b, MODELS)


@given(types)
def test_a_type_reads_back_from_its_spelling(a: DataType) -> None:
    assert parse_type(write_type(a), models={"FHIR"}) == a


def test_lists_follow_their_elements() -> None:
    assert is_subtype(ListType(AGE), ListType(QUANTITY), MODELS)
    assert not is_subtype(ListType(QUANTITY), ListType(AGE), MODELS)
    assert not is_subtype(ListType(AGE), IntervalType(QUANTITY), MODELS)


def test_a_choice_holds_its_members() -> None:
    choice = ChoiceType((QUANTITY, STRING))
    assert is_subtype(AGE, choice, MODELS)
    assert not is_subtype(choice, QUANTITY, MODELS)
    assert is_compatible(choice, QUANTITY, MODELS)
    assert not is_compatible(choice, INTEGER, MODELS)


def test_common_supertypes_are_the_nearest() -> None:
    assert common_supertype(VALUESET, CODESYSTEM, MODELS) == VOCABULARY
    assert common_supertype(ListType(VALUESET), ListType(CODESYSTEM), MODELS) == ListType(VOCABULARY)
    assert common_supertype(INTEGER, STRING, MODELS) == ANY
