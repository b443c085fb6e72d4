"""The rules for measurement sets: category, method, programme, performance period, certification, measures.

Source: CMS, QPP submissions API documentation, Measurement Sets; each year's terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from measurewise.mips.programme_year import (
    ELECTRONIC,
    REGISTRY,
    ProgrammeMeasure,
    ProgrammeTerms,
    ProgrammeYear,
)
from measurewise.mips.submission.problem import Problem, field_path, problem
from measurewise.mips.submission.rules_promoting import promoting_problems
from measurewise.mips.submission.rules_values import value_problems
from measurewise.qrda.qpp_model import Measurement, MeasurementSet, Submission

ENTITY_TYPES: Final = ("individual", "group", "virtualGroup", "subgroup", "apm")
CATEGORIES: Final = ("quality", "pi", "ia")
METHODS: Final = (ELECTRONIC, REGISTRY)
CATEGORY_NAMES: Final = {
    "quality": "quality",
    "pi": "Promoting Interoperability",
    "ia": "improvement activities",
    "cost": "cost",
}
_DAY_LENGTH: Final = len("2025-01-31")


def set_problems(
    submission: Submission, year: ProgrammeYear, unread: set[str], vendor: str | None = None
) -> list[Problem]:
    """The problems of every measurement set.

    ``unread`` holds the pointers of what could not be read; ``vendor`` is the id of the sender, where known.
    """
    found: list[Problem] = []
    seen: set[tuple[str, str, str]] = set()
    for number, one in enumerate(submission.measurement_sets or ()):
        pointer = f"/measurementSets/{number}"
        if one.category is not None and one.submission_method is not None:
            key = (one.category, one.submission_method, one.programme.lower())
            if key in seen:
                found.append(
                    problem(
                        "SV-duplicate-set",
                        pointer,
                        category=CATEGORY_NAMES.get(one.category, one.category),
                        method=one.submission_method,
                        programme=one.programme,
                    )
                )
            seen.add(key)
        found += _set(one, submission, year, pointer, unread, vendor)
    return found


def _set(
    one: MeasurementSet,
    submission: Submission,
    year: ProgrammeYear,
    pointer: str,
    unread: set[str],
    vendor: str | None,
) -> Iterator[Problem]:
    for name, content, known, code in (
        ("category", one.category, CATEGORIES, "SV-category"),
        ("submissionMethod", one.submission_method, METHODS, "SV-method"),
    ):
        if content is None:
            yield from _missing(name, pointer, unread)
        elif content not in known:
            yield problem(code, f"{pointer}/{name}", found=content, known=known)
    terms = year.programme(one.programme)
    yield from _programme(one, terms, submission, year, pointer)
    yield from _period(one, year, pointer, unread)
    yield from _certification(one, year, pointer, unread)
    if not one.measurements:
        if not any(place.startswith(f"{pointer}/measurements") for place in unread):
            yield problem("SV-empty-set", f"{pointer}/measurements")
        return
    yield from _measurements(one, year, terms is not None, pointer, unread, vendor)
    if one.category == "pi":
        yield from promoting_problems(one, year, pointer)


def _missing(name: str, pointer: str, unread: set[str]) -> Iterator[Problem]:
    if f"{pointer}/{name}" not in unread:
        yield problem("SV-missing", f"{pointer}/{name}", name=name, at=field_path(pointer))


def _programme(
    one: MeasurementSet,
    terms: ProgrammeTerms | None,
    submission: Submission,
    year: ProgrammeYear,
    pointer: str,
) -> Iterator[Problem]:
    place = f"{pointer}/programName"
    if terms is None:
        known = tuple(year.terms.programmes)
        yield problem("SV-programme", place, found=one.programme, year=year.year, known=known)
        return
    entity = submission.entity_type
    if entity in ENTITY_TYPES and entity not in terms.entity_types:
        known = terms.entity_types
        yield problem("SV-programme-entity", place, entity=entity, programme=one.programme, known=known)
    if one.category in CATEGORIES and one.category not in terms.categories:
        category = CATEGORY_NAMES[one.category]
        yield problem("SV-programme-category", place, programme=one.programme, category=category)


def _period(one: MeasurementSet, year: ProgrammeYear, pointer: str, unread: set[str]) -> Iterator[Problem]:
    days: list[date] = []
    for name, text in (("performanceStart", one.performance_start), ("performanceEnd", one.performance_end)):
        if text is None:
            yield from _missing(name, pointer, unread)
            continue
        day = _day(text)
        if day is None:
            yield problem("SV-date", f"{pointer}/{name}", found=text, year=year.year)
        else:
            days.append(day)
    if len(days) < 2:
        return
    start, end = days
    shown = {"start": start.isoformat(), "end": end.isoformat(), "year": year.year}
    if end < start:
        yield problem("SV-period-order", f"{pointer}/performanceEnd", **shown)
    if start.year != year.year or end.year != year.year:
        wrong = "performanceStart" if start.year != year.year else "performanceEnd"
        yield problem("SV-period-year", f"{pointer}/{wrong}", **shown)
        return
    length = (end - start).days + 1
    least = year.terms.minimum_days.get(one.category or "", 0)
    category = CATEGORY_NAMES.get(one.category or "", "")
    if 0 < length < least:
        place = f"{pointer}/performanceEnd"
        yield problem("SV-period-short", place, days=length, least=least, category=category, year=year.year)
    whole = start == date(year.year, 1, 1) and end == date(year.year, 12, 31)
    if one.category in year.terms.full_year and length > 0 and not whole:
        place = f"{pointer}/performanceStart"
        yield problem("SV-period-partial", place, days=length, category=category, year=year.year)


def _day(text: str) -> date | None:
    """A day in RFC 3339's full-date form."""
    if len(text) != _DAY_LENGTH or text[4] + text[7] != "--":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _certification(
    one: MeasurementSet, year: ProgrammeYear, pointer: str, unread: set[str]
) -> Iterator[Problem]:
    place = f"{pointer}/cehrtId"
    if one.cehrt_id:
        if not year.terms.cehrt_pattern.fullmatch(one.cehrt_id.upper()):
            yield problem("SV-cehrt-format", place, found=one.cehrt_id, year=year.year)
    elif place in unread:
        return
    elif one.category in year.terms.cehrt_required:
        yield problem("SV-cehrt-missing", place, category=CATEGORY_NAMES[one.category])
    elif (
        year.terms.cehrt_expected_for_ecqm
        and one.category == "quality"
        and one.submission_method == ELECTRONIC
    ):
        yield problem("SV-cehrt-expected", place, year=year.year)


