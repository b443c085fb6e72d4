"""Equality, equivalence and order of any two values (CQL Reference, "Comparison Operators").

Equality is three-valued. A structured value is compared element by element, and the answers are joined by
``and``: one known difference makes the whole unequal, and only without one does an unknown element make it
unknown. An element that both lack counts as equal ("the values for all elements that have values, by name,
are equal, defined as a conjunction of equality comparisons"); list elements that are both null do as well.

Values of types that have nothing to do with each other, which only a choice or ``Any`` can bring together,
are not equal. Order between them is an :class:`EvaluationError`, as it is for types without an order.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import intervals, quantities, ratios, temporal
from measurewise.engine.runtime.temporal import Date, DateTime, Time
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

_NUMBERS = frozenset({int, Long, Decimal})
_ORDERED = frozenset({int, str, Decimal, Long, bool})
_CONTEXT = Context(prec=80, rounding=ROUND_HALF_UP, traps=[])
_WHITESPACE = str.maketrans("\t\r\n", "   ")


# --- equality ---------------------------------------------------------------------------------------------


def equal(left: Any, right: Any) -> bool | None:
    """Whether two values are equal: null if either is null or the answer cannot be known ("Equal")."""
    if left is None or right is None:
        return None
    kind = type(left)
    if kind is type(right):
        same = _EQUAL.get(kind)
        if same is not None:
            return same(left, right)
        return bool(left == right)
    return _equal_across(left, right)


def not_equal(left: Any, right: Any) -> bool | None:
    """The negation of :func:`equal`."""
    answer = equal(left, right)
    return None if answer is None else not answer


def _equal_across(left: Any, right: Any) -> bool | None:
    """Equality of values of two Python types."""
    kinds = (type(left), type(right))
    if kinds[0] in _NUMBERS and kinds[1] in _NUMBERS:
        return bool(left == right)
    if Boxed in kinds:
        return equal(left.value if kinds[0] is Boxed else left, right.value if kinds[1] is Boxed else right)
    if Uncertainty in kinds:
        return _uncertain_equal(left, right)
    if kinds == (Date, DateTime) or kinds == (DateTime, Date):
        return _temporal_equal(_as_date_time(left), _as_date_time(right))
    if Tuple in kinds and dict in kinds:
        return _elements_equal(left, right)
    return False


def _temporal_equal(left: Any, right: Any) -> bool | None:
    order = temporal.compare(left, right)
    return None if order is None else order == 0


def _list_equal(left: list[Any], right: list[Any]) -> bool | None:
    if len(left) != len(right):
        return False
    return _pairs_equal(zip(left, right, strict=True))


def _elements_equal(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool | None:
    if left is right:
        return True
    names = left.keys() if left.keys() == right.keys() else left.keys() | right.keys()
    return _pairs_equal((left.get(name), right.get(name)) for name in names)


def _pairs_equal(pairs: Any) -> bool | None:
    answer: bool | None = True
    for a, b in pairs:
        if a is None or b is None:
            if a is not b:
                answer = None
            continue
        same = equal(a, b)
        if same is False:
            return False
        if same is None:
            answer = None
    return answer


def _json_equal(left: dict[str, Any], right: dict[str, Any]) -> bool | None:
    """Equality of two FHIR resources or elements, quick for one and the same object and for other ids."""
    if left is right:
        return True
    if left.get("id") != right.get("id") and "resourceType" in left and "id" in left and "id" in right:
        return False
    return _elements_equal(left, right)


def _code_equal(left: Code, right: Code) -> bool | None:
    if left.code != right.code and left.code is not None and right.code is not None:
        return False
    return _pairs_equal(
        (
            (left.code, right.code),
            (left.system, right.system),
            (left.version, right.version),
            (left.display, right.display),
        )
    )


def _concept_equal(left: Concept, right: Concept) -> bool | None:
    return _pairs_equal(((left.codes, right.codes), (left.display, right.display)))


def _vocabulary_equal(left: ValueSet | CodeSystem, right: ValueSet | CodeSystem) -> bool | None:
    return _pairs_equal(((left.id, right.id), (left.version, right.version)))


def _boxed_equal(left: Boxed, right: Boxed) -> bool | None:
    return equal(left.value, right.value)


def _uncertain_equal(left: Any, right: Any) -> bool | None:
    """Equal when both can mean one and the same value only; unequal when they share no possible value."""
    low_left, high_left = _possible(left)
    low_right, high_right = _possible(right)
    if less(high_left, low_right) or less(high_right, low_left):
        return False
    if equal(low_left, high_left) and equal(low_right, high_right):
        return equal(low_left, low_right)
    return None


def _possible(value: Any) -> tuple[Any, Any]:
    return (value.low, value.high) if type(value) is Uncertainty else (value, value)


def _as_date_time(value: Any) -> Any:
    return DateTime(value.local, value.precision) if type(value) is Date else value


_EQUAL: dict[type, Callable[[Any, Any], bool | None]] = {
    int: operator.eq,
    str: operator.eq,
    bool: operator.is_,
    Decimal: operator.eq,
    Long: operator.eq,
    Date: _temporal_equal,
    DateTime: _temporal_equal,
    Time: _temporal_equal,
    dict: _json_equal,
    list: _list_equal,
    Tuple: _elements_equal,
    Code: _code_equal,
    Concept: _concept_equal,
    ValueSet: _vocabulary_equal,
    CodeSystem: _vocabulary_equal,
    Boxed: _boxed_equal,
    Uncertainty: _uncertain_equal,
    Interval: lambda left, right: intervals.equal(left, right),
    Quantity: lambda left, right: quantities.equal(left, right),
    Ratio: lambda left, right: ratios.equal(left, right),
}


# --- equivalence ------------------------------------------------------------------------------------------


def equivalent(left: Any, right: Any) -> bool:
    """Whether two values mean the same: true or false, never null; null is equivalent to null alone."""
    if left is None or right is None:
        return left is right
    kind = type(left)
    if kind is type(right):
        alike = _EQUIVALENT.get(kind)
        if alike is not None:
            return alike(left, right)
        return equal(left, right) is True
    return _equivalent_across(left, right)


def _equivalent_across(left: Any, right: Any) -> bool:
    kinds = (type(left), type(right))
    if kinds[0] in _NUMBERS and kinds[1] in _NUMBERS:
        return _decimal_equivalent(Decimal(left), Decimal(right))
    if Boxed in kinds:
        return equivalent(
            left.value if kinds[0] is Boxed else left, right.value if kinds[1] is Boxed else right
        )
    if kinds == (Code, Concept):
        return _any_code(right.codes, left)
    if kinds == (Concept, Code):
        return _any_code(left.codes, right)
    if Tuple in kinds and dict in kinds:
        return _elements_equivalent(left, right)
    return equal(left, right) is True


def _string_equivalent(left: str, right: str) -> bool:
    if left == right:
        return True
    return left.translate(_WHITESPACE).casefold() == right.translate(_WHITESPACE).casefold()


def _decimal_equivalent(left: Decimal, right: Decimal) -> bool:
    """The same once rounded to the fewer decimal places of the two, trailing zeros not counted."""
    if left == right:
        return True
    places = min(_places(left), _places(right))
    unit = Decimal(1).scaleb(-places)
    return _CONTEXT.quantize(left, unit) == _CONTEXT.quantize(right, unit)


def _places(value: Decimal) -> int:
    exponent = _CONTEXT.normalize(value).as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def _code_equivalent(left: Code, right: Code) -> bool:
    if left.code == right.code and left.system == right.system:
        return True
    return equivalent(left.code, right.code) and equivalent(left.system, right.system)


def _any_code(codes: list[Code], wanted: Code) -> bool:
    return any(equivalent(code, wanted) for code in codes or ())


def _concept_equivalent(left: Concept, right: Concept) -> bool:
    return any(_any_code(right.codes, code) for code in left.codes or ())


def _list_equivalent(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(map(equivalent, left, right))


def _elements_equivalent(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    if left is right:
        return True
    names = left.keys() if left.keys() == right.keys() else left.keys() | right.keys()
    return all(equivalent(left.get(name), right.get(name)) for name in names)


_EQUIVALENT: dict[type, Callable[[Any, Any], bool]] = {
    str: _string_equivalent,
    Decimal: _decimal_equivalent,
    Code: _code_equivalent,
    Concept: _concept_equivalent,
    list: _list_equivalent,
    Tuple: _elements_equivalent,
    dict: _elements_equivalent,
    Boxed: lambda left, right: equivalent(left.value, right.value),
    Interval: lambda left, right: bool(intervals.equivalent(left, right)),
    Quantity: lambda left, right: quantities.equivalent(left, right),
    Ratio: lambda left, right: ratios.equivalent(left, right),
}


# --- order ------------------------------------------------------------------------------------------------


def compare(left: Any, right: Any) -> int | None:
    """-1, 0 or 1 as the left is less than, the same as or greater than the right; null when unknown.

    Raises :class:`EvaluationError` for values that have no order.
    """
    if left is None or right is None:
        return None
    kind = type(left)
    if kind is type(right):
        if kind in _ORDERED:
            return int(left > right) - int(left < right)
        if kind is DateTime or kind is Date or kind is Time:
            return temporal.compare(left, right)
        if kind is Quantity:
            return quantities.compare(left, right)
    return _compare_across(left, right)


def _compare_across(left: Any, right: Any) -> int | None:
    kinds = (type(left), type(right))
    if kinds[0] in _NUMBERS and kinds[1] in _NUMBERS:
        return int(left > right) - int(left < right)
    if Boxed in kinds:
        return compare(left.value if kinds[0] is Boxed else left, right.value if kinds[1] is Boxed else right)
    if Uncertainty in kinds:
        low_left, high_left = _possible(left)
        low_right, high_right = _possible(right)
        if less(high_left, low_right):
            return -1
        if less(high_right, low_left):
            return 1
        return 0 if _uncertain_equal(left, right) else None
    if kinds == (Date, DateTime) or kinds == (DateTime, Date):
        return temporal.compare(_as_date_time(left), _as_date_time(right))
    if kinds[0] is Quantity and kinds[1] in _NUMBERS:
        return quantities.compare(left, Quantity(Decimal(right)))
    if kinds[1] is Quantity and kinds[0] in _NUMBERS:
        return quantities.compare(Quantity(Decimal(left)), right)
    names = " and ".join(dict.fromkeys(kind.__name__ for kind in kinds))
    raise EvaluationError(
        f"Values of type {names} have no order.",
        mend="Compare, sort or aggregate by an element that is a number, string, date, time or quantity.",
    )


def less(left: Any, right: Any) -> bool | None:
    """Whether the left is less than the right; null when unknown ("Less")."""
    if left is None or right is None:
        return None
    kind = type(left)
    if kind is type(right) and kind in _ORDERED:
        return bool(left < right)
    order = compare(left, right)
    if order is None:
        # Possible values that touch in a single point are never less, though their order is open.
        return _touches(right, left)
    return order < 0


def less_or_equal(left: Any, right: Any) -> bool | None:
    """Whether the left is less than or equal to the right; null when unknown ("Less Or Equal")."""
    return greater_or_equal(right, left)


def greater(left: Any, right: Any) -> bool | None:
    """Whether the left is greater than the right; null when unknown ("Greater")."""
    return less(right, left)


def greater_or_equal(left: Any, right: Any) -> bool | None:
    """Whether the left is greater than or equal to the right; null when unknown ("Greater Or Equal")."""
    if left is None or right is None:
        return None
    kind = type(left)
    if kind is type(right) and kind in _ORDERED:
        return bool(left >= right)
    order = compare(left, right)
    if order is None:
        return None if _touches(right, left) is None else True
    return order >= 0


def _touches(lower: Any, upper: Any) -> bool | None:
    """False where ``upper`` cannot be less than ``lower`` for their uncertainty, else null."""
    if type(lower) is Uncertainty or type(upper) is Uncertainty:
        if equal(_possible(lower)[1], _possible(upper)[0]):
            return False
    return None
