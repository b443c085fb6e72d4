"""What the submissions API refuses, as errors of the one family.

Source: CMS, QPP submissions API documentation and developer group: errors are
``{"error": {"type", "message", "details": [{"message", "path"}]}}``, a path such as
``$.measurementSets[0].measurements[0].value``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from measurewise.engine.errors import MeasurewiseError
from measurewise.mips.submission.problem import pointer_of

_CODES: Final = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    409: "conflict",
    422: "invalid",
    429: "throttled",
}
_MENDS: Final = {
    400: "Mend the fields named, and validate the submission before it is sent.",
    401: "Check that the token is of this environment and not expired, and that it may do this: a registry's "
    "token works on measurement sets, not on submissions.",
    403: "Ask for the role that may do this, or use the token of the organisation that owns the data.",
    404: "List what is there: an id of another environment or submitter is not found.",
    409: "Replace the measurement set that is there, or delete it first.",
    422: "Mend the fields named, and validate the submission before it is sent.",
    429: "Wait, then send again; the API takes 25 requests a second on average.",
}
_SHOWN: Final = 5
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What the API says of one field; ``pointer`` is a JSON Pointer into the body, empty for the whole."""

    pointer: str
    message: str


class SubmissionsApiError(MeasurewiseError):
    """The API did not take, or did not give, what was asked.

    ``status`` is the HTTP status, None where there was no answer; ``kind`` the API's name of the error;
    ``faults`` what it says field by field.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        mend: str = "",
        status: int | None = None,
        kind: str = "",
        faults: tuple[FieldFault, ...] = (),
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.status = status
        self.kind = kind
        self.faults = faults
        self.code = _CODES.get(status, "exception") if status is not None else "transient"
        if status is not None and status >= 500:
            self.code = "transient"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.what, self.where, self.mend, self.status, self.kind, self.faults)


def _rebuilt(
    what: str, where: str, mend: str, status: int | None, kind: str, faults: tuple[FieldFault, ...]
) -> SubmissionsApiError:
    return SubmissionsApiError(what, where=where, mend=mend, status=status, kind=kind, faults=faults)


def refusal(status: int, body: Any, where: str, *, retry_after: float | None = None) -> SubmissionsApiError:
    """The error of a response that is no success; ``body`` is its JSON, None where it has none."""
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    faults = tuple(_faults(error.get("details")))
    said = str(error.get("message") or "").strip()[:_LONGEST].rstrip(".")
    what = f"the submissions API answers {status}" + (f" ({said})" if said else "")
    shown = "; ".join(
        f"{one.pointer}: {one.message}" if one.pointer else one.message for one in faults[:_SHOWN]
    )
    if len(faults) > _SHOWN:
        shown += f"; and {len(faults) - _SHOWN} more"
    what += f": {shown}." if shown else "."
    if status == 429 and retry_after is not None:
        mend = f"Send again in {retry_after:.0f} seconds."
    else:
        mend = _MENDS.get(
            status, "Send again later; nothing tells that it was taken." if status >= 500 else ""
        )
    return SubmissionsApiError(
        what, where=where, mend=mend, status=status, kind=str(error.get("type") or ""), faults=faults
    )


def _faults(details: Any) -> list[FieldFault]:
    found = []
    for one in details if isinstance(details, list) else ():
        if isinstance(one, dict):
            message = " ".join(str(one.get("message") or "").split()).rstrip(".")[:_LONGEST]
            found.append(FieldFault(pointer_of(str(one.get("path") or "")), message or "refused"))
    return found
