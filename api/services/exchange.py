"""Data that a measure needs, handed out (DEQM "Data Exchange")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from measurewise.api.services.context import Services
from measurewise.api.services.provenance import say_what_it_was_computed_with
from measurewise.api.services.records import patient_records
from measurewise.engine import Period, Reporting, read_record
from measurewise.engine.measure.reports.data_collection import data_collection_report
from measurewise.store.access import Access
from measurewise.store.database import now
from measurewise.store.resources import Stored, of_references
from measurewise.store.search_index import microseconds, moments


@dataclass(frozen=True, slots=True)
class Collected:
    """A patient's data-collection reports and the resources they list."""

    patient: str
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
) -> list[Collected]:
    """For each patient, what each measure's retrieves give. Raises MeasurewiseError for unreadable data."""
    said = Reporting(period.start, period.end, now().isoformat(timespec="seconds"), reporter)
    prepared = [services.catalog.prepare((measure,), period) for measure in measures]
    span = moments(changed_since) if changed_since is not None else None
    found: list[Collected] = []
    for organization, identity in patients:
        with services.database.read() as connection:
            data = patient_records(connection, organization, [identity]).get(identity)
            if data is None:
                continue
            record = read_record(data, where=f"Patient/{identity}")
            reports = []
            wanted: dict[tuple[str, str], None] = {("Patient", identity): None}
            for one in prepared:
                names = {
                    (str(r.get("resourceType")), str(r.get("id"))): None
                    for r in one.definitions(record).required_resources()
                }
                listed = [f"{kind}/{name}" for kind, name in {("Patient", identity): None, **names}]
                report = data_collection_report(one.measures[0], f"Patient/{identity}", listed, said)
                say_what_it_was_computed_with(report, services.catalog, period)
                reports.append(report)
                wanted.update(names)
            narrowed = Access(frozenset({organization}), access.patient)
            stored = of_references(connection, narrowed, list(wanted))
        if span is not None:
            stored = [resource for resource in stored if microseconds(resource.updated) >= span[0]]
        found.append(Collected(identity, reports, stored))
    return found
