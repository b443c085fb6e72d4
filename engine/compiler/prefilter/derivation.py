"""From the logic of a population to what must be true of a patient who is in it.

Four questions are asked of an expression, each answered by a requirement that holds whenever the answer is
yes: can it be *true*, can it be *not null*, can it be a list *with something in it*, and, for a list, what
its *rows* are. Logic that is not understood is answered by :data:`ANYTHING`, so that what is derived may let
too many through and never too few.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from measurewise.engine import elm
from measurewise.engine.compiler.assembly import Assembly
from measurewise.engine.compiler.prefilter.codes import coded, coded_value, spelled_out, value_set
from measurewise.engine.compiler.prefilter.comparisons import (
    PROPAGATING,
    RELATIONS,
    age_range,
    count_at_least_one,
    related,
    tolerated,
)
from measurewise.engine.compiler.prefilter.lists import ROWS
from measurewise.engine.compiler.prefilter.requirements import (
    ANYTHING,
    NOTHING,
    Absent,
    AgeAtTime,
    AllOf,
    AnyOf,
    ElementIn,
    OnRow,
    Present,
    Requirement,
    TimeBound,
    Unreadable,
    ValueSetUse,
    all_of,
    any_of,
)
from measurewise.engine.compiler.prefilter.rows import (
    Rows,
    of_patient,
    some,
    walk_conditions,
)
from measurewise.engine.compiler.prefilter.symbols import (
    NULL,
    Choice,
    Closure,
    Constant,
    Element,
    Fixed,
    Point,
    Row,
    Scope,
    Span,
    UndecidedError,
)
from measurewise.engine.compiler.prefilter.values import MOST_STEPS, PATIENT_ROW, Reading
from measurewise.engine.compiler.unit import Unit
from measurewise.engine.models.types import (
    DATE,
    DATETIME,
    STRING,
    ChoiceType,
    DataType,
    ListType,
    NamedType,
)

MOST_ROWS = 400


class Derivation(Reading):
    """Derives requirements from the definitions of one closed set of libraries."""

    def __init__(self, assembly: Assembly) -> None:
        super().__init__(assembly)
        self.row_count = PATIENT_ROW
        self._known: dict[tuple[str, Unit, str], Requirement] = {}
        self.known_rows: dict[tuple[Unit, str], list[Rows] | None] = {}

    def population(self, unit: Unit, name: str) -> Requirement:
        """What must be true of a patient for whom a definition is true, or gives a list that is not empty."""
        definition = unit.definition(name)
        if definition.expression is None or definition.context not in (None, "Patient"):
            return ANYTHING
        return of_patient(self.counts(definition.expression, Scope(unit, {})))

    def counts(self, node: elm.Expression, scope: Scope) -> Requirement:
        """That a criterion counts: true, or a list with something in it."""
        self.steps += 1
        ask = COUNTS.get(type(node))
        if ask is not None and self.steps <= MOST_STEPS:
            return ask(self, node, scope)
        if type(node) in TRUE:
            return self.true(node, scope)
        return some(self.rows(node, scope)) if type(node) in ROWS else ANYTHING

    # ---------------------------------------------------------------------------------- questions

    def true(self, node: elm.Expression, scope: Scope) -> Requirement:
        """What holds where a Boolean expression is true."""
        self.steps += 1
        ask = TRUE.get(type(node))
        return ANYTHING if ask is None or self.steps > MOST_STEPS else ask(self, node, scope)

    def nonnull(self, node: elm.Expression, scope: Scope) -> Requirement:
        """What holds where an expression is not null."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            return ANYTHING
        ask = NONNULL.get(type(node))
        if ask is not None:
            return ask(self, node, scope)
        if isinstance(node, PROPAGATING):
            operands = node.operand if isinstance(node.operand, tuple) else (node.operand,)
            return all_of(self.nonnull(operand, scope) for operand in operands)
        return ANYTHING

    def rows(self, node: elm.Expression, scope: Scope) -> list[Rows]:
        """The kinds of rows that a list has; of a value that is no list, the value itself if not null."""
        self.steps += 1
        ask = ROWS.get(type(node))
        if ask is None or self.steps > MOST_STEPS:
            return [Rows()]
        found = ask(self, node, scope)
        if len(found) > MOST_ROWS:
            return [Rows(besides=some(found))]
        return found

    # ---------------------------------------------------------------------------------- choices

    def split(self, ask: Callable[[], Requirement]) -> Requirement:
        """What ``ask`` gives, asked for each form that a choice element may have where that matters."""
        try:
            return ask()
        except UndecidedError as undecided:
            choice = undecided.choice
        by_answer: dict[Requirement, list[str]] = {}
        for form in choice.forms:
            answer = self.assuming(choice, form, lambda: self.split(ask))
            by_answer.setdefault(self._unless_unreadable(choice, form, answer), []).append(form[0])
        absent = self.assuming(choice, None, lambda: self.split(ask))
        if set(by_answer) == {absent}:
            return absent
        options = [
            all_of([OnRow(choice.row, Present(tuple(names))), answer]) for answer, names in by_answer.items()
        ]
        none = OnRow(choice.row, Absent(tuple(name for name, _ in choice.forms)))
        return any_of([*options, all_of([none, absent])])

    def _unless_unreadable(
        self, choice: Choice, form: tuple[str, NamedType], answer: Requirement
    ) -> Requirement:
        if answer == ANYTHING or self.assembly.shapes.primitive(form[1]) not in (DATE, DATETIME):
            return answer
        if all(
            isinstance(part, AllOf | AnyOf | OnRow)
            or (isinstance(part, TimeBound | AgeAtTime) and part.element == form[0])
            or (isinstance(part, Present) and form[0] in part.elements)
            for part in walk_conditions(answer)
        ):
            return answer
        return any_of([answer, OnRow(choice.row, Unreadable(form[0]))])

    # ---------------------------------------------------------------------------------- true: logic

    def _true_and(self, node: elm.And, scope: Scope) -> Requirement:
        return all_of(self.true(part, scope) for part in node.operand)

    def _true_or(self, node: elm.Or, scope: Scope) -> Requirement:
        return any_of(self.true(part, scope) for part in node.operand)

    def _true_not(self, node: elm.Not, scope: Scope) -> Requirement:
        inner = node.operand
        if isinstance(inner, elm.IsNull):
            return self.nonnull(inner.operand, scope)
        return self.true(inner.operand, scope) if isinstance(inner, elm.Not) else ANYTHING

    def _true_exists(self, node: elm.Exists, scope: Scope) -> Requirement:
        return some(self.rows(node.operand, scope))

    def _true_literal(self, node: elm.Literal, scope: Scope) -> Requirement:
        return ANYTHING if node.value == "true" else NOTHING

    def _true_is(self, node: elm.Is, scope: Scope) -> Requirement:
        return self.nonnull(node.operand, scope)

    def _true_is_true(self, node: elm.IsTrue, scope: Scope) -> Requirement:
        return self.true(node.operand, scope)

    def _true_any_true(self, node: elm.AnyTrue, scope: Scope) -> Requirement:
        return some(self.rows(node.source, scope))

    def _true_as(self, node: elm.As, scope: Scope) -> Requirement:
        return self.true(node.operand, scope)

    def _true_query(self, node: elm.Query, scope: Scope) -> Requirement:
        return some(self.rows(node, scope))

    # ---------------------------------------------------------------------------------- true: comparisons

    def _true_relation(self, node: elm.BinaryExpression, scope: Scope) -> Requirement:
        """A comparison or timing phrase: of times of a row and of fixed times, of ages, of counts."""
        counted = count_at_least_one(node)
        if counted is not None:
            return some(self.rows(counted, scope))
        may_be_null = tolerated(node)
        there = [self.nonnull(o, scope) for number, o in enumerate(node.operand) if number != may_be_null]
        return all_of([*there, self.split(lambda: self._related(node, scope))])

    def _related(self, node: elm.BinaryExpression, scope: Scope) -> Requirement:
        in_list = self._in_strings(node, scope)
        if in_list is not None:
            return in_list
        first, second = node.operand
        left = self.values(first, scope)
        aged = age_range(self, node, left, scope)
        if aged is not None:
            return aged
        right = self.values(second, scope)
        return any_of(related(node, a, b) for a, b in product(left, right))

    def _in_strings(self, node: elm.BinaryExpression, scope: Scope) -> Requirement | None:
        """``E.status = 'finished'``, ``E.status in {'finished', 'arrived'}``."""
        if not isinstance(node, elm.Equal | elm.In):
            return None
        sides = (node.operand, node.operand[::-1]) if isinstance(node, elm.Equal) else (node.operand,)
        for tested, wanted in sides:
            found = self.values(tested, scope)
            if len(found) != 1 or not isinstance(found[0], Element) or found[0].type != STRING:
                continue
            literals: tuple[elm.Expression, ...] = (wanted,)
            if isinstance(node, elm.In):
                wanted, inner = self.resolved(wanted, scope)
                if not isinstance(wanted, elm.List):
                    return None
                literals, scope = wanted.element, inner
            texts = []
            for literal in literals:
                value = self.values(literal, scope)
                if len(value) != 1 or not isinstance(value[0], Constant) or type(value[0].value) is not str:
                    return None
                texts.append(value[0].value)
            return OnRow(found[0].row, ElementIn(found[0].name, tuple(sorted(set(texts)))))
        return None

    def _true_function(self, node: elm.FunctionRef, scope: Scope) -> Requirement:
        return self._inlined(node, scope, self.true)

    def _inlined(
        self, node: elm.FunctionRef, scope: Scope, ask: Callable[[elm.Expression, Scope], Requirement]
    ) -> Requirement:
        if self.helper(node, scope) is not None:
            return ANYTHING
        found = self.bodies(node, scope)
        return ANYTHING if found is None else any_of(ask(body.node, body.scope) for body in found)

    # ---------------------------------------------------------------------------------- true: codes

    def _true_in_value_set(self, node: elm.InValueSet, scope: Scope) -> Requirement:
        there = self.nonnull(node.code, scope)
        use = self._named_value_set(node, scope)
        if use is None:
            return there
        return all_of([there, self.split(lambda: coded(self, node.code, scope, (use,), ()))])

    def _true_any_in_value_set(self, node: elm.AnyInValueSet, scope: Scope) -> Requirement:
        rows = self.rows(node.codes, scope)
        use = self._named_value_set(node, scope)
        if use is None:
            return some(rows)
        return any_of(all_of([row.required(), coded_value(self, row.value, (use,), ())]) for row in rows)

    def _named_value_set(self, node: elm.InValueSet | elm.AnyInValueSet, scope: Scope) -> ValueSetUse | None:
        named = node.valueset or node.valueset_expression
        return None if named is None else value_set(self, named, scope)

    def _true_equivalent(self, node: elm.Equivalent, scope: Scope) -> Requirement:
        for tested, wanted in (node.operand, node.operand[::-1]):
            codes = spelled_out(self, wanted, scope)
            if codes:
                there = self.nonnull(tested, scope)
                return all_of([there, self.split(lambda: coded(self, tested, scope, (), codes))])  # noqa: B023
        return ANYTHING

    # ---------------------------------------------------------------------------------- not null

    def _nonnull_null(self, node: elm.Null, scope: Scope) -> Requirement:
        return NOTHING

    def _nonnull_operand(self, node: elm.As | elm.Convert, scope: Scope) -> Requirement:
        return self.nonnull(node.operand, scope)

    def _nonnull_property(self, node: elm.Property, scope: Scope) -> Requirement:
        source: Requirement = ANYTHING
        if node.source is not None:
            source = self.nonnull(node.source, scope)
        elif node.scope is not None:
            source = self._nonnull_named(node.scope, scope)
        return all_of([source, self.split(lambda: self._present(node, scope))])

    def _present(self, node: elm.Expression, scope: Scope) -> Requirement:
        """That the element which an expression reads is there."""
        options = []
        for value in self.values(node, scope):
            if value is NULL:
                continue
            if isinstance(value, Point):
                options.append(OnRow(value.row, Present((value.element,))))
            elif isinstance(value, Element) and self._plain(value.type):
                options.append(OnRow(value.row, Present((value.name,))))
            elif isinstance(value, Choice):
                options.append(OnRow(value.row, Present(tuple(name for name, _ in value.forms))))
            else:
                return ANYTHING
        return any_of(options)

    def _plain(self, kind: DataType) -> bool:
        """Whether an element is null only where its property is missing: not lists, nor primitives, which
        may have an extension alone."""
        return not isinstance(kind, ListType | ChoiceType) and self.assembly.shapes.primitive(kind) is None

    def _nonnull_single(
        self,
        node: elm.First | elm.Last | elm.SingletonFrom | elm.Indexer | elm.AggregateExpression,
        scope: Scope,
    ) -> Requirement:
        source = _source_of(node)
        return some(self.rows(source, scope))

    def _nonnull_query(self, node: elm.Query, scope: Scope) -> Requirement:
        """A query over a value that is no list is null where that value is null or not kept."""
        if len(node.source) != 1 or not self._is_single(node.source[0].expression, scope):
            return ANYTHING
        rows = some(self.rows(node, scope))
        return rows if node.aggregate is None else ANYTHING

    def _is_single(self, node: elm.Expression, scope: Scope) -> bool:
        node, scope = self.resolved(node, scope)
        if isinstance(node, elm.First | elm.Last | elm.SingletonFrom | elm.Indexer):
            return True
        if isinstance(node, elm.Query):
            return len(node.source) == 1 and self._is_single(node.source[0].expression, scope)
        found = self.decided(node, scope)
        return bool(found) and all(isinstance(value, Row | Point | Fixed | Span) for value in found)

    def _nonnull_function(self, node: elm.FunctionRef, scope: Scope) -> Requirement:
        if self.helper(node, scope) is not None:
            return all_of(
                [self.nonnull(node.operand[0], scope), self.split(lambda: self._present(node, scope))]
            )
        return self._inlined(node, scope, self.nonnull)

    def _nonnull_alias(self, node: elm.AliasRef, scope: Scope) -> Requirement:
        return self._nonnull_named(node.name, scope)

    def _nonnull_named(self, name: str, scope: Scope) -> Requirement:
        found = scope.names.get(name)
        return self.nonnull(found.node, found.scope) if isinstance(found, Closure) else ANYTHING

    # ------------------------------ references and conditionals, for every question

    def _definition(
        self,
        node: elm.ExpressionRef,
        scope: Scope,
        question: str,
        ask: Callable[[elm.Expression, Scope], Requirement],
    ) -> Requirement:
        found = self.definition(node, scope)
        if found is None:
            return ANYTHING
        key = (question, found[1].unit, node.name)
        known = self._known.get(key)
        if known is None:
            self._known[key] = ANYTHING
            assert found[0].expression is not None
            known = self._known[key] = ask(found[0].expression, found[1])
        return known

    def _either(
        self,
        node: elm.If | elm.Case,
        scope: Scope,
        ask: Callable[[elm.Expression, Scope], Requirement],
    ) -> Requirement:
        """One of the branches, with its condition."""
        return any_of(
            all_of([condition, ask(branch, scope)]) for condition, branch in self.branches(node, scope)
        )

    def branches(self, node: elm.If | elm.Case, scope: Scope) -> list[tuple[Requirement, elm.Expression]]:
        """What holds where each branch is taken, and the branch."""
        if isinstance(node, elm.If):
            otherwise: Requirement = ANYTHING
            if isinstance(node.condition, elm.IsNull):
                otherwise = self.nonnull(node.condition.operand, scope)
            return [(self.true(node.condition, scope), node.then), (otherwise, node.else_)]
        branches: list[tuple[Requirement, elm.Expression]] = []
        for item in node.case_item:
            condition = self.true(item.when, scope) if node.comparand is None else ANYTHING
            branches.append((condition, item.then))
        return [*branches, (ANYTHING, node.else_)]


