"""Types as written (CQL Reference, "Types")."""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.cql.tree.nodes import Identifier, Node


class TypeSpecifier(Node):
    """A type as written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NamedType(TypeSpecifier):
    """``Integer``, ``FHIR.Encounter``, ``"Condition Encounter Diagnosis"``."""

    parts: tuple[Identifier, ...]

    def __str__(self) -> str:
        return ".".join(part.name for part in self.parts)


@dataclass(frozen=True, slots=True)
class ListOf(TypeSpecifier):
    """``List<element>``."""

    element: TypeSpecifier


@dataclass(frozen=True, slots=True)
class IntervalOf(TypeSpecifier):
    """``Interval<point>``."""

    point: TypeSpecifier


@dataclass(frozen=True, slots=True)
class ChoiceOf(TypeSpecifier):
    """``Choice<type, ...>``."""

    choices: tuple[TypeSpecifier, ...]


@dataclass(frozen=True, slots=True)
class TupleElementType(Node):
    """``name type`` in a tuple type."""

    name: Identifier
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class TupleOf(TypeSpecifier):
    """``Tuple { name type, ... }``."""

    elements: tuple[TupleElementType, ...]
