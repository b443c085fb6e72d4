"""What evaluating a measure yields, as plain values; reports are rendered from these.

A result holds no definition: its tuples are aligned with those of the :class:`Group` it belongs to, and
whoever reads a result holds the :class:`MeasureDefinition` as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from measurewise.engine.measure.coded import CodedValue

ObservedValue = int | Fraction | None
"""An observation's number, exact; None where the observation function yielded null."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One individual observation: of which member (None on a boolean basis), its value, its UCUM unit."""

    member: Any
    value: ObservedValue
    unit: str = "1"


@dataclass(frozen=True, slots=True)
class StratumResult:
    """The part of a group's result that falls into one stratum.

    ``values`` has one entry a component of the stratifier. ``counts`` is aligned with ``Group.populations``;
    None stands where the stratifier does not apply to the population. ``observations`` is aligned with
    ``Group.observations``, ``components`` with the components of a weighted composite.
    """

    values: tuple[CodedValue, ...]
    counts: tuple[int | None, ...]
    observations: tuple[tuple[Observed, ...], ...] = ()
    components: tuple[GroupResult, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One patient in one group.

    ``counts`` is aligned with ``Group.populations``: 0 or 1 on a boolean basis, else the number of members
    (of a composite scored by opportunity: of services). ``members`` holds those members, in the initial
    population's order; empty on a boolean basis. ``observations`` is aligned with ``Group.observations``,
    ``strata`` with ``Group.stratifiers``. ``components`` are the results of a weighted composite's
    components, whose scores over all patients its own score is made of.
    """

    counts: tuple[int, ...]
    members: tuple[tuple[Any, ...], ...] = ()
    observations: tuple[tuple[Observed, ...], ...] = ()
    strata: tuple[tuple[StratumResult, ...], ...] = ()
    components: tuple[GroupResult, ...] = ()


@dataclass(frozen=True, slots=True)
class PatientResult:
    """One patient in one measure.

    ``subject`` is a relative reference (``Patient/123``). ``supplemental_data`` is aligned with
    ``MeasureDefinition.supplemental_data`` and holds CQL values; empty where it was not asked for.
    ``evaluated_resources`` holds references, empty where not asked for.
    """

    measure: str
    subject: str
    groups: tuple[GroupResult, ...]
    supplemental_data: tuple[Any, ...] = ()
    evaluated_resources: tuple[str, ...] = ()

    def compact(self) -> PatientResult:
        """The same result with references in place of member resources, small enough to send elsewhere."""
        return replace(self, groups=tuple(_compact(group) for group in self.groups))


def reference_of(resource: Any) -> str | None:
    """``Type/id`` of a resource, or None of anything that is not a resource with an id."""
    if type(resource) is dict:
        kind = resource.get("resourceType")
        identity = resource.get("id")
        if kind is not None and identity is not None:
            return f"{kind}/{identity}"
    return None


def _compact(group: GroupResult) -> GroupResult:
    return replace(
        group,
        members=tuple(tuple(reference_of(m) or m for m in members) for members in group.members),
        observations=_compact_observations(group.observations),
        strata=tuple(
            tuple(
                replace(
                    s,
                    observations=_compact_observations(s.observations),
                    components=tuple(_compact(part) for part in s.components),
                )
                for s in strata
            )
            for strata in group.strata
        ),
        components=tuple(_compact(part) for part in group.components),
    )


def _compact_observations(
    observations: tuple[tuple[Observed, ...], ...],
) -> tuple[tuple[Observed, ...], ...]:
    return tuple(
        tuple(replace(o, member=reference_of(o.member) or o.member) for o in values)
        for values in observations
    )
