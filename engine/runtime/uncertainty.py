"""Uncertainty: some value between two bounds (CQL 1.5.3 Language Semantics, "Uncertainty").

A duration or difference between values that leave components open is an uncertainty. CQL has no syntax for
one; a comparison answers true or false where every value between the bounds gives that answer, and null
otherwise. A point stands for the uncertainty of width zero, and :func:`between` gives back the point when
its bounds meet, so every function here takes ``int`` and :class:`Uncertainty` alike and null for unknown.
"""

from __future__ import annotations

from measurewise.engine.runtime.values import Interval


class Uncertainty:
    """Some integer from ``low`` to ``high``, both included; ``low`` is less than ``high``."""

    __slots__ = ("high", "low")

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    def __repr__(self) -> str:
        return f"Uncertainty({self.low}, {self.high})"

    def __eq__(self, other: object) -> bool:
        """Sameness of the bounds, not CQL equality (which is unknown between two uncertainties)."""
        return type(other) is Uncertainty and self.low == other.low and self.high == other.high

    def __hash__(self) -> int:
        return hash((self.low, self.high))


Uncertain = int | Uncertainty


def between(low: int, high: int) -> Uncertain:
    """The uncertainty from ``low`` to ``high``, or the point where they meet."""
    return low if low == high else Uncertainty(low, high)


def bounds(value: Uncertain) -> tuple[int, int]:
    """The least and the greatest value that is possible."""
    return (value.low, value.high) if type(value) is Uncertainty else (value, value)  # type: ignore[return-value]


def as_interval(value: Uncertainty) -> Interval:
    """The closed interval of the possible values, the form in which a result leaves the engine."""
    return Interval(value.low, value.high, True, True, "Integer")


def equal(a: Uncertain | None, b: Uncertain | None) -> bool | None:
    """True for one point on both sides, false where the bounds do not overlap, else null."""
    if a is None or b is None:
        return None
    al, ah = bounds(a)
    bl, bh = bounds(b)
    if al > bh or ah < bl:
        return False
    return True if al == ah and bl == bh else None


def less(a: Uncertain | None, b: Uncertain | None) -> bool | None:
    """``a < b`` for every possible pair, or for none; else null."""
    if a is None or b is None:
        return None
    al, ah = bounds(a)
    bl, bh = bounds(b)
    return True if ah < bl else False if al >= bh else None


def less_or_equal(a: Uncertain | None, b: Uncertain | None) -> bool | None:
    """``a <= b`` for every possible pair, or for none; else null."""
    if a is None or b is None:
        return None
    al, ah = bounds(a)
    bl, bh = bounds(b)
    return True if ah <= bl else False if al > bh else None


def greater(a: Uncertain | None, b: Uncertain | None) -> bool | None:
    """``a > b`` for every possible pair, or for none; else null."""
    return less(b, a)


def greater_or_equal(a: Uncertain | None, b: Uncertain | None) -> bool | None:
    """``a >= b`` for every possible pair, or for none; else null."""
    return less_or_equal(b, a)


def add(a: Uncertain | None, b: Uncertain | None) -> Uncertain | None:
    """The sums that are possible."""
    if a is None or b is None:
        return None
    al, ah = bounds(a)
    bl, bh = bounds(b)
    return between(al + bl, ah + bh)


def subtract(a: Uncertain | None, b: Uncertain | None) -> Uncertain | None:
    """The differences that are possible."""
    if a is None or b is None:
        return None
    al, ah = bounds(a)
    bl, bh = bounds(b)
    return between(al - bh, ah - bl)


def multiply(a: Uncertain | None, b: Uncertain | None) -> Uncertain | None:
    """The range of the products that are possible."""
    if a is None or b is None:
        return None
    al, ah = bounds(a)
    bl, bh = bounds(b)
    products = (al * bl, al * bh, ah * bl, ah * bh)
    return between(min(products), max(products))


def negate(a: Uncertain | None) -> Uncertain | None:
    """The negatives that are possible."""
    if a is None:
        return None
    low, high = bounds(a)
    return between(-high, -low)
