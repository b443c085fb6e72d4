"""Quantities: comparison, arithmetic, conversion and text (CQL 1.5.3 Reference; UCUM for the units).

Values in one and the same unit are dealt with as they stand; otherwise both units are looked up (UCUM, its
tolerated synonyms, CQL's calendar durations) and values convert over exact fractions. Comparison never
rounds. Arithmetic rounds its result, and only that, to the step of a CQL Decimal; a result that is too
large is null (:mod:`measurewise.engine.runtime.decimals`).

Operations on units that are unknown or of different dimensions are null, and so is arithmetic in special
units (``Cel``, ``[pH]``, ``dB``), on which UCUM defines none. An unknown unit still compares with, adds to
and divides by itself.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm
from typing import Final

from measurewise.engine.runtime.decimals import fit, of_fraction, plain
from measurewise.engine.runtime.ucum import product, quotient
from measurewise.engine.runtime.ucum.conversion import converted
from measurewise.engine.runtime.ucum.durations import CALENDAR_UNITS, definite, equivalent_units, unit_of
from measurewise.engine.runtime.ucum.parser import Unit
from measurewise.engine.runtime.values import Quantity

_EXACT: Final = Context(prec=1_000_000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])
_ZERO: Final = Decimal(0)

# --- comparison -------------------------------------------------------------------------------------------


def compare(left: Quantity | None, right: Quantity | None) -> int | None:
    """-1, 0 or 1 as the left is less than, equal to or greater than the right; null when not comparable.

    CQL Reference, "Equal", "Greater" and kin: dimensions must agree, units need not; calendar years and
    months compare with each other only.
    """
    if left is None or right is None:
        return None
    x, y = left.value, right.value
    if x is None or y is None:
        return None
    if left.unit != right.unit:
        scale = _common_scale(left.unit, right.unit)
        if scale is None:
            return None
        x = _EXACT.fma(x, scale[0], scale[1])
        y = _EXACT.fma(y, scale[2], scale[3])
    return (x > y) - (x < y)


@lru_cache(maxsize=8192)
def _common_scale(a: str, b: str) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
    """Integers that bring values of two units to one scale: x·m + p beside y·n + q; None if nothing does."""
    one, other = unit_of(a), unit_of(b)
    if one is None or other is None or one.dimension != other.dimension:
        return None
    parts = (one.factor, one.offset, other.factor, other.offset)
    multiple = lcm(*(part.denominator for part in parts))
    whole = [int(part * multiple) for part in parts]
    divisor = gcd(*whole)
    m, p, n, q = (Decimal(number // divisor) for number in whole)
    return m, p, n, q


def equal(left: Quantity | None, right: Quantity | None) -> bool | None:
    """``=`` ("Equal"): true or false for comparable quantities, else null."""
    order = compare(left, right)
    return None if order is None else order == 0


def less(left: Quantity | None, right: Quantity | None) -> bool | None:
    """``<`` ("Less")."""
    order = compare(left, right)
    return None if order is None else order < 0


def less_or_equal(left: Quantity | None, right: Quantity | None) -> bool | None:
    """``<=`` ("Less Or Equal")."""
    order = compare(left, right)
    return None if order is None else order <= 0


def greater(left: Quantity | None, right: Quantity | None) -> bool | None:
    """``>`` ("Greater")."""
    order = compare(left, right)
    return None if order is None else order > 0


def greater_or_equal(left: Quantity | None, right: Quantity | None) -> bool | None:
    """``>=`` ("Greater Or Equal")."""
    order = compare(left, right)
    return None if order is None else order >= 0


def comparable(left: Quantity | None, right: Quantity | None) -> bool | None:
    """Whether two quantities can be compared ("Comparable"); null if either is null."""
    if left is None or right is None:
        return None
    return left.unit == right.unit or _common_scale(left.unit, right.unit) is not None


def equivalent(left: Quantity | None, right: Quantity | None) -> bool:
    """``~`` ("Equivalent"): never null.

    Values are brought to the coarser of the two units and compared at the fewer decimal places of the two,
    trailing zeros not counted. Calendar years and months are equivalent to ``a`` and ``mo`` and to 365 and
    30 days.
    """
    x = None if left is None else left.value
    y = None if right is None else right.value
    if left is None or right is None or x is None or y is None:
        return x is None and y is None
    if left.unit == right.unit:
        return x == y or _alike(Fraction(x), Fraction(y))
    units = equivalent_units(left.unit, right.unit)
    if units is None:
        return False
    one, other = units
    if one.factor >= other.factor:
        return _alike(Fraction(x), converted(Fraction(y), other, one))
    return _alike(converted(Fraction(x), one, other), Fraction(y))


def _alike(x: Fraction, y: Fraction) -> bool:
    if x == y:
        return True
    a, b = of_fraction(x), of_fraction(y)
    if a is None or b is None:
        return False
    scale = 10 ** min(_places(a), _places(b))
    return _nearest(x * scale) == _nearest(y * scale)


def _places(value: Decimal) -> int:
    """Decimal places of a value without trailing zeros."""
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _nearest(value: Fraction) -> int:
    """The nearest integer, halves away from zero."""
    whole = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return -whole if value < 0 else whole


# --- arithmetic -------------------------------------------------------------------------------------------


def add(left: Quantity | None, right: Quantity | None) -> Quantity | None:
    """``+`` ("Add"); the result has the finer ("most granular") of the two units, the left one's if equal."""
    return _sum(left, right, 1)


