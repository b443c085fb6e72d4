"""Arithmetic operators.

ELM: "Arithmetic Operators".
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import BinaryExpression, Expression, OperatorExpression, UnaryExpression


class Add(BinaryExpression):
    """Sum; of a date and a quantity, a later date."""

    __slots__ = ()


class Subtract(BinaryExpression):
    """Difference; of a date and a quantity, an earlier date."""

    __slots__ = ()


class Multiply(BinaryExpression):
    """Product."""

    __slots__ = ()


class Divide(BinaryExpression):
    """Quotient of decimals or quantities."""

    __slots__ = ()


class TruncatedDivide(BinaryExpression):
    """``div``: the whole part of a quotient."""

    __slots__ = ()


class Modulo(BinaryExpression):
    """``mod``: the remainder of a division."""

    __slots__ = ()


class Ceiling(UnaryExpression):
    """The least integer not below the operand."""

    __slots__ = ()


class Floor(UnaryExpression):
    """The greatest integer not above the operand."""

    __slots__ = ()


class Truncate(UnaryExpression):
    """The integer part."""

    __slots__ = ()


class Abs(UnaryExpression):
    """The absolute value."""

    __slots__ = ()


class Negate(UnaryExpression):
    """The operand with its sign changed."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round(OperatorExpression):
    """The operand rounded to ``precision`` decimal places, or to none."""

    operand: Expression
    precision: Expression | None = None


class Ln(UnaryExpression):
    """The natural logarithm."""

    __slots__ = ()


class Exp(UnaryExpression):
    """The exponential."""

    __slots__ = ()


class Log(BinaryExpression):
    """The logarithm of the first operand to the base of the second."""

    __slots__ = ()


class Power(BinaryExpression):
    """The first operand to the power of the second."""

    __slots__ = ()


class Successor(UnaryExpression):
    """The next value of the type."""

    __slots__ = ()


class Predecessor(UnaryExpression):
    """The value before."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MinValue(Expression):
    """The least value of a type."""

    value_type: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaxValue(Expression):
    """The greatest value of a type."""

    value_type: str


class Precision(UnaryExpression):
    """The number of digits or the precision of a date or time."""

    __slots__ = ()


class LowBoundary(BinaryExpression):
    """The least value that the first operand may stand for, to the precision of the second."""

    __slots__ = ()


class HighBoundary(BinaryExpression):
    """The greatest value that the first operand may stand for, to the precision of the second."""

    __slots__ = ()
