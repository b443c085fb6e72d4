"""List operators and the iterations over lists.

ELM: "List Operators". Those that intervals share are in ``intervals.py``, Length and Indexer in
``strings.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import BinaryExpression, Expression, OperatorExpression, UnaryExpression
from measurewise.engine.elm.queries import SortByItem


class Exists(UnaryExpression):
    """True where the list has an element that is not null."""

    __slots__ = ()


class EquivalentContains(BinaryExpression):
    """True where an element of the list is equivalent to the second operand."""

    __slots__ = ()


class EquivalentIn(BinaryExpression):
    """True where the first operand is equivalent to an element of the list."""

    __slots__ = ()


class Times(BinaryExpression):
    """The pairs of two lists of tuples, joined."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filter(Expression):
    """The elements for which a condition is true."""

    source: Expression
    condition: Expression
    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class First(OperatorExpression):
    """The first element."""

    source: Expression
    order_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Last(OperatorExpression):
    """The last element."""

    source: Expression
    order_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice(OperatorExpression):
    """The elements from one index up to, not including, another."""

    source: Expression
    start_index: Expression | None = None
    end_index: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexOf(OperatorExpression):
    """The index from 0 of an element, or -1."""

    source: Expression
    element: Expression


class Flatten(UnaryExpression):
    """The elements of the lists of a list."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sort(Expression):
    """The elements in order."""

    source: Expression
    by: tuple[SortByItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForEach(Expression):
    """A value for each element."""

    source: Expression
    element: Expression
    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repeat(Expression):
    """As ForEach, over and over on what is new."""

    source: Expression
    element: Expression
    scope: str | None = None


class Distinct(UnaryExpression):
    """The elements without duplicates."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Current(Expression):
    """The element that an iteration stands at."""

    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Iteration(Expression):
    """The index from 0 that an iteration stands at."""

    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Total(Expression):
    """The running value of an aggregation."""

    scope: str | None = None


class SingletonFrom(UnaryExpression):
    """The only element; an error where there are more."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Children(OperatorExpression):
    """The values of all elements of a structure."""

    source: Expression


class Descendants(Children):
    """The values of all elements of a structure and of theirs, to the leaves."""

    __slots__ = ()


class Descendents(Children):
    """The older spelling of Descendants."""

    __slots__ = ()
