"""Patients from files, as raw JSON: one at a time, parsed by whoever evaluates them.

======================================= ================================================================
``.ndjson``, ``.ndjson.gz`` (or ``-``)  a Bundle a line, or a line ``{"resources": [...]}``
``.json``, ``.json.gz``                 one Bundle
a folder of such files                  every file in it and below it
a folder (or file) of resources by line as FHIR Bulk Data writes it: ``Patient.ndjson``, ``Encounter.ndjson``
======================================= ================================================================

All but the last are read in memory that does not depend on the number of patients. Bulk Data scatters a
patient over its files, so it is gathered in memory first, as text.
"""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

from measurewise.engine.errors import NotFoundError, RecordError
from measurewise.engine.json_faults import json_fault
from measurewise.engine.record.compartment import Head, decode_head

STANDARD_INPUT = Path("-")
_LINES = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")
_BUNDLES = (".json", ".json.gz")
_REFERENCE = re.compile(rb'"reference"\s*:\s*"([^"\\]+)"')


class PatientData(NamedTuple):
    """One patient's JSON, and the file and line it came from."""

    where: str
    data: bytes


class Patients:
    """The patients under one path, to be gone through once.

    ``size`` is the number of bytes on disk, None where it is not known; ``position`` how many of them have
    been read. ``notices`` are sentences about what was left out.
    """

    def __init__(self, path: Path) -> None:
        """Raises NotFoundError for a path that is not there, RecordError for one with no patients in it."""
        self.path = path
        self.position = 0
        self.notices: list[str] = []
        self._files = [path] if path == STANDARD_INPUT else _files(path)
        self.size = None if path == STANDARD_INPUT else sum(file.stat().st_size for file in self._files)
        self._bulk = path != STANDARD_INPUT and any(_is_by_resource(file) for file in self._files)

    def __iter__(self) -> Iterator[PatientData]:
        """Raises RecordError where a file cannot be read to its end."""
        if self._bulk:
            yield from self._gathered()
            return
        for file in self._files:
            if _ends(file, _BUNDLES):
                with self._open(file) as stream:
                    data = stream.read()
                yield PatientData(str(file), data)
            else:
                yield from self._lines(file)

    def _lines(self, file: Path) -> Iterator[PatientData]:
        name = "standard input" if file == STANDARD_INPUT else str(file)
        with self._open(file) as stream:
            for number, line in enumerate(stream, start=1):
                if not line.isspace():
                    yield PatientData(f"{name}, line {number}", line)

    @contextmanager
    def _open(self, file: Path) -> Iterator[IO[bytes]]:
        if file == STANDARD_INPUT:
            yield sys.stdin.buffer
            return
        before = self.position
        try:
            with file.open("rb") as raw:
                counted: Any = _Counted(raw, self)
                if file.name.lower().endswith(".gz"):
                    with gzip.open(counted) as unpacked:
                        yield cast("IO[bytes]", unpacked)
                else:
                    yield counted
        except EOFError as error:
            raise RecordError(
                "the compressed data end early.", where=str(file), mend="Copy or download the file again."
            ) from error
        except (OSError, zlib.error) as error:
            raise RecordError(f"the file cannot be read ({error}).", where=str(file)) from error
        self.position = before + file.stat().st_size

    def _gathered(self) -> Iterator[PatientData]:
        """The patients of Bulk Data: each with what refers to it, and what that refers to in turn.

        A resource belongs to the patient that it names in one of the elements of ``Head``. Any other (a
        Medication, an Organization) goes to every patient one of whose resources refers to it.
        """
        patients: dict[str, list[bytes]] = {}
        others: dict[str, list[bytes]] = {}
        shared: dict[bytes, bytes] = {}
        nameless: Counter[str] = Counter()
        for file in self._files:
            for where, line in self._resources(file):
                head = _head(where, line)
                named = head.patient_named()
                if head.resourceType == "Patient":
                    # Nothing can refer to a Patient without an id, so each is a patient by itself.
                    identity = f"(without an id) {where}" if head.id in (None, "") else str(head.id)
                    patients.setdefault(identity, []).append(line)
                elif named is not None:
                    others.setdefault(named, []).append(line)
                elif head.id is not None:
                    shared[f"{head.resourceType}/{head.id}".encode()] = line
                else:
                    nameless[str(head.resourceType)] += 1
        used: set[bytes] = set()
        for identity in dict.fromkeys((*patients, *others)):
            resources = [*patients.pop(identity, ()), *others.pop(identity, ())]
            referred_to = _referred_to(resources, shared)
            used.update(referred_to)
            entries = b",".join(
                b'{"resource":' + resource + b"}" for resource in (*resources, *referred_to.values())
            )
            data = b'{"resourceType":"Bundle","type":"collection","entry":[' + entries + b"]}"
            yield PatientData(f"{self.path}, Patient/{identity}", data)
        nameless.update(key.partition(b"/")[0].decode() for key in shared if key not in used)
        if nameless:
            listed = ", ".join(f"{count} {kind}" for kind, count in sorted(nameless.items()))
            self.notices.append(f"Resources that belong to no patient were left out: {listed}.")

    def _resources(self, file: Path) -> Iterator[PatientData]:
        if not _ends(file, _BUNDLES):
            for where, line in self._lines(file):
                yield PatientData(where, line.strip())


class _Counted:
    """A file that tells the patients it belongs to how far it has been read."""

    def __init__(self, raw: IO[bytes], patients: Patients) -> None:
        self._raw = raw
        self._patients = patients

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._patients.position += len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        for line in self._raw:
            self._patients.position += len(line)
            yield line


def _head(where: str, line: bytes) -> Head:
    try:
        return decode_head(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault = json_fault(error, line)
        raise RecordError(fault.what, where=fault.within(where), mend=fault.mend) from None


def _referred_to(resources: Iterable[bytes], shared: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The shared resources that some resources refer to, directly or through each other, by reference."""
    found: dict[bytes, bytes] = {}
    pending = list(resources)
    while pending:
        for reference in _REFERENCE.findall(pending.pop()):
            key = b"/".join(reference.partition(b"/_history/")[0].split(b"/")[-2:])
            resource = shared.get(key)
            if resource is not None and key not in found:
                found[key] = resource
                pending.append(resource)
    return found


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = [
            file
            for file in sorted(path.rglob("*"))
            if file.is_file()
            and _ends(file, (*_LINES, *_BUNDLES))
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        if not found:
            raise RecordError(
                "there are no patients in this folder.",
                where=str(path),
                mend="Give a folder of .json or .ndjson files (each also .gz).",
            )
        return found
    if not path.is_file():
        raise NotFoundError("there is no such file or folder.", where=str(path))
    if not _ends(path, (*_LINES, *_BUNDLES)):
        raise RecordError(
            "this kind of file holds no patients that can be read.",
            where=str(path),
            mend="Give .ndjson, .json (each also .gz), or a folder of these.",
        )
    return [path]


def _ends(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.name.lower().endswith(suffixes)


def _is_by_resource(file: Path) -> bool:
    """Whether a file has a resource a line, as Bulk Data does, rather than a patient a line."""
    if not _ends(file, _LINES):
        return False
    open_file = gzip.open if file.name.lower().endswith(".gz") else open
    try:
        with open_file(file, "rb") as stream:
            first = next((line for line in stream if not line.isspace()), b"")
        kind = decode_head(first).resourceType
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, EOFError, OSError, zlib.error):
        return False
    return kind not in (None, "Bundle")
