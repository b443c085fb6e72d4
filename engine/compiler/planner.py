"""Retrieves as look-ups in an inverted index of the record's codes, one pass a type and element.

All retrieves of a run that look at one element of one resource type share an index: code → system → which of
their code sets hold it. The first of them to be asked for a patient walks the resources of the type once and
deals each resource out to every code set it belongs to; the others find their answer ready.

A code that has not the shape of FHIR raises TypeError or AttributeError, so that nothing is passed over in
silence: whoever evaluates mends the record and asks again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from measurewise.engine.compiler.retrieval import CodeElement, CodeFilter, Retrieval
from measurewise.engine.compiler.runtime_names import U
from measurewise.engine.record.profiles import LabelOrStructure, label_key

Slots = list[Any]
Members = frozenset[tuple[str | None, str]]

NOT_DONE_VALUE_SET = "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-notDoneValueSet"
"""The extension by which a negated resource names the value set that it stands for (QI-Core "Negation")."""


class Terminology(Protocol):
    """Where the members of value sets come from."""

    def members(self, url: str, version: str | None = None) -> Members:
        """The (system, code) pairs of a value set."""
        ...


class ProfileMatching(Protocol):
    """Decides which resources a retrieve of a profile means."""

    def predicate(self, template: str, resource_type: str) -> Callable[[Any], bool] | None:
        """A test of resources of a type, or None when all of them are meant."""
        ...


def plan(
    retrievals: dict[Retrieval, int], slots: int, terminology: Terminology, profiles: ProfileMatching
) -> tuple[dict[str, Callable[[Slots], list[Any]]], int]:
    """The functions ``R<slot>`` of a run's retrieves, and the number of slots with those the indexes need."""
    functions: dict[str, Callable[[Slots], list[Any]]] = {}
    groups: dict[tuple[str, tuple[CodeElement, ...]], _Group] = {}
    labels: dict[str, _Labelled] = {}
    named: dict[tuple[str, tuple[CodeElement, ...]], _NamedValueSets] = {}
    for retrieval, slot in retrievals.items():
        test = None
        if retrieval.template is not None:
            test = profiles.predicate(retrieval.template, retrieval.resource_type)
        code_filter = retrieval.code_filter
        if code_filter is None:
            if isinstance(test, LabelOrStructure):
                labelled = labels.get(retrieval.resource_type)
                if labelled is None:
                    labelled = labels[retrieval.resource_type] = _Labelled(retrieval.resource_type, slots)
                    slots += 1
                functions[f"R{slot}"] = _by_label(slot, labelled, test)
            else:
                functions[f"R{slot}"] = _all_of_type(slot, retrieval.resource_type, test)
        elif code_filter.comparator == "~" and code_filter.value_set is not None:
            place = (retrieval.resource_type, code_filter.elements)
            if place not in named:
                named[place] = _NamedValueSets(*place, slots)
                slots += 1
            functions[f"R{slot}"] = _by_value_set_name(slot, named[place], code_filter.value_set, test)
        else:
            key = (retrieval.resource_type, code_filter.elements)
            group = groups.get(key)
            if group is None:
                group = groups[key] = _Group(retrieval.resource_type, code_filter.elements, slots)
                slots += 1
            number = group.add(code_filter, terminology)
            functions[f"R{slot}"] = _from_index(slot, group, number, test)
    return functions, slots


class _Labelled:
    """The resources of one type by their labels."""

    def __init__(self, resource_type: str, slot: int) -> None:
        self.resource_type = resource_type
        self.slot = slot

    def fill(self, s: Slots) -> dict[Any, list[tuple[int, Any]]]:
        """Place in the record and resource, by label."""
        found: dict[Any, list[tuple[int, Any]]] = {}
        for place, resource in enumerate(s[0].by_type.get(self.resource_type) or ()):
            key = label_key(resource)
            pile = found.get(key)
            if pile is None:
                found[key] = [(place, resource)]
            else:
                pile.append((place, resource))
        s[self.slot] = found
        return found


