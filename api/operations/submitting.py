"""``Measure/$submit-data`` (FHIR R4 and DEQM), and what it takes in from another server's export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from measurewise.api.fhir.arguments import Arguments, Declared, missing, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.outcomes import information
from measurewise.api.operations.bulk_import import bulk_submit_data
from measurewise.api.security.scopes import operation_needs
from measurewise.api.services.submission import DATA_COLLECTION, Submission, of_bundle, submit
from measurewise.store.resources import Stored

_SUBMIT: Final = (
    Declared("measureReport", "MeasureReport", "The data-collection report.", maximum=None),
    Declared("resource", "Resource", "The data it lists.", maximum=None),
    Declared("bundle", "Bundle", "A subject's reports and data; one Bundle a subject.", maximum=None),
    Declared("exportUrl", "url", "Another server, or its export, to take the data from, as a job."),
    Declared("exportURL", "string", "As exportUrl."),
)
_BULK: Final = operation_needs("Measure/$bulk-submit-data")


def submit_data(call: Call) -> Reply:
    """All is stored or, where something is wrong, nothing. Raises MeasurewiseError.

    DEQM's Bundles are answered with one of type transaction-response each, a report and its resources with an
    OperationOutcome that says what was stored, and an address with a job.
    """
    arguments = call.arguments
    reports, bundles = arguments.all("measureReport"), arguments.all("bundle")
    if bundles and (reports or arguments.all("resource")):
        raise refused("bundle", "and measureReport exclude each other")
    if not bundles and len(reports) != 1:
        if not reports:
            raise missing("measureReport", "Submit data with one data-collection MeasureReport.")
        raise refused("measureReport", f"came {len(reports)} times", "Submit several as bundle parameters.")
    address = arguments.text("exportUrl") or arguments.text("exportURL")
    if address is not None:
        if bundles or arguments.all("resource"):
            raise refused("exportUrl", "and data in the request exclude each other")
        return _from_export(call, reports[0], address)
    submissions = [of_bundle(bundle) for bundle in bundles] or [
        Submission((reports[0],), tuple(arguments.all("resource")))
    ]
    permitted = call
    for kind in sorted({str(one.get("resourceType")) for given in submissions for one in given.resources}):
        permitted = permitted.permitted(kind, "u")
    content = call.services.catalog.content
    written: list[list[Stored]] = []
    with call.services.database.write() as connection:
        for given in submissions:
            written.append(
                submit(connection, content, permitted.access, permitted.home, given, call.target[1])
            )
    everything = [stored for stored_together in written for stored in stored_together]
    patients = tuple(dict.fromkeys(stored.patient for stored in everything if stored.patient))
    answer: dict[str, Any]
    if bundles:
        returned = [{"name": "return", "resource": _response(call, stored)} for stored in written]
        answer = {"resourceType": "Parameters", "parameter": returned}
    else:
        answer = information(f"{len(everything)} resources of {len(submissions)} reports were stored.")
    return Reply(answer, touched=tuple(stored.reference for stored in everything), patients=patients)


def _from_export(call: Call, report: dict[str, Any], address: str) -> Reply:
    """As ``$bulk-submit-data``, for a report that need not say more than its measure."""
    plain, mark, query = address.partition("?")
    export = plain if plain.endswith("/$export") else plain.rstrip("/") + "/$export"
    given = {"status": "complete", "type": DATA_COLLECTION, **report}
    arguments = Arguments({"measureReport": [given], "exportUrl": [export + mark + query]})
    principal = call.principal.permit_operation(_BULK)
    return bulk_submit_data(replace(call, principal=principal, arguments=arguments))


def _response(call: Call, written: list[Stored]) -> dict[str, Any]:
    entries = [
        {
            "response": {
                "status": "201" if stored.created else "200",
                "location": f"{call.base}/{stored.reference}/_history/{stored.version}",
                "etag": f'W/"{stored.version}"',
            }
        }
        for stored in written
    ]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}


OPERATION: Final = Operation(
    "submit-data",
    "Take in data for measures",
    "Measure",
    ("type", "instance"),
    _SUBMIT,
    submit_data,
    affects_state=True,
    definition="http://hl7.org/fhir/us/davinci-deqm/OperationDefinition/submit-data",
)
