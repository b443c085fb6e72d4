"""What is wrong with a submission: a code, a sentence, where it stands, and how to mend it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

_TEXTS: Final = Path(__file__).parents[1] / "data" / "submission_problems.json"
_LONGEST: Final = 120
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    ``pointer`` is a JSON Pointer (RFC 6901) into the submission. An ``error`` keeps the submissions API from
    taking the submission; what has a ``warning`` is taken, and earns less than it could.
    """

    code: str
    severity: Severity
    message: str
    mend: str
    pointer: str

    def as_json(self) -> dict[str, str]:
        """The members by name."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "mend": self.mend,
            "pointer": self.pointer,
        }


def problem(code: str, pointer: str, **values: Any) -> Problem:
    """The problem of a code, the places of its text filled with ``values``."""
    entry = _texts()[code]
    shown = {name: _shown(value) for name, value in values.items()}
    return Problem(
        code=code,
        severity=entry.get("severity", "error"),
        message="SV - " + entry["text"].format(**shown) + ".",
        mend=entry["mend"].format(**shown),
        pointer=pointer,
    )


def field_path(pointer: str) -> str:
    """A JSON Pointer in the words of CMS's API: ``Submission.measurementSets[0].measurements[1]``."""
    return "Submission" + "".join(
        f"[{part}]" if part.isdigit() else f".{part}" for part in pointer.split("/")[1:]
    )


def pointer_of(path: str) -> str:
    """A JSON Pointer from a path in the API's errors: ``$.measurementSets[0].value``."""
    parts = path.removeprefix("$").replace("[", ".").replace("]", "").split(".")
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts if part)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (tuple, frozenset, list, set)):
        return ", ".join(map(str, sorted(value) if isinstance(value, (frozenset, set)) else value))
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


@cache
def _texts() -> dict[str, dict[str, Any]]:
    content: dict[str, Any] = json.loads(_TEXTS.read_text("utf-8"))
    return dict(content["problems"])
