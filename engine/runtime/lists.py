"""The list operators (CQL Reference, "List Operators").

Membership and the set operators use equality, with the one exception that nulls are equal to each other. An
element that is not null is never equal to a null in the list; an answer is null only where some comparison
of two values is (dates of different precision, tuples with missing elements).

The set operators run in linear time over :mod:`equality_keys` and keep the order of their operands, the left
one first; the first of several equal elements is the one that stays.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from itertools import product
from typing import Any

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.comparison import equal, equivalent
from measurewise.engine.runtime.equality_keys import EXACT, equality_key
from measurewise.engine.runtime.temporal import DAY, Date
from measurewise.engine.runtime.values import (
    Boxed,
    Code,
    CodeSystem,
    Concept,
    Interval,
    Quantity,
    Ratio,
    Tuple,
    ValueSet,
)

_FEW = 16
"""Up to so many comparisons, comparing all pairs is cheaper than making keys."""


# --- elements ---------------------------------------------------------------------------------------------


def exists(source: list[Any] | None) -> bool:
    """Whether the list has an element that is not null; false of a null list."""
    if not source:
        return False
    return source[0] is not None or any(element is not None for element in source)


def length(source: list[Any] | None) -> int:
    """The number of elements, nulls included; 0 of a null list."""
    return 0 if source is None else len(source)


def first(source: list[Any] | None) -> Any:
    """The first element, null of a null or empty list."""
    return source[0] if source else None


def last(source: list[Any] | None) -> Any:
    """The last element, null of a null or empty list."""
    return source[-1] if source else None


def indexer(source: list[Any] | None, index: int | None) -> Any:
    """The element at a 0-based index, null where there is none."""
    if source is None or index is None or not 0 <= index < len(source):
        return None
    return source[index]


def index_of(source: list[Any] | None, element: Any) -> int | None:
    """The 0-based index of the first element equal to the given one, -1 without one, null of nulls."""
    if source is None or element is None:
        return None
    for index, candidate in enumerate(source):
        if equal(candidate, element):
            return index
    return -1


def singleton_from(source: list[Any] | None) -> Any:
    """The only element, null of a null or empty list.

    Raises :class:`EvaluationError` when there is more than one element.
    """
    if not source:
        return None
    if len(source) > 1:
        raise EvaluationError(
            f"'singleton from' met a list of {len(source)} elements.",
            mend="Narrow the list to one element, or use First() or Last().",
        )
    return source[0]


def flatten(source: list[Any] | None) -> list[Any] | None:
    """The elements of the lists in a list, one level deep; null of null."""
    if source is None:
        return None
    out: list[Any] = []
    for inner in source:
        if type(inner) is list:
            out.extend(inner)
        elif inner is not None:
            out.append(inner)
    return out


def slice_(source: list[Any] | None, start: int | None = None, end: int | None = None) -> list[Any] | None:
    """The elements from index ``start`` to just before ``end``; negative indexes count from the end."""
    return None if source is None else source[start:end]


def skip(source: list[Any] | None, number: int | None) -> list[Any] | None:
    """All but the first ``number`` elements; all for a null number, none for a negative one."""
    if source is None:
        return None
    if number is None:
        return source
    return source[number:] if number >= 0 else []


def tail(source: list[Any] | None) -> list[Any] | None:
    """All but the first element."""
    return None if source is None else source[1:]


def take(source: list[Any] | None, number: int | None) -> list[Any] | None:
    """The first ``number`` elements; none for a null or negative number."""
    if source is None:
        return None
    return source[:number] if number is not None and number > 0 else []


def children(source: Any) -> list[Any] | None:
    """The values of the elements of a structured value, lists among them spread out; null of null.

    Of a list, the children of each element. A value without elements has none.
    """
    if source is None:
        return None
    return list(_children(source))


def descendents(source: Any) -> list[Any] | None:
    """:func:`children`, their children and so on, each before its own; null of null."""
    if source is None:
        return None
    out: list[Any] = []
    pending = list(_children(source))[::-1]
    while pending:
        child = pending.pop()
        out.append(child)
        pending.extend(list(_children(child))[::-1])
    return out


def _children(source: Any) -> Iterator[Any]:
    kind = type(source)
    if kind is list:
        for element in source:
            yield from _children(element)
        return
    if kind is Boxed:
        yield from _children(source.value)
        return
    values: Iterable[Any]
    if kind is dict or kind is Tuple:
        values = source.values()
    else:
        values = (getattr(source, name) for name in _ELEMENTS.get(kind, ()))
    for value in values:
        for child in value if type(value) in (list, tuple) else (value,):
            if child is not None:
                yield child


_ELEMENTS: dict[type, tuple[str, ...]] = {
    Quantity: ("value", "unit"),
    Ratio: ("numerator", "denominator"),
    Code: ("code", "display", "system", "version"),
    Concept: ("codes", "display"),
    CodeSystem: ("id", "version", "name"),
    ValueSet: ("id", "version", "name", "codesystems"),
    Interval: ("low", "low_closed", "high", "high_closed"),
}


def times(left: list[Any] | None, right: list[Any] | None) -> list[Any] | None:
    """The Cartesian product of two lists of tuples (ELM "Times"): every pair merged into one tuple."""
    if left is None or right is None:
        return None
    return [Tuple({**a, **b}) for a, b in product(left, right)]


def to_list(operand: Any) -> list[Any]:
    """A list of the one operand; the empty list of null (ELM "ToList")."""
    return [] if operand is None else [operand]


# --- membership -------------------------------------------------------------------------------------------


def contains(source: list[Any] | None, element: Any) -> bool | None:
    """Whether the element is in the list ("Contains"); a null element is in a list that has a null."""
    if source is None:
        return False
    if element is None:
        return any(candidate is None for candidate in source)
    if type(element) is str and element in source:
        return True
    answer: bool | None = False
    for candidate in source:
        if candidate is None:
            continue
        same = equal(candidate, element)
        if same:
            return True
        if same is None:
            answer = None
    return answer


def in_(element: Any, source: list[Any] | None) -> bool | None:
    """:func:`contains` with its operands turned round."""
    return contains(source, element)


def equivalent_contains(source: list[Any] | None, element: Any) -> bool:
    """Whether an element of the list is equivalent to the given one (CQL 2.0 "EquivalentContains")."""
    return any(equivalent(candidate, element) for candidate in source or ())


def equivalent_in(element: Any, source: list[Any] | None) -> bool:
    """:func:`equivalent_contains` with its operands turned round."""
    return equivalent_contains(source, element)


def proper_contains(source: list[Any] | None, element: Any) -> bool | None:
    """Whether the list contains the element and something else besides ("Properly Includes")."""
    if source is None:
        return False
    inside = contains(source, element)
    if inside is False:
        return False
    others = _has_other(source, element)
    if others is False:
        return False
    return True if inside and others else None


def proper_in(element: Any, source: list[Any] | None) -> bool | None:
    """:func:`proper_contains` with its operands turned round."""
    return proper_contains(source, element)


def _has_other(source: list[Any], element: Any) -> bool | None:
    """Whether the list has an element known to differ from the given one; a null might be the same."""
    if element is None:
        return any(candidate is not None for candidate in source)
    answer: bool | None = False
    for candidate in source:
        same = equal(candidate, element)
        if same is False:
            return True
        if same is None:
            answer = None
    return answer


def includes(left: list[Any] | None, right: list[Any] | None) -> bool | None:
    """Whether every element of the right list is in the left ("Includes"); null if either list is."""
    if left is None or right is None:
        return None
    if not right:
        return True
    found = _finder(left, len(right))
    answer: bool | None = True
    for element in right:
        inside = found(element)
        if inside is False:
            return False
        if inside is None:
            answer = None
    return answer


def included_in(left: list[Any] | None, right: list[Any] | None) -> bool | None:
    """:func:`includes` with its operands turned round."""
    return includes(right, left)


def proper_includes(left: list[Any] | None, right: list[Any] | None) -> bool | None:
    """Whether the left list includes the right and is strictly larger ("Properly Includes")."""
    if left is None or right is None:
        return None
    larger = len(distinct(left) or ()) > len(distinct(right) or ())
    return includes(left, right) if larger else False


def proper_included_in(left: list[Any] | None, right: list[Any] | None) -> bool | None:
    """:func:`proper_includes` with its operands turned round."""
    return proper_includes(right, left)


def _finder(source: list[Any], uses: int) -> Any:
    """A function from an element to whether it is in the list, made for so many uses."""
    if len(source) * uses <= _FEW:
        return lambda element: contains(source, element)
    index = _Seen()
    for element in source:
        index.add(element)

    def found(element: Any) -> bool | None:
        if index.has(element):
            return True
        return False if type(element) in _CERTAIN else contains(source, element)

    return found


_CERTAIN = frozenset({int, str, bool, type(None)})
"""Types of which no comparison is ever unknown."""


# --- sets -------------------------------------------------------------------------------------------------


class _Seen:
    """The elements met so far, by equality key."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[Hashable, list[Any]] = {}

    def add(self, element: Any) -> bool:
        """Take an element in; whether it was not there before."""
        key = equality_key(element)
        bucket = self._buckets.get(key)
        if bucket is None:
            self._buckets[key] = [element]
            return True
        if _in_bucket(bucket, element):
            return False
        bucket.append(element)
        return True

    def has(self, element: Any) -> bool:
        """Whether an equal element has been taken in."""
        bucket = self._buckets.get(equality_key(element))
        return bucket is not None and _in_bucket(bucket, element)


