"""Bulk Data Access 2.0: ``$export``, ``Patient/$export`` and ``Group/[id]/$export``.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from __future__ import annotations

import re
from typing import Final

from measurewise.api.fhir.arguments import Declared, refused
from measurewise.api.fhir.asynchronous import queue
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import NDJSON, is_lines_format
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.fhir.types import STORED
from measurewise.api.jobs import exporting
from measurewise.api.services.bulk import ExportRequest, check_export

_BETWEEN_QUERIES: Final = re.compile(r",(?=[A-Z][A-Za-z]+\?)")
_EXPORT: Final = (
    Declared("_outputFormat", "string", "application/fhir+ndjson, which is also what comes without it."),
    Declared("_since", "instant", "Only what has changed since; what was deleted since is listed."),
    Declared("_type", "string", "Resource types, separated by commas.", maximum=None),
    Declared("_typeFilter", "string", "Searches as Condition?code=x, separated by commas.", maximum=None),
    Declared("_elements", "string", "Refused: resources are exported whole.", maximum=None),
    Declared("includeAssociatedData", "string", "Refused: there is no associated data.", maximum=None),
)
_PATIENTS: Final = (
    *_EXPORT,
    Declared("patient", "Reference", "Only these patients, as Patient/[id].", maximum=None),
)


def export(call: Call) -> Reply:
    """202, and where to ask for the manifest of the files. Raises MeasurewiseError."""
    arguments = call.arguments
    if not call.asynchronous:
        raise RequestError(
            "an export is answered later only.", where="http.Prefer", mend="Send Prefer: respond-async."
        )
    for name, why in (
        ("_elements", "resources are exported whole"),
        ("includeAssociatedData", "there is none"),
    ):
        if name in arguments:
            raise refused(name, f"is not supported: {why}")
    form = arguments.text("_outputFormat")
    if form is not None and not is_lines_format(form):
        raise refused("_outputFormat", f"is '{form}'", f"Only {NDJSON} is written.")
    types = tuple(dict.fromkeys(kind for text in arguments.all("_type") for kind in text.split(",") if kind))
    for kind in types:
        if kind not in STORED:
            raise refused("_type", f"is '{kind}', which is no resource type")
    resource_type, identity = call.target
    request = ExportRequest(
        "group" if resource_type == "Group" else "patient" if resource_type == "Patient" else "system",
        call.url,
        identity,
        tuple(dict.fromkeys(map(_patient, arguments.all("patient")))),
        types,
        tuple(query for text in arguments.all("_typeFilter") for query in _BETWEEN_QUERIES.split(text)),
        arguments.text("_since"),
    )
    check_export(call.services, call.access, request)
    return queue(call, exporting.NAME, request)


def _patient(reference: str) -> str:
    kind, _, identity = reference.rpartition("/")
    if kind.rpartition("/")[2] not in ("", "Patient") or not identity:
        raise refused("patient", f"is '{reference}', which is no Patient")
    return identity


_GUIDE: Final = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"

OPERATIONS: Final = (
    Operation(
        "export", "Export everything (Bulk Data)", None, ("system",), _EXPORT, export,
        definition=f"{_GUIDE}/export", asynchronous=True, types_in="_type",
    ),
    Operation(
        "export", "Export all patients (Bulk Data)", "Patient", ("type",), _PATIENTS, export,
        definition=f"{_GUIDE}/patient-export", asynchronous=True, types_in="_type",
    ),
    Operation(
        "export", "Export a group's patients (Bulk Data)", "Group", ("instance",), _PATIENTS, export,
        definition=f"{_GUIDE}/group-export", asynchronous=True, types_in="_type",
    ),
)  # fmt: skip
