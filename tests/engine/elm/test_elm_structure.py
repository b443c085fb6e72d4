"""Walking trees and comparing their shapes."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from measurewise.engine import elm

INTEGER = "{urn:hl7-org:elm-types:r1}Integer"


def literal(value, **attributes):
    return elm.Literal(value_type=INTEGER, value=str(value), **attributes)


def test_children_come_in_the_order_of_the_schema_without_type_specifiers():
    low, high = literal(1), literal(2)
    named = elm.NamedTypeSpecifier(name=INTEGER)
    interval = elm.Interval(
        low=low, high=high, result_type_specifier=elm.IntervalTypeSpecifier(point_type=named)
    )
    assert list(elm.children(interval)) == [low, high]
    both = elm.In(operand=(low, interval), signature=(named,))
    assert list(elm.children(both)) == [low, interval]


def test_walk_visits_each_node_before_those_below_it():
    low, high = literal(1), literal(2)
    interval = elm.Interval(low=low, high=high)
    both = elm.In(operand=(low, interval))
    assert list(elm.walk(both)) == [both, low, interval, low, high]


def test_place_and_stated_type_do_not_make_a_difference():
    left = elm.Add(operand=(literal(1, local_id="4", locator="1:1"), literal(2)), result_type_name=INTEGER)
    right = elm.Add(operand=(literal(1), literal(2, local_id="9")), locator="7:1-7:5")
    assert elm.same_shape(left, right)
    assert elm.structure_key(left) == elm.structure_key(right)
    assert hash(elm.structure_key(left)) == hash(elm.structure_key(right))


def test_class_operands_order_and_attributes_make_a_difference():
    one, two = literal(1), literal(2)
    shapes = [
        elm.Add(operand=(one, two)),
        elm.Add(operand=(two, one)),
        elm.Subtract(operand=(one, two)),
        elm.In(operand=(one, two)),
        elm.In(operand=(one, two), precision="Day"),
        elm.Interval(low=one, high=two),
        elm.Interval(low=one, high=two, high_closed=False),
        elm.Interval(low=one),
        elm.Interval(high=one),
        elm.Quantity(value=Decimal("1.0"), unit="mg"),
        elm.Quantity(value=Decimal("1.00"), unit="mg"),
        elm.FunctionRef(name="F", operand=(one,)),
        elm.FunctionRef(name="F", operand=(one,), signature=(elm.NamedTypeSpecifier(name=INTEGER),)),
    ]
    assert len({elm.structure_key(shape) for shape in shapes}) == len(shapes)


def test_nulls_of_different_types_are_different():
    assert not elm.same_shape(elm.Null(result_type_name=INTEGER), elm.Null())
    assert not elm.same_shape(elm.List(result_type_name=INTEGER), elm.List())


def test_numbers_agree_with_keys(official_elm):
    numbers = elm.StructureNumbers()
    by_number = defaultdict(set)
    by_key = defaultdict(set)
    data = official_elm["Hospice-6.18.000.json.gz"]
    for read in (elm.read_library(data), elm.read_library(data)):
        for node in elm.walk(read):
            number, key = numbers.number(node), elm.structure_key(node)
            by_number[number].add(key)
            by_key[key].add(number)
    assert all(len(keys) == 1 for keys in by_number.values())
    assert all(len(found) == 1 for found in by_key.values())
    assert len(by_key) < sum(1 for _ in elm.walk(elm.read_library(data)))


def test_a_chain_of_hundreds_of_operators_is_numbered():
    def chain():
        node = literal(1)
        for n in range(2000):
            node = elm.Add(operand=(node, literal(n)))
        return node

    numbers = elm.StructureNumbers()
    assert numbers.number(chain()) == numbers.number(chain())
    assert elm.same_shape(chain(), chain())
    assert len(list(elm.walk(chain()))) == 4001
