"""Products and quotients of units as text, with what cancels cancelled (``cm2`` / ``cm`` is ``cm``)."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from measurewise.engine.runtime.ucum.parser import parse


@lru_cache(maxsize=4096)
def product(a: str, b: str) -> str | None:
    """The unit of a value of ``a`` times a value of ``b``; None when either is invalid or special."""
    return _combination(a, b, 1)


@lru_cache(maxsize=4096)
def quotient(a: str, b: str) -> str | None:
    """The unit of a value of ``a`` divided by a value of ``b``; None when either is invalid or special."""
    return _combination(a, b, -1)


def _combination(a: str, b: str, sign: int) -> str | None:
    """Both units' symbols with their exponents added; a symbol counts as another of the same size."""
    left, right = parse(a), parse(b)
    if left is None or right is None or left.special or right.special:
        return None
    if b == "1":
        return a
    if a == "1" and sign > 0:
        return b
    number = Fraction(1)
    exponents: dict[object, tuple[str, int]] = {}
    for symbols, direction in ((left.symbols, 1), (right.symbols, sign)):
        for symbol, exponent in symbols:
            if symbol.isdigit():
                number *= Fraction(int(symbol)) ** (direction * exponent)
                continue
            key = _sameness(symbol)
            first, so_far = exponents.get(key, (symbol, 0))
            exponents[key] = (first, so_far + direction * exponent)
    return _text(number, [item for item in exponents.values() if item[1]])


def _sameness(symbol: str) -> object:
    """What two spellings of one unit (``l`` and ``L``) share; an annotation or a count only itself."""
    meaning = parse(symbol)
    if meaning is None or not meaning.dimension:
        return symbol
    return (meaning.factor, meaning.dimension)


def _text(number: Fraction, symbols: list[tuple[str, int]]) -> str:
    """UCUM text of symbols with exponents: what multiplies joined by points, what divides after slashes."""
    above = [_power(symbol, exponent) for symbol, exponent in symbols if exponent > 0]
    below = [_power(symbol, -exponent) for symbol, exponent in symbols if exponent < 0]
    if number.numerator != 1:
        above.insert(0, str(number.numerator))
    if number.denominator != 1:
        below.append(str(number.denominator))
    return ".".join(above) + "".join("/" + symbol for symbol in below) or "1"


def _power(symbol: str, exponent: int) -> str:
    if exponent == 1:
        return symbol
    if symbol.startswith("{"):
        # An annotation takes no exponent, and (a.a) is the only product that may follow a slash.
        return "(" + ".".join([symbol] * exponent) + ")"
    return f"{symbol}{exponent}"
