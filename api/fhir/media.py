"""What is spoken: FHIR JSON (FHIR R4, 3.1.0.1.11 Content types and encodings). XML is refused clearly."""

from __future__ import annotations

import base64
import re
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from measurewise.api.fhir.outcomes import RequestError
from measurewise.engine.json_faults import json_fault
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.resources import parse

FHIR_JSON: Final = "application/fhir+json"
_JSON: Final = frozenset({FHIR_JSON, "application/json+fhir", "application/json", "text/json", "json"})
"""What says JSON; ``application/json+fhir`` is its name in DSTU 2, and some clients' still."""
_ANY: Final = frozenset({"*/*", "application/*", ""})
_FORM: Final = "application/x-www-form-urlencoded"
NDJSON: Final = "application/fhir+ndjson"
_LINES: Final = frozenset({NDJSON, "application/ndjson", "application/x-ndjson", "ndjson"})

DEEPEST: Final = 200
"""Levels of nesting that a body may have: more than any resource needs, less than breaks a program."""

_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NO_STRUCTURE: Final = bytes(code for code in range(256) if code not in b'{}[]"\\')
_STRING: Final = re.compile(rb'"[^"]*"')

NOTICE: Final = "https://measurewise.example/StructureDefinition/notice"
"""The extension of a Binary's meta with a sentence about what its content lacks."""


class FhirResponse(Response):
    """A FHIR resource as JSON; ``content`` is a dictionary or its bytes."""

    media_type = f"{FHIR_JSON}; fhirVersion=4.0"

    def render(self, content: Any) -> bytes:
        """The bytes of the body; decimals are written as they stand."""
        if content is None:
            return b""
        return content if isinstance(content, bytes) else to_json(content)


def check_accepted(accept: str | None, asked_format: str | None, also: frozenset[str] = frozenset()) -> None:
    """Raises RequestError (406) where the client takes nothing that is spoken here.

    ``also`` are media types that the address gives besides JSON.
    """
    wanted = asked_format if asked_format is not None else accept or ""
    kinds = _kinds(wanted)
    if not any(kind in _JSON | _ANY | also or kind.startswith("text/html") for kind in kinds):
        raise RequestError(
            f"'{wanted}' is not served; this server speaks JSON only.",
            code="not-supported",
            mend=f"Accept {FHIR_JSON}.",
            status=406,
        )


def _kinds(wanted: str) -> list[str]:
    return [part.partition(";")[0].strip().lower().replace(" ", "+") for part in wanted.split(",")]


def prefers(request: Request, kind: str, *, first: bool = False) -> bool:
    """Whether a client takes a media type rather than JSON: it names it before JSON.

    With ``first`` it does so, too, where it names neither.
    """
    asked = request.query_params.get("_format")
    wanted = _kinds(asked if asked is not None else request.headers.get("accept") or "")
    for found in wanted:
        if found == kind:
            return True
        if found in _JSON:
            return False
    return first


def content_of_binary(response: Response, request: Request, kind: str | None) -> Response:
    """The content of a Binary in its own media type, unless the client asks for FHIR JSON (FHIR R4, Binary).

    ``kind`` is what the operation produces; other answers stay as they are. Notices about the content, which
    are extensions of the Binary's meta, become headers ``X-Notice``.
    """
    if kind is None or response.status_code != 200 or not prefers(request, kind, first=True):
        return response
    resource = parse(bytes(response.body))
    if resource.get("resourceType") != "Binary":
        return response
    answer = Response(base64.b64decode(resource["data"]), media_type=resource["contentType"])
    for one in (resource.get("meta") or {}).get("extension", ()):
        if one["url"] == NOTICE:
            text = " ".join(one["valueString"].split())
            answer.headers.append("X-Notice", text.encode("latin-1", "replace").decode("latin-1"))
    return answer


def check_sent(content_type: str | None) -> None:
    """Raises RequestError (415) where the body is of a kind that is not read here."""
    kind = (content_type or FHIR_JSON).partition(";")[0].strip().lower()
    if kind not in _JSON and kind not in (_FORM, "application/json-patch+json"):
        raise RequestError(
            f"a body of '{kind}' cannot be read; this server reads JSON only.",
            code="not-supported",
            mend=f"Send {FHIR_JSON}.",
            status=415,
        )


def is_form(headers: Headers) -> bool:
    """Whether the body is a form, as of POST _search."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM


def is_lines(headers: Headers) -> bool:
    """Whether the body is NDJSON, a resource a line."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() in _LINES


def is_lines_format(name: str) -> bool:
    """Whether ``_outputFormat`` or ``inputFormat`` means NDJSON."""
    return name.partition(";")[0].strip().lower().replace(" ", "+") in _LINES


def parse_body(body: bytes) -> dict[str, Any]:
    """The resource in a body. Raises RequestError that says where it stops being JSON."""
    if not body.strip():
        raise RequestError("the request has no body.", code="required", mend="Send a resource as JSON.")
    try:
        parsed = parse(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault = json_fault(error, body)
        raise RequestError(
            fault.what, code="structure", where=fault.within("body"), mend=fault.mend
        ) from None
    if b"\\u0000" in body and _NUL.search(body):
        raise no_nul("the body")
    if _nested_deeper(body, DEEPEST):
        raise RequestError(
            f"the JSON is nested more than {DEEPEST} levels deep.", code="structure", where="body",
            mend="Mend what wrote it.",
        )  # fmt: skip
    if not isinstance(parsed, dict) or not isinstance(parsed.get("resourceType"), str):
        raise RequestError(
            "the body is no FHIR resource: it has no resourceType.",
            code="structure",
            where="resourceType",
            mend="Send one resource as a JSON object.",
        )
    return parsed


def check_address(path: str, query: str) -> None:
    """Raises RequestError for an address with U+0000, which no database keeps as text."""
    if "\x00" in path or "%00" in path or "%00" in query:
        raise no_nul("the address")


def no_nul(where: str) -> RequestError:
    """The error for the character U+0000, which FHIR's strings cannot hold, nor every database."""
    return RequestError(
        f"{where} holds the character U+0000.", code="value", where=where, mend="Leave it out."
    )


def _nested_deeper(body: bytes, most: int) -> bool:
    """Whether some value of a sound JSON text lies inside more than ``most`` arrays and objects."""
    if body.count(b"{") + body.count(b"[") <= most:
        return False
    marks = body.translate(None, _NO_STRUCTURE).replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = _STRING.sub(b"", marks).replace(b"{", b"[").replace(b"}", b"]")
    for _ in range(most):
        if not marks:
            return False
        marks = marks.replace(b"[]", b"")
    return bool(marks)
