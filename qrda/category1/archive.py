"""QRDA I documents from a file, a zip or a folder, one at a time; zips are opened with limits."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measurewise.engine.errors import MeasurewiseError, NotFoundError
from measurewise.qrda.category3.reading import SIZE_LIMIT

MEMBER_LIMIT: Final = 100_000
TOTAL_LIMIT: Final = 4 * 1024**3
RATIO_LIMIT: Final = 1000
_CHUNK: Final = 1 << 20


class ArchiveError(MeasurewiseError):
    """A zip that is none, or that cannot be opened safely."""

    code = "structure"


@dataclass(frozen=True, slots=True)
class Packed:
    """One document's bytes and where they came from; ``error`` stands where there are none."""

    name: str
    data: bytes
    error: MeasurewiseError | None = None


def documents(source: Path) -> Iterator[Packed]:
    """The documents of a file, of a zip, or of all .xml and .zip files of a folder and those below it.

    Raises NotFoundError where there is nothing to read. A file or a member that cannot be read comes as an
    error, and the others go on.
    """
    if source.is_dir():
        files = sorted(
            path for path in source.rglob("*") if path.suffix.lower() in (".xml", ".zip") and path.is_file()
        )
        if not files:
            raise NotFoundError(
                "the folder has no .xml or .zip file.",
                where=str(source),
                mend="Name the folder with the reports.",
            )
    elif source.is_file():
        files = [source]
    else:
        raise NotFoundError("there is no such file or folder.", where=str(source), mend="Check the name.")
    for file in files:
        if file.suffix.lower() == ".zip":
            yield from _members(file)
        elif file.stat().st_size > SIZE_LIMIT:
            yield Packed(str(file), b"", _too_large(str(file)))
        else:
            yield Packed(str(file), file.read_bytes())


def _members(file: Path) -> Iterator[Packed]:
    """The .xml members of a zip. What is announced is not believed: bytes are counted as they come."""
    total = 0
    try:
        with zipfile.ZipFile(file) as archive:
            members = [one for one in archive.infolist() if one.filename.lower().endswith(".xml")]
            if len(members) > MEMBER_LIMIT:
                yield Packed(str(file), b"", _refused(f"it has more than {MEMBER_LIMIT:,} files", str(file)))
                return
            if not members:
                yield Packed(str(file), b"", _refused("it has no .xml file", str(file)))
            for member in members:
                packed = _member(archive, member, f"{file}!{member.filename}")
                total += len(packed.data)
                if total > TOTAL_LIMIT:
                    yield Packed(
                        str(file), b"", _refused(f"it unpacks to more than {TOTAL_LIMIT:,} bytes", str(file))
                    )
                    return
                yield packed
    except (zipfile.BadZipFile, OSError) as error:
        yield Packed(str(file), b"", _refused(f"it cannot be opened ({error})", str(file)))


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Packed:
    if member.flag_bits & 1:
        return Packed(name, b"", _refused("it is encrypted", name))
    data = bytearray()
    try:
        with archive.open(member) as stream:
            while chunk := stream.read(_CHUNK):
                data += chunk
                if len(data) > SIZE_LIMIT:
                    return Packed(name, b"", _too_large(name))
                if len(data) > _CHUNK and len(data) > RATIO_LIMIT * max(member.compress_size, 1):
                    return Packed(name, b"", _refused("it unpacks to a thousand times its size", name))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, RuntimeError) as error:
        return Packed(name, b"", _refused(f"it cannot be unpacked ({error})", name))
    return Packed(name, bytes(data))


def _too_large(name: str) -> ArchiveError:
    return _refused(f"it has more than the {SIZE_LIMIT:,} bytes that are read", name)


def _refused(why: str, where: str) -> ArchiveError:
    return ArchiveError(f"the file is not read: {why}.", where=where, mend="Export the reports again.")
