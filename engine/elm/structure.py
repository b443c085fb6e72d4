"""Walking a tree, and telling whether two trees say the same thing.

Nodes compare by identity. Two nodes are of the *same shape* when they differ at most in identifiers,
locators, annotations and stated result types, so that inside one scope they have the same value.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from measurewise.engine.elm.element import Element
from measurewise.engine.elm.schema import Kind, attributes, child_attributes
from measurewise.engine.elm.values import List, Null

_TYPES = frozenset({"result_type_name", "result_type_specifier"})
_INCIDENTAL = frozenset({"local_id", "locator", "annotation"}) | _TYPES


def children(node: Element) -> Iterator[Element]:
    """The nodes right below a node in the order of the schema, without type specifiers."""
    for name, is_list in child_attributes(type(node)):
        value = getattr(node, name)
        if is_list:
            yield from value
        elif value is not None:
            yield value


def walk(node: Element) -> Iterator[Element]:
    """A node and all nodes below it, each before those below it, without type specifiers."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(tuple(children(current))))


def structure_key(node: Element) -> Hashable:
    """A key that is equal for nodes of the same shape, and only for them.

    Its cost is that of the whole tree; to key all nodes of a tree use StructureNumbers.
    """
    return tuple(_parts(node, structure_key))


def same_shape(left: Element, right: Element) -> bool:
    """True where both nodes say the same thing, be it in different places of the text."""
    if left is right:
        return True
    numbers = StructureNumbers()
    return numbers.number(left) == numbers.number(right)


class StructureNumbers:
    """Small integers for shapes: nodes of the same shape have the same number, others another one.

    Each node is looked at once, so numbering a whole tree takes time in proportion to its size.
    """

    def __init__(self) -> None:
        self._number_of_key: dict[Hashable, int] = {}
        self._number_of_node: dict[Element, int] = {}

    def number(self, node: Element) -> int:
        """The number of a node's shape."""
        known = self._number_of_node
        if node in known:
            return known[node]
        # Long chains of operators are deep trees: number those below first instead of recursing into them.
        below, pending = [], [node]
        while pending:
            current = pending.pop()
            if current not in known:
                below.append(current)
                pending.extend(children(current))
        for current in reversed(below):
            key = tuple(_parts(current, self._number_of))
            known[current] = self._number_of_key.setdefault(key, len(self._number_of_key))
        return known[node]

    def _number_of(self, node: Element) -> int:
        # Only type specifiers are not numbered yet when a node asks for what is below it.
        number = self._number_of_node.get(node)
        return self.number(node) if number is None else number


def _parts(node: Element, key_of: Callable[[Element], Hashable]) -> Iterator[Hashable]:
    cls = type(node)
    yield cls.__name__
    for name, kind in _significant(cls):
        value = getattr(node, name)
        if kind == "nodes":
            yield tuple([key_of(item) for item in value])
        elif kind == "node":
            yield None if value is None else key_of(value)
        elif kind == "decimal":
            # 1.0 and 1.00 are equal decimals, but not of the same precision.
            yield str(value)
        else:
            yield value


_significant_attributes: dict[type[Element], tuple[tuple[str, Kind], ...]] = {}


def _significant(cls: type[Element]) -> tuple[tuple[str, Kind], ...]:
    described = _significant_attributes.get(cls)
    if described is None:
        # Nothing below a null or an empty list tells its type: there the stated type is part of what it says.
        incidental = _INCIDENTAL - _TYPES if cls in (Null, List) else _INCIDENTAL
        described = _significant_attributes[cls] = tuple(
            (a.name, a.kind) for a in attributes(cls) if a.name not in incidental
        )
    return described
