"""CQL parameters given as a FHIR ``Parameters`` resource (Using CQL with FHIR, "Parameters")."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from measurewise.engine.errors import ContentError
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.values import Code, Concept, Interval, Quantity, Ratio

_TEXTS: Final = frozenset(
    {"valueString", "valueCode", "valueId", "valueUri", "valueUrl", "valueCanonical", "valueMarkdown"}
)
_WHOLE: Final = frozenset({"valueInteger", "valuePositiveInt", "valueUnsignedInt"})


def cql_parameters(resource: Mapping[str, Any], zone: int) -> dict[str, Any]:
    """The CQL values by parameter name; a name that comes several times is a list.

    ``zone`` is the offset, in minutes, of dates and times that have none. Raises ContentError for a value
    of a type that no CQL value has.
    """
    found: dict[str, list[Any]] = {}
    for position, part in enumerate(resource.get("parameter") or ()):
        where = f"parameters.parameter[{position}]"
        name = part.get("name")
        valued = {key: value for key, value in part.items() if key.startswith("value")}
        if not isinstance(name, str) or len(valued) != 1:
            raise ContentError("a CQL parameter has a name and one value.", where=where)
        ((key, value),) = valued.items()
        found.setdefault(name, []).append(_value(key, value, zone, where))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _value(key: str, value: Any, zone: int, where: str) -> Any:
    if key in _TEXTS or key == "valueBoolean":
        return value
    if key in _WHOLE:
        return int(value)
    made: Any = None
    match key:
        case "valueDecimal":
            made = Decimal(str(value))
        case "valueDate":
            made = parse_date(str(value))
        case "valueDateTime" | "valueInstant":
            made = parse_datetime(str(value), zone)
        case "valueTime":
            made = parse_time(str(value))
        case "valueQuantity":
            made = _quantity(value)
        case "valueRatio":
            made = Ratio(_quantity(value.get("numerator") or {}), _quantity(value.get("denominator") or {}))
        case "valueCoding":
            made = _code(value)
        case "valueCodeableConcept":
            made = Concept([_code(coding) for coding in value.get("coding") or ()], value.get("text"))
        case "valuePeriod":
            low, high = (
                None if value.get(end) is None else parse_datetime(str(value[end]), zone)
                for end in ("start", "end")
            )
            made = Interval(low, high, low is not None, True, "DateTime")
        case "valueRange":
            bounds = [None if value.get(end) is None else _quantity(value[end]) for end in ("low", "high")]
            made = Interval(bounds[0], bounds[1], point="Quantity")
    if made is None:
        raise ContentError(
            f"'{key}' cannot be a CQL parameter, or its value is not of that type.", where=where
        )
    return made


def _quantity(value: Mapping[str, Any]) -> Quantity:
    number = value.get("value")
    unit = value.get("code") or value.get("unit") or "1"
    return Quantity(None if number is None else Decimal(str(number)), str(unit))


def _code(value: Mapping[str, Any]) -> Code:
    return Code(value.get("code"), value.get("system"), value.get("version"), value.get("display"))
