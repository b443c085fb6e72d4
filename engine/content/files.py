"""The documents in files, folders and archives: JSON of one resource or ELM library each, or CQL text.

Reads ``.json``, ``.ndjson``, ``.cql``, each also with ``.gz``; folders with all below them; ``.zip`` (measure
packages as authoring tools export them) and ``.tgz`` (FHIR packages). Other files are passed over.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.json_faults import json_fault

_ARCHIVES = (".zip", ".tgz", ".tar.gz")
_KINDS: dict[str, Literal["json", "ndjson", "cql"]] = {".json": "json", ".ndjson": "ndjson", ".cql": "cql"}


class Document(NamedTuple):
    """A JSON text or a CQL text. ``source`` names the file, for a line of NDJSON with its number."""

    kind: Literal["json", "cql"]
    data: bytes
    source: str


def documents(path: Path) -> Iterator[Document]:
    """The documents in a file, folder or archive, in the order of their names.

    Raises NotFoundError where there is no such path, ContentError where a file cannot be unpacked.
    """
    if path.is_dir():
        for inner in sorted(path.rglob("*")):
            if inner.is_file() and _known(inner.name) and not _hidden(inner.relative_to(path)):
                yield from _of_file(inner)
    elif path.is_file():
        if not _known(path.name):
            raise ContentError(
                "this kind of file holds no measure content that can be read.",
                where=str(path),
                mend="Give .json, .ndjson, .cql (each also .gz), .zip, .tgz or a folder of these.",
            )
        yield from _of_file(path)
    else:
        raise NotFoundError("there is no such file or folder.", where=str(path))


def decoding_error(error: Exception, data: bytes, source: str) -> ContentError:
    """What to raise for JSON that cannot be decoded: with line and column, or where the text ends early."""
    fault = json_fault(error, data)
    return ContentError(fault.what, where=fault.within(source), mend=fault.mend)


def _of_file(path: Path) -> Iterator[Document]:
    name = str(path)
    data = path.read_bytes()
    if name.lower().endswith(".zip"):
        yield from _of_zip(data, name)
    elif name.lower().endswith(_ARCHIVES):
        yield from _of_tar(data, name)
    else:
        yield from _of_bytes(data, name)


def _of_zip(data: bytes, source: str) -> Iterator[Document]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in sorted(archive.namelist()):
                if _known(name, within_archive=True):
                    yield from _of_bytes(archive.read(name), f"{source}!{name}")
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ContentError(f"the archive cannot be unpacked ({error}).", where=source) from error


def _of_tar(data: bytes, source: str) -> Iterator[Document]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for member in sorted(archive.getmembers(), key=lambda m: m.name):
                stream = archive.extractfile(member) if _known(member.name, within_archive=True) else None
                if stream is not None:
                    yield from _of_bytes(stream.read(), f"{source}!{member.name}")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ContentError(f"the archive cannot be unpacked ({error}).", where=source) from error


def _of_bytes(data: bytes, source: str) -> Iterator[Document]:
    name = source.lower()
    if name.endswith(".gz"):
        data, name = _gunzip(data, source), name.removesuffix(".gz")
    data = data.removeprefix(b"\xef\xbb\xbf")
    kind = _KINDS[name[name.rindex(".") :]]
    if kind == "ndjson":
        for number, line in enumerate(data.split(b"\n"), start=1):
            if line and not line.isspace():
                yield Document("json", line, f"{source}, line {number}")
    else:
        yield Document(kind, data, source)


def _gunzip(data: bytes, source: str) -> bytes:
    unpacked = bytearray()
    try:
        while data:
            member = zlib.decompressobj(31)
            unpacked += member.decompress(data)
            if not member.eof:
                raise ContentError(
                    "the compressed data end early.", where=source, mend="Copy or download the file again."
                )
            data = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise ContentError(f"the file cannot be unpacked ({error}).", where=source) from error
    return bytes(unpacked)


def _known(name: str, *, within_archive: bool = False) -> bool:
    name = name.lower()
    if name.endswith(_ARCHIVES):
        return not within_archive
    return name.removesuffix(".gz").endswith(tuple(_KINDS))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
