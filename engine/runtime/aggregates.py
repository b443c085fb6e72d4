"""The aggregate functions (CQL Reference, "Aggregate Functions").

Nulls in the source are left out; without another element the result is null, unless said otherwise. Sums,
means and variances are exact until the one rounding of the result to a Decimal. Quantities are brought to
the unit of the first, which the result keeps (so the examples of the Reference have it, for variances and
products too); quantities that do not convert make the result null.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any

from measurewise.engine.runtime.arithmetic import integer, long
from measurewise.engine.runtime.comparison import compare
from measurewise.engine.runtime.decimals import CONTEXT, fit, of_fraction
from measurewise.engine.runtime.equality_keys import equality_key
from measurewise.engine.runtime.ucum.conversion import converted
from measurewise.engine.runtime.ucum.durations import unit_of
from measurewise.engine.runtime.values import Long, Quantity

_NATIVE = frozenset({int, str, Decimal, Long})


def count(source: list[Any] | None) -> int:
    """The number of elements that are not null; 0 of a null list."""
    return 0 if source is None else sum(element is not None for element in source)


def all_true(source: list[bool | None] | None) -> bool:
    """Whether no element is false; true of a null or empty list."""
    return source is None or not any(element is False for element in source)


def any_true(source: list[bool | None] | None) -> bool:
    """Whether some element is true; false of a null or empty list."""
    return source is not None and any(element is True for element in source)


# --- sums and products ------------------------------------------------------------------------------------


def sum_(source: list[Any] | None) -> Any:
    """The sum, of the type of the elements; null when it cannot be represented."""
    return _folded(source, sum)


def product(source: list[Any] | None) -> Any:
    """The product, of the type of the elements; null when it cannot be represented."""
    return _folded(source, prod)


def _folded(source: list[Any] | None, fold: Callable[[Any], Any]) -> Any:
    values = _present(source)
    if not values:
        return None
    kinds = {type(value) for value in values}
    if kinds == {int}:
        return integer(fold(values))
    if Quantity in kinds:
        numbers, unit = _numbers(values)
        return None if numbers is None else _measured(of_fraction(Fraction(fold(numbers))), unit)
    if Decimal not in kinds:
        return long(fold(map(int, values)))
    if fold is prod:
        return of_fraction(Fraction(fold(map(Fraction, values))))
    total = Decimal(0)
    for value in values:
        total = CONTEXT.add(total, value)
    return fit(total)


def avg(source: list[Any] | None) -> Any:
    """The mean, a Decimal or Quantity."""
    return _statistic(source, _mean)


def geometric_mean(source: list[Any] | None) -> Decimal | None:
    """The N-th root of the product of N elements; null where the product is negative."""
    values = _present(source)
    if not values:
        return None
    whole = prod(map(Fraction, values))
    if whole <= 0:
        return None if whole < 0 else Decimal(0)
    quotient = CONTEXT.divide(Decimal(whole.numerator), Decimal(whole.denominator))
    root = CONTEXT.divide(Decimal(1), Decimal(len(values)))
    return fit(CONTEXT.power(quotient, root))


# --- extremes ---------------------------------------------------------------------------------------------


def min_(source: list[Any] | None) -> Any:
    """The element known to be least; null when imprecise values leave open which that is."""
    return _extreme(source, -1, min)


def max_(source: list[Any] | None) -> Any:
    """The element known to be greatest; null when imprecise values leave open which that is."""
    return _extreme(source, 1, max)


def _extreme(source: list[Any] | None, wanted: int, native: Callable[[list[Any]], Any]) -> Any:
    values = _present(source)
    if not values:
        return None
    kind = type(values[0])
    if kind in _NATIVE and all(type(value) is kind for value in values):
        return native(values)
    best = values[0]
    doubtful = False
    for value in values[1:]:
        order = compare(value, best)
        if order is None:
            doubtful = True
        elif order == wanted:
            best = value
    # An extreme that is known to be one displaces every candidate before it and none displaces it, so that
    # only the last candidate can be it.
    if doubtful and not all(compare(best, value) in (0, wanted) for value in values):
        return None
    return best


# --- statistics -------------------------------------------------------------------------------------------


def median(source: list[Any] | None) -> Any:
    """The middle element in order, or the mean of the two middle ones."""
    return _statistic(source, _median)


def mode(source: list[Any] | None) -> Any:
    """The element that occurs most often; of several, the one met first."""
    values = _present(source)
    if not values:
        return None
    counts: dict[Hashable, int] = {}
    examples: dict[Hashable, Any] = {}
    for value in values:
        key = equality_key(value)
        counts[key] = counts.get(key, 0) + 1
        examples.setdefault(key, value)
    return examples[max(counts, key=counts.__getitem__)]


def variance(source: list[Any] | None) -> Any:
    """The variance of a sample (divided by N - 1); null of a single element."""
    return _statistic(source, lambda numbers: _variance(numbers, 1))


def population_variance(source: list[Any] | None) -> Any:
    """The variance of a population (divided by N)."""
    return _statistic(source, lambda numbers: _variance(numbers, 0))


def std_dev(source: list[Any] | None) -> Any:
    """The standard deviation of a sample; null of a single element."""
    return _statistic(source, lambda numbers: _variance(numbers, 1), rooted=True)


def population_std_dev(source: list[Any] | None) -> Any:
    """The standard deviation of a population."""
    return _statistic(source, lambda numbers: _variance(numbers, 0), rooted=True)


def _mean(numbers: list[Fraction]) -> Fraction:
    return sum(numbers, Fraction(0)) / len(numbers)


def _median(numbers: list[Fraction]) -> Fraction:
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _variance(numbers: list[Fraction], less: int) -> Fraction | None:
    if len(numbers) <= less:
        return None
    mean = _mean(numbers)
    return sum(((number - mean) ** 2 for number in numbers), Fraction(0)) / (len(numbers) - less)


def _statistic(
    source: list[Any] | None, statistic: Callable[[list[Fraction]], Fraction | None], *, rooted: bool = False
) -> Any:
    values = _present(source)
    if not values:
        return None
    numbers, unit = _numbers(values)
    exact = None if numbers is None else statistic(numbers)
    if exact is None:
        return None
    if rooted:
        quotient = CONTEXT.divide(Decimal(exact.numerator), Decimal(exact.denominator))
        value = fit(CONTEXT.sqrt(quotient))
    else:
        value = of_fraction(exact)
    return _measured(value, unit)


# --- operands ---------------------------------------------------------------------------------------------


def _present(source: list[Any] | None) -> list[Any]:
    return [] if source is None else [element for element in source if element is not None]


def _numbers(values: list[Any]) -> tuple[list[Fraction] | None, str | None]:
    """The values as exact numbers in the unit of the first quantity; None where one does not convert."""
    unit = next((value.unit for value in values if type(value) is Quantity), None)
    if unit is None:
        return [Fraction(value) for value in values], None
    numbers = []
    for value in values:
        number = _in_unit(value if type(value) is Quantity else Quantity(Decimal(value), "1"), unit)
        if number is None:
            return None, unit
        numbers.append(number)
    return numbers, unit


def _in_unit(quantity: Quantity, unit: str) -> Fraction | None:
    if quantity.value is None:
        return None
    if quantity.unit == unit:
        return Fraction(quantity.value)
    own, wanted = unit_of(quantity.unit), unit_of(unit)
    if own is None or wanted is None or own.dimension != wanted.dimension:
        return None
    return converted(Fraction(quantity.value), own, wanted)


def _measured(value: Decimal | None, unit: str | None) -> Decimal | Quantity | None:
    return value if value is None or unit is None else Quantity(value, unit)
