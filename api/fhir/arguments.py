"""The parameters of an operation: declared, read from a query or a Parameters resource, and all honoured.

FHIR R4, 3.2.0 Operations: simple parameters may come in the URL, all may come in a Parameters resource.
A parameter that is not declared is refused, since one that is ignored would give a wrong answer silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from measurewise.api.fhir.outcomes import RequestError
from measurewise.store.search_index import moments

_DATE: Final = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,10}")
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_INTEGERS: Final = range(-(2**31), 2**31)
_SIMPLE: Final = frozenset(
    {"string", "code", "id", "uri", "canonical", "url", "date", "dateTime", "instant", "boolean", "integer",
     "positiveInt", "decimal", "Reference", "markdown"}
)  # fmt: skip
_CONTROL: Final = frozenset({"_format", "_pretty", "_outputFormat"})


@dataclass(frozen=True, slots=True)
class Declared:
    """A parameter that an operation takes.

    ``kind`` is a FHIR data type, ``Resource`` for a resource of any type, or the name of a resource type;
    ``codes`` the values that a code may have. ``reference`` parameters are strings such as ``Patient/1``.
    """

    name: str
    kind: str
    documentation: str
    minimum: int = 0
    maximum: int | None = 1
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arguments:
    """The values that came, by parameter; each a Python value of its type."""

    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def one(self, name: str) -> Any:
        """The value of a parameter, None where it did not come."""
        found = self.values.get(name)
        return found[0] if found else None

    def all(self, name: str) -> Sequence[Any]:
        """All values of a parameter that may be repeated."""
        return self.values.get(name, ())

    def text(self, name: str) -> str | None:
        """The value of a parameter that is a text."""
        value = self.one(name)
        return None if value is None else str(value)

    def required(self, name: str) -> str:
        """The text that must be there. Raises RequestError."""
        value = self.text(name)
        if value is None:
            raise missing(name)
        return value

    def __contains__(self, name: str) -> bool:
        return name in self.values


def missing(name: str, mend: str = "") -> RequestError:
    """The error for a parameter that must be there."""
    return RequestError(
        f"the parameter '{name}' is missing.",
        code="required",
        where=_where(name),
        mend=mend or f"Add {name}.",
    )


def refused(name: str, why: str, mend: str = "") -> RequestError:
    """The error for a parameter whose value cannot be honoured."""
    return RequestError(f"the parameter '{name}' {why}.", where=_where(name), mend=mend)


def from_query(declared: Iterable[Declared], pairs: Iterable[tuple[str, str]], operation: str) -> Arguments:
    """The arguments of a GET. Raises RequestError."""
    known = {parameter.name: parameter for parameter in declared}
    values: dict[str, list[Any]] = {}
    for name, text in pairs:
        if name in _CONTROL and name not in known:
            continue
        parameter = _known(known, name, operation)
        if parameter.kind not in _SIMPLE:
            raise refused(name, "is not a simple value", "POST a Parameters resource.")
        if text == "":
            raise refused(name, "is empty", f"Give {name} a value or leave it out.")
        values.setdefault(name, []).append(_from_text(parameter, text))
    return _checked(known, values)


def from_resource(declared: Iterable[Declared], resource: Mapping[str, Any], operation: str) -> Arguments:
    """The arguments of a POST: a Parameters resource, or the one resource that the operation takes."""
    known = {parameter.name: parameter for parameter in declared}
    kind = resource.get("resourceType")
    if kind != "Parameters":
        taking = [p for p in known.values() if p.kind == kind]
        if len(taking) != 1:
            raise RequestError(
                f"{operation} takes a Parameters resource, not a {kind}.",
                code="structure",
                where="resourceType",
                mend="Put it into a Parameters resource.",
            )
        return _checked(known, {taking[0].name: [dict(resource)]})
    values: dict[str, list[Any]] = {}
    parts = resource.get("parameter", [])
    if not isinstance(parts, list):
        raise RequestError("Parameters.parameter is no list.", code="structure", where="Parameters.parameter")
    for position, part in enumerate(parts):
        where = f"Parameters.parameter[{position}]"
        if part == {}:
            continue
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise RequestError("a parameter has no name.", code="structure", where=where)
        parameter = _known(known, part["name"], operation, where)
        values.setdefault(parameter.name, []).append(_from_part(parameter, part, where))
    return _checked(known, values)


def _known(known: Mapping[str, Declared], name: str, operation: str, where: str = "") -> Declared:
    parameter = known.get(name)
    if parameter is None:
        listed = ", ".join(known) or "no parameters"
        raise RequestError(
            f"{operation} has no parameter '{name}'.",
            code="not-supported",
            where=where or _where(name),
            mend=f"It takes {listed}.",
        )
    return parameter


def _checked(known: Mapping[str, Declared], values: dict[str, list[Any]]) -> Arguments:
    for name, found in values.items():
        most = known[name].maximum
        if most is not None and len(found) > most:
            raise refused(name, f"came {len(found)} times; at most {most} is taken")
    for parameter in known.values():
        if parameter.minimum and parameter.name not in values:
            raise missing(parameter.name)
    return Arguments(values)


def _from_part(parameter: Declared, part: Mapping[str, Any], where: str) -> Any:
    if "resource" in part:
        resource = part["resource"]
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        if kind is None or parameter.kind not in ("Resource", kind):
            raise RequestError(
                f"the parameter '{parameter.name}' takes a {parameter.kind}, not a {kind}.",
                code="structure",
                where=f"{where}.resource",
            )
        return resource
    valued = {name: value for name, value in part.items() if name.startswith("value")}
    if not valued and "part" in part and parameter.kind == "part":
        inner = part["part"]
        if not isinstance(inner, list) or not all(isinstance(one, dict) for one in inner):
            raise RequestError(
                f"the parts of '{parameter.name}' are no list.", code="structure", where=f"{where}.part"
            )
        return inner
    if len(valued) != 1 or None in valued.values():
        raise RequestError(
            f"the parameter '{parameter.name}' has no single value.", code="structure", where=where
        )
    ((name, value),) = valued.items()
    if parameter.kind in _SIMPLE:
        if isinstance(value, dict) and isinstance(value.get("reference"), str):
            value = value["reference"]
        if isinstance(value, dict | list) or (isinstance(value, bool) and parameter.kind != "boolean"):
            raise RequestError(
                f"the parameter '{parameter.name}' takes a {parameter.kind}, not a {name[5:]}.",
                code="structure",
                where=where,
            )
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        return _from_text(parameter, text)
    if name != f"value{parameter.kind}" and parameter.kind != "Element":
        raise RequestError(
            f"the parameter '{parameter.name}' takes value{parameter.kind}, not {name}.",
            code="structure",
            where=where,
        )
    if not isinstance(value, dict):
        raise RequestError(
            f"the parameter '{parameter.name}' takes one {parameter.kind}.", code="structure", where=where
        )
    return value


def _from_text(parameter: Declared, text: str) -> Any:
    name = parameter.name
    if parameter.codes and text not in parameter.codes:
        raise refused(name, f"is '{text}'", f"It is one of {', '.join(parameter.codes)}.")
    match parameter.kind:
        case "boolean":
            if text not in ("true", "false"):
                raise refused(name, f"is '{text}', which is neither true nor false")
            return text == "true"
        case "integer" | "positiveInt":
            least = 1 if parameter.kind == "positiveInt" else _INTEGERS.start
            if not _INTEGER.fullmatch(text) or not least <= int(text) < _INTEGERS.stop:
                raise refused(name, f"is '{text}', which is no {parameter.kind}")
            return int(text)
        case "decimal":
            if not _DECIMAL.fullmatch(text):
                raise refused(name, f"is '{text}', which is no decimal")
            return Decimal(text)
        case "date":
            if not _DATE.fullmatch(text) or moments(text) is None:
                raise refused(name, f"is '{text}', which is no date", "Write 2026-01-31.")
        case "dateTime" | "instant":
            # The plus sign of an offset comes out of a query string as a space.
            text = text.replace(" ", "+")
            if moments(text) is None:
                raise refused(name, f"is '{text}', which is no date and time", "Write 2026-01-31T08:00:00Z.")
    return text


def _where(name: str) -> str:
    return f"Parameters.parameter.where(name = '{name}')"
