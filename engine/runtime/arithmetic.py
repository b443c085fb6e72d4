"""The arithmetic operators (CQL Reference, "Arithmetic Operators").

An operation that overflows or cannot be performed gives null, never an error. Integers and Longs mix to a
Long, either with a Decimal to a Decimal, and a number with a Quantity becomes one with the unit ``'1'``.
Operands that are uncertain (a duration between imprecise dates) give uncertain results.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import datetime_arithmetic, datetime_boundaries, points, quantities
from measurewise.engine.runtime.decimals import (
    CONTEXT,
    PLACES,
    fit,
    places,
    rounded,
)
from measurewise.engine.runtime.decimals import ceiling as _ceiling
from measurewise.engine.runtime.decimals import floor as _floor
from measurewise.engine.runtime.decimals import truncated as _truncated
from measurewise.engine.runtime.temporal import Date, DateTime, Time
from measurewise.engine.runtime.uncertainty import Uncertainty
from measurewise.engine.runtime.values import Long, Quantity

MIN_INTEGER: Final = -(2**31)
MAX_INTEGER: Final = 2**31 - 1
MIN_LONG: Final = -(2**63)
MAX_LONG: Final = 2**63 - 1

_WHOLE = frozenset({int, Long})
_NUMBERS = frozenset({int, Long, Decimal})
_TEMPORAL = frozenset({Date, DateTime, Time})


def integer(value: int) -> int | None:
    """The value, or null where it is not a 32-bit Integer."""
    return value if MIN_INTEGER <= value <= MAX_INTEGER else None


def long(value: int) -> Long | None:
    """The value as a Long, or null where it has more than 64 bits."""
    return Long(value) if MIN_LONG <= value <= MAX_LONG else None


def _whole(left: int, right: int, value: int) -> int | None:
    return long(value) if type(left) is Long or type(right) is Long else integer(value)


def _unfit(name: str, *operands: Any) -> EvaluationError:
    kinds = " and ".join(type(operand).__name__ for operand in operands)
    return EvaluationError(
        f"{name} is not defined for {kinds}.", mend="Convert the operands to numbers or quantities first."
    )


def _quantity(value: Any) -> Any:
    return Quantity(Decimal(value), "1") if type(value) in _NUMBERS else value


def _corners(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """An operation on uncertain operands, monotonic in each: its least and greatest possible result."""
    lefts = (left.low, left.high) if type(left) is Uncertainty else (left, left)
    rights = (right.low, right.high) if type(right) is Uncertainty else (right, right)
    results = [operation(a, b) for a in lefts for b in rights]
    if any(result is None for result in results):
        return None
    return Uncertainty(min(results), max(results))


# --- sums and products ------------------------------------------------------------------------------------


def add(left: Any, right: Any) -> Any:
    """The sum of numbers or quantities, or a date or time moved on by a quantity; of strings, both joined."""
    if left is None or right is None:
        return None
    a, b = type(left), type(right)
    if a is int and b is int:
        total = left + right
        return total if MIN_INTEGER <= total <= MAX_INTEGER else None
    if a in _NUMBERS and b in _NUMBERS:
        if a is Decimal or b is Decimal:
            return fit(CONTEXT.add(left, right))
        return _whole(left, right, left + right)
    if a in _TEMPORAL:
        return datetime_arithmetic.add(left, right)
    if a is Quantity or b is Quantity:
        return quantities.add(_quantity(left), _quantity(right))
    if a is Uncertainty or b is Uncertainty:
        return _corners(add, left, right)
    if a is str and b is str:
        return left + right
    raise _unfit("Add", left, right)


def subtract(left: Any, right: Any) -> Any:
    """The difference of numbers or quantities, or a date or time moved back by a quantity."""
    if left is None or right is None:
        return None
    a, b = type(left), type(right)
    if a is int and b is int:
        total = left - right
        return total if MIN_INTEGER <= total <= MAX_INTEGER else None
    if a in _NUMBERS and b in _NUMBERS:
        if a is Decimal or b is Decimal:
            return fit(CONTEXT.subtract(left, right))
        return _whole(left, right, left - right)
    if a in _TEMPORAL:
        return datetime_arithmetic.subtract(left, right)
    if a is Quantity or b is Quantity:
        return quantities.subtract(_quantity(left), _quantity(right))
    if a is Uncertainty or b is Uncertainty:
        return _corners(subtract, left, right)
    raise _unfit("Subtract", left, right)


def multiply(left: Any, right: Any) -> Any:
    """The product of numbers or quantities."""
    if left is None or right is None:
        return None
    a, b = type(left), type(right)
    if a in _NUMBERS and b in _NUMBERS:
        if a is Decimal or b is Decimal:
            return fit(CONTEXT.multiply(left, right))
        return _whole(left, right, left * right)
    if a is Quantity or b is Quantity:
        return quantities.multiply(_quantity(left), _quantity(right))
    if a is Uncertainty or b is Uncertainty:
        return _corners(multiply, left, right)
    raise _unfit("Multiply", left, right)


def divide(left: Any, right: Any) -> Any:
    """The quotient as a Decimal, or of quantities as a Quantity; null when dividing by 0."""
    if left is None or right is None:
        return None
    a, b = type(left), type(right)
    if a in _NUMBERS and b in _NUMBERS:
        return fit(CONTEXT.divide(Decimal(left), Decimal(right))) if right else None
    if a is Quantity or b is Quantity:
        return quantities.divide(_quantity(left), _quantity(right))
    if a is Uncertainty or b is Uncertainty:
        if _may_be_zero(right):
            return None
        return _corners(divide, left, right)
    raise _unfit("Divide", left, right)


def _may_be_zero(divisor: Any) -> bool:
    """Whether an uncertain divisor may be 0, so that no bounds hold for the quotient."""
    return type(divisor) is Uncertainty and bool(divisor.low <= 0 <= divisor.high)


def truncated_divide(left: Any, right: Any) -> Any:
    """The quotient without its digits after the point (``div``); null when dividing by 0."""
    if left is None or right is None:
        return None
    a, b = type(left), type(right)
    if a in _WHOLE and b in _WHOLE:
        if right == 0:
            return None
        quotient = abs(int(left)) // abs(int(right))
        return _whole(left, right, quotient if (left < 0) == (right < 0) else -quotient)
    if a in _NUMBERS and b in _NUMBERS:
        return fit(CONTEXT.divide_int(Decimal(left), Decimal(right))) if right else None
    if a is Quantity or b is Quantity:
        return quantities.truncated_divide(_quantity(left), _quantity(right))
    raise _unfit("TruncatedDivide", left, right)


def modulo(left: Any, right: Any) -> Any:
    """What truncated division leaves over, with the sign of the left operand (``mod``); null for 0."""
    if left is None or right is None:
        return None
    a, b = type(left), type(right)
    if a in _WHOLE and b in _WHOLE:
        if right == 0:
            return None
        rest = abs(int(left)) % abs(int(right))
        return _whole(left, right, -rest if left < 0 else rest)
    if a in _NUMBERS and b in _NUMBERS:
        return fit(CONTEXT.remainder(Decimal(left), Decimal(right))) if right else None
    if a is Quantity or b is Quantity:
        return quantities.modulo(_quantity(left), _quantity(right))
    raise _unfit("Modulo", left, right)


def negate(operand: Any) -> Any:
    """The negative; null where it cannot be represented (``-(minimum Integer)``)."""
    if operand is None:
        return None
    kind = type(operand)
    if kind is int:
        return integer(-operand)
    if kind is Decimal:
        return CONTEXT.minus(operand)
    if kind is Long:
        return long(-int(operand))
    if kind is Quantity:
        return quantities.negate(operand)
    if kind is Uncertainty:
        return Uncertainty(negate(operand.high), negate(operand.low))
    raise _unfit("Negate", operand)


def abs_(operand: Any) -> Any:
    """The absolute value; null where it cannot be represented (``Abs(minimum Integer)``)."""
    if operand is None:
        return None
    kind = type(operand)
    if kind is Decimal:
        return operand.copy_abs()
    if kind is Quantity:
        return quantities.absolute(operand)
    if kind not in _WHOLE:
        raise _unfit("Abs", operand)
    return negate(operand) if operand < 0 else operand


# --- rounding ---------------------------------------------------------------------------------------------


def ceiling(operand: Decimal | int | None) -> int | None:
    """The first Integer greater than or equal to the operand; null beyond the Integers."""
    return None if operand is None else integer(_ceiling(Decimal(operand)))


def floor(operand: Decimal | int | None) -> int | None:
    """The first Integer less than or equal to the operand; null beyond the Integers."""
    return None if operand is None else integer(_floor(Decimal(operand)))


def truncate(operand: Decimal | int | None) -> int | None:
    """The whole part of the operand; null beyond the Integers."""
    return None if operand is None else integer(_truncated(Decimal(operand)))


def round_(operand: Any, precision: int | None = None) -> Any:
    """The operand rounded half away from zero to ``precision`` decimal places (0 when null)."""
    if operand is None:
        return None
    if type(operand) is Quantity:
        if operand.value is None:
            return None
        value = rounded(operand.value, precision or 0)
        return None if value is None else Quantity(value, operand.unit)
    return rounded(Decimal(operand), precision or 0)


# --- powers and logarithms --------------------------------------------------------------------------------


def ln(operand: Decimal | int | None) -> Decimal | None:
    """The natural logarithm; null of 0 and below."""
    if operand is None or operand <= 0:
        return None
    return fit(CONTEXT.ln(Decimal(operand)))


def log(operand: Decimal | int | None, base: Decimal | int | None) -> Decimal | None:
    """The logarithm to a base; null where operand or base is 0 or below, or the base is 1."""
    if operand is None or base is None or operand <= 0 or base <= 0 or base == 1:
        return None
    return fit(CONTEXT.divide(CONTEXT.ln(Decimal(operand)), CONTEXT.ln(Decimal(base))))


def exp(operand: Decimal | int | None) -> Decimal | None:
    """*e* to the power of the operand; null on overflow."""
    return None if operand is None else fit(CONTEXT.exp(Decimal(operand)))


def power(base: Any, exponent: Any) -> Any:
    """The base to the power of the exponent; whole for whole operands unless the exponent is negative.

    Null on overflow and where there is no real result. ``Power(0, 0)`` is 1.
    """
    if base is None or exponent is None:
        return None
    if exponent == 0:
        return _whole(base, exponent, 1) if type(base) in _WHOLE and type(exponent) in _WHOLE else Decimal(1)
    if type(base) in _WHOLE and type(exponent) in _WHOLE and exponent > 0:
        if exponent > 63 and abs(base) > 1:
            return None
        return _whole(base, exponent, int(base) ** int(exponent))
    return fit(CONTEXT.power(Decimal(base), Decimal(exponent)))


# --- steps and bounds -------------------------------------------------------------------------------------


def successor(operand: Any) -> Any:
    """The next value of the operand's type; null after the greatest ("Successor")."""
    return None if operand is None else points.neighbour(operand, 1)


