"""``$import`` (bulk import by address, ping and pull, or upload) and ``Measure/$bulk-submit-data``.

https://github.com/smart-on-fhir/bulk-import, and DEQM's "Bulk Data Exchange".
"""

from __future__ import annotations

from typing import Any, Final

from measurewise.api.fhir.arguments import Declared, missing, refused
from measurewise.api.fhir.asynchronous import queue
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import NDJSON, is_lines_format
from measurewise.api.fhir.operation import LINES, Operation
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.fhir.types import STORED
from measurewise.api.jobs import importing
from measurewise.api.services.importing import ImportRequest, Source, check_address, export_request
from measurewise.api.services.requirements import measure_requirements
from measurewise.api.services.submission import measure_of_report
from measurewise.engine import Period
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.database import now

_PULL: Final = (
    Declared("exportUrl", "url", "Another server's export: https://host/fhir/Group/[id]/$export."),
    Declared(
        "exportType", "code", "dynamic: exportUrl is asked for; static: it is a manifest that is there.",
        codes=("dynamic", "static"),
    ),
    Declared("_since", "instant", "Passed on to the export."),
    Declared("_type", "string", "Passed on to the export.", maximum=None),
    Declared("_typeFilter", "string", "Passed on to the export.", maximum=None),
)  # fmt: skip
_IMPORT: Final = (
    Declared("inputFormat", "code", "application/fhir+ndjson."),
    Declared("inputSource", "uri", "Becomes meta.source of resources that have none."),
    Declared("storageDetail", "part", "Only the type https is honoured."),
    Declared("input", "part", "A file: its url, and the type of its resources.", maximum=None),
    *_PULL,
)
_SUBMIT: Final = (
    Declared("measureReport", "MeasureReport", "The data-collection report.", minimum=1),
    *_PULL,
)
_SHARED_TYPES: Final = {"Encounter": "Location", "MedicationRequest": "Medication"}


def import_data(call: Call) -> Reply:
    """202 always, and where to ask for the outcome. Raises MeasurewiseError."""
    arguments = call.arguments
    form = arguments.text("inputFormat")
    if form is not None and not is_lines_format(form):
        raise refused("inputFormat", f"is '{form}'", f"Only {NDJSON} is read.")
    for part in arguments.all("storageDetail"):
        if _part(part, "storageDetail").get("type", "https") != "https":
            raise refused("storageDetail", "names a storage that is not supported", "Give https addresses.")
    sources = tuple(map(_source, arguments.all("input")))
    upload, exported = arguments.one(LINES), arguments.text("exportUrl")
    given = [bool(sources), upload is not None, exported is not None]
    if not any(given):
        raise missing("input", "Give input, exportUrl, or the lines themselves as the body.")
    if sum(given) > 1:
        raise RequestError("input, exportUrl and a body of lines exclude each other.", where="Parameters")
    request = ImportRequest(
        sources,
        None if upload is None else str(upload),
        source=arguments.text("inputSource"),
        group=call.target[1],
        **_pulling(call),
    )
    return _queued(call, request)


def bulk_submit_data(call: Call) -> Reply:
    """As ``import_data``, with the report stored beside the data. Raises MeasurewiseError."""
    report: dict[str, Any] = call.arguments.one("measureReport")
    if "exportUrl" not in call.arguments:
        raise missing("exportUrl")
    loaded = call.services.catalog.loaded()
    measure = measure_of_report(loaded.content, report, call.target[1])
    pulling = _pulling(call)
    if not pulling["types"] and "_type=" not in str(pulling["export_url"]):
        covered = _covered(report)
        kinds = {one.resource_type for one in measure_requirements(loaded, measure, covered).retrievals}
        kinds |= {shared for kind, shared in _SHARED_TYPES.items() if kind in kinds}
        pulling["types"] = tuple(sorted(kinds | {"Patient"}))
    return _queued(call, ImportRequest(report=to_json(report).decode(), **pulling))


def _covered(report: dict[str, Any]) -> Period:
    """The report's period; what is needed does not hang on it, so this year's will do where it has none."""
    period, year = report.get("period") or {}, now().year
    return Period(str(period.get("start", f"{year}-01-01")), str(period.get("end", f"{year}-12-31")))


def _queued(call: Call, request: ImportRequest) -> Reply:
    settings = call.services.settings
    for source in request.sources:
        check_address(settings, source.url, "input.url")
    if request.export_url is not None:
        check_address(settings, request.export_url, "exportUrl")
        export_request(request)
    return queue(call, importing.NAME, request, always=True)


def _pulling(call: Call) -> dict[str, Any]:
    arguments = call.arguments
    asked = [name for name in ("exportType", "_since", "_type", "_typeFilter") if name in arguments]
    if asked and "exportUrl" not in arguments:
        raise refused(asked[0], "is about an export, and there is no exportUrl")
    types = tuple(dict.fromkeys(kind for text in arguments.all("_type") for kind in text.split(",") if kind))
    for kind in types:
        if kind not in STORED:
            raise refused("_type", f"is '{kind}', which is no resource type")
    return {
        "export_url": arguments.text("exportUrl"),
        "export_type": arguments.text("exportType") or "dynamic",
        "types": types,
        "filters": tuple(arguments.all("_typeFilter")),
        "since": arguments.text("_since"),
    }


def _source(parts: Any) -> Source:
    said = _part(parts, "input")
    kind, url = said.get("type") or said.get("inputType"), said.get("url")
    if not isinstance(url, str):
        raise refused("input", "has no url", "Give each input its url.")
    if kind is not None and kind not in STORED:
        raise refused("input", f"is of the type '{kind}', which is no resource type")
    return Source(url, kind)


def _part(parts: Any, name: str) -> dict[str, Any]:
    """The values of a parameter's parts, by name. Raises RequestError."""
    found: dict[str, Any] = {}
    for part in parts if isinstance(parts, list) else ():
        values = [value for key, value in part.items() if key.startswith("value")]
        if len(values) != 1 or not isinstance(part.get("name"), str):
            raise refused(name, "has a part without a name or a value")
        found[part["name"]] = values[0]
    unknown = set(found) - {"type", "inputType", "url"}
    if unknown:
        raise refused(name, f"has a part '{min(unknown)}' that is not honoured")
    return found


OPERATIONS: Final = (
    Operation(
        "import", "Import NDJSON", None, ("system",), _IMPORT, import_data,
        affects_state=True, asynchronous=True, takes_lines=True,
    ),
    Operation(
        "import", "Import NDJSON, its patients into a group", "Group", ("instance",), _IMPORT, import_data,
        affects_state=True, asynchronous=True, takes_lines=True,
    ),
    Operation(
        "bulk-submit-data", "Take in data for a measure from another server's export", "Measure",
        ("type", "instance"), _SUBMIT, bulk_submit_data, affects_state=True, asynchronous=True,
        definition="http://hl7.org/fhir/us/davinci-deqm/OperationDefinition/bulk-submit-data",
    ),
)  # fmt: skip
