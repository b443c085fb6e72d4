"""Date, time and interval operators (ELM "Date and Time Operators", "Interval Operators").

They are calls of the run-time functions of the same name; what the compiler adds is the precision as a
number, the evaluation request's offset and moment (``ZONE``, ``NOW``), and static types where one form is
at hand."""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.compiler.emitter import Emitter, boolean, decides, emits
from measurewise.engine.compiler.writer import Term
from measurewise.engine.models.types import (
    ANY,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGER,
    STRING,
    TIME,
    DataType,
    IntervalType,
    ListType,
)

PRECISIONS = {
    "Year": 0,
    "Month": 1,
    "Day": 2,
    "Hour": 3,
    "Minute": 4,
    "Second": 5,
    "Millisecond": 6,
    "Week": 7,
}


def precision_number(name: str | None) -> int | None:
    """An ELM DateTimePrecision as the run time writes it."""
    return None if name is None else PRECISIONS[name]


RELATIONS: dict[type, str] = {
    elm.SameAs: "same_as",
    elm.SameOrBefore: "same_or_before",
    elm.SameOrAfter: "same_or_after",
    elm.Before: "before",
    elm.After: "after",
    elm.Meets: "meets",
    elm.MeetsBefore: "meets_before",
    elm.MeetsAfter: "meets_after",
    elm.Overlaps: "overlaps",
    elm.OverlapsBefore: "overlaps_before",
    elm.OverlapsAfter: "overlaps_after",
    elm.Starts: "starts",
    elm.Ends: "ends",
    elm.Contains: "contains",
    elm.In: "in_",
    elm.ProperContains: "proper_contains",
    elm.ProperIn: "proper_in",
    elm.Includes: "includes",
    elm.IncludedIn: "included_in",
    elm.ProperIncludes: "proper_includes",
    elm.ProperIncludedIn: "proper_included_in",
}


@emits(*RELATIONS)
def relation(em: Emitter, node: elm.PrecisionExpression) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#overlaps"""
    a, b = (em.expr(o) for o in node.operand)
    name = RELATIONS[type(node)]
    if isinstance(node, elm.In) and a.type in (STRING, INTEGER):
        fixed = em.assembly.literal_set(node.operand[1])
        if fixed is not None:
            # A list of literals has no null: a null is not in it.
            return boolean(f"({a.text} in {fixed})", two_valued=True)
    if isinstance(b.type, IntervalType) and isinstance(node, elm.In | elm.ProperIn | elm.IncludedIn):
        name = f"interval_{name}"
    elif isinstance(a.type, IntervalType) and isinstance(node, elm.Contains | elm.Includes):
        name = f"interval_{name}"
    if node.precision is not None:
        held = em.assembly.held_to(b, name, precision_number(node.precision))
        if held is not None:
            return boolean(f"{held}({a.text})")
        return boolean(f"{name}({a.text}, {b.text}, {precision_number(node.precision)})")
    return boolean(f"{name}({a.text}, {b.text})")


@decides(elm.In)
def in_true(em: Emitter, node: elm.In) -> str:
    """https://cql.hl7.org/04-logicalspecification.html#in"""
    fixed = em.assembly.literal_set(node.operand[1])
    if fixed is not None:
        value = em.expr(node.operand[0])
        if value.type in (STRING, INTEGER):
            return f"({value.text} in {fixed})"
    return relation(em, node).text


@emits(elm.Start, elm.End)
def boundary(em: Emitter, node: elm.Start | elm.End) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#start"""
    term = em.expr(node.operand)
    kind = term.type.point if isinstance(term.type, IntervalType) else em.declared(node)
    name = "start" if isinstance(node, elm.Start) else "end"
    return Term(f"{name}({term.text})", kind)


@emits(elm.DateFrom)
def date_from(em: Emitter, node: elm.DateFrom) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#datefrom"""
    return Term(f"date_from({em.expr(node.operand).text})", DATE)


@emits(elm.TimeFrom)
def time_from(em: Emitter, node: elm.TimeFrom) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#timefrom"""
    return Term(f"time_from({em.expr(node.operand).text})", TIME)


@emits(elm.TimezoneFrom, elm.TimezoneOffsetFrom)
def timezone_offset_from(em: Emitter, node: elm.UnaryExpression) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#timezoneoffsetfrom"""
    return Term(f"timezone_offset_from({em.expr(node.operand).text}, zone=ZONE)", DECIMAL)


