"""What went wrong for single patients while the others went on."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from measurewise.engine.errors import MeasurewiseError


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing about one patient: an ``error`` (of one measure, or of all), or a ``warning``.

    ``code`` is a FHIR IssueType. Plain text, so that it can be sent from one process to another.
    """

    severity: Literal["error", "warning"]
    code: str
    what: str
    where: str = ""
    mend: str = ""
    measure: str | None = None

    @classmethod
    def of(cls, error: Exception, where: str, measure: str | None = None) -> Issue:
        """The issue of an exception.

        Records are read leniently, so what is not FHIR at all first shows where the logic stumbles over it;
        that cannot be told from a fault of the program, and the issue says both.
        """
        if isinstance(error, MeasurewiseError):
            place = error.where if where in error.where else ", ".join(filter(None, (where, error.where)))
            return cls("error", error.code, error.what, place, error.mend, measure)
        frames = traceback.extract_tb(error.__traceback__)
        at = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
        what = f"the logic stumbled ({type(error).__name__}: {error}{at})."
        mend = "Check that the resources have the shape of FHIR R4; if they have, report this as a fault."
        return cls("error", "exception", what, where, mend, measure)

    def __str__(self) -> str:
        about = f" [{self.measure}]" if self.measure and self.measure not in self.where else ""
        return str(MeasurewiseError(self.what, where=f"{self.where}{about}", mend=self.mend))

    def as_fhir(self) -> dict[str, Any]:
        """An issue of an OperationOutcome."""
        return {"severity": self.severity, "code": self.code, "diagnostics": str(self)}

    def as_json(self) -> dict[str, Any]:
        """The fields that are not empty."""
        fields = ("severity", "code", "what", "where", "mend", "measure")
        return {name: getattr(self, name) for name in fields if getattr(self, name)}


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """The FHIR OperationOutcome of some issues."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": issue.severity, "code": issue.code, "diagnostics": str(issue)} for issue in issues
        ],
    }
