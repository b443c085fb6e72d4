"""How an answer is sent: indented (``_pretty``), as gzip where it is long and wanted so, or its head."""

from __future__ import annotations

import gzip
import re
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from measurewise.api.fhir.outcomes import RequestError

WORTH_PACKING: Final = 16 * 1024
"""Bytes from which on an answer is packed."""
_LONG: Final = 256 * 1024
_LEVEL: Final = 4
_TEXT: Final = re.compile("json|xml|text")
_GZIP: Final = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q\s*=\s*(?P<weight>[0-9.]+)\s*)?(?=,|$)")


async def sent(request: Request, response: Response) -> Response:
    """The answer as the client wants it. Its ETag, which is weak, holds for all ways. Raises RequestError."""
    if isinstance(response, FileResponse):
        return response
    if "_pretty" in request.url.query:
        _indent(request, response)
    if len(response.body) >= WORTH_PACKING and _TEXT.search(response.media_type or ""):
        response.headers.append("Vary", "Accept-Encoding")
        if takes_gzip(request.headers.get("accept-encoding", "")):
            await _pack(response)
    if request.method == "HEAD":
        # The headers tell of the body that a GET would have.
        response.body = b""
    return response


def takes_gzip(accepted: str) -> bool:
    """Whether ``Accept-Encoding`` names gzip, and not with a weight of nought (RFC 9110, 12.5.3)."""
    found = _GZIP.search(accepted.lower())
    return found is not None and (found["weight"] or "1").strip("0.") != ""


def _indent(request: Request, response: Response) -> None:
    asked = request.query_params.get("_pretty")
    if asked not in (None, "true", "false"):
        raise RequestError(f"_pretty is '{asked}'.", where="_pretty", mend="Write true or false.")
    if asked == "true" and response.body and "json" in (response.media_type or ""):
        _change(response, msgspec.json.format(bytes(response.body), indent=2))


async def _pack(response: Response) -> None:
    body = bytes(response.body)
    if len(body) < _LONG:
        packed = gzip.compress(body, _LEVEL)
    else:
        packed = await run_in_threadpool(gzip.compress, body, _LEVEL)
    response.headers["Content-Encoding"] = "gzip"
    _change(response, packed)


def _change(response: Response, body: bytes) -> None:
    response.body = body
    response.headers["Content-Length"] = str(len(body))
