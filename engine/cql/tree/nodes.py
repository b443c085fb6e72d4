"""What every node of the syntax tree is: a place in the text; and names, which stand everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """Where a node stands: character offsets ``start`` (included) and ``end`` (excluded) in the text."""

    start: int
    end: int


class Location(NamedTuple):
    """A span in lines and columns from 1; the end is that of the last character, as ELM locators have it."""

    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        start, end = f"{self.line}:{self.column}", f"{self.end_line}:{self.end_column}"
        return start if start == end else f"{start}-{end}"


@dataclass(frozen=True, slots=True)
class Node:
    """Anything in the tree."""

    span: Span = field(compare=False, repr=False)


class Expression(Node):
    """Anything that has a value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Identifier(Expression):
    """A name, escapes resolved; ``quote`` is how it was written: ``""``, ``"`` or a backtick."""

    name: str
    quote: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class QualifiedIdentifier(Node):
    """Names with dots between: ``hl7.fhir.uv.cql.FHIRHelpers``, ``"Common"."SNOMEDCT"``."""

    parts: tuple[Identifier, ...]

    def __str__(self) -> str:
        return ".".join(part.name for part in self.parts)
