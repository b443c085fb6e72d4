"""What every use of a retrieve asks of its rows: which resources could change a result, and which could not.

Each way from the wanted definitions to a retrieve is walked. On the way the conditions of the queries through
which its rows pass are gathered: what ``where``, ``with`` and the condition of a relationship say of a row
that is kept. A row that meets none of what is gathered is looked at and dropped by every query, be it below
``exists``, ``not exists`` or ``Last``, so that the results are the same without it. Rows that are used in any
other way (counted, returned, compared, sorted before they are filtered) can be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from measurewise.engine import elm
from measurewise.engine.compiler.assembly import Assembly
from measurewise.engine.compiler.prefilter.codes import spelled_out
from measurewise.engine.compiler.prefilter.derivation import Derivation
from measurewise.engine.compiler.prefilter.lists import condition_of_query
from measurewise.engine.compiler.prefilter.requirements import ANYTHING, NOTHING, Requirement, all_of
from measurewise.engine.compiler.prefilter.rows import Rows, of_row
from measurewise.engine.compiler.prefilter.symbols import UNKNOWN, Closure, Row, Scope
from measurewise.engine.compiler.prefilter.values import MOST_STEPS
from measurewise.engine.compiler.unit import Unit
from measurewise.engine.models.model import Model
from measurewise.engine.models.types import DataType, ListType, NamedType

MOST_VISITS = 400_000
STEPS_OF_A_QUERY = 10_000
"""How far the conditions of a query are read; what would take longer is not known."""

Codes = tuple[str, str | None] | frozenset[tuple[str | None, str]] | Literal["unknown"] | None
"""What a retrieve's codes are in: a value set by URL and version, listed codes, not plain to see; or none."""
Asked = tuple[str, str | None, Codes]
"""A retrieve: its resource type, profile and codes."""
Needs = frozenset[tuple[NamedType, Requirement]]
"""What the user of a list asks of its rows, by their type; a type that is not named is used whole."""
WHOLE: Needs = frozenset()


def uses_of(
    libraries: Iterable[elm.Library],
    library: tuple[str, str | None],
    names: Iterable[str],
    *,
    model: Model | None = None,
) -> dict[Asked, tuple[Requirement, ...]] | None:
    """What each use of a retrieve asks of its rows, from some definitions or functions of a library on.

    ``libraries`` is a closed set. None where the logic could not be followed.
    """
    assembly = Assembly(libraries, model)
    uses = Uses(assembly)
    try:
        for name in names:
            uses.add(assembly.unit(*library), name)
    except NotFollowedError:
        return None
    return {asked: tuple(wanted) for asked, wanted in uses.found.items()}


class NotFollowedError(Exception):
    """The logic could not be walked to its end, so nothing is known of any retrieve."""


class _Kinds(Derivation):
    """Tells the types of a list's rows, and nothing of what they meet."""

    def true(self, node: elm.Expression, scope: Scope) -> Requirement:
        return ANYTHING

    def nonnull(self, node: elm.Expression, scope: Scope) -> Requirement:
        return ANYTHING


class _OfOneRow(Derivation):
    """Tells what a condition says of one row and fixed times; of the rows it is compared with it knows
    nothing, for each form of each of their elements would have to be thought through."""

    def rows(self, node: elm.Expression, scope: Scope) -> list[Rows]:
        return [Rows()] if isinstance(node, elm.Retrieve) else super().rows(node, scope)


