"""Data that a measure needs, handed out and taken in (DEQM "Data Exchange")."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.context import Services
from measurewise.api.services.provenance import say_what_it_was_computed_with
from measurewise.api.services.records import patient_records
from measurewise.engine import Content, MeasurewiseError, Period, Reporting, read_record
from measurewise.engine.measure.extensions import SUBMIT_DATA_UPDATE_TYPE
from measurewise.engine.measure.reports.data_collection import data_collection_report
from measurewise.store import resources as store
from measurewise.store.access import Access
from measurewise.store.database import now
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.resources import Stored, of_references
from measurewise.store.search_index import microseconds, moments

_MISSING: Final = "the MeasureReport is missing."


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


def submit(
    connection: Connection,
    content: Content,
    access: Access,
    organization: str,
    report: dict[str, Any],
    resources: Iterable[dict[str, Any]],
) -> list[Stored]:
    """Store a data-collection report with its data, in one transaction of the caller's.

    A ``snapshot`` takes the place of what the same reporter sent for the same measure, subject and period:
    resources of the earlier report that are not in this one, and that no other report lists, are deleted.
    Raises RequestError, NotFoundError (a measure that is not here).
    """
    subject = _checked(content, report)
    identity = report.get("id") or _identity(report)
    new = {**report, "id": identity}
    written: list[Stored] = []
    kept: set[str] = set()
    for resource in resources:
        kind, name = resource.get("resourceType"), resource.get("id")
        if not isinstance(kind, str) or not store.valid_id(name):
            raise RequestError(
                "a submitted resource has no type or no id.", where="resource", mend="Give each its id."
            )
        if kind == "Patient" and f"Patient/{name}" != subject:
            raise RequestError(
                f"the report is about {subject}, the data have Patient/{name}.",
                where="MeasureReport.subject",
                mend="Submit each subject with a report of its own.",
            )
        kept.add(f"{kind}/{name}")
        written.append(store.write(connection, organization, resource))
    if _is_snapshot(report):
        _take_back(connection, access, str(identity), kept)
    written.append(store.write(connection, organization, new))
    return written


def bundle_parts(bundle: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one MeasureReport of a Bundle, and its other resources. Raises RequestError."""
    resources = [
        entry["resource"]
        for entry in bundle.get("entry") or ()
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    ]
    reports = [resource for resource in resources if resource.get("resourceType") == "MeasureReport"]
    if len(reports) != 1:
        what = _MISSING if not reports else f"the Bundle has {len(reports)} MeasureReports."
        raise RequestError(what, where="bundle", mend="Give each Bundle exactly one.")
    return reports[0], [resource for resource in resources if resource is not reports[0]]


def _checked(content: Content, report: dict[str, Any]) -> str:
    """The subject of a report that can be taken. Raises RequestError and NotFoundError."""
    if report.get("type") != "data-collection":
        raise RequestError(
            f"the MeasureReport is of type '{report.get('type')}'.",
            where="MeasureReport.type",
            mend="Submit data with a report of type data-collection.",
        )
    measure = report.get("measure")
    if not isinstance(measure, str):
        raise RequestError("the MeasureReport names no measure.", where="MeasureReport.measure")
    try:
        content.measure(measure)
    except MeasurewiseError as error:
        raise RequestError(
            error.what, code="not-found", where="MeasureReport.measure", mend=error.mend, status=404
        ) from error
    subject = _object(report, "subject").get("reference")
    if not isinstance(subject, str) or "Patient/" not in subject:
        raise RequestError("the MeasureReport names no patient.", where="MeasureReport.subject")
    return "/".join(subject.split("/")[-2:])


def _is_snapshot(report: dict[str, Any]) -> bool:
    return not any(
        extension.get("url") == SUBMIT_DATA_UPDATE_TYPE and extension.get("valueCode") == "incremental"
        for extension in report.get("extension") or ()
        if isinstance(extension, dict)
    )


def _take_back(connection: Connection, access: Access, identity: str, kept: set[str]) -> None:
    """Delete what an earlier report of this id brought and nothing else still needs."""
    try:
        earlier = store.read(connection, access, "MeasureReport", identity)
    except NoSuchResourceError:
        return
    gone = _listed(earlier.parsed()) - kept
    if not gone or earlier.patient is None:
        return
    for other in store.compartment(connection, earlier.organization, earlier.patient, ("MeasureReport",)):
        if other.id != identity and other.parsed().get("type") == "data-collection":
            gone -= _listed(other.parsed())
    own = Access(frozenset({earlier.organization}))
    for resource in of_references(connection, own, [_split(name) for name in sorted(gone)]):
        if resource.patient == earlier.patient and resource.type != "Patient":
            store.remove(connection, own, resource.type, resource.id)


def _listed(report: dict[str, Any]) -> set[str]:
    return {
        "/".join(item["reference"].split("/")[-2:])
        for item in report.get("evaluatedResource") or ()
        if isinstance(item, dict) and isinstance(item.get("reference"), str)
    }


def _object(report: dict[str, Any], name: str) -> dict[str, Any]:
    """An element that is an object; an empty one where it is not there, or something else."""
    value = report.get(name)
    return value if isinstance(value, dict) else {}


def _split(reference: str) -> tuple[str, str]:
    kind, _, identity = reference.rpartition("/")
    return kind, identity


def _identity(report: dict[str, Any]) -> str:
    """The id of a report that has none: the same for the same measure, subject, period and reporter."""
    period = _object(report, "period")
    parts = (
        report.get("measure"),
        _object(report, "subject").get("reference"),
        period.get("start"),
        period.get("end"),
        _object(report, "reporter").get("reference"),
    )
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\x1f".join(map(str, ("data-collection", *parts)))))
