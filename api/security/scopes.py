"""SMART scopes, versions 1 and 2: what they say, what they allow, and what each operation asks for.

SMART App Launch 2.2, "Scopes for requesting FHIR Resources":
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html. Version 1's ``.read`` is ``.rs``,
``.write`` is ``.cud``, ``.*`` is ``.cruds``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast
from urllib.parse import parse_qsl, urlencode

Level = Literal["patient", "user", "system"]
Restriction = tuple[tuple[str, str], ...]
"""Search parameters, all of which must hold."""

ACTIONS: Final = "cruds"
"""create, read, update, delete, search; in this order."""
EVERY_LEVEL: Final[frozenset[Level]] = frozenset({"patient", "user", "system"})
WIDE_LEVELS: Final[frozenset[Level]] = frozenset({"user", "system"})

_FORM = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]*)\.([a-z*]+)(?:\?(.+))?")
_VERSION_1: Final = {"read": "rs", "write": "cud", "*": "cruds"}


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope: a level, a resource type or ``*``, actions as a part of ``cruds``, and restrictions."""

    level: Level
    resource_type: str
    actions: str
    restriction: Restriction = ()

    def __str__(self) -> str:
        text = f"{self.level}/{self.resource_type}.{self.actions}"
        return f"{text}?{urlencode(self.restriction)}" if self.restriction else text


def parse_scope(text: str) -> Scope | None:
    """A scope for FHIR resources, or None for any other or misshapen one, which then grants nothing.

    >>> parse_scope("user/Patient.read")
    Scope(level='user', resource_type='Patient', actions='rs', restriction=())
    >>> parse_scope("patient/Observation.rs?category=laboratory").restriction
    (('category', 'laboratory'),)
    >>> parse_scope("user/Patient.sr") is None
    True
    """
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    level = cast(Level, form[1])
    resource_type, actions, query = form[2], form[3], form[4]
    restriction: Restriction = ()
    if actions in _VERSION_1:
        if query is not None:
            return None
        actions = _VERSION_1[actions]
    elif "".join(sorted(set(actions), key=ACTIONS.find)) != actions or not set(actions) <= set(ACTIONS):
        return None
    if query is not None:
        try:
            restriction = tuple(parse_qsl(query, keep_blank_values=True, strict_parsing=True))
        except ValueError:
            return None
        if not all(name and value for name, value in restriction):
            return None
    return Scope(level, resource_type, actions, restriction)


@dataclass(frozen=True, slots=True)
class Scopes:
    """The scopes of a token: those for resources, and all others (``openid``, ``launch/patient`` …)."""

    granted: tuple[Scope, ...] = ()
    other: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, texts: str | Iterable[str]) -> Scopes:
        """From a space-separated string, or single scopes; what is not understood grants nothing."""
        granted: list[Scope] = []
        other: set[str] = set()
        for text in texts.split() if isinstance(texts, str) else texts:
            scope = parse_scope(text)
            if scope is None:
                other.add(text)
            else:
                granted.append(scope)
        return cls(tuple(dict.fromkeys(granted)), frozenset(other))

    def __str__(self) -> str:
        return " ".join([*map(str, self.granted), *sorted(self.other)])

    def has_level(self, level: Level) -> bool:
        """Whether any scope is of this level."""
        return any(scope.level == level for scope in self.granted)

    def allows(self, level: Level, resource_type: str, action: str) -> bool:
        """Whether one action (a letter of ``cruds``) is allowed on all resources of a type, unrestrictedly.

        ``*`` as the type asks for every type.
        """
        return any(not scope.restriction for scope in self._about(level, resource_type, action))

    def restrictions(self, level: Level, resource_type: str, action: str) -> tuple[Restriction, ...]:
        """The restrictions under which the action is allowed; any one of them suffices."""
        found = (scope.restriction for scope in self._about(level, resource_type, action))
        return tuple(dict.fromkeys(restriction for restriction in found if restriction))

    def covers(self, wanted: Scope) -> bool:
        """Whether these scopes give at least what ``wanted`` gives."""
        for action in wanted.actions:
            about = self._about(wanted.level, wanted.resource_type, action)
            if not any(set(scope.restriction) <= set(wanted.restriction) for scope in about):
                return False
        return True

    def _about(self, level: Level, resource_type: str, action: str) -> Iterable[Scope]:
        return (
            scope
            for scope in self.granted
            if scope.level == level
            and action in scope.actions
            and scope.resource_type in ("*", resource_type)
        )


