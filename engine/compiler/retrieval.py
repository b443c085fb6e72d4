"""What a retrieve asks of the record, as data: the planner of the run turns it into index look-ups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["CodeableConcept", "Coding", "code"]


@dataclass(frozen=True, slots=True)
class CodeElement:
    """A coded element of a resource: its JSON property and how codes stand in it."""

    name: str
    kind: Kind
    repeats: bool


@dataclass(frozen=True, slots=True)
class CodeFilter:
    """Codes that an element must have (``in``, ``~``, ``=``) by value set or by a list of (system, code)."""

    elements: tuple[CodeElement, ...]
    comparator: str
    value_set: str | None = None
    version: str | None = None
    codes: tuple[tuple[str | None, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One distinct retrieve of a program: a resource type, the profile it names, and its codes."""

    resource_type: str
    template: str | None
    code_filter: CodeFilter | None
