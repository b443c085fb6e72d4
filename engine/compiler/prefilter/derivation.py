"""From the logic of a population to what must be true of a patient who is in it.

Four questions are asked of an expression, each answered by a requirement that holds whenever the answer is
yes: can it be *true*, can it be *not null*, can it be a list *with something in it*, and, for a list, what
its *rows* are. Logic that is not understood is answered by :data:`ANYTHING`, so that what is derived may let
too many through and never too few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product

from measurewise.engine import elm
from measurewise.engine.compiler.assembly import Assembly
from measurewise.engine.compiler.prefilter.comparisons import (
    PROPAGATING,
    RELATIONS,
    age_range,
    count_at_least_one,
    related,
)
from measurewise.engine.compiler.prefilter.requirements import (
    ANYTHING,
    NOTHING,
    Absent,
    AgeAtTime,
    AllOf,
    AnyOf,
    Coded,
    ElementIn,
    OnRow,
    Present,
    Requirement,
    TimeBound,
    Unreadable,
    ValueSetUse,
    all_of,
    any_of,
    has_resource,
    walk,
)
from measurewise.engine.compiler.prefilter.symbols import (
    NULL,
    UNKNOWN,
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
    Value,
)
from measurewise.engine.compiler.prefilter.values import MOST_STEPS, PATIENT_ROW, Reading, is_patient
from measurewise.engine.compiler.retrieval import CodeElement
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


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a list: resources of a type that meet a condition, or a value of the scope.

    ``besides`` is what else must be true of the patient for such a row to be there.
    """

    resource_type: NamedType | None = None
    where: Requirement = ANYTHING
    value: Value = UNKNOWN
    besides: Requirement = ANYTHING

    def required(self) -> Requirement:
        """That there is such a row."""
        if self.resource_type is None:
            return self.besides
        return all_of([has_resource(self.resource_type.name, self.where), self.besides])


def some(rows: Iterable[Rows]) -> Requirement:
    """That there is a row of any kind."""
    return any_of(row.required() for row in rows)


