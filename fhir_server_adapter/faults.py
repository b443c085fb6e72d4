"""What can go wrong at a source: a server's answer, or the lack of one, as an error of the one family."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from measurewise.engine.errors import MeasurewiseError

_CODES = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    409: "conflict",
    410: "deleted",
    412: "conflict",
    422: "processing",
    429: "throttled",
    501: "not-supported",
    504: "timeout",
}


class SourceError(MeasurewiseError):
    """A FHIR server that does not give, or does not take, what was asked.

    ``status`` is the HTTP status, None where there was no answer; ``code`` the FHIR IssueType.
    """

    def __init__(
        self, what: str, *, where: str = "", mend: str = "", status: int | None = None, code: str = ""
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.status = status
        self.code = code or (_CODES.get(status, "exception") if status is not None else "transient")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.what, self.where, self.mend, self.status, self.code)


def _rebuilt(
    kind: type[SourceError], what: str, where: str, mend: str, status: int | None, code: str
) -> SourceError:
    return kind(what, where=where, mend=mend, status=status, code=code)


def place(method: str, url: str, request_id: str = "") -> str:
    """A request as errors name it: without user, query or fragment, which may tell of a patient."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    said = f"{method} {parts.scheme}://{host}{port}{parts.path}"
    return f"{said} (request {request_id})" if request_id else said


def outcome_text(outcome: Any) -> str:
    """The issues of an OperationOutcome in one line, gravest first; empty for anything else."""
    if type(outcome) is not dict or outcome.get("resourceType") != "OperationOutcome":
        return ""
    grave = {"fatal": 0, "error": 1, "warning": 2, "information": 3}
    issues = [issue for issue in outcome.get("issue") or () if type(issue) is dict]
    issues.sort(key=lambda issue: grave.get(str(issue.get("severity")), 4))
    texts = []
    for issue in issues[:3]:
        details = issue.get("details")
        said = issue.get("diagnostics") or (details.get("text") if type(details) is dict else None)
        code = str(issue.get("code") or "unknown")
        texts.append(f"{code}: {said}" if said else code)
    if len(issues) > 3:
        texts.append(f"and {len(issues) - 3} more")
    return "; ".join(texts)


def outcome_code(outcome: Any) -> str:
    """The IssueType of the first error of an OperationOutcome, or an empty string."""
    if type(outcome) is dict and outcome.get("resourceType") == "OperationOutcome":
        for issue in outcome.get("issue") or ():
            if type(issue) is dict and issue.get("severity") in ("fatal", "error"):
                return str(issue.get("code") or "")
    return ""
