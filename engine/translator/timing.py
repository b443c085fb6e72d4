"""Timing phrases: ``starts 3 days or less before day of start of Y`` and their kin.

CQL 1.5.3 Author's Guide, "Timing and Interval Operators"; what each phrase means in ELM is told in the
Developer's Guide, "Timing Phrases".
"""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.types import ANY, BOOLEAN, IntervalType, ListType
from measurewise.engine.translator.context import Context, Typed
from measurewise.engine.translator.operations import precision
from measurewise.engine.translator.terms import quantity

_POSITIONS = {"starts": "Start", "ends": "End"}
_BOUNDARIES = {"start": "Start", "end": "End"}


def timing(c: Context, node: tree.Timing) -> Typed:
    """``left phrase right``."""
    phrase = node.phrase
    left, right = c.expression(node.left), c.expression(node.right)
    position = getattr(phrase, "position", None)
    boundary = getattr(phrase, "boundary", None)
    if position in _POSITIONS:
        left = _side(c, _POSITIONS[position], left, node.left)
    if boundary in _BOUNDARIES:
        right = _side(c, _BOUNDARIES[boundary], right, node.right)
    if isinstance(phrase, tree.SamePhrase):
        operator = {"as": "SameAs", "or before": "SameOrBefore", "or after": "SameOrAfter"}[phrase.relation]
        return c.call(operator, (left, right), node, **precision(phrase.precision))
    if isinstance(phrase, tree.IncludesPhrase):
        return _includes(c, node, phrase, left, right)
    if isinstance(phrase, tree.IncludedInPhrase):
        return _included_in(c, node, phrase, left, right)
    if isinstance(phrase, tree.BeforeOrAfterPhrase):
        return _before_or_after(c, node, phrase, left, right)
    if isinstance(phrase, tree.WithinPhrase):
        return _within(c, node, phrase, left, right)
    if isinstance(phrase, tree.MeetsPhrase):
        operator = "Meets" + (phrase.side or "").capitalize()
        return c.call(operator, (left, right), node, **precision(phrase.precision))
    if isinstance(phrase, tree.OverlapsPhrase):
        operator = "Overlaps" + (phrase.side or "").capitalize()
        return c.call(operator, (left, right), node, **precision(phrase.precision))
    if isinstance(phrase, tree.StartsPhrase):
        return c.call("Starts", (left, right), node, **precision(phrase.precision))
    if isinstance(phrase, tree.EndsPhrase):
        return c.call("Ends", (left, right), node, **precision(phrase.precision))
    raise c.fail(node, "This timing phrase is not known.")


def _side(c: Context, operator: str, value: Typed, at: tree.Node) -> Typed:
    return c.call(operator, (value,), at)


def _whole(value: Typed) -> bool:
    return isinstance(value.type, IntervalType | ListType)


def _includes(c: Context, node: tree.Timing, phrase: tree.IncludesPhrase, left: Typed, right: Typed) -> Typed:
    attributes = precision(phrase.precision)
    if _whole(right):
        operator = "ProperIncludes" if phrase.properly else "Includes"
        if isinstance(left.type, ListType) and left.type.element == right.type:
            operator = "ProperContains" if phrase.properly else "Contains"
        return c.call(operator, (left, right), node, **attributes)
    if right.type == ANY and not (phrase.properly and isinstance(left.type, ListType)):
        return c.call("ProperIncludes" if phrase.properly else "Includes", (left, right), node, **attributes)
    return c.call("ProperContains" if phrase.properly else "Contains", (left, right), node, **attributes)


def _included_in(
    c: Context, node: tree.Timing, phrase: tree.IncludedInPhrase, left: Typed, right: Typed
) -> Typed:
    attributes = precision(phrase.precision)
    if _whole(left):
        operator = "ProperIncludedIn" if phrase.properly else "IncludedIn"
        if isinstance(right.type, ListType) and right.type.element == left.type:
            operator = "ProperIn" if phrase.properly else "In"
        return c.call(operator, (left, right), node, **attributes)
    if left.type == ANY and not (phrase.properly and isinstance(right.type, ListType)):
        return c.call(
            "ProperIncludedIn" if phrase.properly else "IncludedIn", (left, right), node, **attributes
        )
    return c.call("ProperIn" if phrase.properly else "In", (left, right), node, **attributes)


