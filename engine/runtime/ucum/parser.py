"""The grammar of UCUM: from a unit's text to its exact size and dimension (UCUM §§2 to 8, 18 to 24).

::

    main-term   = "/" term | term
    term        = component *( ("." / "/") component )
    component   = ( simple [exponent] | integer | "(" main-term ")" ) [annotation] | annotation
    simple      = atom | prefix metric-atom
    exponent    = ["+" / "-"] digits

Operators bind equally and from left to right, so ``a/b.c`` is ``(a/b).c``. The formal grammar allows an
annotation only after a symbol; UCUM's own table of example codes also has them after a number and after
parentheses (``/100{cells}``), so they are read there too.

Base-unit symbols of a dimension are UCUM's seven (``m s g rad K C cd``) and, beside them, the code of every
arbitrary or non-linear special unit, which therefore is commensurable with nothing but itself.
Factors that hold [pi] use the 64 decimals of UCUM's own table; all others are exact.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple

from measurewise.engine.errors import ContentError
from measurewise.engine.runtime.ucum.table import (
    BASE,
    DEFINITIONS,
    OFFSETS,
    PREFIX_SYNONYMS,
    PREFIXES,
    SYNONYMS,
)

Dimension = tuple[tuple[str, int], ...]

_ZERO: Final = Fraction(0)
_ONE: Final = Fraction(1)
_LONGEST: Final = 256
_DEEPEST: Final = 16
_LARGEST_EXPONENT: Final = 999


class InvalidUnit(ContentError):
    """A text that is no unit of UCUM."""


class Unit(NamedTuple):
    """What a unit means.

    A value ``v`` of the unit is ``v * factor + offset`` of the base units in ``dimension``, which holds
    (base unit, exponent) sorted by base unit; ``offset`` is 0 but for Cel, [degF] and [degRe] standing alone.
    ``symbols`` are the factors as written, (symbol, exponent). ``special`` marks units on which arithmetic is
    not defined (UCUM §21); ``standard`` is False when a tolerated synonym was read.
    """

    factor: Fraction
    dimension: Dimension
    offset: Fraction = _ZERO
    symbols: tuple[tuple[str, int], ...] = ()
    special: bool = False
    standard: bool = True


class _Atom(NamedTuple):
    """A prefixed or plain symbol; ``offset`` is None for symbols without an affine scale."""

    symbol: str
    factor: Fraction
    dimension: Dimension
    offset: Fraction | None
    special: bool
    standard: bool


def read(text: str) -> Unit:
    """The meaning of a UCUM unit; raises :class:`InvalidUnit`, naming the place, when it has none."""
    if not text:
        raise InvalidUnit("A unit cannot be empty.", mend="Write '1' for no unit.")
    if len(text) > _LONGEST:
        raise InvalidUnit(
            f"A unit of {len(text)} characters is longer than {_LONGEST}.", where=text[:40] + "…"
        )
    return _Reader(text).unit()


@lru_cache(maxsize=8192)
def parse(text: str) -> Unit | None:
    """The meaning of a UCUM unit, or None when the text is none; remembered."""
    try:
        return read(text)
    except InvalidUnit:
        return None


def combined(dimensions: dict[str, int]) -> Dimension:
    """A dimension in its one canonical form: sorted by base unit, without exponents of 0."""
    return tuple(sorted(item for item in dimensions.items() if item[1]))


_SYMBOL: Final = re.compile(r"(?P<symbol>10[*^]|.+?)(?P<exponent>[+-]?[0-9]+)?", re.DOTALL)
_INTEGER: Final = re.compile(r"[0-9]+")


class _Reader:
    """One pass over one text."""

    __slots__ = ("at", "atoms", "standard", "symbols", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.atoms: list[tuple[_Atom | Fraction, int]] = []
        self.symbols: list[tuple[str, int]] = []
        self.standard = True

    def unit(self) -> Unit:
        self.main_term(1, 0)
        if self.at < len(self.text):
            raise self.wrong(f"{self.text[self.at]!r} is out of place")
        factor = _ONE
        dimensions: dict[str, int] = {}
        special = False
        for atom, exponent in self.atoms:
            if isinstance(atom, Fraction):
                factor *= atom**exponent
                continue
            if atom.special:
                special = True
                if atom.offset is not None and exponent == 1 and len(self.atoms) == 1:
                    return Unit(
                        atom.factor, (("K", 1),), atom.offset, tuple(self.symbols), True, self.standard
                    )
            factor *= atom.factor**exponent
            for base, power in atom.dimension:
                dimensions[base] = dimensions.get(base, 0) + power * exponent
        return Unit(factor, combined(dimensions), _ZERO, tuple(self.symbols), special, self.standard)

    def main_term(self, sign: int, depth: int) -> None:
        text = self.text
        if text.startswith("/", self.at):
            self.at += 1
            self.component(-sign, depth)
        else:
            self.component(sign, depth)
        while self.at < len(text) and text[self.at] in "./":
            operator = text[self.at]
            self.at += 1
            self.component(sign if operator == "." else -sign, depth)

    def component(self, sign: int, depth: int) -> None:
        text = self.text
        if self.at >= len(text):
            raise self.wrong("a unit is missing at the end")
        character = text[self.at]
        number = None if text.startswith(("10*", "10^"), self.at) else _INTEGER.match(text, self.at)
        if character == "(":
            if depth >= _DEEPEST:
                raise self.wrong(f"parentheses are nested deeper than {_DEEPEST}")
            self.at += 1
            self.main_term(sign, depth + 1)
            if not text.startswith(")", self.at):
                raise self.wrong("a closing parenthesis is missing")
            self.at += 1
        elif character == "{":
            self.symbols.append((self.annotation(), sign))
            return
        elif number is not None:
            value = int(number[0])
            if value == 0:
                raise self.wrong("a factor of 0 makes no unit")
            self.at = number.end()
            if value != 1:
                self.atoms.append((Fraction(value), sign))
                self.symbols.append((str(value), sign))
        else:
            self.simple(sign)
        if text.startswith("{", self.at):
            self.annotation()

    def simple(self, sign: int) -> None:
        text = self.text
        start = end = self.at
        while end < len(text) and text[end] not in "./(){}":
            if text[end] == "[":
                end = text.find("]", end)
                if end < 0:
                    raise self.wrong("a closing bracket is missing")
            end += 1
        parts = _SYMBOL.fullmatch(text, start, end)
        if parts is None:
            raise self.wrong(f"{text[start:end] or text[start]!r} is no unit")
        symbol = parts["symbol"]
        atom = _atom(symbol)
        if atom is None:
            raise self.wrong(f"{symbol!r} is no unit, with or without a prefix")
        exponent = int(parts["exponent"] or 1)
        if abs(exponent) > _LARGEST_EXPONENT:
            raise self.wrong(f"the exponent {exponent} is out of bounds")
        self.at = end
        self.standard = self.standard and atom.standard
        self.atoms.append((atom, sign * exponent))
        self.symbols.append((atom.symbol, sign * exponent))

    def annotation(self) -> str:
        """Read past an annotation, which never changes a unit's meaning (UCUM §6)."""
        end = self.text.find("}", self.at)
        if end < 0:
            raise self.wrong("a closing brace is missing")
        content = self.text[self.at + 1 : end]
        if "{" in content:
            raise self.wrong("annotations cannot be nested")
        if not all("!" <= character <= "~" for character in content):
            self.standard = False
        self.at = end + 1
        return "{" + content + "}"

    def wrong(self, what: str) -> InvalidUnit:
        where = f"unit {self.text!r}, character {self.at + 1}"
        return InvalidUnit(what[0].upper() + what[1:] + ".", where=where, mend="See https://ucum.org.")