def _by_label(slot: int, labelled: _Labelled, test: LabelOrStructure) -> Callable[[Slots], list[Any]]:
    verdict, structural = test.verdict, test.structural

    def retrieve(s: Slots) -> list[Any]:
        piles = s[labelled.slot]
        if piles is U:
            piles = labelled.fill(s)
        taken: list[list[tuple[int, Any]]] = []
        for key, pile in piles.items():
            said = verdict(key)
            if said is None:
                pile = [one for one in pile if structural(one[1])]
            elif not said:
                continue
            if pile:
                taken.append(pile)
        if len(taken) == 1:
            found = [one[1] for one in taken[0]]
        else:
            found = [one[1] for one in sorted((o for p in taken for o in p), key=_place)]
        s[slot] = found
        return found

    return retrieve


def _place(one: tuple[int, Any]) -> int:
    return one[0]


def _all_of_type(
    slot: int, resource_type: str, test: Callable[[Any], bool] | None
) -> Callable[[Slots], list[Any]]:
    def retrieve(s: Slots) -> list[Any]:
        found: list[Any] = s[0].by_type.get(resource_type) or []
        if test is not None and found:
            found = [r for r in found if test(r)]
        s[slot] = found
        return found

    return retrieve


class _Group:
    """The index of one element of one resource type."""

    def __init__(self, resource_type: str, elements: tuple[CodeElement, ...], slot: int) -> None:
        self.resource_type = resource_type
        self.elements = elements
        self.slot = slot
        self.sets: dict[Any, int] = {}
        self.index: dict[str, dict[str | None, tuple[int, ...]]] = {}
        self._walk = _walker(elements)

    def add(self, code_filter: CodeFilter, terminology: Terminology) -> int:
        """The number of a code set in this index."""
        key = (code_filter.value_set, code_filter.version, code_filter.codes)
        number = self.sets.get(key)
        if number is not None:
            return number
        number = self.sets[key] = len(self.sets)
        if code_filter.value_set is not None:
            members = terminology.members(code_filter.value_set, code_filter.version)
        else:
            members = frozenset(code_filter.codes)
        index = self.index
        mine = (number,)
        for system, code in members:
            systems = index.get(code)
            if systems is None:
                index[code] = {system: mine}
            else:
                systems[system] = (*systems.get(system, ()), number)
        return number

    def fill(self, s: Slots) -> list[list[Any] | None]:
        """Deal the patient's resources out to the code sets."""
        hits: list[list[Any] | None] = [None] * len(self.sets)
        resources = s[0].by_type.get(self.resource_type)
        if resources:
            self._walk(resources, self.index, hits)
        s[self.slot] = hits
        return hits


def _walker(
    elements: tuple[CodeElement, ...],
) -> Callable[[list[Any], dict[str, dict[str | None, tuple[int, ...]]], list[list[Any] | None]], None]:
    if len(elements) == 1 and elements[0].kind == "CodeableConcept" and not elements[0].repeats:
        name = elements[0].name

        def walk_concept(resources: list[Any], index: Any, hits: list[list[Any] | None]) -> None:
            for resource in resources:
                concept = resource.get(name)
                if concept is None:
                    continue
                for coding in concept.get("coding") or ():
                    code = coding.get("code")
                    systems = index.get(code)
                    if systems is not None:
                        system = coding.get("system")
                        numbers = systems.get(system)
                        if numbers is not None:
                            _deal(resource, numbers, hits)
                        elif system is not None and type(system) is not str:
                            raise _no_string(system)
                    elif type(code) is not str and code is not None:
                        raise _no_string(code)

        return walk_concept

    def walk(resources: list[Any], index: Any, hits: list[list[Any] | None]) -> None:
        for resource in resources:
            for element in elements:
                value = resource.get(element.name)
                if value is None:
                    continue
                if element.kind == "code":
                    for code in value if isinstance(value, list) else (value,):
                        if type(code) is not str and code is not None:
                            raise _no_string(code)
                        for numbers in (index.get(code) or {}).values():
                            _deal(resource, numbers, hits)
                    continue
                for item in value if isinstance(value, list) else (value,):
                    if item is None:
                        continue
                    for coding in (
                        (item.get("coding") or ()) if element.kind == "CodeableConcept" else (item,)
                    ):
                        code = coding.get("code")
                        systems = index.get(code)
                        if systems is not None:
                            system = coding.get("system")
                            numbers = systems.get(system)
                            if numbers is not None:
                                _deal(resource, numbers, hits)
                            elif system is not None and type(system) is not str:
                                raise _no_string(system)
                        elif type(code) is not str and code is not None:
                            raise _no_string(code)

    return walk


