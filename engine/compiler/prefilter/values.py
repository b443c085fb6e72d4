"""What the parts of an expression are: rows and their elements, times, ages, constants.

Conditionals whose condition cannot be decided give the possibilities of all their branches. Which form a
choice element has is assumed by the caller, form by form (:class:`UndecidedError` asks for it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Literal, TypeVar

from measurewise.engine import elm
from measurewise.engine.compiler.assembly import Assembly
from measurewise.engine.compiler.intrinsics import LIBRARY as FHIR_HELPERS
from measurewise.engine.compiler.prefilter.moments import DayOfYear, Moment, Shift
from measurewise.engine.compiler.prefilter.symbols import (
    NULL,
    UNKNOWN,
    Age,
    Bound,
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
from measurewise.engine.models.types import (
    ANY,
    DATE,
    DATETIME,
    STRING,
    ChoiceType,
    DataType,
    IntervalType,
    NamedType,
)

MEASUREMENT_PERIOD = "Measurement Period"
PATIENT_ROW = 0
MOST_POSSIBILITIES = 16
MOST_STEPS = 200_000
DEEPEST = 25

T = TypeVar("T")
Form = tuple[str, NamedType]
"""A JSON property of a choice element and the FHIR type that it holds."""

PERIOD = NamedType("FHIR", "Period")
TIMING = NamedType("FHIR", "Timing")
TIME_FORMS = ("dateTime", "instant", "date", "Period", "Timing")

SINGLE = (
    elm.Start,
    elm.End,
    elm.DateFrom,
    elm.ToDateTime,
    elm.ToDate,
    elm.First,
    elm.Last,
    elm.SingletonFrom,
)
"""Nodes whose value is never a list."""

Values = tuple[Value, ...]
NOT_KNOWN: Values = (UNKNOWN,)


class Reading:
    """Reads expressions of one closed set of libraries."""

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly
        self.model = assembly.shapes.model
        self.steps = 0
        self._assumed: dict[tuple[int, str], Form | None] = {}
        self._reading: set[tuple[object, str]] = set()

    # ---------------------------------------------------------------------------------- entry points

    def values(self, node: elm.Expression, scope: Scope) -> Values:
        """The possibilities of an expression. Raises UndecidedError."""
        self.steps += 1
        read = READERS.get(type(node))
        if read is None or self.steps > MOST_STEPS:
            return NOT_KNOWN
        found = tuple(dict.fromkeys(read(self, node, scope)))
        return found if len(found) <= MOST_POSSIBILITIES else NOT_KNOWN

    def decided(self, node: elm.Expression, scope: Scope) -> Values:
        """As :meth:`values`, but nothing is known where a choice element is not decided."""
        try:
            return self.values(node, scope)
        except UndecidedError:
            return NOT_KNOWN

    def assuming(self, choice: Choice, form: Form | None, then: Callable[[], T]) -> T:
        """What ``then`` gives where a choice element has a form, or is absent."""
        key = (choice.row, choice.name)
        self._assumed[key] = form
        try:
            return then()
        finally:
            del self._assumed[key]

    # ---------------------------------------------------------------------------------- references

    def definition(self, node: elm.ExpressionRef, scope: Scope) -> tuple[elm.ExpressionDef, Scope] | None:
        """The definition that a reference means and its scope; None outside the Patient context."""
        unit = self.assembly.unit_named(scope.unit, node.library_name, node)
        found = unit.definition(node.name)
        if found.expression is None or found.context not in (None, "Patient"):
            return None
        return found, Scope(unit, {})

    def bodies(self, node: elm.FunctionRef, scope: Scope) -> list[Closure] | None:
        """The bodies a call may mean, with its operands bound; None where they are not known."""
        unit = self.assembly.unit_named(scope.unit, node.library_name, node)
        candidates = unit.functions(node.name, len(node.operand))
        if len(candidates) > 1 and node.signature:
            wanted = [self.assembly.shapes.of_specifier(s) for s in node.signature]
            exact = [c for c in candidates if [self.assembly.operand_type(o) for o in c.operand] == wanted]
            candidates = exact or candidates
        if not candidates or scope.depth >= DEEPEST:
            return None
        found = []
        for candidate in candidates:
            if candidate.expression is None or candidate.external:
                return None
            names: dict[str, Value | Closure] = {
                f"operand:{operand.name}": Closure(argument, scope)
                for operand, argument in zip(candidate.operand, node.operand, strict=True)
            }
            found.append(Closure(candidate.expression, Scope(unit, names, scope.depth + 1)))
        return found

    def helper(self, node: elm.Expression, scope: Scope) -> str | None:
        """The name of the FHIRHelpers function of one operand that a node calls."""
        if not isinstance(node, elm.FunctionRef) or len(node.operand) != 1:
            return None
        unit = self.assembly.unit_named(scope.unit, node.library_name, node)
        return node.name if unit.name == FHIR_HELPERS else None

    def resolved(self, node: elm.Expression, scope: Scope) -> tuple[elm.Expression, Scope]:
        """The expression behind references to operands, lets and definitions."""
        for _ in range(DEEPEST):
            closure: Value | Closure | None = None
            if isinstance(node, elm.OperandRef):
                closure = scope.names.get(f"operand:{node.name}")
            elif isinstance(node, elm.QueryLetRef):
                closure = scope.names.get(f"let:{node.name}")
            elif isinstance(node, elm.ExpressionRef) and not isinstance(node, elm.FunctionRef):
                found = self.definition(node, scope)
                if found is not None:
                    assert found[0].expression is not None
                    closure = Closure(found[0].expression, found[1])
            if not isinstance(closure, Closure):
                break
            node, scope = closure.node, closure.scope
        return node, scope

    def named(self, name: str, scope: Scope) -> Values:
        """The possibilities of what a name of the scope means."""
        found = scope.names.get(name, UNKNOWN)
        return self.values(found.node, found.scope) if isinstance(found, Closure) else (found,)

    def expression_ref(self, node: elm.ExpressionRef, scope: Scope) -> Values:
        """A definition; the patient, where it is ``Patient``."""
        found = self.definition(node, scope)
        if found is None:
            return NOT_KNOWN
        expression = found[0].expression
        assert expression is not None
        if is_patient(expression):
            return (Row(PATIENT_ROW, self.assembly.shapes.named(patient_type(expression))),)
        key = (found[1].unit, node.name)
        if key in self._reading:
            return NOT_KNOWN
        self._reading.add(key)
        try:
            return self.values(expression, found[1])
        finally:
            self._reading.discard(key)

    def function_ref(self, node: elm.FunctionRef, scope: Scope) -> Values:
        """A call: a conversion of FHIRHelpers, or what its body is."""
        name = self.helper(node, scope)
        if name is not None:
            return self._each(node.operand[0], scope, lambda value: self.converted(name, value))
        found = self.bodies(node, scope)
        if found is None:
            return NOT_KNOWN
        return tuple(value for body in found for value in self.values(body.node, body.scope))

    def converted(self, name: str, value: Value) -> Values:
        """What a conversion of FHIRHelpers makes of a value."""
        if value is NULL:
            return (NULL,)
        if isinstance(value, Choice):
            form = self.form(value)
            if form is None:
                return (NULL,)
            value = Element(value.row, *form)
        if isinstance(value, Point):
            return (value,) if name in ("ToDateTime", "ToDate") else NOT_KNOWN
        if not isinstance(value, Element):
            return NOT_KNOWN
        if name in ("ToConcept", "ToCode"):
            return (value,)
        if name == "ToInterval" or (name == "ToValue" and value.type == PERIOD):
            return (period(value),) if value.type == PERIOD else NOT_KNOWN
        primitive = self.assembly.shapes.primitive(value.type)
        if primitive in (DATE, DATETIME) and name in ("ToDateTime", "ToDate", "ToValue"):
            kind = {"ToDate": DATE, "ToDateTime": DATETIME}.get(name, primitive)
            return (Point(value.row, value.name, "point", kind),)
        if primitive == STRING and name in ("ToString", "ToValue"):
            return (Element(value.row, value.name, STRING),)
        if value.type == TIMING and name == "ToValue":
            return (value, NULL)
        return NOT_KNOWN

    # ---------------------------------------------------------------------------------- choices of types

    def form(self, choice: Choice) -> Form | None:
        """The form that a choice element is assumed to have; None where it is assumed absent."""
        try:
            return self._assumed[choice.row, choice.name]
        except KeyError:
            raise UndecidedError(choice) from None

    def is_of(self, kind: NamedType, wanted: DataType) -> bool | None:
        """Whether a form of a FHIR type, or what FHIRHelpers makes of it, is of a type; None if unclear."""
        if isinstance(wanted, ChoiceType):
            answers = [self.is_of(kind, member) for member in wanted.choices]
            return True if True in answers else None if None in answers else False
        if isinstance(wanted, NamedType) and wanted.model != "System":
            return self.model.is_subtype(kind, wanted)
        primitive = self.assembly.shapes.primitive(kind)
        if wanted in (DATE, DATETIME):
            return primitive == wanted
        if wanted == IntervalType(DATETIME):
            return kind == PERIOD
        if isinstance(wanted, NamedType | IntervalType) and kind.name in TIME_FORMS:
            return False
        return None

    def decision(self, node: elm.Expression, scope: Scope) -> bool | None:
        """Whether a condition on the form of a choice element holds; None where that is not known."""
        if isinstance(node, elm.Not):
            inner = self.decision(node.operand, scope)
            return None if inner is None else not inner
        if isinstance(node, elm.And | elm.Or):
            parts = [self.decision(part, scope) for part in node.operand]
            final = isinstance(node, elm.Or)
            return final if final in parts else None if None in parts else not final
        if isinstance(node, elm.IsNull):
            found = self.values(node.operand, scope)
            if found == (NULL,):
                return True
            known = all(isinstance(v, Row | Choice | Fixed | Constant) for v in found)
            if known and any(isinstance(v, Choice) and self.form(v) is None for v in found):
                return True if len(found) == 1 else None
            return False if known else None
        if isinstance(node, elm.Is):
            wanted = self.type_of(node.is_type, node.is_type_specifier)
            answers = {self._is(value, wanted) for value in self.values(node.operand, scope)}
            return answers.pop() if len(answers) == 1 else None
        if isinstance(node, elm.Literal):
            return {"true": True, "false": False}.get(node.value or "")
        return None

    def _is(self, value: Value, wanted: DataType) -> bool | None:
        if value is NULL:
            return False
        if isinstance(value, Choice):
            form = self.form(value)
            return False if form is None else self.is_of(form[1], wanted)
        if isinstance(value, Point):
            # Text that is no date counts as null. The caller who decides a choice element allows for that.
            return self._there(value.element) if value.kind == wanted else False
        if isinstance(value, Span) and value.element is not None:
            return self._there(value.element[1]) if wanted == IntervalType(DATETIME) else False
        if isinstance(value, Element) and value.type in (TIMING, STRING):
            if wanted == ANY or isinstance(wanted, ChoiceType):
                return None
            return self._there(value.name) if value.type == wanted else False
        return None

    def _there(self, element: str) -> Literal[True] | None:
        """True where an element is the form that a choice element is assumed to have; else it may be null."""
        decided = any(form is not None and form[0] == element for form in self._assumed.values())
        return True if decided else None

    def type_of(self, name: str | None, spec: elm.TypeSpecifier | None) -> DataType:
        """The type that an Is or As names."""
        shapes = self.assembly.shapes
        if spec is not None:
            return shapes.of_specifier(spec)
        return shapes.named(name) if name is not None else NamedType("System", "Any")

    def cast(self, node: elm.As, scope: Scope) -> Values:
        """A value seen as another type: the form of a choice element, where there is one."""
        wanted = self.type_of(node.as_type, node.as_type_specifier)
        return self._each(node.operand, scope, lambda value: self._cast(value, wanted))

    def _cast(self, value: Value, wanted: DataType) -> Values:
        if value is NULL:
            return (NULL,)
        if isinstance(value, Choice):
            form = self.form(value)
            if form is None:
                return (NULL,)
            fits = self.is_of(form[1], wanted)
            if fits is None:
                return NOT_KNOWN
            if not fits:
                return (NULL,)
            if isinstance(wanted, ChoiceType):
                return (value,)
            element = Element(value.row, *form)
            if isinstance(wanted, NamedType) and wanted.model != "System":
                return (element,)
            return self.converted("ToValue", element)
        if isinstance(value, Point | Span):
            kind = value.kind if isinstance(value, Point) else IntervalType(DATETIME)
            members = wanted.choices if isinstance(wanted, ChoiceType) else (wanted,)
            return (value,) if kind in members else (value, NULL)
        if isinstance(value, Row | Element) and self.model.is_subtype(value.type, wanted):
            return (value,)
        return NOT_KNOWN

    # ---------------------------------------------------------------------------------- properties

    def property(self, node: elm.Property, scope: Scope) -> Values:
        """The value at a path."""
        if node.scope is not None:
            found = self.named(node.scope, scope)
        elif node.source is not None:
            found = self.values(node.source, scope)
        else:
            return NOT_KNOWN
        for step in node.path.split("."):
            found = tuple(self._step(value, step) for value in found)
        return found

    def _step(self, value: Value, name: str) -> Value:
        if value is NULL:
            return NULL
        if isinstance(value, Row):
            forms = self.model.choice_properties(value.type, name)
            if forms:
                return Choice(value.number, name, forms)
            kind = self.model.element_type(value.type, name)
            return UNKNOWN if kind is None else Element(value.number, name, kind)
        if isinstance(value, Element):
            if value.type == PERIOD and name in ("start", "end"):
                return Point(value.row, value.name, "start" if name == "start" else "end")
            primitive = self.assembly.shapes.primitive(value.type)
            if name == "value" and primitive in (DATE, DATETIME):
                return Point(value.row, value.name, "point", primitive)
            if name == "value" and primitive == STRING:
                return Element(value.row, value.name, STRING)
            return UNKNOWN
        if isinstance(value, Point) and name == "value":
            return value
        if isinstance(value, Span) and name in ("low", "high"):
            bound = value.start if name == "low" else value.end
            return UNKNOWN if bound is None else bound
        return UNKNOWN

    # ---------------------------------------------------------------------------------- times and periods

    def parameter_ref(self, node: elm.ParameterRef, scope: Scope) -> Values:
        """The measurement period; other parameters are not known."""
        if node.name != MEASUREMENT_PERIOD:
            return NOT_KNOWN
        return (Span(Fixed(Moment("start")), Fixed(Moment("end"))),)

    def boundary(self, node: elm.Start | elm.End, scope: Scope) -> Values:
        """The first or last point of an interval."""
        starts = isinstance(node, elm.Start)

        def of(value: Value) -> Values:
            if isinstance(value, Span):
                bound = value.start if starts else value.end
                return NOT_KNOWN if bound is None else (bound,)
            return (NULL,) if value is NULL else NOT_KNOWN

        return self._each(node.operand, scope, of)

    def interval(self, node: elm.Interval, scope: Scope) -> Values:
        """An interval of two bounds; a bound that may be null is not known."""
        lows = self._bounds(node.low, scope)
        highs = self._bounds(node.high, scope)
        return tuple(Span(low, high) for low, high in product(lows, highs))

    def _bounds(self, node: elm.Expression | None, scope: Scope) -> Sequence[Bound]:
        if node is None:
            return (None,)
        found = self.values(node, scope)
        return tuple(dict.fromkeys(v if isinstance(v, Point | Fixed) else None for v in found))

    def same_time(self, node: elm.UnaryExpression, scope: Scope) -> Values:
        """A conversion between dates and moments."""

        def of(value: Value) -> Values:
            if isinstance(value, Point):
                return (replace(value, kind=DATETIME if isinstance(node, elm.ToDateTime) else DATE),)
            return (value,) if isinstance(value, Fixed) or value is NULL else NOT_KNOWN

        return self._each(node.operand, scope, of)

    def shifted(self, node: elm.Add | elm.Subtract, scope: Scope) -> Values:
        """A fixed time and a duration."""
        quantity = node.operand[1]
        if not isinstance(quantity, elm.Quantity) or quantity.value is None or quantity.unit is None:
            return NOT_KNOWN
        amount = quantity.value if isinstance(node, elm.Add) else -quantity.value
        step = Shift(str(amount), quantity.unit)

        def of(value: Value) -> Values:
            return (Fixed(value.moment.then(step)),) if isinstance(value, Fixed) else NOT_KNOWN

        return self._each(node.operand[0], scope, of)

    def date(self, node: elm.Date | elm.DateTime, scope: Scope) -> Values:
        """A day that is spelled out, or in the year of a fixed time."""
        if node.year is None or node.month is None or node.day is None:
            return NOT_KNOWN
        month, day = self._integer(node.month, scope), self._integer(node.day, scope)
        if month is None or day is None:
            return NOT_KNOWN
        year, year_scope = self.resolved(node.year, scope)
        number = self._integer(year, year_scope)
        if number is not None:
            return (Fixed(Moment(f"{number:04}-{month:02}-{day:02}")),)
        if isinstance(year, elm.DateTimeComponentFrom) and year.precision == "Year":

            def of(value: Value) -> Values:
                if isinstance(value, Fixed):
                    return (Fixed(value.moment.then(DayOfYear(month, day))),)
                return NOT_KNOWN

            return self._each(year.operand, year_scope, of)
        return NOT_KNOWN

    def _integer(self, node: elm.Expression, scope: Scope) -> int | None:
        found = self.values(node, scope)
        if len(found) == 1 and isinstance(found[0], Constant) and type(found[0].value) is int:
            return found[0].value
        return None

    def age_at(self, node: elm.CalculateAgeAt, scope: Scope) -> Values:
        """The patient's age in years at a time."""
        if node.precision != "Year" or not self.is_birth_date(node.operand[0], scope):
            return NOT_KNOWN

        def of(value: Value) -> Values:
            if isinstance(value, Point | Fixed):
                return (Age(value),)
            return (NULL,) if value is NULL else NOT_KNOWN

        return self._each(node.operand[1], scope, of)

    def is_birth_date(self, node: elm.Expression, scope: Scope) -> bool:
        """Whether an expression is the patient's date of birth."""
        found = self.values(node, scope)
        return (
            len(found) == 1
            and isinstance(found[0], Point)
            and (found[0].row, found[0].element) == (PATIENT_ROW, "birthDate")
        )

    def literal(self, node: elm.Literal, scope: Scope) -> Values:
        """A String or Integer literal."""
        if node.value is None:
            return (NULL,)
        if node.value_type.endswith("}String"):
            return (Constant(node.value),)
        if node.value_type.endswith("}Integer"):
            return (Constant(int(node.value)),)
        return NOT_KNOWN

    # ------------------------------------------------------------------------------ conditionals and queries

    def if_(self, node: elm.If, scope: Scope) -> Values:
        """The branch that is taken, or both."""
        answer = self.decision(node.condition, scope)
        taken = [node.then, node.else_] if answer is None else [node.then if answer else node.else_]
        return self._any(taken, scope)

    def case(self, node: elm.Case, scope: Scope) -> Values:
        """The branch that is taken, or all that may be."""
        if node.comparand is not None:
            return self._any([*(item.then for item in node.case_item), node.else_], scope)
        taken = []
        for item in node.case_item:
            answer = self.decision(item.when, scope)
            if answer is not False:
                taken.append(item.then)
            if answer:
                return self._any(taken, scope)
        return self._any([*taken, node.else_], scope)

    def coalesce(self, node: elm.Coalesce, scope: Scope) -> Values:
        """One of the operands."""
        return NOT_KNOWN if len(node.operand) == 1 else self._any(node.operand, scope)

    def query(self, node: elm.Query, scope: Scope) -> Values:
        """A query over one value that is no list: what it returns."""
        if len(node.source) != 1 or node.aggregate is not None or node.relationship or node.sort:
            return NOT_KNOWN
        source = node.source[0]
        possible: list[Value] = [NULL] if node.where is not None else []
        for value in self.values(source.expression, scope):
            if value is NULL:
                possible.append(NULL)
                continue
            if value is UNKNOWN and isinstance(source.expression, SINGLE):
                possible.append(NULL)
            elif not isinstance(value, Row | Point | Fixed | Span):
                return NOT_KNOWN
            if isinstance(value, Point | Span):
                possible.append(NULL)
            inner = self.with_lets(node, scope.with_names({source.alias: value}))
            if node.return_ is None:
                possible.append(value)
            else:
                possible += self.values(node.return_.expression, inner)
        return tuple(possible)

    def with_lets(self, node: elm.Query, scope: Scope) -> Scope:
        """The scope with the lets of a query."""
        for let in node.let:
            scope = scope.with_names({f"let:{let.identifier}": Closure(let.expression, scope)})
        return scope

    def _any(self, nodes: Iterable[elm.Expression], scope: Scope) -> Values:
        return tuple(value for node in nodes for value in self.values(node, scope))

    def _each(self, node: elm.Expression, scope: Scope, of: Callable[[Value], Values]) -> Values:
        return tuple(result for value in self.values(node, scope) for result in of(value))


