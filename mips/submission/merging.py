"""Submissions for the same clinician, practice or entity put together, as CMS does when files are handed in.

Source: CMS, QPP submissions API documentation, Measurement Sets (one set of each category, submission method
and programme in a submission) and the 2023 Traditional MIPS Data Submission User Guide (what is handed in
again by the same method replaces what was there; other methods' data stays).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda.qpp_model import MeasurementSet, Submission

SetKey = tuple[str, str, str]
"""Category, submission method and programme of a measurement set."""


class MergeError(MeasurewiseError):
    """Submissions that are not for the same clinician, practice or entity and year."""

    code = "conflict"


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged submission, and which measurement sets of the older one were replaced, kept and added."""

    submission: Submission
    replaced: tuple[SetKey, ...]
    kept: tuple[SetKey, ...]
    added: tuple[SetKey, ...]


def set_key(one: MeasurementSet) -> SetKey:
    """What a measurement set replaces and is replaced by; an unnamed programme is ``mips``."""
    programme = one.programme
    return (
        one.category or "",
        one.submission_method or "",
        "pcf" if programme.lower() == "pcf" else programme,
    )


def merge(older: Submission, newer: Submission) -> Merged:
    """The older submission with the newer one's measurement sets in it.

    A newer set of the same category, method and programme replaces the older whole, measurements and all, and
    takes its place and its ids; every other set stays. Of two such sets in one submission the last counts.
    Raises MergeError for submissions of different years or entities.
    """
    _check_same(older, newer)
    before = {set_key(one): one for one in older.measurement_sets or ()}
    after = {set_key(one): one for one in newer.measurement_sets or ()}
    merged = dict(before)
    for key, one in after.items():
        merged[key] = _in_place_of(before[key], one) if key in before else one
    sets = tuple(merged.values()) or older.measurement_sets
    return Merged(
        submission=replace(older, measurement_sets=sets),
        replaced=tuple(key for key in before if key in after),
        kept=tuple(key for key in before if key not in after),
        added=tuple(key for key in after if key not in before),
    )


def identity(submission: Submission) -> tuple[str, ...]:
    """What says for whom and for which year a submission is: year, entity type, and the ids of that type."""
    entity = submission.entity_type
    ids: tuple[str | None, ...]
    if entity == "individual":
        ids = (submission.taxpayer_identification_number, submission.national_provider_identifier)
    elif entity == "group":
        ids = (submission.taxpayer_identification_number,)
    else:
        ids = (submission.entity_id,)
    return (str(submission.performance_year), str(entity), *(one or "" for one in ids))


def _in_place_of(older: MeasurementSet, newer: MeasurementSet) -> MeasurementSet:
    return replace(newer, id=newer.id or older.id, submission_id=newer.submission_id or older.submission_id)


def _check_same(older: Submission, newer: Submission) -> None:
    first, second = identity(older), identity(newer)
    if first == second:
        return
    names = ("performance year", "entity type", "TIN or entity id", "NPI")
    differing = [name for name, a, b in zip(names, first, second, strict=False) if a != b]
    raise MergeError(
        f"the submissions differ in {' and '.join(differing)}, so they are not merged.",
        mend="Merge only submissions of one clinician, practice or entity for one year.",
    )
