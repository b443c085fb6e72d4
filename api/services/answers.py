"""MeasureReports in the form that an operation answers with."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from measurewise.store.access import Access
from measurewise.store.resources import of_references

Form = Literal["measure-report", "parameters"]
"""``measure-report``: FHIR R4's one report (or a Bundle); ``parameters``: DEQM's Parameters of Bundles."""


def answer(
    connection: Connection, access: Access, made: list[dict[str, Any]], form: Form, base: str
) -> dict[str, Any]:
    """The reports as a resource.

    Entries of Bundles have addresses below ``base``, the FHIR base: so references to subjects and data, which
    are relative, are resolved within the Bundle (FHIR R4, Bundle, "Resolving references in Bundles").

    DEQM's Bundles are one a subject for individual reports, with the resources that were evaluated, and one
    for all reports over many patients.
    """
    if form == "measure-report":
        return made[0] if len(made) == 1 else _bundle([_entry(base, report) for report in made])
    by_subject: dict[str, list[dict[str, Any]]] = {}
    for report in made:
        subject = (report.get("subject") or {}).get("reference", "")
        by_subject.setdefault(subject, []).append(report)
    bundles = []
    for subject, reports in by_subject.items():
        entries = [_entry(base, report) for report in reports]
        if subject:
            entries += _evaluated(connection, access, subject, reports, base)
        bundles.append(_bundle(entries))
    parts = [{"name": "return", "resource": bundle} for bundle in bundles]
    found: dict[str, Any] = {"resourceType": "Parameters"}
    if parts:
        found["parameter"] = parts
    return found


def _evaluated(
    connection: Connection, access: Access, subject: str, reports: list[dict[str, Any]], base: str
) -> list[dict[str, Any]]:
    """The subject and the resources that some reports say were evaluated, each once."""
    references = dict.fromkeys(
        item["reference"] for report in reports for item in report.get("evaluatedResource", ())
    )
    names = [_split(reference) for reference in (subject, *references)]
    found = of_references(connection, access, list(dict.fromkeys(names)))
    return [{"fullUrl": f"{base}/{one.reference}", "resource": msgspec.Raw(one.body)} for one in found]


def _split(reference: str) -> tuple[str, str]:
    kind, _, identity = reference.rpartition("/")
    return kind, identity


def _entry(base: str, report: dict[str, Any]) -> dict[str, Any]:
    return {"fullUrl": f"{base}/MeasureReport/{report['id']}", "resource": report}


def _bundle(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}