def _in_bucket(bucket: list[Any], element: Any) -> bool:
    kind = type(element)
    if element is None or kind in EXACT or (kind is dict and bucket[0] is element):
        return True
    return any(equal(candidate, element) for candidate in bucket)


def distinct(source: list[Any] | None) -> list[Any] | None:
    """The list without duplicates ("Distinct"), null of null."""
    if source is None:
        return None
    if len(source) < 2:
        return source
    if all(type(element) is Date and element.precision == DAY for element in source):
        days: dict[int, Any] = {}
        for element in source:
            days.setdefault(element.lo, element)
        return list(days.values())
    seen = _Seen()
    return [element for element in source if seen.add(element)]


def union(*sources: list[Any] | None) -> list[Any]:
    """The distinct elements of all the lists ("Union"); a null list counts as empty."""
    seen = _Seen()
    return [element for source in sources if source for element in source if seen.add(element)]


def intersect(left: list[Any] | None, right: list[Any] | None) -> list[Any] | None:
    """The distinct elements that are in both lists ("Intersect"); null if either list is."""
    if left is None or right is None:
        return None
    inside = _Seen()
    for element in right:
        inside.add(element)
    return distinct([element for element in left if inside.has(element)])


def except_(left: list[Any] | None, right: list[Any] | None) -> list[Any] | None:
    """The distinct elements of the left list that are not in the right ("Except"); null of a null left."""
    if left is None:
        return None
    if not right:
        return distinct(left)
    outside = _Seen()
    for element in right:
        outside.add(element)
    return distinct([element for element in left if not outside.has(element)])
