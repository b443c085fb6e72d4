"""Aggregating observations over many patients: exact, mergeable, as small as the method allows.

Count, sum, average, minimum and maximum need a constant number of numbers. Median and mode need how often
each distinct value occurred, which is bounded by the number of distinct values, not of observations. Numbers
are integers and fractions, so merging in any order gives the same result to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from measurewise.engine.errors import EvaluationError
from measurewise.engine.measure.definition import AggregateMethod
from measurewise.engine.measure.results import Observed
from measurewise.engine.runtime.values import Quantity

Number = int | Fraction


def observed(member: Any, value: Any, where: str) -> Observed:
    """An observation function's answer (Integer, Decimal, Quantity or null; QM IG 3.13.4c) made exact.

    Raises :class:`EvaluationError` for any other type.
    """
    kind = type(value)
    if kind is int or value is None:
        return Observed(member, value)
    if kind is Decimal:
        return Observed(member, _exact(value))
    if kind is Quantity:
        return Observed(member, None if value.value is None else _exact(value.value), value.unit or "1")
    if isinstance(value, int) and kind is not bool:
        return Observed(member, int(value))
    raise EvaluationError(
        f"the observation yielded a {kind.__name__}; only Integer, Decimal and Quantity can be aggregated.",
        where=where,
        mend="Let the observation function return a number or a quantity.",
    )


def _exact(value: Decimal) -> Number:
    fraction = Fraction(value)
    return fraction.numerator if fraction.denominator == 1 else fraction


@dataclass(slots=True)
class Aggregate:
    """The running aggregate of one observation; ``unit`` is None until a value came."""

    method: AggregateMethod
    unit: str | None = None
    count: int = 0
    total: Number = 0
    extreme: Number | None = None
    occurrences: dict[Number, int] = field(default_factory=dict)

    def add(self, observation: Observed) -> None:
        """Count one observation in; a null one is passed over, as CQL's aggregate operators do."""
        value = observation.value
        if value is None:
            return
        self._take_unit(observation.unit)
        self.count += 1
        method = self.method
        if method is AggregateMethod.SUM or method is AggregateMethod.AVERAGE:
            self.total += value
        elif method is AggregateMethod.MINIMUM or method is AggregateMethod.MAXIMUM:
            self._take_extreme(value)
        elif method is not AggregateMethod.COUNT:
            self.occurrences[value] = self.occurrences.get(value, 0) + 1

    def add_all(self, observations: Iterable[Observed]) -> Aggregate:
        """Count some observations in, and give the aggregate itself."""
        for observation in observations:
            self.add(observation)
        return self

    def merge(self, other: Aggregate) -> None:
        """Count in what another aggregate of the same observation has seen."""
        if other.unit is not None:
            self._take_unit(other.unit)
        self.count += other.count
        self.total += other.total
        if other.extreme is not None:
            self._take_extreme(other.extreme)
        for value, times in other.occurrences.items():
            self.occurrences[value] = self.occurrences.get(value, 0) + times

    def result(self) -> Number | None:
        """The aggregate; None of no observations, save that their count is 0."""
        method = self.method
        if method is AggregateMethod.COUNT:
            return self.count
        if self.count == 0:
            return None
        if method is AggregateMethod.SUM:
            return self.total
        if method is AggregateMethod.AVERAGE:
            return Fraction(self.total) / self.count
        if method is AggregateMethod.MEDIAN:
            return self._median()
        if method is AggregateMethod.MODE:
            most = max(self.occurrences.values())
            return min(value for value, times in self.occurrences.items() if times == most)
        return self.extreme

    def _take_unit(self, unit: str) -> None:
        if self.unit is None:
            self.unit = unit
        elif self.unit != unit:
            raise EvaluationError(
                f"observations in {self.unit!r} and in {unit!r} cannot be aggregated.",
                mend="Let the observation function return every value in one unit.",
            )

    def _take_extreme(self, value: Number) -> None:
        if self.extreme is None:
            self.extreme = value
        elif self.method is AggregateMethod.MINIMUM:
            self.extreme = min(self.extreme, value)
        else:
            self.extreme = max(self.extreme, value)

    def _median(self) -> Number:
        lower_rank, upper_rank = (self.count + 1) // 2, self.count // 2 + 1
        lower: Number | None = None
        seen = 0
        for value in sorted(self.occurrences):
            seen += self.occurrences[value]
            if lower is None and seen >= lower_rank:
                lower = value
            if lower is not None and seen >= upper_rank:
                return value if lower == value else Fraction(lower + value) / 2
        raise AssertionError("the ranks lie within the count")
