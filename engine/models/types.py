"""CQL data types, shared by the translator and the compiler (CQL 1.5.3 Developer's Guide, "Type System")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NamedType:
    """A class or primitive of a model, such as ``NamedType("FHIR", "Patient")``."""

    model: str
    name: str

    def __str__(self) -> str:
        return f"{self.model}.{self.name}"


@dataclass(frozen=True, slots=True)
class ListType:
    """``List<element>``."""

    element: DataType

    def __str__(self) -> str:
        return f"List<{self.element}>"


@dataclass(frozen=True, slots=True)
class IntervalType:
    """``Interval<point>``."""

    point: DataType

    def __str__(self) -> str:
        return f"Interval<{self.point}>"


@dataclass(frozen=True, slots=True)
class ChoiceType:
    """``Choice<a, b, ...>``; never nested, never with duplicates, in the order they were written."""

    choices: tuple[DataType, ...]

    def __str__(self) -> str:
        return f"Choice<{', '.join(map(str, self.choices))}>"


@dataclass(frozen=True, slots=True)
class TupleType:
    """``Tuple {name type, ...}``; elements sorted by name, so that equal types are equal objects."""

    elements: tuple[tuple[str, DataType], ...]

    def __str__(self) -> str:
        return "Tuple {" + ", ".join(f"{n} {t}" for n, t in self.elements) + "}"

    def element(self, name: str) -> DataType | None:
        """The type of an element, or None when the tuple has no such element."""
        for n, t in self.elements:
            if n == name:
                return t
        return None


DataType = NamedType | ListType | IntervalType | ChoiceType | TupleType

ANY = NamedType("System", "Any")
BOOLEAN = NamedType("System", "Boolean")
INTEGER = NamedType("System", "Integer")
LONG = NamedType("System", "Long")
DECIMAL = NamedType("System", "Decimal")
STRING = NamedType("System", "String")
DATE = NamedType("System", "Date")
DATETIME = NamedType("System", "DateTime")
TIME = NamedType("System", "Time")
QUANTITY = NamedType("System", "Quantity")
RATIO = NamedType("System", "Ratio")
CODE = NamedType("System", "Code")
CONCEPT = NamedType("System", "Concept")
CODESYSTEM = NamedType("System", "CodeSystem")
VALUESET = NamedType("System", "ValueSet")
VOCABULARY = NamedType("System", "Vocabulary")


def choice_of(*types: DataType) -> DataType:
    """The choice of some types, flattened and without duplicates; a single type stays itself."""
    flat: list[DataType] = []
    for t in types:
        for member in t.choices if isinstance(t, ChoiceType) else (t,):
            if member not in flat:
                flat.append(member)
    return flat[0] if len(flat) == 1 else ChoiceType(tuple(flat))


def tuple_of(elements: dict[str, DataType]) -> TupleType:
    """The tuple type with these elements."""
    return TupleType(tuple(sorted(elements.items())))