def subtract(left: Quantity | None, right: Quantity | None) -> Quantity | None:
    """``-`` ("Subtract"); the unit of the result as for :func:`add`."""
    return _sum(left, right, -1)


def _sum(left: Quantity | None, right: Quantity | None, sign: int) -> Quantity | None:
    if left is None or right is None:
        return None
    x, y = left.value, right.value
    if x is None or y is None:
        return None
    unit = left.unit
    if unit == right.unit:
        if _is_special(unit):
            return None
        return _in_range(_EXACT.add(x, y) if sign > 0 else _EXACT.subtract(x, y), unit)
    shared = _finer(unit, right.unit)
    if shared is None:
        return None
    unit, left_factor, right_factor = shared
    return _quantity(Fraction(x) * left_factor + sign * Fraction(y) * right_factor, unit)


@lru_cache(maxsize=8192)
def _finer(a: str, b: str) -> tuple[str, Fraction, Fraction] | None:
    """The finer of two units, and the factors that bring values of each to it; None when nothing does."""
    one, other = unit_of(a), unit_of(b)
    if one is None or other is None or one.dimension != other.dimension or one.special or other.special:
        return None
    if one.factor <= other.factor:
        return a, Fraction(1), other.factor / one.factor
    return b, one.factor / other.factor, Fraction(1)


@lru_cache(maxsize=8192)
def _is_special(unit: str) -> bool:
    meaning = unit_of(unit)
    return meaning is not None and meaning.special


def multiply(left: Quantity | None, right: Quantity | None) -> Quantity | None:
    """``*`` ("Multiply"); units multiply, and what cancels is cancelled."""
    if left is None or right is None:
        return None
    x, y = left.value, right.value
    if x is None or y is None:
        return None
    unit = _product(left.unit, right.unit)
    return None if unit is None else _in_range(_EXACT.multiply(x, y), unit)


@lru_cache(maxsize=8192)
def _product(a: str, b: str) -> str | None:
    if a == "1" or b == "1":
        unit = b if a == "1" else a
        return None if _is_special(unit) else unit
    one, other = definite(a), definite(b)
    return None if one is None or other is None else product(one, other)


def divide(left: Quantity | None, right: Quantity | None) -> Quantity | None:
    """``/`` ("Divide"); units divide, equal ones to ``1``; null on division by 0."""
    if left is None or right is None:
        return None
    x, y = left.value, right.value
    if x is None or y is None or y == _ZERO:
        return None
    ratio = _quotient(left.unit, right.unit)
    return None if ratio is None else _quantity(Fraction(x) / Fraction(y) * ratio[1], ratio[0])


@lru_cache(maxsize=8192)
def _quotient(a: str, b: str) -> tuple[str, Fraction] | None:
    """The unit of a quotient, and a factor on its value (12 months in a year)."""
    if b == "1" or a == b:
        return None if _is_special(a) else (a if b == "1" else "1", Fraction(1))
    one, other = definite(a), definite(b)
    if one is not None and other is not None:
        unit = quotient(one, other)
        return None if unit is None else (unit, Fraction(1))
    years, months = unit_of(a), unit_of(b)
    if years is None or months is None or years.dimension != months.dimension:
        return None
    return "1", years.factor / months.factor


def truncated_divide(left: Quantity | None, right: Quantity | None) -> Quantity | None:
    """``div`` ("Truncated Divide"); null on division by 0.

    Quantities of one dimension divide in the finer of their units, which the result keeps (the official
    tests have ``10.1 'cm' div -3.1 'cm'`` as ``-3.0 'cm'``); otherwise units divide as for :func:`divide`.
    """
    if left is None or right is None:
        return None
    x, y = left.value, right.value
    if x is None or y is None or y == _ZERO:
        return None
    shared = _shared(left.unit, right.unit)
    if shared is not None:
        unit, left_factor, right_factor = shared
        return _quantity(Fraction(int(Fraction(x) * left_factor / (Fraction(y) * right_factor))), unit)
    ratio = _quotient(left.unit, right.unit)
    return None if ratio is None else _quantity(Fraction(int(Fraction(x) / Fraction(y) * ratio[1])), ratio[0])


