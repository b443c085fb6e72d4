"""What the evaluating operations have in common: kinds of report, made at once or by a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from measurewise.api.fhir import asynchronous
from measurewise.api.fhir.arguments import Arguments, Declared, missing, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.jobs import evaluating
from measurewise.api.services.answers import Form, answer
from measurewise.api.services.evaluation import (
    EvaluationRequest,
    ReportKind,
    evaluate_request,
    prepare,
    reports,
    untold,
)
from measurewise.api.services.subjects import Asked, Subjects, find_subjects
from measurewise.engine import Period, Prepared
from measurewise.store.resources import valid_id

_KINDS: Final[dict[str, ReportKind]] = {
    "subject": "individual",
    "individual": "individual",
    "subject-list": "subject-list",
    "patient-list": "subject-list",
    "population": "summary",
    "summary": "summary",
}
REPORT_TYPE: Final = Declared(
    "reportType",
    "code",
    "The kind of report, by its name in any generation; individual for a single subject, else summary.",
    codes=tuple(_KINDS),
)


_REPORTERS: Final = ("Organization", "Practitioner", "PractitionerRole", "Location")


def period_of(arguments: Arguments) -> Period:
    """The measurement period that a request names, in whole days."""
    return Period.of_days(arguments.required("periodStart"), arguments.required("periodEnd"))


def reporter_of(arguments: Arguments) -> str | None:
    """Who reports, where the request says so. Raises RequestError for what cannot report."""
    reporter = arguments.text("reporter")
    check_reference("reporter", reporter, _REPORTERS)
    return reporter


def check_reference(name: str, reference: str | None, types: Sequence[str]) -> None:
    """Raises RequestError for a parameter that refers to nothing of these types."""
    if reference is None:
        return
    kind, _, identity = reference.rpartition("/")
    if kind.rpartition("/")[2] not in types or not valid_id(identity):
        listed = " or ".join(f"{kind}/[id]" for kind in types)
        raise refused(name, f"is '{reference}'", f"Write {listed}.")


def report_kind(arguments: Arguments) -> ReportKind:
    """The kind of report that a request asks for. Raises RequestError for what does not go with it."""
    subject = arguments.text("subject")
    one = subject is not None and not subject.startswith(("Group/", "Practitioner"))
    asked = arguments.text("reportType")
    kind = _KINDS[asked] if asked else ("individual" if one else "summary")
    if kind == "individual" and subject is None and "subjectGroup" not in arguments:
        raise missing("subject", "Name a patient or a group, or ask for reportType=summary.")
    if kind != "individual" and "lastReceivedOn" in arguments:
        raise refused("lastReceivedOn", "is for individual reports, those on one patient, only")
    return kind


def evaluated(
    call: Call, request: EvaluationRequest, asked: Asked, form: Form, touched: tuple[str, ...]
) -> Reply:
    """The reports, made at once where they are about few patients, else by a job."""
    services = call.services
    request.period.interval(services.settings.zone_minutes)
    # All that is read at once is read of one state of the store.
    with services.database.read() as connection:
        prepared = prepare(services, request)
        found = find_subjects(connection, call.access, asked, request.period)
        if not call.asynchronous and len(found.patients) <= services.settings.inline_patients:
            resource = _at_once(call, connection, request, prepared, found, form)
            patients = tuple(identity for _, identity in found.patients)
            return Reply(resource, touched=touched, patients=patients)
    queued = evaluating.Evaluating(request, asked, form)
    return asynchronous.queue(call, evaluating.NAME, queued, touched=touched)


def _at_once(
    call: Call,
    connection: Connection,
    request: EvaluationRequest,
    prepared: Prepared,
    found: Subjects,
    form: Form,
) -> dict[str, Any]:
    services = call.services
    outcome = evaluate_request(services, request, prepared, found.patients, missing=found.missing)
    failed = [issue for issue in outcome.issues if issue.severity == "error"]
    if request.kind == "individual" and found.kind == "patient" and failed:
        raise RequestError(failed[0].what, code="processing", where=failed[0].where, mend=failed[0].mend)
    made = reports(connection, services, prepared, request, outcome)
    return answer(connection, call.access, made, form, call.base, untold(request, outcome))
