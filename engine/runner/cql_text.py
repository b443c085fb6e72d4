"""CQL values as a person would write them in CQL; FHIR resources and elements as JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from measurewise.engine.runtime.decimals import plain
from measurewise.engine.runtime.temporal import Date, DateTime, Time, iso
from measurewise.engine.runtime.uncertainty import Uncertainty, as_interval
from measurewise.engine.runtime.values import (
    Boxed,
    Code,
    Concept,
    Interval,
    Long,
    Quantity,
    Ratio,
    Tuple,
)

_CALENDAR = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
_encode = msgspec.json.Encoder(decimal_format="number").encode


def cql_text(value: Any) -> str:
    """The value as CQL writes it."""
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is Long:
        return f"{int(value)}L"
    if kind is Decimal:
        text = plain(value)
        return text if "." in text else f"{text}.0"
    if kind is str:
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        return f"'{escaped}'"
    if kind is Date:
        return f"@{iso(value)}"
    if kind is DateTime:
        text = iso(value)
        return f"@{text}" if "T" in text else f"@{text}T"
    if kind is Time:
        return f"@T{iso(value)}"
    if kind is Quantity:
        unit = value.unit if value.unit.removesuffix("s") in _CALENDAR else f"'{value.unit}'"
        return "null" if value.value is None else f"{plain(value.value)} {unit}"
    if kind is Ratio:
        return f"{cql_text(value.numerator)} : {cql_text(value.denominator)}"
    return _structured(value)


def _structured(value: Any) -> str:
    kind = type(value)
    if kind is list:
        return "{ " + ", ".join(map(cql_text, value)) + " }" if value else "{ }"
    if kind is Interval:
        opening, closing = "[" if value.low_closed else "(", "]" if value.high_closed else ")"
        return f"Interval{opening}{cql_text(value.low)}, {cql_text(value.high)}{closing}"
    if kind is Uncertainty:
        return cql_text(as_interval(value))
    if kind is Code:
        return _instance("Code", code=value.code, system=value.system, display=value.display)
    if kind is Concept:
        return _instance("Concept", codes=value.codes, display=value.display)
    if kind is Tuple:
        return "Tuple { " + ", ".join(f"{name}: {cql_text(item)}" for name, item in value.items()) + " }"
    if kind is Boxed:
        return f"{value.type} {_encode(value.value).decode()}"
    if isinstance(value, dict):
        return _encode(value).decode()
    return str(value)


def _instance(name: str, **elements: Any) -> str:
    given = (f"{key}: {cql_text(item)}" for key, item in elements.items() if item is not None)
    return f"{name} {{ {', '.join(given)} }}"
