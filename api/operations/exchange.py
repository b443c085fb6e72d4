"""``Measure/$collect-data`` (FHIR R4 and DEQM)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from measurewise.api.fhir.arguments import Declared, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.operations.evaluate import MANIFEST, MEASURES, PERIOD
from measurewise.api.services.answers import parameters
from measurewise.api.services.evaluation import issues_of_missing
from measurewise.api.services.exchange import collect
from measurewise.api.services.measures import measures_named, references_to
from measurewise.api.services.provenance import at_fixed_versions, check_fixed_versions, fixed_versions
from measurewise.api.services.subjects import Asked, find_subjects
from measurewise.engine import Period

_COLLECT: Final = (
    *PERIOD,
    *MEASURES,
    Declared("measure", "canonical", "As measureUrl.", maximum=None),
    Declared("subject", "string", "Patient/[id] or Group/[id]; everybody if none is named."),
    Declared("subjectGroup", "Group", "The subjects as a Group in the request."),
    Declared("practitioner", "string", "Practitioner/[id]: only the patients who are theirs."),
    MANIFEST,
    Declared("reporter", "string", "Who reports: Organization/[id] or Practitioner/[id]."),
    Declared("lastReceivedOn", "dateTime", "Only data that have changed since."),
    Declared("validateResources", "boolean", "Only false is honoured.", codes=("false",)),
)


def collect_data(call: Call) -> Reply:
    """Parameters of Bundles, one a subject: its data-collection reports, one a measure, and the data."""
    arguments = call.arguments
    services = call.services
    for name in ("measureId", "measureUrl", "measure", "measureIdentifier"):
        if call.target[1] is not None and name in arguments:
            raise refused(name, "cannot be given where the address names the measure")
    fixed = fixed_versions(services, arguments.text("manifest"))
    measures = measures_named(
        services.catalog,
        [call.target[1]] if call.target[1] else arguments.all("measureId"),
        at_fixed_versions([*arguments.all("measureUrl"), *arguments.all("measure")], fixed),
        arguments.all("measureIdentifier"),
    )
    subject, group = arguments.text("subject"), arguments.one("subjectGroup")
    call.principal.check_subject(subject)
    period = Period(arguments.required("periodStart"), arguments.required("periodEnd"))
    period.interval(services.settings.zone_minutes)
    check_fixed_versions(services.catalog, measures, period, fixed)
    with services.database.read() as connection:
        asked = Asked(subject, group, arguments.text("practitioner"))
        found = find_subjects(connection, call.access, asked, period)
    most = services.settings.inline_patients
    if len(found.patients) > most:
        raise RequestError(
            f"these are {len(found.patients)} patients; {most} can be collected at once.",
            code="too-costly",
            mend="Ask for smaller groups, or export the Group.",
        )
    collected, issues = collect(
        services,
        call.access,
        measures,
        period,
        found.patients,
        reporter=arguments.text("reporter") or services.settings.reporter,
        changed_since=arguments.text("lastReceivedOn"),
    )
    bundles: list[dict[str, Any]] = []
    for one in collected:
        entries: list[dict[str, Any]] = [
            {"fullUrl": f"{call.base}/MeasureReport/{report['id']}", "resource": report}
            for report in one.reports
        ]
        entries += [
            {"fullUrl": f"{call.base}/{stored.reference}", "resource": msgspec.Raw(stored.body)}
            for stored in one.resources
        ]
        bundles.append({"resourceType": "Bundle", "type": "collection", "entry": entries})
    if found.kind == "patient" and issues:
        raise RequestError(issues[0].what, code="processing", where=issues[0].where, mend=issues[0].mend)
    answer = parameters(bundles, [*issues, *issues_of_missing(found.missing)])
    patients = tuple(identity for _, identity in found.patients)
    return Reply(answer, touched=references_to(services.catalog.content, measures), patients=patients)


OPERATION: Final = Operation(
    "collect-data",
    "The data that measures need",
    "Measure",
    ("type", "instance"),
    _COLLECT,
    collect_data,
    definition="http://hl7.org/fhir/us/davinci-deqm/OperationDefinition/collect-data",
)
