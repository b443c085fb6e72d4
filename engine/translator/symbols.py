"""What a library defines, as other libraries see it: names, kinds, types and access, without the logic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from measurewise.engine import elm
from measurewise.engine.errors import ContentError
from measurewise.engine.models.model import Model
from measurewise.engine.models.names import split_expanded_name
from measurewise.engine.models.types import (
    ANY,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    tuple_of,
)
from measurewise.engine.translator.data_types import choice

Kind = Literal["expression", "parameter", "codesystem", "valueset", "code", "concept"]


@dataclass(frozen=True, slots=True)
class DefinitionSymbol:
    """A named value of a library; ``context`` is that of an expression, None for anything else."""

    name: str
    kind: Kind
    type: DataType
    public: bool = True
    context: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionSymbol:
    """One overload of a function."""

    name: str
    operands: tuple[DataType, ...]
    result: DataType
    fluent: bool = False
    public: bool = True
    context: str | None = None


@dataclass(slots=True)
class LibrarySymbols:
    """A library's definitions and functions by name."""

    name: str
    version: str | None
    definitions: dict[str, DefinitionSymbol] = field(default_factory=dict)
    functions: dict[str, list[FunctionSymbol]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name

    def fluent(self, name: str) -> Iterator[FunctionSymbol]:
        """The public fluent functions of a name."""
        return (f for f in self.functions.get(name, ()) if f.fluent and f.public)


def symbols_of_elm(library: elm.Library, models: dict[str, Model]) -> LibrarySymbols:
    """The symbols of a library that there is only ELM of.

    Raises ContentError where the ELM does not say the type of a definition that is not a reference to
    terminology: it has to have been translated with result types.
    """
    name = library.identifier.id or ""
    symbols = LibrarySymbols(name, library.identifier.version)
    by_url = {(m.target_url or m.url): m.name for m in models.values() if m.target_url is None}

    def add(label: str, kind: Kind, type_: DataType, access: str, context: str | None = None) -> None:
        symbols.definitions[label] = DefinitionSymbol(label, kind, type_, access == "Public", context)

    for parameter in library.parameters:
        kind = _declared(parameter.parameter_type, parameter.parameter_type_specifier, by_url)
        kind = kind or _result(parameter, by_url, name, parameter.name)
        add(parameter.name, "parameter", kind, parameter.access_level)
    for system in library.code_systems:
        add(system.name, "codesystem", NamedType("System", "CodeSystem"), system.access_level)
    for value_set in library.value_sets:
        add(value_set.name, "valueset", NamedType("System", "ValueSet"), value_set.access_level)
    for code in library.codes:
        add(code.name, "code", NamedType("System", "Code"), code.access_level)
    for concept in library.concepts:
        add(concept.name, "concept", NamedType("System", "Concept"), concept.access_level)
    for statement in library.statements:
        result = _result(statement, by_url, name, statement.name)
        if isinstance(statement, elm.FunctionDef):
            operands = tuple(
                _declared(o.operand_type, o.operand_type_specifier, by_url) or ANY for o in statement.operand
            )
            symbols.functions.setdefault(statement.name, []).append(
                FunctionSymbol(
                    statement.name,
                    operands,
                    result,
                    statement.fluent,
                    statement.access_level == "Public",
                    statement.context,
                )
            )
        else:
            add(statement.name, "expression", result, statement.access_level, statement.context)
    return symbols


def _result(node: elm.Element, models: dict[str, str], library: str, name: str) -> DataType:
    found = _declared(node.result_type_name, node.result_type_specifier, models)
    if found is None and isinstance(node, elm.ExpressionDef) and node.expression is not None:
        inner = node.expression
        found = _declared(inner.result_type_name, inner.result_type_specifier, models)
    if found is None:
        raise ContentError(
            f'The ELM of library {library} does not say the type of "{name}".',
            mend="Add the library's CQL, or ELM translated with result types.",
        )
    return found


def _declared(
    name: str | None, specifier: elm.TypeSpecifier | None, models: dict[str, str]
) -> DataType | None:
    if name is not None:
        uri, local = split_expanded_name(name)
        return NamedType(models.get(uri, "System"), local)
    return None if specifier is None else _type(specifier, models)


def _type(specifier: elm.TypeSpecifier, models: dict[str, str]) -> DataType:
    if isinstance(specifier, elm.NamedTypeSpecifier):
        found = _declared(specifier.name, None, models)
        return ANY if found is None else found
    if isinstance(specifier, elm.ListTypeSpecifier):
        return ListType(_type(specifier.element_type, models))
    if isinstance(specifier, elm.IntervalTypeSpecifier):
        return IntervalType(_type(specifier.point_type, models))
    if isinstance(specifier, elm.ChoiceTypeSpecifier):
        return choice(_type(member, models) for member in specifier.choice)
    if isinstance(specifier, elm.TupleTypeSpecifier):
        return tuple_of(
            {
                e.name: ANY if e.element_type is None else _type(e.element_type, models)
                for e in specifier.element
            }
        )
    return ANY
