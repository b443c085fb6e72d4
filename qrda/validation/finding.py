"""What validation finds: which rule, where it is broken, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["structure", "schema", "schematron", "time"]
Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class ValidationFinding:
    """One broken rule.

    ``stage`` tells who found it: ``structure`` (no XML, or none that is read safely), ``schema`` (the CDA
    schema), ``schematron``, or ``time`` (the check took too long and was ended). ``rule`` is the id of the
    schematron assertion or the schema's constraint, None where there is none. ``path`` is an XPath 1.0 that
    needs no prefix; ``line`` and ``column`` those of the start tag, from 1, or 0 where unknown. ``source``
    names the set of rules.
    """

    stage: Stage
    rule: str | None
    text: str
    mend: str
    severity: Severity = "error"
    path: str = ""
    line: int = 0
    column: int = 0
    source: str = ""
