"""``Measure/$qrda-export``: QRDA I documents of all whom measures count, a zip a measure and population.

After the pattern of Bulk Data exports: asked for, polled, fetched; always made by a job.
"""

from __future__ import annotations

from typing import Final

from measurewise.api.fhir import asynchronous
from measurewise.api.fhir.arguments import Declared, missing, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.jobs import qrda_zips
from measurewise.api.operations.qrda import DESCRIBED, writing_from
from measurewise.api.services.evaluation import EvaluationRequest, prepare
from measurewise.api.services.measures import canonical_of, measure_of_id, references_to
from measurewise.api.services.qrda_zips import QrdaExport
from measurewise.api.services.subjects import Asked, find_subjects
from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda.category1.export import measure_reference
from measurewise.store.database import now

_PARAMETERS: Final = (
    Declared("periodStart", "date", "First day of the measurement period.", minimum=1),
    Declared("periodEnd", "date", "Last day of the measurement period, included.", minimum=1),
    Declared("measure", "string", "A measure by canonical URL, id or name.", maximum=None),
    Declared("subject", "string", "Patient/[id], Group/[id] or Practitioner/[id]; everybody if not given."),
    Declared("custodian", "string", "Name of the organisation that keeps the records."),
    *DESCRIBED,
)


def export_qrda(call: Call) -> Reply:
    """Queue the export. Raises MeasurewiseError for what cannot be exported."""
    arguments, services = call.arguments, call.services
    identity = call.target[1]
    measures = tuple(str(one).removeprefix("Measure/") for one in arguments.all("measure"))
    if identity is not None:
        if measures:
            raise refused("measure", "is in the address already")
        measures = (canonical_of(measure_of_id(services.catalog.content, identity)),)
    if not measures:
        raise missing("measure", "Name it, or ask Measure/[id]/$qrda-export.")
    evaluation = EvaluationRequest(
        measures, arguments.required("periodStart"), arguments.required("periodEnd"), "summary"
    )
    prepared = prepare(services, evaluation)
    for measure in prepared.measures:
        try:
            measure_reference(measure, services.catalog.content, int(evaluation.period_end[:4]))
        except MeasurewiseError as error:
            raise RequestError(error.what, code="business-rule", where=error.where, mend=error.mend) from None
    asked = Asked(subject=arguments.text("subject"))
    with services.database.read() as connection:
        find_subjects(connection, call.access, asked, evaluation.period)
    described = any(one.name in arguments for one in DESCRIBED)
    writing = writing_from(arguments) if described else None
    if writing is not None:
        writing.check()
    request = QrdaExport(
        evaluation,
        asked,
        now().isoformat(timespec="seconds"),
        call.base,
        arguments.text("custodian") or call.home,
        call.url,
        writing,
    )
    touched = references_to(services.catalog.content, measures)
    return asynchronous.queue(call, qrda_zips.NAME, request, touched=touched, always=True)


OPERATION: Final = Operation(
    "qrda-export",
    "Export QRDA I documents of a population",
    "Measure",
    ("type", "instance"),
    _PARAMETERS,
    export_qrda,
    asynchronous=True,
)
