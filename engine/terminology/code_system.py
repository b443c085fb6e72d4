"""The content of one code system: its concepts, their hierarchy and properties, and filters over them.

FHIR R4, CodeSystem (https://hl7.org/fhir/R4/codesystem.html) and the filter operators of
ValueSet.compose.include.filter (https://hl7.org/fhir/R4/valueset-filter-operator.html).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from measurewise.engine.errors import ContentError

_STANDARD_PROPERTIES = frozenset(
    ("concept", "code", "display", "definition", "parent", "child", "inactive", "status", "notSelectable")
)
_RETIRED = frozenset(("retired", "inactive", "withdrawn"))


class Concept:
    """One concept of a code system; ``properties`` holds each property's values in their written form."""

    __slots__ = ("code", "definition", "display", "properties")

    def __init__(
        self, code: str, display: str | None, definition: str | None, properties: dict[str, list[str]]
    ) -> None:
        self.code = code
        self.display = display
        self.definition = definition
        self.properties = properties

    @property
    def abstract(self) -> bool:
        """Whether the concept only groups others and may not be used as a value."""
        return "true" in self.properties.get("notSelectable", ())

    @property
    def inactive(self) -> bool:
        """Whether the code system says that the concept is no longer in use."""
        return "true" in self.properties.get("inactive", ()) or not _RETIRED.isdisjoint(
            self.properties.get("status", ())
        )


class CodeSystemContent:
    """A CodeSystem resource whose ``content`` is complete, ready for look-ups."""

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.url: str = resource.get("url") or ""
        self.version: str | None = resource.get("version")
        self.hierarchy_meaning: str | None = resource.get("hierarchyMeaning")
        self.concepts: dict[str, Concept] = {}
        self.parents: dict[str, set[str]] = {}
        self.children: dict[str, set[str]] = {}
        self._property_names = {p["code"] for p in resource.get("property") or () if p.get("code")}
        for concept, parent in _walk(resource.get("concept") or (), None):
            self._add(concept, parent)

    def _add(self, raw: Mapping[str, Any], parent: str | None) -> None:
        code = raw.get("code")
        if not code:
            return
        properties: dict[str, list[str]] = {}
        for prop in raw.get("property") or ():
            value = _written(prop)
            if value is not None and prop.get("code"):
                properties.setdefault(prop["code"], []).append(value)
        # A concept may stand in several places of the tree; its first statement describes it.
        self.concepts.setdefault(code, Concept(code, raw.get("display"), raw.get("definition"), properties))
        for broader in ([parent] if parent else []) + properties.get("parent", []):
            self._link(broader, code)
        for narrower in properties.get("child", ()):
            self._link(code, narrower)

    def _link(self, parent: str, child: str) -> None:
        self.parents.setdefault(child, set()).add(parent)
        self.children.setdefault(parent, set()).add(child)

    @property
    def subsumes_by_hierarchy(self) -> bool:
        """Whether the hierarchy, if there is one, means that a parent subsumes its children."""
        return self.hierarchy_meaning in (None, "is-a")

    def ancestors(self, code: str) -> set[str]:
        """All codes above a code, itself not among them."""
        return _closure(code, self.parents)

    def descendants(self, code: str) -> set[str]:
        """All codes below a code, itself not among them."""
        return _closure(code, self.children)

    def select(self, prop: str, op: str, value: str) -> Callable[[str], bool]:
        """The test that a filter of a value set's compose puts to each code.

        All operators of FHIR R4 are served. A regular expression must match the whole value. Raises
        ContentError for an operator or property that the code system does not define.
        """
        hierarchical = _HIERARCHICAL.get(op)
        if hierarchical is not None:
            if prop not in ("concept", "code") or not self.subsumes_by_hierarchy:
                raise ContentError(
                    f"The filter '{prop} {op} {value}' asks for a subsumption hierarchy that the code system "
                    "does not define.",
                    where=self.url,
                )
            return hierarchical(self, value)
        if prop not in _STANDARD_PROPERTIES and prop not in self._property_names:
            raise ContentError(f"The code system has no property '{prop}' to filter by.", where=self.url)
        test = _value_test(op, value, self.url)
        return lambda code: test(self._values(code, prop))

    def _values(self, code: str, prop: str) -> list[str]:
        concept = self.concepts[code]
        if prop in ("concept", "code"):
            return [code]
        if prop == "display":
            return [concept.display] if concept.display is not None else []
        if prop == "definition":
            return [concept.definition] if concept.definition is not None else []
        if prop == "parent":
            return sorted(self.parents.get(code, ()))
        if prop == "child":
            return sorted(self.children.get(code, ()))
        stated = concept.properties.get(prop, [])
        # notSelectable and inactive default to false where a concept says nothing (CodeSystem, 4.8.7).
        return stated or (["false"] if prop in ("notSelectable", "inactive") else [])


def _walk(concepts: Any, parent: str | None) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """Concepts with their parents, depth first, in the order written, without recursion."""
    stack = [(concept, parent) for concept in reversed(concepts)]
    while stack:
        concept, above = stack.pop()
        yield concept, above
        code = concept.get("code")
        stack.extend((child, code) for child in reversed(concept.get("concept") or ()))


def _written(prop: Mapping[str, Any]) -> str | None:
    for key, value in prop.items():
        if key.startswith("value"):
            if type(value) is dict:
                return value.get("code")
            if type(value) is bool:
                return "true" if value else "false"
            return str(value)
    return None


def _closure(code: str, edges: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(edges.get(code, ()))
    while waiting:
        other = waiting.pop()
        if other not in reached:
            reached.add(other)
            waiting.extend(edges.get(other, ()))
    # A hierarchy that loops back must not make a code its own ancestor.
    reached.discard(code)
    return reached


def _is_a(system: CodeSystemContent, value: str) -> Callable[[str], bool]:
    return (system.descendants(value) | {value}).__contains__


def _descendent_of(system: CodeSystemContent, value: str) -> Callable[[str], bool]:
    return system.descendants(value).__contains__


def _is_not_a(system: CodeSystemContent, value: str) -> Callable[[str], bool]:
    below = system.descendants(value) | {value}
    return lambda code: code not in below


def _generalizes(system: CodeSystemContent, value: str) -> Callable[[str], bool]:
    return (system.ancestors(value) | {value}).__contains__


_HIERARCHICAL = {
    "is-a": _is_a,
    "descendent-of": _descendent_of,
    "is-not-a": _is_not_a,
    "generalizes": _generalizes,
}


def _value_test(op: str, value: str, where: str) -> Callable[[list[str]], bool]:
    if op == "=":
        return lambda values: value in values
    if op in ("in", "not-in"):
        wanted = {part.strip() for part in value.split(",")}
        if op == "in":
            return lambda values: not wanted.isdisjoint(values)
        return wanted.isdisjoint
    if op == "exists":
        if value not in ("true", "false"):
            raise ContentError(f"The filter 'exists' takes true or false, not '{value}'.", where=where)
        present = value == "true"
        return lambda values: bool(values) is present
    if op == "regex":
        try:
            pattern = re.compile(value)
        except re.error as error:
            raise ContentError(
                f"The filter's regular expression '{value}' is malformed: {error}.", where=where
            ) from error
        return lambda values: any(pattern.fullmatch(v) for v in values)
    raise ContentError(f"The filter operator '{op}' is not one that FHIR R4 defines.", where=where)
