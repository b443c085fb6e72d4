"""Hash keys that let equal values meet, so that set operators need not compare every pair.

``equal(a, b) is True`` implies ``equality_key(a) == equality_key(b)``; the reverse holds only for the types
of :data:`EXACT`, so that everything else that shares a key is still compared.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from measurewise.engine.runtime.interval_bounds import Unknown, high_bound, low_bound
from measurewise.engine.runtime.temporal import SECOND, Date, DateTime, Time
from measurewise.engine.runtime.ucum.durations import unit_of
from measurewise.engine.runtime.uncertainty import Uncertainty
from measurewise.engine.runtime.values import (
    Boxed,
    Code,
    CodeSystem,
    Concept,
    Interval,
    Long,
    Quantity,
    Ratio,
    Tuple,
    ValueSet,
)

EXACT = frozenset({int, str, bool, Decimal, Long, Date, DateTime, Time, Code})
"""Types of which two values with one key are equal without more ado."""

_ABSENT: Hashable = ("null",)


def equality_key(value: Any) -> Hashable:
    """A key that every value equal to this one shares; null has a key of its own."""
    make = _KEY.get(type(value))
    return _ABSENT if value is None else ("other", type(value)) if make is None else make(value)


def _same(value: Any) -> Hashable:
    return value  # type: ignore[no-any-return]


def _boolean(value: bool) -> Hashable:
    return ("boolean", value)


def _temporal(value: Date | DateTime | Time) -> Hashable:
    precision = value.precision
    return (type(value) is Time, value.lo, precision if precision < SECOND else SECOND)


def _code(value: Code) -> Hashable:
    return ("code", value.code, value.system, value.version, value.display)


def _concept(value: Concept) -> Hashable:
    return ("concept", _list(value.codes or []), value.display)


def _vocabulary(value: ValueSet | CodeSystem) -> Hashable:
    return ("vocabulary", value.id, value.version)


def _list(value: list[Any]) -> Hashable:
    return ("list", tuple(map(equality_key, value)))


def _elements(value: Mapping[str, Any]) -> Hashable:
    return frozenset((name, equality_key(item)) for name, item in value.items() if item is not None)


def _json(value: dict[str, Any]) -> Hashable:
    """Resources are told apart by type and id, so that no resource is walked through for its key."""
    identity = value.get("id")
    if identity is not None and "resourceType" in value:
        return (value["resourceType"], identity)
    return _elements(value)


def _boxed(value: Boxed) -> Hashable:
    return equality_key(value.value)


def _interval(value: Interval) -> Hashable:
    return ("interval", _bound(low_bound(value)), _bound(high_bound(value)))


def _bound(bound: Any) -> Hashable:
    """The key of a bound that is known, or that has one place only to be in."""
    if type(bound) is Unknown:
        return equality_key(bound.lo if bound.lo == bound.hi else None)
    return equality_key(bound)


def _quantity(value: Quantity) -> Hashable:
    """The value in base units, beside the dimension; an unknown unit stands for itself."""
    number = value.value
    unit = unit_of(value.unit)
    if number is None or unit is None:
        return ("quantity", value.unit, number)
    return ("quantity", unit.dimension, Fraction(number) * unit.factor + unit.offset)


def _uncertainty(value: Uncertainty) -> Hashable:
    return equality_key(value.low)


def _ratio(value: Ratio) -> Hashable:
    return ("ratio", _quantity(value.numerator), _quantity(value.denominator))


_KEY: dict[type, Callable[[Any], Hashable]] = {
    int: _same,
    str: _same,
    Decimal: _same,
    Long: _same,
    bool: _boolean,
    Date: _temporal,
    DateTime: _temporal,
    Time: _temporal,
    dict: _json,
    list: _list,
    Tuple: _elements,
    Code: _code,
    Concept: _concept,
    ValueSet: _vocabulary,
    CodeSystem: _vocabulary,
    Boxed: _boxed,
    Interval: _interval,
    Quantity: _quantity,
    Ratio: _ratio,
    Uncertainty: _uncertainty,
}