class Uses:
    """Gathers the uses of retrieves in one closed set of libraries; ``found`` has what they ask."""

    def __init__(self, assembly: Assembly) -> None:
        self.found: dict[Asked, dict[Requirement, None]] = {}
        self._derivation = _OfOneRow(assembly)
        self._kinds = _Kinds(assembly)
        self._assembly = assembly
        self._walked: set[tuple[Closure | tuple[Unit, str], Needs]] = set()
        self._visits = 0

    def add(self, unit: Unit, name: str) -> None:
        """Walk a definition or the functions of a name. Raises NotFollowedError."""
        if unit.has_definition(name):
            self._define(unit, name, WHOLE)
            return
        for function in unit.functions(name):
            if function.expression is None or function.external:
                raise NotFollowedError
            self.visit(function.expression, Scope(unit, {}))

    def visit(self, node: elm.Element, scope: Scope, needs: Needs = WHOLE) -> None:
        """Walk an expression of whose rows its user asks some things."""
        self._visits += 1
        if self._visits > MOST_VISITS:
            raise NotFollowedError
        visit = VISITS.get(type(node))
        if visit is not None:
            visit(self, node, scope, needs)
        else:
            self._parts(elm.children(node), scope)

    def _parts(self, nodes: Iterable[elm.Element | None], scope: Scope) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node, scope)

    # ---------------------------------------------------------------------------------- retrieves and queries

    def _retrieve(self, node: elm.Retrieve, scope: Scope, needs: Needs) -> None:
        kind = self._assembly.shapes.named(node.data_type)
        wanted = dict(needs).get(kind, ANYTHING)
        uses = self.found.setdefault((kind.name, node.template_id, self._codes(node, scope)), {})
        if wanted != NOTHING:
            uses[wanted] = None
        self._parts(elm.children(node), scope)

    def _codes(self, node: elm.Retrieve, scope: Scope) -> Codes:
        """The codes as they stand in the retrieve; those that a name stands for are not looked up."""
        codes = node.codes
        if codes is None and node.code_filter:
            codes = node.code_filter[0].value
        if codes is None:
            return None
        inner = codes
        while isinstance(inner, elm.ExpandValueSet | elm.ToList | elm.ToConcept):
            inner = inner.operand
        if isinstance(inner, elm.ValueSetRef):
            return self._assembly.value_set_identity(scope.unit, inner)
        if isinstance(inner, elm.CodeRef | elm.ConceptRef):
            return frozenset(spelled_out(self._derivation, inner, scope)) or "unknown"
        return "unknown"

    def _query(self, node: elm.Query, scope: Scope, needs: Needs) -> None:
        d = self._derivation
        shown, passed = self._shown(node, needs)
        blind = scope.with_names({source.alias: UNKNOWN for source in node.source})
        for number, source in enumerate(node.source):
            onward = passed if number == shown else WHOLE
            kept = self._kept(source, scope, blind, onward, lambda inner: condition_of_query(d, node, inner))
            self.visit(source.expression, scope, kept)
        inner = d.with_lets(node, blind)
        for relation in node.relationship:
            met = relation.such_that
            kept = self._kept(relation, inner, inner, WHOLE, lambda s: d.true(met, s))  # noqa: B023
            self.visit(relation.expression, inner, kept)
            self.visit(met, inner.with_names({relation.alias: UNKNOWN}))
        self._parts((node.where, node.return_, node.aggregate, node.sort), inner)

    def _shown(self, node: elm.Query, needs: Needs) -> tuple[int | None, Needs]:
        """Which source's rows a query gives on as they are, and what is asked of them."""
        if node.aggregate is not None:
            return None, WHOLE
        if node.return_ is None:
            return (0, needs) if len(node.source) == 1 else (None, WHOLE)
        returned = node.return_.expression
        while isinstance(returned, elm.As):
            needs = self._cast(returned, needs)
            returned = returned.operand
        for number, source in enumerate(node.source):
            if isinstance(returned, elm.AliasRef) and returned.name == source.alias:
                return number, needs
        return None, WHOLE

    def _kept(
        self,
        source: elm.AliasedQuerySource,
        outside: Scope,
        inside: Scope,
        needs: Needs,
        condition: Callable[[Scope], Requirement],
    ) -> Needs:
        """What a row of a source must meet to be kept and then to be of use, by type."""
        d = self._derivation
        d.steps = self._kinds.steps = MOST_STEPS - STEPS_OF_A_QUERY
        kinds = {row.resource_type for row in self._kinds.rows(source.expression, outside)}
        wanted = dict(needs)
        kept = set()
        for kind in kinds:
            if kind is None:
                continue
            d.row_count += 1
            row = d.row_count
            met = of_row(condition(inside.with_names({source.alias: Row(row, kind)})), row)
            kept.add((kind, all_of([met, wanted.get(kind, ANYTHING)])))
        return frozenset(kept)

    # ---------------------------------------------------------------------------------- lists given on

    def _same_rows(self, node: elm.Union | elm.Distinct, scope: Scope, needs: Needs) -> None:
        for part in node.operand if isinstance(node.operand, tuple) else (node.operand,):
            self.visit(part, scope, needs)

    def _sort(self, node: elm.Sort, scope: Scope, needs: Needs) -> None:
        self.visit(node.source, scope, needs)
        self._parts(node.by, scope)

    def _as(self, node: elm.As, scope: Scope, needs: Needs) -> None:
        self.visit(node.operand, scope, self._cast(node, needs))

    def _cast(self, node: elm.As, needs: Needs) -> Needs:
        """What is asked of rows before a cast: nothing is known of those that it may make null."""
        d = self._derivation
        wanted: DataType = d.type_of(node.as_type, node.as_type_specifier)
        element = wanted.element if isinstance(wanted, ListType) else wanted
        return frozenset((kind, asked) for kind, asked in needs if d.model.is_subtype(kind, element))

    def _if(self, node: elm.If, scope: Scope, needs: Needs) -> None:
        self.visit(node.condition, scope)
        self.visit(node.then, scope, needs)
        self.visit(node.else_, scope, needs)

    def _case(self, node: elm.Case, scope: Scope, needs: Needs) -> None:
        self._parts((node.comparand, *(item.when for item in node.case_item)), scope)
        for branch in (*(item.then for item in node.case_item), node.else_):
            self.visit(branch, scope, needs)

    # ---------------------------------------------------------------------------------- references

    def _expression_ref(self, node: elm.ExpressionRef, scope: Scope, needs: Needs) -> None:
        self._define(self._assembly.unit_named(scope.unit, node.library_name, node), node.name, needs)

    def _define(self, unit: Unit, name: str, needs: Needs) -> None:
        expression = unit.definition(name).expression
        if expression is not None and self._is_new((unit, name), needs):
            self.visit(expression, Scope(unit, {}), needs)

    def _function_ref(self, node: elm.FunctionRef, scope: Scope, needs: Needs) -> None:
        if self._derivation.helper(node, scope) is not None:
            self._parts(node.operand, scope)
            return
        bodies = self._derivation.bodies(node, scope)
        if bodies is None:
            raise NotFollowedError
        for body in bodies:
            self.visit(body.node, body.scope, needs)

    def _operand_ref(self, node: elm.OperandRef, scope: Scope, needs: Needs) -> None:
        self._named(f"operand:{node.name}", scope, needs)

    def _let_ref(self, node: elm.QueryLetRef, scope: Scope, needs: Needs) -> None:
        self._named(f"let:{node.name}", scope, needs)

    def _named(self, name: str, scope: Scope, needs: Needs) -> None:
        found = scope.names.get(name)
        if isinstance(found, Closure) and self._is_new(found, needs):
            self.visit(found.node, found.scope, needs)

    def _is_new(self, place: Closure | tuple[Unit, str], needs: Needs) -> bool:
        """Whether a place was not yet walked with these needs, or for the whole."""
        if (place, WHOLE) in self._walked or (place, needs) in self._walked:
            return False
        self._walked.add((place, needs))
        return True


VISITS: dict[type, Callable[..., None]] = {
    elm.Retrieve: Uses._retrieve,
    elm.Query: Uses._query,
    elm.Union: Uses._same_rows,
    elm.Distinct: Uses._same_rows,
    elm.Sort: Uses._sort,
    elm.As: Uses._as,
    elm.If: Uses._if,
    elm.Case: Uses._case,
    elm.ExpressionRef: Uses._expression_ref,
    elm.FunctionRef: Uses._function_ref,
    elm.OperandRef: Uses._operand_ref,
    elm.QueryLetRef: Uses._let_ref,
}
"""Nodes that give rows or questions on; of all others the parts are used whole."""
