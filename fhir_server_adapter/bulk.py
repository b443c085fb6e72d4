"""Way (c): FHIR Bulk Data Access 2.0 (https://hl7.org/fhir/uv/bulkdata/STU2/export.html).

An export is kept in a folder: ``export.json`` says how far it is, ``resources/`` holds the files that are
whole, ``faults/`` the server's error files. After a crash the same call goes on where it stopped. Where the
server's links have expired, the export is asked for anew and begins from nothing: two exports are two
states of the data.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import msgspec

from measurewise.engine.errors import MeasurewiseError, NotFoundError
from measurewise.fhir_server_adapter.capabilities import Capabilities, ExportLevel
from measurewise.fhir_server_adapter.client import FHIR_JSON, FhirClient, read_json
from measurewise.fhir_server_adapter.faults import SourceError, outcome_text, place
from measurewise.fhir_server_adapter.gathering import Gathered, Key, Resource
from measurewise.fhir_server_adapter.pulling import follow
from measurewise.fhir_server_adapter.retrying import retry_after
from measurewise.fhir_server_adapter.sources import FilePatients, Pulled

_EXPIRED = frozenset({403, 404, 410})
_NDJSON = "application/fhir+ndjson"
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export: ``group`` is a Group's id; ``since`` an instant; ``type_filters`` queries like
    ``Condition?category=problem-list-item``."""

    level: ExportLevel = "patient"
    group: str | None = None
    types: tuple[str, ...] = ()
    since: str | None = None
    type_filters: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The operation's address below the base."""
        if self.level == "group":
            return f"Group/{self.group}/$export"
        return "Patient/$export" if self.level == "patient" else "$export"

    def parameters(self) -> list[tuple[str, str]]:
        """The kick-off's parameters."""
        found = [("_outputFormat", _NDJSON)]
        if self.types:
            found.append(("_type", ",".join(self.types)))
        if self.since:
            found.append(("_since", self.since))
        found += [("_typeFilter", query) for query in self.type_filters]
        return found


