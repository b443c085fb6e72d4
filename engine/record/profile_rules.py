"""The rules of ``profiles.json`` as tests on a resource's JSON.

An element that has not the shape of FHIR raises TypeError or AttributeError, so that no resource is passed
over for it in silence: whoever evaluates mends the record and asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from measurewise.engine.errors import ContentError

Predicate = Callable[[Mapping[str, Any]], bool]
Codings = frozenset[tuple[str | None, str | None]]


def compiled(rule: Mapping[str, Any]) -> Predicate:
    """The test of one rule; raises ContentError for a rule of no known form."""
    if "any" in rule:
        return any_of([compiled(part) for part in rule["any"]])
    if "coding" in rule:
        rivals = _codings(rule["unless"]) if "unless" in rule else None
        return _coding(rule["element"], _codings(rule["coding"]), rivals)
    if "extension" in rule:
        return _extension(frozenset(rule["extension"]), rule["is"])
    if "is" in rule:
        return _is(rule["element"], rule["is"])
    if "refersTo" in rule:
        return _refers_to(rule["element"], frozenset(rule["refersTo"]))
    if "present" in rule:
        return _present(tuple(rule["present"]))
    raise ContentError(f"A profile rule has no known form: {dict(rule)}.")


def all_of(tests: Sequence[Predicate]) -> Predicate:
    """The test that all tests pass."""
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda resource: first(resource) and second(resource)
    return lambda resource: all(test(resource) for test in tests)


def any_of(tests: Sequence[Predicate]) -> Predicate:
    """The test that some test passes."""
    return lambda resource: any(test(resource) for test in tests)


def none_of(tests: Sequence[Predicate]) -> list[Predicate]:
    """The opposite of each test."""
    return [_opposite(test) for test in tests]


def _opposite(test: Predicate) -> Predicate:
    return lambda resource: not test(resource)


def _codings(pairs: Sequence[Sequence[str]]) -> Codings:
    return frozenset((system, code) for system, code in pairs)


def _stated(element: Any) -> Iterator[tuple[str | None, str | None]]:
    """The (system, code) pairs of a CodeableConcept or a list of them."""
    for concept in element if type(element) is list else (element,):
        if concept is not None:
            for coding in concept.get("coding") or ():
                yield coding.get("system"), coding.get("code")


def _coding(name: str, wanted: Codings, rivals: Codings | None) -> Predicate:
    if rivals is None:
        return lambda resource: any(pair in wanted for pair in _stated(resource.get(name)))

    def wanted_or_no_rival(resource: Mapping[str, Any]) -> bool:
        rival = False
        for pair in _stated(resource.get(name)):
            if pair in wanted:
                return True
            if pair in rivals:
                rival = True
        return not rival

    return wanted_or_no_rival


def _is(name: str, values: list[Any]) -> Predicate:
    return lambda resource: resource.get(name) in values


def _extension(urls: frozenset[str], value: bool) -> Predicate:
    def carries(resource: Mapping[str, Any]) -> bool:
        for name in ("modifierExtension", "extension"):
            for extension in resource.get(name) or ():
                if extension.get("url") in urls and extension.get("valueBoolean") is value:
                    return True
        return False

    return carries


def _refers_to(name: str, types: frozenset[str]) -> Predicate:
    def refers(resource: Mapping[str, Any]) -> bool:
        target = resource.get(name)
        if target is None:
            return False
        stated = target.get("type")
        if stated is None:
            segments = str(target.get("reference") or "").partition("/_history/")[0].split("/")
            stated = segments[-2] if len(segments) > 1 else None
        return stated in types

    return refers


def _present(names: tuple[str, ...]) -> Predicate:
    return lambda resource: any(resource.get(name) is not None for name in names)
