"""Ages (CQL 1.5.3 Reference, "Clinical Operators": "CalculateAge" and "CalculateAgeAt")."""

from __future__ import annotations

from measurewise.engine.runtime.datetimes import date_from, today
from measurewise.engine.runtime.durations import duration_between
from measurewise.engine.runtime.temporal import Date, DateTime
from measurewise.engine.runtime.uncertainty import Uncertain


def calculate_age(birth: Date | DateTime | None, precision: int, now: DateTime) -> Uncertain | None:
    """The age in whole periods at the evaluation's own date (for a Date) or moment (for a DateTime).

    ``precision`` is a temporal precision or ``WEEK``. Null for a null birth; an uncertainty for one that is
    not known to the day.
    """
    if birth is None:
        return None
    return duration_between(birth, today(now) if type(birth) is Date else now, precision)


def calculate_age_at(
    birth: Date | DateTime | None, as_of: Date | DateTime | None, precision: int
) -> Uncertain | None:
    """The age in whole periods at a date or moment; null for a null operand.

    A Date of birth beside a DateTime is compared with that moment's date: the operator is defined for two
    values of one type, and the birth has no time of day to compare.
    """
    if birth is None or as_of is None:
        return None
    if type(birth) is Date and type(as_of) is DateTime:
        as_of = date_from(as_of)
    return duration_between(birth, as_of, precision)
