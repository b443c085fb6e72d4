"""Literals, nulls, tuples, instances, selectors, and access to their parts.

ELM: "Simple Values", "Structured Values", and the Interval and List selectors.
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import Element, Expression, TypeSpecifier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Literal(Expression):
    """A scalar as the text of its value; ``value_type`` is a qualified name of a System type."""

    value_type: str
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Null(Expression):
    """The missing value, of a type where one is given."""

    value_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TupleElement(Element):
    """The value of one element of a tuple."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tuple(Expression):
    """A tuple with these elements."""

    element: tuple[TupleElement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InstanceElement(Element):
    """The value of one element of an instance."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instance(Expression):
    """An instance of a class of a model; ``class_type`` is a qualified name."""

    class_type: str
    element: tuple[InstanceElement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Property(Expression):
    """The value at ``path`` of ``source``, or of what the alias ``scope`` names."""

    path: str
    scope: str | None = None
    source: Expression | None = None


class Search(Property):
    """As Property, by the name of a search parameter rather than of an element."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interval(Expression):
    """An interval; a closed-expression, where given, decides instead of the closed attribute."""

    low: Expression | None = None
    low_closed_expression: Expression | None = None
    high: Expression | None = None
    high_closed_expression: Expression | None = None
    low_closed: bool = True
    high_closed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class List(Expression):
    """A list of these elements, of ``type_specifier`` as element type where it is given."""

    type_specifier: TypeSpecifier | None = None
    element: tuple[Expression, ...] = ()
