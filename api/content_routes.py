"""``POST /content``: measure packages as files: a bundle, NDJSON, a zip or tgz, or a form with such files."""

from __future__ import annotations

import uuid
import zipfile
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from measurewise.api.fhir.bodies import received
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.outcomes import RequestError, outcome
from measurewise.api.fhir.responding import admitted, respond
from measurewise.api.services.content import add, resources_at
from measurewise.store.resources import CONTENT_TYPES, check_content_keeper

_SUFFIXES: Final = {
    "application/zip": ".zip", "application/x-zip-compressed": ".zip", "application/gzip": ".tgz",
    "application/x-gzip": ".tgz", "application/x-tar+gzip": ".tgz", "application/fhir+ndjson": ".ndjson",
    "application/ndjson": ".ndjson", "application/x-ndjson": ".ndjson", "application/fhir+json": ".json",
    "application/json": ".json", "text/cql": ".cql",
}  # fmt: skip
_UNPACKED: Final = 4
"""By how much an archive may be larger than a body, when it is unpacked."""
_FORM: Final = "multipart/form-data"
_READ: Final = (".json", ".ndjson", ".cql", ".json.gz", ".ndjson.gz", ".cql.gz", ".zip", ".tgz", ".tar.gz")


def content_router() -> APIRouter:
    """The route that takes content in."""
    found = APIRouter(tags=["Content"], dependencies=[Depends(admitted)])

    @found.post("/content", summary="Add measures, libraries and value sets")
    async def add_content(request: Request) -> Response:
        sent = request.headers.get("content-type", "")
        kind = sent.partition(";")[0].strip().lower()
        suffix = ".form" if kind == _FORM else _SUFFIXES.get(kind)
        if suffix is None:
            raise RequestError(
                f"content of the kind '{kind}' cannot be read.", code="not-supported", status=415,
                mend=f"Send one of {', '.join(_SUFFIXES)}, or {_FORM} with such files.",
            )  # fmt: skip
        file = await received(request, suffix)

        def work(call: Call) -> Reply:
            return _add(call, file, sent if kind == _FORM else None)

        try:
            return await respond(request, "operation", None, work, operation="content-add")
        finally:
            file.unlink(missing_ok=True)

    return found


def _add(call: Call, file: Path, form: str | None) -> Reply:
    """An OperationOutcome that says what was added. Raises MeasurewiseError; then nothing was."""
    permitted = call
    for kind in sorted(CONTENT_TYPES):
        permitted = permitted.permitted(kind, "cu")
        check_content_keeper(permitted.access, call.services.settings.organization, kind)
    files = [file] if form is None else _of_form(file, form)
    try:
        for one in files:
            _check_unpacked(one, _UNPACKED * call.services.settings.largest_body)
        resources = resources_at(*files)
    finally:
        if form is not None:
            for part in files:
                part.unlink(missing_ok=True)
    added = add(call.services.database, resources)
    written = added.written
    said = (
        f"{len(added.held)} resources: {written.created} new, {written.updated} changed, "
        f"{written.unchanged} as they were."
    )
    issues = [{"severity": "information", "code": "informational", "details": {"text": said}}]
    issues += [
        {
            "severity": "information",
            "code": "informational",
            "details": {"text": f"{one.canonical} is {one.reference}."},
        }
        for one in added.held
        if one.type == "Measure"
    ]
    issues += [
        {"severity": "warning", "code": "not-found", "details": {"text": remark}} for remark in added.remarks
    ]
    return Reply(outcome(*issues), touched=tuple(one.reference for one in added.held))


def _check_unpacked(file: Path, most: int) -> None:
    """Raises RequestError for a zip that says it would unpack to more than is read at once."""
    if file.suffix == ".zip" and zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > most:
            raise RequestError(
                f"the archive would unpack to {size:,} bytes; {most:,} are read.", code="too-long",
                mend="Send it in several parts, or add it on the command line.",
            )  # fmt: skip


def _of_form(file: Path, content_type: str) -> list[Path]:
    """The files in a form, each beside it under a name of its own. Raises RequestError."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + file.read_bytes())
    found: list[Path] = []
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_filename()
        if not name:
            continue
        suffix = next(
            (one for one in sorted(_READ, key=len, reverse=True) if name.lower().endswith(one)), None
        )
        if suffix is None:
            for one in found:
                one.unlink(missing_ok=True)
            raise RequestError(
                f"the file '{name}' holds no content that can be read.", code="not-supported",
                mend=f"Send files that end in one of {', '.join(_READ)}.",
            )  # fmt: skip
        kept = file.with_name(f"{uuid.uuid4()}{suffix}")
        data = part.get_payload(decode=True)
        kept.write_bytes(data if isinstance(data, bytes) else b"")
        found.append(kept)
    if not found:
        raise RequestError(
            "the form has no file.", code="required", mend="Send content as files of the form."
        )
    return found
