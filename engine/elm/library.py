"""A library and its definitions.

ELM: "Libraries", "Data Model", "Parameters", "Reusing Logic" and the definitions of "Clinical Values". An
access level is Public or Private. Annotations (the translator's remarks, the CQL text by node) are raw JSON;
a definition has them only where the reader was asked to keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from measurewise.engine.elm.clinical import CodeRef, CodeSystemRef
from measurewise.engine.elm.element import Element, Expression, TypeSpecifier
from measurewise.engine.elm.values import Tuple


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VersionedIdentifier(Element):
    """A name, its namespace and a version."""

    id: str | None = None
    system: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Definition(Element):
    """A part of a library."""

    annotation: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DirectiveDef(Definition):
    """A setting of the translator."""

    identifier: str
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsingDef(Definition):
    """A data model; ``name`` is its full name where the local one differs."""

    local_identifier: str
    uri: str | None = None
    name: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IncludeDef(Definition):
    """A library (``path`` is its name, after its namespace) under a local name."""

    local_identifier: str
    path: str
    version: str | None = None
    media_type: str | None = None
    bind: Tuple | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParameterDef(Definition):
    """A parameter with its type and default."""

    name: str
    access_level: str = "Public"
    parameter_type: str | None = None
    parameter_type_specifier: TypeSpecifier | None = None
    default: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeSystemDef(Definition):
    """A code system by its URI."""

    name: str
    id: str
    version: str | None = None
    access_level: str = "Public"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueSetDef(Definition):
    """A value set by its URI."""

    name: str
    id: str
    version: str | None = None
    access_level: str = "Public"
    code_system: tuple[CodeSystemRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeDef(Definition):
    """A code of a code system."""

    name: str
    id: str
    display: str | None = None
    access_level: str = "Public"
    code_system: CodeSystemRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConceptDef(Definition):
    """A concept made of codes."""

    name: str
    display: str | None = None
    access_level: str = "Public"
    code: tuple[CodeRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContextDef(Definition):
    """A context statement; its effect stands in each definition's ``context``."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExpressionDef(Definition):
    """A named expression and the context it is evaluated in."""

    name: str
    context: str | None = None
    access_level: str = "Public"
    expression: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperandDef(Definition):
    """An operand of a function with its type."""

    name: str
    operand_type: str | None = None
    operand_type_specifier: TypeSpecifier | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FunctionDef(ExpressionDef):
    """A named function; an external one has no expression."""

    operand: tuple[OperandDef, ...] = ()
    external: bool = False
    fluent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Library(Definition):
    """A library. Definitions are in the order of the text."""

    identifier: VersionedIdentifier
    schema_identifier: VersionedIdentifier | None = None
    directives: tuple[DirectiveDef, ...] = ()
    usings: tuple[UsingDef, ...] = ()
    includes: tuple[IncludeDef, ...] = ()
    parameters: tuple[ParameterDef, ...] = ()
    code_systems: tuple[CodeSystemDef, ...] = ()
    value_sets: tuple[ValueSetDef, ...] = ()
    codes: tuple[CodeDef, ...] = ()
    concepts: tuple[ConceptDef, ...] = ()
    contexts: tuple[ContextDef, ...] = ()
    statements: tuple[ExpressionDef, ...] = ()
