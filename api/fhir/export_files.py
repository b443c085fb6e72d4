"""The files of Bulk Data exports, for whoever asked for them."""

from __future__ import annotations

from typing import Final

from measurewise.api.fhir.asynchronous import read_job
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.media import NDJSON
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.bulk_files import export_file

PATH: Final = "/_exports/{job}/{name}"
_SHOWN: Final = ("OperationOutcome", "Bundle")


def export_file_reply(call: Call, job: str, name: str) -> Reply:
    """The file, as NDJSON. Raises NoSuchResourceError, ScopeError, RequestError."""
    known = read_job(call.services, call.principal, job)
    kind = name.partition(".")[0]
    if kind not in _SHOWN:
        call = call.permitted(kind, "r")
    if call.access.patient is not None:
        raise RequestError("a token for one patient reads no exports.", code="forbidden")
    file = export_file(call.services, known.id, name)
    if file is None or known.state != "completed":
        raise RequestError(f"there is no file {name} of this export.", code="not-found", mend="Export anew.")
    return Reply(None, file=file, media_type=NDJSON)
