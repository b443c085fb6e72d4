"""Calls of small functions written out in place of the call, so that a join can see what they say of a row.

``references(Diagnosis.condition, Problem)`` hides an equality of ids, and ``during(Visit, "Stays")`` a walk
through a list that only the call makes known. Written out, both are what ``joins.py`` looks for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from measurewise.engine import elm
from measurewise.engine.compiler.unit import Unit
from measurewise.engine.compiler.writer import Term
from measurewise.engine.elm.schema import child_attributes

if TYPE_CHECKING:
    from measurewise.engine.compiler.emitter import Emitter

LARGEST = 80
"""Functions of more nodes stay calls."""

DEEPEST = 4
"""So many calls within calls are written out."""

_PLAIN = (
    elm.AliasRef,
    elm.OperandRef,
    elm.QueryLetRef,
    elm.ExpressionRef,
    elm.Property,
    elm.Literal,
    elm.Null,
    elm.As,
    elm.ValueSetRef,
    elm.CodeRef,
    elm.ParameterRef,
)
"""What an argument may consist of to stand in several places without being worked out several times."""

_NAMED = (
    elm.ExpressionRef,
    elm.ParameterRef,
    elm.ValueSetRef,
    elm.CodeRef,
    elm.ConceptRef,
    elm.CodeSystemRef,
)


class Inlining:
    """Written-out calls of one program."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, Unit], tuple[elm.Expression, elm.Expression | None]] = {}
        self._depths: dict[int, int] = {}

    def of(
        self, em: Emitter, node: elm.FunctionRef, element: tuple[str, Term] | None = None
    ) -> elm.Expression | None:
        """What a call says, or None where it has to stay a call.

        ``element`` is an alias that is not bound yet where the call is looked at, with its row.
        """
        key = (id(node), em.unit)
        if key not in self._known:
            depth = self._depths.get(id(node), 0) + 1
            written = self._written_out(em, node, element) if depth <= DEEPEST else None
            if written is not None:
                # A function that calls itself, by whatever way, must come to an end here too.
                for part in elm.walk(written):
                    if isinstance(part, elm.FunctionRef):
                        self._depths[id(part)] = max(depth, self._depths.get(id(part), 0))
                    if part is node:
                        written = None
                        break
            self._known[key] = (node, written)
        return self._known[key][1]

    def walks(self, em: Emitter, node: elm.FunctionRef) -> bool:
        """Whether a call hands a closed list to a function that is worth writing out for it."""
        free = em.assembly.freedom.free
        if all(free(operand) for operand in node.operand) or not any(
            free(operand) for operand in node.operand
        ):
            return False
        owner = em.assembly.unit_named(em.unit, node.library_name, node)
        functions = owner.functions(node.name, len(node.operand))
        if len(functions) != 1 or functions[0].expression is None:
            return False
        closed = {
            operand.name
            for operand, argument in zip(functions[0].operand, node.operand, strict=True)
            if not free(argument)
        }
        return any(
            isinstance(source.expression, elm.OperandRef) and source.expression.name in closed
            for part in elm.walk(functions[0].expression)
            if isinstance(part, elm.Query)
            for source in part.source
        )

    def _written_out(
        self, em: Emitter, node: elm.FunctionRef, element: tuple[str, Term] | None
    ) -> elm.Expression | None:
        owner = em.assembly.unit_named(em.unit, node.library_name, node)
        if owner.name == "FHIRHelpers":
            return None
        function = _meant(em, owner, node, element)
        if function is None or function.expression is None or function.external:
            return None
        freedom = em.assembly.freedom
        if freedom.size(function) > LARGEST:
            return None
        free: set[str] = set()
        for argument in node.operand:
            if not all(isinstance(part, _PLAIN) or _conversion(part) for part in elm.walk(argument)):
                return None
            free |= freedom.free(argument)
        if free & _bound(function.expression):
            return None
        arguments = dict(zip((o.name for o in function.operand), node.operand, strict=True))
        try:
            written: elm.Expression = _substituted(function.expression, arguments, _Move(owner, em.unit))
        except _Stays:
            return None
        return em.assembly.sharing.kept(written)


def _conversion(node: elm.Element) -> bool:
    return isinstance(node, elm.FunctionRef) and node.library_name == "FHIRHelpers"


def _meant(
    em: Emitter, owner: Unit, node: elm.FunctionRef, element: tuple[str, Term] | None
) -> elm.FunctionDef | None:
    candidates = owner.functions(node.name, len(node.operand))
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        return None
    names = em.names.with_aliases()
    if element is not None:
        names.aliases[element[0]] = element[1]
    with em.scope(names), em.w.captured():
        arguments = [em.expr(operand) for operand in node.operand]
        return em.assembly.overload(owner, node, arguments, em)


def _bound(node: elm.Expression) -> set[str]:
    """The names that an expression binds anywhere within."""
    found: set[str] = set()
    for part in elm.walk(node):
        if isinstance(part, elm.AliasedQuerySource):
            found.add(part.alias)
        elif isinstance(part, elm.LetClause):
            found.add(part.identifier)
        elif isinstance(part, elm.AggregateClause):
            found.add(part.identifier)
        elif isinstance(part, elm.Filter | elm.ForEach | elm.Repeat | elm.Sort | elm.Aggregate):
            found |= {"$row", "$this", getattr(part, "scope", None) or "$this"}
    return found


class _Stays(Exception):
    """The function says something that means another thing elsewhere."""


class _Move:
    """How names of one library are said in another."""

    def __init__(self, owner: Unit, user: Unit) -> None:
        self.same = owner is user
        self._owner = owner
        self._aliases = {id(unit): alias for alias, unit in user.includes.items()}

    def library(self, name: str | None) -> str:
        """The local name in the user's library of what the owner calls so."""
        unit = self._owner if name is None else self._owner.includes.get(name)
        alias = self._aliases.get(id(unit))
        if alias is None:
            raise _Stays
        return alias


def _substituted(node: Any, arguments: dict[str, elm.Expression], move: _Move) -> Any:
    if isinstance(node, elm.OperandRef):
        if node.name not in arguments:
            raise _Stays
        return arguments[node.name]
    if isinstance(node, elm.IdentifierRef | elm.Retrieve) and not move.same:
        raise _Stays
    changes: dict[str, Any] = {}
    if not move.same and isinstance(node, _NAMED):
        changes["library_name"] = move.library(node.library_name)
    for name, is_list in child_attributes(type(node)):
        value = getattr(node, name)
        if is_list:
            new: Any = tuple(_substituted(child, arguments, move) for child in value)
            if any(a is not b for a, b in zip(new, value, strict=True)):
                changes[name] = new
        elif value is not None:
            new = _substituted(value, arguments, move)
            if new is not value:
                changes[name] = new
    return replace(node, **changes) if changes else node
