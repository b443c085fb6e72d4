"""Errors in CQL text: each points at a line and column and says what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from measurewise.engine.errors import ContentError


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong in a CQL text.

    ``line`` and ``column`` count from 1, ``offset`` and ``end`` from 0 in characters; ``expected`` lists what
    could have stood there, ``mend`` how to put it right where that can be told.
    """

    message: str
    line: int
    column: int
    offset: int
    end: int
    expected: tuple[str, ...] = ()
    mend: str = ""

    def __str__(self) -> str:
        text = f"{self.line}:{self.column}: {self.message}"
        return f"{text} {self.mend}" if self.mend else text


class CqlError(ContentError):
    """CQL text that cannot be used; ``issues`` has all that is wrong with it, in the order of the text."""

    def __init__(self, issues: Sequence[Issue], source: str = "") -> None:
        first = issues[0]
        position = f"{first.line}:{first.column}"
        more = len(issues) - 1
        what = first.message
        if more:
            what = f"{what} ({more} more error{'s' if more > 1 else ''} follow{'' if more > 1 else 's'}.)"
        super().__init__(what, where=f"{source}:{position}" if source else position, mend=first.mend)
        self.issues = tuple(issues)
        self.source = source


class CqlSyntaxError(CqlError):
    """CQL text that the grammar does not allow."""
