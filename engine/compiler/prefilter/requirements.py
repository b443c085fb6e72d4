"""What must be true of a patient, as plain data that can be checked, written as JSON and read by a person.

A requirement holds of a patient; a condition holds of one resource. Both are trees of :class:`AllOf` and
:class:`AnyOf` over leaves: of the patient :class:`HasResource` and :class:`AgeBetween`, of a resource
:class:`Coded`, :class:`ElementIn`, :class:`Present`, :class:`Absent`, :class:`TimeBound`,
:class:`Unreadable` and :class:`AgeAtTime`. :class:`Anything` holds always, ``AnyOf(())`` never.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from measurewise.engine.compiler.prefilter.moments import Moment
from measurewise.engine.compiler.retrieval import CodeElement


@dataclass(frozen=True, slots=True)
class Anything:
    """Holds of everybody: nothing is known that must be true."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some part holds; without parts, nothing does."""

    parts: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class HasResource:
    """The record has a resource of a type that meets a condition."""

    resource_type: str
    where: Requirement = Anything()


@dataclass(frozen=True, slots=True)
class AgeBetween:
    """The age in whole years at a moment lies between two bounds, both included."""

    low: int | None
    high: int | None
    at: Moment


@dataclass(frozen=True, slots=True)
class ValueSetUse:
    """A value set by its canonical URL; ``name`` is what the library calls it."""

    url: str
    version: str | None = None
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Coded:
    """One of some elements has a code of some value sets or of a list of (system, code)."""

    elements: tuple[CodeElement, ...]
    value_sets: tuple[ValueSetUse, ...] = ()
    codes: tuple[tuple[str | None, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ElementIn:
    """A string element has one of some values."""

    element: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """At least one of some elements is there."""

    elements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """None of some elements is there."""

    elements: tuple[str, ...]


Part = Literal["point", "start", "end"]
Grain = Literal["day", "month", "year"]


@dataclass(frozen=True, slots=True)
class TimeBound:
    """A time of the resource does not lie before, or after, a moment; a time that is missing may lie
    anywhere.

    ``part`` says whether the element is a point in time or a Period, of which the start or end is meant.
    ``grain`` is the coarsest unit in which the logic compares: calendar units that touch are not told apart.
    """

    element: str
    part: Part
    side: Literal["not before", "not after"]
    moment: Moment
    grain: Grain = "day"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An element is there and is not the text of a date; the logic takes it as missing."""

    element: str


@dataclass(frozen=True, slots=True)
class AgeAtTime:
    """The patient's age in whole years at a time of the resource lies between two bounds, both included."""

    element: str
    part: Part
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class OnRow:
    """A condition on the row of a query, by number; stands only in requirements that are being derived."""

    row: int
    condition: Requirement


Leaf = (
    Anything
    | HasResource
    | AgeBetween
    | Coded
    | ElementIn
    | Present
    | Absent
    | TimeBound
    | Unreadable
    | AgeAtTime
    | OnRow
)
Requirement = AllOf | AnyOf | Leaf

ANYTHING = Anything()
NOTHING = AnyOf(())

_BORN = HasResource("Patient", Present(("birthDate",)))


def all_of(parts: Iterable[Requirement]) -> Requirement:
    """That every part holds, without what says nothing or is said twice."""
    kept: list[Requirement] = []
    for part in parts:
        for one in part.parts if isinstance(part, AllOf) else (part,):
            if one == NOTHING:
                return NOTHING
            if isinstance(one, Anything) or any(_implies(known, one) for known in kept):
                continue
            kept = [known for known in kept if not _implies(one, known)]
            kept.append(one)
    if not kept:
        return ANYTHING
    return kept[0] if len(kept) == 1 else AllOf(tuple(kept))


def any_of(parts: Iterable[Requirement]) -> Requirement:
    """That some part holds; parts that differ only in their codes are one, what all ask for stands once."""
    kept: list[Requirement] = []
    for part in parts:
        for one in part.parts if isinstance(part, AnyOf) else (part,):
            if isinstance(one, Anything):
                return ANYTHING
            if any(_implies(one, known) for known in kept):
                continue
            kept = [known for known in kept if not _implies(known, one)]
            kept.append(one)
    kept = _by_type(_merged(kept))
    if len(kept) < 2:
        return kept[0] if kept else NOTHING
    shared = [c for c in conjuncts(kept[0]) if all(c in conjuncts(other) for other in kept[1:])]
    if not shared:
        return AnyOf(tuple(kept))
    rest = any_of(all_of(c for c in conjuncts(part) if c not in shared) for part in kept)
    return all_of([*shared, rest])


def has_resource(resource_type: str, where: Requirement = ANYTHING) -> Requirement:
    """That there is a resource; never, where no resource can meet the condition."""
    return NOTHING if where == NOTHING else HasResource(resource_type, where)


def conjuncts(requirement: Requirement) -> tuple[Requirement, ...]:
    """The parts that must all hold."""
    if isinstance(requirement, AllOf):
        return requirement.parts
    return () if isinstance(requirement, Anything) else (requirement,)


def _implies(strong: Requirement, weak: Requirement) -> bool:
    """Whether one requirement is seen to include another; False where that is not plain to see."""
    if strong == weak or isinstance(weak, Anything):
        return True
    if isinstance(strong, OnRow) and isinstance(weak, OnRow):
        return strong.row == weak.row and _implies(strong.condition, weak.condition)
    if isinstance(strong, Present) and isinstance(weak, Present):
        return set(strong.elements) <= set(weak.elements)
    if weak == _BORN:
        if any(isinstance(part, AgeBetween | AgeAtTime) for part in _needed(strong)):
            return True
    if isinstance(strong, HasResource) and isinstance(weak, HasResource):
        return strong.resource_type == weak.resource_type and _implies(strong.where, weak.where)
    if isinstance(weak, Present) and not _elements(strong).isdisjoint(weak.elements):
        return True
    if isinstance(strong, Coded) and isinstance(weak, Coded):
        return (
            set(strong.elements) <= set(weak.elements)
            and set(strong.value_sets) <= set(weak.value_sets)
            and set(strong.codes) <= set(weak.codes)
        )
    if isinstance(weak, AllOf):
        return all(_implies(strong, part) for part in weak.parts)
    if isinstance(weak, AnyOf) and any(_implies(strong, part) for part in weak.parts):
        return True
    return _implied_by_parts(strong, weak)


def _implied_by_parts(strong: Requirement, weak: Requirement) -> bool:
    if isinstance(strong, AllOf):
        return any(_implies(part, weak) for part in strong.parts)
    return isinstance(strong, AnyOf) and all(_implies(part, weak) for part in strong.parts)


def _needed(requirement: Requirement) -> Iterator[Requirement]:
    """The parts of a requirement that must hold, those of a resource that must be there included."""
    for part in conjuncts(requirement):
        if isinstance(part, HasResource):
            yield from _needed(part.where)
        else:
            yield part


def _elements(condition: Requirement) -> frozenset[str]:
    """The elements of which a condition asks that one be there, where they are few enough to tell."""
    if isinstance(condition, ElementIn | Unreadable):
        return frozenset((condition.element,))
    if isinstance(condition, Coded) and len(condition.elements) == 1:
        return frozenset((condition.elements[0].name,))
    if isinstance(condition, Present) and len(condition.elements) == 1:
        return frozenset(condition.elements)
    return frozenset()


def _merged(parts: list[Requirement]) -> list[Requirement]:
    """Alternatives that differ in nothing but the codes of one element, as one with all the codes."""
    found: dict[object, Requirement] = {}
    for number, part in enumerate(parts):
        key, coded = _but_for_codes(part)
        if coded is None:
            found[number] = part
            continue
        known = found.get(key)
        if known is None:
            found[key] = part
            continue
        before = _but_for_codes(known)[1]
        assert before is not None
        wider = Coded(
            coded.elements,
            tuple(dict.fromkeys(before.value_sets + coded.value_sets)),
            tuple(dict.fromkeys(before.codes + coded.codes)),
        )
        found[key] = _with_codes(known, before, wider)
    return list(found.values())


def _by_type(parts: list[Requirement]) -> list[Requirement]:
    """Alternatives that ask for a resource of one type as one, and presences of elements as one."""
    wheres: dict[str, list[Requirement]] = {}
    rows: dict[int, list[Requirement]] = {}
    present: list[str] = []
    others: list[Requirement] = []
    for part in parts:
        if isinstance(part, HasResource):
            wheres.setdefault(part.resource_type, []).append(part.where)
        elif isinstance(part, OnRow):
            rows.setdefault(part.row, []).append(part.condition)
        elif isinstance(part, Present):
            present += part.elements
        else:
            others.append(part)
    found: list[Requirement] = [HasResource(kind, any_of(where)) for kind, where in wheres.items()]
    found += [OnRow(row, any_of(conditions)) for row, conditions in rows.items()]
    if present:
        found.append(Present(tuple(dict.fromkeys(present))))
    return found + others


def _but_for_codes(part: Requirement) -> tuple[object, Coded | None]:
    if isinstance(part, HasResource):
        inner, coded = _but_for_codes(part.where)
        return (part.resource_type, inner), coded
    coded_parts = [p for p in conjuncts(part) if isinstance(p, Coded)]
    if len(coded_parts) != 1:
        return None, None
    rest = frozenset(p for p in conjuncts(part) if not isinstance(p, Coded))
    return (coded_parts[0].elements, rest), coded_parts[0]


def _with_codes(part: Requirement, before: Coded, wider: Coded) -> Requirement:
    if isinstance(part, HasResource):
        return replace(part, where=_with_codes(part.where, before, wider))
    if isinstance(part, AllOf):
        return AllOf(tuple(wider if p is before or p == before else p for p in part.parts))
    return wider


def walk(requirement: Requirement) -> Iterator[Requirement]:
    """A requirement and everything it is made of."""
    yield requirement
    if isinstance(requirement, AllOf | AnyOf):
        for part in requirement.parts:
            yield from walk(part)
    elif isinstance(requirement, HasResource):
        yield from walk(requirement.where)


def resource_types(requirement: Requirement) -> tuple[str, ...]:
    """The resource types that a requirement looks at."""
    return tuple(
        dict.fromkeys(part.resource_type for part in walk(requirement) if isinstance(part, HasResource))
    )


def value_sets(requirement: Requirement) -> tuple[ValueSetUse, ...]:
    """The value sets that a requirement looks at."""
    return tuple(
        dict.fromkeys(use for part in walk(requirement) if isinstance(part, Coded) for use in part.value_sets)
    )
