"""FHIR R4 data types as CDA data types and back: codes, times, quantities.

Each ``read_`` gives None for a null flavour. What a CDA type cannot hold is left out: the caller compares
what reads back with what was to be written.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from lxml import etree

from measurewise.qrda.category1.cda import TYPE, VALUE_SET, add, child, children, insert, qualified
from measurewise.qrda.category1.code_systems import code_system_uid, code_system_uri

UCUM: Final = "http://unitsofmeasure.org"
NOT_DONE_VALUE_SET: Final = "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-notDoneValueSet"
_VSAC: Final = "http://cts.nlm.nih.gov/fhir/ValueSet/"
_CODE: Final = re.compile(r"[^\s]+")
_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))*")
_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)
_TS: Final = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\.\d+)?([+-]\d{1,4})?")


def is_xml_text(text: str) -> bool:
    """Whether XML 1.0 can hold a text."""
    return not _XML.search(text)


# Codes


def write_concept(
    element: etree._Element, concept: dict[str, Any], value_sets: dict[tuple[str, str], str]
) -> None:
    """A CodeableConcept as CD: the first coding, the others as translations, the text as originalText.

    ``value_sets`` gives the OID of a value set by (system, code). A concept that stands for a whole value set
    (QI-Core's notDoneValueSet) has the null flavour NA and the value set (QRDA I, 3.4, "negation").
    """
    listed = concept.get("coding") if isinstance(concept, dict) else None
    codings = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    text = concept.get("text") if isinstance(concept, dict) else None
    valid = [one for one in codings if is_code(one)]
    whole = _whole_value_set(concept)
    if valid and valid[0] is codings[0]:
        _write_coding(element, valid[0])
        oid = value_sets.get((str(valid[0].get("system")), valid[0]["code"]))
        if oid:
            element.set(VALUE_SET, oid)
        translations = valid[1:]
    else:
        element.set("nullFlavor", "NA" if whole else "OTH" if valid or text else "UNK")
        if whole:
            element.set(VALUE_SET, whole)
        translations = valid
    if isinstance(text, str) and text and is_xml_text(text):
        add(element, "originalText", text)
    for coding in translations:
        _write_coding(add(element, "translation"), coding)


def read_concept(element: etree._Element) -> dict[str, Any] | None:
    """A CD as CodeableConcept; None for a null flavour that says nothing more."""
    codings = [
        coding
        for coding in (read_coding(element), *(read_coding(one) for one in children(element, "translation")))
        if coding
    ]
    concept: dict[str, Any] = {"coding": codings} if codings else {}
    original = child(element, "originalText")
    if original is not None and original.text and original.text.strip():
        concept["text"] = original.text
    oid = element.get(VALUE_SET)
    if oid and element.get("nullFlavor") and not codings:
        concept["extension"] = [{"url": NOT_DONE_VALUE_SET, "valueCanonical": _VSAC + oid}]
    return concept or None


def write_coding(element: etree._Element, coding: dict[str, Any]) -> None:
    """A Coding as CV."""
    if is_code(coding):
        _write_coding(element, coding)
    else:
        element.set("nullFlavor", "UNK")


def read_coding(element: etree._Element) -> dict[str, Any] | None:
    """A CD's own code as Coding."""
    code = element.get("code")
    if not code or element.get("nullFlavor"):
        return None
    coding: dict[str, Any] = {}
    system = element.get("codeSystem")
    if system:
        coding["system"] = code_system_uri(system, element.get("codeSystemName"))
    if element.get("codeSystemVersion"):
        coding["version"] = element.get("codeSystemVersion")
    coding["code"] = code
    if element.get("displayName"):
        coding["display"] = element.get("displayName")
    return coding


def value_set_oid(canonical: str) -> str | None:
    """The OID that a value set's canonical URL names, None where it names none."""
    last = canonical.partition("|")[0].rpartition("/")[2].removeprefix("urn:oid:")
    return last if "." in last and _OID.fullmatch(last) else None


def _whole_value_set(concept: Any) -> str | None:
    extensions = concept.get("extension") if isinstance(concept, dict) else None
    for extension in extensions if isinstance(extensions, list) else ():
        if isinstance(extension, dict) and extension.get("url") == NOT_DONE_VALUE_SET:
            return value_set_oid(str(extension.get("valueCanonical")))
    return None


def is_code(coding: dict[str, Any]) -> bool:
    """Whether a Coding has a code that CDA can hold."""
    code = coding.get("code")
    return isinstance(code, str) and bool(_CODE.fullmatch(code)) and is_xml_text(code)


def _write_coding(element: etree._Element, coding: dict[str, Any]) -> None:
    element.set("code", coding["code"])
    system = coding.get("system")
    if isinstance(system, str) and system and is_xml_text(system):
        uid, name = code_system_uid(system)
        element.set("codeSystem", uid)
        element.set("codeSystemName", name)
    for name, attribute in (("version", "codeSystemVersion"), ("display", "displayName")):
        text = coding.get(name)
        if isinstance(text, str) and text and is_xml_text(text):
            element.set(attribute, text)


# Times


def to_ts(text: Any) -> str | None:
    """A FHIR date, dateTime or instant as TS (ISO 8601 without separators); None for what is none."""
    match = _DATE_TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    *parts, fraction, zone = match.groups()
    if fraction and not parts[5]:
        return None
    digits = "".join(part or "" for part in parts)
    offset = "+0000" if zone == "Z" else (zone or "").replace(":", "")
    return digits + (fraction or "") + offset


def from_ts(text: str | None) -> str | None:
    """A TS as FHIR date or dateTime, with the precision it has; None for what is none.

    An hour without minutes gets the minutes 00, which FHIR needs.
    """
    match = _TS.fullmatch((text or "").strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if hour is None:
        return date
    time = f"T{hour}:{minute or '00'}:{second or '00'}{fraction or ''}"
    if zone is None:
        return date + time
    digits = zone[1:].ljust(4, "0") if len(zone) < 4 else zone[1:].zfill(4)
    offset = f"{zone[0]}{digits[:2]}:{digits[2:]}"
    return date + time + ("+00:00" if offset == "-00:00" else offset)


def read_time(element: etree._Element | None) -> str | None:
    """The moment that a TS element tells."""
    if element is None or element.get("nullFlavor"):
        return None
    return from_ts(element.get("value"))


def write_period(element: etree._Element, period: dict[str, Any]) -> None:
    """A Period as IVL_TS; a bound that is not there has a null flavour."""
    for name, bound in (("low", "start"), ("high", "end")):
        made = add(element, name)
        stamp = to_ts(period.get(bound))
        made.set(*(("value", stamp) if stamp else ("nullFlavor", "UNK")))


def read_period(element: etree._Element) -> dict[str, Any] | None:
    """An IVL_TS as Period, None where neither bound is told."""
    bounds = (("start", read_time(child(element, "low"))), ("end", read_time(child(element, "high"))))
    return {name: moment for name, moment in bounds if moment} or None


# Quantities and the other values


def write_quantity(element: etree._Element, quantity: dict[str, Any]) -> None:
    """A Quantity as PQ, whose unit is UCUM's."""
    number = _number(quantity.get("value"))
    unit = quantity.get("code") or quantity.get("unit")
    if number is None:
        element.set("nullFlavor", "UNK")
        return
    element.set("value", number)
    # CDA's default unit, which CMS's guide wants to see.
    is_unit = isinstance(unit, str) and _CODE.fullmatch(unit) and is_xml_text(unit)
    element.set("unit", str(unit) if is_unit else "1")


def read_quantity(element: etree._Element | None) -> dict[str, Any] | None:
    """A PQ as Quantity."""
    number = read_number(element)
    if element is None or number is None:
        return None
    unit = element.get("unit")
    if not unit or unit == "1":
        return {"value": number}
    return {"value": number, "unit": unit, "system": UCUM, "code": unit}


def write_value(
    parent: etree._Element, name: str, value: Any, value_sets: dict[tuple[str, str], str]
) -> bool:
    """``value[x]`` as a ``value`` element with xsi:type; False where CDA has no type for it."""
    kind = _KINDS.get(name)
    if kind is None or isinstance(value, dict) is not (kind in _COMPOUND):
        return False
    element = insert(parent, etree.Element(qualified("value"), {TYPE: kind}))
    if kind == "CD":
        write_concept(element, value, value_sets)
    elif kind == "PQ":
        write_quantity(element, value)
    elif kind == "IVL_PQ":
        for bound in ("low", "high"):
            if isinstance(value.get(bound), dict):
                write_quantity(add(element, bound), value[bound])
    elif kind == "RTO_PQ_PQ":
        for part in ("numerator", "denominator"):
            quantity = value.get(part)
            write_quantity(add(element, part), quantity if isinstance(quantity, dict) else {})
    elif kind == "IVL_TS":
        write_period(element, value)
    elif kind == "TS":
        stamp = to_ts(value)
        element.set(*(("value", stamp) if stamp else ("nullFlavor", "UNK")))
    elif kind == "BL":
        element.set("value", "true" if value else "false")
    elif kind == "INT":
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        element.set(*(("value", str(value)) if is_integer else ("nullFlavor", "UNK")))
    elif is_xml_text(str(value)):
        element.text = str(value)
    return True


def read_value(element: etree._Element) -> tuple[str, Any] | None:
    """A ``value`` element as a choice of ``value[x]`` (name and content); None for a null flavour."""
    kind = element.get(TYPE, "").rpartition(":")[2]
    read: Any = None
    if kind in ("CD", "CE", "CV", "CO"):
        read = read_concept(element)
        return ("CodeableConcept", read) if read else None
    if element.get("nullFlavor"):
        return None
    if kind == "PQ":
        return ("Quantity", read) if (read := read_quantity(element)) else None
    if kind == "REAL":
        return ("Quantity", {"value": read}) if (read := read_number(element)) is not None else None
    if kind == "INT":
        text = element.get("value", "")
        return ("Integer", int(text)) if re.fullmatch(r"[+-]?\d{1,18}", text) else None
    if kind == "BL":
        return (
            ("Boolean", element.get("value") == "true") if element.get("value") in ("true", "false") else None
        )
    if kind == "TS":
        return ("DateTime", read) if (read := read_time(element)) else None
    if kind == "IVL_TS":
        return ("Period", read) if (read := read_period(element)) else None
    if kind == "IVL_PQ":
        bounds = {name: read_quantity(child(element, name)) for name in ("low", "high")}
        return ("Range", read) if (read := {name: one for name, one in bounds.items() if one}) else None
    if kind.startswith("RTO"):
        parts = {name: read_quantity(child(element, name)) for name in ("numerator", "denominator")}
        return ("Ratio", read) if (read := {name: one for name, one in parts.items() if one}) else None
    if kind in ("ST", "ED") and element.text:
        return "String", element.text
    return None


def _number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    return str(number) if number.is_finite() else None


def read_number(element: etree._Element | None) -> Decimal | int | None:
    """The number that an element's value is, None for what is none or beyond measure."""
    if element is None or element.get("nullFlavor"):
        return None
    text = element.get("value", "").strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > _MAGNITUDE or len(text) > _DIGITS:
        return None
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else number


# What is beyond is no measurement, and would be long to write out.
_MAGNITUDE: Final = 40
_DIGITS: Final = 80
_COMPOUND: Final = ("CD", "PQ", "IVL_PQ", "RTO_PQ_PQ", "IVL_TS")
_KINDS: Final = {
    "CodeableConcept": "CD",
    "Quantity": "PQ",
    "Range": "IVL_PQ",
    "Ratio": "RTO_PQ_PQ",
    "Period": "IVL_TS",
    "DateTime": "TS",
    "Boolean": "BL",
    "Integer": "INT",
    "String": "ST",
}
