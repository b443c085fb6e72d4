"""A submission from MeasureReports and a description of who reports: eCQM results as QPP measurements.

The join is the one that QRDA III is written with (``qrda/category3/writing/results.py``): measures by CMS
number, groups in their order, populations by their code. Rates are named as CMS's measures data of the year
names them. Source: CMS, QPP submissions API documentation, Measurements and frequently asked questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.extensions import code_of
from measurewise.mips.programme_year import ELECTRONIC, ProgrammeMeasure, ProgrammeYear, programme_year
from measurewise.qrda.category3.writing.description import (
    Attestation,
    Description,
    EntityType,
    Programme,
)
from measurewise.qrda.category3.writing.description import Proportion as ReportedProportion
from measurewise.qrda.category3.writing.results import RateResult, cms_number_of, measure_result
from measurewise.qrda.category3.writing.year import year_identifiers
from measurewise.qrda.qpp import rate_members
from measurewise.qrda.qpp_model import (
    Measurement,
    MeasurementSet,
    MultiPerformanceRate,
    PerformanceRate,
    Proportion,
    Stratum,
    Submission,
    Value,
)

Report = Mapping[str, Any]
_CODES: Final = ("NUMER", "DENOM", "DENEX", "DENEXCEP")


def submission_of_reports(
    reports: Iterable[Report], description: Description, *, measures: Iterable[Report] = ()
) -> Submission:
    """The submission of MeasureReports, with what the description attests.

    ``reports`` are summary or subject-list reports, one a measure, or individual reports, whose counts are
    added up. ``measures`` are Measure resources, wanted where a canonical URL has no CMS number. Raises
    ContentError for reports that the year cannot take, and where there is nothing to report.
    """
    year = programme_year(description.year)
    by_url = {str(measure.get("url", "")): measure for measure in measures}
    given = list(reports)
    sets = [
        *_quality(given, description, year, by_url),
        *_promoting(description),
        *_activities(description),
    ]
    if not sets:
        raise ContentError(
            "there is nothing to report.", mend="Give MeasureReports, measures or activities attested."
        )
    entity = description.entity
    return Submission(
        performance_year=description.year,
        entity_type=str(entity.type),
        entity_id=entity.id,
        taxpayer_identification_number=entity.tin,
        national_provider_identifier=entity.npi if entity.type is EntityType.INDIVIDUAL else None,
        measurement_sets=tuple(sets),
    )


def summed(reports: Sequence[Report]) -> list[Report]:
    """One report a measure, in the order of first appearance, its counts those of all its individual reports.

    Raises ContentError where reports of one measure are of other kinds, or have other groups or periods.
    """
    by_measure: dict[str, list[Report]] = {}
    for report in reports:
        by_measure.setdefault(str(report.get("measure")), []).append(report)
    return [_one_of(measure, parts) for measure, parts in by_measure.items()]


def _one_of(measure: str, parts: list[Report]) -> Report:
    first = parts[0]
    if len(parts) > 1 and any(part.get("type") != "individual" for part in parts):
        raise ContentError(
            f"there are {len(parts)} reports of this measure, and not all are of individuals.",
            where=measure,
            mend="Give one summary a measure, or the individual reports of all patients.",
        )
    shapes = {_shape(part) for part in parts}
    if len(shapes) > 1:
        raise ContentError(
            "its reports are of different periods, statuses or groups.",
            where=measure,
            mend="Give reports of one evaluation.",
        )
    groups = []
    for place, group in enumerate(first.get("group") or ()):
        same = [part["group"][place] for part in parts]
        populations = [
            {"code": population.get("code"), "count": _total(same, number)}
            for number, population in enumerate(group.get("population") or ())
        ]
        groups.append({"population": populations})
    # Strata are left aside: a submission has none but the measure's own rates.
    head = {name: first.get(name) for name in ("resourceType", "status", "measure", "period")}
    return {**head, "type": "summary", "group": groups}


def _shape(report: Report) -> str:
    groups = [
        [code_of(population.get("code")) for population in group.get("population") or ()]
        for group in report.get("group") or ()
    ]
    return repr((report.get("resourceType"), report.get("status"), report.get("period"), groups))


def _total(groups: list[Report], place: int) -> Any:
    """The sum of counts; whatever is no count is passed on, for the join to tell of."""
    counts = [group["population"][place].get("count") for group in groups]
    strange = [count for count in counts if type(count) is not int]
    return strange[0] if strange else sum(counts)


def _quality(
    reports: list[Report], description: Description, year: ProgrammeYear, by_url: Mapping[str, Report]
) -> list[MeasurementSet]:
    if not reports:
        return []
    identifiers = year_identifiers(description.year)
    measurements: dict[str, Measurement] = {}
    for report in summed(reports):
        number = cms_number_of(report, by_url)
        # What is left out is counted as 0 and has no place in a submission either.
        result = measure_result(report, number, identifiers, [], missing_supplemental_data="leave-out")
        measure = year.ecqm(number)
        if measure is None:
            raise ContentError(
                f"performance year {year.year} has no eCQM {number}.", where=str(report["measure"])
            )
        if number in measurements:
            raise ContentError(
                f"there are reports of two versions of {number}.", mend="Give one report a measure."
            )
        measurements[number] = Measurement(measure.measure_id, measure_value(measure, result.rates))
    start, end = _period(reports, year.year)
    certified = year.terms.cehrt_expected_for_ecqm
    return [_set("quality", description, start, end, tuple(measurements.values()), certified=certified)]


def measure_value(measure: ProgrammeMeasure, rates: Sequence[RateResult]) -> Value:
    """The value of an eCQM from its groups: one rate, groups added up to one rate, or a stratum a group.

    A stratum that the eCQM does not count is sent with zeros.
    """
    counts = [_counts(rate) for rate in rates]
    if measure.metric_type != "multiPerformanceRate":
        total = counts[0]
        if len(counts) > 1:
            total = {code: sum(one.get(code, 0) for one in counts) for code in _CODES}
        return PerformanceRate(is_end_to_end_reported=True, **rate_members(total))
    zero = dict.fromkeys((code for code in _CODES if code != "DENEXCEP"), 0)
    if not any("DENEX" in one for one in counts):
        del zero["DENEX"]
    strata = tuple(
        Stratum(stratum=name, **rate_members(counts[place] if place < len(counts) else zero))
        for place, name in enumerate(measure.strata)
    )
    return MultiPerformanceRate(is_end_to_end_reported=True, strata=strata)


def _counts(rate: RateResult) -> dict[str, int]:
    """The counts of a rate; who is excluded from the numerator has not met the measure."""
    found = {one.code: one.count for one in rate.populations if one.code in _CODES}
    found["NUMER"] -= rate.count("NUMEX")
    return found


def _period(reports: list[Report], year: int) -> tuple[str, str]:
    periods = {
        tuple(str((report.get("period") or {}).get(bound))[:10] for bound in ("start", "end"))
        for report in reports
    }
    if len(periods) > 1:
        listed = ", ".join(sorted(" to ".join(one) for one in periods))
        raise ContentError(
            f"the reports are of different periods: {listed}.", mend="Evaluate all for the same period."
        )
    start, end = periods.pop()
    try:
        within = date.fromisoformat(start).year == year == date.fromisoformat(end).year
    except ValueError:
        within = False
    if not within:
        raise ContentError(
            f"the reports are of {start} to {end}, not of performance year {year}.",
            mend=f"Evaluate for a period of {year}.",
        )
    return start, end


def _promoting(description: Description) -> list[MeasurementSet]:
    part = description.promoting_interoperability
    if part is None:
        return []
    measurements = tuple(_attested(one) for one in part.measures)
    start, end = part.start.isoformat(), part.end.isoformat()
    return [_set("pi", description, start, end, measurements, certified=True)]


def _activities(description: Description) -> list[MeasurementSet]:
    part = description.improvement_activities
    if part is None:
        return []
    measurements = tuple(_attested(one) for one in part.activities)
    start, end = part.start.isoformat(), part.end.isoformat()
    return [_set("ia", description, start, end, measurements, certified=False)]


def _attested(one: ReportedProportion | Attestation) -> Measurement:
    if isinstance(one, Attestation):
        return Measurement(one.measure_id, one.performed)
    return Measurement(one.measure_id, Proportion(one.numerator, one.denominator))


def _set(
    category: str,
    description: Description,
    start: str,
    end: str,
    measurements: tuple[Measurement, ...],
    *,
    certified: bool,
) -> MeasurementSet:
    mvp = description.mvp if description.programme is Programme.MVP else None
    return MeasurementSet(
        category=category,
        submission_method=ELECTRONIC,
        program_name=mvp or description.programme.submission_name,
        cehrt_id=description.cehrt_id if certified else None,
        performance_start=start,
        performance_end=end,
        measurements=measurements,
    )
