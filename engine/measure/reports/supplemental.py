"""Supplemental data and risk adjustment factors of an individual report (QM IG 3.17, 3.18; DEQM).

A value that is a resource is referred to; any other is a calculation and becomes a contained Observation. The
report's ``supplementalData`` extension points at either, and names which supplemental datum it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from measurewise.engine.measure.definition import MeasureDefinition, SupplementalData
from measurewise.engine.measure.extensions import CRITERIA_REFERENCE, MEASURE_INFO, SUPPLEMENTAL_DATA
from measurewise.engine.measure.reports.parts import Json
from measurewise.engine.measure.results import reference_of
from measurewise.engine.runtime.temporal import Date, DateTime, Time, iso
from measurewise.engine.runtime.values import Boxed, Code, Concept, Interval, Quantity, Ratio

_UCUM = "http://unitsofmeasure.org"
_USAGE = "http://terminology.hl7.org/CodeSystem/measure-data-usage"


def add_supplemental_data(
    report: Json, measure: MeasureDefinition, values: tuple[Any, ...], subject: str
) -> None:
    """Put the values, aligned with ``measure.supplemental_data``, into a report."""
    for number, (item, value) in enumerate(zip(measure.supplemental_data, values, strict=False), 1):
        name = item.id or item.criteria.name
        for part, element in enumerate(_elements(value), 1):
            reference = reference_of(element)
            if reference is None:
                identity = f"supplemental-{number}-{part}"
                report.setdefault("contained", []).append(
                    _observation(identity, measure, item, element, subject)
                )
                reference = f"#{identity}"
            report.setdefault("extension", []).append(
                {
                    "url": SUPPLEMENTAL_DATA,
                    "valueReference": {
                        "reference": reference,
                        "extension": [{"url": CRITERIA_REFERENCE, "valueString": name}],
                    },
                }
            )


def _elements(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _elements(item)
    elif value is not None:
        yield value


def _observation(
    identity: str, measure: MeasureDefinition, item: SupplementalData, value: Any, subject: str
) -> Json:
    info = [{"url": "measure", "valueCanonical": measure.canonical}]
    if item.id is not None:
        info.append({"url": "populationId", "valueString": item.id})
    observation: Json = {
        "resourceType": "Observation",
        "id": identity,
        "extension": [{"url": MEASURE_INFO, "extension": info}],
        "status": "final",
        "category": [{"coding": [{"system": _USAGE, "code": usage}]} for usage in item.usage],
        "code": item.concept or {"text": item.criteria.name},
        "subject": {"reference": subject},
    }
    if _is_plain_tuple(value):
        observation["component"] = [
            {"code": {"text": name}, **rendered}
            for name, part in value.items()
            for element in _elements(part)
            if (rendered := value_x(element))
        ]
        if not observation["component"]:
            del observation["component"]
    else:
        observation.update(value_x(value))
    return observation


def _is_plain_tuple(value: Any) -> bool:
    return isinstance(value, dict) and not _is_concept_tuple(value) and not _fhir_element(value)


def _is_concept_tuple(value: dict[str, Any]) -> bool:
    """A tuple of codes and a display, as the shared libraries return race and ethnicity."""
    return set(value) <= {"codes", "display"} and isinstance(value.get("codes"), list)


def value_x(value: Any) -> Json:
    """A CQL or FHIR value as Observation ``value[x]``, with its key; empty where there is nothing to say."""
    if isinstance(value, Boxed):
        value = value.value
    if value is None:
        return {}
    kind = type(value)
    if kind is bool:
        return {"valueBoolean": value}
    if kind is str:
        return {"valueString": value} if value else {}
    if kind is Code:
        return {"valueCodeableConcept": {"coding": [_coding(value)]}}
    if kind is Concept:
        return {"valueCodeableConcept": _concept(value.codes, value.display)}
    if kind is Quantity:
        return {"valueQuantity": _quantity(value)}
    if kind is Ratio:
        return {
            "valueRatio": {
                "numerator": _quantity(value.numerator),
                "denominator": _quantity(value.denominator),
            }
        }
    if kind is DateTime or kind is Date:
        return {"valueDateTime": fhir_date_time(value)}
    if kind is Time:
        return {"valueTime": iso(value)}
    if kind is Interval:
        return _interval(value)
    if isinstance(value, dict):
        return _from_dict(value)
    if isinstance(value, int):
        return {"valueInteger": int(value)}
    if kind is Decimal:
        return {"valueQuantity": {"value": value}}
    return {"valueString": str(value)}


def fhir_date_time(value: Date | DateTime) -> str:
    """A CQL date as FHIR writes it: seconds and an offset wherever there is a time of day."""
    text = iso(value)
    if type(value) is Date or "T" not in text:
        return text
    day, rest = text.split("T", 1)
    split = max(rest.find("+"), rest.find("-"))
    clock, offset = (rest, "Z") if split < 0 else (rest[:split], rest[split:])
    clock += ":00" * (2 - clock.count(":"))
    return f"{day}T{clock}{offset}"


def _from_dict(value: dict[str, Any]) -> Json:
    if _is_concept_tuple(value):
        codes = [code for code in value["codes"] if code is not None]
        if all(isinstance(code, Code) for code in codes):
            return {"valueCodeableConcept": _concept(codes, value.get("display"))}
        codings = [code for code in codes if isinstance(code, dict)]
        display = value.get("display")
        concept: Json = {"coding": codings} if codings else {}
        if display:
            concept["text"] = str(display)
        return {"valueCodeableConcept": concept} if concept else {}
    key = _fhir_element(value)
    if key == "valueCoding":
        return {"valueCodeableConcept": {"coding": [value]}}
    if key:
        return {key: value}
    return {"valueString": str(dict(value))}


def _fhir_element(value: dict[str, Any]) -> str:
    """The ``value[x]`` key of a FHIR element in JSON, told by its shape; empty where it is none."""
    if type(value) is not dict:
        return ""
    keys = set(value)
    if "coding" in keys:
        return "valueCodeableConcept"
    if keys & {"start", "end"} and keys <= {"start", "end", "id", "extension", "_start", "_end"}:
        return "valuePeriod"
    if keys & {"low", "high"} and keys <= {"low", "high", "id", "extension"}:
        return "valueRange"
    if {"numerator", "denominator"} <= keys:
        return "valueRatio"
    if "code" in keys and "value" not in keys and isinstance(value["code"], str):
        return "valueCoding"
    if "value" in keys and keys <= {"value", "unit", "system", "code", "comparator", "id", "extension"}:
        return "valueQuantity"
    if keys == {"text"}:
        return "valueCodeableConcept"
    return ""


def _interval(value: Interval) -> Json:
    low, high = value.low, value.high
    known = low if low is not None else high
    if isinstance(known, Date | DateTime):
        period = {
            name: fhir_date_time(bound)
            for name, bound in (("start", low), ("end", high))
            if isinstance(bound, Date | DateTime)
        }
        return {"valuePeriod": period}
    if isinstance(known, Quantity | Decimal | int):
        bounds: Json = {}
        for name, bound in (("low", low), ("high", high)):
            if isinstance(bound, Quantity):
                bounds[name] = _quantity(bound)
            elif bound is not None:
                bounds[name] = {"value": bound}
        return {"valueRange": bounds}
    return {} if known is None else {"valueString": repr(value)}


def _quantity(value: Quantity) -> Json:
    quantity: Json = {} if value.value is None else {"value": value.value}
    if value.unit != "1":
        quantity.update(unit=value.unit, system=_UCUM, code=value.unit)
    return quantity


def _coding(code: Code) -> Json:
    coding: Json = {}
    if code.system is not None:
        coding["system"] = code.system
    if code.version is not None:
        coding["version"] = code.version
    if code.code is not None:
        coding["code"] = code.code
    if code.display is not None:
        coding["display"] = code.display
    return coding


def _concept(codes: list[Code], display: Any) -> Json:
    concept: Json = {}
    if codes:
        concept["coding"] = [_coding(code) for code in codes]
    if display:
        concept["text"] = str(display)
    return concept
