"""Literals, names applied and looked into, selectors: the terms of an expression."""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.cql.tree.nodes import Expression, Identifier, Node, QualifiedIdentifier
from measurewise.engine.cql.tree.types import NamedType, TypeSpecifier


@dataclass(frozen=True, slots=True)
class Missing(Expression):
    """Where an expression was expected and none stood; only in trees of texts with errors."""


@dataclass(frozen=True, slots=True)
class Literal(Expression):
    """A literal of a simple type.

    ``kind`` is one of null, boolean, string, integer, decimal, long, date, datetime, time. ``value`` is the
    text with its marks off: a string's value, ``2025-01-01T`` for a date/time, ``12`` for ``12L``, ``12:00``
    for ``@T12:00``.
    """

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Quantity(Expression):
    """``5 'mg'`` or ``3 days``; ``calendar`` says that the unit is a word, not a UCUM string."""

    value: str
    unit: str | None
    calendar: bool = False


@dataclass(frozen=True, slots=True)
class Ratio(Expression):
    """``1 'mg' : 2 'mL'``."""

    numerator: Quantity
    denominator: Quantity


@dataclass(frozen=True, slots=True)
class ExternalConstant(Expression):
    """``%name`` of FHIRPath."""

    name: str


@dataclass(frozen=True, slots=True)
class IterationVariable(Expression):
    """``$this``, ``$index`` or ``$total``; ``name`` with its dollar sign."""

    name: str


@dataclass(frozen=True, slots=True)
class Parenthesized(Expression):
    """``( expression )``."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class FunctionCall(Expression):
    """``Name(argument, ...)``."""

    name: Identifier
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Member(Expression):
    """``source.name``: an element, or a definition of an included library."""

    source: Expression
    name: Identifier


@dataclass(frozen=True, slots=True)
class MethodCall(Expression):
    """``source.Name(argument, ...)``: a library's function, a fluent function or a FHIRPath function."""

    source: Expression
    name: Identifier
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Indexer(Expression):
    """``source[index]``."""

    source: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class IntervalSelector(Expression):
    """``Interval[low, high)``."""

    low: Expression
    low_closed: bool
    high: Expression
    high_closed: bool


@dataclass(frozen=True, slots=True)
class ElementSelector(Node):
    """``name: value`` in a tuple or an instance."""

    name: Identifier
    value: Expression


@dataclass(frozen=True, slots=True)
class TupleSelector(Expression):
    """``Tuple { name: value, ... }``; the word may be left out."""

    elements: tuple[ElementSelector, ...]


@dataclass(frozen=True, slots=True)
class InstanceSelector(Expression):
    """``Type { name: value, ... }``."""

    type: NamedType
    elements: tuple[ElementSelector, ...]


@dataclass(frozen=True, slots=True)
class ListSelector(Expression):
    """``List<type> { element, ... }``; word and type may be left out."""

    element_type: TypeSpecifier | None
    elements: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class CodeSelector(Expression):
    """``Code 'code' from "System" display '...'``."""

    code: Literal
    system: QualifiedIdentifier
    display: Literal | None


@dataclass(frozen=True, slots=True)
class ConceptSelector(Expression):
    """``Concept { Code ..., ... } display '...'``."""

    codes: tuple[CodeSelector, ...]
    display: Literal | None
