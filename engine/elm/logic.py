"""Logical, nullological and conditional operators, errors and messages.

ELM: "Logical Operators", "Nullological Operators", "Conditional Operators", "Errors and Messages".
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import (
    BinaryExpression,
    Element,
    Expression,
    NaryExpression,
    OperatorExpression,
    UnaryExpression,
)


class And(BinaryExpression):
    """Conjunction."""

    __slots__ = ()


class Or(BinaryExpression):
    """Disjunction."""

    __slots__ = ()


class Xor(BinaryExpression):
    """Exclusive disjunction."""

    __slots__ = ()


class Implies(BinaryExpression):
    """Implication."""

    __slots__ = ()


class Not(UnaryExpression):
    """Negation."""

    __slots__ = ()


class IsNull(UnaryExpression):
    """True where the operand is null."""

    __slots__ = ()


class IsTrue(UnaryExpression):
    """True where the operand is true, else false."""

    __slots__ = ()


class IsFalse(UnaryExpression):
    """True where the operand is false, else false."""

    __slots__ = ()


class Coalesce(NaryExpression):
    """The first operand that is not null; of a single list operand, its first element that is not."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class If(Expression):
    """One of two values; a null condition takes the second."""

    condition: Expression
    then: Expression
    else_: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseItem(Element):
    """One branch of a case."""

    when: Expression
    then: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case(Expression):
    """The first branch whose condition is true, or is equal to the comparand."""

    comparand: Expression | None = None
    case_item: tuple[CaseItem, ...]
    else_: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Message(OperatorExpression):
    """The source, after a message where the condition is true; severity Error stops the evaluation."""

    source: Expression
    condition: Expression | None = None
    code: Expression | None = None
    severity: Expression | None = None
    message: Expression | None = None
