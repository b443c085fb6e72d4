"""Type names as model info and ELM write them, read into data types.

Model info writes ``FHIR.Encounter.Diagnosis``, ``List<FHIR.Identifier>``, ``Interval<System.DateTime>`` and
``Choice<FHIR.Age,FHIR.string>``; ELM writes the expanded XML name ``{http://hl7.org/fhir}Encounter``.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from measurewise.engine.errors import ContentError
from measurewise.engine.models.types import (
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
    choice_of,
    tuple_of,
)

SYSTEM_URI = "urn:hl7-org:elm-types:r1"

_GENERIC = re.compile(r"\s*(list|interval|choice|tuple)\s*<\s*", re.IGNORECASE)


def parse_type(text: str, model: str = "System", models: Collection[str] = ()) -> DataType:
    """The data type that a model info's type string names.

    ``model`` is the model whose info is read: a name whose first part is neither that model, nor System, nor
    one of
    ``models`` belongs to it whole ("Encounter.Diagnosis" of FHIR). Raises ContentError when the text is no
    type.
    """
    kind, end = _type(text, 0, model, models)
    if text[end:].strip():
        raise _malformed(text, end)
    return kind


def _type(text: str, start: int, model: str, models: Collection[str]) -> tuple[DataType, int]:
    generic = _GENERIC.match(text, start)
    if generic is None:
        end = start
        while end < len(text) and text[end] not in "<>,":
            end += 1
        name = text[start:end].strip()
        if not name or (end < len(text) and text[end] == "<"):
            raise _malformed(text, start)
        return _named(name, model, models), end
    word = generic[1].lower()
    if word == "tuple":
        return _tuple(text, generic.end(), model, models)
    arguments: list[DataType] = []
    at = generic.end()
    while True:
        argument, at = _type(text, at, model, models)
        arguments.append(argument)
        if at >= len(text):
            raise _malformed(text, at)
        at += 1
        if text[at - 1] == ">":
            break
        if text[at - 1] != ",":
            raise _malformed(text, at - 1)
    if word == "choice":
        return choice_of(*arguments), at
    if len(arguments) != 1:
        raise _malformed(text, start)
    return (ListType(arguments[0]) if word == "list" else IntervalType(arguments[0])), at


def _tuple(text: str, start: int, model: str, models: Collection[str]) -> tuple[TupleType, int]:
    elements: dict[str, DataType] = {}
    at = start
    while True:
        colon = text.find(":", at)
        if colon < 0:
            raise _malformed(text, at)
        name = text[at:colon].strip()
        elements[name], at = _type(text, colon + 1, model, models)
        if at >= len(text) or text[at] not in ",>":
            raise _malformed(text, at)
        at += 1
        if text[at - 1] == ">":
            return tuple_of(elements), at


def _named(name: str, model: str, models: Collection[str]) -> NamedType:
    first, dot, rest = name.partition(".")
    if dot and (first == model or first == "System" or first in models):
        return NamedType(first, rest)
    return NamedType(model, name)


def _malformed(text: str, at: int) -> ContentError:
    return ContentError(
        f"'{text}' is no type name (character {at + 1}).",
        mend="Write Model.Name, List<T>, Interval<T> or Choice<T,U>.",
    )


def write_type(kind: DataType) -> str:
    """The model-info spelling of a type; ``parse_type`` reads it back to an equal type."""
    if isinstance(kind, NamedType):
        return f"{kind.model}.{kind.name}"
    if isinstance(kind, ListType):
        return f"List<{write_type(kind.element)}>"
    if isinstance(kind, IntervalType):
        return f"Interval<{write_type(kind.point)}>"
    if isinstance(kind, ChoiceType):
        return f"Choice<{','.join(map(write_type, kind.choices))}>"
    return f"Tuple<{','.join(f'{name}:{write_type(element)}' for name, element in kind.elements)}>"


def split_expanded_name(text: str) -> tuple[str, str]:
    """``"{http://hl7.org/fhir}Encounter"`` → ``("http://hl7.org/fhir", "Encounter")``; no braces, no URI."""
    if text[:1] == "{":
        uri, brace, name = text[1:].partition("}")
        if not brace or not name:
            raise ContentError(f"'{text}' is no type name.", mend="ELM writes {model-uri}TypeName.")
        return uri, name
    return "", text