def _no_string(found: Any) -> TypeError:
    return TypeError(f"a {type(found).__name__} stands where a code or its system belongs")


def _deal(resource: Any, numbers: tuple[int, ...], hits: list[list[Any] | None]) -> None:
    for number in numbers:
        pile = hits[number]
        if pile is None:
            hits[number] = [resource]
        elif pile[-1] is not resource:
            pile.append(resource)


def _from_index(
    slot: int, group: _Group, number: int, test: Callable[[Any], bool] | None
) -> Callable[[Slots], list[Any]]:
    index_slot = group.slot
    fill = group.fill
    if test is None:

        def retrieve(s: Slots) -> list[Any]:
            hits = s[index_slot]
            if hits is U:
                hits = fill(s)
            found: list[Any] = hits[number] or []
            s[slot] = found
            return found

        return retrieve

    def retrieve_tested(s: Slots) -> list[Any]:
        hits = s[index_slot]
        if hits is U:
            hits = fill(s)
        pile = hits[number]
        found: list[Any] = [r for r in pile if test(r)] if pile else []
        s[slot] = found
        return found

    return retrieve_tested


class _NamedValueSets:
    """Resources of one type by the value sets they name, found in one pass."""

    def __init__(self, resource_type: str, elements: tuple[CodeElement, ...], slot: int) -> None:
        self.resource_type = resource_type
        self.names = [e.name for e in elements]
        self.slot = slot

    def fill(self, s: Slots) -> dict[str, list[Any]]:
        """The resources of the patient by the URL of the value set that their element names."""
        found: dict[str, list[Any]] = {}
        for resource in s[0].by_type.get(self.resource_type) or ():
            for name in self.names:
                value = resource.get(name)
                if value is None:
                    continue
                for item in value if type(value) is list else (value,):
                    if type(item) is dict:
                        for url in _named_value_sets(item):
                            pile = found.setdefault(url, [])
                            if not pile or pile[-1] is not resource:
                                pile.append(resource)
        s[self.slot] = found
        return found


def _by_value_set_name(
    slot: int, named: _NamedValueSets, value_set: str, test: Callable[[Any], bool] | None
) -> Callable[[Slots], list[Any]]:
    """``[X: code ~ "Value Set"]``: resources that name the value set itself instead of one of its codes."""

    def retrieve(s: Slots) -> list[Any]:
        found = s[named.slot]
        if found is U:
            found = named.fill(s)
        pile: list[Any] = found.get(value_set) or []
        if pile and test is not None:
            pile = [r for r in pile if test(r)]
        s[slot] = pile
        return pile

    return retrieve


def _named_value_sets(item: dict[str, Any]) -> list[str]:
    """The value sets that a CodeableConcept or Coding names, on itself or on one of its codings."""
    found: list[str] = []
    holders = [item] if "extension" in item else []
    for coding in item.get("coding") or ():
        if "extension" in coding:
            holders.append(coding)
    for holder in holders:
        for extension in holder["extension"] or ():
            if type(extension) is dict and extension.get("url") == NOT_DONE_VALUE_SET:
                named = extension.get("valueCanonical") or extension.get("valueUri") or ""
                found.append(str(named).partition("|")[0])
    return found
