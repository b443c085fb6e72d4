"""One library as the compiler sees it: its definitions by name, and the libraries it includes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from measurewise.engine import elm
from measurewise.engine.errors import ContentError, NotFoundError

if TYPE_CHECKING:
    from measurewise.engine.compiler.assembly import Assembly

T = TypeVar("T")

Pair = tuple[str | None, str]


class Unit:
    """A library's tables; ``includes`` is filled once all libraries of a program are known."""

    def __init__(self, library: elm.Library) -> None:
        self.library = library
        self.name = library.identifier.id or ""
        self.version = library.identifier.version
        self.includes: dict[str, Unit] = {}
        self._definitions: dict[str, elm.ExpressionDef] = {}
        self._functions: dict[str, list[elm.FunctionDef]] = {}
        for statement in library.statements:
            if isinstance(statement, elm.FunctionDef):
                self._functions.setdefault(statement.name, []).append(statement)
            else:
                self._definitions[statement.name] = statement
        self._code_systems = {d.name: d for d in library.code_systems}
        self._value_sets = {d.name: d for d in library.value_sets}
        self._codes = {d.name: d for d in library.codes}
        self._concepts = {d.name: d for d in library.concepts}
        self._parameters = {d.name: d for d in library.parameters}

    @property
    def label(self) -> str:
        """Name and version, for messages."""
        return f"{self.name} {self.version}" if self.version else self.name

    def has_definition(self, name: str) -> bool:
        """Whether an expression has this name."""
        return name in self._definitions

    def definition_names(self) -> list[str]:
        """The names of all expressions, in the order of the library."""
        return list(self._definitions)

    def definition(self, name: str) -> elm.ExpressionDef:
        """An expression definition."""
        return self._found(self._definitions, name, "definition")

    def functions(self, name: str, arity: int | None = None) -> list[elm.FunctionDef]:
        """The overloads of a function."""
        found = self._functions.get(name, [])
        return found if arity is None else [f for f in found if len(f.operand) == arity]

    def function_names(self) -> list[str]:
        """The names of all functions."""
        return list(self._functions)

    def code_system(self, name: str) -> elm.CodeSystemDef:
        """A code system definition."""
        return self._found(self._code_systems, name, "code system")

    def value_set(self, name: str) -> elm.ValueSetDef:
        """A value set definition."""
        return self._found(self._value_sets, name, "value set")

    def parameter(self, name: str) -> elm.ParameterDef:
        """A parameter definition."""
        return self._found(self._parameters, name, "parameter")

    def parameters(self) -> list[elm.ParameterDef]:
        """All parameter definitions."""
        return list(self._parameters.values())

    def code_text(self, name: str, assembly: Assembly, node: elm.Element) -> tuple[str, Pair]:
        """Python text that makes a code of this library, and its (system, code)."""
        found = self._found(self._codes, name, "code")
        system, version = None, None
        if found.code_system is not None:
            owner = assembly.unit_named(self, found.code_system.library_name, node)
            definition = owner.code_system(found.code_system.name)
            system, version = definition.id, definition.version
        return f"Code({found.id!r}, {system!r}, {version!r}, {found.display!r})", (system, found.id)

    def concept_text(self, name: str, assembly: Assembly, node: elm.Element) -> tuple[str, tuple[Pair, ...]]:
        """Python text that makes a concept of this library, and its (system, code) pairs."""
        found = self._found(self._concepts, name, "concept")
        made = []
        for reference in found.code:
            owner = assembly.unit_named(self, reference.library_name, node)
            made.append(owner.code_text(reference.name, assembly, node))
        listed = ", ".join(text for text, _ in made)
        return f"Concept([{listed}], {found.display!r})", tuple(pair for _, pair in made)

    def _found(self, table: dict[str, T], name: str, kind: str) -> T:
        try:
            return table[name]
        except KeyError:
            raise NotFoundError(f"There is no {kind} '{name}'.", where=f"library {self.label}") from None


def link(libraries: list[elm.Library]) -> dict[tuple[str, str | None], Unit]:
    """Units of a closed set of libraries with their includes resolved.

    An include names a version; one that names none, or a version nothing has while only one library of that
    name is there, takes what there is.
    """
    units = {(u.name, u.version): u for u in map(Unit, libraries)}
    by_name: dict[str, list[Unit]] = {}
    for unit in units.values():
        by_name.setdefault(unit.name, []).append(unit)
    for unit in units.values():
        for include in unit.library.includes:
            name = include.path.rsplit("/", 1)[-1]
            found = units.get((name, include.version))
            if found is None:
                candidates = by_name.get(name, [])
                if include.version is None and candidates:
                    found = candidates[-1]
                else:
                    there = ", ".join(c.label for c in candidates) or "no version of it"
                    raise ContentError(
                        f"It includes {name} version {include.version}; there is {there}.",
                        where=f"library {unit.label}",
                        mend="Add the library to the content.",
                    )
            unit.includes[include.local_identifier] = found
    return units
