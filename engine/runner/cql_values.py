"""CQL values as the ``Parameters`` that the ``$cql`` operation answers with.

Using CQL with FHIR, "Type Mapping" (CQL to FHIR) and ``OperationDefinition/cpg-cql``. A list is a repeated
``return``; within another value it stands in parts named ``element``. Intervals stand in parts, the one form
that keeps open bounds and bounds that are null. Dates and times have the precision and offset that CQL gave
them. FHIR has no time without seconds: one to the hour or minute is filled with zeros, and the extension
time-precision says what was given. FHIR has no time of a day without an offset either, nor an empty string;
these stand as CQL has them, for no other form would bring them back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from measurewise.engine.errors import ContentError
from measurewise.engine.runner.issues import Issue, operation_outcome
from measurewise.engine.runtime.temporal import (
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    Date,
    DateTime,
    Time,
    iso,
    pack,
)
from measurewise.engine.runtime.uncertainty import Uncertainty, as_interval
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

Json = dict[str, Any]

RETURN: Final = "return"
FAILED: Final = "evaluation error"
_EXTENSIONS: Final = "http://hl7.org/fhir/StructureDefinition/"
_UCUM: Final = "http://unitsofmeasure.org"
_CALENDAR: Final = "http://hl7.org/fhirpath/CodeSystem/calendar-units"
_CALENDAR_UNITS: Final = frozenset(
    unit + ending
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for ending in ("", "s")
)
_FILLED: Final = {HOUR: "h", MINUTE: "min"}
"""The precisions of a time that FHIR wants filled, with their codes of time-precision."""
_ENDS_OF_TIME: Final = frozenset((pack(1), pack(9999, 12, 31, 23, 59, 59, 999)))


def parameters(value: Any) -> Json:
    """The ``Parameters`` resource of a value; decimals stay ``Decimal``, for an exact encoder.

    Raises ContentError for a value that is of no CQL type.
    """
    values = value if type(value) is list and value else [value]
    return {"resourceType": "Parameters", "parameter": [parameter(RETURN, item) for item in values]}


def error_parameters(error: Exception, where: str = "") -> Json:
    """The ``Parameters`` of an evaluation that failed: one parameter with an OperationOutcome.

    ``where`` is what was evaluated, for the reader, where that is not plain.
    """
    outcome = operation_outcome([Issue.of(error, where)])
    return {"resourceType": "Parameters", "parameter": [{"name": FAILED, "resource": outcome}]}


def parameter(name: str, value: Any) -> Json:
    """One parameter, or part, of a value. Raises ContentError for a value that is of no CQL type."""
    if value is None:
        return {"name": name, "_valueBoolean": _extended("data-absent-reason", "valueCode", "unknown")}
    kind = type(value)
    if kind is Time:
        return {"name": name, **_time_parts(value)}
    if kind is DateTime:
        return {"name": name, **_datetime_parts(value)}
    simple = _SIMPLE.get(kind)
    if simple is not None:
        element, written = simple
        return {"name": name, element: written(value)}
    if kind is list:
        if not value:
            return {"name": name, "_valueBoolean": _extended("cqf-isEmptyList", "valueBoolean", True)}
        return {"name": name, "part": [parameter("element", item) for item in value]}
    if kind is Interval:
        return {"name": name, "part": _bounds(value)}
    if kind is Uncertainty:
        return {"name": name, "part": _bounds(as_interval(value))}
    if isinstance(value, dict):
        if kind is not Tuple and "resourceType" in value:
            return {"name": name, "resource": value}
        if not value:
            return {"name": name, "_valueBoolean": _extended("cqf-isEmptyTuple", "valueBoolean", True)}
        return {"name": name, "part": [parameter(key, item) for key, item in value.items()]}
    if kind is Boxed:
        return {"name": name, f"value{value.type[:1].upper()}{value.type[1:]}": value.value}
    raise ContentError(f"A value of the Python type {kind.__name__} is no CQL value.")


def _extended(extension: str, element: str, value: Any) -> Json:
    return {"extension": [{"url": f"{_EXTENSIONS}{extension}", element: value}]}


def _bounds(value: Interval) -> list[Json]:
    return [
        parameter("lowClosed", value.low_closed),
        parameter("low", value.low),
        parameter("highClosed", value.high_closed),
        parameter("high", value.high),
    ]


def _time_parts(value: Time) -> Json:
    """The Time with its seconds, and with time-precision where CQL gave none."""
    precision = _FILLED.get(value.precision)
    if precision is None:
        return {"valueTime": iso(value)}
    declared = _extended("time-precision", "valueCode", precision)
    return {"valueTime": iso(Time(value.local, SECOND)), "_valueTime": declared}


def _datetime_parts(value: DateTime) -> Json:
    """As ``_time_parts``, where an offset makes a FHIR dateTime of it."""
    precision = _FILLED.get(value.precision)
    if precision is None or value.offset is None:
        return {"valueDateTime": _datetime(value)}
    filled = DateTime(value.local, SECOND, value.offset)
    declared = _extended("time-precision", "valueCode", precision)
    return {"valueDateTime": iso(filled), "_valueDateTime": declared}


def _datetime(value: DateTime) -> str:
    """As ``iso``; the least and the greatest DateTime, which belong to no place, have a ``Z``."""
    text = iso(value)
    if value.offset == 0 and value.precision == MILLISECOND and value.local in _ENDS_OF_TIME:
        return text.removesuffix("+00:00") + "Z"
    return text


def _decimal(value: Decimal) -> Decimal:
    return value or value.copy_abs()  # CQL has no negative zero


def _quantity(value: Quantity) -> Json:
    system = _CALENDAR if value.unit in _CALENDAR_UNITS else _UCUM
    written = {"unit": value.unit, "system": system, "code": value.unit}
    return written if value.value is None else {"value": _decimal(value.value), **written}


def _ratio(value: Ratio) -> Json:
    return {"numerator": _quantity(value.numerator), "denominator": _quantity(value.denominator)}


def _coding(value: Code) -> Json:
    fields = {
        "system": value.system,
        "version": value.version,
        "code": value.code,
        "display": value.display,
    }
    return {name: text for name, text in fields.items() if text is not None}


def _concept(value: Concept) -> Json:
    written: Json = {"coding": [_coding(code) for code in value.codes]}
    return written if value.display is None else {**written, "text": value.display}


def _canonical(value: ValueSet | CodeSystem) -> str:
    return f"{value.id}|{value.version}" if value.version else value.id


_SIMPLE: Final[dict[type, tuple[str, Any]]] = {
    bool: ("valueBoolean", bool),
    int: ("valueInteger", int),
    Long: ("valueString", lambda value: f"{int(value)}"),
    Decimal: ("valueDecimal", _decimal),
    str: ("valueString", str),
    Date: ("valueDate", iso),
    Quantity: ("valueQuantity", _quantity),
    Ratio: ("valueRatio", _ratio),
    Code: ("valueCoding", _coding),
    Concept: ("valueCodeableConcept", _concept),
    ValueSet: ("valueCanonical", _canonical),
    CodeSystem: ("valueCanonical", _canonical),
}
