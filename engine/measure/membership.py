"""Which list elements are the same, and the set algebra over them that population membership needs.

QM IG defines membership on a resource basis by CQL ``intersect`` and ``except`` (3.4.3, "Non-patient-based
Calculation"), which compare elements by equality and drop duplicates. Two resources with one id and other
content are therefore two members; two copies of one resource are one.

The elements mostly are the very same objects, so identity is tried first; the rest are looked up in buckets,
which keeps every operation linear in the size of its lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any

Members = list[Any]


class MemberIndex:
    """The elements of a list, ready to be asked ``element in index``."""

    __slots__ = ("_buckets", "_identities")

    def __init__(self, elements: Sequence[Any]) -> None:
        self._identities = {id(element): element for element in elements}
        self._buckets: dict[Any, list[Any]] | None = None

    def __contains__(self, element: Any) -> bool:
        if id(element) in self._identities:
            return True
        if self._buckets is None:
            self._buckets = {}
            for known in self._identities.values():
                self._buckets.setdefault(_bucket(known), []).append(known)
        return any(_same(element, known) for known in self._buckets.get(_bucket(element), ()))

    def add(self, element: Any) -> None:
        """Put one more element in."""
        self._identities[id(element)] = element
        if self._buckets is not None:
            self._buckets.setdefault(_bucket(element), []).append(element)


def distinct(elements: Sequence[Any]) -> Members:
    """The elements in order, without nulls and without a second copy of any."""
    if len(elements) == 1:
        return [] if elements[0] is None else [elements[0]]
    ids = {name for element in elements if type(element) is dict and type(name := element.get("id")) is str}
    if len(ids) == len(elements):
        return list(elements)
    seen = MemberIndex(())
    kept: Members = []
    for element in elements:
        if element is not None and element not in seen:
            seen.add(element)
            kept.append(element)
    return kept


def intersect(base: Members, elements: Sequence[Any]) -> Members:
    """The members of ``base``, in its order, that are among ``elements``."""
    if not base or not elements:
        return []
    if len(base) == len(elements) and all(map(is_, base, elements)):
        return base
    index = MemberIndex(elements)
    return [member for member in base if member in index]


def minus(base: Members, elements: Sequence[Any]) -> Members:
    """The members of ``base``, in its order, that are not among ``elements``."""
    if not base or not elements:
        return base
    if len(base) == len(elements) and all(map(is_, base, elements)):
        return []
    index = MemberIndex(elements)
    return [member for member in base if member not in index]


def _bucket(element: Any) -> Any:
    if isinstance(element, dict):
        name = element.get("id")
        return name if type(name) is str else None, len(element)
    if isinstance(element, list):
        return len(element)
    return element


def _same(a: Any, b: Any) -> bool:
    return (type(a) is bool) == (type(b) is bool) and bool(a == b)
