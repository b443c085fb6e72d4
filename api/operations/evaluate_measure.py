"""``Measure/$evaluate-measure`` of FHIR R4.

https://hl7.org/fhir/R4/measure-operation-evaluate-measure.html
"""

from __future__ import annotations

from typing import Final

from measurewise.api.fhir.arguments import Declared, missing, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.operations.evaluate import PERIOD
from measurewise.api.operations.evaluating import REPORT_TYPE, evaluated, period_of, report_kind
from measurewise.api.services.evaluation import EvaluationRequest
from measurewise.api.services.measures import canonical_of, measure_of_id, references_to
from measurewise.api.services.subjects import Asked

_PARAMETERS: Final = (
    *PERIOD,
    Declared("measure", "string", "The measure, by canonical URL or reference; where the address has no id."),
    REPORT_TYPE,
    Declared("subject", "string", "Patient/[id], Group/[id] or Practitioner/[id]; everybody if not given."),
    Declared("practitioner", "string", "Practitioner/[id]: only the patients who are theirs."),
    Declared(
        "lastReceivedOn",
        "dateTime",
        "With a report on one patient: evaluated resources that have changed since.",
    ),
    Declared("productLine", "string", "Refused: measures here do not differ by product line."),
)


def evaluate_measure(call: Call) -> Reply:
    """The MeasureReport. Raises MeasurewiseError for what cannot be honoured."""
    arguments = call.arguments
    if "productLine" in arguments:
        raise refused("productLine", "is not supported: measures here do not differ by product line")
    measure = measure_named(call)
    subject, practitioner = arguments.text("subject"), arguments.text("practitioner")
    call.principal.check_subject(subject)
    period = period_of(arguments)
    request = EvaluationRequest(
        (measure,),
        period.start,
        period.end,
        report_kind(arguments),
        changed_since=arguments.text("lastReceivedOn"),
    )
    asked = Asked(subject=subject, practitioner=practitioner)
    touched = references_to(call.services.catalog.content, (measure,))
    return evaluated(call, request, asked, "measure-report", touched)


def measure_named(call: Call) -> str:
    """The measure of an operation on one, by id in the address or by parameter. Raises RequestError."""
    identity, named = call.target[1], call.arguments.text("measure")
    if identity is None and named is None:
        raise missing("measure", "Name it, or ask Measure/[id]/$evaluate-measure.")
    if identity is not None and named is not None:
        raise refused("measure", "is in the address already")
    if identity is not None:
        return canonical_of(measure_of_id(call.services.catalog.content, identity))
    return str(named).removeprefix("Measure/")


OPERATION: Final = Operation(
    "evaluate-measure",
    "Evaluate a measure (FHIR R4)",
    "Measure",
    ("type", "instance"),
    _PARAMETERS,
    evaluate_measure,
    definition="http://hl7.org/fhir/OperationDefinition/Measure-evaluate-measure",
    asynchronous=True,
)
