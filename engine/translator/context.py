"""What the translation of an expression needs: the library's names, the scopes around it, the diagnostics.

One Context serves one library. Chapters (``timing.py``, ``queries.py`` and so on) are functions of a Context
and a syntax node that give a typed ELM node; ``expressions.py`` knows which chapter takes which node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.model import Model
from measurewise.engine.models.types import (
    ANY,
    TIME,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
)
from measurewise.engine.translator.conversions import Conversions
from measurewise.engine.translator.data_types import Types, choice
from measurewise.engine.translator.diagnostics import Abandoned, Diagnostics, suggestion
from measurewise.engine.translator.operators import (
    arities,
    build,
    is_overloaded,
    overloads,
)
from measurewise.engine.translator.options import SignatureLevel, TranslatorOptions
from measurewise.engine.translator.overloads import Match, preferred, resolve_operator
from measurewise.engine.translator.symbols import DefinitionSymbol, FunctionSymbol, LibrarySymbols
from measurewise.engine.translator.wording import nearest, operand_nodes, shown_operand, spelled

_POINT_OR_INTERVAL = frozenset({"Before", "After", "SameOrBefore", "SameOrAfter", "SameAs"})
"""Operators of points and of intervals: where one operand is a point, it stands for the interval of it."""

_DATE_PRECISIONS = frozenset({"Year", "Month", "Week", "Day"})


class Typed(NamedTuple):
    """An ELM node and the type of its value."""

    node: elm.Expression
    type: DataType


@dataclass(slots=True)
class QueryScope:
    """Names that a query brings in: aliases, lets, and inside a sort the elements of the row."""

    aliases: dict[str, DataType] = field(default_factory=dict)
    lets: dict[str, DataType] = field(default_factory=dict)
    row: DataType | None = None
    iteration: DataType | None = None


@dataclass(slots=True)
class OperandScope:
    """The operands of the function whose body is translated."""

    operands: dict[str, DataType]


Scope = QueryScope | OperandScope


class Definitions(Protocol):
    """The library's own definitions, translated when first asked for."""

    symbols: LibrarySymbols

    def definition(self, name: str, at: tree.Node) -> DefinitionSymbol | None:
        """A definition with its type."""
        ...

    def functions(self, name: str) -> Sequence[FunctionSymbol]:
        """The overloads of a function; a result that is not known yet is ``Any``."""
        ...

    def function_result(self, function: FunctionSymbol, at: tree.Node) -> DataType:
        """The type of what a function gives."""
        ...

    def names(self) -> list[str]:
        """All names that the library defines."""
        ...

    def lacks_library(self) -> bool:
        """Whether an included library could not be used, so that names may be missing because of it."""
        ...