class Derivation(Reading):
    """Derives requirements from the definitions of one closed set of libraries."""

    def __init__(self, assembly: Assembly) -> None:
        super().__init__(assembly)
        self._row_count = PATIENT_ROW
        self._known: dict[tuple[str, Unit, str], Requirement] = {}
        self._known_rows: dict[tuple[Unit, str], list[Rows] | None] = {}

    def population(self, unit: Unit, name: str) -> Requirement:
        """What must be true of a patient for whom a definition is true, or gives a list that is not empty."""
        definition = unit.definition(name)
        if definition.expression is None or definition.context not in (None, "Patient"):
            return ANYTHING
        return _of_patient(self.counts(definition.expression, Scope(unit, {})))

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
            for part in _walk_rows(answer)
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
        first, second = node.operand
        there = [self.nonnull(second, scope)]
        if not isinstance(node, elm.In):
            there.append(self.nonnull(first, scope))
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

    def _true_in_value_set(self, node: elm.InValueSet | elm.AnyInValueSet, scope: Scope) -> Requirement:
        named = node.valueset or node.valueset_expression
        code = node.code if isinstance(node, elm.InValueSet) else node.codes
        if named is None:
            return ANYTHING
        use = self._value_set(named, scope)
        there = ANYTHING if isinstance(node, elm.AnyInValueSet) else self.nonnull(code, scope)
        if use is None:
            return there
        return all_of([there, self.split(lambda: self._coded(code, scope, (use,), ()))])

    def _true_equivalent(self, node: elm.Equivalent, scope: Scope) -> Requirement:
        for tested, wanted in (node.operand, node.operand[::-1]):
            codes = self._codes(wanted, scope)
            if codes:
                there = self.nonnull(tested, scope)
                return all_of([there, self.split(lambda: self._coded(tested, scope, (), codes))])  # noqa: B023
        return ANYTHING

    def _coded(
        self,
        node: elm.Expression,
        scope: Scope,
        uses: tuple[ValueSetUse, ...],
        codes: tuple[tuple[str | None, str], ...],
    ) -> Requirement:
        options = []
        for value in self.values(node, scope):
            if value is NULL:
                continue
            if not isinstance(value, Element):
                return ANYTHING
            element = self._code_element(value)
            if element is None:
                return ANYTHING
            options.append(OnRow(value.row, Coded((element,), uses, codes)))
        return any_of(options)

    def _code_element(self, value: Element) -> CodeElement | None:
        repeats = value.one_of or isinstance(value.type, ListType)
        inner = value.type.element if isinstance(value.type, ListType) else value.type
        kind = self.assembly._coded(inner)
        return None if kind not in ("CodeableConcept", "Coding") else CodeElement(value.name, kind, repeats)

    def _codes(self, node: elm.Expression, scope: Scope) -> tuple[tuple[str | None, str], ...]:
        """The codes that an expression spells out; none where it does not."""
        node, scope = self.resolved(node, scope)
        while isinstance(node, elm.ToConcept | elm.ToList):
            node, scope = self.resolved(node.operand, scope)
        if isinstance(node, elm.CodeRef | elm.ConceptRef):
            unit = self.assembly.unit_named(scope.unit, node.library_name, node)
            if isinstance(node, elm.CodeRef):
                return (unit.code_text(node.name, self.assembly, node)[1],)
            return unit.concept_text(node.name, self.assembly, node)[1]
        return ()

    def _value_set(self, node: elm.Expression, scope: Scope) -> ValueSetUse | None:
        node, scope = self.resolved(node, scope)
        while isinstance(node, elm.ExpandValueSet | elm.ToList):
            node, scope = self.resolved(node.operand, scope)
        if not isinstance(node, elm.ValueSetRef):
            return None
        url, version = self.assembly.value_set_identity(scope.unit, node)
        return ValueSetUse(url, version, node.name)

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
            all_of([condition, ask(branch, scope)]) for condition, branch in self._branches(node, scope)
        )

    def _branches(self, node: elm.If | elm.Case, scope: Scope) -> list[tuple[Requirement, elm.Expression]]:
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

    # ---------------------------------------------------------------------------------- rows: lists

    def _rows_retrieve(self, node: elm.Retrieve, scope: Scope) -> list[Rows]:
        kind = self.assembly.shapes.named(node.data_type)
        codes, path, comparator = node.codes, node.code_property, node.code_comparator or "in"
        if codes is None and node.code_filter:
            first = node.code_filter[0]
            codes, path, comparator = first.value, first.property, first.comparator or "in"
        where: Requirement = ANYTHING
        if codes is not None:
            if path is None:
                info = self.model.class_of(kind)
                path = (info.primary_code_path if info else None) or "code"
            elements = self.assembly.code_elements(kind, path)
            use = self._value_set(codes, scope)
            if use is not None and comparator != "~":
                where = Coded(elements, value_sets=(use,))
            elif use is None:
                listed = self._codes(codes, scope)
                where = Coded(elements, codes=listed) if listed else ANYTHING
        return [Rows(kind, where)]

    def _rows_union(self, node: elm.Union, scope: Scope) -> list[Rows]:
        return [row for part in node.operand for row in self.rows(part, scope)]

    def _rows_intersect(self, node: elm.Intersect, scope: Scope) -> list[Rows]:
        return [Rows(besides=all_of(some(self.rows(part, scope)) for part in node.operand))]

    def _rows_first_operand(self, node: elm.Except, scope: Scope) -> list[Rows]:
        return self.rows(node.operand[0], scope)

    def _rows_of_source(
        self, node: elm.Sort | elm.First | elm.Last | elm.Filter | elm.Slice, scope: Scope
    ) -> list[Rows]:
        return self.rows(node.source, scope)

    def _rows_of_operand(
        self, node: elm.Distinct | elm.SingletonFrom | elm.ToList, scope: Scope
    ) -> list[Rows]:
        return self.rows(node.operand, scope)

    def _rows_indexer(self, node: elm.Indexer, scope: Scope) -> list[Rows]:
        return self.rows(node.operand[0], scope)

    def _rows_hidden(self, node: elm.Flatten | elm.ForEach, scope: Scope) -> list[Rows]:
        source = node.operand if isinstance(node, elm.Flatten) else node.source
        return [Rows(besides=some(self.rows(source, scope)))]

    def _rows_null(self, node: elm.Null, scope: Scope) -> list[Rows]:
        return []

    def _rows_list(self, node: elm.List, scope: Scope) -> list[Rows]:
        return [Rows()] if node.element else []

    def _rows_as(self, node: elm.As, scope: Scope) -> list[Rows]:
        wanted = self.type_of(node.as_type, node.as_type_specifier)
        element = wanted.element if isinstance(wanted, ListType) else wanted
        return [self._seen_as(row, element) for row in self.rows(node.operand, scope)]

    def _seen_as(self, row: Rows, wanted: DataType) -> Rows:
        """A row that may become null by a cast is no longer known."""
        if row.resource_type is None:
            return replace(row, value=UNKNOWN) if row.value is not UNKNOWN else row
        if self.model.is_subtype(row.resource_type, wanted):
            return row
        return Rows(besides=row.required())

    def _rows_branches(self, node: elm.If | elm.Case, scope: Scope) -> list[Rows]:
        return [
            replace(row, besides=all_of([row.besides, condition]))
            for condition, branch in self._branches(node, scope)
            for row in self.rows(branch, scope)
        ]

    def _rows_coalesce(self, node: elm.Coalesce, scope: Scope) -> list[Rows]:
        if len(node.operand) == 1:
            return [Rows(besides=some(self.rows(node.operand[0], scope)))]
        return [row for part in node.operand for row in self.rows(part, scope)]

    def _rows_expression_ref(self, node: elm.ExpressionRef, scope: Scope) -> list[Rows]:
        found = self.definition(node, scope)
        if found is None:
            return [Rows()]
        expression = found[0].expression
        assert expression is not None
        if is_patient(expression):
            return [Rows(value=value) for value in self.decided(node, scope)]
        key = (found[1].unit, node.name)
        if key not in self._known_rows:
            self._known_rows[key] = None
            self._known_rows[key] = self.rows(expression, found[1])
        known = self._known_rows[key]
        return [Rows()] if known is None else known

    def _rows_function(self, node: elm.FunctionRef, scope: Scope) -> list[Rows]:
        if self.helper(node, scope) is not None:
            return self._rows_value(node, scope)
        found = self.bodies(node, scope)
        if found is None:
            return [Rows()]
        return [row for body in found for row in self.rows(body.node, body.scope)]

    def _rows_named(self, name: str, scope: Scope) -> list[Rows]:
        found = scope.names.get(name)
        if isinstance(found, Closure):
            return self.rows(found.node, found.scope)
        return [Rows(value=UNKNOWN if found is None else found)]

    def _rows_value(self, node: elm.Expression, scope: Scope) -> list[Rows]:
        """The elements of a list that a row holds, or a value that is no list."""
        there = self.nonnull(node, scope)
        found: list[Rows] = []
        for value in self.decided(node, scope):
            if value is NULL:
                continue
            if isinstance(value, Element) and isinstance(value.type, ListType):
                # One of the elements, read from the same property.
                value = replace(value, type=value.type.element, one_of=True)
                at_least = OnRow(value.row, Present((value.name,)))
                found.append(Rows(value=value, besides=all_of([there, at_least])))
            else:
                found.append(Rows(value=value, besides=there))
        return found

    # ---------------------------------------------------------------------------------- rows: queries

    def _rows_query(self, node: elm.Query, scope: Scope) -> list[Rows]:
        if node.aggregate is not None:
            return [Rows()]
        sources: list[list[Rows]] = []
        aliases = [source.alias for source in node.source]
        for source in node.source:
            others: dict[str, Value | Closure] = {a: UNKNOWN for a in aliases if a != source.alias}
            inner = scope.with_names(others)
            found = self.rows(source.expression, scope)
            sources.append(self._kept(found, source.alias, inner, lambda s: self._condition(node, s)))
        if any(not rows for rows in sources):
            return []
        returned = node.return_.expression if node.return_ is not None else None
        casts: list[DataType] = []
        while isinstance(returned, elm.As):
            casts.append(self.type_of(returned.as_type, returned.as_type_specifier))
            returned = returned.operand
        shown: int | None = None
        if node.return_ is None and len(sources) == 1:
            shown = 0
        elif isinstance(returned, elm.AliasRef) and returned.name in aliases:
            shown = aliases.index(returned.name)
        besides = [some(rows) for number, rows in enumerate(sources) if number != shown]
        if shown is None:
            if len(sources) == 1 and node.return_ is not None:
                return [self._returned(row, node, aliases[0], scope) for row in sources[0]]
            return [Rows(besides=all_of(besides))]
        rows = [replace(row, besides=all_of([row.besides, *besides])) for row in sources[shown]]
        for cast in casts:
            rows = [self._seen_as(row, cast) for row in rows]
        return rows

    def _returned(self, row: Rows, node: elm.Query, alias: str, scope: Scope) -> Rows:
        """What a query makes of a row: known only where the row is a value of the scope."""
        assert node.return_ is not None
        if row.resource_type is None and row.value is not UNKNOWN:
            inner = self.with_lets(node, scope.with_names({alias: row.value}))
            found = self.decided(node.return_.expression, inner)
            if len(found) == 1 and found[0] is not NULL:
                return Rows(value=found[0], besides=row.besides)
        return Rows(besides=row.required())

    def _condition(self, node: elm.Query, scope: Scope) -> Requirement:
        """What the conditions of a query ask of a row and of the patient."""
        scope = self.with_lets(node, scope)
        parts = []
        for relation in node.relationship:
            if isinstance(relation, elm.With):
                kept = self._kept(
                    self.rows(relation.expression, scope),
                    relation.alias,
                    scope,
                    lambda s: self.true(relation.such_that, s),  # noqa: B023
                )
                parts.append(some(kept))
        if node.where is not None:
            parts.append(self.true(node.where, scope))
        return all_of(parts)

    def _kept(
        self,
        rows: list[Rows],
        alias: str,
        scope: Scope,
        condition: Callable[[Scope], Requirement],
    ) -> list[Rows]:
        """The rows for which a condition holds, with what it says of them."""
        kept = []
        conditions: dict[NamedType, tuple[Requirement, Requirement]] = {}
        for row in rows:
            kind = row.resource_type
            if kind is None:
                whole = condition(scope.with_names({alias: row.value}))
                besides = all_of([row.besides, whole])
                if besides != NOTHING:
                    kept.append(replace(row, besides=besides))
                continue
            if kind not in conditions:
                self._row_count += 1
                number = self._row_count
                whole = condition(scope.with_names({alias: Row(number, kind)}))
                conditions[kind] = _of_row(whole, number), _without_row(whole, number)
            of_row, besides = conditions[kind]
            where = all_of([row.where, of_row])
            besides = all_of([row.besides, besides])
            if where != NOTHING and besides != NOTHING:
                kept.append(replace(row, where=where, besides=besides))
        return kept


