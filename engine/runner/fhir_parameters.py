"""CQL parameters given as a FHIR ``Parameters`` resource (Using CQL with FHIR, "Parameters")."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from measurewise.engine.errors import ContentError
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.temporal import DateTime
from measurewise.engine.runtime.values import Code, Concept, Interval, Quantity, Ratio

_TEXTS: Final = frozenset(
    {"valueString", "valueCode", "valueId", "valueUri", "valueUrl", "valueCanonical", "valueMarkdown"}
)
_WHOLE: Final = frozenset({"valueInteger", "valuePositiveInt", "valueUnsignedInt"})


def cql_parameters(resource: Mapping[str, Any], zone: int) -> dict[str, Any]:
    """The CQL values by parameter name; a name that comes several times is a list.

    ``zone`` is the offset, in minutes, of dates and times that have none. Raises ContentError for a value
    of a type that no CQL value has, or that is not of its type.
    """
    found: dict[str, list[Any]] = {}
    parts = resource.get("parameter") or ()
    if not isinstance(parts, list | tuple):
        raise ContentError("the CQL parameters are no list.", where="parameters.parameter")
    for position, part in enumerate(parts):
        where = f"parameters.parameter[{position}]"
        if not isinstance(part, dict):
            raise ContentError("a CQL parameter has a name and one value.", where=where)
        name = part.get("name")
        valued = {key: value for key, value in part.items() if key.startswith("value")}
        if not isinstance(name, str) or len(valued) != 1:
            raise ContentError("a CQL parameter has a name and one value.", where=where)
        ((key, value),) = valued.items()
        found.setdefault(name, []).append(_value(key, value, zone, where))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _value(key: str, value: Any, zone: int, where: str) -> Any:
    try:
        made = _made(key, value, zone)
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        made = None
    if made is None:
        raise ContentError(
            f"'{key}' cannot be a CQL parameter, or its value is not of that type.", where=where
        )
    return made


def _made(key: str, value: Any, zone: int) -> Any:
    """The CQL value; None, or some error of a wrong value, where there is none."""
    if key in _TEXTS:
        return value if isinstance(value, str) else None
    if key == "valueBoolean":
        return value if isinstance(value, bool) else None
    if key in _WHOLE:
        return int(value) if isinstance(value, int) and not isinstance(value, bool) else None
    made: Any = None
    match key:
        case "valueDecimal":
            made = _number(value)
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
            low, high = (_bound(value.get(end), zone) for end in ("start", "end"))
            made = Interval(low, high, low is not None, True, "DateTime")
        case "valueRange":
            bounds = [None if value.get(end) is None else _quantity(value[end]) for end in ("low", "high")]
            made = Interval(bounds[0], bounds[1], point="Quantity")
    return made


def _bound(value: Any, zone: int) -> DateTime | None:
    """A bound of a period, None where it is open."""
    found = None if value is None else parse_datetime(str(value), zone)
    if found is None and value is not None:
        raise ValueError(value)
    return found


def _quantity(value: Mapping[str, Any]) -> Quantity:
    number = value.get("value")
    unit = value.get("code") or value.get("unit") or "1"
    return Quantity(None if number is None else _number(number), str(unit))


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(value)
    return Decimal(str(value))


def _code(value: Mapping[str, Any]) -> Code:
    return Code(value.get("code"), value.get("system"), value.get("version"), value.get("display"))
