"""Who answers for a patient: named rules over FHIR resources, pure functions.

A provider or organization is named by its reference (``Practitioner/1``, ``Organization/2``), or, where a
reference is logical, by ``system|value`` (an NPI, a TIN).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from measurewise.engine.errors import NotFoundError

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


def most_visits(resources: Iterable[Resource], span: Span) -> frozenset[str]:
    """The clinician with the most encounters held in the span; of several with as many, the one seen last.

    All names of that one clinician (reference, NPI). Whoever is still level (seen as often, and last at the
    same moment) comes by name, so that the answer is the same each time. Nobody where no encounter in the
    span names a clinician.
    """
    found = list(resources)
    visits: dict[frozenset[str], list[str]] = {}
    for encounter in _of(found, "Encounter"):
        period = encounter.get("period")
        if encounter.get("status") in _NOT_HELD or type(period) is not dict or not span.overlaps(period):
            continue
        seen = {
            clinician
            for participant in _dicts(encounter.get("participant"))
            if span.overlaps(participant.get("period"))
            for reference in _dicts([participant.get("individual")])
            if (clinician := _clinician(reference, found))
        }
        for clinician in seen:
            visits.setdefault(clinician, []).append(str(period.get("start") or period.get("end") or ""))
    if not visits:
        return frozenset()
    merged = _merged(visits)
    # the smallest name among equals: sorted first, and max keeps the first of equals
    return max(
        sorted(merged, key=sorted), key=lambda clinician: (len(merged[clinician]), max(merged[clinician]))
    )


RULES: Mapping[str, Callable[[Iterable[Resource], Span], frozenset[str]]] = {
    "general-practitioner": general_practitioner,
    "managing-organization": managing_organization,
    "encounter-participant": encounter_participant,
    "most-visits": most_visits,
}
"""The rules over one patient's resources, by name; :func:`group_members` is over a Group."""
_BY_VISITS = frozenset({"encounter-participant", "most-visits"})


def counts_for(
    resources: Iterable[Resource],
    span: Span,
    rule: str,
    *,
    provider: frozenset[str] = frozenset(),
    practice: frozenset[str] = frozenset(),
) -> bool:
    """Whether a patient counts, by a rule and in a span, for a provider, a practice (TIN), or both.

    Both are sets of names: ``Practitioner/1``, ``http://hl7.org/fhir/sid/us-npi|1234567893``,
    ``Organization/2``, ``urn:oid:2.16.840.1.113883.4.4|123456789`` (a TIN). Rules over encounters look only
    at encounters of the practice (its ``serviceProvider``, or the organization of a participant's role);
    the others ask for the practice among those they name. Raises NotFoundError for an unknown rule.
    """
    if rule not in RULES:
        raise NotFoundError(f"there is no rule '{rule}'.", mend=f"There are {', '.join(RULES)}.")
    found = list(resources)
    visited = rule in _BY_VISITS
    if practice and visited:
        found = [r for r in found if r.get("resourceType") != "Encounter" or _held_at(r, found, practice)]
    named = RULES[rule](found, span)
    if provider and not named & provider:
        return False
    return bool(named) if visited or not practice else bool(named & practice)


def _held_at(encounter: Resource, resources: list[Resource], practice: frozenset[str]) -> bool:
    references = _dicts([encounter.get("serviceProvider")])
    for participant in _dicts(encounter.get("participant")):
        references += _dicts([participant.get("individual")])
    return bool(_resolved(references, resources) & practice)


def _clinician(reference: Mapping[str, Any], resources: list[Resource]) -> frozenset[str]:
    """The names of the practitioner whom a reference means, nobody for an organization or a relative."""
    roles = {f"PractitionerRole/{role.get('id')}": role for role in _of(resources, "PractitionerRole")}
    names: set[str] = set()
    for name in _named(reference):
        if name in roles:
            practitioner = roles[name].get("practitioner")
            names |= _resolved([practitioner], resources) if type(practitioner) is dict else {name}
        elif "|" in name:
            names.add(name)
        elif name.startswith(("Practitioner/", "PractitionerRole/")):
            names |= _resolved([{"reference": name}], resources)
    return frozenset(name for name in names if not name.startswith("Organization/"))


def _merged(visits: Mapping[frozenset[str], list[str]]) -> dict[frozenset[str], list[str]]:
    """Clinicians who share a name are one."""
    merged: dict[frozenset[str], list[str]] = {}
    for names, starts in visits.items():
        same = [known for known in merged if known & names]
        together = list(starts)
        for known in same:
            together += merged.pop(known)
        merged[frozenset(names.union(*same))] = together
    return merged


def _resolved(references: Iterable[Mapping[str, Any]], resources: list[Resource]) -> frozenset[str]:
    """The names in references; a PractitionerRole at hand also gives its practitioner and organization, and
    a Practitioner or Organization at hand its identifiers (NPI, TIN)."""
    roles = {f"PractitionerRole/{role.get('id')}": role for role in _of(resources, "PractitionerRole")}
    names: set[str] = set()
    for reference in references:
        for name in _named(reference):
            names.add(name)
            role = roles.get(name)
            if role is not None:
                names.update(_named(role.get("practitioner")))
                names.update(_named(role.get("organization")))
    for kind in ("Practitioner", "Organization"):
        for resource in _of(resources, kind):
            if f"{kind}/{resource.get('id')}" in names:
                for identifier in _dicts(resource.get("identifier")):
                    if identifier.get("value"):
                        names.add(f"{identifier.get('system') or ''}|{identifier['value']}")
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
