"""The roots of the ELM tree: elements, expressions, operators by arity, and type specifiers.

Every node is immutable and hashes by identity, so that a table can be keyed by a node; ``structure.py``
tells whether two nodes say the same thing. A class has the ELM name, an attribute the ELM name in snake_case
(with a trailing underscore where Python reserves the word). An absent attribute is None, an absent list the
empty tuple, an attribute with a default in the ELM schema has that default.

ELM r1 (CQL 1.5), ``expression.xsd``: "Expression", "Type Specifiers".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

SYSTEM_NAMESPACE = "urn:hl7-org:elm-types:r1"
"""The namespace of the System model's types in qualified names."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Element:
    """Whatever may carry an identifier, a place in the CQL text (``L:C-L:C``, from 1) and a result type."""

    local_id: str | None = None
    locator: str | None = None
    result_type_name: str | None = None
    result_type_specifier: TypeSpecifier | None = None


class TypeSpecifier(Element):
    """A type."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedTypeSpecifier(TypeSpecifier):
    """A class or primitive by its qualified name, ``{namespace}Name``."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntervalTypeSpecifier(TypeSpecifier):
    """An interval of a point type."""

    point_type: TypeSpecifier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ListTypeSpecifier(TypeSpecifier):
    """A list of an element type."""

    element_type: TypeSpecifier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TupleElementDefinition(Element):
    """One element of a tuple type; the deprecated attribute ``type`` is read as ``elementType``."""

    name: str
    element_type: TypeSpecifier | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TupleTypeSpecifier(TypeSpecifier):
    """A tuple with these elements."""

    element: tuple[TupleElementDefinition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChoiceTypeSpecifier(TypeSpecifier):
    """One of several types; the deprecated attribute ``type`` is read as ``choice``."""

    choice: tuple[TypeSpecifier, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParameterTypeSpecifier(TypeSpecifier):
    """A type parameter of a generic signature."""

    parameter_name: str


class Expression(Element):
    """Whatever has a value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperatorExpression(Expression):
    """A built-in operator; ``signature`` tells the overload where the translator wrote it."""

    signature: tuple[TypeSpecifier, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnaryExpression(OperatorExpression):
    """An operator of one operand."""

    operand: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BinaryExpression(OperatorExpression):
    """An operator of two operands."""

    operand: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrecisionExpression(BinaryExpression):
    """A binary operator of dates, times or intervals that may name the precision of the comparison."""

    precision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TernaryExpression(OperatorExpression):
    """An operator of three operands."""

    operand: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NaryExpression(OperatorExpression):
    """An operator of any number of operands."""

    operand: tuple[Expression, ...] = ()


@lru_cache(maxsize=4096)
def split_qualified_name(name: str) -> tuple[str, str]:
    """The namespace and local name of ``{namespace}Local``; the namespace is empty when there is none.

    >>> split_qualified_name("{urn:hl7-org:elm-types:r1}Integer")
    ('urn:hl7-org:elm-types:r1', 'Integer')
    """
    if name.startswith("{"):
        namespace, _, local = name[1:].partition("}")
        return namespace, local
    prefix, colon, local = name.rpartition(":")
    return (prefix, local) if colon else ("", name)
