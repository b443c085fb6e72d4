"""The tables of UCUM as loaded from ``units.json`` (official) and ``synonyms.json`` (our own, tolerated)."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple


class Definition(NamedTuple):
    """One row of the official table: the unit is ``value`` times the UCUM expression ``unit``.

    ``function`` is empty for ratio units, ``"arbitrary"`` for units that only compare with themselves, else
    the name of the function of a special unit (UCUM §21), ``value`` and ``unit`` then being its measure.
    """

    value: Fraction
    unit: str
    metric: bool
    function: str


def _load(name: str) -> dict[str, dict[str, list[str]]]:
    table: dict[str, dict[str, list[str]]] = json.loads(Path(__file__).with_name(name).read_text("utf-8"))
    return table


_OFFICIAL = _load("units.json")
_TOLERATED = _load("synonyms.json")

VERSION: Final = str(_OFFICIAL["version"])
"""The version of UCUM that ``units.json`` was made from."""

BASE: Final = frozenset(_OFFICIAL["base"])
"""The codes of the seven base units."""

DEFINITIONS: Final = {
    code: Definition(Fraction(value), unit, bool(metric), function)
    for code, (value, unit, metric, function) in _OFFICIAL["units"].items()
}
"""Every derived unit by its case-sensitive code."""

PREFIXES: Final = {code: Fraction(str(value)) for code, value in _OFFICIAL["prefixes"].items()}
"""Every prefix by its case-sensitive code."""

SYNONYMS: Final = {spelling: str(code) for spelling, code in _TOLERATED["units"].items()}
"""Spellings that are no UCUM units, and the UCUM unit each is read as."""

PREFIX_SYNONYMS: Final = {spelling: str(code) for spelling, code in _TOLERATED["prefixes"].items()}
"""Spellings of prefixes that UCUM does not know (the micro sign)."""

OFFSETS: Final = {
    "Cel": Fraction("273.15"),
    "degF": Fraction("459.67"),
    "degRe": Fraction("218.52"),
}
"""Special functions that are exact on rationals: the zero of the scale in its own steps above 0 K.

UCUM table 4 and §22: t(Cel) = T/K - 273.15, t([degF]) = T/(5/9 K) - 459.67, t([degRe]) = T/(5/4 K) - 218.52.
The other functions (logarithms, tangents, square roots) have no exact inverse.
"""
