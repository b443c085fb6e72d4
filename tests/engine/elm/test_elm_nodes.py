"""The node classes as such."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from measurewise.engine import elm
from measurewise.engine.elm.schema import ABSTRACT, attributes, node_classes

TRUE = elm.Literal(value_type="{urn:hl7-org:elm-types:r1}Boolean", value="true")


def test_a_node_cannot_be_changed():
    node = elm.And(operand=(TRUE, TRUE))
    with pytest.raises(dataclasses.FrozenInstanceError):
        node.operand = ()  # type: ignore[misc]


def test_no_node_class_has_room_for_attributes_that_it_does_not_declare():
    assert [name for name, cls in node_classes().items() if "__dict__" in dir(cls)] == []


def test_every_attribute_is_of_a_kind_that_reader_and_writer_know():
    for name, cls in node_classes().items():
        for attribute in attributes(cls):
            assert (attribute.node is not None) == (attribute.kind in ("node", "nodes")), name
            if attribute.kind in ("nodes", "raw"):
                assert attribute.default in ((), dataclasses.MISSING), name


def test_equal_looking_nodes_are_different_keys():
    left, right = elm.Null(), elm.Null()
    assert left != right
    assert len({left: 1, right: 2}) == 2


def test_nodes_survive_pickling():
    node = elm.And(operand=(TRUE, elm.Quantity(value=None)), locator="1:2-3:4")
    assert elm.same_shape(pickle.loads(pickle.dumps(node)), node)  # noqa: S301
    assert copy.copy(node).locator == "1:2-3:4"


def test_the_abstract_classes_are_the_ones_of_the_schema():
    assert set(node_classes()) >= ABSTRACT
    assert not any(issubclass(node_classes()[name], elm.Query) for name in ABSTRACT)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("{http://hl7.org/fhir}Patient", ("http://hl7.org/fhir", "Patient")),
        ("t:Integer", ("t", "Integer")),
        ("Integer", ("", "Integer")),
    ],
)
def test_qualified_names_split_into_namespace_and_name(name, parts):
    assert elm.split_qualified_name(name) == parts
