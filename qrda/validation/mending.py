"""Plain sentences on how to mend what a rule has against a document, where its words allow one."""

from __future__ import annotations

import re
from typing import Final

from measurewise.qrda.validation.schema import Violation

_CONFORMANCE: Final = re.compile(r"\s*\((?:such that it )?CONF:\s*[^)]*\)\.?")
_CARDINALITY: Final = re.compile(
    r"SH(?:ALL|OULD) contain (?P<how>exactly one|at least one|zero or one|zero or more)\s*(?:\[[^\]]*\])?\s*"
    r"(?P<what>@?[\w:/.\-]+(?:=\"[^\"]*\")?)"
)
_FIXED: Final = re.compile(r"^\s*=?\s*\"(?P<value>[^\"]+)\"")
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
    plain = _CONFORMANCE.sub("", text)
    counted = _CARDINALITY.search(plain)
    if counted is None:
        return _GENERAL
    what = counted["what"].rstrip(".,;")
    return f"Give this {element} {_HOW[counted['how']]} {what}, as the rule describes it."


def mend_of_schema(violation: Violation) -> str:
    """What to do about a violation of the schema."""
    return _SCHEMA.get(violation.rule, _OTHER_SCHEMA)
