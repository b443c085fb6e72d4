"""The Message operator (CQL Reference, "Errors and Messaging")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from measurewise.engine.errors import EvaluationError

MessageSink = Callable[[str, str | None, str | None, Any], None]
"""Takes severity (``Trace``, ``Message``, ``Warning``), code, text and source of a message."""


def message(
    source: Any,
    condition: bool | None,
    code: str | None,
    severity: str | None,
    text: str | None,
    sink: MessageSink | None = None,
) -> Any:
    """The source, unchanged; where the condition is true, the message goes to the sink first.

    A missing severity counts as ``Message``. Raises :class:`EvaluationError` for severity ``Error``.
    """
    if condition is not True:
        return source
    if severity == "Error":
        what = f"The CQL raised error {code}: {text}" if code else f"The CQL raised an error: {text}"
        raise EvaluationError(what, mend="Mend the data or the logic that the message speaks of.")
    if sink is not None:
        sink(severity or "Message", code, text, source)
    return source
