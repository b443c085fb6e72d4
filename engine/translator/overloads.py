"""Choosing an overload: the one whose operands cost least to convert.

CQL 1.5.3 Developer's Guide, "Function Resolution".

Generic overloads are first made concrete: each type that a type parameter meets among the operands is tried
for it, nearest fit first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from measurewise.engine.models.types import (
    ANY,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
)
from measurewise.engine.translator.conversions import Conversion, Conversions
from measurewise.engine.translator.data_types import STRUCTURED, alternatives, is_point
from measurewise.engine.translator.operators import PARAMETERS, POINT, Signature

Overload = TypeVar("Overload")


class Match(NamedTuple):
    """An operator's overload made concrete, with the conversion of each operand."""

    signature: Signature
    operands: tuple[DataType, ...]
    result: DataType
    conversions: tuple[Conversion, ...]
    cost: int


def fit(
    conversions: Conversions, given: Sequence[DataType], wanted: Sequence[DataType]
) -> tuple[int, tuple[Conversion, ...]] | None:
    """The cost and the conversions that make operands fit, or None where one cannot."""
    total = 0
    ways: list[Conversion] = []
    for have, want in zip(given, wanted, strict=True):
        way = conversions.find(have, want)
        if way is None:
            return None
        total += way.cost
        ways.append(way)
    return total, tuple(ways)


def resolve_operator(
    conversions: Conversions, candidates: Sequence[Signature], given: Sequence[DataType]
) -> list[Match]:
    """The cheapest ways to call an operator; none where nothing fits, several where they cost the same."""
    best: list[Match] = []
    for signature in candidates:
        found = False
        for operands, result, actual in _concrete(conversions, signature, given):
            # A value of a choice is rather cast to what the other operand is than the other way round.
            if found and isinstance(actual, ChoiceType):
                break
            fitted = fit(conversions, given, operands)
            if fitted is None:
                continue
            found = True
            cost, ways = fitted
            if not best or cost < best[0].cost:
                best = [Match(signature, operands, result, ways, cost)]
            elif cost == best[0].cost:
                best.append(Match(signature, operands, result, ways, cost))
    return best


def resolve_function(
    conversions: Conversions,
    candidates: Sequence[Overload],
    operands_of: Callable[[Overload], tuple[DataType, ...]],
    given: Sequence[DataType],
) -> list[tuple[Overload, tuple[Conversion, ...]]]:
    """The cheapest overloads of a function."""
    best: list[tuple[Overload, tuple[Conversion, ...]]] = []
    lowest = 0
    for candidate in candidates:
        fitted = fit(conversions, given, operands_of(candidate))
        if fitted is None:
            continue
        cost, ways = fitted
        if not best or cost < lowest:
            best, lowest = [(candidate, ways)], cost
        elif cost == lowest:
            best.append((candidate, ways))
    return best


def preferred(
    tied: Sequence[Overload], operands_of: Callable[[Overload], tuple[DataType, ...]]
) -> list[Overload]:
    """Of overloads that cost the same, those that no other precedes by the categories of its operands.

    Simple types come before tuples, classes, intervals, lists and choices (Developer's Guide, "Conversion
    Precedence"). More than one means that the call is ambiguous.
    """
    if len(tied) < 2:
        return list(tied)
    ranks = [tuple(map(_category, operands_of(overload))) for overload in tied]
    return [
        overload
        for overload, rank in zip(tied, ranks, strict=True)
        if not any(_precedes(other, rank) for other in ranks)
    ]


_Rank = tuple[int, ...]


def _precedes(one: tuple[_Rank, ...], other: tuple[_Rank, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _category(kind: DataType) -> _Rank:
    if isinstance(kind, NamedType):
        return (0,) if kind.model == "System" and kind.name not in STRUCTURED else (2,)
    if isinstance(kind, IntervalType):
        return (3, *_category(kind.point))
    if isinstance(kind, ListType):
        return (4, *_category(kind.element))
    return (1,) if isinstance(kind, TupleType) else (5,)


def _concrete(
    conversions: Conversions, signature: Signature, given: Sequence[DataType]
) -> list[tuple[tuple[DataType, ...], DataType, DataType]]:
    if not signature.generic:
        return [(signature.operands, signature.result, ANY)]
    found: list[DataType] = []
    parameter: NamedType | None = None
    for wanted, have in zip(signature.operands, given, strict=True):
        pairs = _bindings(wanted, have)
        for member in alternatives(have):
            for target in conversions.targets(member):
                pairs += _bindings(wanted, target) if wanted in PARAMETERS else _of_member(wanted, target)
        for name, kind in pairs:
            parameter = name
            if kind not in found:
                found.append(kind)
    if parameter is None:
        parameter = _parameter_of(signature)
    known = [kind for kind in found if kind != ANY] or [ANY]
    if len(known) > 1:
        extra = [m for kind in known if isinstance(kind, ChoiceType) for m in kind.choices]
        known += [kind for kind in extra if kind not in known]
        known.sort(key=_is_choice)
    if parameter == POINT:
        known = [kind for kind in known if is_point(kind)]
    return [
        (
            tuple(_substitute(operand, parameter, kind) for operand in signature.operands),
            _substitute(signature.result, parameter, kind),
            kind,
        )
        for kind in known
    ]


def _is_choice(kind: DataType) -> bool:
    return isinstance(kind, ChoiceType)


def _parameter_of(signature: Signature) -> NamedType:
    for operand in signature.operands:
        found = [name for name, _ in _bindings(operand, ANY)]
        if found:
            return found[0]
    raise ValueError(signature.operator)


def _bindings(wanted: DataType, have: DataType) -> list[tuple[NamedType, DataType]]:
    """The types that a parameter meets when an operand of type ``have`` is given."""
    if isinstance(wanted, NamedType):
        return [(wanted, have)] if wanted in PARAMETERS else []
    if isinstance(have, ChoiceType):
        return [pair for member in have.choices for pair in _of_member(wanted, member)]
    if isinstance(wanted, ListType):
        if isinstance(have, ListType):
            return _bindings(wanted.element, have.element)
        return _bindings(wanted.element, ANY) if have == ANY else _promoted(wanted.element, have)
    if isinstance(wanted, IntervalType):
        if isinstance(have, IntervalType):
            return _bindings(wanted.point, have.point)
        return _bindings(wanted.point, ANY) if have == ANY else _promoted(wanted.point, have)
    return []


def _of_member(wanted: DataType, member: DataType) -> list[tuple[NamedType, DataType]]:
    same = (isinstance(wanted, ListType) and isinstance(member, ListType)) or (
        isinstance(wanted, IntervalType) and isinstance(member, IntervalType)
    )
    return _bindings(wanted, member) if same else []


def _promoted(wanted: DataType, have: DataType) -> list[tuple[NamedType, DataType]]:
    # A single value where a list or interval is wanted: only promotion could make it fit.
    return [] if isinstance(have, ListType | IntervalType) else _bindings(wanted, have)


def _substitute(kind: DataType, parameter: NamedType, actual: DataType) -> DataType:
    if kind == parameter:
        return actual
    if isinstance(kind, ListType):
        return ListType(_substitute(kind.element, parameter, actual))
    if isinstance(kind, IntervalType):
        return IntervalType(_substitute(kind.point, parameter, actual))
    return kind
