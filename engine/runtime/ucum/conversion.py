"""Conversion between units of one dimension, over exact fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from measurewise.engine.runtime.decimals import of_fraction
from measurewise.engine.runtime.ucum.parser import Unit, parse


def is_valid(unit: str) -> bool:
    """Whether a text is a unit of UCUM by the letter; tolerated synonyms such as ``lb`` are not."""
    meaning = parse(unit)
    return meaning is not None and meaning.standard


def commensurable(a: str, b: str) -> bool:
    """Whether values of two units convert into each other; False when either is no unit."""
    one, other = parse(a), parse(b)
    return one is not None and other is not None and one.dimension == other.dimension


def conversion_factor(a: str, b: str) -> Fraction | None:
    """What to multiply a value of ``a`` by to have it in ``b``.

    None when the units are not commensurable, or when no factor alone converts (``Cel`` to ``[degF]``).
    """
    one, other = parse(a), parse(b)
    if one is None or other is None or one.dimension != other.dimension or one.offset != other.offset:
        return None
    if one.offset and one.factor != other.factor:
        return None
    return one.factor / other.factor


def converted(value: Fraction, a: Unit, b: Unit) -> Fraction:
    """A value of one unit in another of the same dimension, exactly."""
    return (value * a.factor + a.offset - b.offset) / b.factor


def convert(value: Decimal, a: str, b: str) -> Decimal | None:
    """A value of unit ``a`` in unit ``b``, rounded to the step of a CQL Decimal.

    None when the units are not commensurable, or the result is too large.
    """
    one, other = parse(a), parse(b)
    if one is None or other is None or one.dimension != other.dimension:
        return None
    return of_fraction(converted(Fraction(value), one, other))


@lru_cache(maxsize=8192)
def canonical(unit: str) -> tuple[Fraction, str] | None:
    """A unit as a factor and an expression in base units, e.g. ``kPa`` as (1000000, ``g.m-1.s-2``).

    None when the text is no unit. The factor of ``Cel``, ``[degF]`` and ``[degRe]`` is that of a difference.
    """
    meaning = parse(unit)
    if meaning is None:
        return None
    expression = ".".join(base if power == 1 else f"{base}{power}" for base, power in meaning.dimension)
    return meaning.factor, expression or "1"
