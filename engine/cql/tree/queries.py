"""Retrieves and queries with their clauses."""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.cql.tree.nodes import Expression, Identifier, Node
from measurewise.engine.cql.tree.types import NamedType


@dataclass(frozen=True, slots=True)
class CodePath(Node):
    """A path in a retrieve: ``code``, ``participant.role``, ``component[0].code``; keys keep their quotes."""

    path: str


@dataclass(frozen=True, slots=True)
class Retrieve(Expression):
    """``[context -> Type: path comparator terminology]``; comparator is ``in``, ``=``, ``~`` or None."""

    context: Expression | None
    type: NamedType
    code_path: CodePath | None
    comparator: str | None
    terminology: Expression | None


@dataclass(frozen=True, slots=True)
class AliasedSource(Node):
    """``source alias``."""

    source: Expression
    alias: Identifier


@dataclass(frozen=True, slots=True)
class LetItem(Node):
    """``name: value`` in a let clause."""

    name: Identifier
    value: Expression


@dataclass(frozen=True, slots=True)
class Relationship(Node):
    """``with|without source alias such that condition``."""

    without: bool
    source: AliasedSource
    condition: Expression


@dataclass(frozen=True, slots=True)
class ReturnClause(Node):
    """``return [all|distinct] value``; ``modifier`` is the word or None (which means distinct)."""

    modifier: str | None
    value: Expression


@dataclass(frozen=True, slots=True)
class AggregateClause(Node):
    """``aggregate [all|distinct] name [starting start]: value``."""

    modifier: str | None
    name: Identifier
    starting: Expression | None
    value: Expression


@dataclass(frozen=True, slots=True)
class SortItem(Node):
    """``value [asc|desc]``; ``descending`` is False when no direction was written."""

    value: Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class SortClause(Node):
    """``sort by item, ...``, or ``sort asc|desc`` with no items."""

    items: tuple[SortItem, ...]
    descending: bool


@dataclass(frozen=True, slots=True)
class Query(Expression):
    """``[from] sources let ... with ... where ... return|aggregate ... sort ...``."""

    sources: tuple[AliasedSource, ...]
    lets: tuple[LetItem, ...]
    relationships: tuple[Relationship, ...]
    where: Expression | None
    result: ReturnClause | AggregateClause | None
    sort: SortClause | None
