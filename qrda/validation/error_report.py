"""Answers about files as lines for people: sentences, and the rows of the error report in CSV."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

COLUMNS: Final = ("File No", "Size", "Timestamp", "Status", "Message")

Row = tuple[int, int, str, str, str]


def sentence(one: dict[str, Any]) -> str:
    """A finding or an error in one line: its rule or code, its place, what is wrong, how to mend it."""
    place = f"line {one['line']}, column {one['column']}: " if one["line"] else ""
    rule = one.get("code") or one.get("rule") or one.get("stage")
    kind = "warning " if one["severity"] == "warning" else ""
    return " ".join(f"{kind}{rule}: {place}{one['message']} {one['mend']}".split())


def rows(number: int, name: str, size: int, answer: dict[str, Any], errors: str) -> Iterator[Row]:
    """The rows of one file: one an error, or one alone for a file without; the message names the file.

    ``errors`` is the answer's member with what is wrong, ``size`` the file's in bytes.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for text in [sentence(one) for one in answer[errors]] or [""]:
        message = f"{name}: {text}" if text else name
        # Spreadsheets run what begins like a formula, and a file may be named so.
        safe = f"'{message}" if message.startswith(("=", "+", "-", "@")) else message
        yield number, size, now, answer["status"], safe