def predecessor(operand: Any) -> Any:
    """The value before the operand in its type; null before the least ("Predecessor")."""
    return None if operand is None else points.neighbour(operand, -1)


def min_value(type_name: str) -> Any:
    """The least value of a System type by name (``"Integer"``); an error for types without one."""
    return _bound("minimum", points.least(_bare(type_name)), type_name)


def max_value(type_name: str) -> Any:
    """The greatest value of a System type by name (``"Integer"``); an error for types without one."""
    return _bound("maximum", points.greatest(_bare(type_name)), type_name)


def _bare(type_name: str) -> str:
    return type_name.removeprefix("{urn:hl7-org:elm-types:r1}").removeprefix("System.")


def _bound(word: str, value: Any, type_name: str) -> Any:
    if value is None:
        raise EvaluationError(
            f"There is no {word} {type_name}.",
            mend="Ask for that of an Integer, Long, Decimal, Quantity, Date, DateTime or Time.",
        )
    return value


# --- precision --------------------------------------------------------------------------------------------


def precision(operand: Any) -> int | None:
    """The digits after the point of a Decimal, or the digits of a date or time ("Precision")."""
    if operand is None:
        return None
    if type(operand) in _TEMPORAL:
        return datetime_boundaries.precision(operand)
    return places(Decimal(operand))


