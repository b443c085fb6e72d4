"""Plain sentences on how to mend what a rule has against a document, where its words allow one."""

from __future__ import annotations

import re
from typing import Final

from measurewise.qrda.validation.schema import Violation

_CONFORMANCE: Final = re.compile(r"\s*\(CONF:\s*[^)]*\)")
_CARDINALITY: Final = re.compile(
    r"SH(?:ALL|OULD) contain (?P<how>exactly one|at least one|zero or one|zero or more)\s*(?:\[[^\]]*\])?\s*"
    r"(?P<what>@?[A-Za-z][\w:/-]*(?:\.[A-Za-z][\w:/-]*)*)"
)
_VALUE: Final = re.compile(r"@(?P<name>[\w:]+)\s*=\s*[\"“](?P<value>[^\"”]*)[\"”]")
_VALUE_SET: Final = re.compile(r"selected from ValueSet (?P<name>.+?) (?:urn:oid:|\{?2\.16)")
_TEMPLATE: Final = re.compile(
    r"\(identifier:\s*urn:(?:hl7ii|oid):(?P<id>[\d.]+)(?::(?P<extension>[\w-]+))?\)"
)
_FORBIDDEN: Final = re.compile(r"SHALL NOT (?:contain|have|include) (?P<what>[^.,;]+)")
_EITHER: Final = re.compile(r"SHALL have either (?P<these>.+?) but SHALL NOT have (?:both|all)", re.DOTALL)
_HOW: Final = {
    "exactly one": "exactly one",
    "at least one": "at least one",
    "zero or one": "at most one",
    "zero or more": "any number of",
}
_GENERAL: Final = (
    "Change the element so that the rule holds; the rule's number leads to the guide's own words."
)
_SCHEMA: Final = {
    "SCHEMAV_CVC_ELT_1": "The document must begin with a ClinicalDocument of namespace urn:hl7-org:v3.",
    "SCHEMAV_ELEMENT_CONTENT": "Remove this element, or move it to where the schema expects it; "
    "elements of CDA come in a fixed order.",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": "Remove the attribute; the element has none of that name.",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2": "Remove the attribute; the element has none of that name.",
    "SCHEMAV_CVC_COMPLEX_TYPE_4": "Add the attribute that is named.",
    "SCHEMAV_CVC_ENUMERATION_VALID": "Use one of the values that are named.",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "Write the value in the form that its type asks for.",
    "SCHEMAV_CVC_PATTERN_VALID": "Write the value in the form that its type asks for.",
}
_OTHER_SCHEMA: Final = "Change the element so that it has the form that the CDA schema asks for."


def mend_of_assertion(text: str, element: str) -> str:
    """What to do about a failed schematron assertion at an element of that name."""
    plain = " ".join(_CONFORMANCE.sub("", text).split())
    either = _EITHER.search(plain)
    if either is not None:
        return f"Give this {element} one of these and no more: {either['these']}."
    counted = _CARDINALITY.search(plain)
    if counted is None:
        forbidden = _FORBIDDEN.search(plain)
        return _GENERAL if forbidden is None else f"Take out of this {element} {forbidden['what'].strip()}."
    what = counted["what"]
    fixed = _fixed(
        plain[counted.end("what") :] if not what.startswith("@") else plain[counted.start("what") :]
    )
    if what == element and fixed:
        return f"Write this {element} with {fixed}."
    if what.startswith("@") and fixed.startswith(f"{what}="):
        return f"Give this {element} {fixed}."
    return f"Give this {element} {_HOW[counted['how']]} {what}{f' with {fixed}' if fixed else ''}."


def _fixed(rest: str) -> str:
    """The values that what is counted must have, as far as the words name them."""
    told = [f'@{one["name"]}="{one["value"]}"' for one in _VALUE.finditer(rest)]
    template = _TEMPLATE.search(rest)
    if template is not None:
        extension = f" and extension {template['extension']}" if template["extension"] else ""
        told.append(f"the template {template['id']}{extension}")
    chosen = _VALUE_SET.search(rest)
    if chosen is not None:
        told.append(f"a code of the value set {chosen['name'].strip()}")
    return ", ".join(told)


def mend_of_schema(violation: Violation) -> str:
    """What to do about a violation of the schema."""
    return _SCHEMA.get(violation.rule, _OTHER_SCHEMA)
