"""Who counts for a clinician, a practice or both in a period: a Group, by a named rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from measurewise.api.services.records import patient_records
from measurewise.engine import Period
from measurewise.engine.errors import MeasurewiseError
from measurewise.fhir_server_adapter.attribution import RULES, Span, counts_for
from measurewise.store.access import Access
from measurewise.store.database import Database
from measurewise.store.resources import Stored, parse, patients, valid_id, write

_AT_ONCE: Final = 200
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9.]+")


def attribute(
    database: Database,
    organization: str,
    rule: str,
    period: Period,
    *,
    provider: Sequence[str] = (),
    practice: Sequence[str] = (),
    identity: str | None = None,
) -> Stored:
    """Write the Group of an organisation's patients who count for a clinician, a practice, or both.

    ``provider`` and ``practice`` are names of one each: ``Practitioner/1``, ``Organization/2``, or
    ``system|value`` of an identifier (NPI, TIN). The same again changes the Group's members and nothing else.
    Raises MeasurewiseError for an unknown rule, for a name of another form, and where nobody is named.
    """
    if rule not in RULES:
        raise MeasurewiseError(
            f"there is no rule '{rule}'.", where="rule", mend=f"There are {', '.join(RULES)}."
        )
    if not provider and not practice:
        raise MeasurewiseError(
            "nobody is named for whom patients count.",
            where="provider",
            mend="Name a provider or a practice.",
        )
    for name in (*provider, *practice):
        if "|" not in name and "/" not in name:
            raise MeasurewiseError(
                f"'{name}' names nobody.",
                where="provider",
                mend="Write Practitioner/[id], Organization/[id] or [system]|[value].",
            )
    chosen = identity or _identity(rule, period, [*provider, *practice])
    if not valid_id(chosen):
        raise MeasurewiseError(f"'{chosen}' is no id.", where="id", mend="Letters, digits, '-' and '.'.")
    span = Span(period.start[:10], period.end[:10])
    names = frozenset(provider), frozenset(practice)
    with database.read() as connection:
        members = _members(connection, organization, rule, span, *names)
    group = _group(chosen, rule, span, [*provider, *practice], members)
    with database.write() as connection:
        return write(connection, organization, group)


def _members(
    connection: Connection,
    organization: str,
    rule: str,
    span: Span,
    provider: frozenset[str],
    practice: frozenset[str],
) -> list[str]:
    everybody = [identity for _, identity in patients(connection, Access(frozenset({organization})))]
    found: list[str] = []
    for start in range(0, len(everybody), _AT_ONCE):
        records = patient_records(connection, organization, everybody[start : start + _AT_ONCE])
        for patient, record in records.items():
            resources = parse(record)["resources"]
            if counts_for(resources, span, rule, provider=provider, practice=practice):
                found.append(patient)
    return sorted(found)


def _group(
    identity: str, rule: str, span: Span, names: Sequence[str], members: Sequence[str]
) -> dict[str, Any]:
    period = {"start": span.start, "end": span.end}
    group: dict[str, Any] = {
        "resourceType": "Group",
        "id": identity,
        "active": True,
        "type": "person",
        "actual": True,
        "name": f"Patients of {' and '.join(names)}, {span.start} to {span.end}",
        "quantity": len(members),
        "characteristic": [
            {
                "code": {"coding": [{"code": rule}], "text": f"attributed by the rule {rule}"},
                "valueReference": _reference(name),
                "exclude": False,
                "period": period,
            }
            for name in names
        ],
    }
    if members:
        group["member"] = [
            {"entity": {"reference": f"Patient/{member}"}, "period": period} for member in members
        ]
    return group


def _reference(name: str) -> dict[str, Any]:
    if "|" not in name:
        return {"reference": name}
    system, _, value = name.partition("|")
    return {"identifier": {"system": system, "value": value} if system else {"value": value}}


def _identity(rule: str, period: Period, names: Sequence[str]) -> str:
    """An id that says what it is of, the same for the same question."""
    said = [name.rpartition("|")[2].rpartition("/")[2] for name in names]
    return _NOT_IN_IDS.sub("-", "-".join([rule, *said, period.start[:10], period.end[:10]]))[-64:].strip("-")
