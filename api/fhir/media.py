"""What is spoken: FHIR JSON (FHIR R4, 3.1.0.1.11 Content types and encodings). XML is refused clearly."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response

from measurewise.api.fhir.outcomes import RequestError
from measurewise.engine.json_faults import json_fault
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.resources import parse

FHIR_JSON: Final = "application/fhir+json"
_JSON: Final = frozenset({FHIR_JSON, "application/json", "text/json", "json"})
_ANY: Final = frozenset({"*/*", "application/*", ""})
_FORM: Final = "application/x-www-form-urlencoded"
NDJSON: Final = "application/fhir+ndjson"
_LINES: Final = frozenset({NDJSON, "application/ndjson", "application/x-ndjson", "ndjson"})


class FhirResponse(Response):
    """A FHIR resource as JSON; ``content`` is a dictionary or its bytes."""

    media_type = f"{FHIR_JSON}; fhirVersion=4.0"

    def render(self, content: Any) -> bytes:
        """The bytes of the body; decimals are written as they stand."""
        if content is None:
            return b""
        return content if isinstance(content, bytes) else to_json(content)


def check_accepted(accept: str | None, asked_format: str | None) -> None:
    """Raises RequestError (406) where the client takes nothing that is spoken here."""
    wanted = asked_format if asked_format is not None else accept or ""
    kinds = [part.partition(";")[0].strip().lower().replace(" ", "+") for part in wanted.split(",")]
    if not any(kind in _JSON or kind in _ANY or kind.startswith("text/html") for kind in kinds):
        raise RequestError(
            f"'{wanted}' is not served; this server speaks JSON only.",
            code="not-supported",
            mend=f"Accept {FHIR_JSON}.",
            status=406,
        )


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
    if not isinstance(parsed, dict) or not isinstance(parsed.get("resourceType"), str):
        raise RequestError(
            "the body is no FHIR resource: it has no resourceType.",
            code="structure",
            where="resourceType",
            mend="Send one resource as a JSON object.",
        )
    return parsed
