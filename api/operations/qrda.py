"""``MeasureReport/$qrda3``: a QRDA III report from MeasureReports and a description of who reports.

The reports come with the request, are named, are found by measure and period, or are made now.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from measurewise.api.fhir import asynchronous
from measurewise.api.fhir.arguments import Arguments, Declared, missing, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.jobs import qrda3
from measurewise.api.services.evaluation import EvaluationRequest, evaluate_request, prepare, reports
from measurewise.api.services.measures import references_to
from measurewise.api.services.qrda_writing import XML, Writing, reports_named, reports_of, written
from measurewise.api.services.subjects import Asked, find_subjects
from measurewise.engine import Period
from measurewise.engine.measure.reports.edge import to_json
from measurewise.qrda.category3.writing.description import EntityType, Programme
from measurewise.store.database import now
from measurewise.store.resources import parse

DESCRIBED: Final = (
    Declared("description", "string", "Who reports for which programme: the JSON that qrda3 write takes."),
    Declared("year", "integer", "Performance year; in place of a description, as are the following."),
    Declared("programme", "code", "The programme.", codes=tuple(map(str, Programme))),
    Declared("mvp", "string", "Id of the MIPS Value Pathway."),
    Declared("entityType", "code", "Who is scored.", codes=tuple(map(str, EntityType))),
    Declared("entityName", "string", "Their name."),
    Declared("tin", "string", "Taxpayer identification number (individual, group)."),
    Declared("npi", "string", "National provider identifier (individual)."),
    Declared("entityId", "string", "CMS's id of a subgroup, virtual group or APM entity."),
    Declared("cehrtId", "string", "CMS EHR Certification ID."),
)
_PARAMETERS: Final = (
    Declared("report", "string", "MeasureReport/[id]: a stored summary report.", maximum=None),
    Declared("measureReport", "MeasureReport", "A summary report in the request.", maximum=None),
    Declared("measure", "string", "A measure by canonical URL, id or name.", maximum=None),
    Declared("periodStart", "date", "First day of the period."),
    Declared("periodEnd", "date", "Last day of the period, included."),
    Declared(
        "evaluate", "boolean", "Evaluate the measures now, in place of looking for their stored reports."
    ),
    Declared("subject", "string", "With evaluate: Group/[id] or Practitioner/[id]; everybody if not given."),
    *DESCRIBED,
    Declared("at", "dateTime", "When the report is made, with a time; now if not given."),
    Declared(
        "missingSupplementalData",
        "code",
        "What becomes of reports that do not count by sex, race, ethnicity or payer; error if not given.",
        codes=("error", "leave-out"),
    ),
)
_TOP: Final = ("year", "programme", "mvp", "cehrtId")
_ENTITY: Final = {"entityType": "type", "entityName": "name", "tin": "tin", "npi": "npi", "entityId": "id"}


def write_qrda3(call: Call) -> Reply:
    """The report as a Binary. Raises MeasurewiseError for what cannot be reported."""
    arguments = call.arguments
    writing = writing_from(arguments)
    writing.check()
    sources = [name for name in ("report", "measureReport", "periodStart") if name in arguments]
    if len(sources) > 1:
        raise refused(sources[1], f"does not go with {sources[0]}", "Ask for two reports.")
    if "periodStart" not in arguments:
        for name in ("measure", "periodEnd", "evaluate", "subject"):
            if name in arguments:
                raise missing("periodStart", f"{name} asks for a period.")
    if "report" in arguments:
        with call.services.database.read() as connection:
            given = reports_named(connection, call.access, arguments.all("report"))
        return _reply(call, given, writing, stored=True)
    if "measureReport" in arguments or "periodStart" not in arguments:
        return _reply(call, list(arguments.all("measureReport")), writing)
    measures = tuple(str(one).removeprefix("Measure/") for one in arguments.all("measure"))
    if arguments.one("evaluate"):
        return _evaluated(call, measures, writing)
    if "subject" in arguments:
        raise refused("subject", "is for reports that are made now", "Add evaluate=true.")
    period = _period(arguments)
    with call.services.database.read() as connection:
        given = reports_of(call.services, connection, call.access, measures, period)
    return _reply(call, given, writing, stored=True)


def _evaluated(call: Call, measures: tuple[str, ...], writing: Writing) -> Reply:
    arguments, services = call.arguments, call.services
    if not measures:
        raise missing("measure", "Name the measures to evaluate.")
    subject = arguments.text("subject")
    call.principal.check_subject(subject)
    period = _period(arguments)
    request = EvaluationRequest(measures, period.start, period.end, "summary")
    prepared = prepare(services, request)
    asked = Asked(subject=subject)
    touched = references_to(services.catalog.content, measures)
    with services.database.read() as connection:
        found = find_subjects(connection, call.access, asked, period)
    if len(found.patients) > services.settings.inline_patients or call.asynchronous:
        queued = qrda3.EvaluatingQrda3(request, asked, writing)
        return asynchronous.queue(call, qrda3.NAME, queued, touched=touched)
    outcome = evaluate_request(services, request, prepared, found.patients, missing=found.missing)
    with services.database.read() as connection:
        made = reports(connection, services, prepared, request, outcome)
    content = written(services, [parse(to_json(report)) for report in made], writing)
    return Reply(content, touched=touched, patients=tuple(identity for _, identity in found.patients))


def _reply(call: Call, given: list[dict[str, Any]], writing: Writing, *, stored: bool = False) -> Reply:
    names = tuple(f"MeasureReport/{report['id']}" for report in given) if stored else ()
    return Reply(written(call.services, given, writing), touched=names)


def _period(arguments: Arguments) -> Period:
    return Period(arguments.required("periodStart"), arguments.required("periodEnd"))


def writing_from(arguments: Arguments) -> Writing:
    """What a report says beside counts, as the parameters give it. Raises RequestError."""
    at = arguments.text("at")
    if at is not None and "T" not in at:
        raise refused("at", f"is '{at}', which has no time", "Write 2026-01-15T08:00:00.")
    return Writing(
        description_from(arguments),
        at or now().isoformat(timespec="seconds"),
        arguments.text("missingSupplementalData") or "error",  # type: ignore[arg-type]
    )


def description_from(arguments: Arguments) -> dict[str, Any]:
    """The description that the parameters give, as JSON or one by one. Raises RequestError."""
    text = arguments.text("description")
    single = [name for name in (*_TOP, *_ENTITY) if name in arguments]
    if text is None:
        found = {name: arguments.one(name) for name in _TOP if name in arguments}
        entity = {to: arguments.one(name) for name, to in _ENTITY.items() if name in arguments}
        return {**found, "entity": entity}
    if single:
        raise refused(single[0], "stands in the description", "Leave one of the two out.")
    try:
        content = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise refused("description", f"is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise refused("description", "is no JSON object")
    return content


OPERATION: Final = Operation(
    "qrda3",
    "Write a QRDA III report",
    "MeasureReport",
    ("type",),
    _PARAMETERS,
    write_qrda3,
    asynchronous=True,
    produces=XML,
)