def _measurements(
    one: MeasurementSet,
    year: ProgrammeYear,
    known_programme: bool,
    pointer: str,
    unread: set[str],
    vendor: str | None,
) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, measurement in enumerate(one.measurements or ()):
        place = f"{pointer}/measurements/{number}"
        name = measurement.measure_id
        if name is None:
            yield from _missing("measureId", place, unread)
            continue
        if name in seen:
            yield problem("SV-duplicate-measure", f"{place}/measureId", measure=name)
        seen.add(name)
        measure = year.measures.get(name)
        if measure is None:
            yield problem("SV-measure-unknown", f"{place}/measureId", measure=name, year=year.year)
            continue
        fits = measure.category == one.category
        if not fits and one.category in CATEGORIES:
            category = CATEGORY_NAMES[measure.category]
            found = CATEGORY_NAMES[one.category]
            yield problem(
                "SV-measure-category", f"{place}/measureId", measure=name, category=category, found=found
            )
        yield from _allowed(measure, one, known_programme, f"{place}/measureId")
        if vendor is not None and measure.vendors and vendor not in measure.vendors:
            yield problem("SV-measure-vendor", f"{place}/measureId", measure=name, vendor=vendor)
        if fits and measure.is_handed_in:
            yield from _reported(measurement, measure, one, year, place, unread)


def _reported(
    measurement: Measurement,
    measure: ProgrammeMeasure,
    one: MeasurementSet,
    year: ProgrammeYear,
    place: str,
    unread: set[str],
) -> Iterator[Problem]:
    if measurement.value is None:
        yield from _missing("value", place, unread)
    else:
        yield from value_problems(measurement.value, measure, one, year, place, unread)


def _allowed(
    measure: ProgrammeMeasure, one: MeasurementSet, known_programme: bool, place: str
) -> Iterator[Problem]:
    if not measure.is_handed_in:
        known = measure.submission_methods
        yield problem("SV-measure-elsewhere", place, measure=measure.measure_id, known=known)
        return
    methods = tuple(method for method in measure.submission_methods if method in METHODS)
    if methods and one.submission_method in METHODS and one.submission_method not in methods:
        method = one.submission_method
        yield problem("SV-measure-method", place, measure=measure.measure_id, method=method, known=methods)
    # The measures data names programmes in lower case but for MVPs; "pcf" is taken in any case.
    programme = "pcf" if one.programme.lower() == "pcf" else one.programme
    if known_programme and programme not in measure.programmes:
        yield problem("SV-measure-programme", place, measure=measure.measure_id, programme=programme)
