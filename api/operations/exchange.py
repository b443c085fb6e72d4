"""``Measure/$collect-data`` and ``Measure/$submit-data`` (FHIR R4 and DEQM)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from measurewise.api.fhir.arguments import Declared, missing, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.outcomes import RequestError, information
from measurewise.api.operations.evaluate import MANIFEST, MEASURES, PERIOD
from measurewise.api.services.exchange import bundle_parts, collect, submit
from measurewise.api.services.measures import measures_named
from measurewise.api.services.provenance import at_fixed_versions, check_fixed_versions, fixed_versions
from measurewise.api.services.subjects import Asked, find_subjects
from measurewise.engine import Period

_COLLECT: Final = (
    *PERIOD,
    *MEASURES,
    Declared("measure", "canonical", "As measureUrl.", maximum=None),
    Declared("subject", "string", "Patient/[id] or Group/[id]."),
    Declared("subjectGroup", "Group", "The subjects as a Group in the request."),
    Declared("practitioner", "string", "Practitioner/[id]: only the patients who are theirs."),
    MANIFEST,
    Declared("reporter", "string", "Who reports: Organization/[id] or Practitioner/[id]."),
    Declared("lastReceivedOn", "dateTime", "Only data that have changed since."),
    Declared("validateResources", "boolean", "Only false is honoured.", codes=("false",)),
)
_SUBMIT: Final = (
    Declared("measureReport", "MeasureReport", "The data-collection report.", maximum=None),
    Declared("resource", "Resource", "The data it lists.", maximum=None),
    Declared("bundle", "Bundle", "A report and its data; one Bundle a subject.", maximum=None),
)


def collect_data(call: Call) -> Reply:
    """Parameters of Bundles, one a subject: its data-collection reports, one a measure, and the data."""
    arguments = call.arguments
    services = call.services
    fixed = fixed_versions(services, arguments.text("manifest"))
    measures = measures_named(
        services.catalog,
        [call.target[1]] if call.target[1] else arguments.all("measureId"),
        at_fixed_versions([*arguments.all("measureUrl"), *arguments.all("measure")], fixed),
        arguments.all("measureIdentifier"),
    )
    subject, group = arguments.text("subject"), arguments.one("subjectGroup")
    if subject is None and group is None and arguments.text("practitioner") is None:
        raise missing("subject", "Name a patient, a group or a practitioner.")
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
    collected = collect(
        services,
        call.access,
        measures,
        period,
        found.patients,
        reporter=arguments.text("reporter") or services.settings.reporter,
        changed_since=arguments.text("lastReceivedOn"),
    )
    parts: list[dict[str, Any]] = []
    for one in collected:
        entries: list[dict[str, Any]] = [
            {"fullUrl": f"{call.base}/MeasureReport/{report['id']}", "resource": report}
            for report in one.reports
        ]
        entries += [
            {"fullUrl": f"{call.base}/{stored.reference}", "resource": msgspec.Raw(stored.body)}
            for stored in one.resources
        ]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        parts.append({"name": "return", "resource": bundle})
    answer: dict[str, Any] = {"resourceType": "Parameters"}
    if parts:
        answer["parameter"] = parts
    patients = tuple(one.patient for one in collected)
    return Reply(answer, touched=tuple(f"Measure/{name}" for name in measures), patients=patients)


def submit_data(call: Call) -> Reply:
    """An OperationOutcome that says what was stored; all of it or, where something is wrong, nothing."""
    arguments = call.arguments
    reports, bundles = arguments.all("measureReport"), arguments.all("bundle")
    if bundles and (reports or arguments.all("resource")):
        raise refused("bundle", "and measureReport exclude each other")
    if not bundles and len(reports) != 1:
        if not reports:
            raise missing("measureReport", "Submit data with one data-collection MeasureReport.")
        raise refused("measureReport", f"came {len(reports)} times", "Submit several as bundle parameters.")
    submissions = [bundle_parts(bundle) for bundle in bundles] or [
        (reports[0], list(arguments.all("resource")))
    ]
    if call.target[1] is not None:
        _same_measure(call, [report for report, _ in submissions])
    permitted = call
    for kind in sorted({str(one.get("resourceType")) for _, data in submissions for one in data}):
        permitted = permitted.permitted(kind, "u")
    written = []
    content = call.services.catalog.content
    with call.services.database.write() as connection:
        for report, data in submissions:
            written += submit(connection, content, permitted.access, permitted.home, report, data)
    patients = tuple(dict.fromkeys(stored.patient for stored in written if stored.patient))
    said = information(f"{len(written)} resources of {len(submissions)} reports were stored.")
    return Reply(said, touched=tuple(stored.reference for stored in written), patients=patients)


def _same_measure(call: Call, reports: list[dict[str, Any]]) -> None:
    measure = call.services.catalog.content.measure(str(call.target[1]))
    for report in reports:
        named = str(report.get("measure", "")).partition("|")[0]
        if named != measure.url:
            raise RequestError(
                f"the address is that of {measure.url}, the report of {named}.", where="MeasureReport.measure"
            )


OPERATIONS: Final = (
    Operation(
        "collect-data",
        "The data that measures need",
        "Measure",
        ("type", "instance"),
        _COLLECT,
        collect_data,
        definition="http://hl7.org/fhir/us/davinci-deqm/OperationDefinition/collect-data",
    ),
    Operation(
        "submit-data",
        "Take in data for measures",
        "Measure",
        ("type", "instance"),
        _SUBMIT,
        submit_data,
        affects_state=True,
        definition="http://hl7.org/fhir/us/davinci-deqm/OperationDefinition/submit-data",
    ),
)
