"""Who answers for a patient: named rules over FHIR resources, pure functions.

A provider or organization is named by its reference (``Practitioner/1``, ``Organization/2``), or, where a
reference is logical, by ``system|value`` (an NPI, a TIN).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Resource = Mapping[str, Any]
_NOT_HELD = frozenset({"planned", "cancelled", "entered-in-error"})


class Span(NamedTuple):
    """Two dates, ``YYYY-MM-DD``, both inclusive."""

    start: str
    end: str

    def overlaps(self, period: Any) -> bool:
        """Whether a FHIR Period shares a day with the span; an absent end is open, as is an absent Period."""
        if type(period) is not dict:
            return True
        start, end = period.get("start"), period.get("end")
        # a partial date means all its days: 2026-05 begins before 2026-05-31 and ends after 2026-05-01
        begins = type(start) is not str or start[:10] <= self.end
        ends = type(end) is not str or end[:10] >= self.start[: len(end[:10])]
        return begins and ends


def group_members(group: Resource, span: Span) -> frozenset[str]:
    """The members of a Group who were active in a span, as references."""
    members: set[str] = set()
    for member in _dicts(group.get("member")):
        if member.get("inactive") is not True and span.overlaps(member.get("period")):
            members.update(_named(member.get("entity")))
    return frozenset(members)


def general_practitioner(resources: Iterable[Resource], span: Span) -> frozenset[str]:
    """``Patient.generalPractitioner``: practitioners and organizations."""
    found = list(resources)
    return _resolved((r for p in _of(found, "Patient") for r in _dicts(p.get("generalPractitioner"))), found)


def managing_organization(resources: Iterable[Resource], span: Span) -> frozenset[str]:
    """``Patient.managingOrganization``."""
    return frozenset(
        name for p in _of(resources, "Patient") for name in _named(p.get("managingOrganization"))
    )


def encounter_participant(resources: Iterable[Resource], span: Span) -> frozenset[str]:
    """The participants of encounters held in the span, and the encounters' ``serviceProvider``."""
    found = list(resources)
    references: list[Mapping[str, Any]] = []
    for encounter in _of(found, "Encounter"):
        period = encounter.get("period")
        # an encounter with no period is not known to be in the span
        if encounter.get("status") in _NOT_HELD or type(period) is not dict or not span.overlaps(period):
            continue
        for participant in _dicts(encounter.get("participant")):
            if span.overlaps(participant.get("period")):
                references += _dicts([participant.get("individual")])
        references += _dicts([encounter.get("serviceProvider")])
    return _resolved(references, found)


RULES: Mapping[str, Callable[[Iterable[Resource], Span], frozenset[str]]] = {
    "general-practitioner": general_practitioner,
    "managing-organization": managing_organization,
    "encounter-participant": encounter_participant,
}
"""The rules over one patient's resources, by name; :func:`group_members` is over a Group."""


def _resolved(references: Iterable[Mapping[str, Any]], resources: list[Resource]) -> frozenset[str]:
    """The names in references; a PractitionerRole at hand also gives its practitioner and organization."""
    roles = {f"PractitionerRole/{role.get('id')}": role for role in _of(resources, "PractitionerRole")}
    names: set[str] = set()
    for reference in references:
        for name in _named(reference):
            names.add(name)
            role = roles.get(name)
            if role is not None:
                names.update(_named(role.get("practitioner")))
                names.update(_named(role.get("organization")))
    return frozenset(names)


def _named(reference: Any) -> list[str]:
    """``Type/id`` of a literal reference and ``system|value`` of a logical one."""
    if type(reference) is not dict:
        return []
    names: list[str] = []
    literal = reference.get("reference")
    if type(literal) is str:
        parts = literal.partition("/_history/")[0].split("/")
        if len(parts) > 1:
            names.append("/".join(parts[-2:]))
    identifier = reference.get("identifier")
    if type(identifier) is dict and identifier.get("value"):
        names.append(f"{identifier.get('system') or ''}|{identifier['value']}")
    return names


def _of(resources: Iterable[Resource], resource_type: str) -> list[Resource]:
    return [resource for resource in resources if resource.get("resourceType") == resource_type]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if type(one) is dict] if type(value) is list else []
