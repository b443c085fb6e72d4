"""Whom a request is about: one patient, a group, a clinician's patients, or everybody."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, select

from measurewise.api.fhir.outcomes import RequestError
from measurewise.engine import Period
from measurewise.fhir_server_adapter.attribution import Span, group_members
from measurewise.store.access import Access
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.resources import Stored, patients, read
from measurewise.store.search import Criterion, Search, search
from measurewise.store.search_index import moments
from measurewise.store.tables import resources, search_values

Kind = Literal["patient", "group", "practitioner", "organization", "everybody"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of its subjects; references such as ``Patient/1``.

    ``group`` is a Group resource in the request itself, ``locations`` are places where encounters were.
    """

    subject: str | None = None
    group: dict[str, Any] | None = None
    practitioner: str | None = None
    organization: str | None = None
    locations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subjects:
    """The patients, as (organisation, id), and what they are to the request."""

    kind: Kind
    patients: tuple[tuple[str, str], ...]
    missing: tuple[str, ...] = ()
    """Members of a group who are not there, or are no patients: reported, never passed over in silence."""


def find_subjects(connection: Connection, access: Access, asked: Asked, period: Period) -> Subjects:
    """The patients of a request. Raises RequestError, NoSuchResourceError (404)."""
    if asked.group is not None and asked.subject is not None:
        raise RequestError("subject and subjectGroup exclude each other.", where="subjectGroup")
    missing: tuple[str, ...] = ()
    kind: Kind
    if asked.group is not None:
        kind, (found, missing) = "group", _members(connection, access, asked.group, period)
    elif asked.subject is None:
        kind, found = "everybody", tuple(patients(connection, access))
    else:
        subject_type, _, identity = asked.subject.rpartition("/")
        match subject_type.rpartition("/")[2] or "Patient":
            case "Patient":
                stored = read(connection, access, "Patient", identity)
                kind, found = "patient", ((stored.organization, stored.id),)
            case "Group":
                group = read(connection, access, "Group", identity).parsed()
                kind, (found, missing) = "group", _members(connection, access, group, period)
            case "Practitioner" | "PractitionerRole":
                read(connection, access, subject_type.rpartition("/")[2], identity)
                kind = "practitioner"
                found = _attributed(
                    connection, access, tuple(patients(connection, access)), asked.subject, period
                )
            case other:
                raise RequestError(
                    f"a {other} cannot be the subject.",
                    code="not-supported",
                    where="subject",
                    mend="Name a Patient, Group or Practitioner.",
                )
    if asked.organization is not None:
        found = _of_organization(connection, access, found, asked.organization, period)
        kind = "organization" if kind == "everybody" else kind
    if asked.practitioner is not None:
        _, _, identity = asked.practitioner.rpartition("/")
        read(connection, access, "Practitioner", identity)
        found = _attributed(connection, access, found, f"Practitioner/{identity}", period)
        kind = "practitioner" if kind == "everybody" else kind
    if asked.locations:
        places = {("Location", location.rpartition("/")[2]) for location in asked.locations}
        for place in sorted(places):
            read(connection, access, *place)
        found = _intersect(found, _named(connection, access, places, period))
    return Subjects(kind, found, missing)


