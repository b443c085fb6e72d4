"""MeasureReports in the form that an operation answers with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection

from measurewise.engine.runner.issues import Issue
from measurewise.store.access import Access
from measurewise.store.resources import of_references

Form = Literal["measure-report", "parameters"]
"""``measure-report``: FHIR R4's one report (or a Bundle); ``parameters``: DEQM's Parameters of Bundles."""

NOT_EVALUATED: Final = "not-evaluated"
"""The parameter, or the contained resource, that tells who could not be evaluated."""
_TOLD: Final = 100


def not_evaluated(issues: Sequence[Issue]) -> dict[str, Any] | None:
    """The OperationOutcome that tells who could not be evaluated, None where everybody was."""
    errors = [issue for issue in issues if issue.severity == "error"]
    if not errors:
        return None
    told = [issue.as_fhir() for issue in errors[:_TOLD]]
    if len(errors) > _TOLD:
        more = f"{len(errors) - _TOLD} more could not be evaluated."
        told.append({"severity": "error", "code": "incomplete", "diagnostics": more})
    return {"resourceType": "OperationOutcome", "issue": told}


def parameters(resources: Sequence[Any], issues: Sequence[Issue]) -> dict[str, Any]:
    """Parameters that return resources, and tell of those who could not be evaluated."""
    parts = [{"name": "return", "resource": resource} for resource in resources]
    failed = not_evaluated(issues)
    if failed is not None:
        parts.append({"name": NOT_EVALUATED, "resource": failed})
    found: dict[str, Any] = {"resourceType": "Parameters"}
    if parts:
        found["parameter"] = parts
    return found


def answer(
    connection: Connection,
    access: Access,
    made: list[dict[str, Any]],
    form: Form,
    base: str,
    issues: Sequence[Issue] = (),
) -> dict[str, Any]:
    """The reports as a resource. ``issues`` are those that no report tells of itself.

    Entries of Bundles have addresses below ``base``, the FHIR base: so references to subjects and data, which
    are relative, are resolved within the Bundle (FHIR R4, Bundle, "Resolving references in Bundles").

    DEQM's Bundles are one a subject for individual reports, with the resources that were evaluated, and one
    for all reports over many patients.
    """
    if form == "measure-report":
        failed = not_evaluated(issues)
        if len(made) == 1 and failed is None:
            return made[0]
        told = [] if failed is None else [{"resource": failed}]
        return _bundle([*(_entry(base, report) for report in made), *told])
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
    return parameters(bundles, issues)


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
    found: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
    if entries:
        found["entry"] = entries
    return found
