"""Ratios of two quantities (CQL 1.5.3 Reference, "Ratio"; they have no order)."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

from measurewise.engine.runtime import quantities
from measurewise.engine.runtime.ucum.durations import equivalent_units, unit_of
from measurewise.engine.runtime.ucum.parser import combined
from measurewise.engine.runtime.values import Quantity, Ratio


def equal(left: Ratio | None, right: Ratio | None) -> bool | None:
    """``=`` ("Equal"): numerators are equal and denominators are; ``1:8 = 2:16`` is false."""
    if left is None or right is None:
        return None
    numerators = quantities.equal(left.numerator, right.numerator)
    if numerators is False:
        return False
    denominators = quantities.equal(left.denominator, right.denominator)
    if denominators is False:
        return False
    return True if numerators and denominators else None


def equivalent(left: Ratio | None, right: Ratio | None) -> bool:
    """``~`` ("Equivalent"): both stand for the same ratio, exactly; ``1:100 ~ 10:1000`` is true.

    Units convert, also across the ratio: ``5 'mg':10 'mg' ~ 1:2``. A ratio to 0 is equivalent only where the
    numerators and the denominators are.
    """
    if left is None or right is None:
        return left is right
    a, b = left.numerator.value, left.denominator.value
    c, d = right.numerator.value, right.denominator.value
    if a is None or b is None or c is None or d is None or not b or not d:
        return _pairwise(left, right)
    scale = _scale(left.numerator.unit, left.denominator.unit, right.numerator.unit, right.denominator.unit)
    if scale is None:
        return _pairwise(left, right)
    return Fraction(a) * Fraction(d) * scale == Fraction(c) * Fraction(b)


def _pairwise(left: Ratio, right: Ratio) -> bool:
    return quantities.equivalent(left.numerator, right.numerator) and quantities.equivalent(
        left.denominator, right.denominator
    )


@lru_cache(maxsize=4096)
def _scale(a: str, b: str, c: str, d: str) -> Fraction | None:
    """The factor that brings a ratio of ``a:b`` beside one of ``c:d``; None when nothing does."""
    if a == c and b == d:
        return Fraction(1)
    above, below = _factor(a, c), _factor(b, d)
    if above is not None and below is not None:
        return above / below
    left, right = _dimension(a, b), _dimension(c, d)
    if left is None or right is None or left[1] != right[1]:
        return None
    return left[0] / right[0]


def _factor(a: str, b: str) -> Fraction | None:
    if a == b:
        return Fraction(1)
    units = equivalent_units(a, b)
    if units is None or units[0].special or units[1].special:
        return None
    return units[0].factor / units[1].factor


def _dimension(numerator: str, denominator: str) -> tuple[Fraction, object] | None:
    above, below = unit_of(numerator), unit_of(denominator)
    if above is None or below is None or above.special or below.special:
        return None
    dimensions = dict(above.dimension)
    for base, power in below.dimension:
        dimensions[base] = dimensions.get(base, 0) - power
    return above.factor / below.factor, combined(dimensions)


def to_quantity(ratio: Ratio | None) -> Quantity | None:
    """The numerator divided by the denominator ("ToQuantity", the Ratio overload)."""
    return None if ratio is None else quantities.divide(ratio.numerator, ratio.denominator)


_RATIO: Final = re.compile(
    quantities.QUANTITY_PATTERN.format("n_") + r"\s*:\s*" + quantities.QUANTITY_PATTERN.format("d_")
)


def to_string(ratio: Ratio | None) -> str | None:
    """``<quantity>:<quantity>`` ("ToString"): ``1 '1':128 '1'``."""
    if ratio is None:
        return None
    numerator, denominator = quantities.to_string(ratio.numerator), quantities.to_string(ratio.denominator)
    return None if numerator is None or denominator is None else f"{numerator}:{denominator}"


def from_string(text: str | None) -> Ratio | None:
    """A ratio from text ("ToRatio"): ``1:128``, ``1.0 'mg':2.0 'mg'``; null when it is none."""
    match = None if text is None else _RATIO.fullmatch(text)
    if match is None:
        return None
    numerator = quantities.of_text(match["n_value"], match["n_unit"], match["n_keyword"])
    denominator = quantities.of_text(match["d_value"], match["d_unit"], match["d_keyword"])
    return None if numerator is None or denominator is None else Ratio(numerator, denominator)
