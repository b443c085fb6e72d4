"""Measurement periods, as users write them and as CQL and reports need them."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass

from measurewise.engine.errors import ContentError
from measurewise.engine.runtime.datetime_parsing import parse_datetime
from measurewise.engine.runtime.temporal import MILLISECOND, DateTime, compare
from measurewise.engine.runtime.values import Interval

_YEAR = re.compile(r"\d{4}")
_OFFSET = re.compile(r"Z|([+-])(\d{2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Period:
    """A measurement period: ``start`` and ``end`` as FHIR dates or dateTimes, both included."""

    start: str
    end: str

    @classmethod
    def parse(cls, text: str) -> Period:
        """A year (``2026``) or two dates or dateTimes with a slash between (``2026-01-01/2026-12-31``).

        Raises ContentError for anything else, and for an end before the start.
        """
        text = text.strip()
        if _YEAR.fullmatch(text):
            return cls(f"{text}-01-01", f"{text}-12-31")
        start, slash, end = text.partition("/")
        period = cls(start.strip(), end.strip())
        if not slash:
            raise ContentError(
                f"'{text}' is no measurement period.", mend="Write 2026, or 2026-01-01/2026-12-31."
            )
        period.interval(0)
        return period

    @classmethod
    def of_days(cls, start: str, end: str) -> Period:
        """The period from the first day that a FHIR date means to the last: a year, a month, or a day.

        A report states its period to the day (QM IG, "Measurement Period").
        """
        first = {4: f"{start}-01-01", 7: f"{start}-01"}.get(len(start), start)
        last = f"{end}-12" if len(end) == 4 else end
        if len(last) == 7:
            last += f"-{monthrange(int(last[:4]), int(last[5:]))[1]:02}"
        return cls(first, last)

    def interval(self, zone: int) -> Interval:
        """The CQL ``Interval<DateTime>`` from the first to the last millisecond (QM IG, "Measurement
        Period").

        ``zone`` is the evaluation request's offset in minutes. Raises ContentError for what is no date.
        """
        start = DateTime(_moment(self.start, zone).lo, MILLISECOND, zone, zone)
        end = DateTime(_moment(self.end, zone).hi, MILLISECOND, zone, zone)
        order = compare(start, end)
        if order is None or order > 0:
            raise ContentError(
                f"The measurement period ends ({self.end}) before it starts ({self.start}).",
                mend="Write the earlier date first.",
            )
        return Interval(start, end, True, True, "DateTime")


def offset_minutes(text: str) -> int:
    """The minutes of an offset from UTC as FHIR writes it: ``Z``, ``-05:00``. Raises ContentError."""
    found = _OFFSET.fullmatch(text.strip())
    if found is None or int(found[2] or 0) * 60 + int(found[3] or 0) > 14 * 60 or int(found[3] or 0) > 59:
        raise ContentError(f"'{text}' is no offset from UTC.", mend="Write -05:00, or Z.")
    minutes = int(found[2] or 0) * 60 + int(found[3] or 0)
    return -minutes if found[1] == "-" else minutes


def _moment(text: str, zone: int) -> DateTime:
    value = parse_datetime(text, zone)
    if value is None:
        raise ContentError(
            f"'{text}' is no date.", where="measurement period", mend="Write a date such as 2026-01-01."
        )
    return value
