"""What the evaluating operations have in common: reports made at once, or by a job."""

from __future__ import annotations

from measurewise.api.fhir import asynchronous
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.jobs import evaluating
from measurewise.api.services.answers import Form, answer
from measurewise.api.services.evaluation import EvaluationRequest, evaluate_request, prepare, reports
from measurewise.api.services.subjects import Asked, find_subjects


def evaluated(
    call: Call, request: EvaluationRequest, asked: Asked, form: Form, touched: tuple[str, ...]
) -> Reply:
    """The reports, made at once where they are about few patients, else by a job."""
    services = call.services
    period = request.period
    period.interval(services.settings.zone_minutes)
    prepared = prepare(services, request)
    with services.database.read() as connection:
        found = find_subjects(connection, call.access, asked, period)
    few = len(found.patients) <= services.settings.inline_patients
    if not few or call.asynchronous:
        queued = evaluating.Evaluating(request, asked, form)
        return asynchronous.queue(call, evaluating.NAME, queued, touched=touched)
    outcome = evaluate_request(services, request, prepared, found.patients, missing=found.missing)
    failed = [issue for issue in outcome.issues if issue.severity == "error"]
    if request.kind == "individual" and found.kind == "patient" and failed:
        raise RequestError(failed[0].what, code="processing", where=failed[0].where, mend=failed[0].mend)
    with services.database.read() as connection:
        made = reports(connection, services, prepared, request, outcome)
        resource = answer(connection, call.access, made, form, call.base)
    return Reply(
        resource,
        touched=touched,
        patients=tuple(identity for _, identity in found.patients),
    )
