"""Patients' results in measures, kept until the data they came from change.

A result is reused only while nothing that it can hang on has changed since its data were read. Two rules hold
that, whatever happens at the same time:

- whoever writes a resource marks, in the same transaction, the results that it can have altered
  (``changed``);
- whoever keeps a result looks, in the transaction that keeps it, whether the data of the patient are still
  what they were when they were read (``keep``). Nobody writes to the organisation meanwhile: SQLite has one
  writer, and on PostgreSQL both sides take a lock of the organisation.

What was computed with other content or settings has another provenance, and is not reused either.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update

from measurewise.store.access import SHARED
from measurewise.store.database import now
from measurewise.store.tables import resources, result_types, results
from measurewise.store.tables import revisions as content_revisions

_PLACES: Final = frozenset(
    {
        "Endpoint", "HealthcareService", "InsurancePlan", "Location", "Organization",
        "OrganizationAffiliation", "Practitioner", "PractitionerRole",
    }
)  # fmt: skip
_THINGS: Final = frozenset(
    {"Device", "DeviceDefinition", "Group", "Medication", "MedicationKnowledge", "Substance"}
)
SHAREABLE: Final = _PLACES | _THINGS
"""Types whose resources are often no patient's own, and come with the patients whose data refer to them."""

NO_DATA: Final = frozenset({"MeasureReport"})
"""Results are no data to compute results from."""

_REFERENCE: Final = re.compile(rb'"reference":\s*"(?:https?://[^"]+/)?([A-Z][A-Za-z]+)/')
_CONTENT: Final = "content"
# asked for several times in every request, so that it is put together once
_CONTENT_REVISION: Final = select(content_revisions.c.number).where(content_revisions.c.name == _CONTENT)
_CONTAINED: Final = b'"contained"'
_LOCK_CLASS: Final = 0x4D57
_TRIES: Final = 20
_PAUSE: Final = 0.05
_AT_ONCE: Final = 400

