"""Collapsing lists of intervals and expanding intervals into parts (CQL Reference, "Collapse", "Expand").

``per`` is a Quantity: of the unit ``'1'`` for numbers, of a calendar unit for Dates, DateTimes and Times, and
of the points' own dimension for Quantities. Where it is null, the coarsest precision of the bounds decides.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from functools import cmp_to_key
from typing import Any, Final

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.datetime_arithmetic import UNIT_PRECISION, WEEK, shifted_by
from measurewise.engine.runtime.interval_bounds import (
    Unknown,
    high_bound,
    less,
    less_or_equal,
    low_bound,
)
from measurewise.engine.runtime.points import MAX_DECIMAL, compare_points, neighbour, type_name
from measurewise.engine.runtime.temporal import DAY, PRECISION_NAMES, Date, DateTime, Time, truncated
from measurewise.engine.runtime.values import Interval, Long, Quantity

MAX_PARTS: Final = 1_000_000
"""An expansion into more parts than this is refused rather than left to fill the memory."""

_TEMPORAL: Final = (Date, DateTime, Time)


# --- collapse ---------------------------------------------------------------------------------------------


def collapse(source: list[Interval | None] | None, per: Quantity | None = None) -> list[Interval] | None:
    """The fewest intervals that cover what the given ones cover, in ascending order.

    Intervals are merged that overlap or meet; with ``per``, also those that are less than one ``per`` apart
    (so that ``per day`` joins an end at noon with a start the next morning). Nulls and intervals without a
    known bound are left out; null for null.
    """
    if source is None:
        return None
    spans = []
    for interval in source:
        if interval is not None:
            first, last = low_bound(interval), high_bound(interval)
            if type(first) is not Unknown or type(last) is not Unknown:
                spans.append((first, last, interval))
    if not spans:
        return []
    if len(spans) == 1:
        return [spans[0][2]]
    spans.sort(key=_BY_START)
    reach = _reach(per, spans)
    collapsed: list[Interval] = []
    first, last, interval = spans[0]
    merged = False
    for next_first, next_last, following in spans[1:]:
        if reach.joins(last, next_first):
            merged = True
            if less(last, next_last) is not False:
                last = next_last
            if type(first) is Unknown and type(next_first) is not Unknown:
                first = next_first if less_or_equal(next_first, first) else first
        else:
            collapsed.append(_closed(first, last, interval) if merged else interval)
            first, last, interval, merged = next_first, next_last, following, False
    collapsed.append(_closed(first, last, interval) if merged else interval)
    return collapsed


def _order(a: tuple[Any, Any, Interval], b: tuple[Any, Any, Interval]) -> int:
    """Ascending starts; imprecise ones by the earliest moment they can mean, unknown ones by the least."""
    return _rank(a[0], b[0]) or _rank(a[1], b[1])


def _rank(a: Any, b: Any) -> int:
    if type(a) is Unknown:
        a = a.lo
    if type(b) is Unknown:
        b = b.lo
    if a is None or b is None:
        return (a is not None) - (b is not None)
    order = compare_points(a, b)
    if order is None and type(a) in _TEMPORAL and type(b) in _TEMPORAL:
        order = (a.lo > b.lo) - (a.lo < b.lo)
    return order or 0


_BY_START: Final = cmp_to_key(_order)


def _closed(first: Any, last: Any, interval: Interval) -> Interval:
    low = None if type(first) is Unknown else first
    high = None if type(last) is Unknown else last
    return Interval(low, high, low is not None, high is not None, interval.point)


class _Reach:
    """How far apart two intervals may lie and still be joined: one step of a precision, or a distance."""

    __slots__ = ("distance", "precision", "steps")

    def __init__(self, precision: int | None, steps: int, distance: Quantity | Decimal | None) -> None:
        self.precision = precision
        self.steps = steps
        self.distance = distance

    def joins(self, last: Any, first: Any) -> bool:
        """Whether an interval that ends at ``last`` reaches one that starts at ``first`` or later."""
        if less_or_equal(first, last, self.precision):
            return True
        if type(last) is Unknown or type(first) is Unknown:
            return False
        if self.distance is not None:
            if less_or_equal(first, _sum(last, self.distance)):
                return True
        point = last
        if self.precision is not None:
            point = truncated(last, self.precision)
        limit = neighbour(point, self.steps)
        return limit is None or bool(less_or_equal(first, limit, self.precision))


def _reach(per: Quantity | None, spans: list[tuple[Any, Any, Interval]]) -> _Reach:
    bounds = [bound for first, last, _ in spans for bound in (first, last) if type(bound) is not Unknown]
    sample = bounds[0]
    if type(sample) in _TEMPORAL:
        if per is None or per.value is None:
            precisions = {bound.precision for bound in bounds}
            return _Reach(min(precisions) if len(precisions) > 1 else None, 1, None)
        precision, count = _calendar_step(per, sample)
        return _Reach(precision, count, None)
    if per is None or per.value is None or per.value <= 0:
        return _Reach(None, 1, None)
    return _Reach(None, 1, per if type(sample) is Quantity else per.value)


def _sum(point: Any, distance: Quantity | Decimal) -> Any:
    if type(distance) is Quantity:
        from measurewise.engine.runtime import quantities

        return quantities.add(point, distance) or point
    return Decimal(point) + distance  # type: ignore[operator]


# --- expand -----------------------------------------------------------------------------------------------


def expand(source: Any, per: Quantity | None = None) -> list[Any] | None:
    """The parts of size ``per`` of a list of intervals, or the points they start on of a single interval.

    Bounds finer than ``per`` are cut to it; an interval whose Dates, DateTimes or Times are coarser gives
    nothing, nor does one with a null bound. Null for null; ``EvaluationError`` for a ``per`` that does not
    fit the points and for more than ``MAX_PARTS`` parts.
    """
    if source is None:
        return None
    if type(source) is Interval:
        return [first for first, _ in _parts([source], per)]
    return [
        Interval(first, last)
        for first, last in _parts([interval for interval in source if interval is not None], per)
    ]


def _parts(intervals: list[Interval], per: Quantity | None) -> list[tuple[Any, Any]]:
    spans = [
        (low_bound(interval), high_bound(interval))
        for interval in intervals
        if interval.low is not None and interval.high is not None
    ]
    if not spans:
        return []
    sample = spans[0][0]
    parts: list[tuple[Any, Any]] = []
    if type(sample) in _TEMPORAL:
        if per is None or per.value is None:
            precision, count = min(bound.precision for span in spans for bound in span), 1
        else:
            precision, count = _calendar_step(per, sample)
        for first, last in spans:
            _temporal_parts(first, last, precision, count, parts)
    else:
        for first, last in spans:
            _number_parts(first, last, _number_step(per, spans, sample), parts)
    return list(dict.fromkeys(parts))


def _temporal_parts(first: Any, last: Any, precision: int, count: int, parts: list[tuple[Any, Any]]) -> None:
    if first.precision < precision or last.precision < precision:
        return
    start, end = truncated(first, precision), truncated(last, precision)
    number = 0
    while True:
        # Each part is counted from the first, so that months of different lengths do not drift.
        begins = _later(start, precision, number * count)
        ends = _later(start, precision, number * count + count - 1)
        if begins is None or ends is None or not less_or_equal(ends, end):
            return
        parts.append((begins, ends))
        _refuse_excess(parts)
        number += 1


def _later(value: Any, precision: int, count: int) -> Any:
    if type(value) is Time:
        return neighbour(value, count)
    return shifted_by(value, precision, count)


def _calendar_step(per: Quantity, sample: Any) -> tuple[int, int]:
    precision = UNIT_PRECISION.get(per.unit)
    count = 0 if per.value is None else int(per.value)
    if precision == WEEK:
        precision, count = DAY, count * 7
    if precision is None or count < 1 or (type(sample) is Time and precision <= DAY):
        raise EvaluationError(
            f"Intervals of {type_name(sample)} have no parts of {per.value} '{per.unit}'.",
            mend=f"Use one or more of a calendar unit: {', '.join(PRECISION_NAMES).lower()}, week.",
        )
    return precision, count


def _number_step(per: Quantity | None, spans: list[tuple[Any, Any]], sample: Any) -> Decimal:
    if per is None or per.value is None:
        places = min(_places(_number(bound)) for span in spans for bound in span)
        return Decimal(1).scaleb(-places)
    step = per.value
    if type(sample) is Quantity and sample.unit != per.unit:
        from measurewise.engine.runtime import quantities

        converted = quantities.convert_quantity(per, sample.unit)
        if converted is None or converted.value is None:
            raise EvaluationError(
                f"Intervals in '{sample.unit}' have no parts of {per.value} '{per.unit}'.",
                mend="Use a unit of the same dimension.",
            )
        step = converted.value
    if step <= 0:
        raise EvaluationError(f"Intervals have no parts of size {step}.", mend="Use a size above 0.")
    return step


def _number_parts(first: Any, last: Any, step: Decimal, parts: list[tuple[Any, Any]]) -> None:
    kind = type(first)
    unit = first.unit if kind is Quantity else None
    if kind is Quantity:
        from measurewise.engine.runtime import quantities

        last = quantities.convert_quantity(last, unit)
        if last is None:
            return
    low, high = _number(first), _number(last)
    places = max(0, _places(step.normalize()))
    grain = Decimal(1).scaleb(-places)
    low, high = low.quantize(grain, ROUND_FLOOR), _covered(high, kind, grain)
    whole = kind in (int, Long) and places == 0
    begins = low
    while True:
        ends = begins + step - grain
        if ends > high or ends > MAX_DECIMAL:
            return
        if whole:
            parts.append((kind(begins), kind(ends)))
        elif unit is not None:
            parts.append((Quantity(begins, unit), Quantity(ends, unit)))
        else:
            parts.append((begins, ends))
        _refuse_excess(parts)
        begins += step


def _refuse_excess(parts: list[tuple[Any, Any]]) -> None:
    if len(parts) > MAX_PARTS:
        raise EvaluationError(
            f"An expansion gives more than {MAX_PARTS:,} parts.",
            mend="Expand per a larger unit, or a shorter interval.",
        )


def _covered(high: Decimal, kind: type, grain: Decimal) -> Decimal:
    """The last number of a grain that a bound takes in: an Integer stands for all up to the next one."""
    if kind in (int, Long) and grain < 1:
        return high + 1 - grain
    return high.quantize(grain, ROUND_FLOOR)


def _number(point: Any) -> Decimal:
    number: Decimal | int = point.value if type(point) is Quantity else point  # type: ignore[assignment]
    return Decimal(number)


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0
