"""A remark on a place in a CQL text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from measurewise.engine.elm.element import Element

Severity = Literal["warning", "information"]
_START = re.compile(r"(\d+):(\d+)")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One remark; ``line`` and ``column`` count from 1 (0 where the text does not show the place)."""

    file: str
    line: int
    column: int
    rule: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} [{self.rule}]"


def found(file: str, at: Element, rule: str, severity: Severity, message: str) -> Finding:
    """A finding at the place of an ELM node."""
    match = _START.match(at.locator or "")
    line, column = (int(match[1]), int(match[2])) if match is not None else (0, 0)
    return Finding(file, line, column, rule, severity, message)
