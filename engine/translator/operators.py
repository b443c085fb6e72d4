"""CQL's operators: their overloads (``signatures.txt``) and how a call of each becomes an ELM node."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from measurewise.engine import elm
from measurewise.engine.models.names import parse_type
from measurewise.engine.models.types import DataType, ListType, NamedType

TABLE = Path(__file__).with_name("signatures.txt")
POINT = NamedType("System", "P")
"""The type parameter that stands for the points of an interval."""
PARAMETERS = frozenset({NamedType("System", "T"), POINT})
"""The type parameters of generic overloads."""

_LINE = re.compile(r"(\w+)\((.*)\) (.+)")


@dataclass(frozen=True, slots=True)
class Signature:
    """One overload of an operator."""

    operator: str
    operands: tuple[DataType, ...]
    result: DataType
    generic: bool


@cache
def overloads(operator: str, arity: int) -> tuple[Signature, ...]:
    """The overloads of an operator with this many operands, in the order of the table."""
    return tuple(s for s in _table().get(operator, ()) if len(s.operands) == arity)


def arities(operator: str) -> tuple[int, ...]:
    """The numbers of operands that an operator may have."""
    return tuple(sorted({len(s.operands) for s in _table().get(operator, ())}))


def is_overloaded(operator: str) -> bool:
    """Whether the types of the operands decide which operator is meant."""
    return len(_table().get(operator, ())) > 1


def operator_names() -> tuple[str, ...]:
    """All operators of the table."""
    return tuple(_table())


@cache
def _table() -> dict[str, list[Signature]]:
    table: dict[str, list[Signature]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"signatures.txt: {line}")
        operator, operands, result = match.groups()
        kinds = tuple(parse_type(text) for text in _split(operands))
        generic = any(_mentions_parameter(kind) for kind in kinds)
        table.setdefault(operator, []).append(Signature(operator, kinds, parse_type(result), generic))
    return table


def _split(operands: str) -> list[str]:
    return [text.strip() for text in operands.split(", ")] if operands else []


def _mentions_parameter(kind: DataType) -> bool:
    if isinstance(kind, NamedType):
        return kind in PARAMETERS
    inner = getattr(kind, "element", None) if isinstance(kind, ListType) else getattr(kind, "point", None)
    return inner is not None and _mentions_parameter(inner)


# Operators whose ELM node names its operands; all others have ``operand``.
_FIELDS: dict[str, tuple[str, ...]] = {
    "Round": ("operand", "precision"),
    "Combine": ("source", "separator"),
    "Split": ("string_to_split", "separator"),
    "SplitOnMatches": ("string_to_split", "separator_pattern"),
    "PositionOf": ("pattern", "string"),
    "LastPositionOf": ("pattern", "string"),
    "Substring": ("string_to_sub", "start_index", "length"),
    "Date": ("year", "month", "day"),
    "DateTime": ("year", "month", "day", "hour", "minute", "second", "millisecond", "timezone_offset"),
    "Time": ("hour", "minute", "second", "millisecond"),
    "Now": (),
    "Today": (),
    "TimeOfDay": (),
    "First": ("source",),
    "Last": ("source",),
    "IndexOf": ("source", "element"),
    "Slice": ("source", "start_index", "end_index"),
    "Message": ("source", "condition", "code", "severity", "message"),
    "InValueSet": ("code", "valueset_expression"),
    "AnyInValueSet": ("codes", "valueset_expression"),
    "InCodeSystem": ("code", "codesystem_expression"),
    "AnyInCodeSystem": ("codes", "codesystem_expression"),
    "Children": ("source",),
    "Descendents": ("source",),
}
AGGREGATES = (
    "Count",
    "Sum",
    "Product",
    "Min",
    "Max",
    "Avg",
    "GeometricMean",
    "Median",
    "Mode",
    "Variance",
    "PopulationVariance",
    "StdDev",
    "PopulationStdDev",
    "AllTrue",
    "AnyTrue",
)
_FIELDS.update((name, ("source",)) for name in AGGREGATES)

_MEMBERSHIP = {
    "valueset_expression": ("valueset", elm.ValueSetRef),
    "codesystem_expression": ("codesystem", elm.CodeSystemRef),
}


def build(
    operator: str,
    operands: Sequence[elm.Expression],
    signature: tuple[elm.TypeSpecifier, ...] = (),
    **attributes: Any,
) -> elm.Expression:
    """The ELM node of an operator over operands."""
    node: Callable[..., elm.Expression] = getattr(elm, operator)
    fields = _FIELDS.get(operator)
    if fields is None:
        value: Any = (
            operands[0] if issubclass(getattr(elm, operator), elm.UnaryExpression) else tuple(operands)
        )
        return node(operand=value, signature=signature, **attributes)
    named = dict(zip(fields, operands, strict=False))
    for field, (reference, kind) in _MEMBERSHIP.items():
        if isinstance(named.get(field), kind):
            named[reference] = named.pop(field)
    return node(**named, signature=signature, **attributes)
