"""Patients from a FHIR server or from files: one protocol, four ways, and the choice between them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from measurewise.engine.errors import MeasurewiseError, RecordError
from measurewise.engine.record.reading import read_record
from measurewise.engine.record.record import Record
from measurewise.engine.runner.patients import Patients
from measurewise.fhir_server_adapter.capabilities import Capabilities
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.landing import land, needs_landing

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pulled:
    """A patient as a source gave it: all resources, or the error for which they are not all there.

    Half a record would give wrong results, so it is not handed out.
    """

    patient_id: str
    resources: tuple[Resource, ...] = ()
    error: MeasurewiseError | None = None

    def record(self) -> Record:
        """The record to evaluate. Raises the error that kept the patient from being read."""
        if self.error is not None:
            raise self.error
        return Record(self.resources, where=f"Patient/{self.patient_id}")


class PatientSource(Protocol):
    """Patients, each once. ``faults`` are sentences about what the source could not give."""

    faults: list[str]

    def patients(self) -> AsyncIterator[Pulled]:
        """The patients, in the order of their ids at the source."""
        ...


class Way(Enum):
    """How patients are got from a source."""

    SEARCHES = "searches"
    EVERYTHING = "everything"
    BULK = "bulk"
    FILES = "files"


def choose_source(
    capabilities: Capabilities,
    preference: Way | None = None,
    *,
    few: bool = False,
    group: bool = False,
    unsearchable: Iterable[str] = (),
) -> Way:
    """The way to get patients from a server, the preferred one where it is offered.

    Without a preference: Bulk Data unless only a ``few`` named patients are wanted (for a ``group``, where
    groups can be exported), then searches where nothing is ``unsearchable``, then ``$everything``. Raises
    SourceError where the server offers no such way.
    """
    levels = {"group"} if group else {"system", "patient"}
    missing = sorted(unsearchable)
    patient = capabilities.types.get("Patient")
    offered = {
        Way.BULK: not levels.isdisjoint(capabilities.exports),
        Way.SEARCHES: not missing and patient is not None and patient.searchable,
        Way.EVERYTHING: capabilities.everything,
        Way.FILES: False,
    }
    if preference is not None:
        if offered[preference]:
            return preference
        because = f" (it does not search {', '.join(missing)} by patient)" if missing else ""
        raise SourceError(
            f"the server does not offer {preference.value}{because if preference is Way.SEARCHES else ''}.",
            where=capabilities.software,
            mend="Choose another way: " + (", ".join(w.value for w in Way if offered[w]) or "files") + ".",
            code="not-supported",
        )
    order = (Way.SEARCHES, Way.EVERYTHING) if few else (Way.BULK, Way.SEARCHES, Way.EVERYTHING)
    for way in order:
        if offered[way]:
            return way
    raise SourceError(
        "the server offers no way to get whole patients.",
        where=capabilities.software,
        mend="Export its data to files.",
        code="not-supported",
    )


class FilePatients:
    """Way (d): files and folders, as :mod:`measurewise.engine.runner.patients` reads them.

    Each also as ``.zst``, and at any address that fsspec knows (``s3://bucket/folder``).

    What is packed with Zstandard or lies elsewhere is brought to a temporary folder first.
    """

    def __init__(self, address: Path | str) -> None:
        self.faults: list[str] = []
        self._address = address

    async def patients(self) -> AsyncIterator[Pulled]:
        """The patients in the order of the files. Raises RecordError or NotFoundError for unusable files."""
        if not needs_landing(self._address):
            async for pulled in self._read(Path(self._address)):
                yield pulled
            return
        with tempfile.TemporaryDirectory(prefix="measurewise-files-") as folder:
            landed = await asyncio.to_thread(land, self._address, Path(folder))
            async for pulled in self._read(landed):
                yield pulled

    async def _read(self, path: Path) -> AsyncIterator[Pulled]:
        source = Patients(path)
        lines = iter(source)
        while (line := await asyncio.to_thread(next, lines, None)) is not None:
            try:
                record = read_record(line.data, where=line.where)
            except RecordError as error:
                self.faults.append(str(error))
                yield Pulled(line.where, error=error)
            else:
                yield Pulled(str(record.patient.get("id", line.where)), tuple(record.resources()))
        self.faults += source.notices
