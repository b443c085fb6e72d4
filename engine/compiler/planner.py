"""Retrieves as look-ups in an inverted index of the record's codes, one pass a type and element.

All retrieves of a run that look at one element of one resource type share an index: code → system → the piles
of resources that they ask for. The first of them to be asked for a patient walks the resources of the type
once and deals each resource out to every pile it belongs to; the others find their answer ready.

A code that has not the shape of FHIR raises TypeError or AttributeError, so that nothing is passed over in
silence: whoever evaluates mends the record and asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from operator import itemgetter
from typing import Any, Protocol

from measurewise.engine.compiler.retrieval import CodeElement, CodeFilter, Retrieval
from measurewise.engine.compiler.runtime_names import U
from measurewise.engine.record.profiles import Label, LabelOrStructure, label_keys

Slots = list[Any]
Test = Callable[[Any], bool]
Piles = list[list[Any] | None]
Members = frozenset[tuple[str | None, str]]
Index = dict[str, dict[str | None, "_Deal"]]

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
    types: dict[str, _Type] = {}
    groups: dict[tuple[str, tuple[CodeElement, ...]], _Group] = {}
    named: dict[tuple[str, tuple[CodeElement, ...]], _NamedValueSets] = {}
    tests: dict[tuple[str, str], Test | None] = {}
    for retrieval, slot in retrievals.items():
        test = None
        if retrieval.template is not None:
            asked = (retrieval.template, retrieval.resource_type)
            if asked not in tests:
                tests[asked] = profiles.predicate(*asked)
            test = tests[asked]
        of_type = types.get(retrieval.resource_type)
        if of_type is None:
            of_type = types[retrieval.resource_type] = _Type(retrieval.resource_type, slots)
            slots += 1
        code_filter = retrieval.code_filter
        if code_filter is None:
            if isinstance(test, LabelOrStructure):
                functions[f"R{slot}"] = _by_label(slot, of_type, test)
            else:
                functions[f"R{slot}"] = _all_of_type(slot, retrieval.resource_type, test)
            continue
        place = (retrieval.resource_type, code_filter.elements)
        if code_filter.comparator == "~" and code_filter.value_set is not None:
            if place not in named:
                named[place] = _NamedValueSets(of_type, code_filter.elements, slots)
                slots += 1
            named[place].tests.append(test)
            functions[f"R{slot}"] = _by_value_set_name(slot, named[place], code_filter.value_set, test)
        else:
            group = groups.get(place)
            if group is None:
                group = groups[place] = _Group(of_type, code_filter.elements, slots)
                slots += 1
            functions[f"R{slot}"] = _from_index(slot, group, group.add(code_filter, test, terminology))
    return functions, slots


class _Type:
    """The resources of one type with the labels of each, found once for a patient."""

    def __init__(self, name: str, slot: int) -> None:
        self.name = name
        self._slot = slot

    def keys(self, s: Slots, resources: list[Any]) -> list[Label]:
        """What :func:`label_keys` says of each resource of the type."""
        if s[self._slot] is U:
            s[self._slot] = label_keys(resources)
        found: list[Label] = s[self._slot]
        return found


def _by_label(slot: int, of_type: _Type, test: LabelOrStructure) -> Callable[[Slots], list[Any]]:
    verdict, structural, name = test.verdict, test.structural, of_type.name

    def retrieve(s: Slots) -> list[Any]:
        resources: list[Any] = s[0].by_type.get(name) or []
        if resources:
            keys = of_type.keys(s, resources)
            said = {key: verdict(key) for key in set(keys)}
            verdicts = set(said.values())
            if verdicts != {True}:
                resources = [
                    r
                    for r, key in zip(resources, keys, strict=True)
                    if said[key] or (said[key] is None and structural(r))
                ]
        s[slot] = resources
        return resources

    return retrieve


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
    """The index of one element of one resource type: piles of resources that retrieves ask for.

    A pile is a code set and a profile's test. Labels answer most tests, so that a resource whose code is
    known is dealt by its label to the piles that take it, and no retrieve has to look at it again.
    """

    def __init__(self, of_type: _Type, elements: tuple[CodeElement, ...], slot: int) -> None:
        self.slot = slot
        self._type = of_type
        self._sets: dict[Any, int] = {}
        self._takers: list[dict[Test | None, int]] = []
        """For each code set the numbers of its piles, by test."""
        self._piles = 0
        self._by_labels = False
        self._index: Index = {}
        self._none = _Deal((), self._takers)
        self._walk = _walker(elements)

    def add(self, code_filter: CodeFilter, test: Test | None, terminology: Terminology) -> int:
        """The number of the pile of a code set under a test."""
        key = (code_filter.value_set, code_filter.version, code_filter.codes)
        number = self._sets.get(key)
        if number is None:
            number = self._sets[key] = len(self._sets)
            self._takers.append({})
            self._enter(number, code_filter, terminology)
        self._by_labels |= isinstance(test, LabelOrStructure)
        takers = self._takers[number]
        pile = takers.get(test)
        if pile is None:
            pile = takers[test] = self._piles
            self._piles += 1
        return pile

    def _enter(self, number: int, code_filter: CodeFilter, terminology: Terminology) -> None:
        if code_filter.value_set is not None:
            members = terminology.members(code_filter.value_set, code_filter.version)
        else:
            members = frozenset(code_filter.codes)
        index = self._index
        mine = self._none.with_set(number)
        for system, code in members:
            systems = index.get(code)
            if systems is None:
                index[code] = {system: mine}
            else:
                others = systems.get(system)
                systems[system] = mine if others is None else others.with_set(number)

    def fill(self, s: Slots) -> Piles:
        """Deal the patient's resources out to the piles."""
        piles: Piles = [None] * self._piles
        resources = s[0].by_type.get(self._type.name)
        if resources:
            keys = self._type.keys(s, resources) if self._by_labels else repeat(None)
            self._walk(resources, keys, self._index, piles)
        s[self.slot] = piles
        return piles