def _source_of(node: elm.Expression) -> elm.Expression:
    if isinstance(node, elm.First | elm.Last | elm.AggregateExpression):
        return node.source
    if isinstance(node, elm.SingletonFrom):
        return node.operand
    assert isinstance(node, elm.Indexer)
    return node.operand[0]


Ask = Callable[..., Requirement]
D = Derivation


def _referring(question: str, ask: Callable[[Derivation], Ask]) -> dict[type, Ask]:
    """The answers to a question that references and conditionals pass on."""
    return {
        elm.ExpressionRef: lambda d, node, scope: d._definition(node, scope, question, ask(d)),
        elm.OperandRef: lambda d, node, scope: _named(d, f"operand:{node.name}", scope, ask(d)),
        elm.QueryLetRef: lambda d, node, scope: _named(d, f"let:{node.name}", scope, ask(d)),
        elm.If: lambda d, node, scope: d._either(node, scope, ask(d)),
        elm.Case: lambda d, node, scope: d._either(node, scope, ask(d)),
        elm.Coalesce: lambda d, node, scope: (
            ANYTHING if len(node.operand) == 1 else any_of(ask(d)(part, scope) for part in node.operand)
        ),
    }


def _named(derivation: Derivation, name: str, scope: Scope, ask: Ask) -> Requirement:
    found = scope.names.get(name)
    return ask(found.node, found.scope) if isinstance(found, Closure) else ANYTHING


