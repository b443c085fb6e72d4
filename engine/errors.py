"""The one family of errors that a user can cause or must hear of.

Every error says *what* is wrong, *where*, and *how to mend it*. The command line prints the one line of
``str(error)`` and exits with a status other than 0; the API renders the same parts as an OperationOutcome.
"""

from __future__ import annotations

from typing import Any


class MeasurewiseError(Exception):
    """Root of the family; ``code`` is the FHIR IssueType the API answers with."""

    code = "exception"

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(what, where, mend)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.what, self.where, self.mend)

    def __str__(self) -> str:
        text = self.what if not self.where else f"{self.where}: {self.what}"
        return text if not self.mend else f"{text} {self.mend}"


class ContentError(MeasurewiseError):
    """A measure, library, ELM tree or value set that cannot be used as it is."""

    code = "invalid"


class NotFoundError(ContentError):
    """Content that something else names and nothing holds."""

    code = "not-found"


class RecordError(MeasurewiseError):
    """A patient's data that cannot be read."""

    code = "structure"


class EvaluationError(MeasurewiseError):
    """CQL raised a run-time error (a Message of severity Error, a singleton of many, bad operands)."""

    code = "processing"


def _rebuilt(kind: type[MeasurewiseError], what: str, where: str, mend: str) -> MeasurewiseError:
    """An error as it was before it went from one process to another."""
    return kind(what, where=where, mend=mend)
