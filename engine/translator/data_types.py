"""Data types as the translator needs them: choices in one order, names as authors and as ELM write them.

CQL 1.5.3 Developer's Guide, "Type System". Within the translator the members of a choice are sorted, so that
two choices of the same types are equal whatever order they were written in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from measurewise.engine import elm
from measurewise.engine.models.model import Model
from measurewise.engine.models.names import SYSTEM_URI
from measurewise.engine.models.subtypes import is_subtype as is_model_subtype
from measurewise.engine.models.types import (
    ANY,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGER,
    LONG,
    QUANTITY,
    TIME,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
)

POINTS = frozenset({INTEGER, LONG, DECIMAL, DATE, DATETIME, TIME, QUANTITY, ANY})
"""The types of System that an interval can have as its points."""


STRUCTURED = frozenset({"Code", "CodeSystem", "Concept", "Quantity", "Ratio", "ValueSet", "Vocabulary"})
"""The types of System that are classes rather than simple types (CQL Reference, "Types")."""


def is_point(kind: DataType) -> bool:
    """Whether values of a type can be the points of an interval; a model's class may convert to one."""
    if isinstance(kind, NamedType):
        return kind in POINTS or kind.model != "System"
    return isinstance(kind, ChoiceType) and any(map(is_point, kind.choices))


def choice(types: Iterable[DataType]) -> DataType:
    """The choice of some types: flat, without duplicates, in the order of their names; one stays itself."""
    flat: set[DataType] = set()
    for kind in types:
        if isinstance(kind, ChoiceType):
            flat.update(kind.choices)
        else:
            flat.add(kind)
    return ChoiceType(tuple(sorted(flat, key=_order))) if len(flat) > 1 else flat.pop()


def _order(kind: DataType) -> str:
    text = str(kind)
    return text if isinstance(kind, NamedType) else text[0].lower() + text[1:]


_canonical: dict[DataType, DataType] = {}


def canonical(kind: DataType) -> DataType:
    """A type with every choice in it sorted."""
    if type(kind) is NamedType:
        return kind
    known = _canonical.get(kind)
    if known is None:
        if len(_canonical) > 20_000:
            _canonical.clear()
        known = _canonical[kind] = _sorted(kind)
    return known


def _sorted(kind: DataType) -> DataType:
    if isinstance(kind, ListType):
        return ListType(canonical(kind.element))
    if isinstance(kind, IntervalType):
        return IntervalType(canonical(kind.point))
    if isinstance(kind, ChoiceType):
        return choice(canonical(member) for member in kind.choices)
    if isinstance(kind, TupleType):
        return TupleType(tuple((name, canonical(element)) for name, element in kind.elements))
    return kind


def alternatives(kind: DataType) -> tuple[DataType, ...]:
    """The members of a choice; of any other type the type itself."""
    return kind.choices if isinstance(kind, ChoiceType) else (kind,)


class Types:
    """Type relations and type names under the models that a library uses.

    ``models`` goes from model name to model, the models required by others included.
    """

    def __init__(self, models: Mapping[str, Model]) -> None:
        self.models = models
        self._subtypes: dict[tuple[DataType, DataType], bool] = {}
        self._specifiers: dict[DataType, elm.TypeSpecifier] = {}

    def is_subtype(self, a: DataType, b: DataType) -> bool:
        """Whether ``a`` may stand where ``b`` is wanted as it is; a member may not stand for its choice."""
        if a == b or b == ANY:
            return True
        key = (a, b)
        known = self._subtypes.get(key)
        if known is None:
            known = self._subtypes[key] = self._is_subtype(a, b)
        return known

    def _is_subtype(self, a: DataType, b: DataType) -> bool:
        if isinstance(b, ChoiceType):
            return isinstance(a, ChoiceType) and set(a.choices) <= set(b.choices)
        if isinstance(a, ChoiceType):
            return all(self.is_subtype(member, b) for member in a.choices)
        if isinstance(a, ListType):
            return isinstance(b, ListType) and self.is_subtype(a.element, b.element)
        if isinstance(a, IntervalType):
            return isinstance(b, IntervalType) and self.is_subtype(a.point, b.point)
        if isinstance(a, TupleType):
            return (
                isinstance(b, TupleType)
                and len(a.elements) == len(b.elements)
                and all(
                    x == y and self.is_subtype(s, t)
                    for (x, s), (y, t) in zip(a.elements, b.elements, strict=True)
                )
            )
        return is_model_subtype(a, b, self.models)

    def is_class_subtype(self, a: DataType, b: DataType) -> bool:
        """As ``is_subtype``, but a choice is only one of itself: no list is widened to hold more."""
        if isinstance(a, ChoiceType) or isinstance(b, ChoiceType):
            return a == b
        if isinstance(a, ListType) and isinstance(b, ListType):
            return self.is_class_subtype(a.element, b.element)
        if isinstance(a, TupleType) and isinstance(b, TupleType):
            return len(a.elements) == len(b.elements) and all(
                x == y and self.is_class_subtype(s, t)
                for (x, s), (y, t) in zip(a.elements, b.elements, strict=True)
            )
        return self.is_subtype(a, b)

    # --- names ----------------------------------------------------------------------------------------------

    def qualified_name(self, kind: NamedType) -> str:
        """``{http://hl7.org/fhir}Encounter``; a class of a model with a target by its name there."""
        model = self.models.get(kind.model)
        if model is None or kind.model == "System":
            return f"{{{SYSTEM_URI}}}{kind.name}"
        if model.target_url is None:
            return f"{{{model.url}}}{kind.name}"
        info = model.type(kind.name)
        name = kind.name if info is None or info.target is None else info.target
        return f"{{{model.target_url}}}{name}"

    def specifier(self, kind: DataType) -> elm.TypeSpecifier:
        """The ELM type specifier."""
        known = self._specifiers.get(kind)
        if known is None:
            known = self._specifiers[kind] = self._specifier(kind)
        return known

    def _specifier(self, kind: DataType) -> elm.TypeSpecifier:
        if isinstance(kind, NamedType):
            return elm.NamedTypeSpecifier(name=self.qualified_name(kind))
        if isinstance(kind, ListType):
            return elm.ListTypeSpecifier(element_type=self.specifier(kind.element))
        if isinstance(kind, IntervalType):
            return elm.IntervalTypeSpecifier(point_type=self.specifier(kind.point))
        if isinstance(kind, ChoiceType):
            return elm.ChoiceTypeSpecifier(choice=tuple(self.specifier(member) for member in kind.choices))
        return elm.TupleTypeSpecifier(
            element=tuple(
                elm.TupleElementDefinition(name=name, element_type=self.specifier(element))
                for name, element in kind.elements
            )
        )

    def display(self, kind: DataType) -> str:
        """A type as an author would write it; System types without their model."""
        if isinstance(kind, NamedType):
            return kind.name if kind.model == "System" else f"{kind.model}.{kind.name}"
        if isinstance(kind, ListType):
            return f"List<{self.display(kind.element)}>"
        if isinstance(kind, IntervalType):
            return f"Interval<{self.display(kind.point)}>"
        if isinstance(kind, ChoiceType):
            return f"Choice<{', '.join(map(self.display, kind.choices))}>"
        inner = ", ".join(f"{name} {self.display(element)}" for name, element in kind.elements)
        return f"Tuple {{ {inner} }}"
