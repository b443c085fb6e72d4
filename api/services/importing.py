"""Bulk imports: NDJSON is fetched whole, then read and written a thousand lines at a time.

What is fetched lies in a folder of the job's until it ends, so that a worker that takes over goes on with it.
Addresses are fetched from hosts that the settings name, and from no others: who may import must not be able
to make this server ask its own network.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
import msgspec

from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.fhir.types import STORED
from measurewise.api.security.settings import is_loopback
from measurewise.api.settings import Settings
from measurewise.engine.errors import MeasurewiseError
from measurewise.engine.json_faults import json_fault
from measurewise.fhir_server_adapter import bulk
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError, place
from measurewise.store import resources as store
from measurewise.store.access import Access

LINES_AT_ONCE: Final = 1000
_BYTES_AT_ONCE: Final = 8 * 1024 * 1024
_NDJSON: Final = "application/fhir+ndjson"
_UPLOAD: Final = "the uploaded lines"


class Source(msgspec.Struct, frozen=True):
    """A file to fetch; ``type`` is the type of all its resources, where the request says it."""

    url: str
    type: str | None = None


class ImportRequest(msgspec.Struct, frozen=True):
    """What to import: files by address, an upload (its path), or the export of another server.

    ``source`` becomes ``meta.source`` of resources that have none; the patients become members of ``group``;
    ``report`` is a MeasureReport, as JSON, that is stored with the data.
    """

    sources: tuple[Source, ...] = ()
    upload: str | None = None
    export_url: str | None = None
    export_type: Literal["dynamic", "static"] = "dynamic"
    types: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    since: str | None = None
    source: str | None = None
    group: str | None = None
    report: str | None = None


class Fetched(msgspec.Struct, frozen=True):
    """A file that is here, and where it came from."""

    path: str
    url: str
    type: str | None = None


class Lines(msgspec.Struct, frozen=True):
    """A step's work: some lines of a file, the first of them numbered; or references to delete.

    ``faults`` are what the source said that it could not give.
    """

    file: Fetched | None = None
    offset: int = 0
    length: int = 0
    first: int = 1
    deleted: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class Fault(msgspec.Struct, frozen=True):
    """A line that was not taken, and why."""

    url: str
    line: int
    what: str


def check_address(settings: Settings, url: str, where: str) -> None:
    """Raises RequestError for an address that is not to be fetched from."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise RequestError(f"'{url}' is no http(s) address.", code="value", where=where)
    if not _allowed(settings, host, port):
        raise RequestError(
            f"this server does not fetch from '{host}'.",
            code="forbidden",
            where=where,
            mend="Its operator can allow that host (MEASUREWISE_IMPORT_HOSTS), or upload the lines.",
        )


def _allowed(settings: Settings, host: str, port: int | None) -> bool:
    named = {name.lower() for name in settings.import_hosts}
    if host.lower() in named or (port is not None and f"{host.lower()}:{port}" in named):
        return True
    return settings.security.environment == "development" and is_loopback(host)


class _OnlyAllowed(httpx.AsyncHTTPTransport):
    """Asks allowed hosts only, whatever links and manifests lead to."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(http2=True)
        self._settings = settings

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        check_address(self._settings, str(request.url), place(request.method, str(request.url)))
        return await super().handle_async_request(request)


@dataclass(slots=True)
class Fetch:
    """The files of a request; references that the source says are deleted; what it could not export."""

    files: list[Fetched] = field(default_factory=list)
    deleted: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def fetch(settings: Settings, request: ImportRequest, folder: Path) -> Fetch:
    """All that a request asks for; what was fetched before is not fetched again.

    Raises SourceError, RequestError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_fetch(settings, request, folder))


async def _fetch(settings: Settings, request: ImportRequest, folder: Path) -> Fetch:
    found = Fetch()
    if request.upload is not None:
        kept = folder / "upload.ndjson"
        if not kept.exists():
            os.replace(request.upload, kept)
        found.files.append(Fetched(str(kept), _UPLOAD))
    sources = list(request.sources)
    if request.export_url is not None:
        base, asked = export_request(request)
        async with FhirClient(base, transport=_OnlyAllowed(settings)) as client:
            if request.export_type == "static":
                sources += await _of_manifest(client, request)
            else:
                export = bulk.BulkPatients(client, asked, folder / "export", poll=0.5)
                await export.download()
                found.deleted, found.faults = tuple(export.deleted), tuple(export.faults)
                for file in sorted((folder / "export" / "resources").iterdir()):
                    kind = file.name.partition(".")[0]
                    found.files.append(Fetched(str(file), f"{request.export_url} ({file.name})", kind))
    for number, source in enumerate(sources):
        file = folder / f"{number}.ndjson"
        if not file.exists():
            async with FhirClient(source.url.partition("?")[0], transport=_OnlyAllowed(settings)) as client:
                await _download(client, source.url, file)
        found.files.append(Fetched(str(file), source.url, source.type))
    return found


