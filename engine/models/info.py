"""What a model info says of its classes, conversions and contexts (``urn:hl7-org:elm-modelinfo:r1``).

The meanings are those of the schema published with the CQL specification
(https://cql.hl7.org/elm/schema/modelinfo.xsd). Documentation (descriptions, definitions, comments, bindings,
constraints, ``mustSupport``) is not kept: nothing in translating or running CQL hangs on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from measurewise.engine.models.types import DataType, NamedType


@dataclass(frozen=True, slots=True)
class ElementInfo:
    """One element of a class.

    ``target`` is how the element is reached in the model that the class maps to (QI-Core, US Core): an
    expression over ``%value`` (the element of that name in the target) or ``%parent`` (the instance of the
    target class), such as ``%value.value`` or ``FHIRHelpers.ToConcept(%value)``; None when the element is
    reached by its own name.
    """

    name: str
    type: DataType
    target: str | None = None
    prohibited: bool = False
    one_based: bool = False


@dataclass(frozen=True, slots=True)
class RelationshipInfo:
    """The key elements by which a class refers to a context: "Patient" by ``("subject",)``."""

    context: str
    key_elements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchInfo:
    """A search path of a class; ``type`` is None where the model info gives none."""

    name: str
    path: str
    type: DataType | None


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A type of a model.

    ``elements`` are the class's own; inherited ones are found through ``Model.element``. ``name`` carries no
    model ("Encounter.Diagnosis"); ``target`` names the class of the target model that a profile maps to
    ("Observation").
    """

    model: str
    name: str
    kind: Literal["class", "simple", "profile"]
    base: DataType | None
    elements: dict[str, ElementInfo]
    identifier: str | None = None
    label: str | None = None
    target: str | None = None
    retrievable: bool = False
    primary_code_path: str | None = None
    primary_value_set_path: str | None = None
    relationships: tuple[RelationshipInfo, ...] = ()
    target_relationships: tuple[RelationshipInfo, ...] = ()
    searches: tuple[SearchInfo, ...] = ()

    @property
    def type(self) -> NamedType:
        """The class as a data type."""
        return NamedType(self.model, self.name)

    def search(self, name: str) -> SearchInfo | None:
        """The search path of this name (``[E -> related: path in "VS"]``, related-context retrieves)."""
        for s in self.searches:
            if s.name == name:
                return s
        return None


@dataclass(frozen=True, slots=True)
class ConversionInfo:
    """An implicit conversion that a function of a library performs: ``FHIRHelpers.ToConcept``."""

    function: str
    source: DataType
    target: DataType


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """A context a library can be evaluated in, its class and the elements that form its key."""

    name: str
    type: NamedType
    key_elements: tuple[str, ...]
    birth_date_element: str | None = None
