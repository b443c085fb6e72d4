"""A record's resources brought into the shape of FHIR R4, where they are not, on copies.

Evaluation takes resources as they come. When it stumbles over one whose JSON has not the shape that FHIR
gives its type (https://hl7.org/fhir/R4/json.html), it goes on with what :func:`mended` makes of the record:

============================================= ==========================================================
a single value where a list belongs           read as a list of one
a list of one where a single value belongs    its only entry is read
any other list where a single value belongs   left out
null in a list                                left out
an integer or decimal where a string belongs  read as the string that was written
a string where a boolean, an integer or a     read as such, if it is written as one
decimal belongs
any other value of the wrong kind, and text   left out
that is no date, dateTime or time
============================================= ==========================================================

Every change is an issue that names the resource, the element and what was found. Elements and resource types
that the model does not know are left alone, as is what has the right shape: an untouched resource stays the
same object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple

from measurewise.engine.record.record import Record, Resource
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time


class Element(NamedTuple):
    """What FHIR says of one JSON property.

    ``type`` is the name of a class, or for a primitive the System type of its value.
    """

    repeats: bool
    primitive: bool
    type: str


Elements = Callable[[str], Mapping[str, Element] | None]
"""The elements of a class (``Encounter``, ``Encounter.Location``, ``Period``) by JSON property; None for a
class that is not known."""


class Mended(NamedTuple):
    """A record whose resources have the shape of FHIR, and a sentence for each change."""

    record: Record
    issues: list[str]


_GONE: Final = object()
_MOST_ISSUES: Final = 100
_RESOURCES: Final = frozenset({"Resource", "DomainResource"})
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,28})?")
_BELONGS: Final = {
    "Boolean": "a boolean",
    "Integer": "an integer",
    "Decimal": "a number",
    "Date": "a date",
    "DateTime": "a dateTime",
    "Time": "a time",
}


_TEXTS: Final[Mapping[str, Callable[[str], object]]] = {
    "Date": parse_date,
    "DateTime": partial(parse_datetime, zone=0),
    "Time": parse_time,
}


def mended(record: Record, elements: Elements) -> Mended | None:
    """The record in the shape of FHIR, or None where it has it already; the record itself stays as it is."""
    mender = _Mender(elements)
    by_type: dict[str, list[Resource]] = {}
    for kind, resources in record.by_type.items():
        by_type[kind] = [mender.resource(kind, resource) for resource in resources]
    if not mender.changed:
        return None
    return Mended(record.with_resources(by_type), mender.told())


class _Mender:
    """One pass over a record."""

    def __init__(self, elements: Elements) -> None:
        self.changed = False
        self._elements = elements
        self._issues: list[str] = []
        self._count = 0
        self._label = ""

    def told(self) -> list[str]:
        """The issues; of very many, the first."""
        if self._count > _MOST_ISSUES:
            return [
                *self._issues,
                f"{self._count - _MOST_ISSUES:,} more elements have not the shape of FHIR.",
            ]
        return self._issues

    def resource(self, kind: str, resource: Resource) -> Resource:
        identity = resource.get("id")
        self._label = f"{kind}/{identity}" if type(identity) in (str, int) else f"{kind} without an id"
        return self._object(kind, resource, "")

    def _issue(self, path: str, found: Any, belongs: str, done: str) -> None:
        self._count += 1
        if len(self._issues) < _MOST_ISSUES:
            self._issues.append(f"{self._label}: {path} is {found} where {belongs} belongs; {done}.")
        self.changed = True

    def _object(self, kind: str, value: dict[str, Any], path: str) -> dict[str, Any]:
        table = self._elements(kind)
        if table is None:
            return value
        copy: dict[str, Any] | None = None
        for name, found in value.items():
            element = table.get(name) or _sibling(table, name)
            # What a resource contains stands in the record as resources of its own.
            if element is None or found is None or (name == "contained" and not path):
                continue
            place = f"{path}.{name}" if path else name
            if element.repeats:
                kept = self._list(element, found, place, f"_{name}" in value)
            else:
                kept = self._single(element, found, place)
            if kept is not found:
                if copy is None:
                    copy = dict(value)
                if kept is _GONE:
                    del copy[name]
                else:
                    copy[name] = kept
        return value if copy is None else copy

    def _list(self, element: Element, found: Any, path: str, padded: bool) -> Any:
        if type(found) is not list:
            kept = self._single(element, found, path)
            if kept is _GONE:
                return _GONE
            self._issue(path, _named(found), "a list", "it is read as a list of one")
            return [kept]
        items: list[Any] = []
        same = True
        for position, item in enumerate(found):
            if item is None:
                # Lists of primitives are padded with null where only the sibling has something to say.
                same = False
                self.changed = True
                if not padded:
                    self._issue(f"{path}[{position}]", "null", _belongs(element), "it is left out")
                continue
            kept = self._single(element, item, f"{path}[{position}]")
            same = same and kept is item
            if kept is not _GONE:
                items.append(kept)
        return found if same else items

    def _single(self, element: Element, found: Any, path: str) -> Any:
        if type(found) is list:
            only = found
            while type(only) is list and len(only) == 1:
                only = only[0]
            if type(only) is list or only is None:
                self._issue(path, f"a list of {len(found)}", _belongs(element), "it is left out")
                return _GONE
            kept = self._single(element, only, path)
            if kept is not _GONE:
                self._issue(path, "a list", _belongs(element), "its only entry is read")
            return kept
        if element.primitive:
            kept = _primitive(element.type, found)
            if kept is not found:
                done = "it is left out" if kept is _GONE else "it is read as one"
                what = "other text" if type(found) is str else _named(found)
                self._issue(path, what, _belongs(element), done)
            return kept
        if not isinstance(found, dict):
            self._issue(path, _named(found), "an object", "it is left out")
            return _GONE
        kind = element.type
        if kind in _RESOURCES:
            kind = found.get("resourceType", "")
            if type(kind) is not str:
                return found
        return self._object(kind, found, path)


def _sibling(table: Mapping[str, Element], name: str) -> Element | None:
    """The id and extensions of a primitive stand in a property of its name with ``_``."""
    of = table.get(name[1:]) if name[:1] == "_" else None
    return Element(False, False, "Element") if of is not None and of.primitive and not of.repeats else None


def _primitive(kind: str, found: Any) -> Any:
    """A primitive's JSON value as its type has it, ``_GONE`` where that cannot be told."""
    is_text = isinstance(found, str)
    is_flag = isinstance(found, bool)
    if kind == "Boolean":
        if is_flag:
            return found
        return {"true": True, "false": False}.get(found, _GONE) if is_text else _GONE
    if kind == "Integer":
        if isinstance(found, int) and not is_flag:
            return found
        if is_text:
            return int(found) if _INTEGER.fullmatch(found) else _GONE
        return _GONE
    if kind == "Decimal":
        if isinstance(found, int | float | Decimal) and not is_flag:
            return found
        return Decimal(found) if is_text and _DECIMAL.fullmatch(found) else _GONE
    if is_text:
        reads = _TEXTS.get(kind)
        return found if reads is None or reads(found) is not None else _GONE
    if kind == "String" and isinstance(found, int | Decimal) and not is_flag:
        return str(found)
    return _GONE


def _belongs(element: Element) -> str:
    if not element.primitive:
        return "an object"
    return _BELONGS.get(element.type, "a string")


def _named(found: Any) -> str:
    if isinstance(found, dict):
        return "an object"
    if isinstance(found, list):
        return "a list"
    if isinstance(found, str):
        return "a string"
    return "a boolean" if isinstance(found, bool) else "null" if found is None else "a number"