Asked = tuple[tuple[Test, tuple[int, ...]], ...]
Taken = tuple[tuple[int, ...], Asked]
"""The piles that take a resource, and tests with the piles that take it where it passes."""


class _Deal(dict[Label, Taken]):
    """Where resources go whose code is in certain code sets, by their labels."""

    __slots__ = ("_larger", "_sets", "_takers")

    def __init__(self, sets: tuple[int, ...], takers: list[dict[Test | None, int]]) -> None:
        self._sets = sets
        self._takers = takers
        self._larger: dict[int, _Deal] = {}

    def with_set(self, number: int) -> _Deal:
        """The deal of codes that are in one more code set; one object for all of them."""
        found = self._larger.get(number)
        if found is None:
            found = self._larger[number] = _Deal((*self._sets, number), self._takers)
        return found

    def __missing__(self, key: Label) -> Taken:
        if isinstance(key, Exception):
            raise key
        sure: list[int] = []
        asked: dict[Test, list[int]] = {}
        for number in self._sets:
            for test, pile in self._takers[number].items():
                verdict = test is None or (test.verdict(key) if isinstance(test, LabelOrStructure) else None)
                if verdict:
                    sure.append(pile)
                elif verdict is None and test is not None:
                    structural = test.structural if isinstance(test, LabelOrStructure) else test
                    asked.setdefault(structural, []).append(pile)
        if len(self) > 1000:
            self.clear()
        self[key] = found = (tuple(sure), tuple((test, tuple(piles)) for test, piles in asked.items()))
        return found


