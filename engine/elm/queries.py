"""Queries, their clauses, and references to what they introduce.

ELM: "Queries".
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import Element, Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AliasedQuerySource(Element):
    """A source and the alias of its rows."""

    alias: str
    expression: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LetClause(Element):
    """A value named for the rest of the query."""

    identifier: str
    expression: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RelationshipClause(AliasedQuerySource):
    """A related source and the condition on both."""

    such_that: Expression


class With(RelationshipClause):
    """Keeps the rows to which some related row fits."""

    __slots__ = ()


class Without(RelationshipClause):
    """Keeps the rows to which no related row fits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SortByItem(Element):
    """One key of a sort; the direction is asc, ascending, desc or descending."""

    direction: str


class ByDirection(SortByItem):
    """The row itself as the key."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ByColumn(SortByItem):
    """The element at ``path`` of the row as the key."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ByExpression(SortByItem):
    """The value of an expression as the key, with the row as its scope."""

    expression: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SortClause(Element):
    """The keys of a sort, the weightiest first."""

    by: tuple[SortByItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReturnClause(Element):
    """The shape of the result; without ``distinct`` duplicates stay."""

    expression: Expression
    distinct: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AggregateClause(Element):
    """A fold over the rows with ``identifier`` as the name of the running value."""

    identifier: str
    expression: Expression
    starting: Expression | None = None
    distinct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query(Expression):
    """Rows from one or more sources, restricted, shaped and sorted."""

    source: tuple[AliasedQuerySource, ...]
    let: tuple[LetClause, ...] = ()
    relationship: tuple[RelationshipClause, ...] = ()
    where: Expression | None = None
    return_: ReturnClause | None = None
    aggregate: AggregateClause | None = None
    sort: SortClause | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AliasRef(Expression):
    """The row that an alias stands for."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueryLetRef(Expression):
    """The value of a let of the query."""

    name: str
