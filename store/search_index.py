"""What a resource is found by: its search parameters' values as rows (FHIR R4, 3.1.1 Search).

Which parameters there are is data (``search_parameters.json``); ``_id``, ``_lastUpdated`` and the patient
stand in the resource's own row.
"""

from __future__ import annotations

import calendar
import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["token", "string", "date", "reference", "uri"]

_DATE: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
BEGINNING: Final = -(2**62)
END: Final = 2**62
_LONGEST: Final = 1000
ANY_TYPE: Final = "*"
"""Stands for every resource type among those that a reference can refer to."""


class Parameter(NamedTuple):
    """A search parameter of a resource type; ``paths`` are alternatives, each of element names.

    ``targets`` are the types that a reference can refer to, or ``ANY_TYPE``.
    """

    name: str
    kind: Kind
    paths: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...] = ()


class Value(NamedTuple):
    """One row of the index (see ``tables.search_values``)."""

    parameter: str
    system: str | None = None
    value: str | None = None
    low: int | None = None
    high: int | None = None


@cache
def parameters(resource_type: str) -> dict[str, Parameter]:
    """The search parameters of a type, those of every type included."""
    table = _tables()
    found = {**table["*"], **table.get(resource_type, {})}
    return {
        name: Parameter(
            name,
            kind,
            tuple(tuple(path.split(".")) for path in paths.split("|")),
            tuple(type_name for names in targets for type_name in names.split("|")),
        )
        for name, (kind, paths, *targets) in found.items()
    }


@cache
def types_of_patients() -> frozenset[str]:
    """The types that can be in a patient's compartment, and so be searched by ``patient``."""
    return frozenset(_file()["of_patients"])


def _tables() -> dict[str, dict[str, list[Any]]]:
    tables: dict[str, dict[str, list[Any]]] = _file()["parameters"]
    return tables


@cache
def _file() -> dict[str, Any]:
    text = files(__package__).joinpath("search_parameters.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def index(resource: dict[str, Any]) -> list[Value]:
    """The rows of a resource; elements of an unexpected shape have none."""
    rows: dict[Value, None] = {}
    for parameter in parameters(str(resource.get("resourceType"))).values():
        read = _READERS[parameter.kind]
        for path in parameter.paths:
            for element in _elements(resource, path):
                for row in read(parameter.name, element):
                    rows[row] = None
    return list(rows)


def _elements(node: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _elements(item, path)
    elif not path:
        if node is not None:
            yield node
    elif isinstance(node, dict):
        yield from _elements(node.get(path[0]), path[1:])


def _token(name: str, element: Any) -> Iterator[Value]:
    if isinstance(element, bool):
        yield Value(name, None, "true" if element else "false")
    elif isinstance(element, str):
        yield Value(name, None, element[:_LONGEST])
    elif isinstance(element, dict):
        codings = element.get("coding")
        if isinstance(codings, list):
            for coding in codings:
                yield from _token(name, coding)
            return
        # An Identifier has its code in ``value``, a Coding in ``code``.
        code = element.get("code") if "code" in element else element.get("value")
        if isinstance(code, str):
            system = element.get("system")
            yield Value(name, system if isinstance(system, str) else None, code[:_LONGEST])


def _string(name: str, element: Any) -> Iterator[Value]:
    if isinstance(element, str):
        # As it is written, for ``:exact``, and as it is compared otherwise.
        yield Value(name, element[:_LONGEST], folded(element))


def _uri(name: str, element: Any) -> Iterator[Value]:
    if isinstance(element, str):
        yield Value(name, None, element[:_LONGEST])


def _reference(name: str, element: Any) -> Iterator[Value]:
    text = element.get("reference") if isinstance(element, dict) else element
    if isinstance(text, str):
        kind, identity = split_reference(text)
        yield Value(name, kind, identity)


def _date(name: str, element: Any) -> Iterator[Value]:
    if isinstance(element, str):
        span = moments(element)
        if span is not None:
            yield Value(name, None, None, *span)
    elif isinstance(element, dict):
        start, end = moments(element.get("start")), moments(element.get("end"))
        if start or end:
            yield Value(name, None, None, start[0] if start else BEGINNING, end[1] if end else END)


_READERS: Final = {"token": _token, "string": _string, "uri": _uri, "reference": _reference, "date": _date}


def folded(text: str) -> str:
    """A string as the index compares it: without case, accents and outer white space (FHIR R4, 3.1.1.4.8)."""
    plain = text.casefold()
    if not plain.isascii():
        plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    return " ".join(plain.split())[:_LONGEST]


def split_reference(text: str) -> tuple[str | None, str]:
    """Type and id of a reference, relative, absolute or versioned; a canonical or URN is its own id."""
    if text.startswith(("urn:", "#")):
        return None, text
    parts = text.partition("/_history/")[0].split("/")
    if len(parts) > 1 and parts[-2][:1].isupper():
        return parts[-2], parts[-1]
    return None, text


def moments(text: Any) -> tuple[int, int] | None:
    """The first and last microsecond that a FHIR date, dateTime or instant can mean; None where it is none.

    A time without zone is taken in UTC, as the search index must take it somewhere.
    """
    match = _DATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        start = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0),
            int((fraction or "0")[:6].ljust(6, "0")), tzinfo=UTC,
        )  # fmt: skip
        if zone and zone != "Z":
            hours, minutes = int(zone[1:3]), int(zone[4:])
            shift = timedelta(hours=hours, minutes=minutes)
            start = start - shift if zone[0] == "+" else start + shift
    except (ValueError, OverflowError):
        return None
    if month is None:
        length = timedelta(days=366 if calendar.isleap(int(year)) else 365)
    elif day is None:
        length = timedelta(days=calendar.monthrange(int(year), int(month))[1])
    elif hour is None:
        length = timedelta(days=1)
    elif second is None:
        length = timedelta(minutes=1)
    elif fraction is None:
        length = timedelta(seconds=1)
    else:
        length = timedelta(microseconds=10 ** max(0, 6 - len(fraction)))
    low = microseconds(start)
    return low, low + length // timedelta(microseconds=1) - 1


def microseconds(moment: datetime) -> int:
    """Microseconds since the beginning of 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
