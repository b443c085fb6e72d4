"""Subtype and compatibility tests across models (CQL 1.5.3, "Data Types" and "Conversion")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from measurewise.engine.models.types import (
    ANY,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
)

if TYPE_CHECKING:
    from measurewise.engine.models.model import Model


def is_subtype(a: DataType, b: DataType, models: Mapping[str, Model]) -> bool:
    """Whether every value of ``a`` is a value of ``b``; a type is a subtype of itself and of ``System.Any``.

    Classes follow their base types; lists and intervals follow their element and point types; a tuple needs
    the same element names with subtypes; a choice needs every member to be a subtype; a type is a subtype of
    a choice when it is one of some member.
    """
    if a == b or b == ANY:
        return True
    if isinstance(a, ChoiceType):
        return all(is_subtype(member, b, models) for member in a.choices)
    if isinstance(b, ChoiceType):
        return any(is_subtype(a, member, models) for member in b.choices)
    if isinstance(a, NamedType):
        at: DataType | None = a
        while isinstance(at, NamedType) and at != ANY:
            if at == b:
                return True
            owner = models.get(at.model)
            at = None if owner is None else owner.base_type(at)
        return at is not None and not isinstance(at, NamedType) and is_subtype(at, b, models)
    if isinstance(a, ListType):
        return isinstance(b, ListType) and is_subtype(a.element, b.element, models)
    if isinstance(a, IntervalType):
        return isinstance(b, IntervalType) and is_subtype(a.point, b.point, models)
    if isinstance(a, TupleType) and isinstance(b, TupleType):
        return len(a.elements) == len(b.elements) and all(
            x == y and is_subtype(s, t, models) for (x, s), (y, t) in zip(a.elements, b.elements, strict=True)
        )
    return False


def is_compatible(a: DataType, b: DataType, models: Mapping[str, Model]) -> bool:
    """Whether a value of ``a`` can stand where ``b`` is wanted without a conversion function, at most with a
    cast.

    So when ``a`` is a subtype of ``b``, when ``a`` is Any (the type of ``null``), or when a member of one
    choice is compatible with the other side. Lists and intervals are compatible as their element and point
    types are.
    """
    if a == ANY or is_subtype(a, b, models):
        return True
    if isinstance(a, ChoiceType):
        return any(is_compatible(member, b, models) for member in a.choices)
    if isinstance(b, ChoiceType):
        return any(is_compatible(a, member, models) for member in b.choices)
    if isinstance(a, ListType):
        return isinstance(b, ListType) and is_compatible(a.element, b.element, models)
    if isinstance(a, IntervalType):
        return isinstance(b, IntervalType) and is_compatible(a.point, b.point, models)
    if isinstance(a, TupleType) and isinstance(b, TupleType):
        return len(a.elements) == len(b.elements) and all(
            x == y and is_compatible(s, t, models)
            for (x, s), (y, t) in zip(a.elements, b.elements, strict=True)
        )
    return False


def common_supertype(a: DataType, b: DataType, models: Mapping[str, Model]) -> DataType:
    """The nearest type that holds both; ``System.Any`` when nothing nearer does."""
    if is_subtype(a, b, models):
        return b
    if is_subtype(b, a, models):
        return a
    if isinstance(a, ListType) and isinstance(b, ListType):
        return ListType(common_supertype(a.element, b.element, models))
    if isinstance(a, IntervalType) and isinstance(b, IntervalType):
        return IntervalType(common_supertype(a.point, b.point, models))
    at: DataType | None = a
    while isinstance(at, NamedType) and at != ANY:
        if is_subtype(b, at, models):
            return at
        owner = models.get(at.model)
        at = None if owner is None else owner.base_type(at)
    return ANY