@dataclass(frozen=True, slots=True)
class Need:
    """Actions (letters of ``cruds``, all of them) on a resource type, ``*`` for every type."""

    resource_type: str
    actions: str


@dataclass(frozen=True, slots=True)
class OperationNeeds:
    """What an operation asks of a token, and on which levels the scopes may be."""

    needs: tuple[Need, ...]
    levels: frozenset[Level] = EVERY_LEVEL


def _reading(*resource_types: str, levels: frozenset[Level] = EVERY_LEVEL) -> OperationNeeds:
    return OperationNeeds(tuple(Need(name, "r") for name in resource_types), levels)


OPERATIONS: Final[dict[str, OperationNeeds]] = {
    # the answer is a report: the records it was computed from are not handed out
    "Measure/$evaluate-measure": _reading("Measure", "MeasureReport"),
    "Measure/$evaluate": _reading("Measure", "MeasureReport"),
    "Measure/$care-gaps": _reading("Measure", "MeasureReport", "Patient"),
    # these hand out, or compute anything from, resources of every type
    "Measure/$collect-data": _reading("Measure", "MeasureReport", "*"),
    "Library/$evaluate": _reading("Library", "*"),
    "$cql": _reading("Library", "*"),
    "Patient/$everything": _reading("Patient", "*"),
    "Patient/$export": _reading("Patient", "*", levels=WIDE_LEVELS),
    "Group/$export": _reading("Group", "*", levels=WIDE_LEVELS),
    "$export": _reading("*", levels=WIDE_LEVELS),
    # what is submitted is asked for resource by resource besides
    "Measure/$submit-data": OperationNeeds((Need("Measure", "r"), Need("MeasureReport", "c")), WIDE_LEVELS),
    "Measure/$bulk-submit-data": OperationNeeds(
        (Need("Measure", "r"), Need("MeasureReport", "c"), Need("*", "cu")), WIDE_LEVELS
    ),
    "$import": OperationNeeds((Need("*", "cu"),), WIDE_LEVELS),
    "Group/$import": OperationNeeds((Need("Group", "cu"), Need("*", "cu")), WIDE_LEVELS),
    # content
    "Measure/$data-requirements": _reading("Measure"),
    "Library/$data-requirements": _reading("Library"),
    "Measure/$package": _reading("Measure", "Library", "ValueSet"),
    "ValueSet/$expand": _reading("ValueSet"),
    "ValueSet/$validate-code": _reading("ValueSet"),
    "CodeSystem/$validate-code": _reading("CodeSystem"),
    "CodeSystem/$lookup": _reading("CodeSystem"),
    # files of registries: what is judged or converted came with the request
    "MeasureReport/$qrda3": _reading("Measure", "MeasureReport", levels=WIDE_LEVELS),
    "Measure/$qrda-export": _reading("Measure", "MeasureReport", "Patient", "*", levels=WIDE_LEVELS),
    "qrda/3/validate": _reading("MeasureReport"),
    "qrda/3/convert": _reading("MeasureReport"),
    "qrda/1/validate": _reading("MeasureReport"),
    "qrda/1/import": OperationNeeds((Need("Patient", "cu"), Need("*", "cu")), WIDE_LEVELS),
    "qpp/convert": _reading("MeasureReport"),
    "qpp/validate": _reading("MeasureReport"),
    "qpp/merge": _reading("MeasureReport"),
}
"""What each operation asks for, by resource type and name."""


def operation_needs(name: str, *, types: Sequence[str] | None = None) -> OperationNeeds:
    """The needs of an operation such as ``Measure/$evaluate-measure``; ``[type]/$validate`` needs to read.

    ``types`` are the resource types that the request limits itself to (``_type``), which then stand in the
    place of every type. Raises KeyError for an operation that the table does not know, so that none is open
    by having been forgotten.
    """
    if name.endswith("/$validate"):
        return _reading(name.removesuffix("/$validate"))
    asked = OPERATIONS[name]
    if types is None:
        return asked
    needs: list[Need] = []
    for need in asked.needs:
        if need.resource_type == "*":
            needs.extend(Need(resource_type, need.actions) for resource_type in types)
        else:
            needs.append(need)
    return OperationNeeds(tuple(dict.fromkeys(needs)), asked.levels)
