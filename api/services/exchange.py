"""Data that a measure needs, handed out (DEQM "Data Exchange")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from measurewise.api.services.context import Services
from measurewise.api.services.provenance import say_what_it_was_computed_with
from measurewise.api.services.records import patient_records
from measurewise.engine import Period, Prepared, RecordError, Reporting, read_record
from measurewise.engine.measure.reports.data_collection import data_collection_report
from measurewise.engine.runner.issues import Issue
from measurewise.store.access import Access
from measurewise.store.database import now
from measurewise.store.resources import Stored, of_references
from measurewise.store.search_index import microseconds, moments


@dataclass(frozen=True, slots=True)
class Collected:
    """A patient's data-collection reports and the resources they list."""

    reports: list[dict[str, Any]]
    resources: list[Stored]


def collect(
    services: Services,
    access: Access,
    measures: Sequence[str],
    period: Period,
    patients: Sequence[tuple[str, str]],
    *,
    reporter: str | None = None,
    changed_since: str | None = None,
) -> tuple[list[Collected], list[Issue]]:
    """For each patient, what each measure's retrieves give; one whose data fail becomes an issue."""
    said = Reporting(period.start, period.end, now().isoformat(timespec="seconds"), reporter)
    prepared = [services.catalog.prepare((measure,), period) for measure in measures]
    span = moments(changed_since) if changed_since is not None else None
    found: list[Collected] = []
    issues: list[Issue] = []
    for organization, identity in patients:
        narrowed = Access(frozenset({organization}), access.patient)
        try:
            with services.database.read() as connection:
                one = _collected(services, connection, narrowed, prepared, (organization, identity), said)
        except Exception as error:
            issues.append(Issue.of(error, f"Patient/{identity}"))
            continue
        if span is not None:
            changed = [resource for resource in one.resources if microseconds(resource.updated) >= span[0]]
            one = replace(one, resources=changed)
        found.append(one)
    return found, issues


def _collected(
    services: Services,
    connection: Connection,
    access: Access,
    prepared: Sequence[Prepared],
    patient: tuple[str, str],
    said: Reporting,
) -> Collected:
    """What the measures' retrieves give of one patient, (organisation, id). Raises MeasurewiseError."""
    organization, identity = patient
    where = f"Patient/{identity}"
    data = patient_records(connection, organization, [identity]).get(identity)
    if data is None:
        raise RecordError("the patient is not in the store any more.", where=where)
    record = read_record(data, where=where)
    reports = []
    wanted: dict[tuple[str, str], None] = {("Patient", identity): None}
    for one in prepared:
        names = {
            (str(r.get("resourceType")), str(r.get("id"))): None
            for r in one.definitions(record).required_resources()
        }
        listed = [f"{kind}/{name}" for kind, name in {("Patient", identity): None, **names}]
        report = data_collection_report(one.measures[0], where, listed, said)
        say_what_it_was_computed_with(report, services.catalog, Period(said.period_start, said.period_end))
        reports.append(report)
        wanted.update(names)
    return Collected(reports, of_references(connection, access, list(wanted)))
