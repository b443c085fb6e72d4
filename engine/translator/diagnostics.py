"""What the translator tells an author: errors and warnings, each with its place in the text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from measurewise.engine.cql.errors import CqlError, Issue
from measurewise.engine.cql.tree import Node, SyntaxTree


class CqlTranslationError(CqlError):
    """CQL that is well formed and yet means nothing: unknown names, types that do not fit."""


class Abandoned(Exception):
    """A definition cannot be translated further; its error has been recorded."""


class Diagnostics:
    """Collects the errors and warnings of one library."""

    def __init__(self, tree: SyntaxTree) -> None:
        self._tree = tree
        self.errors: list[Issue] = []
        self.warnings: list[Issue] = []

    @property
    def count(self) -> int:
        """How many errors and warnings there are so far."""
        return len(self.errors) + len(self.warnings)

    def fail(self, node: Node, message: str, mend: str = "") -> Abandoned:
        """Record an error; the caller raises what is given back."""
        issue = self._issue(node, message, mend)
        if issue not in self.errors:
            self.errors.append(issue)
        return Abandoned()

    def warn(self, node: Node, message: str, mend: str = "") -> None:
        """Record a warning."""
        issue = self._issue(node, message, mend)
        if issue not in self.warnings:
            self.warnings.append(issue)

    def _issue(self, node: Node, message: str, mend: str) -> Issue:
        start, end = node.span
        line, column = self._tree.lines.position(start)
        return Issue(message, line, column, start, end, mend=mend)


def suggestion(name: str, known: Iterable[str]) -> str:
    """``Did you mean "X"?`` with the nearest known name, or nothing when none is near."""
    names = list(dict.fromkeys(known))
    folded = {n.casefold(): n for n in names}
    if name.casefold() in folded:
        return f'Did you mean "{folded[name.casefold()]}"? Names are case-sensitive.'
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else ""


def listed(words: Sequence[str], limit: int = 6) -> str:
    """Words with commas between them, cut after ``limit``."""
    shown = ", ".join(words[:limit])
    return shown if len(words) <= limit else f"{shown} and {len(words) - limit} more"
