"""What a request sends: read up to a bound, unpacked where it comes as gzip (RFC 9110, 8.4)."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from starlette.requests import Request

from measurewise.api.fhir import media
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.settings import Settings

_AT_ONCE: Final = 1 << 20
_GZIP: Final = 31
"""zlib's name for gzip with the largest window."""


async def body_of(request: Request) -> bytes:
    """The body, if it is of a kind and size that are taken. Raises RequestError."""
    media.check_sent(request.headers.get("content-type"))
    parts = [part async for part in _parts(request, "Send less at once, or import it ($import).")]
    return b"".join(parts)


async def received(request: Request, suffix: str) -> Path:
    """The body as a file in the data folder, which whoever asked for it removes. Raises RequestError."""
    settings: Settings = request.app.state.services.settings
    folder = settings.data_folder / "received"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{uuid.uuid4()}{suffix}"
    try:
        with file.open("wb") as out:
            async for part in _parts(request, "Send it in several parts."):
                out.write(part)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file


async def _parts(request: Request, mend: str) -> AsyncIterator[bytes]:
    """The body as it is meant, of ``LARGEST_BODY`` bytes at most, packed and unpacked."""
    most = request.app.state.services.settings.largest_body
    unpack = _unpacking(request.headers.get("content-encoding"))
    size = 0
    async for part in request.stream():
        for unpacked in unpack.parts(part) if unpack is not None else (part,):
            size += len(unpacked)
            if size > most:
                raise RequestError(f"the body is larger than {most:,} bytes.", code="too-long", mend=mend)
            yield unpacked
    if unpack is not None:
        unpack.finish()


def _unpacking(encoding: str | None) -> _Gunzip | None:
    """How a body is unpacked. Raises RequestError (415) for a way that is not served."""
    kind = (encoding or "identity").strip().lower()
    if kind == "identity":
        return None
    if kind not in ("gzip", "x-gzip"):
        raise RequestError(
            f"a body packed as '{kind}' cannot be read.", code="not-supported", where="http.Content-Encoding",
            mend="Send it as gzip or as it is.", status=415,
        )  # fmt: skip
    return _Gunzip()


class _Gunzip:
    """Unpacks gzip a bounded piece at a time, so that a small body never fills the memory."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._fed = False

    def parts(self, packed: bytes) -> Iterator[bytes]:
        """What comes out of some more bytes. Raises RequestError."""
        while packed:
            if self._stream.eof:
                # A gzip file may have several members, one after another.
                self._stream = zlib.decompressobj(_GZIP)
            self._fed = True
            try:
                found = self._stream.decompress(packed, _AT_ONCE)
            except zlib.error as error:
                raise _no_gzip(str(error)) from None
            if found:
                yield found
            packed = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail

    def finish(self) -> None:
        """Raises RequestError where the end is missing."""
        if self._fed and not self._stream.eof:
            raise _no_gzip("it ends too early")


def _no_gzip(why: str) -> RequestError:
    return RequestError(
        f"the body is no gzip ({why}).",
        code="structure",
        where="http.Content-Encoding",
        mend="Pack it again.",
    )
