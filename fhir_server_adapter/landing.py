"""Files that lie elsewhere or are packed otherwise, brought to a folder where they can be read.

Addresses are those of fsspec (``s3://bucket/folder``, ``gs://``, ``abfs://``, ``sftp://``, ``memory://``), of
one file at a web server (``https://``), and paths; each file may be packed with Zstandard (RFC 8878) as
``.zst``, which is unpacked on the way. The libraries for that are imported when there is something to bring:
plain local files need none of them.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from measurewise.engine.errors import MeasurewiseError, NotFoundError, RecordError
from measurewise.engine.runner.patients import PatientData, Patients
from measurewise.fhir_server_adapter.faults import place

_PLAIN = (".ndjson", ".jsonl", ".json")
_READ = (*_PLAIN, *(f"{suffix}.gz" for suffix in _PLAIN), *(f"{suffix}.zst" for suffix in _PLAIN))
_CHUNK = 1 << 20
_WEB = ("http://", "https://")
_SECONDS = 120.0


def patients_at(address: str | Path) -> Patients:
    """The patients under a path or an address, ``-`` for standard input.

    Raises NotFoundError, RecordError and MeasurewiseError as :func:`land` and Patients do.
    """
    return _Landed(str(address)) if needs_landing(address) else Patients(Path(address))


class _Landed(Patients):
    """Patients whose files were brought to a temporary folder, named by where they come from."""

    def __init__(self, address: str) -> None:
        folder = tempfile.mkdtemp(prefix="measurewise-files-")
        self._leave = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder
        self._origin = _origin(address)
        super().__init__(land(address, Path(folder)))

    def __iter__(self) -> Iterator[PatientData]:
        try:
            for one in super().__iter__():
                yield PatientData(self._named(one.where), one.data)
            self.notices = [self._named(notice) for notice in self.notices]
        except MeasurewiseError as error:
            error.where = self._named(error.where)
            raise
        finally:
            self._leave()

    def _named(self, where: str) -> str:
        return where.replace(self._folder, self._origin)


def _origin(address: str) -> str:
    """The folder of an address: the address itself, or that of the file that it is; no query of a URL."""
    if address.startswith(_WEB):
        address = place("", address).strip()
    bare = address.rstrip("/")
    return bare.rpartition("/")[0] if bare.lower().endswith(_READ) else bare


def needs_landing(address: str | Path) -> bool:
    """Whether an address is no plain local path, or has ``.zst`` files under it."""
    if "://" in str(address):
        return True
    path = Path(address)
    return path.suffix == ".zst" or (path.is_dir() and any(path.rglob("*.zst")))


def land(address: str | Path, folder: Path) -> Path:
    """Copy the patients' files under an address into a folder, unpacked from Zstandard; where they are now.

    Raises NotFoundError where there is nothing, RecordError for a file that cannot be read whole, and
    MeasurewiseError for a kind of address that this installation cannot read.
    """
    import fsspec  # type: ignore[import-untyped]

    if str(address).startswith(_WEB):
        return _fetched(str(address), folder)
    try:
        files, root = fsspec.core.url_to_fs(str(address))
        if files.isdir(root):
            found = [str(name) for name in files.find(root)]
        elif files.isfile(root):
            found, root = [root], str(PurePosixPath(root).parent)
        else:
            found = []
    except (ImportError, ValueError) as error:
        raise MeasurewiseError(
            f"this kind of address cannot be read here ({error}).",
            where=str(address),
            mend="Install what fsspec needs for it (s3fs for s3://), or copy the files.",
        ) from None
    except OSError as error:
        raise RecordError(f"the address cannot be read ({error}).", where=str(address)) from None
    wanted = [name for name in sorted(found) if name.lower().endswith(_READ)]
    if not wanted:
        raise NotFoundError(
            "there are no patients' files there.",
            where=str(address),
            mend="Give .ndjson or .json, each also .gz or .zst, or a folder of these.",
        )
    for name in wanted:
        below = PurePosixPath(name).relative_to(PurePosixPath(root))
        if ".." in below.parts or any(part.startswith(".") for part in below.parts):
            continue
        packed = below.suffix.lower() == ".zst"
        file = folder / (below.with_suffix("") if packed else below)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with files.open(name, "rb") as source, file.open("xb") as out:
                if packed:
                    _unpack(source, out, name)
                else:
                    shutil.copyfileobj(source, out, _CHUNK)
        except FileExistsError:
            raise RecordError(
                "the same file is there packed and unpacked.", where=name, mend="Leave one of them."
            ) from None
        except OSError as error:
            raise RecordError(f"the file cannot be read ({error}).", where=name) from None
    return folder


def _fetched(address: str, folder: Path) -> Path:
    """One file of a web server; what its URL asks (a signature, say) stands in no error."""
    import httpx

    where = place("GET", address)
    name = PurePosixPath(unquote(urlsplit(address).path)).name
    if not name.lower().endswith(_READ) or name.startswith("."):
        raise NotFoundError(
            "this is no file of patients.",
            where=where,
            mend="Give the URL of one .ndjson or .json, each also .gz or .zst; web servers list no folders.",
        )
    file = folder / name
    try:
        with (
            httpx.stream("GET", address, follow_redirects=True, timeout=_SECONDS) as response,
            file.open("xb") as out,
        ):
            if response.is_error:
                raise RecordError(f"the server answered {response.status_code}.", where=where)
            # a server may pack on the way what is no packed file by its name
            packed = name.lower().endswith((".gz", ".zst"))
            for chunk in response.iter_raw(_CHUNK) if packed else response.iter_bytes(_CHUNK):
                out.write(chunk)
    except httpx.HTTPError as error:
        raise RecordError(f"the file cannot be read ({type(error).__name__}).", where=where) from None
    if file.suffix.lower() == ".zst":
        with file.open("rb") as source, file.with_suffix("").open("xb") as out:
            _unpack(source, out, where)
        file.unlink()
    return folder


def _unpack(source: IO[bytes] | Any, out: IO[bytes], where: str) -> None:
    """One frame after another. A frame that does not come to its end is an error, not an end."""
    import zstandard

    unpacker = zstandard.ZstdDecompressor().decompressobj()
    begun = False
    try:
        while data := source.read(_CHUNK):
            while data:
                if unpacker.eof:
                    unpacker = zstandard.ZstdDecompressor().decompressobj()
                begun = True
                out.write(unpacker.decompress(data))
                data = unpacker.unused_data if unpacker.eof else b""
    except zstandard.ZstdError as error:
        raise RecordError(f"this is not Zstandard ({error}).", where=where) from None
    if begun and not unpacker.eof:
        raise RecordError(
            "the compressed data end early.", where=where, mend="Copy or download the file again."
        )
