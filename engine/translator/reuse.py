"""What a translation leaves for the next one of the same library: definitions that can stand.

A definition can be taken over when its text is unchanged, the declarations it stands on (models, includes,
options) are, and all it refers to still has the same types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.elm.schema import attributes
from measurewise.engine.models.types import DataType
from measurewise.engine.translator.options import TranslatorOptions
from measurewise.engine.translator.symbols import FunctionSymbol, LibrarySymbols

Node = TypeVar("Node", bound=elm.Element)
Dependency = tuple[str, str, Any]
_Key = tuple[str, str, str]
_LOCATOR = re.compile(r"(\d+):(\d+)(?:-(\d+):(\d+))?")


@dataclass(frozen=True, slots=True)
class Remembered:
    """A translated definition, where it stood, and what it refers to."""

    definition: elm.ExpressionDef
    kind: DataType
    line: int
    column: int
    dependencies: tuple[Dependency, ...]

    def moved(self, syntax: tree.SyntaxTree, node: tree.Node) -> elm.ExpressionDef:
        """The definition with its locators where it stands now."""
        line, column = syntax.lines.position(node.span.start)
        if (line, column) == (self.line, self.column):
            return self.definition
        return _moved(self.definition, line - self.line, self.line, column - self.column)


class Ledger:
    """The definitions of one translation by their text, with what each depends on."""

    def __init__(self, ground: tuple[Any, ...]) -> None:
        self._ground = ground
        self._included: dict[str, LibrarySymbols] = {}
        self._kept: dict[_Key, Remembered] = {}
        self._watched: list[dict[tuple[str, Any], Dependency]] = []
        self._finished: dict[int, tuple[Dependency, ...]] = {}

    @classmethod
    def beginning(cls, syntax: tree.SyntaxTree, options: TranslatorOptions) -> Ledger:
        """An empty ledger for a library; its ground is all that every definition stands on."""
        declared = tuple(
            syntax.text_of(d)
            for d in syntax.definitions
            if isinstance(d, tree.UsingDefinition | tree.IncludeDefinition | tree.ContextDefinition)
        )
        name = "" if syntax.library is None else str(syntax.library.name)
        return cls((name, options, declared))

    def stand_on(self, included: dict[str, LibrarySymbols]) -> None:
        """What the included libraries define belongs to the ground, too."""
        self._included = dict(included)

    def same_ground(self, other: Ledger) -> bool:
        """Whether both translations stand on the same models, includes, contexts and options."""
        if self._ground != other._ground or self._ground[1].annotations:
            return False
        return self._included == other._included

    @contextmanager
    def watching(self, node: tree.Node) -> Iterator[None]:
        """Record what a definition refers to."""
        seen: dict[tuple[str, Any], Dependency] = {}
        self._watched.append(seen)
        try:
            yield
        finally:
            self._watched.pop()
            self._finished[id(node)] = tuple(seen.values())

    def used(self, what: str, name: str, signature: Any) -> None:
        """The definition that is translated now refers to this one."""
        if self._watched:
            self._watched[-1][what, name] = (what, name, signature)

    def used_result(self, function: FunctionSymbol, kind: DataType) -> None:
        """The definition that is translated now calls a function of its own library."""
        if self._watched:
            key = (function.name, function.operands)
            self._watched[-1]["call", key] = ("call", function.name, (function.operands, kind))

    def remember(
        self,
        syntax: tree.SyntaxTree,
        node: tree.ExpressionDefinition | tree.FunctionDefinition,
        context: str,
        definition: elm.ExpressionDef,
        kind: DataType,
    ) -> None:
        """Keep a definition that was translated without an error."""
        line, column = syntax.lines.position(node.span.start)
        dependencies = self._finished.pop(id(node), ())
        self._kept[self._key(syntax, node, context)] = Remembered(
            definition, kind, line, column, dependencies
        )

    def adopt(
        self, syntax: tree.SyntaxTree, node: tree.Node, found: Remembered, definition: elm.ExpressionDef
    ) -> None:
        """Keep a definition that was taken over."""
        line, column = syntax.lines.position(node.span.start)
        context = definition.context or ""
        self._kept[self._key(syntax, node, context)] = replace(
            found, definition=definition, line=line, column=column
        )

    def recall(self, syntax: tree.SyntaxTree, node: tree.Node, context: str) -> Remembered | None:
        """The definition of the same text and context, where one was kept."""
        return self._kept.get(self._key(syntax, node, context))

    def _key(self, syntax: tree.SyntaxTree, node: tree.Node, context: str) -> _Key:
        return (type(node).__name__, context, syntax.text_of(node))


def _moved(node: Node, lines: int, first_line: int, columns: int) -> Node:
    changes: dict[str, Any] = {}
    for attribute in attributes(type(node)):
        value = getattr(node, attribute.name)
        if attribute.name == "locator":
            if value is not None:
                changes["locator"] = _shifted(value, lines, first_line, columns)
        elif attribute.node is None or value is None:
            continue
        elif attribute.kind == "nodes":
            changes[attribute.name] = tuple(_moved(item, lines, first_line, columns) for item in value)
        elif not attribute.name.endswith("specifier"):
            changes[attribute.name] = _moved(value, lines, first_line, columns)
    if not changes:
        return node
    given = {f.name: getattr(node, f.name) for f in fields(node)}
    return type(node)(**(given | changes))


def _shifted(locator: str, lines: int, first_line: int, columns: int) -> str:
    match = _LOCATOR.fullmatch(locator)
    if match is None:
        return locator

    def place(line: str, column: str) -> str:
        moved = int(column) + (columns if int(line) == first_line else 0)
        return f"{int(line) + lines}:{moved}"

    start = place(match[1], match[2])
    return start if match[3] is None else f"{start}-{place(match[3], match[4])}"
