"""Writing what was read of a source: a share of patients, or of changes, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from measurewise.api.audit import Occurrence, audit_events, patient_of
from measurewise.api.fhir.outcomes import issue
from measurewise.api.security.principal import Principal
from measurewise.api.security.scopes import Scopes
from measurewise.api.services.context import Services
from measurewise.api.services.sources import synced_types
from measurewise.engine.errors import MeasurewiseError
from measurewise.fhir_server_adapter.attribution import Span, counts_for
from measurewise.fhir_server_adapter.gathering import owners
from measurewise.fhir_server_adapter.sources import Pulled
from measurewise.store import audit, source_data, sources
from measurewise.store.access import Access
from measurewise.store.database import now
from measurewise.store.resources import CONTENT_TYPES, valid_id
from measurewise.store.source_data import Taken
from measurewise.store.source_ids import local_id, local_reference, localized
from measurewise.store.sources import Source
from measurewise.store.tables import sources as source_rows

Resource = dict[str, Any]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step came to: patients, and the resources of all of them.

    ``failed`` patients could not be read or stored and keep their earlier data; ``skipped`` are not wanted.
    ``incomplete`` says that something is missing which no patient stands for.
    """

    read: int = 0
    written: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    skipped: int = 0
    created_resources: int = 0
    updated_resources: int = 0
    unchanged_resources: int = 0
    deleted_resources: int = 0
    issues: tuple[dict[str, Any], ...] = ()
    incomplete: bool = False

    @property
    def something(self) -> bool:
        """Whether anything was written."""
        return bool(self.created_resources or self.updated_resources or self.deleted_resources)


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """The sums of some outcomes, with all their issues."""
    sums = {
        field: sum(getattr(outcome, field) for outcome in outcomes)
        for field in Outcome.__struct_fields__
        if field not in ("issues", "incomplete")
    }
    return Outcome(
        **sums,
        issues=tuple(one for outcome in outcomes for one in outcome.issues),
        incomplete=any(outcome.incomplete for outcome in outcomes),
    )


