"""What a term was converted from, so that an operator can work on the FHIR JSON instead of the converted
value.

Testing whether a CodeableConcept is in a value set needs neither a Concept nor its Codes; asking whether a
choice element is a dateTime needs only a look at one property.
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.models.types import NamedType


@dataclass(frozen=True, slots=True)
class FromCodeableConcept:
    """A Concept made from the CodeableConcept JSON in ``text`` (a name)."""

    text: str


@dataclass(frozen=True, slots=True)
class FromCoding:
    """A Code made from the Coding JSON in ``text`` (a name)."""

    text: str


@dataclass(frozen=True, slots=True)
class FromCodeableConcepts:
    """A list of Concepts made from the list of CodeableConcept JSON in ``text`` (a name)."""

    text: str


@dataclass(frozen=True, slots=True)
class KnownCodes:
    """A Code or Concept of the CQL text: its (system, code) pairs."""

    codes: tuple[tuple[str | None, str], ...]


@dataclass(frozen=True, slots=True)
class ChoiceElement:
    """A choice element ``value[x]`` of the JSON object in ``parent`` (a name).

    ``forms`` pairs each JSON property with the type it holds.
    """

    parent: str
    parent_nullable: bool
    forms: tuple[tuple[str, NamedType], ...]


@dataclass(frozen=True, slots=True)
class PrimitiveElement:
    """A primitive read from property ``name`` of the JSON object in ``parent``; ``_name`` is beside it."""

    parent: str
    parent_nullable: bool
    name: str


@dataclass(frozen=True, slots=True)
class ConvertedChoice:
    """A choice of System values converted from a choice element (FHIRHelpers.ToValue)."""

    element: ChoiceElement
