"""Failures as FHIR says them: an OperationOutcome with a code, a sentence and an expression."""

from __future__ import annotations

from typing import Any, Final

from measurewise.engine.errors import MeasurewiseError

STATUS: Final = {
    "invalid": 400,
    "structure": 400,
    "required": 400,
    "value": 400,
    "not-found": 404,
    "deleted": 410,
    "conflict": 409,
    "duplicate": 412,
    "multiple-matches": 412,
    "not-supported": 400,
    "login": 401,
    "expired": 401,
    "unknown": 401,
    "security": 401,
    "forbidden": 403,
    "suppressed": 403,
    "business-rule": 422,
    "processing": 422,
    "too-costly": 413,
    "too-long": 413,
    "throttled": 429,
    "transient": 503,
    "timeout": 504,
    "exception": 500,
}
"""The HTTP status of an issue type (FHIR R4, IssueType)."""


class RequestError(MeasurewiseError):
    """A request that cannot be served as it is.

    ``where`` is a FHIRPath expression of the element or ``Parameters.parameter`` at fault; ``status`` the
    HTTP status where it is not the one of the code.
    """

    def __init__(
        self, what: str, *, code: str = "invalid", where: str = "", mend: str = "", status: int | None = None
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.code = code
        self.status = status or STATUS.get(code, 400)


def status_of(error: MeasurewiseError) -> int:
    """The HTTP status with which an error is answered."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else STATUS.get(error.code, 500)


def issue(error: MeasurewiseError, severity: str = "error") -> dict[str, Any]:
    """One issue of an OperationOutcome."""
    sentence = error.what[:1].upper() + error.what[1:]
    text = sentence if not error.mend else f"{sentence} {error.mend}"
    found: dict[str, Any] = {
        "severity": severity,
        "code": error.code,
        "details": {"text": text},
        "diagnostics": str(error),
    }
    if error.where:
        found["expression"] = [error.where]
    return found


def outcome(*issues: dict[str, Any]) -> dict[str, Any]:
    """An OperationOutcome of some issues."""
    return {"resourceType": "OperationOutcome", "issue": list(issues)}


def outcome_of(*errors: MeasurewiseError, severity: str = "error") -> dict[str, Any]:
    """An OperationOutcome of some errors."""
    return outcome(*(issue(error, severity) for error in errors))


def information(text: str) -> dict[str, Any]:
    """An OperationOutcome that says all is well."""
    return outcome({"severity": "information", "code": "informational", "details": {"text": text}})