@emits(elm.DateTimeComponentFrom)
def component_from(em: Emitter, node: elm.DateTimeComponentFrom) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#datetimecomponentfrom"""
    term = em.expr(node.operand)
    return Term(f"date_time_component_from({term.text}, {precision_number(node.precision)})", INTEGER)


@emits(elm.DurationBetween, elm.DifferenceBetween)
def between(em: Emitter, node: elm.PrecisionExpression) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#durationbetween"""
    a, b = (em.expr(o) for o in node.operand)
    name = "duration_between" if isinstance(node, elm.DurationBetween) else "difference_between"
    return Term(f"{name}({a.text}, {b.text}, {precision_number(node.precision)})", INTEGER)


@emits(elm.Now)
def now(em: Emitter, node: elm.Now) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#now"""
    return Term("NOW", DATETIME, atomic=True, nullable=False)


@emits(elm.Today)
def today(em: Emitter, node: elm.Today) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#today"""
    return Term("date_from(NOW)", DATE, nullable=False)


@emits(elm.TimeOfDay)
def time_of_day(em: Emitter, node: elm.TimeOfDay) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#timeofday"""
    return Term("time_from(NOW)", TIME, nullable=False)


def _parts(em: Emitter, node: elm.Element, names: tuple[str, ...]) -> str:
    parts = [getattr(node, name) for name in names]
    return ", ".join("None" if p is None else em.expr(p).text for p in parts)


@emits(elm.DateTime)
def date_time(em: Emitter, node: elm.DateTime) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#datetime"""
    names = ("year", "month", "day", "hour", "minute", "second", "millisecond", "timezone_offset")
    return Term(f"date_time({_parts(em, node, names)}, zone=ZONE)", DATETIME)


@emits(elm.Date)
def date(em: Emitter, node: elm.Date) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#date"""
    return Term(f"date({_parts(em, node, ('year', 'month', 'day'))})", DATE)


@emits(elm.Time)
def time(em: Emitter, node: elm.Time) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#time"""
    return Term(f"time({_parts(em, node, ('hour', 'minute', 'second', 'millisecond'))})", TIME)


@emits(elm.Add, elm.Subtract)
def add_or_subtract(em: Emitter, node: elm.BinaryExpression) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#add"""
    a, b = (em.expr(o) for o in node.operand)
    kind: DataType = a.type if a.type != ANY else em.declared(node, b.type)
    name = "add" if isinstance(node, elm.Add) else "subtract"
    if kind in (DATE, DATETIME, TIME):
        name += "_duration"
    return Term(f"{name}({a.text}, {b.text})", kind)


@emits(elm.Union, elm.Intersect, elm.Except)
def set_operator(em: Emitter, node: elm.NaryExpression) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#union"""
    operands = list(node.operand)
    if isinstance(node, elm.Union):
        operands = _leaves(node)
    terms = [em.expr(o) for o in operands]
    declared = em.shapes.declared(node)
    kind: DataType = ANY
    for term in terms:
        kind = em.shapes.unify(kind, term.type)
    if declared is not None and (kind == ANY or kind == ListType(ANY)):
        kind = declared
    names = {elm.Union: "union", elm.Intersect: "intersect", elm.Except: "except_"}
    listed = ", ".join(em.shapes.coerce(t, kind).text for t in terms)
    if isinstance(kind, ListType):
        if isinstance(node, elm.Union):
            return Term(f"union_lists({listed})", kind, nullable=False, solid=all(t.solid for t in terms))
        return Term(f"list_{names[type(node)]}({listed})", kind)
    if isinstance(kind, IntervalType):
        text = terms[0].text
        for term in terms[1:]:
            text = f"interval_{names[type(node)]}({text}, {term.text})"
        return Term(text, kind)
    return Term(f"{names[type(node)]}({listed})", kind)


def _leaves(node: elm.Union) -> list[elm.Expression]:
    """The operands of nested unions, which are one union; casts between them only change the static type."""
    found: list[elm.Expression] = []
    for operand in node.operand:
        inner = operand
        while isinstance(inner, elm.As) and isinstance(inner.operand, elm.As | elm.Union):
            inner = inner.operand
        if isinstance(inner, elm.Union):
            found.extend(_leaves(inner))
        else:
            found.append(operand)
    return found
