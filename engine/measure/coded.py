"""Values that people are grouped by: a stratum's value, a supplemental datum, as code or text.

A CQL value of any type becomes one :class:`CodedValue` a distinct meaning, so that results of many patients
can be counted by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from measurewise.engine.measure.extensions import DATA_ABSENT_REASON_SYSTEM
from measurewise.engine.runtime.temporal import Date, DateTime, Time, iso
from measurewise.engine.runtime.values import Boxed, Code, Concept, Interval, Quantity, Ratio


@dataclass(frozen=True, slots=True, order=True)
class CodedValue:
    """A code of a code system, or (where ``code`` is empty) a text alone."""

    text: str = ""
    code: str = ""
    system: str = ""

    def concept(self) -> dict[str, Any]:
        """The value as a FHIR CodeableConcept."""
        if not self.code:
            return {"text": self.text}
        coding = {"system": self.system, "code": self.code} if self.system else {"code": self.code}
        return {"coding": [coding], "text": self.text} if self.text else {"coding": [coding]}


UNKNOWN: Final = CodedValue("", "unknown", DATA_ABSENT_REASON_SYSTEM)
"""The value of a stratifier that yielded null."""
TRUE: Final = CodedValue("true")
FALSE: Final = CodedValue("false")


def coded_value(value: Any) -> CodedValue:
    """One value that is not a list; displays are dropped, so that one code is one value."""
    if value is None:
        return UNKNOWN
    kind = type(value)
    if kind is CodedValue:
        known: CodedValue = value
        return known
    if kind is bool:
        return TRUE if value else FALSE
    if kind is str:
        return CodedValue(value)
    if kind is Code:
        return _coded(value.code, value.system) if value.code else UNKNOWN
    if kind is Concept:
        return coded_value(value.codes[0]) if value.codes else CodedValue(value.display or "")
    if kind is Boxed:
        return coded_value(value.value)
    if isinstance(value, Date | DateTime | Time):
        return CodedValue(iso(value))
    if kind is Quantity:
        unit = "" if value.unit == "1" else f" {value.unit}"
        return CodedValue(f"{value.value}{unit}")
    if isinstance(value, int | Decimal):
        return CodedValue(str(value))
    if isinstance(value, Interval | Ratio):
        return CodedValue(repr(value))
    if isinstance(value, dict):
        return _coded_element(value)
    return CodedValue(str(value))


def coded_values(value: Any) -> tuple[CodedValue, ...]:
    """Every distinct value in a list, a tuple with codes, or a lone value, in order; none of null."""
    found: dict[CodedValue, None] = {}
    _gather(value, found)
    return tuple(found)


def category(value: Any) -> tuple[CodedValue, ...]:
    """What a member is counted under by a supplemental datum: its distinct values together, in order.

    Together, because one who has two values (two races, two payers) is still one member, and because a
    concept may be coded in several systems. Null is :data:`UNKNOWN`; a resource is data, nothing to count by.
    """
    found: dict[CodedValue, None] = {}
    _gather(_apart(value), found)
    return tuple(sorted(found)) or (UNKNOWN,)


def _apart(value: Any) -> Any:
    """A value with its concepts taken apart into codes, and without resources."""
    if isinstance(value, list | tuple):
        return [_apart(item) for item in value]
    if type(value) is Concept:
        return list(value.codes) or value
    if isinstance(value, dict):
        if "resourceType" in value:
            return None
        inner = value.get("codes") or value.get("code")
        if inner is not None and not isinstance(inner, str):
            return _apart(inner)
        return _codings(value) or value
    return value


def _gather(value: Any, found: dict[CodedValue, None]) -> None:
    if value is None:
        return
    if isinstance(value, list | tuple):
        for item in value:
            _gather(item, found)
        return
    if isinstance(value, dict):
        inner = value.get("codes") or value.get("code")
        if inner is not None and not isinstance(inner, str):
            _gather(inner, found)
            return
    found[coded_value(value)] = None


def _coded_element(element: dict[str, Any]) -> CodedValue:
    """A CodeableConcept, a Coding, a Quantity or a resource, in FHIR JSON; a CQL tuple by its display."""
    for coding in _codings(element):
        return _coded(coding["code"], coding.get("system"))
    code = element.get("code")
    if isinstance(code, str) and "value" not in element:
        return _coded(code, element.get("system"))
    if "resourceType" in element:
        return CodedValue(f"{element['resourceType']}/{element.get('id')}")
    if "value" in element:
        unit = element.get("code") or element.get("unit")
        return CodedValue(f"{element['value']}{f' {unit}' if unit else ''}")
    return CodedValue(str(element.get("display") or element.get("text") or element))


def _codings(element: dict[str, Any]) -> list[dict[str, Any]]:
    """The codings of a CodeableConcept that have a code; in a record as it came, any may be misshapen."""
    codings = element.get("coding")
    if not isinstance(codings, list):
        return []
    return [coding for coding in codings if isinstance(coding, dict) and coding.get("code")]


def _coded(code: Any, system: Any) -> CodedValue:
    return CodedValue("", str(code), system if isinstance(system, str) else "")
