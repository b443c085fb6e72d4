"""What registries exchange, over plain HTTP: ``/qrda/...`` and ``/qpp/...``, files in and JSON out.

Each address is behind the same gate as the FHIR API, and each request is written down as an operation there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from measurewise.api.fhir import asynchronous, media
from measurewise.api.fhir.bodies import received
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.fhir.responding import admitted, respond
from measurewise.api.jobs import qrda1_import, qrda_judging, qrda_zips
from measurewise.api.jobs.qrda1_import import ImportingQrda1
from measurewise.api.jobs.qrda_judging import JudgingMany
from measurewise.api.jobs.received import take_over
from measurewise.api.security.errors import ScopeError
from measurewise.api.security.gate import principal as principal_of
from measurewise.api.security.scopes import operation_needs
from measurewise.api.services import qpp
from measurewise.api.services.qrda import FILES_AT_ONCE, Sent
from measurewise.api.services.qrda_import import Imported, documents, write_all
from measurewise.api.services.qrda_judging import CSV, JSON, Judging, is_unread, judged, whole_answer
from measurewise.api.services.qrda_zips import export_file
from measurewise.qrda.category1.merging import Match
from measurewise.qrda.category3.writing.description_json import description_of
from measurewise.qrda.qpp_reading import parse_json
from measurewise.qrda.validation.rule_files import Category

_XML: Final = frozenset({"application/xml", "text/xml", "application/cda+xml", "application/hl7-sda+xml"})
_ZIP: Final = frozenset({"application/zip", "application/x-zip-compressed"})
_ANY: Final = frozenset({"application/octet-stream", ""})
_JSONS: Final = frozenset({JSON, "application/fhir+json", "text/json"})
_FILES: Final[Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/xml": {"schema": {"type": "string"}}, "application/zip": {}},
    }
}
_OBJECT: Final[Any] = {"requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object"}}}}}
_WITH_CSV: Final[Any] = {200: {"content": {JSON: {}, CSV: {}}}}
_KINDS: Final = {".zip": "application/zip", ".xml": "application/xml"}
_EXPORTED: Final[Any] = {
    200: {"content": {"application/zip": {}, "application/xml": {}, "application/x-ndjson": {}}}
}
_EXPORT: Final = "Measure/$qrda-export"
_IMPORT: Final = "qrda/1/import"
_IMPORTED_AT_ONCE: Final = 50


def registry_router() -> APIRouter:
    """The addresses for files of registries."""
    found = APIRouter(dependencies=[Depends(admitted)])
    _judging(found)
    _importing(found)
    _submissions(found)
    _exporting(found)
    return found


def _judging(found: APIRouter) -> None:
    tags: list[Any] = ["QRDA"]

    @found.post(
        "/qrda/3/validate", tags=tags, openapi_extra=_FILES, responses=_WITH_CSV,
        summary="QRDA III held to schema, schematron and CMS's conversion rules",
    )  # fmt: skip
    async def validate_3(
        request: Request, year: int | None = None, warnings: bool = False, kind: Category = "qrda3"
    ) -> Response:
        judging = Judging("validate", kind, year, warnings)
        return await _judged(request, "qrda/3/validate", judging)

    @found.post(
        "/qrda/3/convert", tags=tags, openapi_extra=_FILES, responses=_WITH_CSV,
        summary="QRDA III judged as CMS does and converted to QPP JSON",
    )  # fmt: skip
    async def convert_3(request: Request) -> Response:
        return await _judged(request, "qrda/3/convert", Judging("convert"))

    @found.post(
        "/qrda/1/validate", tags=tags, openapi_extra=_FILES, responses=_WITH_CSV,
        summary="QRDA I held to schema and schematrons",
    )  # fmt: skip
    async def validate_1(request: Request, year: int | None = None, warnings: bool = False) -> Response:
        judging = Judging("validate", "qrda1", year, warnings)
        return await _judged(request, "qrda/1/validate", judging)


def _importing(found: APIRouter) -> None:
    @found.post(
        "/qrda/1/import", tags=["QRDA"], openapi_extra=_FILES,
        summary="QRDA I read into the FHIR resources of the caller's organisation",
    )  # fmt: skip
    async def import_1(request: Request, match: Match = "both") -> Response:
        await _permitted(request, _IMPORT)
        sent = await _file(request)

        def work(call: Call) -> Reply:
            return _imported(_allowed(call, _IMPORT), sent, match)

        return await respond(request, "operation", None, work, operation="qrda/1/$import")


def _submissions(found: APIRouter) -> None:
    tags: list[Any] = ["QPP"]

    @found.post(
        "/qpp/convert", tags=tags,
        openapi_extra={"requestBody": {"content": {**_FILES["requestBody"]["content"], JSON: {}}}},
        summary="QRDA III, or MeasureReports with a description, as a submission in QPP JSON",
    )  # fmt: skip
    async def convert(request: Request) -> Response:
        if _kind(request) in _JSONS:
            content = await _json(request, "qpp/convert")
            return await _answered(request, "qpp/convert", lambda call: _of_reports(call, content))
        return await _judged(request, "qpp/convert", Judging("convert", submission=True))

    @found.post(
        "/qpp/validate", tags=tags, openapi_extra=_OBJECT,
        summary="A submission held to the rules of the submissions API",
    )  # fmt: skip
    async def validate(
        request: Request, vendor: Annotated[str | None, Query(description="Id of a registry.")] = None
    ) -> Response:
        content = await _json(request, "qpp/validate")
        return await _answered(request, "qpp/validate", lambda _: qpp.judged(content, vendor))

    @found.post(
        "/qpp/merge", tags=tags, openapi_extra=_OBJECT,
        summary="Submissions, from the oldest to the newest, as one",
    )  # fmt: skip
    async def merge(request: Request) -> Response:
        content = await _json(request, "qpp/merge")
        given = content.get("submissions") if isinstance(content, dict) else content
        if not isinstance(given, list):
            raise RequestError("the body is no list of submissions.", mend='Send {"submissions": [...]}.')
        return await _answered(request, "qpp/merge", lambda _: qpp.merged(given))


def _exporting(found: APIRouter) -> None:
    @found.get(
        qrda_zips.FILES + "/{job}/{name}", tags=["QRDA"], responses=_EXPORTED,
        summary="A file of an export of QRDA documents",
    )  # fmt: skip
    async def exported(request: Request, job: str, name: str) -> Response:
        def work(call: Call) -> Reply:
            allowed = _allowed(call, _EXPORT)
            known = asynchronous.read_job(allowed.services, allowed.principal, job)
            file = export_file(allowed.services, known.id, name)
            if known.kind != qrda_zips.NAME or known.state != "completed" or file is None:
                raise RequestError(
                    f"there is no file {name} of this export.", code="not-found", mend="Export anew."
                )
            kind = _KINDS.get(file.suffix, "application/x-ndjson")
            held = {"Content-Disposition": f'attachment; filename="{name}"'}
            return Reply(None, headers=held, file=file, media_type=kind)

        return await respond(request, "operation", None, work, operation=_EXPORT)


def _imported(call: Call, sent: Sent, match: Match) -> Reply:
    """What became of the documents, at once where they are few, else by a job."""
    home = call.home
    try:
        found = sent.sources()
        if sent.is_archive and (len(found) > _IMPORTED_AT_ONCE or call.asynchronous):
            request = ImportingQrda1(str(sent.path.absolute()), sent.name, match)
            queued = asynchronous.queue(call, qrda1_import.NAME, request, operation="qrda/1/$import")
            take_over(call.services, queued.job, sent.path)
            return queued
    except BaseException:
        sent.path.unlink(missing_ok=True)
        raise
    try:
        read, not_read = documents(sent, found)
    finally:
        sent.path.unlink(missing_ok=True)
    told = Imported(write_all(call.services, home, read, match), not_read)
    patients = tuple(one["patient"].partition("/")[2] for one in told.patients)
    status = 422 if not_read and not sent.is_archive else 200
    return Reply(
        told.answer(), status, media_type=JSON, patients=patients,
        touched=tuple(one["patient"] for one in told.patients),
    )  # fmt: skip


def _of_reports(call: Call, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not set(content) <= {"description", "reports", "measures"}:
        raise RequestError(
            "the body is not {description, reports}.",
            code="structure",
            mend='Send {"description": {...}, "reports": [MeasureReports]}; "measures" may be added.',
        )
    reports = [one for given in _objects(content, "reports") for one in _unbundled(given)]
    stored = [measure.resource for measure in call.services.catalog.content.measures]
    described = description_of(content.get("description"))
    return qpp.of_reports(reports, described, [*stored, *_objects(content, "measures")])


def _objects(content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = content.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise RequestError(f"{name} is no list of resources.", code="structure", where=name)
    return found


def _unbundled(resource: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if resource.get("resourceType") == "Bundle":
        entries = resource.get("entry") or ()
        return [one["resource"] for one in entries if isinstance(one, dict) and "resource" in one]
    return [resource]


async def _judged(request: Request, name: str, judging: Judging) -> Response:
    """One answer for a file, a list of answers for an archive; as CSV where the client prefers that."""
    await _permitted(request, name)
    sent = await _file(request)
    asked = msgspec.structs.replace(judging, as_csv=media.prefers(request, CSV))

    def answered(call: Call) -> Reply:
        try:
            _allowed(call, name)
            found = sent.sources()
            if sent.is_archive and (len(found) > FILES_AT_ONCE or call.asynchronous):
                job = JudgingMany(str(sent.path.absolute()), sent.name, asked)
                queued = asynchronous.queue(call, qrda_judging.NAME, job, operation=name)
                take_over(call.services, queued.job, sent.path)
                return queued
            answers = judged(sent, found, asked)
        finally:
            # What a job has taken over is not there any more.
            sent.path.unlink(missing_ok=True)
        status = 422 if not sent.is_archive and is_unread(answers[0].answer) else 200
        content = whole_answer(asked, answers, is_archive=sent.is_archive)
        return Reply(content, status, media_type=asked.media_type)

    return await respond(request, "operation", None, answered, operation=name)


async def _answered(request: Request, name: str, work: Callable[[Call], dict[str, Any]]) -> Response:
    def answered(call: Call) -> Reply:
        return Reply(work(_allowed(call, name)), media_type=JSON)

    return await respond(request, "operation", None, answered, operation=name)


def _allowed(call: Call, name: str) -> Call:
    return replace(call, principal=call.principal.permit_operation(operation_needs(name)))


async def _permitted(request: Request, name: str) -> None:
    """Who may not is told before the body is taken, and written down. Raises ScopeError."""
    try:
        (await principal_of(request)).permit_operation(operation_needs(name))
    except ScopeError:
        await respond(request, "operation", None, lambda call: _refuse(call, name), operation=name)


def _refuse(call: Call, name: str) -> Reply:
    _allowed(call, name)
    raise AssertionError("the gate let in whom it had refused")


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _file(request: Request) -> Sent:
    """The body as a file, which whoever works on it removes. Raises RequestError (413, 415)."""
    kind = _kind(request)
    if kind not in _XML | _ZIP | _ANY:
        raise RequestError(
            f"a body of '{kind}' is not taken here.", code="not-supported", status=415,
            mend="Send the document as application/xml, or several as application/zip.",
        )  # fmt: skip
    path = await received(request, ".body")
    with path.open("rb") as stream:
        is_archive = stream.read(2) == b"PK"
    if not is_archive and kind not in _ZIP:
        return Sent(path, _name(request), False)
    # Only what ends so is opened as an archive.
    packed = path.with_suffix(".zip")
    path.rename(packed)
    return Sent(packed, _name(request), True)


def _name(request: Request) -> str:
    """What the sender calls the file (Content-Disposition), for answers."""
    given = request.headers.get("content-disposition", "")
    _, found, name = given.partition("filename=")
    return Path(unquote(name.strip().strip('"'))).name[:200] if found and name.strip() else "document"


async def _json(request: Request, name: str) -> Any:
    await _permitted(request, name)
    if _kind(request) not in _JSONS:
        raise RequestError(
            f"a body of '{_kind(request)}' is not taken here.", code="not-supported", status=415,
            mend=f"Send {JSON}.",
        )  # fmt: skip
    path = await received(request, ".json")
    try:
        return await run_in_threadpool(lambda: parse_json(path.read_bytes()))
    finally:
        path.unlink(missing_ok=True)
