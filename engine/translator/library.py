"""A library as a whole: its declarations, its definitions in whatever order they refer to each other.

CQL 1.5.3 Author's Guide, "Declarations", "Statements". An expression is translated when it is first
referred to or when its turn comes; one that comes back to itself is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.cql.errors import Issue
from measurewise.engine.models.model import Model
from measurewise.engine.models.names import SYSTEM_URI
from measurewise.engine.models.types import (
    ANY,
    DataType,
)
from measurewise.engine.translator.annotations import annotate
from measurewise.engine.translator.context import Context, OperandScope, Typed
from measurewise.engine.translator.declarations import (
    Declarations,
    IncludedLibrary,
    Includes,
    access_level,
)
from measurewise.engine.translator.diagnostics import Abandoned
from measurewise.engine.translator.expressions import translate_expression
from measurewise.engine.translator.options import TranslatorOptions
from measurewise.engine.translator.reuse import Ledger, Remembered
from measurewise.engine.translator.symbols import DefinitionSymbol, FunctionSymbol, LibrarySymbols
from measurewise.engine.translator.type_specifiers import resolve_type

TRANSLATOR_VERSION = "measurewise"


@dataclass(frozen=True, slots=True)
class Translation:
    """What came of a library: its ELM, and what its author should hear.

    ``library`` is as far as translation went; it is whole only where ``errors`` is empty. ``symbols`` is what
    other libraries see of it.
    """

    library: elm.Library
    errors: tuple[Issue, ...]
    warnings: tuple[Issue, ...]
    symbols: LibrarySymbols
    models: dict[str, Model] = field(repr=False)
    ledger: Ledger = field(repr=False, compare=False)
    reused: int = 0


def translate_tree(
    syntax: tree.SyntaxTree,
    includes: Includes,
    options: TranslatorOptions,
    model_infos: Sequence[Model] = (),
    before: Ledger | None = None,
) -> Translation:
    """The translation of a parsed library; ``before`` is what an earlier translation of it left to reuse."""
    return _Library(syntax, includes, options, tuple(model_infos), before).translated()


class _Pending:
    """An expression or function of the library and how far its translation is."""

    __slots__ = ("busy", "context", "done", "elm", "failed", "kind", "node", "symbol")

    def __init__(self, node: tree.ExpressionDefinition | tree.FunctionDefinition, context: str) -> None:
        self.node = node
        self.context = context
        self.busy = False
        self.done = False
        self.failed = False
        self.elm: elm.ExpressionDef | None = None
        self.kind: DataType = ANY
        self.symbol: FunctionSymbol | None = None


class _Library(Declarations):
    def __init__(
        self,
        syntax: tree.SyntaxTree,
        includes: Includes,
        options: TranslatorOptions,
        model_infos: tuple[Model, ...],
        before: Ledger | None,
    ) -> None:
        self.syntax = syntax
        name = "" if syntax.library is None else syntax.library.name.parts[-1].name
        version = None if syntax.library is None else syntax.library.version
        super().__init__(includes, model_infos, LibrarySymbols(name, version))
        self.c = Context(syntax, options, self.models, self.usings, self.included, self, translate_expression)
        self.expressions: dict[str, _Pending] = {}
        self.functions_by_name: dict[str, list[_Pending]] = {}
        self.order: list[_Pending] = []
        self.ledger = Ledger.beginning(syntax, options)
        self.before = before
        self.reused = 0
        self.path: list[str] = []

    # --- the whole ------------------------------------------------------------------------------------------

    def translated(self) -> Translation:
        self._add("usings", elm.UsingDef(local_identifier="System", uri=SYSTEM_URI))
        for definition in self.syntax.definitions:
            self.declare(definition)
        self.ledger.stand_on(self.included)
        if self.before is not None and not self.before.same_ground(self.ledger):
            self.before = None
        self._collect_statements()
        for pending in self.order:
            self._translate(pending, pending.node)
        statements = [*self.implicit, *(p.elm for p in self.order if p.elm is not None)]
        library = self._assembled(statements)
        c = self.c
        issues = sorted(c.diagnostics.errors, key=lambda i: i.offset)
        warnings = sorted(c.diagnostics.warnings, key=lambda i: i.offset)
        return Translation(
            library, tuple(issues), tuple(warnings), self.symbols, self.models, self.ledger, self.reused
        )

    def _assembled(self, statements: Iterable[elm.ExpressionDef]) -> elm.Library:
        options = self.c.options
        library = self.syntax.library
        info: dict[str, Any] = {
            "type": "CqlToElmInfo",
            "translatorVersion": TRANSLATOR_VERSION,
            "translatorOptions": ",".join(options.names()),
            "signatureLevel": options.signature_level.value,
        }
        namespace = None
        if library is not None and len(library.name.parts) > 1:
            namespace = ".".join(part.name for part in library.name.parts[:-1])
        return elm.Library(
            annotation=(info,),
            identifier=elm.VersionedIdentifier(
                id=self.symbols.name or None, system=namespace, version=self.symbols.version
            ),
            schema_identifier=elm.VersionedIdentifier(id="urn:hl7-org:elm", version="r1"),
            usings=tuple(self.parts.get("usings", ())),
            includes=tuple(self.parts.get("includes", ())),
            parameters=tuple(self.parts.get("parameters", ())),
            code_systems=tuple(self.parts.get("code_systems", ())),
            value_sets=tuple(self.parts.get("value_sets", ())),
            codes=tuple(self.parts.get("codes", ())),
            concepts=tuple(self.parts.get("concepts", ())),
            contexts=tuple(self.parts.get("contexts", ())),
            statements=tuple(statements),
        )

    # --- statements -----------------------------------------------------------------------------------------

    def _collect_statements(self) -> None:
        context = "Unfiltered"
        for node in self.syntax.definitions:
            try:
                if isinstance(node, tree.ContextDefinition):
                    context = self.context(node)
                elif isinstance(node, tree.ExpressionDefinition):
                    self._claim(node.name)
                    pending = _Pending(node, context)
                    self.expressions[node.name.name] = pending
                    self.order.append(pending)
                elif isinstance(node, tree.FunctionDefinition):
                    self._collect_function(node, context)
            except Abandoned:
                continue

    def _collect_function(self, node: tree.FunctionDefinition, context: str) -> None:
        name = node.name.name
        if name in self.expressions or name in self.symbols.definitions:
            raise self.c.fail(node.name, f'"{name}" is defined twice in this library.', "Rename one of them.")
        pending = _Pending(node, context)
        try:
            operands = tuple(resolve_type(self.c, operand.type) for operand in node.operands)
        except Abandoned:
            self.unusable.add(name)
            raise
        if len({operand.name.name for operand in node.operands}) < len(operands):
            raise self.c.fail(node, f'Two operands of "{name}" have the same name.')
        others = self.functions_by_name.setdefault(name, [])
        if any(p.symbol is not None and p.symbol.operands == operands for p in others):
            shown = ", ".join(map(self.c.show, operands))
            raise self.c.fail(node.name, f'The function "{name}" with operands ({shown}) is defined twice.')
        if node.fluent and not operands:
            raise self.c.fail(node.name, f'The fluent function "{name}" needs an operand.')
        result = ANY if node.returns is None else resolve_type(self.c, node.returns)
        pending.symbol = FunctionSymbol(
            name, operands, result, node.fluent, node.access != "private", context
        )
        others.append(pending)
        self.symbols.functions.setdefault(name, []).append(pending.symbol)
        self.order.append(pending)

    def _translate(self, pending: _Pending, at: tree.Node) -> None:
        if pending.done:
            return
        node = pending.node
        name = node.name.name
        if pending.busy:
            raise self._circle(name, at)
        remembered = self._recall(pending)
        if remembered:
            return
        pending.busy = True
        self.path.append(name)
        told = self.c.diagnostics.count
        try:
            with self.ledger.watching(node), self.c.fresh(pending.context):
                if isinstance(node, tree.FunctionDefinition):
                    self._function(pending, node)
                else:
                    self._expression(pending, node)
        except Abandoned:
            pending.failed = True
            self.unusable.add(name)
        except RecursionError:
            self.c.fail(node, f'"{name}" is nested too deeply.', "Split it into several definitions.")
            pending.failed = True
            self.unusable.add(name)
        finally:
            self.path.pop()
            pending.busy = False
            pending.done = True
        if pending.failed or pending.elm is None:
            return
        if self.c.options.annotations:
            annotate(self.c, pending.elm, node)
        if self.c.diagnostics.count == told:
            # What has a remark is translated again, so that it is told again.
            self.ledger.remember(self.syntax, node, pending.context, pending.elm, pending.kind)

    def _circle(self, name: str, at: tree.Node) -> Abandoned:
        path = self.path[self.path.index(name) :] if name in self.path else [name]
        shown = " -> ".join(f'"{step}"' for step in [*path, name])
        return self.c.fail(at, f'"{name}" refers to itself: {shown}.', "CQL has no recursion.")

    def _recall(self, pending: _Pending) -> bool:
        if self.before is None:
            return False
        found: Remembered | None = self.before.recall(self.syntax, pending.node, pending.context)
        if found is None:
            return False
        pending.busy = True
        try:
            for dependency in found.dependencies:
                what, name, signature = dependency
                if what == "call":
                    if not self._still_called(name, signature, pending.node):
                        return False
                elif self._signature_of(what, name, pending.node) != signature:
                    return False
        except Abandoned:
            return False
        finally:
            pending.busy = False
        node = pending.node
        pending.elm = found.moved(self.syntax, node)
        pending.done = True
        self._settle(pending, found.kind)
        self.ledger.adopt(self.syntax, node, found, pending.elm)
        self.reused += 1
        return True

    def _signature_of(self, what: str, name: str, at: tree.Node) -> Any:
        if what == "definition":
            return self.definition(name, at)
        functions = self.functions(name)
        return tuple(replace(f, result=ANY) for f in functions)

    def _still_called(self, name: str, signature: Any, at: tree.Node) -> bool:
        operands, kind = signature
        for function in self.functions(name):
            if function.operands == operands:
                return bool(self.function_result(function, at) == kind)
        return False

    def _settle(self, pending: _Pending, kind: DataType) -> None:
        node = pending.node
        pending.kind = kind
        name = node.name.name
        if isinstance(node, tree.FunctionDefinition):
            if pending.symbol is not None:
                place = self.symbols.functions[name].index(pending.symbol)
                pending.symbol = self.symbols.functions[name][place] = replace(pending.symbol, result=kind)
            return
        self.symbols.definitions[name] = DefinitionSymbol(
            name, "expression", kind, node.access != "private", pending.context
        )

    def _expression(self, pending: _Pending, node: tree.ExpressionDefinition) -> None:
        value = self.c.expression(node.expression)
        definition = elm.ExpressionDef(
            name=node.name.name,
            context=pending.context,
            access_level=access_level(node.access),
            expression=value.node,
        )
        self.c.mark(definition, node, value.type)
        pending.elm = definition
        self._settle(pending, value.type)

    def _function(self, pending: _Pending, node: tree.FunctionDefinition) -> None:
        c = self.c
        symbol = pending.symbol
        if symbol is None:
            raise Abandoned
        operands = []
        for operand, kind in zip(node.operands, symbol.operands, strict=True):
            definition = elm.OperandDef(
                name=operand.name.name, operand_type_specifier=c.types.specifier(kind)
            )
            c.mark(definition, operand, kind)
            operands.append(definition)
        declared = None if node.returns is None else symbol.result
        body: Typed | None = None
        if node.body is not None:
            names = [operand.name.name for operand in node.operands]
            with c.scope(OperandScope(dict(zip(names, symbol.operands, strict=True)))):
                body = c.expression(node.body)
            if declared is not None:
                converted = c.convert(body, declared, node.body, f'What "{symbol.name}" returns')
                body = Typed(converted, declared)
        kind = declared if declared is not None else ANY if body is None else body.type
        if body is None and declared is None:
            raise c.fail(
                node,
                f'The external function "{symbol.name}" has no result type.',
                "Write 'returns' and a type.",
            )
        function = elm.FunctionDef(
            name=symbol.name,
            context=pending.context,
            access_level=access_level(node.access),
            expression=None if body is None else body.node,
            operand=tuple(operands),
            external=node.body is None,
            fluent=node.fluent,
        )
        c.mark(function, node, kind)
        pending.elm = function
        self._settle(pending, kind)

    # --- what expressions ask ------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """See Definitions."""
        return [
            *self.symbols.definitions,
            *(n for n in self.expressions if n not in self.symbols.definitions),
        ]

    def definition(self, name: str, at: tree.Node) -> DefinitionSymbol | None:
        """See Definitions."""
        pending = self.expressions.get(name)
        if pending is not None:
            self._translate(pending, at)
            if pending.failed:
                raise Abandoned
        elif name in self.unusable:
            raise Abandoned
        symbol = self.symbols.definitions.get(name)
        self.ledger.used("definition", name, symbol)
        return symbol

    def functions(self, name: str) -> Sequence[FunctionSymbol]:
        """See Definitions."""
        found = self.symbols.functions.get(name)
        if found is None:
            if name in self.unusable:
                raise Abandoned
            self.ledger.used("functions", name, ())
            return ()
        self.ledger.used("functions", name, tuple(replace(f, result=ANY) for f in found))
        return found

    def function_result(self, function: FunctionSymbol, at: tree.Node) -> DataType:
        """See Definitions."""
        kind: DataType = ANY
        for pending in self.functions_by_name.get(function.name, ()):
            symbol = pending.symbol
            if symbol is not None and symbol.operands == function.operands:
                node = pending.node
                if isinstance(node, tree.FunctionDefinition) and node.returns is not None and pending.busy:
                    raise self._circle(function.name, at)
                self._translate(pending, at)
                if pending.failed:
                    raise Abandoned
                kind = pending.kind
        self.ledger.used_result(function, kind)
        return kind


__all__ = ["IncludedLibrary", "Translation", "translate_tree"]
