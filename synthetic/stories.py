"""What happens to a patient in the measurement year: one story of each kind, dealt from a deck.

A deck holds every story at least once. It is shuffled anew for each run of as many patients as it has cards,
so that every story comes up in every such run, whatever the seed, and a patient's stories depend only on the
seed and the patient's number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

from measurewise.synthetic.chance import Chance


class Diabetes(StrEnum):
    """Diabetes, its tests, and what keeps a patient out of a measure about them."""

    NONE = "none"
    CONTROLLED = "controlled"
    UNCONTROLLED = "uncontrolled"
    CONTROLLED_AFTER_UNCONTROLLED = "controlled-after-uncontrolled"
    TWO_RESULTS_IN_A_DAY = "two-results-in-a-day"
    RESULT_NOT_FINAL = "result-not-final"
    UNTESTED = "untested"
    REFUSED_ORDER = "refused-order"
    REFUSED_VALUE_SET = "refused-value-set"
    REFUSED_OBSERVATION = "refused-observation"
    REFUSED_THEN_TESTED = "refused-then-tested"
    HOSPICE = "hospice"
    PALLIATIVE = "palliative"
    PREGNANT = "pregnant"
    NO_VISIT = "no-visit"
    RESOLVED = "resolved"
    REFUTED = "refuted"
    TOO_YOUNG = "too-young"
    TOO_OLD = "too-old"


class BloodPressure(StrEnum):
    """Readings at visits, and what was done about a high one."""

    NORMAL = "normal"
    NO_READING = "no-reading"
    READ_BETWEEN_VISITS = "read-between-visits"
    LAST_READING_NORMAL = "last-reading-normal"
    HIGH_TREATED = "high-treated"
    HIGH_TREATED_BY_REFERENCE = "high-treated-by-reference"
    HIGH_LIFESTYLE = "high-lifestyle"
    HIGH_RECHECKED = "high-rechecked"
    HIGH_IGNORED = "high-ignored"
    HIGH_REFUSED = "high-refused"
    HIGH_CONTRAINDICATED = "high-contraindicated"
    HIGH_RENAL_DISEASE = "high-renal-disease"
    SEVERE_TREATED = "severe-treated"
    SEVERE_IGNORED = "severe-ignored"


class Hospital(StrEnum):
    """Stays in hospital and the visit after them."""

    NONE = "none"
    SEEN_SOON = "seen-soon"
    SEEN_LATE = "seen-late"
    SEEN_SAME_DAY = "seen-same-day"
    SEEN_AFTER_LONG_STAY = "seen-after-long-stay"
    SEEN_TOO_LATE = "seen-too-late"
    NOT_SEEN = "not-seen"
    NURSING_FACILITY = "nursing-facility"
    TRANSFERRED = "transferred"
    DIED = "died"
    STILL_IN = "still-in"


DIABETES_DECK = (
    *(Diabetes.NONE,) * 16,
    *(Diabetes.CONTROLLED,) * 4,
    *(Diabetes.UNCONTROLLED,) * 3,
    *(kind for kind in Diabetes if kind not in {Diabetes.NONE, Diabetes.CONTROLLED, Diabetes.UNCONTROLLED}),
)
BLOOD_PRESSURE_DECK = (
    *(BloodPressure.NORMAL,) * 9,
    *(BloodPressure.HIGH_TREATED,) * 3,
    *(BloodPressure.HIGH_IGNORED,) * 3,
    *(
        kind
        for kind in BloodPressure
        if kind not in {BloodPressure.NORMAL, BloodPressure.HIGH_TREATED, BloodPressure.HIGH_IGNORED}
    ),
)
HOSPITAL_DECK = (
    *(Hospital.NONE,) * 14,
    *(Hospital.SEEN_SOON,) * 2,
    *(kind for kind in Hospital if kind not in {Hospital.NONE, Hospital.SEEN_SOON}),
)

Kind = TypeVar("Kind", Diabetes, BloodPressure, Hospital)


@dataclass(frozen=True, slots=True)
class Stories:
    """The stories of one patient."""

    diabetes: Diabetes
    blood_pressure: BloodPressure
    hospital: Hospital


def stories(seed: int, number: int) -> Stories:
    """The stories of patient ``number`` (from 0) of a population."""
    diabetes = _dealt(DIABETES_DECK, "diabetes", seed, number)
    blood_pressure = _dealt(BLOOD_PRESSURE_DECK, "blood pressure", seed, number)
    hospital = _dealt(HOSPITAL_DECK, "hospital", seed, number)
    if diabetes is Diabetes.NO_VISIT:
        # Any visit would put the patient into the initial population that this story keeps out of.
        return Stories(diabetes, BloodPressure.NO_READING, Hospital.NONE)
    if diabetes is Diabetes.TOO_YOUNG:
        return Stories(diabetes, BloodPressure.NORMAL, Hospital.NONE)
    return Stories(diabetes, blood_pressure, hospital)


def _dealt(deck: tuple[Kind, ...], name: str, seed: int, number: int) -> Kind:
    round_, card = divmod(number, len(deck))
    dealt: Kind = _shuffled(deck, f"{seed} {name} {round_}")[card]
    return dealt


@lru_cache(maxsize=8)
def _shuffled(deck: tuple[Kind, ...], name: str) -> list[Kind]:
    return Chance(name).shuffled(deck)
