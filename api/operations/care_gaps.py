"""``Measure/$care-gaps`` (DEQM STU5, and the universal realm's ballot).

https://hl7.org/fhir/us/davinci-deqm/STU5/OperationDefinition-care-gaps.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from measurewise.api.fhir import asynchronous
from measurewise.api.fhir.arguments import Declared, missing, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.jobs import care_gaps as job
from measurewise.api.operations.evaluate import MANIFEST, MEASURES, PERIOD
from measurewise.api.operations.evaluating import check_reference, period_of, reporter_of
from measurewise.api.services.answers import parameters
from measurewise.api.services.care_gaps import CareGapsRequest, care_gaps, measures_about, prepare_gaps
from measurewise.api.services.evaluation import issues_of_missing
from measurewise.api.services.measures import canonical_of, measures_named, references_to
from measurewise.api.services.provenance import at_fixed_versions, fixed_versions
from measurewise.api.services.subjects import Asked, find_subjects
from measurewise.engine.measure.gaps import GapStatus
from measurewise.engine.measure.reports.edge import to_json

_PARAMETERS: Final = (
    *PERIOD,
    Declared("subject", "string", "Patient/[id] or Group/[id]."),
    Declared("subjectGroup", "Group", "The subjects as a Group in the request."),
    Declared("organization", "string", "Organization/[id]: its patients; not with subject."),
    Declared("practitioner", "string", "Practitioner/[id]: theirs among the organization's patients."),
    Declared(
        "status",
        "code",
        "Which gaps; all but those that are not applicable, where none is given.",
        maximum=None,
        codes=tuple(GapStatus),
    ),
    *MEASURES,
    Declared("measure", "canonical", "As measureUrl.", maximum=None),
    Declared("topic", "string", "Only measures of this topic: system|code, a code or a text.", maximum=None),
    Declared("program", "string", "Only measures of this programme.", maximum=None),
    MANIFEST,
    Declared("reporter", "string", "Who reports: Organization/[id] or Practitioner/[id]."),
    Declared("isDocument", "boolean", "Whether each patient's gaps come as a document; true if not given."),
)


def find_care_gaps(call: Call) -> Reply:
    """Parameters with a Bundle for each patient who has such gaps. Raises MeasurewiseError."""
    arguments = call.arguments
    services = call.services
    subject, organization = arguments.text("subject"), arguments.text("organization")
    group, practitioner = arguments.one("subjectGroup"), arguments.text("practitioner")
    if organization is not None and (subject is not None or group is not None):
        raise refused("organization", "and subject exclude each other")
    if practitioner is not None and organization is None:
        raise missing("organization", "A practitioner is named with their organization.")
    if subject is None and group is None and organization is None:
        raise missing("subject", "Name a patient, a group or an organization.")
    check_reference("subject", subject, ("Patient", "Group"))
    check_reference("organization", organization, ("Organization",))
    check_reference("practitioner", practitioner, ("Practitioner",))
    call.principal.check_subject(subject)
    fixed = fixed_versions(services, arguments.text("manifest"))
    measures = _measures(call, fixed)
    period = period_of(arguments)
    request = CareGapsRequest(
        measures,
        period.start,
        period.end,
        tuple(str(status) for status in arguments.all("status"))
        or (GapStatus.OPEN, GapStatus.CLOSED, GapStatus.PROSPECTIVE),
        reporter_of(arguments) or organization,
        arguments.one("isDocument") is not False,
        fixed=fixed,
    )
    request.period.interval(services.settings.zone_minutes)
    prepare_gaps(services, request)
    asked = Asked(subject, group, practitioner, organization)
    with services.database.read() as connection:
        found = find_subjects(connection, call.access, asked, request.period)
    touched = references_to(services.catalog.content, measures)
    if call.asynchronous or len(found.patients) > services.settings.inline_patients:
        return asynchronous.queue(call, job.NAME, job.Finding(request, asked), touched=touched)
    documents, issues = care_gaps(services, call.access, request, found.patients, call.base)
    patients = tuple(identity for _, identity in found.patients)
    issues += issues_of_missing(found.missing)
    return Reply(to_json(parameters(documents, issues)), touched=touched, patients=patients)


def _measures(call: Call, fixed: Mapping[str, str]) -> tuple[str, ...]:
    """The measures named, or all; of these those with the topics and programmes asked for.

    ``fixed`` are the versions that a manifest fixes.
    """
    arguments = call.arguments
    content = call.services.catalog.content
    topics = [str(topic) for topic in arguments.all("topic")]
    programs = [str(program) for program in arguments.all("program")]
    named: list[Any] = [
        arguments.all("measureId"),
        at_fixed_versions([*arguments.all("measureUrl"), *arguments.all("measure")], fixed),
        arguments.all("measureIdentifier"),
    ]
    about = {canonical_of(measure): None for measure in measures_about(content, topics, programs)}
    if any(named):
        found = [name for name in measures_named(call.services.catalog, *named) if name in about]
    else:
        at_theirs = {f"{url}|{version}" for url, version in fixed.items()}
        found = [
            name
            for name in about
            if _is_proportion(content.measure(name).resource)
            and (name.partition("|")[0] not in fixed or name in at_theirs)
        ]
    if not found:
        raise RequestError(
            "no measure has this topic and programme.", code="not-found", where="topic", status=404
        )
    return tuple(found)


def _is_proportion(resource: Any) -> bool:
    """Whether a measure is one that gaps can be told of; others are passed over where none is named."""
    codings = (resource.get("scoring") or {}).get("coding") or ()
    return any(coding.get("code") == "proportion" for coding in codings) or not codings


OPERATION: Final = Operation(
    "care-gaps",
    "Gaps in care (DEQM)",
    "Measure",
    ("type",),
    _PARAMETERS,
    find_care_gaps,
    definition="http://hl7.org/fhir/us/davinci-deqm/OperationDefinition/care-gaps",
    asynchronous=True,
)