def _members(
    connection: Connection, access: Access, group: dict[str, Any], period: Period
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The patients of a Group, and of the groups it holds, who were members in the period.

    Beside them the members who are not there, or are no patients. A group is looked at once, however often
    it is held. Raises RequestError for a group whose members cannot be told.
    """
    found: dict[tuple[str, str], None] = {}
    missing: dict[str, None] = {}
    pending, seen = [group], {str(group.get("id"))}
    while pending:
        for number, member in enumerate(_listed(pending.pop())):
            if not isinstance(member, dict):
                missing[f"Group.member[{number}]"] = None
                continue
            if not _was_member(member, period):
                continue
            names = sorted(group_members({"member": [member]}, _span(period)))
            stored = _first_known(connection, access, names)
            if stored is None:
                missing[" or ".join(names) or f"Group.member[{number}]"] = None
            elif stored.type == "Patient":
                found[stored.organization, stored.id] = None
            elif stored.id not in seen:
                seen.add(stored.id)
                pending.append(stored.parsed())
    return tuple(found), tuple(missing)


def _listed(group: dict[str, Any]) -> list[Any]:
    """The entries of ``Group.member``. Raises RequestError for a group that lists nobody it could list."""
    if group.get("type", "person") != "person":
        raise RequestError(f"the Group is of type '{group.get('type')}'.", where="Group.type")
    members = group.get("member", [])
    if not isinstance(members, list):
        raise RequestError("the members of the Group are no list.", code="structure", where="Group.member")
    if not members and group.get("characteristic"):
        raise RequestError(
            "the Group says by characteristics who belongs to it; such groups are not worked out here.",
            code="not-supported",
            where="Group.characteristic",
            mend="List its patients in Group.member.",
        )
    return members


def _was_member(member: dict[str, Any], period: Period) -> bool:
    return member.get("inactive") is not True and _span(period).overlaps(member.get("period"))


def _first_known(connection: Connection, access: Access, names: list[str]) -> Stored | None:
    """The Patient or Group that goes by one of these names: ``Type/id``, or ``system|value`` of a Patient."""
    for name in names:
        kind, _, identity = name.rpartition("/")
        if "|" in name:
            asked = Search("Patient", (Criterion.parse("identifier", name),), count=2, total=False)
            matches = search(connection, access, asked, lambda _url: []).matches
            if len(matches) == 1:
                return matches[0]
        elif kind in ("Patient", "Group"):
            with suppress(NoSuchResourceError):
                return read(connection, access, kind, identity)
    return None


def _attributed(
    connection: Connection,
    access: Access,
    candidates: tuple[tuple[str, str], ...],
    practitioner: str,
    period: Period,
) -> tuple[tuple[str, str], ...]:
    """Those who have the practitioner as general practitioner, or saw them in an encounter of the period."""
    kind, _, identity = practitioner.rpartition("/")
    names = {(kind, identity)}
    roles = select(resources.c.id).where(
        resources.c.type == "PractitionerRole",
        resources.c.deleted.is_(False),
        access.rows(resources),
        resources.c.key.in_(
            select(search_values.c.resource).where(
                search_values.c.parameter == "practitioner", search_values.c.value == identity
            )
        ),
    )
    names |= {("PractitionerRole", role) for (role,) in connection.execute(roles)}
    return _intersect(candidates, _named(connection, access, names, period))


def _of_organization(
    connection: Connection,
    access: Access,
    candidates: tuple[tuple[str, str], ...],
    organization: str,
    period: Period,
) -> tuple[tuple[str, str], ...]:
    """Those whose managing organisation or general practitioner it is, or who were seen there."""
    _, _, identity = organization.rpartition("/")
    read(connection, access, "Organization", identity)
    return _intersect(candidates, _named(connection, access, {("Organization", identity)}, period))


def _intersect(
    candidates: tuple[tuple[str, str], ...], found: set[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    return tuple(candidate for candidate in candidates if candidate in found)


def _named(
    connection: Connection, access: Access, names: set[tuple[str, str]], period: Period
) -> set[tuple[str, str]]:
    """Patients who name one of these as theirs, or whose encounters in the period do."""
    found: set[tuple[str, str]] = set()
    values = search_values.c
    for kind, identity in names:
        base = (
            select(resources.c.organization, resources.c.patient)
            .join(search_values, values.resource == resources.c.key)
            .where(
                resources.c.deleted.is_(False),
                resources.c.patient.is_not(None),
                access.rows(resources),
                values.system == kind,
                values.value == identity,
            )
        )
        theirs = base.where(
            resources.c.type == "Patient", values.parameter.in_(("general-practitioner", "organization"))
        )
        start, end = moments(period.start), moments(period.end)
        held = select(values.resource).where(
            values.parameter == "date",
            values.low <= (end[1] if end else 0),
            values.high >= (start[0] if start else 0),
        )
        cancelled = select(values.resource).where(
            values.parameter == "status", values.value.in_(("planned", "cancelled", "entered-in-error"))
        )
        seen = base.where(
            resources.c.type == "Encounter",
            values.parameter.in_(("participant", "service-provider", "location")),
            resources.c.key.in_(held),
            resources.c.key.not_in(cancelled),
        )
        for query in (theirs, seen):
            found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def _span(period: Period) -> Span:
    return Span(period.start[:10], period.end[:10])
