"""Requirements as text that a person can read."""

from __future__ import annotations

from collections.abc import Iterator

from measurewise.engine.compiler.prefilter.requirements import (
    NOTHING,
    Absent,
    AgeAtTime,
    AgeBetween,
    AllOf,
    AnyOf,
    Coded,
    ElementIn,
    HasResource,
    Present,
    Requirement,
    TimeBound,
    Unreadable,
)

INDENT = "  "


def explain(requirement: Requirement) -> str:
    """A requirement as indented lines.

    ``age 18 to 75 at the end of the measurement period``, ``an Encounter with`` and below it what must be
    true of the Encounter.
    """
    return "\n".join(_lines(requirement))


def _lines(requirement: Requirement) -> Iterator[str]:
    if requirement == NOTHING:
        yield "nobody"
    elif isinstance(requirement, AllOf | AnyOf):
        yield "all of" if isinstance(requirement, AllOf) else "any of"
        for part in requirement.parts:
            yield from (INDENT + line for line in _lines(part))
    elif isinstance(requirement, HasResource):
        article = "an" if requirement.resource_type[:1] in "AEIOU" else "a"
        conditions = list(_lines(requirement.where))
        if conditions == ["anything"]:
            yield f"{article} {requirement.resource_type}"
        else:
            yield f"{article} {requirement.resource_type} with"
            yield from (INDENT + line for line in conditions)
    else:
        yield _leaf(requirement)


def _leaf(requirement: Requirement) -> str:
    if isinstance(requirement, AgeBetween):
        return f"age {_range(requirement.low, requirement.high)} at the {requirement.at}"
    if isinstance(requirement, AgeAtTime):
        return f"age {_range(requirement.low, requirement.high)} at {_time(requirement)}"
    if isinstance(requirement, Coded):
        named = [f'"{use.name or use.url}"' for use in requirement.value_sets]
        named += [f"{system}|{code}" for system, code in requirement.codes]
        return f"{' or '.join(e.name for e in requirement.elements)} in {', '.join(named)}"
    if isinstance(requirement, ElementIn):
        return f"{requirement.element} {' or '.join(requirement.values)}"
    if isinstance(requirement, Present):
        return " or ".join(requirement.elements)
    if isinstance(requirement, Absent):
        return f"no {' nor '.join(requirement.elements)}"
    if isinstance(requirement, TimeBound):
        to_the = "" if requirement.grain == "day" else f", to the {requirement.grain}"
        return f"{_time(requirement)} {requirement.side} the {requirement.moment}{to_the}"
    if isinstance(requirement, Unreadable):
        return f"{requirement.element} that is no date"
    return "anything"


def _time(of: TimeBound | AgeAtTime) -> str:
    return of.element if of.part == "point" else f"{of.element}.{of.part}"


def _range(low: int | None, high: int | None) -> str:
    if low is None:
        return "known" if high is None else f"{high} or less"
    if high is None:
        return f"{low} or more"
    return str(low) if low == high else f"{low} to {high}"
