"""Operators with words or signs, and conditionals."""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.cql.tree.nodes import Expression, Node
from measurewise.engine.cql.tree.types import NamedType, TypeSpecifier


@dataclass(frozen=True, slots=True)
class Unary(Expression):
    """An operator before its operand.

    ``operator`` is ``+``, ``-``, ``not``, ``exists``, ``distinct``, ``flatten``, ``start of``, ``end of``,
    ``width of``, ``successor of``, ``predecessor of``, ``singleton from`` or ``point from``.
    """

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    """An operator between operands.

    ``operator`` is one of ``^ * / div mod + - & | union intersect except <= < > >= = != ~ !~ and or xor
    implies``.
    """

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Membership(Expression):
    """``left in|contains [precision of] right``."""

    operator: str
    precision: str | None
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Between(Expression):
    """``operand [properly] between low and high``."""

    operand: Expression
    properly: bool
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class TruthTest(Expression):
    """``operand is [not] null|true|false``."""

    operand: Expression
    negated: bool
    value: str


@dataclass(frozen=True, slots=True)
class TypeTest(Expression):
    """``operand is type``."""

    operand: Expression
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class As(Expression):
    """``operand as type``: null when it is of another type."""

    operand: Expression
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class Cast(Expression):
    """``cast operand as type``: an error when it is of another type."""

    operand: Expression
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class Convert(Expression):
    """``convert operand to type``, or to a unit: UCUM, or a calendar word when ``calendar``."""

    operand: Expression
    type: TypeSpecifier | None
    unit: str | None = None
    calendar: bool = False


@dataclass(frozen=True, slots=True)
class TypeExtent(Expression):
    """``minimum type`` or ``maximum type``."""

    extent: str
    type: NamedType


@dataclass(frozen=True, slots=True)
class ComponentFrom(Expression):
    """``year from operand``, ``date from operand``, ``timezoneoffset from operand``."""

    component: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class DurationOf(Expression):
    """``duration|difference in days of operand``; ``measure`` is the first word, ``precision`` singular."""

    measure: str
    precision: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class DurationBetween(Expression):
    """``[duration in] days between low and high``, ``difference in days between low and high``."""

    measure: str
    precision: str
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class SetAggregate(Expression):
    """``expand|collapse operand [per precision-or-quantity]``; a precision is its (singular) word."""

    operator: str
    operand: Expression
    per: str | Expression | None


@dataclass(frozen=True, slots=True)
class If(Expression):
    """``if condition then then else otherwise``."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class CaseItem(Node):
    """``when condition then result``."""

    when: Expression
    then: Expression


@dataclass(frozen=True, slots=True)
class Case(Expression):
    """``case [comparand] when ... then ... else otherwise end``."""

    comparand: Expression | None
    items: tuple[CaseItem, ...]
    otherwise: Expression