class _Counting:
    """The outcome of a step, as it grows."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("read", "written", "unchanged", "removed", "failed", "skipped"), 0)
        self.taken = Taken()
        self.issues: list[dict[str, Any]] = []
        self.patients: list[str] = []

    def count(self, **more: int) -> None:
        for name, number in more.items():
            self.counts[name] += number

    def outcome(self, *, incomplete: bool = False) -> Outcome:
        return Outcome(
            **self.counts,
            created_resources=self.taken.created,
            updated_resources=self.taken.updated,
            unchanged_resources=self.taken.unchanged,
            deleted_resources=self.taken.deleted,
            issues=tuple(self.issues),
            incomplete=incomplete,
        )


def store_patients(
    services: Services, source: Source, pulled: Sequence[tuple[Pulled, bool]], read_at: datetime
) -> Outcome:
    """Store some patients, each with whether the source has it no more.

    One that could not be read, or cannot be stored, is noted with the reason and keeps its earlier data.
    """
    counting = _Counting()
    with services.database.write() as connection:
        _hold(connection, source)
        held = sources.held_patients(connection, source.id)
        for one, gone in pulled:
            if gone:
                _remove(connection, source, one.patient_id, read_at, counting)
                continue
            try:
                resources = _wanted(source, one.patient_id, _read(one))
                if one.patient_id not in held and not _counts(source, resources):
                    counting.count(read=1, skipped=1)
                    continue
                local = [localized(source, resource) for resource in resources]
                taken = source_data.replace_patient(connection, source, one.patient_id, local, read_at)
            except MeasurewiseError as error:
                told = issue(error) | {"expression": [f"Patient/{one.patient_id}"]}
                counting.count(failed=1)
                counting.issues.append(told)
                source_data.note_patient(
                    connection, source.id, one.patient_id, read_at, held=False, error=told
                )
                continue
            counting.taken.add(taken)
            counting.count(read=1, written=int(taken.something), unchanged=int(not taken.something))
            if taken.something:
                counting.patients.append(local_id(source, one.patient_id))
        _write_down(connection, source, counting)
    return counting.outcome()


def store_gone(services: Services, source: Source, patients: Sequence[str], read_at: datetime) -> Outcome:
    """Remove patients of whom a source has nothing any more."""
    counting = _Counting()
    with services.database.write() as connection:
        _hold(connection, source)
        for patient in patients:
            _remove(connection, source, patient, read_at, counting)
        _write_down(connection, source, counting)
    return counting.outcome()


def store_changes(
    services: Services,
    source: Source,
    changed: Sequence[Resource],
    gone: Sequence[str],
    read_at: datetime,
) -> Outcome:
    """Store single resources that changed and delete those (``Type/id`` at the source) that are gone.

    What cannot be stored is reported, and the sync is then incomplete.
    """
    counting = _Counting()
    incomplete = False
    wanted = synced_types(source) - CONTENT_TYPES
    with services.database.write() as connection:
        _hold(connection, source)
        touched: set[str] = set()
        for whose, resources in _by_patient(r for r in changed if r.get("resourceType") in wanted).items():
            try:
                for resource in resources:
                    _check_id(resource)
                local = [localized(source, resource) for resource in resources]
                taken = source_data.write_changes(connection, source, local, read_at)
            except MeasurewiseError as error:
                where = f"Patient/{whose}" if whose else error.where
                counting.issues.append(issue(error) | {"expression": [where]})
                incomplete = True
                continue
            counting.taken.add(taken)
            if whose and any(resource["resourceType"] == "Patient" for resource in resources):
                source_data.note_held(connection, source.id, whose, read_at)
            if whose and taken.something:
                touched.add(whose)
        references = [local_reference(source, reference) for reference in gone]
        counting.taken.add(source_data.remove_resources(connection, source, references, read_at))
        counting.count(read=len(touched), written=len(touched))
        counting.patients += sorted(local_id(source, patient) for patient in touched)
        _write_down(connection, source, counting)
    return counting.outcome(incomplete=incomplete)


def _by_patient(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    """Resources by whose they are; '' for nobody's, or several patients'."""
    found: dict[str, list[Resource]] = {}
    for resource in resources:
        whose = owners(resource)
        found.setdefault(whose.pop() if len(whose) == 1 else "", []).append(resource)
    return found


def _hold(connection: Connection, source: Source) -> None:
    """Steps of one source write one after the other; SQLite has one writer anyway."""
    connection.execute(select(source_rows.c.id).where(source_rows.c.id == source.id).with_for_update())


def _read(one: Pulled) -> tuple[Resource, ...]:
    if one.error is not None:
        raise one.error
    return one.resources


def _wanted(source: Source, patient: str, resources: Sequence[Resource]) -> list[Resource]:
    """The resources of the types that are synced. Raises MeasurewiseError for one without a usable id."""
    types = synced_types(source)
    wanted = [r for r in resources if r.get("resourceType") in types - CONTENT_TYPES]
    for resource in wanted:
        _check_id(resource)
    if not any(r["resourceType"] == "Patient" and r["id"] == patient for r in wanted):
        raise MeasurewiseError(
            "the source gave no Patient resource.",
            where=f"Patient/{patient}",
            mend="Ask the source's operator, then sync again.",
        )
    return wanted


def _check_id(resource: Resource) -> None:
    if not valid_id(resource.get("id")):
        raise MeasurewiseError(
            f"a {resource.get('resourceType')} has no id that FHIR allows.",
            where=str(resource.get("id")),
            mend="Give it 1 to 64 letters, digits, hyphens and points at the source.",
        )


def _counts(source: Source, resources: Sequence[Resource]) -> bool:
    """Whether a patient is wanted, by the source's attribution rule."""
    settings = source.settings
    if settings.rule is None or settings.start is None or settings.end is None:
        return True
    return counts_for(
        resources,
        Span(settings.start, settings.end),
        settings.rule,
        provider=frozenset(settings.provider),
        practice=frozenset(settings.practice),
    )


def _remove(
    connection: Connection, source: Source, patient: str, read_at: datetime, counting: _Counting
) -> None:
    taken = source_data.remove_patient(connection, source, patient, read_at)
    counting.taken.add(taken)
    counting.count(removed=int(taken.something))
    if taken.something:
        counting.patients.append(local_id(source, patient))


def _write_down(connection: Connection, source: Source, counting: _Counting) -> None:
    """Who changed whose data, for the audit trail, in the transaction that changes them."""
    if not counting.patients:
        return
    access = Access(frozenset({source.organization}))
    principal = Principal(f"source:{source.id}", "measurewise-sync", Scopes(), access)
    occurrence = Occurrence(
        "operation",
        now(),
        "",
        source.url,
        None,
        200,
        (),
        tuple(counting.patients),
        f"sync {source.id}",
        "sync",
    )
    events = list(audit_events(principal, occurrence))
    audit.add(connection, source.organization, ((patient_of(event), event) for event in events))
