"""``Measure/$evaluate`` of DEQM: STU5, and the universal realm's ballot; one operation that takes both.

https://hl7.org/fhir/us/davinci-deqm/STU5/OperationDefinition-evaluate.html and DEQM universal realm
1.0.0-ballot. They name report types and measures differently and answer alike: Parameters of Bundles.
"""

from __future__ import annotations

from typing import Final

from measurewise.api.fhir.arguments import Declared, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.operations.evaluating import REPORT_TYPE, evaluated, period_of, report_kind, reporter_of
from measurewise.api.services.evaluation import EvaluationRequest
from measurewise.api.services.measures import measures_named, references_to
from measurewise.api.services.provenance import at_fixed_versions, fixed_versions
from measurewise.api.services.subjects import Asked

MEASURES: Final = (
    Declared("measureId", "string", "A measure by its id on this server.", maximum=None),
    Declared("measureUrl", "canonical", "A measure by its canonical URL.", maximum=None),
    Declared("measureIdentifier", "string", "A measure by its identifier, as system|value.", maximum=None),
)
PERIOD: Final = (
    Declared("periodStart", "date", "The first day of the measurement period.", minimum=1),
    Declared("periodEnd", "date", "The last day of the measurement period, included.", minimum=1),
)

MANIFEST: Final = Declared(
    "manifest", "canonical", "A Library of type asset-collection: compute with its versions, or not at all."
)

_PARAMETERS: Final = (
    *PERIOD,
    *MEASURES,
    Declared("measure", "canonical", "As measureUrl.", maximum=None),
    REPORT_TYPE,
    Declared("subject", "string", "Patient/[id], Group/[id] or Practitioner/[id]; everybody if not given."),
    Declared("subjectGroup", "Group", "The subjects as a Group in the request."),
    Declared("provider", "string", "Practitioner/[id] or Organization/[id]: only their patients."),
    Declared("providerResource", "Resource", "The provider as a Practitioner or Organization."),
    Declared("location", "string", "Location/[id]: only patients seen there in the period.", maximum=None),
    Declared("parameters", "Parameters", "Parameters of the measures' logic, by their CQL names."),
    Declared("reporter", "string", "Who reports: Organization/[id] or Practitioner/[id]."),
    Declared(
        "lastReceivedOn",
        "dateTime",
        "With individual reports: evaluated resources that have changed since.",
    ),
    MANIFEST,
)


def evaluate(call: Call) -> Reply:
    """The Bundles of MeasureReports. Raises MeasurewiseError for what cannot be honoured."""
    arguments = call.arguments
    for name in ("measureId", "measureUrl", "measure", "measureIdentifier"):
        if call.target[1] is not None and name in arguments:
            raise refused(name, "cannot be given where the address names the measure")
    fixed = fixed_versions(call.services, arguments.text("manifest"))
    measures = measures_named(
        call.services.catalog,
        [call.target[1]] if call.target[1] else arguments.all("measureId"),
        at_fixed_versions([*arguments.all("measureUrl"), *arguments.all("measure")], fixed),
        arguments.all("measureIdentifier"),
    )
    subject, group = arguments.text("subject"), arguments.one("subjectGroup")
    if subject is not None and group is not None:
        raise refused("subjectGroup", "and subject exclude each other")
    call.principal.check_subject(subject)
    period = period_of(arguments)
    request = EvaluationRequest(
        measures,
        period.start,
        period.end,
        report_kind(arguments),
        reporter=reporter_of(arguments),
        parameters=arguments.one("parameters"),
        changed_since=arguments.text("lastReceivedOn"),
        fixed=fixed,
    )
    practitioner, organization = _provider(call)
    asked = Asked(subject, group, practitioner, organization, tuple(arguments.all("location")))
    touched = references_to(call.services.catalog.content, measures)
    return evaluated(call, request, asked, "parameters", touched)


def _provider(call: Call) -> tuple[str | None, str | None]:
    """The practitioner and the organisation that the request names as provider."""
    named, resource = call.arguments.text("provider"), call.arguments.one("providerResource")
    if resource is not None:
        if named is not None:
            raise refused("providerResource", "and provider exclude each other")
        if not resource.get("id"):
            raise refused("providerResource", "has no id", "Give it the id under which it is known here.")
        named = f"{resource.get('resourceType')}/{resource['id']}"
    if named is None:
        return None, None
    kind = named.rpartition("/")[0].rpartition("/")[2]
    if kind not in ("Practitioner", "Organization"):
        raise refused("provider", f"is '{named}'", "Name a Practitioner or an Organization.")
    return (named, None) if kind == "Practitioner" else (None, named)


OPERATION: Final = Operation(
    "evaluate",
    "Evaluate measures (DEQM)",
    "Measure",
    ("type", "instance"),
    _PARAMETERS,
    evaluate,
    asynchronous=True,
)
