"""Aggregate operators.

ELM: "Aggregate Operators".
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import Expression, TypeSpecifier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AggregateExpression(Expression):
    """One value from the elements of a list, or from the elements at ``path`` in them."""

    signature: tuple[TypeSpecifier, ...] = ()
    source: Expression
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aggregate(AggregateExpression):
    """A fold with an expression of one's own."""

    iteration: Expression
    initial_value: Expression | None = None


class Count(AggregateExpression):
    """How many are not null."""

    __slots__ = ()


class Sum(AggregateExpression):
    """The sum."""

    __slots__ = ()


class Product(AggregateExpression):
    """The product."""

    __slots__ = ()


class Min(AggregateExpression):
    """The least."""

    __slots__ = ()


class Max(AggregateExpression):
    """The greatest."""

    __slots__ = ()


class Avg(AggregateExpression):
    """The arithmetic mean."""

    __slots__ = ()


class GeometricMean(AggregateExpression):
    """The geometric mean."""

    __slots__ = ()


class Median(AggregateExpression):
    """The median."""

    __slots__ = ()


class Mode(AggregateExpression):
    """The most frequent."""

    __slots__ = ()


class Variance(AggregateExpression):
    """The sample variance."""

    __slots__ = ()


class PopulationVariance(AggregateExpression):
    """The population variance."""

    __slots__ = ()


class StdDev(AggregateExpression):
    """The sample standard deviation."""

    __slots__ = ()


class PopulationStdDev(AggregateExpression):
    """The population standard deviation."""

    __slots__ = ()


class AllTrue(AggregateExpression):
    """True where none is false."""

    __slots__ = ()


class AnyTrue(AggregateExpression):
    """True where one is true."""

    __slots__ = ()
