"""What a comparison that is true says of the times, ages and counts that it compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from measurewise.engine import elm
from measurewise.engine.compiler.prefilter.moments import Moment
from measurewise.engine.compiler.prefilter.requirements import (
    ANYTHING,
    NOTHING,
    AgeAtTime,
    AgeBetween,
    Grain,
    OnRow,
    Present,
    Requirement,
    TimeBound,
    all_of,
    any_of,
)
from measurewise.engine.compiler.prefilter.symbols import (
    NULL,
    Age,
    Bound,
    Constant,
    Fixed,
    Point,
    Scope,
    Span,
    Value,
)
from measurewise.engine.compiler.prefilter.values import Reading, Values

WITHIN = (elm.In, elm.IncludedIn, elm.ProperIn, elm.ProperIncludedIn)
AROUND = (elm.Contains, elm.Includes, elm.ProperContains, elm.ProperIncludes)
TOUCHING = (elm.Overlaps, elm.OverlapsBefore, elm.OverlapsAfter)
EARLIER = (elm.Before, elm.SameOrBefore, elm.Less, elm.LessOrEqual)
LATER = (elm.After, elm.SameOrAfter, elm.Greater, elm.GreaterOrEqual)
SAME = (elm.SameAs, elm.Equal)

RELATIONS: tuple[type, ...] = (*WITHIN, *AROUND, *TOUCHING, *EARLIER, *LATER, *SAME, elm.Starts, elm.Ends)
"""Comparisons and timing phrases that are never true where an operand is null, but for :func:`tolerated`."""

PROPAGATING = (
    elm.Start,
    elm.End,
    elm.DateFrom,
    elm.ToDate,
    elm.ToDateTime,
    elm.ToConcept,
    elm.ToQuantity,
    elm.ToDecimal,
    elm.DateTimeComponentFrom,
    elm.CalculateAge,
    elm.CalculateAgeAt,
    elm.DurationBetween,
    elm.DifferenceBetween,
    elm.Add,
    elm.Subtract,
    elm.Multiply,
    elm.Divide,
    elm.Negate,
)
"""Operators that are null where an operand is."""

Ends = tuple[Bound, Bound]


def tolerated(node: elm.BinaryExpression) -> int | None:
    """Which operand may be null although the relation is true: null may be among the elements of a list."""
    return 0 if isinstance(node, WITHIN) else 1 if isinstance(node, AROUND) else None


def related(node: elm.BinaryExpression, first: Value, second: Value) -> Requirement:
    """What a relation between two values says of the rows they come from."""
    values = (first, second)
    may_be_null = tolerated(node)
    if may_be_null is not None and isinstance(values[1 - may_be_null], Span):
        may_be_null = None
    there: list[Requirement] = []
    ends: list[Ends | None] = []
    for number, value in enumerate(values):
        if number == may_be_null:
            ends.append(None)
            continue
        if value is NULL:
            return NOTHING
        if isinstance(value, Point):
            there.append(OnRow(value.row, Present((value.element,))))
            ends.append((value, value))
        elif isinstance(value, Span):
            if value.element is not None:
                there.append(OnRow(value.element[0], Present((value.element[1],))))
            ends.append((value.start, value.end))
        else:
            ends.append((value, value) if isinstance(value, Fixed) else None)
    left, right = ends
    if left is None or right is None:
        return all_of(there)
    grain = _grain(getattr(node, "precision", None))
    return all_of([*there, *_bounds(_not_after(node, left, right), grain)])


def _not_after(node: elm.BinaryExpression, a: Ends, b: Ends) -> list[tuple[Bound, Bound]]:
    """Pairs of times of which the first does not come after the second."""
    if isinstance(node, WITHIN):
        return [(b[0], a[0]), (a[1], b[1])]
    if isinstance(node, AROUND):
        return [(a[0], b[0]), (b[1], a[1])]
    if isinstance(node, TOUCHING):
        return [(a[0], b[1]), (b[0], a[1])]
    if isinstance(node, EARLIER):
        return [(a[1], b[0])]
    if isinstance(node, LATER):
        return [(b[1], a[0])]
    same_start = [(a[0], b[0]), (b[0], a[0])]
    same_end = [(a[1], b[1]), (b[1], a[1])]
    if isinstance(node, elm.Starts):
        return [*same_start, (a[1], b[1])]
    if isinstance(node, elm.Ends):
        return [*same_end, (b[0], a[0])]
    return same_start + same_end


def _bounds(pairs: Iterable[tuple[Bound, Bound]], grain: Grain) -> Iterator[Requirement]:
    for earlier, later in pairs:
        if isinstance(earlier, Point) and isinstance(later, Fixed):
            yield _bound(earlier, later.moment, grain, before=True)
        elif isinstance(earlier, Fixed) and isinstance(later, Point):
            yield _bound(later, earlier.moment, grain, before=False)


def _bound(point: Point, moment: Moment, grain: Grain, before: bool) -> Requirement:
    side = TimeBound(point.element, point.part, "not after" if before else "not before", moment, grain)
    return OnRow(point.row, side)


def _grain(precision: str | None) -> Grain:
    if precision == "Year":
        return "year"
    return "month" if precision in ("Month", "Week") else "day"


# ------------------------------------------------------------------------------------ ages


def age_range(reading: Reading, node: elm.BinaryExpression, left: Values, scope: Scope) -> Requirement | None:
    """What a comparison of the patient's age with a number or an interval says; None if it compares no
    age."""
    second = node.operand[1]
    if any(isinstance(value, Age) for value in left):
        span = _interval(reading, second, scope) if isinstance(node, elm.In) else None
        if span is None:
            span = _range(node, reading.values(second, scope), flipped=False)
        return any_of(_aged(value, span) for value in left)
    right = reading.values(second, scope) if isinstance(left[0] if left else None, Constant) else ()
    if any(isinstance(value, Age) for value in right):
        span = _range(node, left, flipped=True)
        return any_of(_aged(value, span) for value in right)
    return None


Range = tuple[int | None, int | None]


def _aged(value: Value, span: Range | None) -> Requirement:
    if value is NULL:
        return NOTHING
    if not isinstance(value, Age):
        return ANYTHING
    low, high = (None, None) if span is None else span
    at = value.at
    if isinstance(at, Point):
        there = OnRow(at.row, Present((at.element,)))
        return all_of([there, OnRow(at.row, AgeAtTime(at.element, at.part, low, high))])
    return AgeBetween(low, high, at.moment)


def _interval(reading: Reading, node: elm.Expression, scope: Scope) -> Range | None:
    """The first and last number of an interval that is spelled out."""
    node, scope = reading.resolved(node, scope)
    if (
        not isinstance(node, elm.Interval)
        or node.low_closed_expression is not None
        or node.high_closed_expression is not None
    ):
        return None
    low, high = (_number(reading, bound, scope) for bound in (node.low, node.high))
    if low is not None and not node.low_closed:
        low += 1
    if high is not None and not node.high_closed:
        high -= 1
    return low, high


def _number(reading: Reading, node: elm.Expression | None, scope: Scope) -> int | None:
    found = () if node is None else reading.values(node, scope)
    if len(found) == 1 and isinstance(found[0], Constant) and type(found[0].value) is int:
        return found[0].value
    return None


def _range(node: elm.BinaryExpression, numbers: Values, flipped: bool) -> Range | None:
    """The least and greatest age for which a comparison with a number is true."""
    if len(numbers) != 1 or not isinstance(numbers[0], Constant) or type(numbers[0].value) is not int:
        return None
    number = numbers[0].value
    least: Range = number, None
    most: Range = None, number
    ranges: dict[type, Range] = {
        elm.Equal: (number, number),
        elm.GreaterOrEqual: most if flipped else least,
        elm.Greater: (None, number - 1) if flipped else (number + 1, None),
        elm.LessOrEqual: least if flipped else most,
        elm.Less: (number + 1, None) if flipped else (None, number - 1),
    }
    return ranges.get(type(node))


# ------------------------------------------------------------------------------------ counts


def count_at_least_one(node: elm.BinaryExpression) -> elm.Expression | None:
    """The list of which a comparison such as ``Count(X) >= 2`` says that it is not empty."""
    for counted, number, least in (
        (node.operand[0], node.operand[1], {elm.GreaterOrEqual: 1, elm.Greater: 0, elm.Equal: 1}),
        (node.operand[1], node.operand[0], {elm.LessOrEqual: 1, elm.Less: 0, elm.Equal: 1}),
    ):
        if not isinstance(counted, elm.Count) or not isinstance(number, elm.Literal):
            continue
        needed = least.get(type(node))
        if needed is None or number.value is None or not number.value_type.endswith("}Integer"):
            return None
        return counted.source if int(number.value) >= needed else None
    return None
