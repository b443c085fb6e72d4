"""Expectations of published test cases that were reviewed and found wrong.

A reviewed file is a JSON list (or an object with a list ``reviewed``) of entries ``measure``, ``case`` (the
case's id), ``reason``, ``clause`` (of the standard, which proves it), ``kind`` (of fault, if named) and
``differences``: what a right engine shows against the wrong expectation. A case passes by its entry only when
it differs in exactly these places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.json_faults import json_fault
from measurewise.engine.measure.expected import Difference


class Deviation(msgspec.Struct, frozen=True):
    """One place where expectation and result differ; values as text."""

    aspect: str
    where: str
    expected: str
    actual: str

    @classmethod
    def of(cls, difference: Difference) -> Deviation:
        """The plain text of a difference."""
        return cls(
            difference.aspect, difference.where, as_text(difference.expected), as_text(difference.actual)
        )


class _Entry(msgspec.Struct):
    measure: str
    case: str
    reason: str
    clause: str
    differences: list[dict[str, Any]]
    kind: str = "wrong expectation"


@dataclass(frozen=True, slots=True)
class ReviewedCase:
    """A case whose expectation is wrong: why, by which clause, and what kind of fault it is."""

    measure: str
    case: str
    reason: str
    clause: str
    deviations: tuple[Deviation, ...]
    kind: str = "wrong expectation"

    def explains(self, found: Iterable[Deviation]) -> bool:
        """Whether these are exactly the differences that the review lists, in any order."""
        return set(self.deviations) == set(found)


Reviews = Mapping[tuple[str, str], ReviewedCase]
"""Reviewed cases by measure and case id."""


def read_reviewed(path: Path) -> dict[tuple[str, str], ReviewedCase]:
    """The reviewed cases in a file. Raises NotFoundError, and ContentError for a file of another form."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError("there is no such reviewed file.", where=str(path)) from None
    try:
        value = msgspec.json.decode(data, type=list[_Entry] | dict[str, Any])
        if isinstance(value, dict):
            value = msgspec.convert(value.get("reviewed"), type=list[_Entry])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        fault = json_fault(error, data)
        raise ContentError(fault.what, where=fault.within(str(path)), mend=fault.mend) from error
    reviewed: dict[tuple[str, str], ReviewedCase] = {}
    for entry in value:
        deviations = tuple(
            Deviation(
                str(d.get("aspect")),
                str(d.get("where")),
                as_text(d.get("expected")),
                as_text(d.get("actual")),
            )
            for d in entry.differences
        )
        key = (entry.measure, entry.case)
        if key in reviewed or not deviations:
            why = "is listed twice" if key in reviewed else "lists no difference"
            raise ContentError(f"case {entry.case} of {entry.measure} {why}.", where=str(path))
        reviewed[key] = ReviewedCase(
            entry.measure, entry.case, entry.reason, entry.clause, deviations, entry.kind
        )
    return reviewed


def as_text(value: Any) -> str:
    """A count, a value or a list of values (of which the order says nothing) as text."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(sorted(map(as_text, value))) + "]"
    if isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        number = Decimal(str(value))
        return format(number.to_integral_value() if number == number.to_integral_value() else number, "f")
    return str(value)