TRUE: dict[type, Ask] = {
    **_referring("true", lambda d: d.true),
    elm.And: D._true_and,
    elm.Or: D._true_or,
    elm.Not: D._true_not,
    elm.Exists: D._true_exists,
    elm.Literal: D._true_literal,
    elm.Null: D._nonnull_null,
    elm.Is: D._true_is,
    elm.IsTrue: D._true_is_true,
    elm.AnyTrue: D._true_any_true,
    elm.As: D._true_as,
    elm.Query: D._true_query,
    elm.FunctionRef: D._true_function,
    elm.InValueSet: D._true_in_value_set,
    elm.AnyInValueSet: D._true_any_in_value_set,
    elm.Equivalent: D._true_equivalent,
    **dict.fromkeys(RELATIONS, D._true_relation),
}
"""What is known of each Boolean node."""

COUNTS: dict[type, Ask] = {
    **_referring("counts", lambda d: d.counts),
    elm.As: lambda d, node, scope: d.counts(node.operand, scope),
    elm.FunctionRef: lambda d, node, scope: d._inlined(node, scope, d.counts),
}
"""What passes the question on whether a criterion counts."""

NONNULL: dict[type, Ask] = {
    **_referring("not null", lambda d: d.nonnull),
    elm.Null: D._nonnull_null,
    elm.As: D._nonnull_operand,
    elm.Message: lambda d, node, scope: d.nonnull(node.source, scope),
    elm.Property: D._nonnull_property,
    elm.AliasRef: D._nonnull_alias,
    elm.FunctionRef: D._nonnull_function,
    elm.Query: D._nonnull_query,
    **dict.fromkeys(
        (
            elm.First,
            elm.Last,
            elm.SingletonFrom,
            elm.Indexer,
            elm.Min,
            elm.Max,
            elm.Avg,
            elm.Median,
            elm.Mode,
        ),
        D._nonnull_single,
    ),
}
"""What is known of each node that may be null."""