@lru_cache(maxsize=4096)
def _atom(symbol: str) -> _Atom | None:
    """The atom that a symbol names: as it stands, then with a prefix, then as a synonym."""
    plain = _plain(symbol)
    if plain is not None:
        return plain
    for length in (2, 1):
        prefix = PREFIXES.get(symbol[:length])
        if prefix is not None:
            code = symbol[length:]
            metric = code in BASE or (code in DEFINITIONS and DEFINITIONS[code].metric)
            scaled = _plain(code) if metric else None
            if scaled is not None:
                return scaled._replace(symbol=symbol, factor=scaled.factor * prefix)
    return _tolerated(symbol)


def _tolerated(symbol: str) -> _Atom | None:
    micro = PREFIX_SYNONYMS.get(symbol[:1])
    meant = SYNONYMS.get(symbol)
    if meant is None and micro is not None:
        meant = micro + symbol[1:]
    elif meant is None and symbol[:1] in PREFIXES and symbol[1:] in SYNONYMS:
        meant = symbol[:1] + SYNONYMS[symbol[1:]]
    if meant is None:
        return None
    atom = _atom(meant)
    return None if atom is None else atom._replace(standard=False)


def _plain(code: str) -> _Atom | None:
    if code in BASE:
        return _Atom(code, _ONE, ((code, 1),), None, False, True)
    definition = DEFINITIONS.get(code)
    if definition is None:
        return None
    if definition.function == "arbitrary":
        return _Atom(code, _ONE, ((code, 1),), None, False, True)
    meaning = read(definition.unit)
    factor = definition.value * meaning.factor
    if not definition.function:
        return _Atom(code, factor, meaning.dimension, None, False, True)
    zero = OFFSETS.get(definition.function)
    if zero is None:
        return _Atom(code, _ONE, ((code, 1),), None, True, True)
    return _Atom(code, factor, ((code, 1),), zero * factor, True, True)