class BulkPatients:
    """The patients of an export.

    ``progress`` is told the server's ``X-Progress``; ``faults`` holds what the server could not export,
    ``deleted`` the references of resources deleted since ``since``, ``transaction_time`` the export's
    moment (the next ``since``); all are filled when the first patient comes.
    """

    def __init__(
        self,
        client: FhirClient,
        request: ExportRequest,
        folder: Path,
        *,
        capabilities: Capabilities | None = None,
        by_reference: frozenset[str] = frozenset(),
        progress: Callable[[str], None] = lambda said: None,
        kick_offs: int = 3,
        poll: float = 5.0,
        longest_poll: float = 60.0,
        polls: int = 10_000,
    ) -> None:
        """``by_reference`` are types (``SearchPlan.by_reference``) that belong to no patient, so that exports
        of patients and groups leave them out: what the patients' resources refer to is read afterwards.
        ``kick_offs`` bounds how often an expired export is asked for; ``polls`` how often its status is.

        Raises SourceError for an export that the server's capabilities do not offer, or a group without id.
        """
        if (request.level == "group") != bool(request.group):
            raise SourceError(
                "a group export needs a group's id, and no other does.", where=request.path, code="required"
            )
        if capabilities is not None and request.level not in capabilities.exports:
            offered = ", ".join(sorted(capabilities.exports)) or "none"
            raise SourceError(
                f"the server offers no {request.level} export (it offers {offered}).",
                where=capabilities.software,
                mend="Choose another level, or another way to get patients.",
                code="not-supported",
            )
        self.faults: list[str] = []
        self.deleted: list[str] = []
        self.transaction_time: str | None = None
        self._client = client
        self._request = request
        self._folder = folder
        self._by_reference = by_reference
        self._progress = progress
        self._kick_offs = kick_offs
        self._poll, self._longest_poll, self._polls = poll, longest_poll, polls

    @property
    def _state_file(self) -> Path:
        return self._folder / "export.json"

    async def patients(self) -> AsyncIterator[Pulled]:
        """The patients of the export, once all its files are there."""
        await self.download()
        resources = self._folder / "resources"
        if not any(file.stat().st_size for file in resources.iterdir()):
            return
        files = FilePatients(resources)
        shared: dict[Key, Resource] = {}
        async for pulled in files.patients():
            yield await self._completed(pulled, shared) if self._by_reference else pulled
        self.faults += files.faults

    async def _completed(self, pulled: Pulled, shared: dict[Key, Resource]) -> Pulled:
        """A patient with what the export did not bring; with an error where that cannot be read."""
        if pulled.error is not None:
            return pulled
        gathered = Gathered()
        for resource in pulled.resources:
            gathered.add(resource)
        try:
            await follow(self._client, [gathered], shared, self._by_reference)
        except MeasurewiseError as error:
            self.faults.append(f"Patient/{pulled.patient_id} could not be read: {error}")
            return Pulled(pulled.patient_id, error=error)
        return Pulled(pulled.patient_id, gathered.resources())

    async def download(self) -> None:
        """Ask, wait, and fetch every file. Raises SourceError where the export fails as a whole."""
        for subfolder in ("resources", "faults", "deleted"):
            (self._folder / subfolder).mkdir(parents=True, exist_ok=True)
        state = self._state()
        asked = 0
        while True:
            try:
                if "status" not in state:
                    if asked >= self._kick_offs:
                        raise SourceError(
                            f"the export expired {asked} times before all of it was fetched.",
                            where=place("GET", self._client.url(self._request.path)),
                            mend="Ask for less at a time, or let the server keep exports longer.",
                            code="expired",
                        )
                    asked += 1
                    self._begin_anew()
                    state = {"request": self._identity(), "status": await self._kick_off()}
                    self._keep(state)
                if "manifest" not in state:
                    state["manifest"] = await self._wait(state["status"])
                    state["done"] = []
                    self._keep(state)
                await self._fetch_all(state)
            except _Expired:
                state = {}
                continue
            break
        self._read_manifest(state["manifest"])
        if not state.get("released"):
            await self._release(state["status"])
            state["released"] = True
            self._keep(state)

    def _identity(self) -> list[Any]:
        return [self._client.base_url, self._request.path, *map(list, self._request.parameters())]

    def _state(self) -> dict[str, Any]:
        """How far the same export had come; empty for none."""
        try:
            state = msgspec.json.decode(self._state_file.read_bytes())
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError:
            state = None
        if type(state) is not dict or state.get("request") != self._identity():
            raise SourceError(
                "the folder holds another export.",
                where=str(self._state_file),
                mend="Give an empty folder, or remove what is there.",
                code="conflict",
            )
        return state

    def _keep(self, state: Mapping[str, Any]) -> None:
        unfinished = self._state_file.with_suffix(".part")
        unfinished.write_bytes(msgspec.json.encode(state))
        os.replace(unfinished, self._state_file)

    def _begin_anew(self) -> None:
        self._state_file.unlink(missing_ok=True)
        for subfolder in ("resources", "faults", "deleted"):
            shutil.rmtree(self._folder / subfolder, ignore_errors=True)
            (self._folder / subfolder).mkdir()

    async def _kick_off(self) -> str:
        url = self._client.url(self._request.path)
        response = await self._client.send(
            "GET",
            url,
            parameters=self._request.parameters(),
            headers={"Accept": FHIR_JSON, "Prefer": "respond-async"},
            # a second kick-off would leave the first running at the server
            again=False,
        )
        location = response.headers.get("Content-Location")
        if response.status_code != 202 or not location:
            raise SourceError(
                f"the server did not accept the export (status {response.status_code}).",
                where=place("GET", url),
                mend="Look whether the server does Bulk Data exports.",
                status=response.status_code,
            )
        return self._client.url(urljoin(url, location))

    async def _wait(self, status_url: str) -> dict[str, Any]:
        pause = self._poll
        for _ in range(self._polls):
            try:
                response = await self._client.send(
                    "GET", self._client.url(status_url), headers={"Accept": "application/json"}
                )
            except SourceError as error:
                if error.status in (404, 410):
                    raise _Expired from None
                raise
            if response.status_code == 202:
                said = response.headers.get("X-Progress")
                if said:
                    self._progress(said)
                asked = retry_after(response.headers)
                await self._client.sleep(pause if asked is None else min(asked, self._longest_poll * 10))
                pause = min(self._longest_poll, pause * 1.5)
                continue
            manifest = read_json(response)
            if type(manifest) is not dict or type(manifest.get("output")) is not list:
                raise SourceError(
                    "the export's manifest has no output.", where=place("GET", status_url), code="structure"
                )
            return manifest
        raise SourceError(
            "the export did not become ready.",
            where=place("GET", status_url),
            mend="Run the same command again: it goes on waiting.",
            code="timeout",
        )

    async def _fetch_all(self, state: dict[str, Any]) -> None:
        manifest = state["manifest"]
        signed = manifest.get("requiresAccessToken") is True
        for name, url, _, count in _files(manifest):
            if name in state["done"]:
                continue
            await self._fetch(url, self._folder / name, count, signed)
            state["done"].append(name)
            self._keep(state)

    async def _fetch(self, url: str, file: Path, count: int | None, signed: bool) -> None:
        """Stream one file to disk; it appears under its name when it is whole."""
        url = urljoin(self._client.base_url, url)
        if signed:
            url = self._client.url(url)
        unfinished = file.with_suffix(".part")
        attempt = 0
        while True:
            attempt += 1
            lines, last = 0, b"\n"
            try:
                async with self._client.stream(
                    "GET", url, headers={"Accept": _NDJSON}, signed=signed
                ) as response:
                    with unfinished.open("wb") as out:
                        async for data in response.aiter_bytes():
                            out.write(data)
                            lines += data.count(b"\n")
                            last = data[-1:] or last
            except SourceError as error:
                if error.status in _EXPIRED:
                    raise _Expired from None
                raise
            except httpx.RequestError as error:
                if attempt >= self._client.retries.attempts:
                    raise SourceError(
                        f"the connection broke off ({type(error).__name__}).",
                        where=place("GET", url),
                        mend="Run the same command again: it goes on where it stopped.",
                    ) from None
                await self._client.sleep(self._client.retries.wait(attempt, None))
                continue
            break
        lines += last != b"\n"
        if count is not None and lines != count:
            raise SourceError(
                f"a file has {lines} lines where the manifest says {count}.",
                where=place("GET", url),
                mend="Run the same command again; if it stays so, the server's export is at fault.",
                code="incomplete",
            )
        os.replace(unfinished, file)

    def _read_manifest(self, manifest: Mapping[str, Any]) -> None:
        moment = manifest.get("transactionTime")
        self.transaction_time = str(moment) if moment else None
        self.faults = []
        self.deleted = []
        for name, _, role, _ in _files(manifest):
            if role == "output":
                continue
            with (self._folder / name).open("rb") as lines:
                for line in lines:
                    value = msgspec.json.decode(line) if not line.isspace() else None
                    if role == "error":
                        said = outcome_text(value)
                        if said:
                            self.faults.append(f"The server could not export all: {said}")
                    elif type(value) is dict:
                        for entry in value.get("entry") or ():
                            url = (entry.get("request") or {}).get("url")
                            if url:
                                self.deleted.append(str(url))

    async def _release(self, status_url: str) -> None:
        """Tell the server that its files may go; that it cannot is no loss."""
        try:
            await self._client.send("DELETE", self._client.url(status_url), again=False)
        except (SourceError, NotFoundError):
            return


class _Expired(Exception):
    """The server no longer has the export, or one of its files."""


def _files(manifest: Mapping[str, Any]) -> list[tuple[str, str, str, int | None]]:
    """Name below the folder, URL, role and number of lines of each file of a manifest."""
    found: list[tuple[str, str, str, int | None]] = []
    for role, subfolder in (("output", "resources"), ("error", "faults"), ("deleted", "deleted")):
        for number, item in enumerate(manifest.get(role) or ()):
            kind = str(item.get("type") or "Resource")
            # the type becomes a file name, so that nothing but a word may pass
            safe = kind if _WORD.fullmatch(kind) else "Resource"
            count = item.get("count")
            lines = count if type(count) is int else None
            found.append((f"{subfolder}/{safe}.{number}.ndjson", str(item["url"]), role, lines))
    return found