class Context:
    """The surroundings of the expression that is being translated."""

    def __init__(
        self,
        syntax: tree.SyntaxTree,
        options: TranslatorOptions,
        models: dict[str, Model],
        usings: dict[str, Model],
        includes: dict[str, LibrarySymbols],
        definitions: Definitions,
        dispatch: Callable[[Context, tree.Expression], Typed],
    ) -> None:
        self.syntax = syntax
        self.options = options
        self.models = models
        self.usings = usings
        self.includes = includes
        self.own = definitions
        self.diagnostics = Diagnostics(syntax)
        self.types = Types(models)
        self.conversions = Conversions(self.types, models, options, self.helper, self._is_helper_overloaded)
        self.context_name = "Unfiltered"
        self.scopes: list[Scope] = []
        self._dispatch = dispatch
        self.unions: dict[elm.Element, tuple[Typed, Typed]] = {}
        self.negated = False
        self.argument = False
        self._next_id = 0
        self.positions: dict[elm.Element, tree.Node] = {}

    def helper(self, library: str) -> str | None:
        """The local name of an included library, empty for the library itself; None where it is not there."""
        for local, symbols in self.includes.items():
            if symbols.name == library:
                return local
        return "" if self.own.symbols.name == library else None

    def _is_helper_overloaded(self, library: str, function: str) -> bool:
        for symbols in self.includes.values():
            if symbols.name == library:
                return len(symbols.functions.get(function, ())) > 1
        return False

    # --- translating ----------------------------------------------------------------------------------------

    def expression(self, node: tree.Expression) -> Typed:
        """The ELM of an expression with its type; raises Abandoned once an error is recorded."""
        typed = self._dispatch(self, node)
        self.mark(typed.node, node, typed.type)
        return typed

    def mark(self, node: elm.Element, at: tree.Node, kind: DataType | None = None) -> None:
        """Give a new ELM node its place in the text and its type, where the options ask for them."""
        options = self.options
        if options.locators and (node.locator is None or isinstance(at, tree.Parenthesized)):
            object.__setattr__(node, "locator", str(self.syntax.locate(at)))
        if options.annotations and node.local_id is None:
            self._next_id += 1
            object.__setattr__(node, "local_id", str(self._next_id))
            self.positions[node] = at
        if kind is None or not options.result_types or node.result_type_name is not None:
            return
        if node.result_type_specifier is None:
            if isinstance(kind, NamedType):
                object.__setattr__(node, "result_type_name", self.types.qualified_name(kind))
            else:
                object.__setattr__(node, "result_type_specifier", self.types.specifier(kind))

    def fail(self, at: tree.Node, message: str, mend: str = "") -> Abandoned:
        """Record an error; raise what is given back."""
        return self.diagnostics.fail(at, message, mend)

    def show(self, kind: DataType) -> str:
        """A type in the author's words."""
        return self.types.display(kind)

    # --- scopes ---------------------------------------------------------------------------------------------

    @contextmanager
    def scope(self, scope: Scope) -> Iterator[None]:
        """Names that hold while the block runs."""
        self.scopes.append(scope)
        try:
            yield
        finally:
            self.scopes.pop()

    @contextmanager
    def fresh(self, context_name: str) -> Iterator[None]:
        """A definition of its own: no scopes of the expression that refers to it."""
        scopes, self.scopes = self.scopes, []
        name, self.context_name = self.context_name, context_name
        try:
            yield
        finally:
            self.scopes = scopes
            self.context_name = name

    def names_in_scope(self) -> list[str]:
        """Every name that an identifier could mean here, the nearest first."""
        names: list[str] = []
        for scope in reversed(self.scopes):
            if isinstance(scope, QueryScope):
                names += [*scope.aliases, *scope.lets]
            else:
                names += scope.operands
        return [*names, *self.own.names(), *self.includes]

    # --- operators and conversions --------------------------------------------------------------------------

    def call(self, operator: str, operands: Sequence[Typed], at: tree.Node, **attributes: Any) -> Typed:
        """An operator over operands, with the overload that fits them best."""
        given = tuple(o.type for o in operands)
        candidates = overloads(operator, len(given))
        matches = resolve_operator(self.conversions, candidates, given)
        if not matches and operator in _POINT_OR_INTERVAL:
            promoted = tuple(map(self._as_interval, operands))
            if any(isinstance(o.type, IntervalType) for o in operands) and promoted != tuple(operands):
                return self.call(operator, promoted, at, **attributes)
        if not matches:
            plain = [self._of_system(o) for o in operands]
            if [o.type for o in plain] != list(given):
                return self.call(operator, plain, at, **attributes)
            raise self.fail(at, self._no_overload(operator, given, at), self._offered(operator, given))
        match = self._only(operator, matches, given, at)
        if attributes.get("precision") in _DATE_PRECISIONS and TIME in map(_point_type, match.operands):
            word = attributes["precision"].lower()
            raise self.fail(at, f"A Time has no {word}.", "Take hour, minute, second or millisecond.")
        nodes = [
            o.node if way.apply is None else way.apply(o.node)
            for o, way in zip(operands, match.conversions, strict=True)
        ]
        signature: tuple[elm.TypeSpecifier, ...] = ()
        level = self.options.signature_level
        if level is SignatureLevel.ALL or (level is SignatureLevel.OVERLOADS and is_overloaded(operator)):
            signature = tuple(self.types.specifier(kind) for kind in match.operands)
        elif level is SignatureLevel.DIFFERING and match.operands != given:
            signature = tuple(self.types.specifier(kind) for kind in match.operands)
        return Typed(build(operator, nodes, signature, **attributes), match.result)

    def _only(
        self, operator: str, matches: Sequence[Match], given: Sequence[DataType], at: tree.Node
    ) -> Match:
        best = preferred(matches, lambda match: match.operands)
        # A null fits every overload, and every one gives null for it.
        if len(best) == 1 or any(_holds_any(kind) for kind in given):
            return best[0]
        if len({match.operands for match in best}) == 1:
            return best[0]
        shown = " and ".join(f"({', '.join(map(self.show, match.operands))})" for match in best[:2])
        message = f"{spelled(operator, at)} is ambiguous here: {shown} fit equally well."
        raise self.fail(at, message, "Say the type of an operand with 'as'.")

    def _of_system(self, value: Typed) -> Typed:
        """A value of a model's class as the type of System that it converts to."""
        for target in self.conversions.targets(value.type):
            node = self.conversions.convert(value.node, value.type, target)
            if node is not None:
                return Typed(node, target)
        return value

    def _as_interval(self, value: Typed) -> Typed:
        """A point as the interval of that point alone, unknown where the point is."""
        if isinstance(value.type, IntervalType | ListType | ChoiceType) or value.type == ANY:
            return value
        kind = IntervalType(value.type)
        absent = elm.Null()
        if self.options.result_types:
            object.__setattr__(absent, "result_type_specifier", self.types.specifier(kind))
        node = elm.If(
            condition=elm.IsNull(operand=value.node),
            then=absent,
            else_=elm.Interval(low=value.node, high=value.node),
        )
        return Typed(node, kind)

    def _no_overload(self, operator: str, given: Sequence[DataType], at: tree.Node) -> str:
        name = spelled(operator, at)
        counts = arities(operator)
        if counts and len(given) not in counts:
            takes = " or ".join(map(str, counts))
            return f"{name} takes {takes} operand{'' if takes == '1' else 's'}, not {len(given)}."
        nodes = operand_nodes(at, len(given))
        if not nodes:
            return f"{name} cannot be applied to ({', '.join(map(self.show, given))})."
        shown = [shown_operand(self.syntax, self.show(kind), n) for kind, n in zip(given, nodes, strict=True)]
        return f"{name} cannot be applied to {' and '.join(shown)}."

    def _offered(self, operator: str, given: Sequence[DataType]) -> str:
        if operator in ("Equal", "Equivalent"):
            return "Both sides must be of one type."
        offered = [
            f"({', '.join(self.show(o) for o in signature.operands)})"
            for signature in nearest(overloads(operator, len(given)), given)
        ]
        return f"It takes {' or '.join(offered)}." if offered else ""

    def convert(self, value: Typed, target: DataType, at: tree.Node, what: str) -> elm.Expression:
        """A value as another type; ``what`` says in the error where that type comes from."""
        node = self.conversions.convert(value.node, value.type, target)
        if node is None:
            raise self.fail(
                at,
                f"{what} must be {self.show(target)}, but this is {self.show(value.type)}.",
                self.conversion_hint(value.type, target),
            )
        return node

    def conversion_hint(self, source: DataType, target: DataType) -> str:
        """How to bring a value to a type that it does not convert to by itself."""
        if isinstance(source, ListType) and self.conversions.find(source.element, target) is not None:
            return "Take one element with 'singleton from', First() or Last()."
        if isinstance(target, ListType) and self.conversions.find(source, target.element) is not None:
            return "Put it in braces to make a list of it."
        if isinstance(target, NamedType) and target.model == "System" and target.name != "Boolean":
            operator = f"To{target.name}"
            if resolve_operator(self.conversions, overloads(operator, 1), (source,)):
                return f"Convert it with {operator}()."
        return ""

    def boolean(self, node: tree.Expression, what: str) -> elm.Expression:
        """A condition."""
        value = self.expression(node)
        return self.convert(value, NamedType("System", "Boolean"), node, what)

    def common_type(self, a: DataType, b: DataType) -> DataType:
        """A type that values of both can be brought to: one of the two, or their choice."""
        if a == b or b == ANY:
            return a
        if a == ANY:
            return b
        if self.types.is_subtype(b, a):
            return a
        if self.types.is_subtype(a, b):
            return b
        if isinstance(a, ChoiceType) or isinstance(b, ChoiceType):
            return choice((a, b))
        if self.conversions.find(b, a) is not None:
            return a
        if self.conversions.find(a, b) is not None:
            return b
        return choice((a, b))

    def as_common(self, value: Typed, target: DataType, at: tree.Node) -> elm.Expression:
        """A value as the common type found for it."""
        return self.convert(value, target, at, "This")

    def terminology(self, node: tree.Expression, what: str) -> Typed:
        """What is retrieved or tested by; an unknown name is told together with the library that asks."""
        if isinstance(node, tree.Identifier) and node.name not in self.names_in_scope():
            symbols = self.own.symbols
            # A definition whose own declaration has an error is not reported again.
            self.own.definition(node.name, node)
            known = [
                d.name for d in symbols.definitions.values() if d.kind in ("valueset", "code", "concept")
            ]
            raise self.fail(
                node,
                f'Library {symbols} asks for the {what} "{node.name}", which it does not define.',
                suggestion(node.name, known),
            )
        return self.expression(node)

    def unknown_name(self, name: str, at: tree.Node, what: str = "name") -> Abandoned:
        """The error for a name that nothing in scope has."""
        return self.fail(at, f'There is no {what} "{name}" here.', suggestion(name, self.names_in_scope()))


def _holds_any(kind: DataType) -> bool:
    if isinstance(kind, ListType):
        return _holds_any(kind.element)
    return kind == ANY or (isinstance(kind, IntervalType) and _holds_any(kind.point))


def _point_type(kind: DataType) -> DataType:
    return kind.point if isinstance(kind, IntervalType) else kind