def _source_of(node: elm.Expression) -> elm.Expression:
    if isinstance(node, elm.First | elm.Last | elm.AggregateExpression):
        return node.source
    if isinstance(node, elm.SingletonFrom):
        return node.operand
    assert isinstance(node, elm.Indexer)
    return node.operand[0]


def _walk_rows(requirement: Requirement) -> Iterable[Requirement]:
    for part in walk(requirement):
        yield part
        if isinstance(part, OnRow):
            yield from _walk_rows(part.condition)


def _of_row(requirement: Requirement, row: int) -> Requirement:
    """What a requirement says of one row."""
    if isinstance(requirement, OnRow):
        return requirement.condition if requirement.row == row else ANYTHING
    if isinstance(requirement, AllOf):
        return all_of(_of_row(part, row) for part in requirement.parts)
    if isinstance(requirement, AnyOf):
        return any_of(_of_row(part, row) for part in requirement.parts)
    return ANYTHING


def _without_row(requirement: Requirement, row: int) -> Requirement:
    """What a requirement says of everything but one row."""
    if isinstance(requirement, OnRow):
        return ANYTHING if requirement.row == row else requirement
    if isinstance(requirement, AllOf):
        return all_of(_without_row(part, row) for part in requirement.parts)
    if isinstance(requirement, AnyOf):
        return any_of(_without_row(part, row) for part in requirement.parts)
    return requirement


