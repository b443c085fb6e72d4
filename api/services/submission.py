"""Data submitted for measures, stored with the reports that list them (DEQM "Data Exchange")."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.measures import measure_of_id
from measurewise.engine import Content, MeasurewiseError
from measurewise.engine.content.content import MeasureContent
from measurewise.engine.measure.extensions import SUBMIT_DATA_UPDATE_TYPE
from measurewise.store import resources as store
from measurewise.store.access import Access
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.resources import Stored, of_references

DATA_COLLECTION: Final = "data-collection"


@dataclass(frozen=True, slots=True)
class Submission:
    """Data-collection reports about one subject, and the resources that they list."""

    reports: tuple[dict[str, Any], ...]
    resources: tuple[dict[str, Any], ...]


def of_bundle(bundle: dict[str, Any]) -> Submission:
    """The reports of a Bundle, and its other resources. Raises RequestError where there is no report."""
    entries = bundle.get("entry")
    found = [
        entry["resource"]
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    ]
    reports = tuple(resource for resource in found if resource.get("resourceType") == "MeasureReport")
    if not reports:
        raise RequestError(
            "the MeasureReport is missing.", where="bundle", mend="Give each Bundle a report a measure."
        )
    others = tuple(resource for resource in found if resource.get("resourceType") != "MeasureReport")
    return Submission(reports, others)


def submit(
    connection: Connection,
    content: Content,
    access: Access,
    organization: str,
    submission: Submission,
    at: str | None = None,
) -> list[Stored]:
    """Store data-collection reports with their data, in one transaction of the caller's.

    A ``snapshot`` takes the place of what the same reporter sent for the same measure, subject and period:
    resources of the earlier report that are not in this one, and that no other report lists, are deleted.
    ``at`` is the id of the measure at whose address they came. A report without a
    subject may bring the data of any patients.
    Raises RequestError, NotFoundError (a measure that is not here).
    """
    for report in submission.reports:
        measure_of_report(content, report, at)
    subjects = {_subject(report) for report in submission.reports}
    if len(subjects) > 1:
        raise RequestError(
            "the reports are about several subjects.",
            where="MeasureReport.subject",
            mend="Submit each subject in a Bundle of its own.",
        )
    (subject,) = subjects
    written: list[Stored] = []
    for resource in submission.resources:
        kind, name = resource.get("resourceType"), resource.get("id")
        if not isinstance(kind, str) or not store.valid_id(name):
            raise RequestError(
                "a submitted resource has no type or no id.", where="resource", mend="Give each its id."
            )
        if kind == "Patient" and subject is not None and f"Patient/{name}" != subject:
            raise RequestError(
                f"the report is about {subject}, the data have Patient/{name}.",
                where="MeasureReport.subject",
                mend="Submit each subject with a report of its own.",
            )
        written.append(store.write(connection, organization, resource))
    kept = {stored.reference for stored in written}
    for report in submission.reports:
        identity = str(report.get("id") or _identity(report))
        if _is_snapshot(report):
            _take_back(connection, access, identity, kept)
        written.append(store.write(connection, organization, {**report, "id": identity}))
    return written


def measure_of_report(content: Content, report: dict[str, Any], at: str | None) -> MeasureContent:
    """The measure of a data-collection report; ``at`` is the id in the address, where it has one.

    Raises RequestError for another kind of report or another measure than the address has, NotFoundError.
    """
    if report.get("type") != DATA_COLLECTION:
        raise RequestError(
            f"the MeasureReport is of type '{report.get('type')}'.",
            where="MeasureReport.type",
            mend="Submit data with a report of type data-collection.",
        )
    named = report.get("measure")
    if not isinstance(named, str):
        raise RequestError(
            "the MeasureReport names no measure.", code="required", where="MeasureReport.measure"
        )
    if at is not None:
        measure = measure_of_id(content, at)
        if named.partition("|")[0] != measure.url:
            raise RequestError(
                f"the address is that of {measure.url}, the report of {named}.", where="MeasureReport.measure"
            )
        return measure
    try:
        return content.measure(named)
    except MeasurewiseError as error:
        raise RequestError(
            error.what, code="not-found", where="MeasureReport.measure", mend=error.mend, status=404
        ) from error


def _subject(report: dict[str, Any]) -> str | None:
    """The patient whom a report is about, None where it names nobody. Raises RequestError."""
    if "subject" not in report:
        return None
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
        if other.id != identity and other.parsed().get("type") == DATA_COLLECTION:
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
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\x1f".join(map(str, (DATA_COLLECTION, *parts)))))