async def _of_manifest(client: FhirClient, request: ImportRequest) -> list[Source]:
    url = str(request.export_url)
    manifest = await client.get(url)
    output = manifest.get("output") if isinstance(manifest, dict) else None
    if not isinstance(output, list):
        raise SourceError("the manifest has no output.", where=place("GET", url), code="structure")
    return [
        Source(urljoin(url, str(item["url"])), item.get("type"))
        for item in output
        if isinstance(item, dict) and isinstance(item.get("url"), str)
        and (not request.types or item.get("type") in request.types)
    ]  # fmt: skip


async def _download(client: FhirClient, url: str, file: Path) -> None:
    unfinished = file.with_suffix(".part")
    for attempt in range(1, client.retries.attempts + 1):
        try:
            async with client.stream("GET", url, headers={"Accept": _NDJSON}, signed=False) as response:
                with unfinished.open("wb") as out:
                    async for data in response.aiter_bytes():
                        out.write(data)
            break
        except httpx.RequestError as error:
            if attempt == client.retries.attempts:
                raise SourceError(
                    f"the connection broke off ({type(error).__name__}).", where=place("GET", url)
                ) from None
            await client.sleep(client.retries.wait(attempt, None))
    os.replace(unfinished, file)


def export_request(request: ImportRequest) -> tuple[str, bulk.ExportRequest]:
    """The base of the server that exports, and what to ask of it. Raises RequestError.

    What the address says already (``_type``, ``_since``, ``_typeFilter``) is joined with what is asked.
    """
    url = str(request.export_url)
    path, _, query = url.partition("?")
    said: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        said.setdefault(name, []).append(value)
    unknown = set(said) - {"_type", "_since", "_typeFilter", "_outputFormat"}
    if unknown:
        raise RequestError(f"the export's '{min(unknown)}' is not passed on.", where="exportUrl")
    if request.export_type == "static":
        return path.rpartition("/")[0], bulk.ExportRequest()
    base, dollar, rest = path.partition("/$export")
    if not dollar or rest:
        raise RequestError(
            f"'{url}' is no address of an export.", where="exportUrl",
            mend="Write https://host/fhir/Group/[id]/$export, …/Patient/$export or …/$export.",
        )  # fmt: skip
    types = tuple(kind for text in said.get("_type", []) for kind in text.split(",")) + request.types
    asked = bulk.ExportRequest(
        types=tuple(dict.fromkeys(types)),
        since=request.since or next(iter(said.get("_since", [])), None),
        type_filters=(*said.get("_typeFilter", []), *request.filters),
    )
    parts = base.split("/")
    if parts[-1] == "Patient":
        return "/".join(parts[:-1]), replace(asked, level="patient")
    if len(parts) > 2 and parts[-2] == "Group":
        return "/".join(parts[:-2]), replace(asked, level="group", group=parts[-1])
    return base, replace(asked, level="system")


def deal_out(fetched: Fetch) -> Iterator[tuple[Lines, int]]:
    """Steps of some lines each, with the number of lines; deletions come last."""
    for file in fetched.files:
        offset = length = count = 0
        first = 1
        with Path(file.path).open("rb") as lines:
            for line in lines:
                length += len(line)
                count += 1
                if count == LINES_AT_ONCE or length >= _BYTES_AT_ONCE:
                    yield Lines(file, offset, length, first), count
                    offset, length, first, count = offset + length, 0, first + count, 0
        if count:
            yield Lines(file, offset, length, first), count
    for start in range(0, len(fetched.deleted), LINES_AT_ONCE):
        part = fetched.deleted[start : start + LINES_AT_ONCE]
        yield Lines(deleted=part), len(part)
    if fetched.faults:
        yield Lines(faults=fetched.faults), 0


def read_lines(
    work: Lines, access: Access, keeper: str, source: str | None
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """The resources in some lines that can be stored, and the lines that cannot.

    ``keeper`` is the organisation that may change content.
    """
    if work.file is None:
        return [], []
    with Path(work.file.path).open("rb") as file:
        file.seek(work.offset)
        data = file.read(work.length)
    found: list[dict[str, Any]] = []
    faults: list[Fault] = []
    for number, line in enumerate(data.split(b"\n"), start=work.first):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not text.strip():
            continue
        try:
            resource = _resource(text, work.file.type, access, keeper)
        except MeasurewiseError as error:
            faults.append(Fault(work.file.url, number, " ".join((error.what, error.mend)).strip()))
            continue
        meta = resource.get("meta")
        if source is not None and not (isinstance(meta, dict) and meta.get("source")):
            resource["meta"] = {**(meta if isinstance(meta, dict) else {}), "source": source}
        found.append(resource)
    return found, faults


def _resource(text: bytes, expected: str | None, access: Access, keeper: str) -> dict[str, Any]:
    try:
        resource = store.parse(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault = json_fault(error, text)
        raise MeasurewiseError(fault.what, mend=fault.place) from None
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(kind, str):
        raise MeasurewiseError("this is no FHIR resource.")
    if kind not in STORED:
        raise MeasurewiseError(f"'{kind}' is no resource type that this server keeps.")
    if expected is not None and kind != expected:
        raise MeasurewiseError(f"this is a {kind}, in a file of {expected}.")
    if not store.valid_id(resource.get("id")):
        raise MeasurewiseError(f"the {kind} has no id that can be one.")
    if kind in store.CONTENT_TYPES:
        store.check_content_keeper(access, keeper, kind)
    found: dict[str, Any] = resource
    return found
