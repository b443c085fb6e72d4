"""The documents that a user names: a file, a folder's files, or the files in a zip archive.

Nothing is unpacked to disk; a file of an archive is read up to the limit for documents and no further.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measurewise.engine.errors import MeasurewiseError, NotFoundError
from measurewise.qrda.category3.reading import SIZE_LIMIT

ARCHIVE_LIMIT: Final = 1024 * 1024 * 1024
ENTRY_LIMIT: Final = 20_000
_ENDING: Final = ".xml"


@dataclass(frozen=True, slots=True)
class Source:
    """One document: a file, or an entry of a zip archive; ``size`` in bytes, as the archive states it."""

    path: Path
    entry: str | None
    size: int

    @property
    def name(self) -> str:
        """For people: the file, and the entry after an exclamation mark."""
        return str(self.path) if self.entry is None else f"{self.path}!{self.entry}"

    def read(self, limit: int = SIZE_LIMIT) -> bytes:
        """The bytes, of which one more than ``limit`` at most, so that a reader sees that there is too much.

        Raises MeasurewiseError when the file cannot be read.
        """
        try:
            if self.entry is None:
                with self.path.open("rb") as stream:
                    return stream.read(limit + 1)
            with zipfile.ZipFile(self.path) as archive, archive.open(self.entry) as packed:
                return packed.read(limit + 1)
        except (
            OSError,
            zipfile.BadZipFile,
            RuntimeError,
            NotImplementedError,
            EOFError,
            ValueError,
        ) as error:
            told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise MeasurewiseError(
                f"the file cannot be read: {told}.", where=self.name, mend="Give it unpacked and readable."
            ) from None


def sources(named: Path) -> list[Source]:
    """The documents that a name stands for, sorted.

    A folder means the ``.xml`` files in it and below it, a ``.zip`` file those packed in it (archives within
    archives are not opened). Raises MeasurewiseError when there is none, and for archives beyond the limits.
    """
    if named.is_dir():
        files = sorted(path for path in named.rglob("*") if path.suffix.lower() == _ENDING and path.is_file())
        found = [Source(path, None, path.stat().st_size) for path in files]
        if not found:
            raise NotFoundError(
                "the folder has no .xml file.", where=str(named), mend="Name the folder with the reports."
            )
        return found
    if not named.is_file():
        raise NotFoundError("there is no such file or folder.", where=str(named), mend="Check the name.")
    if named.suffix.lower() == ".zip":
        return _entries(named)
    return [Source(named, None, named.stat().st_size)]


def _entries(named: Path) -> list[Source]:
    size = named.stat().st_size
    if size > ARCHIVE_LIMIT:
        raise MeasurewiseError(
            f"the archive has {size:,} bytes, more than the {ARCHIVE_LIMIT:,} that are read.",
            where=str(named),
            mend="Unpack it and name the folder.",
        )
    try:
        with zipfile.ZipFile(named) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise MeasurewiseError(
            f"the archive cannot be read: {error}.", where=str(named), mend="Pack the reports again."
        ) from None
    found = [
        Source(named, entry.filename, entry.file_size)
        for entry in sorted(entries, key=lambda one: one.filename)
        if entry.filename.lower().endswith(_ENDING) and not entry.is_dir()
    ]
    if len(found) > ENTRY_LIMIT:
        raise MeasurewiseError(
            f"the archive has {len(found):,} files, more than the {ENTRY_LIMIT:,} that are read.",
            where=str(named),
            mend="Split it.",
        )
    if not found:
        raise MeasurewiseError(
            "the archive has no .xml file.", where=str(named), mend="Name the archive with the reports."
        )
    return found
