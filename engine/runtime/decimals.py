"""The Decimal type: its step, its range, and arithmetic that keeps to both (CQL Reference, "Decimal").

Results are rounded half away from zero to the step of 10^-8. The standard asks for at least 28 digits, 8 of
them after the point, and allows more, which its official tests make use of (they reach 10^28 on the way to a
result): here a result may have 36 digits before the point, and is null beyond. ``minimum`` and ``maximum
Decimal`` stay the 28-digit values that the standard names, so that open-ended intervals mean the same
everywhere.

Nothing here reads or changes the decimal context of the thread.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Final

PLACES: Final = 8
STEP: Final = Decimal("1E-8")
_DIGITS: Final = 36
_LIMIT: Final = Decimal(10**_DIGITS)
_BELOW: Final = -_LIMIT
_UNIT: Final = Decimal(1)
_ZERO: Final = Decimal(0)

CONTEXT: Final = Context(prec=80, rounding=ROUND_HALF_UP, Emin=-999999, Emax=999999, traps=[])
"""Wide enough for the exact product of any two Decimals; signals nothing, so results need :func:`fit`."""


def fit(value: Decimal) -> Decimal | None:
    """The Decimal nearest to a value; null where there is none (overflow, not a number)."""
    exponent = value.as_tuple().exponent
    if type(exponent) is not int:
        return None
    if not value:
        return value.copy_abs() if -PLACES <= exponent <= 0 else _ZERO
    if exponent < -PLACES:
        value = CONTEXT.quantize(value, STEP)
    elif exponent > 0:
        value = CONTEXT.quantize(value, _UNIT) if value.adjusted() < _DIGITS else _LIMIT
    if not value:
        return _ZERO
    return value if _BELOW < value < _LIMIT else None


def of_fraction(value: Fraction) -> Decimal | None:
    """The Decimal nearest to an exact fraction, without trailing zeros; null on overflow."""
    scaled = value * 10**PLACES
    whole, rest = divmod(abs(scaled.numerator), scaled.denominator)
    if rest * 2 >= scaled.denominator:
        whole += 1
    magnitude = CONTEXT.normalize(Decimal(whole).scaleb(-PLACES, CONTEXT))
    return fit(magnitude if scaled >= 0 else CONTEXT.minus(magnitude))


def rounded(value: Decimal, places: int = 0) -> Decimal | None:
    """The value rounded half away from zero to some decimal places; unchanged where it has no more."""
    exponent = value.as_tuple().exponent
    if type(exponent) is int and exponent >= -places:
        return value
    return fit(CONTEXT.quantize(value, _UNIT.scaleb(-places, CONTEXT)))


def ceiling(value: Decimal) -> int:
    """The least whole number that is not below the value."""
    return int(value.to_integral_value(ROUND_CEILING, CONTEXT))


def floor(value: Decimal) -> int:
    """The greatest whole number that is not above the value."""
    return int(value.to_integral_value(ROUND_FLOOR, CONTEXT))


def truncated(value: Decimal) -> int:
    """The whole number left when the digits after the point are cut off."""
    return int(value.to_integral_value(ROUND_DOWN, CONTEXT))


def places(value: Decimal) -> int:
    """How many digits are written after the point, trailing zeros included."""
    exponent = value.as_tuple().exponent
    return -exponent if type(exponent) is int and exponent < 0 else 0


def plain(value: Decimal) -> str:
    """The value written out in digits, without an exponent and without a negative zero."""
    return format(value if value else value.copy_abs(), "f")
