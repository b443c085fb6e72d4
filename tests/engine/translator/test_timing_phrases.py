"""Timing phrases and what they mean in ELM (Developer's Guide, "Timing Phrases").

In the table ``T`` is a DateTime, ``D`` a Date, ``P`` and ``I`` are intervals of DateTime.
"""

# The table is read by the line.
# ruff: noqa: E501

from __future__ import annotations

import re

import pytest
from rendering import elm_of

PARAMETERS = """parameter P Interval<DateTime>
parameter I Interval<DateTime>
parameter T DateTime
parameter D Date"""

PHRASES = [
    ("T same day as start of P", "SameAs(T, Start(P), precision: Day)"),
    ("I starts same day as start P", "SameAs(Start(I), Start(P), precision: Day)"),
    ("I same day or before P", "SameOrBefore(I, P, precision: Day)"),
    ("I occurs during P", "IncludedIn(I, P)"),
    ("T during P", "In(T, P)"),
    ("T included in day of P", "In(T, P, precision: Day)"),
    ("I included in P", "IncludedIn(I, P)"),
    ("I properly during P", "ProperIncludedIn(I, P)"),
    ("P includes T", "Contains(P, T)"),
    ("P includes start I", "Contains(P, Start(I))"),
    ("P properly includes I", "ProperIncludes(P, I)"),
    ("T before T", "Before(T, T)"),
    ("I before P", "Before(I, P)"),
    ("I on or before P", "SameOrBefore(I, P)"),
    ("I starts before end P", "Before(Start(I), End(P))"),
    ("T before P", "Before(If(condition: IsNull(T), then: null, else_: Interval(low: T, high: T)), P)"),
    (
        "I after day of T",
        "After(I, If(condition: IsNull(T), then: null, else_: Interval(low: T, high: T)), precision: Day)",
    ),
    ("I starts 3 days before start P", "SameAs(Start(I), Subtract(Start(P), 3 days))"),
    ("T 3 days or more after T", "SameOrAfter(T, Add(T, 3 days))"),
    ("T more than 3 days before T", "Before(T, Subtract(T, 3 days))"),
    (
        "T 3 days or less before T",
        "And(In(T, Interval(low: Subtract(T, 3 days), high: T, high_closed: False)), Not(IsNull(T)))",
    ),
    (
        "T 3 days or less on or after day of T",
        "And(In(T, Interval(low: T, high: Add(T, 3 days)), precision: Day), Not(IsNull(T)))",
    ),
    (
        "T less than 3 days after T",
        "And(In(T, Interval(low: T, high: Add(T, 3 days), low_closed: False, high_closed: False)), Not(IsNull(T)))",
    ),
    ("I 3 days before P", "SameAs(End(I), Subtract(Start(P), 3 days))"),
    (
        "I starts within 3 days of start P",
        "And(In(Start(I), Interval(low: Subtract(Start(P), 3 days), high: Add(Start(P), 3 days))), Not(IsNull(Start(P))))",
    ),
    (
        "T properly within 3 days of T",
        "And(In(T, Interval(low: Subtract(T, 3 days), high: Add(T, 3 days), low_closed: False, high_closed: False)), Not(IsNull(T)))",
    ),
    ("I meets P", "Meets(I, P)"),
    ("I meets before day of P", "MeetsBefore(I, P, precision: Day)"),
    ("I overlaps after P", "OverlapsAfter(I, P)"),
    ("I starts P", "Starts(I, P)"),
    ("I ends day of P", "Ends(I, P, precision: Day)"),
    ("days between D and Today()", "DurationBetween(D, Today(), precision: Day)"),
    ("duration in months of P", "DurationBetween(Start(P), End(P), precision: Month)"),
    ("difference in days of P", "DifferenceBetween(Start(P), End(P), precision: Day)"),
    ("months between start of P and T", "DurationBetween(Start(P), T, precision: Month)"),
    ("T between T and T", "And(GreaterOrEqual(T, T), LessOrEqual(T, T))"),
    ("I between T and T", "IncludedIn(I, Interval(low: T, high: T))"),
    ("year from T", "DateTimeComponentFrom(T, precision: Year)"),
    ("date from T", "DateFrom(T)"),
    ("D same day as T", "SameAs(ToDateTime(D), T, precision: Day)"),
    ("I starts during P", "In(Start(I), P)"),
    ("I ends 1 hour or more after start P", "SameOrAfter(End(I), Add(Start(P), 1 hour))"),
]


@pytest.mark.parametrize(("phrase", "expected"), PHRASES, ids=[phrase for phrase, _ in PHRASES])
def test_a_timing_phrase_becomes_its_operators(phrase: str, expected: str):
    assert re.sub(r"ParameterRef\((\w)\)", r"\1", elm_of(phrase, PARAMETERS)) == expected