def low_boundary(operand: Any, digits: int | None = None) -> Any:
    """The least value that the operand can mean to a precision ("LowBoundary"); null for impossible ones.

    The digits of a Decimal that are not written can be any: of 1.587, to 8 places, 1.58700000.
    """
    if operand is None:
        return None
    if type(operand) in _TEMPORAL:
        return datetime_boundaries.low_boundary(operand, digits)
    return _decimal_boundary(Decimal(operand), digits, outwards=operand < 0)


def high_boundary(operand: Any, digits: int | None = None) -> Any:
    """The greatest value that the operand can mean to a precision ("HighBoundary").

    The digits of a Decimal that are not written can be any: of 1.587, to 8 places, 1.58799999.
    """
    if operand is None:
        return None
    if type(operand) in _TEMPORAL:
        return datetime_boundaries.high_boundary(operand, digits)
    return _decimal_boundary(Decimal(operand), digits, outwards=operand >= 0)


def _decimal_boundary(value: Decimal, digits: int | None, *, outwards: bool) -> Decimal | None:
    """The written digits followed by nines (away from zero) or zeros, or cut or raised to fewer digits."""
    if digits is None:
        digits = PLACES
    if not 0 <= digits <= PLACES:
        return None
    written = places(value)
    shifted = CONTEXT.multiply(value.copy_abs(), Decimal(10**digits))
    magnitude = _ceiling(shifted) if outwards and written > digits else _floor(shifted)
    if outwards and written < digits:
        magnitude += 10 ** (digits - written) - 1
    return fit(Decimal(-magnitude if value < 0 else magnitude).scaleb(-digits, CONTEXT))
