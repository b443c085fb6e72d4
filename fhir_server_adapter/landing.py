"""Files that lie elsewhere or are packed otherwise, brought to a folder where they can be read.

Addresses are those of fsspec (``s3://bucket/folder``, ``gs://``, ``abfs://``, ``sftp://``, ``memory://``) and
paths; each file may be packed with Zstandard (RFC 8878) as ``.zst``, which is unpacked on the way.
"""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec  # type: ignore[import-untyped]
import zstandard

from measurewise.engine.errors import MeasurewiseError, NotFoundError, RecordError

_PLAIN = (".ndjson", ".jsonl", ".json")
_READ = (*_PLAIN, *(f"{suffix}.gz" for suffix in _PLAIN), *(f"{suffix}.zst" for suffix in _PLAIN))
_CHUNK = 1 << 20


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


def _unpack(source: IO[bytes] | Any, out: IO[bytes], where: str) -> None:
    """One frame after another. A frame that does not come to its end is an error, not an end."""
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
