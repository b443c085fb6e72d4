"""The rules among the measures of Promoting Interoperability: exclusions, substitutes, what is required.

Source: CMS, QPP submissions API documentation, change log of 8/15/20 and 8/15/21 (a measure is not sent with
its exclusion or with its substitute), Scoring (all required measures reported or excluded); measures data.
"""

from __future__ import annotations

from collections.abc import Iterator

from measurewise.mips.programme_year import ProgrammeMeasure, ProgrammeYear
from measurewise.mips.submission.problem import Problem, problem
from measurewise.qrda.qpp_model import MeasurementSet, Proportion, Value


def promoting_problems(one: MeasurementSet, year: ProgrammeYear, pointer: str) -> Iterator[Problem]:
    """The problems of one PI measurement set as a whole."""
    reported: dict[str, tuple[str, Value | None]] = {}
    for number, measurement in enumerate(one.measurements or ()):
        if measurement.measure_id is not None:
            place = f"{pointer}/measurements/{number}"
            reported.setdefault(measurement.measure_id, (place, measurement.value))
    yield from _contradictions(reported, year)
    lacking = []
    for measure in year.measures.values():
        if measure.category != "pi" or one.programme not in measure.programmes:
            continue
        if measure.measure_id in reported:
            place, value = reported[measure.measure_id]
            yield from _reported(measure, place, value, reported, year)
        elif not _met(measure, reported, year):
            ways = ", ".join((*measure.exclusion, *measure.substitutes))
            lacking.append(f"{measure.measure_id} (or {ways})" if ways else measure.measure_id)
    if lacking:
        yield problem("SV-pi-required", f"{pointer}/measurements", measures=lacking)


def _contradictions(reported: dict[str, tuple[str, Value | None]], year: ProgrammeYear) -> Iterator[Problem]:
    told: set[frozenset[str]] = set()
    for name, (place, value) in reported.items():
        measure = year.measures.get(name)
        if measure is None:
            continue
        for code, others in (
            ("SV-pi-exclusion", measure.exclusion),
            ("SV-pi-substitute", measure.substitutes),
        ):
            for other in others:
                if other not in reported or {name, other} in told:
                    continue
                told.add(frozenset((name, other)))
                # Two that say the opposite of each other agree where one of them is denied.
                agree = value is False or reported[other][1] is False
                yield problem("SV-pi-superfluous" if agree else code, place, measure=name, other=other)


def _reported(
    measure: ProgrammeMeasure,
    place: str,
    value: Value | None,
    reported: dict[str, tuple[str, Value | None]],
    year: ProgrammeYear,
) -> Iterator[Problem]:
    name = measure.measure_id
    if value is True and measure.preprod and not reported.keys() & set(measure.preprod):
        yield problem("SV-pi-engagement", place, measure=name, known=" or ".join(measure.preprod))
    if not _met(measure, reported, year):
        shown = value if isinstance(value, bool) else "a rate without a case"
        yield problem("SV-pi-not-performed", f"{place}/value", measure=name, found=shown)


def _met(
    measure: ProgrammeMeasure, reported: dict[str, tuple[str, Value | None]], year: ProgrammeYear
) -> bool:
    """Whether nothing more is asked of a measure: not required, settled, or another stands in for it."""
    if not _is_required(measure, year) or _settled(measure, reported, year):
        return True
    return any(_settled(year.measures[other], reported, year) for other in measure.substitutes)


def _is_required(measure: ProgrammeMeasure, year: ProgrammeYear) -> bool:
    """Whether the category's score hangs on a measure; levels of active engagement are told by themselves."""
    engagement = {level for other in year.measures.values() for level in other.preprod}
    return (
        measure.is_required
        and measure.reporting_category == "required"
        and measure.measure_id not in engagement
    )


def _settled(
    measure: ProgrammeMeasure, reported: dict[str, tuple[str, Value | None]], year: ProgrammeYear
) -> bool:
    """Whether a measure is performed, or an exclusion from it is claimed."""
    if any(other in reported and reported[other][1] is True for other in measure.exclusion):
        return True
    if measure.measure_id not in reported:
        return False
    value = reported[measure.measure_id][1]
    if isinstance(value, bool):
        return value or measure.measure_id in year.terms.answer_is_enough
    return not isinstance(value, Proportion) or bool(value.numerator)