def _of_patient(requirement: Requirement) -> Requirement:
    """A requirement whose conditions on the patient are conditions on the Patient resource."""
    if isinstance(requirement, OnRow):
        if requirement.row != PATIENT_ROW:
            return ANYTHING
        return has_resource("Patient", requirement.condition)
    if isinstance(requirement, AllOf):
        return all_of(_of_patient(part) for part in requirement.parts)
    if isinstance(requirement, AnyOf):
        return any_of(_of_patient(part) for part in requirement.parts)
    return requirement


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
    elm.AnyInValueSet: D._true_in_value_set,
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

ROWS: dict[type, Callable[..., list[Rows]]] = {
    elm.Retrieve: D._rows_retrieve,
    elm.Union: D._rows_union,
    elm.Intersect: D._rows_intersect,
    elm.Except: D._rows_first_operand,
    elm.Query: D._rows_query,
    elm.Sort: D._rows_of_source,
    elm.First: D._rows_of_source,
    elm.Last: D._rows_of_source,
    elm.Filter: D._rows_of_source,
    elm.Slice: D._rows_of_source,
    elm.Distinct: D._rows_of_operand,
    elm.SingletonFrom: D._rows_of_operand,
    elm.ToList: D._rows_of_operand,
    elm.Indexer: D._rows_indexer,
    elm.Flatten: D._rows_hidden,
    elm.ForEach: D._rows_hidden,
    elm.Null: D._rows_null,
    elm.List: D._rows_list,
    elm.As: D._rows_as,
    elm.If: D._rows_branches,
    elm.Case: D._rows_branches,
    elm.Coalesce: D._rows_coalesce,
    elm.ExpressionRef: D._rows_expression_ref,
    elm.FunctionRef: D._rows_function,
    elm.OperandRef: lambda d, node, scope: d._rows_named(f"operand:{node.name}", scope),
    elm.QueryLetRef: lambda d, node, scope: d._rows_named(f"let:{node.name}", scope),
    elm.AliasRef: lambda d, node, scope: d._rows_named(node.name, scope),
    elm.Property: D._rows_value,
}
"""What is known of the rows of each node."""
