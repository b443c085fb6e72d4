"""The name of a value's type, as CQL writes it (CQL Reference, "Types")."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

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

_NAMES: dict[type, str] = {
    bool: "Boolean",
    int: "Integer",
    Uncertainty: "Integer",
    Long: "Long",
    Decimal: "Decimal",
    str: "String",
    Date: "Date",
    DateTime: "DateTime",
    Time: "Time",
    Quantity: "Quantity",
    Ratio: "Ratio",
    Code: "Code",
    Concept: "Concept",
    CodeSystem: "CodeSystem",
    ValueSet: "ValueSet",
}


def system_type_name(value: Any) -> str:
    """The name of a value's type as CQL writes it: ``Integer``, ``List<Code>``, ``Interval<Date>``.

    A FHIR resource or boxed element has its FHIR type's name, ``FHIR.Patient``; null is of type ``Any``,
    which also stands for element types that cannot be told or differ.
    """
    name = _NAMES.get(type(value))
    if name is not None:
        return name
    if type(value) is list:
        return f"List<{_common_name(value)}>"
    if type(value) is Interval:
        return f"Interval<{_common_name((value.low, value.high), value.point or 'Any')}>"
    if type(value) is Tuple:
        elements = (f"{name} {system_type_name(element)}" for name, element in value.items())
        return "Tuple {" + ", ".join(elements) + "}"
    if type(value) is Boxed:
        return f"FHIR.{value.type}"
    if type(value) is dict:
        return f"FHIR.{value.get('resourceType', 'Element')}"
    return "Any"


def _common_name(values: Iterable[Any], without: str = "Any") -> str:
    names = {system_type_name(value) for value in values if value is not None}
    return names.pop() if len(names) == 1 else "Any" if names else without
