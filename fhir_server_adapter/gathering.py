"""A patient's resources as they come from a server: each once, with what they refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from measurewise.fhir_server_adapter.faults import SourceError

Resource = dict[str, Any]
Key = tuple[str, str]
"""The type and id of a resource."""

_NO_REFERENCES = frozenset({"meta", "text", "coding"})
"""Elements in which no reference stands, and which are most of a resource."""
# the elements by which resources say whose they are; those of engine/record/compartment.py
_OWNERS = ("subject", "patient", "beneficiary", "individual", "for", "candidate")


class Gathered:
    """A patient's resources; a later version of a known one takes its place."""

    def __init__(self) -> None:
        self._found: dict[Key, Resource] = {}
        self._unread: list[Resource] = []
        self._wanted: set[Key] = set()

    def add(self, resource: Any, *, refers: bool = True) -> None:
        """Keep a resource; one that is known not to refer to anything of interest is not looked through.

        Raises SourceError for something that is none.
        """
        if type(resource) is not dict or not resource.get("resourceType"):
            raise SourceError("the server gave something that is no resource.", code="structure")
        identity = resource.get("id")
        # a server's resources have ids; one without is kept under a name of its own
        key = str(identity) if identity else f"#{len(self._found)}"
        self._found[str(resource["resourceType"]), key] = resource
        if refers:
            self._unread.append(resource)

    def adopt(self, shared: Mapping[Key, Resource], kinds: frozenset[str]) -> set[Key]:
        """Take from ``shared`` what is referred to, and what that refers to; what is not there."""
        if not kinds:
            return set()
        while True:
            self._wanted |= references(self._unread, kinds)
            self._unread = []
            self._wanted.difference_update(self._found)
            known = [key for key in self._wanted if key in shared]
            if not known:
                return set(self._wanted)
            for key in sorted(known):
                self.add(shared[key])

    def resources(self) -> tuple[Resource, ...]:
        """What there is, in the order it came."""
        return tuple(self._found.values())


def references(resources: Iterable[Resource], kinds: frozenset[str]) -> set[Key]:
    """The type and id of all relative or absolute references to some types."""
    found: set[Key] = set()
    pending: list[Any] = list(resources)
    while pending:
        value = pending.pop()
        if type(value) is list:
            pending += value
            continue
        if type(value) is not dict:
            continue
        reference = value.get("reference")
        if type(reference) is str:
            parts = reference.partition("/_history/")[0].split("/")
            if len(parts) > 1 and parts[-2] in kinds:
                found.add((parts[-2], parts[-1]))
        pending += [
            part
            for name, part in value.items()
            if (type(part) is dict or type(part) is list) and name not in _NO_REFERENCES
        ]
    return found


def owners(resource: Mapping[str, Any]) -> set[str]:
    """The ids of the patients that a resource is about; a Patient is about itself."""
    if resource.get("resourceType") == "Patient":
        return {str(resource.get("id"))}
    found: set[str] = set()
    for name in _OWNERS:
        if name not in resource:
            continue
        element = resource[name]
        for one in element if type(element) is list else (element,):
            reference = one.get("reference") if type(one) is dict else None
            if type(reference) is str:
                parts = reference.partition("/_history/")[0].split("/")
                if len(parts) > 1 and parts[-2] == "Patient":
                    found.add(parts[-1])
    return found
