"""A library's declarations and statements, its comments, and the tree of the whole text."""

from __future__ import annotations

from dataclasses import dataclass, field

from measurewise.engine.cql.lexer import Lines
from measurewise.engine.cql.tree.nodes import Expression, Identifier, Location, Node, QualifiedIdentifier
from measurewise.engine.cql.tree.types import TypeSpecifier


@dataclass(frozen=True, slots=True)
class Comment(Node):
    """A comment with its marks."""

    text: str


@dataclass(frozen=True, slots=True)
class Tag(Node):
    """``@name: value`` in a comment before a definition; the value may be empty."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Definition(Node):
    """A declaration or statement of a library; ``comments`` stand right before it, ``tags`` are in them."""

    comments: tuple[Comment, ...] = field(compare=False, repr=False)
    tags: tuple[Tag, ...] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LibraryDefinition(Definition):
    """``library name version '1.0.0'``."""

    name: QualifiedIdentifier
    version: str | None


@dataclass(frozen=True, slots=True)
class UsingDefinition(Definition):
    """``using Model version '4.0.1' called Name``."""

    name: QualifiedIdentifier
    version: str | None
    alias: Identifier | None


@dataclass(frozen=True, slots=True)
class IncludeDefinition(Definition):
    """``include hl7.fhir.uv.cql.FHIRHelpers version '4.0.1' called FHIRHelpers``."""

    name: QualifiedIdentifier
    version: str | None
    alias: Identifier | None


@dataclass(frozen=True, slots=True)
class CodeSystemDefinition(Definition):
    """``codesystem "Name": 'uri' version '...'``; ``access`` is public, private or None."""

    access: str | None
    name: Identifier
    id: str
    version: str | None


@dataclass(frozen=True, slots=True)
class ValueSetDefinition(Definition):
    """``valueset "Name": 'uri' version '...' codesystems { ... }``."""

    access: str | None
    name: Identifier
    id: str
    version: str | None
    codesystems: tuple[QualifiedIdentifier, ...]


@dataclass(frozen=True, slots=True)
class CodeDefinition(Definition):
    """``code "Name": 'code' from "System" display '...'``."""

    access: str | None
    name: Identifier
    id: str
    system: QualifiedIdentifier
    display: str | None


@dataclass(frozen=True, slots=True)
class ConceptDefinition(Definition):
    """``concept "Name": { "Code", ... } display '...'``."""

    access: str | None
    name: Identifier
    codes: tuple[QualifiedIdentifier, ...]
    display: str | None


@dataclass(frozen=True, slots=True)
class ParameterDefinition(Definition):
    """``parameter "Name" type default value``."""

    access: str | None
    name: Identifier
    type: TypeSpecifier | None
    default: Expression | None


@dataclass(frozen=True, slots=True)
class ContextDefinition(Definition):
    """``context Patient``, ``context FHIR.Patient``."""

    model: Identifier | None
    name: Identifier


@dataclass(frozen=True, slots=True)
class ExpressionDefinition(Definition):
    """``define "Name": expression``."""

    access: str | None
    name: Identifier
    expression: Expression


@dataclass(frozen=True, slots=True)
class Operand(Node):
    """``name type`` of a function."""

    name: Identifier
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class FunctionDefinition(Definition):
    """``define fluent function Name(operand type, ...) returns type: body``; no body means external."""

    access: str | None
    fluent: bool
    name: Identifier
    operands: tuple[Operand, ...]
    returns: TypeSpecifier | None
    body: Expression | None


@dataclass(frozen=True, slots=True)
class SyntaxTree:
    """A library as written.

    ``definitions`` are its declarations and statements in the order of the text, without the library
    definition; ``comments`` are all comments of the text.
    """

    source: str = field(compare=False)
    text: str = field(compare=False, repr=False)
    library: LibraryDefinition | None
    definitions: tuple[Definition, ...]
    comments: tuple[Comment, ...] = field(compare=False, repr=False)
    lines: Lines = field(compare=False, repr=False)

    def locate(self, node: Node) -> Location:
        """Lines and columns of a node."""
        start, end = node.span
        return Location(*self.lines.position(start), *self.lines.position(max(end - 1, start)))

    def text_of(self, node: Node) -> str:
        """The text of a node."""
        return self.text[node.span.start : node.span.end]
