"""The conversions of FHIRHelpers that the compiler knows by name.

FHIRHelpers is the library of implicit conversions from FHIR to System types that translators call everywhere.
Its functions are compiled from their own ELM like any other, except these, whose meaning is the same in every
release and which can stay on the JSON: reading primitives, ``ToCode``, ``ToConcept``, and ``ToValue`` of a
choice element, which becomes one probe of the element's forms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from measurewise.engine import elm
from measurewise.engine.compiler.chapters.properties import VALUE_READERS
from measurewise.engine.compiler.emitter import Emitter
from measurewise.engine.compiler.origins import (
    ChoiceElement,
    ConvertedChoice,
    FromCodeableConcept,
    FromCoding,
)
from measurewise.engine.compiler.writer import NULL, Term
from measurewise.engine.models.types import (
    ANY,
    BOOLEAN,
    CODE,
    CONCEPT,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGER,
    STRING,
    TIME,
    IntervalType,
    NamedType,
)

if TYPE_CHECKING:
    from measurewise.engine.compiler.unit import Unit

LIBRARY = "FHIRHelpers"

PRIMITIVE_CONVERSIONS = {
    "ToString": STRING,
    "ToBoolean": BOOLEAN,
    "ToInteger": INTEGER,
    "ToDecimal": DECIMAL,
    "ToDate": DATE,
    "ToDateTime": DATETIME,
    "ToTime": TIME,
}


def intrinsic(em: Emitter, unit: Unit, node: elm.FunctionRef, arguments: list[Term]) -> Term | None:
    """The call as a built-in conversion, or None when the function's own ELM is to be compiled."""
    if unit.name != LIBRARY or len(arguments) != 1:
        return None
    argument = arguments[0]
    name, kind = node.name, argument.type
    if argument.text == "None":
        return None
    if name == "ToConcept" and kind == NamedType("FHIR", "CodeableConcept"):
        value = em.w.atom(argument)
        return Term(f"concept_of({value.text})", CONCEPT, origin=FromCodeableConcept(value.text))
    if name == "ToCode" and kind == NamedType("FHIR", "Coding"):
        value = em.w.atom(argument)
        return Term(f"code_of({value.text})", CODE, origin=FromCoding(value.text))
    primitive = em.shapes.primitive(kind)
    if primitive is not None and PRIMITIVE_CONVERSIONS.get(name) == primitive:
        reader = VALUE_READERS.get(primitive)
        text = argument.text if reader is None else f"{reader}({argument.text})"
        return Term(text, primitive, atomic=argument.atomic and reader is None)
    if name == "ToInterval" and kind == NamedType("FHIR", "Period"):
        reader = _period_reader(em, unit, node)
        if reader is not None:
            # Conditions on one row mostly ask of its period several times.
            return em.w.atom(Term(f"{reader}({argument.text})", IntervalType(DATETIME)))
    if name == "ToValue" and isinstance(argument.origin, ChoiceElement):
        return _choice_value(em, unit, node, argument.origin)
    return None


def _period_reader(em: Emitter, unit: Unit, node: elm.FunctionRef) -> str | None:
    """Which of the two known readings of a Period this release of FHIRHelpers has.

    Later releases take a missing start as unknown (an open low bound), earlier ones as the beginning of time.
    """
    for candidate in unit.functions(node.name, 1):
        spec = candidate.operand[0].operand_type_specifier
        kind = em.shapes.of_specifier(spec) if spec is not None else ANY
        if kind != NamedType("FHIR", "Period") or candidate.expression is None:
            continue
        intervals = [n for n in elm.walk(candidate.expression) if isinstance(n, elm.Interval)]
        shape = sorted((n.low_closed, n.high_closed) for n in intervals)
        if shape == [(False, True), (True, True)]:
            return "read_period"
        if shape == [(True, True)]:
            return "read_closed_period"
    return None


def _choice_value(em: Emitter, unit: Unit, node: elm.FunctionRef, element: ChoiceElement) -> Term:
    """``ToValue`` of a choice element: one function that probes each form and converts the one it finds."""
    made = em.assembly.readers.choice(unit, node, element.forms, em)
    if made is None:
        return NULL.typed(ANY)
    function, kind = made
    text = f"{function}(s, {element.parent})"
    if element.parent_nullable:
        text = f"({text} if {element.parent} is not None else None)"
    return Term(text, kind, origin=ConvertedChoice(element))
