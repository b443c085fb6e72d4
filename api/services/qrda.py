"""Files for registries judged, converted and read: in processes of their own, each file within a time limit.

A file comes from anyone. It is read in a process that is ended when it takes too long or too much memory, so
that no request keeps the server from the others.
"""

from __future__ import annotations

import os
import queue
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from measurewise.api.fhir.outcomes import RequestError
from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda.category1.archive import RATIO_LIMIT, TOTAL_LIMIT
from measurewise.qrda.category1.reading import ImportedDocument, read_document
from measurewise.qrda.category3.reading import SIZE_LIMIT
from measurewise.qrda.validation.sources import ENTRY_LIMIT, Source, sources
from measurewise.qrda.validation.workers import TIME_LIMIT, Workers

FILES_AT_ONCE: Final = 200
"""So many files of an archive are answered for within a request; more are a job."""
UNREADABLE: Final = 2
_WAIT: Final = 120.0
_SMALL: Final = 1 << 20

Work = Callable[[Source], Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that came with a request, and the name it has for its sender."""

    path: Path
    name: str
    is_archive: bool

    def sources(self) -> list[Source]:
        """The documents in it. Raises RequestError for archives that are none or too large to open."""
        if not self.is_archive:
            size = self.path.stat().st_size
            if size > SIZE_LIMIT:
                raise RequestError(
                    f"the file has {size:,} bytes, more than the {SIZE_LIMIT:,} that are read.",
                    code="too-long", mend="Export the report again, or split it.",
                )  # fmt: skip
            return [Source(self.path, None, size)]
        _check_archive(self.path)
        try:
            return sources(self.path)
        except MeasurewiseError as error:
            raise RequestError(error.what, code="invalid", mend=error.mend) from None

    def name_of(self, source: Source) -> str:
        """What a document is called in answers: never where it lies on this machine."""
        return source.entry or self.name


def _check_archive(path: Path) -> None:
    """Refuse archives that unpack to far more than they are, before anything is unpacked.

    What the directory announces may be believed: no entry is read beyond its announced size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise RequestError(
            f"the archive cannot be read: {error}.", mend="Pack the reports again, as a .zip file."
        ) from None
    if len(entries) > ENTRY_LIMIT:
        raise RequestError(
            f"the archive has {len(entries):,} files, more than the {ENTRY_LIMIT:,} that are read.",
            code="too-long", mend="Split it.",
        )  # fmt: skip
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise RequestError("the archive has two files of one name.", mend="Give each file its own name.")
    total = sum(entry.file_size for entry in entries)
    swollen = any(
        entry.file_size > _SMALL and entry.file_size > RATIO_LIMIT * max(entry.compress_size, 1)
        for entry in entries
    )
    if swollen or total > TOTAL_LIMIT or total > RATIO_LIMIT * max(path.stat().st_size, _SMALL):
        raise RequestError(
            f"the archive unpacks to {total:,} bytes from {path.stat().st_size:,}, and is not opened.",
            code="too-costly", mend="Pack the reports again, or split the archive.",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unread:
    """A document that could not be read, and why."""

    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads QRDA I documents: FHIR resources, or why there are none."""

    def __call__(self, source: Source) -> ImportedDocument | Unread:
        """The document in a source."""
        try:
            data = source.read()
            if len(data) > SIZE_LIMIT:
                return Unread(
                    f"the file has more than the {SIZE_LIMIT:,} bytes that are read.", "Export it again."
                )
            return read_document(data)
        except MeasurewiseError as error:
            return Unread(error.what, error.mend)


def _do(asked: tuple[Work, Source]) -> Any:
    work, source = asked
    return work(source)


class Processes:
    """Processes that several requests share, started when they are first needed. Safe between threads."""

    def __init__(self, count: int, time_limit: float = TIME_LIMIT) -> None:
        self._count = count
        self._all = [Workers(_do, count=1, time_limit=time_limit) for _ in range(count)]
        # The one that was used last is started; a server that is asked little keeps one process.
        self._free: queue.LifoQueue[Workers[tuple[Work, Source], Any]] = queue.LifoQueue()
        for workers in self._all:
            self._free.put(workers)

    def one(self, work: Work, source: Source) -> Any:
        """What ``work`` gives for a source, or Ended. Raises RequestError where all processes stay busy."""
        try:
            workers = self._free.get(timeout=_WAIT)
        except queue.Empty:
            raise RequestError(
                "too many files are being read at once.", code="throttled", mend="Ask again later."
            ) from None
        try:
            return workers.one((work, source))
        finally:
            self._free.put(workers)

    def each(self, work: Work, found: Sequence[Source]) -> list[Any]:
        """What ``work`` gives for each source, in their order."""
        if len(found) == 1:
            return [self.one(work, found[0])]
        with ThreadPoolExecutor(min(self._count, len(found))) as threads:
            return list(threads.map(lambda source: self.one(work, source), found))

    def close(self) -> None:
        """End the processes; they start again when they are needed."""
        for workers in self._all:
            workers.close()


_lock = threading.Lock()
_processes: list[Processes] = []


def processes() -> Processes:
    """The processes of this server or worker."""
    with _lock:
        if not _processes:
            _processes.append(Processes(max(1, min(4, os.cpu_count() or 1))))
        return _processes[0]


def end_processes() -> None:
    """End the processes of this server or worker."""
    with _lock:
        for found in _processes:
            found.close()
        _processes.clear()
