"""Points in time that hang on the measurement period alone, as plain data.

``end of "Measurement Period" - 2 years`` is ``Moment("end", (Shift(-2, "years"),))``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from measurewise.engine.errors import MeasurewiseError
from measurewise.engine.runtime.datetime_arithmetic import add
from measurewise.engine.runtime.datetime_parsing import parse_datetime
from measurewise.engine.runtime.temporal import DAY, DateTime, days_in_month, pack, to_datetime
from measurewise.engine.runtime.values import Interval, Quantity


@dataclass(frozen=True, slots=True)
class Shift:
    """Later by a duration (earlier, if negative); ``unit`` is a calendar unit or its UCUM unit."""

    amount: str
    unit: str


@dataclass(frozen=True, slots=True)
class DayOfYear:
    """The day with this month and day in the year of the moment."""

    month: int
    day: int


Step = Shift | DayOfYear


@dataclass(frozen=True, slots=True)
class Moment:
    """``anchor`` is ``start`` or ``end`` of the measurement period, or an ISO date; steps follow in order."""

    anchor: str
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> Moment:
        """The moment one step on."""
        return Moment(self.anchor, (*self.steps, step))

    def __str__(self) -> str:
        text = f"{self.anchor} of the measurement period" if self.anchor in ("start", "end") else self.anchor
        for step in self.steps:
            if isinstance(step, DayOfYear):
                text = f"{step.month:02}-{step.day:02} in the year of the {text}"
            else:
                sign, amount = ("-", step.amount[1:]) if step.amount[0] == "-" else ("+", step.amount)
                text += f" {sign} {amount} {step.unit}"
        return text


def resolved(moment: Moment, period: Interval) -> DateTime | None:
    """The moment for a measurement period, or None where it is not known."""
    if moment.anchor in ("start", "end"):
        anchor: Any = period.low if moment.anchor == "start" else period.high
        value = anchor if type(anchor) is DateTime else to_datetime(anchor) if anchor is not None else None
    else:
        value = parse_datetime(moment.anchor, 0)
    for step in moment.steps:
        if value is None:
            return None
        value = _stepped(value, step)
    return value


def _stepped(value: DateTime, step: Step) -> DateTime | None:
    if isinstance(step, DayOfYear):
        year = value.local >> 36
        if not 1 <= step.month <= 12 or not 1 <= step.day <= days_in_month(year, step.month):
            return None
        return DateTime(pack(year, step.month, step.day), DAY)
    try:
        return add(value, Quantity(Decimal(step.amount), step.unit))
    except (MeasurewiseError, InvalidOperation):
        return None
