"""What the programme asks in each performance year, loaded from ``mips/data/<year>/*.json``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from measurewise.engine.errors import MeasurewiseError, NotFoundError

YEARS: Final = (2023, 2024, 2025, 2026)
ELECTRONIC: Final = "electronicHealthRecord"
REGISTRY: Final = "registry"
_DATA: Final = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class ProgrammeMeasure:
    """A measure, activity or attestation of a year, as CMS's measures data has it.

    ``metric_type`` says which kind of value is reported. ``strata`` are the names of its rates in CMS's
    order; an eCQM counts the first ``ecqm_rates`` of them, or that many groups that are added up where rates
    have no names. A QCDR measure is reported by ``vendors`` alone. ``exclusion``, ``substitutes`` and
    ``preprod`` (active engagement) are ids of PI measures.
    """

    measure_id: str
    category: str
    title: str
    metric_type: str
    overall_algorithm: str | None
    ecqm_id: str | None
    measure_type: str | None
    is_inverse: bool
    is_high_priority: bool
    is_registry_measure: bool
    submission_methods: tuple[str, ...]
    programmes: frozenset[str]
    vendors: frozenset[str]
    strata: tuple[str, ...]
    ecqm_rates: int
    is_required: bool
    is_bonus: bool
    objective: str | None
    reporting_category: str | None
    exclusion: tuple[str, ...]
    substitutes: tuple[str, ...]
    preprod: tuple[str, ...]

    @property
    def is_handed_in(self) -> bool:
        """Whether a submission may hold it; CMS takes the others from claims, surveys, its Web Interface."""
        methods = set(self.submission_methods)
        return not methods or bool(methods & {ELECTRONIC, REGISTRY})


@dataclass(frozen=True, slots=True)
class ProgrammeTerms:
    """Who may report under a programme, and which categories."""

    entity_types: tuple[str, ...]
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubmissionTerms:
    """What a submission of a year is held to; ``minimum_days`` is by category."""

    programmes: dict[str, ProgrammeTerms]
    mvp: ProgrammeTerms
    minimum_days: dict[str, int]
    full_year: tuple[str, ...]
    data_completeness: int
    cehrt_pattern: re.Pattern[str]
    cehrt_required: tuple[str, ...]
    cehrt_expected_for_ecqm: bool
    answer_is_enough: frozenset[str]
    registry_strata: dict[str, int]


@dataclass(frozen=True, slots=True)
class ProgrammeYear:
    """One performance year; ``mvps`` goes from MVP id to title."""

    year: int
    measures: dict[str, ProgrammeMeasure]
    mvps: dict[str, str]
    terms: SubmissionTerms

    def programme(self, name: str) -> ProgrammeTerms | None:
        """The terms of a programme or MVP; None where the year has none of that name. ``pcf`` in any case."""
        found = self.terms.programmes.get("pcf" if name.lower() == "pcf" else name)
        return self.terms.mvp if found is None and name in self.mvps else found

    def ecqm(self, cms_number: str) -> ProgrammeMeasure | None:
        """The measure whose eCQM has a CMS number such as ``CMS122``, in whatever version."""
        return _by_cms_number(self.year).get(cms_number.upper())


@lru_cache(maxsize=len(YEARS))
def programme_year(year: int) -> ProgrammeYear:
    """The data of one of :data:`YEARS`; raises NotFoundError for another."""
    if year not in YEARS:
        raise NotFoundError(
            f"there is no programme data for performance year {year}.",
            mend=f"Choose one of {', '.join(map(str, YEARS))}.",
        )
    content = _read(year, "measures")
    measures = (_measure(entry) for entry in content["measures"])
    return ProgrammeYear(
        year=year,
        measures={one.measure_id: one for one in measures},
        mvps=content["mvps"],
        terms=_terms(_read(year, "submission")),
    )


@lru_cache(maxsize=len(YEARS))
def _by_cms_number(year: int) -> dict[str, ProgrammeMeasure]:
    measures = programme_year(year).measures.values()
    return {one.ecqm_id.split("v")[0]: one for one in measures if one.ecqm_id}


def _measure(entry: dict[str, Any]) -> ProgrammeMeasure:
    return ProgrammeMeasure(
        measure_id=entry["measureId"],
        category=entry["category"],
        title=entry["title"],
        metric_type=entry["metricType"],
        overall_algorithm=entry.get("overallAlgorithm"),
        ecqm_id=entry.get("eMeasureId"),
        measure_type=entry.get("measureType"),
        is_inverse=entry.get("isInverse", False),
        is_high_priority=entry.get("isHighPriority", False),
        is_registry_measure=entry.get("isRegistryMeasure", False),
        submission_methods=tuple(entry.get("submissionMethods", ())),
        programmes=frozenset(entry.get("allowedPrograms", ())),
        vendors=frozenset(entry.get("allowedVendors", ())),
        strata=tuple(entry.get("strata", ())),
        ecqm_rates=entry.get("ecqmRates", 1 if entry.get("eMeasureId") else 0),
        is_required=entry.get("isRequired", False),
        is_bonus=entry.get("isBonus", False),
        objective=entry.get("objective"),
        reporting_category=entry.get("reportingCategory"),
        exclusion=tuple(entry.get("exclusion", ())),
        substitutes=tuple(entry.get("substitutes", ())),
        preprod=tuple(entry.get("preprod", ())),
    )


def _terms(entry: dict[str, Any]) -> SubmissionTerms:
    return SubmissionTerms(
        programmes={name: _programme(one) for name, one in entry["programmes"].items()},
        mvp=_programme(entry["mvp"]),
        minimum_days=entry["minimumDays"],
        full_year=tuple(entry["fullYear"]),
        data_completeness=entry["dataCompleteness"],
        cehrt_pattern=re.compile(entry["cehrtId"]["pattern"]),
        cehrt_required=tuple(entry["cehrtId"]["required"]),
        cehrt_expected_for_ecqm=entry["cehrtId"]["expectedForEcqm"],
        answer_is_enough=frozenset(entry["answerIsEnough"]),
        registry_strata=entry["registryStrata"],
    )


def _programme(entry: dict[str, Any]) -> ProgrammeTerms:
    return ProgrammeTerms(tuple(entry["entityTypes"]), tuple(entry["categories"]))


def _read(year: int, name: str) -> dict[str, Any]:
    path = _DATA / str(year) / f"{name}.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise MeasurewiseError(
            f"the programme data cannot be read ({error}).", where=str(path), mend="Install Measurewise anew."
        ) from error
    return content