def period(element: Element) -> Span:
    """A Period as an interval of its start and end."""
    start = Point(element.row, element.name, "start")
    return Span(start, Point(element.row, element.name, "end"), (element.row, element.name))


def is_patient(node: elm.Expression) -> bool:
    """Whether an expression is the patient of the context, as translators write it."""
    return (
        isinstance(node, elm.SingletonFrom)
        and isinstance(node.operand, elm.Retrieve)
        and node.operand.data_type.endswith("}Patient")
        and node.operand.codes is None
        and not node.operand.code_filter
    )


def patient_type(node: elm.Expression) -> str:
    """The qualified name of the patient's type."""
    assert isinstance(node, elm.SingletonFrom)
    assert isinstance(node.operand, elm.Retrieve)
    return node.operand.data_type


READERS: dict[type, Callable[..., Values]] = {
    elm.Null: lambda reading, node, scope: (NULL,),
    elm.Literal: Reading.literal,
    elm.ExpressionRef: Reading.expression_ref,
    elm.FunctionRef: Reading.function_ref,
    elm.OperandRef: lambda reading, node, scope: reading.named(f"operand:{node.name}", scope),
    elm.QueryLetRef: lambda reading, node, scope: reading.named(f"let:{node.name}", scope),
    elm.AliasRef: lambda reading, node, scope: reading.named(node.name, scope),
    elm.ParameterRef: Reading.parameter_ref,
    elm.Property: Reading.property,
    elm.Start: Reading.boundary,
    elm.End: Reading.boundary,
    elm.Interval: Reading.interval,
    elm.DateFrom: Reading.same_time,
    elm.ToDate: Reading.same_time,
    elm.ToDateTime: Reading.same_time,
    elm.ToConcept: lambda reading, node, scope: reading.values(node.operand, scope),
    elm.Message: lambda reading, node, scope: reading.values(node.source, scope),
    elm.Add: Reading.shifted,
    elm.Subtract: Reading.shifted,
    elm.Date: Reading.date,
    elm.DateTime: Reading.date,
    elm.CalculateAgeAt: Reading.age_at,
    elm.As: Reading.cast,
    elm.If: Reading.if_,
    elm.Case: Reading.case,
    elm.Coalesce: Reading.coalesce,
    elm.Query: Reading.query,
}