def _walker(elements: tuple[CodeElement, ...]) -> Callable[[list[Any], Iterable[Label], Index, Piles], None]:
    if len(elements) == 1 and elements[0].kind == "CodeableConcept" and not elements[0].repeats:
        name = elements[0].name
        element_of, codings_of = itemgetter(name), itemgetter("coding")

        def walk_concept(resources: list[Any], keys: Iterable[Label], index: Index, piles: Piles) -> None:
            find: Callable[[Any], dict[str | None, _Deal] | None] = index.get
            try:
                # Step by step for all, since a record that was just read has to be fetched from memory, and
                # such short loops let one fetch begin before the other ends.
                listed = list(map(codings_of, list(map(element_of, resources))))
            except (KeyError, TypeError):
                listed = [_codings(resource.get(name)) for resource in resources]
            for resource, key, codings in zip(resources, keys, listed, strict=False):
                for coding in codings or ():
                    code = coding.get("code")
                    systems = find(code)
                    if systems is not None:
                        system = coding.get("system")
                        deal = systems.get(system)
                        if deal is not None:
                            sure, asked = deal[key]
                            for number in sure:
                                pile = piles[number]
                                if pile is None:
                                    piles[number] = [resource]
                                elif pile[-1] is not resource:
                                    pile.append(resource)
                            if asked:
                                _ask(resource, asked, piles)
                        elif system is not None and type(system) is not str:
                            raise _no_string(system)
                    elif type(code) is not str and code is not None:
                        raise _no_string(code)

        return walk_concept

    def walk(resources: list[Any], keys: Iterable[Label], index: Any, piles: Piles) -> None:
        for resource, key in zip(resources, keys, strict=False):
            for element in elements:
                value = resource.get(element.name)
                if value is None:
                    continue
                if element.kind == "code":
                    for code in value if isinstance(value, list) else (value,):
                        if type(code) is not str and code is not None:
                            raise _no_string(code)
                        for known in (index.get(code) or {}).values():
                            _deal(resource, known[key], piles)
                    continue
                concepts = element.kind == "CodeableConcept"
                for item in value if type(value) is list else (value,):
                    if item is None:
                        continue
                    for coding in (item.get("coding") or ()) if concepts else (item,):
                        code = coding.get("code")
                        systems = index.get(code)
                        if systems is not None:
                            system = coding.get("system")
                            deal = systems.get(system)
                            if deal is not None:
                                _deal(resource, deal[key], piles)
                            elif system is not None and type(system) is not str:
                                raise _no_string(system)
                        elif type(code) is not str and code is not None:
                            raise _no_string(code)

    return walk


def _codings(concept: Any) -> Any:
    return None if concept is None else concept.get("coding")


def _no_string(found: Any) -> TypeError:
    return TypeError(f"a {type(found).__name__} stands where a code or its system belongs")


def _deal(resource: Any, taken: Taken, piles: Piles) -> None:
    sure, asked = taken
    for number in sure:
        pile = piles[number]
        if pile is None:
            piles[number] = [resource]
        elif pile[-1] is not resource:
            pile.append(resource)
    if asked:
        _ask(resource, asked, piles)


def _ask(resource: Any, asked: Asked, piles: Piles) -> None:
    for test, numbers in asked:
        if test(resource):
            for number in numbers:
                pile = piles[number]
                if pile is None:
                    piles[number] = [resource]
                elif pile[-1] is not resource:
                    pile.append(resource)


def _from_index(slot: int, group: _Group, number: int) -> Callable[[Slots], list[Any]]:
    index_slot = group.slot
    fill = group.fill

    def retrieve(s: Slots) -> list[Any]:
        piles = s[index_slot]
        if piles is U:
            piles = fill(s)
        found: list[Any] = piles[number] or []
        s[slot] = found
        return found

    return retrieve


class _NamedValueSets:
    """Resources of one type by the value sets they name, found in one pass."""

    def __init__(self, of_type: _Type, elements: tuple[CodeElement, ...], slot: int) -> None:
        self.slot = slot
        self.tests: list[Test | None] = []
        self._type = of_type
        self._names = [e.name for e in elements]
        self._tests: tuple[list[LabelOrStructure] | None] | None = None

    def fill(self, s: Slots) -> dict[str, list[Any]]:
        """The resources of the patient by the URL of the value set that their element names."""
        found: dict[str, list[Any]] = {}
        for resource in self._candidates(s):
            for name in self._names:
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

    def _candidates(self, s: Slots) -> list[Any]:
        """The resources that are not ruled out by their labels: few profiles are of things not done."""
        resources: list[Any] = s[0].by_type.get(self._type.name) or []
        tests = self._by_labels()
        if not resources or tests is None:
            return resources
        keys = self._type.keys(s, resources)
        wanted = {
            key
            for key in set(keys)
            if isinstance(key, Exception) or any(test.verdict(key) is not False for test in tests)
        }
        return [r for r, key in zip(resources, keys, strict=True) if key in wanted] if wanted else []

    def _by_labels(self) -> list[LabelOrStructure] | None:
        """The tests of all retrieves, or None where not all of them go by labels."""
        if self._tests is None:
            tests = [test for test in self.tests if isinstance(test, LabelOrStructure)]
            self._tests = (tests if len(tests) == len(self.tests) else None,)
        return self._tests[0]


def _by_value_set_name(
    slot: int, named: _NamedValueSets, value_set: str, test: Test | None
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
