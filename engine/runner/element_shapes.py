"""The shape that FHIR gives each class of JSON objects, from the FHIR 4.0.1 model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from measurewise.engine.models.model import load_model
from measurewise.engine.models.types import ListType, NamedType
from measurewise.engine.record.normalise import Element


@cache
def elements(kind: str) -> Mapping[str, Element] | None:
    """The elements of a FHIR class by JSON property, choices by each form; None for an unknown class.

    Made when first asked for, so that nobody whose records have the shape of FHIR loads the model for it.
    """
    model = load_model("FHIR", "4.0.1")
    info = model.type(kind)
    if info is None:
        return None
    found: dict[str, Element] = {}
    for name, element in model.elements(info.type).items():
        forms = model.choice_properties(info.type, name)
        if forms:
            found.update((property_name, _element(form, False)) for property_name, form in forms)
        elif isinstance(element.type, ListType) and isinstance(element.type.element, NamedType):
            found[name] = _element(element.type.element, True)
        elif isinstance(element.type, NamedType):
            found[name] = _element(element.type, False)
    return found


def _element(kind: NamedType, repeats: bool) -> Element:
    if kind.model == "System":
        return Element(repeats, True, kind.name)
    value = load_model("FHIR", "4.0.1").primitive_value_type(kind)
    return Element(repeats, value is not None, kind.name if value is None else value.name)
