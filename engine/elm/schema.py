"""What the node classes say of themselves: which attribute has which ELM name, and of what kind it is.

Reader, writer and structure are driven by these tables, so that a new node needs its class and nothing else.
"""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from typing import Any, Literal, NamedTuple

from measurewise.engine.elm.element import Element, TypeSpecifier

Kind = Literal["string", "boolean", "decimal", "node", "nodes", "raw"]

ABSTRACT = frozenset(
    {
        "Element",
        "TypeSpecifier",
        "Expression",
        "OperatorExpression",
        "UnaryExpression",
        "BinaryExpression",
        "PrecisionExpression",
        "TernaryExpression",
        "NaryExpression",
        "AggregateExpression",
        "RelationshipClause",
        "SortByItem",
        "Definition",
    }
)
"""Names of the node classes that no node is an instance of."""


_SCALARS: dict[str, Kind] = {"str": "string", "bool": "boolean", "Decimal": "decimal"}


class Attribute(NamedTuple):
    """An attribute of a node class.

    ``node`` is the declared class of a node, or of the nodes of a list. ``default`` is
    ``dataclasses.MISSING`` where the attribute is required.
    """

    name: str
    elm_name: str
    kind: Kind
    node: type[Element] | None
    default: Any


_attributes: dict[type[Element], tuple[Attribute, ...]] = {}
_child_attributes: dict[type[Element], tuple[tuple[str, bool], ...]] = {}


def attributes(cls: type[Element]) -> tuple[Attribute, ...]:
    """The attributes of a node class, inherited ones first."""
    described = _attributes.get(cls)
    if described is None:
        described = _attributes[cls] = tuple(
            Attribute(field.name, elm_name(field.name), *_kind(str(field.type)), field.default)
            for field in dataclasses.fields(cls)
        )
    return described


def child_attributes(cls: type[Element]) -> tuple[tuple[str, bool], ...]:
    """Name, and whether it is a list, of each attribute that holds nodes other than type specifiers."""
    described = _child_attributes.get(cls)
    if described is None:
        described = _child_attributes[cls] = tuple(
            (a.name, a.kind == "nodes")
            for a in attributes(cls)
            if a.node is not None and not issubclass(a.node, TypeSpecifier)
        )
    return described


@cache
def node_classes() -> dict[str, type[Element]]:
    """All node classes by ELM name, abstract ones included."""
    # Not by __subclasses__(): a dataclass with slots leaves the class it was made from behind there.
    from measurewise.engine import elm

    exported = (getattr(elm, name) for name in elm.__all__)
    return {cls.__name__: cls for cls in exported if isinstance(cls, type) and issubclass(cls, Element)}


def elm_name(attribute: str) -> str:
    """The ELM name of a Python attribute.

    >>> elm_name("code_property"), elm_name("else_")
    ('codeProperty', 'else')
    """
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), attribute.rstrip("_"))


def _kind(annotation: str) -> tuple[Kind, type[Element] | None]:
    member = annotation.removesuffix(" | None")
    if member in _SCALARS:
        return _SCALARS[member], None
    if member.startswith("tuple["):
        item = node_classes().get(member.removeprefix("tuple[").removesuffix(", ...]"))
        return ("raw", None) if item is None else ("nodes", item)
    return "node", node_classes()[member]
