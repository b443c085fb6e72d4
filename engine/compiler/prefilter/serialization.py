"""Requirements as JSON and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from measurewise.engine.compiler.prefilter import moments, requirements
from measurewise.engine.compiler.prefilter.requirements import Requirement
from measurewise.engine.compiler.retrieval import CodeElement
from measurewise.engine.errors import ContentError

_CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        requirements.Anything,
        requirements.AllOf,
        requirements.AnyOf,
        requirements.HasResource,
        requirements.AgeBetween,
        requirements.Coded,
        requirements.ElementIn,
        requirements.Present,
        requirements.Absent,
        requirements.TimeBound,
        requirements.Unreadable,
        requirements.AgeAtTime,
        requirements.ValueSetUse,
        moments.Moment,
        moments.Shift,
        moments.DayOfYear,
        CodeElement,
    )
}


def as_json(requirement: Requirement) -> dict[str, Any]:
    """A requirement as a JSON object; ``type`` names what each object is."""
    found: dict[str, Any] = _encoded(requirement)
    return found


def from_json(document: Any) -> Requirement:
    """The requirement that :func:`as_json` wrote. Raises ContentError for anything else."""
    try:
        found: Requirement = _decoded(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ContentError(
            f"This is no requirement: {error!r}.", mend="Give what as_json wrote, unchanged."
        ) from error
    return found


def _encoded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    if type(value).__name__ in _CLASSES:
        return {"type": type(value).__name__} | {
            field.name: _encoded(getattr(value, field.name)) for field in fields(value)
        }
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item) for item in value)
    if isinstance(value, dict):
        return _CLASSES[value["type"]](**{k: _decoded(v) for k, v in value.items() if k != "type"})
    return value