Revision = tuple[int, ...]
"""What changes with every change to the data that some patient's record is read from."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a result answers: a measure (``url|version``) in a period, with content and settings of a hash."""

    measure: str
    period_start: str
    period_end: str
    provenance: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A result to be kept: whose, to which question, as JSON."""

    patient: str
    question: Question
    body: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """A resource that was written or deleted.

    ``patients`` are those in whose compartments it was and is (None: in nobody's), ``bodies`` what it was and
    is.
    """

    type: str
    patients: tuple[str | None, ...]
    bodies: tuple[bytes, ...]


def changed(connection: Connection, organization: str, changes: Iterable[Change]) -> None:
    """Mark the results that changes to resources can have altered; to be called where they are made.

    A patient's resource alters results of the measures that retrieve its type, or the type of something that
    it brings along by a reference or contains; a Patient all of that patient's. What belongs to no patient
    alters results of every patient, in the measures that retrieve its type or what it brings along.
    """
    if organization == SHARED:
        # Nobody's results: those of other content have another provenance.
        connection.execute(
            update(content_revisions)
            .where(content_revisions.c.name == _CONTENT)
            .values(number=content_revisions.c.number + 1)
        )
        return
    _let_nobody_keep(connection, organization)
    any_kept = select(results.c.key).where(results.c.organization == organization).limit(1)
    if connection.execute(any_kept).first() is None:
        return
    concerned: dict[str | None, set[str] | None] = {}
    for change in changes:
        if change.type in NO_DATA:
            continue
        types = _concerned(connection, organization, change)
        for patient in change.patients:
            known = concerned.setdefault(patient, set())
            concerned[patient] = None if types is None or known is None else known | types
    for patient, found in concerned.items():
        mark_stale(connection, organization, patient, found)


def content_revision(connection: Connection) -> int:
    """A number that grows with every change to measures, libraries, value sets and code systems."""
    return int(connection.execute(_CONTENT_REVISION).scalar_one())


def mark_stale(
    connection: Connection, organization: str, patient: str | None, types: Iterable[str] | None
) -> None:
    """Mark results as stale: of one patient or (None) all, of measures that retrieve a type or (None) all."""
    condition = (results.c.organization == organization) & results.c.stale.is_(False)
    if patient is not None:
        condition &= results.c.patient == patient
    if types is not None:
        condition &= results.c.measure.in_(
            select(result_types.c.measure).where(result_types.c.type.in_(sorted(types)))
        )
    connection.execute(update(results).where(condition).values(stale=True))


def note_types(connection: Connection, measure: str, types: Iterable[str]) -> None:
    """Note which resource types a measure retrieves.

    Types noted before stay: kept results of other content under the same name may hang on them, and be
    reused when that content comes back.
    """
    known = set(
        connection.execute(select(result_types.c.type).where(result_types.c.measure == measure)).scalars()
    )
    new = [{"measure": measure, "type": kind} for kind in sorted(set(types) - known)]
    if new:
        connection.execute(insert(result_types), new)


def revisions(connection: Connection, organization: str, patients: Sequence[str]) -> dict[str, Revision]:
    """A revision of each patient's data; to be read before the data are.

    The last place stands for what belongs to no patient.
    """
    shared = connection.execute(
        _revision().where(_current(organization), resources.c.patient.is_(None))
    ).one()
    found: dict[str, Revision] = {}
    for start in range(0, len(patients), _AT_ONCE):
        query = (
            _revision(resources.c.patient)
            .where(_current(organization), resources.c.patient.in_(patients[start : start + _AT_ONCE]))
            .group_by(resources.c.patient)
        )
        for patient, *sums in connection.execute(query):
            found[patient] = (*sums, *shared)
    return found


def fresh(
    connection: Connection, organization: str, patients: Sequence[str], questions: Sequence[Question]
) -> dict[tuple[str, str], bytes]:
    """The results that can be reused, by patient and measure."""
    found: dict[tuple[str, str], bytes] = {}
    for question in questions:
        for start in range(0, len(patients), _AT_ONCE):
            query = select(results.c.patient, results.c.body).where(
                results.c.organization == organization,
                results.c.patient.in_(patients[start : start + _AT_ONCE]),
                results.c.measure == question.measure,
                results.c.period_start == question.period_start,
                results.c.period_end == question.period_end,
                results.c.provenance == question.provenance,
                results.c.stale.is_(False),
            )
            found.update({(patient, question.measure): body for patient, body in connection.execute(query)})
    return found


def keep(
    connection: Connection, organization: str, kept: Sequence[Kept], read_at: Mapping[str, Revision]
) -> int:
    """Keep results whose patients' data are still at the revision at which they were read; how many.

    Where somebody writes to the organisation all the time nothing is kept, and everything is computed again
    when it is next asked for.
    """
    if not kept or not _nobody_writes(connection, organization):
        return 0
    current = revisions(connection, organization, sorted({one.patient for one in kept}))
    sound = [
        one for one in kept if one.patient in current and current[one.patient] == read_at.get(one.patient)
    ]
    if not sound:
        return 0
    moment = now()
    connection.execute(
        delete(results).where(
            results.c.organization == organization,
            results.c.patient == bindparam("for_patient"),
            results.c.measure == bindparam("of_measure"),
            results.c.period_start == bindparam("from_day"),
            results.c.period_end == bindparam("to_day"),
        ),
        [
            {
                "for_patient": one.patient, "of_measure": one.question.measure,
                "from_day": one.question.period_start, "to_day": one.question.period_end,
            }
            for one in sound
        ],
    )  # fmt: skip
    connection.execute(
        insert(results),
        [
            {
                "organization": organization, "patient": one.patient, "measure": one.question.measure,
                "period_start": one.question.period_start, "period_end": one.question.period_end,
                "computed": moment, "provenance": one.question.provenance, "stale": False, "body": one.body,
            }
            for one in sound
        ],
    )  # fmt: skip
    return len(sound)


def kept_questions(connection: Connection, organization: str) -> list[tuple[str, str, str]]:
    """Measure, first and last day of every question that an organisation has results for."""
    columns = (results.c.measure, results.c.period_start, results.c.period_end)
    query = (
        select(*columns).where(results.c.organization == organization).group_by(*columns).order_by(*columns)
    )
    return [(measure, start, end) for measure, start, end in connection.execute(query)]


def counts(connection: Connection, organization: str) -> tuple[int, int]:
    """How many results of an organisation are kept, and how many of them are stale."""
    query = select(func.count(), func.count().filter(results.c.stale)).where(
        results.c.organization == organization
    )
    total, stale = connection.execute(query).one()
    return int(total), int(stale)


def forget_departed(connection: Connection, organization: str) -> int:
    """Delete the results of patients who are not in the store any more; how many there were."""
    there = select(resources.c.id).where(_current(organization), resources.c.type == "Patient")
    gone = connection.execute(
        delete(results).where(results.c.organization == organization, results.c.patient.not_in(there))
    )
    return int(gone.rowcount)


def _revision(*columns: Any) -> Any:
    """Sums that tell sets of versions apart; no version of a row ever comes back while the row is there."""
    key, version = resources.c.key, resources.c.version
    return select(
        *columns, func.count(), *(func.coalesce(func.sum(s), 0) for s in (key, version, key * version))
    )


def _current(organization: str) -> Any:
    return (
        (resources.c.organization == organization)
        & resources.c.deleted.is_(False)
        & resources.c.type.not_in(sorted(NO_DATA))
    )


def _concerned(connection: Connection, organization: str, change: Change) -> set[str] | None:
    """The types of which a change to a resource brings or takes something; None where it may be any."""
    if change.type == "Patient" or any(_CONTAINED in body for body in change.bodies):
        return None
    named = {kind.decode() for body in change.bodies for kind in _REFERENCE.findall(body)} - {
        "Patient",
        "Encounter",
    }
    others = named - SHAREABLE
    if others:
        # A patient's own resources are there whether they are referred to or not; those of nobody are not.
        of_nobody = select(resources.c.key).where(
            resources.c.organization == organization,
            resources.c.patient.is_(None),
            resources.c.type.in_(sorted(others)),
        )
        if connection.execute(of_nobody.limit(1)).first():
            return None
    found = {change.type}
    if change.type in SHAREABLE or named & SHAREABLE:
        # What is referred to refers on: a Medication to its maker, a Location to the one it is part of.
        found |= _PLACES if (named | {change.type}).isdisjoint(_THINGS) else SHAREABLE
    return found


def _let_nobody_keep(connection: Connection, organization: str) -> None:
    """Until this transaction ends, nobody keeps results of the organisation."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:class, :key)"), _lock(organization))


def _nobody_writes(connection: Connection, organization: str) -> bool:
    """Whether no transaction under way has written to the organisation; until this one ends, none will."""
    if connection.dialect.name != "postgresql":
        return True
    for _ in range(_TRIES):
        query = text("SELECT pg_try_advisory_xact_lock(:class, :key)")
        if connection.execute(query, _lock(organization)).scalar_one():
            return True
        time.sleep(_PAUSE)
    return False


def _lock(organization: str) -> dict[str, int]:
    key = zlib.crc32(organization.encode())
    return {"class": _LOCK_CLASS, "key": key - 2**32 if key >= 2**31 else key}
