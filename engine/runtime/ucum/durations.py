"""CQL's calendar durations beside UCUM's definite ones (CQL 1.5.3, Author's Guide, "Quantities").

Weeks to milliseconds are equal to their UCUM units. Years and months have lengths of their own: twelve
months are a year, and neither converts into any definite duration. Only equivalence relates them
(CQL Reference, "Equivalent").
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Final

from measurewise.engine.runtime.ucum.parser import Unit, parse

_MONTHS: Final = (("calendar month", 1),)
_TIME: Final = (("s", 1),)
_DAY: Final = 86_400
_WEEK: Final = 7 * _DAY

_DEFINITE: Final = {
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}
_VARIABLE: Final = {
    "year": Unit(Fraction(12), _MONTHS, symbols=(("year", 1),)),
    "month": Unit(Fraction(1), _MONTHS, symbols=(("month", 1),)),
}
_DAYS_OF: Final = {"year": 365, "month": 30}

CALENDAR_UNITS: Final = frozenset(
    spelling for name in (*_VARIABLE, *_DEFINITE) for spelling in (name, name + "s")
)
"""The keywords, singular and plural, that name a calendar duration."""


def _singular(unit: str) -> str:
    return unit.removesuffix("s") if unit in CALENDAR_UNITS else unit


@lru_cache(maxsize=8192)
def unit_of(text: str) -> Unit | None:
    """The meaning of a CQL unit: a calendar keyword or a unit of UCUM; None when it is neither."""
    if text not in CALENDAR_UNITS:
        return parse(text)
    name = _singular(text)
    variable = _VARIABLE.get(name)
    return parse(_DEFINITE[name]) if variable is None else variable


def definite(text: str) -> str | None:
    """A unit as UCUM spells it: ``days`` as ``d``, a UCUM unit as it is; None for years and months."""
    if text not in CALENDAR_UNITS:
        return text
    return _DEFINITE.get(_singular(text))


@lru_cache(maxsize=4096)
def equivalent_units(a: str, b: str) -> tuple[Unit, Unit] | None:
    """What two units mean where only equivalence is asked; None when even that cannot relate them.

    A calendar year or month counts as ``a`` or ``mo`` beside definite durations longer than a week, and as
    365 or 30 days beside shorter ones ("the shortest number of conversion steps").
    """
    one, other = unit_of(a), unit_of(b)
    if one is None or other is None:
        return None
    if one.dimension == other.dimension:
        return one, other
    if one.dimension == _MONTHS and other.dimension == _TIME:
        return _beside(_singular(a), other), other
    if other.dimension == _MONTHS and one.dimension == _TIME:
        return one, _beside(_singular(b), one)
    return None


def _beside(name: str, duration: Unit) -> Unit:
    counterpart = parse("a" if name == "year" else "mo")
    if counterpart is not None and duration.factor > _WEEK:
        return counterpart
    return Unit(Fraction(_DAYS_OF[name] * _DAY), _TIME)