def modulo(left: Quantity | None, right: Quantity | None) -> Quantity | None:
    """``mod`` ("Modulo"): the remainder of :func:`truncated_divide`, with the sign of the left operand.

    The right operand is of the left one's dimension or has no unit; null otherwise, and on division by 0.
    """
    if left is None or right is None:
        return None
    x, y = left.value, right.value
    if x is None or y is None or y == _ZERO:
        return None
    if right.unit == "1" and not _is_special(left.unit):
        unit, left_factor, right_factor = left.unit, Fraction(1), Fraction(1)
    else:
        shared = _shared(left.unit, right.unit)
        if shared is None:
            return None
        unit, left_factor, right_factor = shared
    dividend, divisor = Fraction(x) * left_factor, Fraction(y) * right_factor
    return _quantity(dividend - divisor * int(dividend / divisor), unit)


def _shared(a: str, b: str) -> tuple[str, Fraction, Fraction] | None:
    if a == b:
        return None if _is_special(a) else (a, Fraction(1), Fraction(1))
    return _finer(a, b)


def negate(quantity: Quantity | None) -> Quantity | None:
    """Unary ``-`` ("Negate"); the unit is unchanged."""
    if quantity is None or quantity.value is None:
        return None
    return Quantity(_EXACT.minus(quantity.value), quantity.unit)


def absolute(quantity: Quantity | None) -> Quantity | None:
    """``Abs`` ("Abs"); the unit is unchanged."""
    if quantity is None or quantity.value is None:
        return None
    return Quantity(quantity.value.copy_abs(), quantity.unit)


def _in_range(value: Decimal, unit: str) -> Quantity | None:
    """An exact result as a quantity, rounded where it has more places than a CQL Decimal."""
    decimal = fit(value)
    return None if decimal is None else Quantity(decimal, unit)


def _quantity(value: Fraction, unit: str) -> Quantity | None:
    decimal = of_fraction(value)
    return None if decimal is None else Quantity(decimal, unit)


# --- conversion -------------------------------------------------------------------------------------------


def convert_quantity(quantity: Quantity | None, unit: str | None) -> Quantity | None:
    """A quantity in another unit ("ConvertQuantity"); null when it cannot be converted.

    A calendar unit converts as equality has it: hours to ``min``, years to months, but not years to ``a``.
    """
    if quantity is None or unit is None or quantity.value is None:
        return None
    if quantity.unit == unit:
        return quantity
    units = _convertible(quantity.unit, unit)
    if units is None:
        return None
    return _quantity(converted(Fraction(quantity.value), *units), unit)


def can_convert_quantity(quantity: Quantity | None, unit: str | None) -> bool | None:
    """Whether :func:`convert_quantity` has an answer ("CanConvertQuantity"); null if either is null."""
    if quantity is None or unit is None or quantity.value is None:
        return None
    return quantity.unit == unit or _convertible(quantity.unit, unit) is not None


@lru_cache(maxsize=8192)
def _convertible(a: str, b: str) -> tuple[Unit, Unit] | None:
    one, other = unit_of(a), unit_of(b)
    if one is None or other is None or one.dimension != other.dimension:
        return None
    return one, other


# --- text -------------------------------------------------------------------------------------------------

QUANTITY_PATTERN: Final = (
    r"(?P<{0}value>[+-]?[0-9]+(?:\.[0-9]+)?)"
    r"(?:\s*(?:'(?P<{0}unit>(?:[^'\\]|\\.|'(?!\s*(?::|\Z)))+)'|(?P<{0}keyword>[a-z]+)))?"
)
"""The text of a quantity ("ToQuantity"); ``{0}`` prefixes the group names. An apostrophe inside a unit is
escaped, or plain where no end of the quantity follows it (``'[arb'U]'``)."""

_QUANTITY: Final = re.compile(QUANTITY_PATTERN.format(""))


def to_string(quantity: Quantity | None) -> str | None:
    """The text that :func:`from_string` reads back ("ToString"): ``5 'mg'``, ``4 days``, ``2.50 '1'``."""
    if quantity is None or quantity.value is None:
        return None
    unit = quantity.unit
    if unit in CALENDAR_UNITS:
        return f"{plain(quantity.value)} {unit}"
    escaped = unit.replace("\\", "\\\\").replace("'", "\\'")
    return f"{plain(quantity.value)} '{escaped}'"


def from_string(text: str | None) -> Quantity | None:
    """A quantity from text ("ToQuantity"): ``5``, ``5.0 'mg'``, ``-4 days``; null when it is none.

    The unit must be one of UCUM, a tolerated synonym or a calendar keyword.
    """
    if text is None:
        return None
    match = _QUANTITY.fullmatch(text)
    return None if match is None else of_text(match["value"], match["unit"], match["keyword"])


def of_text(value: str, unit: str | None, keyword: str | None) -> Quantity | None:
    """A quantity from the groups of :data:`QUANTITY_PATTERN`; null when the unit or value is unknown."""
    if keyword is not None:
        if keyword not in CALENDAR_UNITS:
            return None
        unit = keyword
    elif unit is None:
        unit = "1"
    else:
        unit = re.sub(r"\\(.)", r"\1", unit)
        if unit_of(unit) is None:
            return None
    return _in_range(Decimal(value), unit)
