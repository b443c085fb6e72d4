"""QRDA I documents from a file, a zip, or a folder with files and zips: one at a time, within limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measurewise.engine.errors import MeasurewiseError, NotFoundError
from measurewise.qrda.validation.sources import sources

TOTAL_LIMIT: Final = 4 * 1024**3
"""So many bytes are unpacked of one archive."""
RATIO_LIMIT: Final = 200
"""So many times its size (at least 1 MiB) an archive may unpack to."""
_SMALL: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Packed:
    """One document's bytes and where they came from; ``error`` stands where there are none."""

    name: str
    data: bytes
    error: MeasurewiseError | None = None


def holders(named: Path) -> list[Path]:
    """The folders, zips and files that a name stands for: a folder's zips, and itself if it has .xml files.

    Raises NotFoundError where there is nothing to read.
    """
    if not named.is_dir():
        if not named.is_file():
            raise NotFoundError("there is no such file or folder.", where=str(named), mend="Check the name.")
        return [named]
    found = sorted(path for path in named.rglob("*") if path.is_file())
    zips = [path for path in found if path.suffix.lower() == ".zip"]
    with_files = [named] if any(path.suffix.lower() == ".xml" for path in found) else []
    if not zips and not with_files:
        raise NotFoundError(
            "the folder has no .xml or .zip file.", where=str(named), mend="Name the folder with the reports."
        )
    return [*with_files, *zips]


def documents(named: Path) -> Iterator[Packed]:
    """The documents of a file, of a zip, or of all .xml and .zip files of a folder and those below it.

    Of each no more is read than the limit of documents (and one byte, so that the reader refuses the rest).
    What cannot be read comes as an error, and the others go on. Raises NotFoundError where there is nothing
    to read.
    """
    for holder in holders(named):
        try:
            found = sources(holder)
        except MeasurewiseError as error:
            yield Packed(str(holder), b"", error)
            continue
        size = max(holder.stat().st_size, _SMALL) if holder.is_file() else TOTAL_LIMIT
        unpacked = 0
        for source in found:
            try:
                data = source.read()
            except MeasurewiseError as error:
                yield Packed(source.name, b"", error)
                continue
            unpacked += len(data)
            if source.entry is not None and unpacked > min(TOTAL_LIMIT, RATIO_LIMIT * size):
                yield Packed(str(holder), b"", _swollen(holder))
                break
            yield Packed(source.name, data)


def _swollen(holder: Path) -> MeasurewiseError:
    return MeasurewiseError(
        "the archive unpacks to far more than it has, and is read no further.",
        where=str(holder),
        mend="Pack the reports again, or split the archive.",
    )