def _before_or_after(
    c: Context, node: tree.Timing, phrase: tree.BeforeOrAfterPhrase, left: Typed, right: Typed
) -> Typed:
    before = phrase.relation == "before"
    attributes = precision(phrase.precision)
    if phrase.offset is None:
        if phrase.inclusive:
            return c.call("SameOrBefore" if before else "SameOrAfter", (left, right), node, **attributes)
        return c.call("Before" if before else "After", (left, right), node, **attributes)
    # An offset is between points: the end of the earlier interval and the start of the later one.
    if isinstance(left.type, IntervalType):
        left = _side(c, "End" if before else "Start", left, node.left)
    if isinstance(right.type, IntervalType):
        right = _side(c, "Start" if before else "End", right, node.right)
    offset = _marked_quantity(c, phrase.offset.quantity)
    moved = c.call("Subtract" if before else "Add", (right, offset), node.right)
    qualifier = phrase.offset.qualifier
    if qualifier is None:
        return c.call("SameAs", (left, moved), node, **attributes)
    if qualifier == "or more":
        return c.call("SameOrBefore" if before else "SameOrAfter", (left, moved), node, **attributes)
    if qualifier == "more than":
        return c.call("Before" if before else "After", (left, moved), node, **attributes)
    # At most so far away: between the moved point and the point itself.
    far_closed = qualifier == "or less"
    near_closed = phrase.inclusive
    if before:
        span = _span(c, node, moved, right, far_closed, near_closed)
    else:
        span = _span(c, node, right, moved, near_closed, far_closed)
    inside = c.call("In", (left, span), node, **attributes)
    return _and_known(c, inside, right)


def _within(c: Context, node: tree.Timing, phrase: tree.WithinPhrase, left: Typed, right: Typed) -> Typed:
    distance = _marked_quantity(c, phrase.quantity)
    if isinstance(right.type, IntervalType):
        first, last = _side(c, "Start", right, node.right), _side(c, "End", right, node.right)
    else:
        first = last = right
    low = c.call("Subtract", (first, distance), node.right)
    high = c.call("Add", (last, distance), node.right)
    closed = not phrase.properly
    span = _span(c, node, low, high, closed, closed)
    operator = "IncludedIn" if isinstance(left.type, IntervalType) else "In"
    inside = c.call(operator, (left, span), node)
    return inside if first is not last else _and_known(c, inside, right)


def _marked_quantity(c: Context, node: tree.Quantity) -> Typed:
    value = quantity(c, node)
    c.mark(value.node, node, value.type)
    return value


def _span(
    c: Context, node: tree.Timing, low: Typed, high: Typed, low_closed: bool, high_closed: bool
) -> Typed:
    point = c.common_type(low.type, high.type)
    value = elm.Interval(
        low=c.as_common(low, point, node),
        high=c.as_common(high, point, node),
        low_closed=low_closed,
        high_closed=high_closed,
    )
    c.mark(value, node.right, IntervalType(point))
    return Typed(value, IntervalType(point))


def _and_known(c: Context, inside: Typed, right: Typed) -> Typed:
    # An unknown point would leave an interval without bounds, in which everything is.
    known = elm.Not(operand=elm.IsNull(operand=right.node))
    return Typed(elm.And(operand=(inside.node, known)), BOOLEAN)


def duration_between(c: Context, node: tree.DurationBetween) -> Typed:
    """``days between low and high``, ``difference in days between low and high``."""
    operator = "DifferenceBetween" if node.measure == "difference" else "DurationBetween"
    low, high = c.expression(node.low), c.expression(node.high)
    return c.call(operator, (low, high), node, **precision(node.precision))


def duration_of(c: Context, node: tree.DurationOf) -> Typed:
    """``duration in days of interval``."""
    operator = "DifferenceBetween" if node.measure == "difference" else "DurationBetween"
    operand = c.expression(node.operand)
    low, high = _side(c, "Start", operand, node.operand), _side(c, "End", operand, node.operand)
    return c.call(operator, (low, high), node, **precision(node.precision))


def component_from(c: Context, node: tree.ComponentFrom) -> Typed:
    """``year from x``, ``date from x``."""
    operand = c.expression(node.operand)
    named = {
        "date": "DateFrom",
        "time": "TimeFrom",
        "timezone": "TimezoneFrom",
        "timezoneoffset": "TimezoneOffsetFrom",
    }
    if node.component in named:
        return c.call(named[node.component], (operand,), node)
    return c.call("DateTimeComponentFrom", (operand,), node, **precision(node.component))
