"""The order in which a sort clause puts values (CQL Developer's Guide, "Sort Clause"; ELM "Sort").

Nulls come lowest. Where two dates or times differ in precision only, the missing component counts as null,
so the less precise comes first. Sorting is stable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

from measurewise.engine.runtime.comparison import compare
from measurewise.engine.runtime.temporal import Date, DateTime, Time
from measurewise.engine.runtime.values import Long

_NATIVE = frozenset({int, str, Decimal, Long})
_TEMPORAL = frozenset({Date, DateTime, Time})


def order(left: Any, right: Any) -> int:
    """-1, 0 or 1: :func:`compare` with nulls lowest, and 0 where it cannot tell."""
    if left is None or right is None:
        return (left is not None) - (right is not None)
    answer = compare(left, right)
    if answer is not None:
        return answer
    if type(left) in _TEMPORAL and type(right) in _TEMPORAL:
        a, b = (left.lo, left.precision), (right.lo, right.precision)
        return (a > b) - (a < b)
    return 0


_by_order = cmp_to_key(order)


def sort(source: list[Any] | None, descending: bool = False) -> list[Any] | None:
    """The list in the order of its own values; null of null."""
    return None if source is None else _sorted(source, source, descending)


def sort_by(
    source: list[Any] | None, items: Sequence[tuple[Callable[[Any], Any] | None, bool]]
) -> list[Any] | None:
    """The list ordered by the values of some functions of its elements, the first item counting most.

    Each item is a function (None for the element itself) and whether the order is descending.
    """
    if source is None:
        return None
    out = source
    for key, descending in reversed(items):
        keys = out if key is None else [key(element) for element in out]
        out = _sorted(out, keys, descending)
    return out


def _sorted(source: list[Any], keys: list[Any], descending: bool) -> list[Any]:
    kinds = {type(key) for key in keys}
    indexes = range(len(source))
    if len(kinds) == 1 and kinds <= _TEMPORAL and len({key.precision for key in keys}) == 1:
        # Of one precision, and so of one span, they lie as their first moments do.
        keys, kinds = [key.lo for key in keys], {int}
    if len(kinds) == 1 and kinds <= _NATIVE:
        places = sorted(indexes, key=keys.__getitem__, reverse=descending)
    else:
        wrapped = [_by_order(key) for key in keys]
        places = sorted(indexes, key=wrapped.__getitem__, reverse=descending)
    return [source[place] for place in places]
