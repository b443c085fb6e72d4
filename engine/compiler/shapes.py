"""How a static type travels in Python, and what must happen where one type flows into another.

System values are plain Python values and tell their own type at run time. FHIR resources are the parsed JSON
and tell it by ``resourceType``. Any other FHIR element is bare JSON as long as its static type names it;
where the static type is a choice or ``Any`` it travels as ``Boxed``, so that ``is`` and ``as`` can ask.
Boxing and unboxing happen only where a typed value flows into a choice and back (:meth:`Shapes.coerce`).
"""

from __future__ import annotations

from dataclasses import replace

from measurewise.engine import elm
from measurewise.engine.compiler.origins import ChoiceElement
from measurewise.engine.compiler.writer import Term
from measurewise.engine.models.model import Model, load_model, parse_type_name
from measurewise.engine.models.types import (
    ANY,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    choice_of,
    tuple_of,
)

PYTHON_TYPES = {
    "Boolean": "bool",
    "Integer": "int",
    "Long": "Long",
    "Decimal": "Decimal",
    "String": "str",
    "Date": "Date",
    "DateTime": "DateTime",
    "Time": "Time",
    "Quantity": "Quantity",
    "Ratio": "Ratio",
    "Code": "Code",
    "Concept": "Concept",
    "ValueSet": "ValueSet",
    "CodeSystem": "CodeSystem",
}
"""System type to the Python class its values have."""

RESOURCE = NamedType("FHIR", "Resource")


class Shapes:
    """Questions about types under one FHIR model."""

    def __init__(self, model: Model | None = None) -> None:
        self.model = model or load_model("FHIR", "4.0.1")
        self._resources: dict[NamedType, bool] = {}
        self._primitives: dict[NamedType, NamedType | None] = {}
        self._names: dict[str, NamedType] = {}

    # ------------------------------------------------------------- reading types

    def named(self, qualified: str) -> NamedType:
        """The type of an ELM qualified name."""
        found = self._names.get(qualified)
        if found is None:
            found = self._names[qualified] = parse_type_name(qualified, self.model.models.values())
        return found

    def of_specifier(self, spec: elm.TypeSpecifier) -> DataType:
        """The type of an ELM type specifier."""
        if isinstance(spec, elm.NamedTypeSpecifier):
            return self.named(spec.name)
        if isinstance(spec, elm.ListTypeSpecifier):
            return ListType(self.of_specifier(spec.element_type))
        if isinstance(spec, elm.IntervalTypeSpecifier):
            return IntervalType(self.of_specifier(spec.point_type))
        if isinstance(spec, elm.ChoiceTypeSpecifier):
            return choice_of(*(self.of_specifier(c) for c in spec.choice)) if spec.choice else ANY
        if isinstance(spec, elm.TupleTypeSpecifier):
            return tuple_of(
                {e.name: self.of_specifier(e.element_type) if e.element_type else ANY for e in spec.element}
            )
        return ANY

    def declared(self, node: elm.Element) -> DataType | None:
        """The result type that the translator wrote on a node, if it did."""
        if node.result_type_name is not None:
            return self.named(node.result_type_name)
        if node.result_type_specifier is not None:
            return self.of_specifier(node.result_type_specifier)
        return None

    # ------------------------------------------------------------ kinds of types

    def is_fhir(self, t: DataType) -> bool:
        """A class of the data model (resource, element or primitive)."""
        return isinstance(t, NamedType) and t.model != "System"

    def is_resource(self, t: DataType) -> bool:
        """A FHIR resource class."""
        if not isinstance(t, NamedType) or t.model == "System":
            return False
        known = self._resources.get(t)
        if known is None:
            known = self._resources[t] = self.model.is_subtype(t, RESOURCE)
        return known

    def primitive(self, t: DataType) -> NamedType | None:
        """The System type inside a FHIR primitive (``dateTime`` → ``System.DateTime``), else None."""
        if not isinstance(t, NamedType) or t.model == "System":
            return None
        if t not in self._primitives:
            self._primitives[t] = self.model.primitive_value_type(t)
        return self._primitives[t]

    def is_element(self, t: DataType) -> bool:
        """A FHIR class other than a resource: what is boxed inside a choice."""
        return self.is_fhir(t) and not self.is_resource(t)

    def is_open(self, t: DataType) -> bool:
        """A choice or ``Any``: values must tell their own type."""
        return t == ANY or isinstance(t, ChoiceType)

    def unify(self, a: DataType, b: DataType) -> DataType:
        """The type of a value that is one or the other."""
        if a == b or b == ANY:
            return a
        if a == ANY:
            return b
        if isinstance(a, ListType) and isinstance(b, ListType):
            return ListType(self.unify(a.element, b.element))
        if isinstance(a, IntervalType) and isinstance(b, IntervalType):
            return IntervalType(self.unify(a.point, b.point))
        if self.model.is_subtype(a, b):
            return b
        if self.model.is_subtype(b, a):
            return a
        return choice_of(a, b)

    # --------------------------------------------------------------------- flow

    def coerce(self, term: Term, to: DataType) -> Term:
        """``term`` as it must travel under the static type ``to``."""
        source = term.type
        if source == to:
            return term
        if term.text == "None":
            return replace(term, type=to)
        if isinstance(term.origin, ChoiceElement) and self.is_element(to):
            return self.form(term.origin, to)
        text = self._coerced(term.text, source, to, term.nullable, term.atomic)
        if text == term.text:
            return replace(term, type=to)
        return Term(text, to, nullable=term.nullable, solid=term.solid)

    def form(self, element: ChoiceElement, kind: DataType) -> Term:
        """The value of a choice element in the forms that are of a type; null in any other form."""
        names = [name for name, form in element.forms if self.model.is_subtype(form, kind)]
        if not names:
            return Term("None", kind, atomic=True, folded=None)
        text = f"{element.parent}.get({names[0]!r})"
        if len(names) > 1:
            listed = ", ".join(repr(n) for n in names)
            text = f"first_form({element.parent}, ({listed}))"
        if element.parent_nullable:
            text = f"({text} if {element.parent} is not None else None)"
        return Term(text, kind)

    def _coerced(self, text: str, source: DataType, to: DataType, nullable: bool, atomic: bool) -> str:
        if self.is_open(to):
            if self.is_element(source):
                assert isinstance(source, NamedType)
                return f"box({source.name!r}, {text})"
            return text
        if self.is_open(source):
            if self.is_element(to):
                return f"unbox({text})"
            return text
        if isinstance(source, ListType) and isinstance(to, ListType):
            item = self._coerced("x", source.element, to.element, True, True)
            if item == "x":
                return text
            return f"map_list(lambda x: {item}, {text})"
        return text
