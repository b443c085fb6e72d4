"""What changes from one performance year to the next, loaded from ``qrda/data/<year>/*.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

YEARS: Final = (2023, 2024, 2025)
_DATA: Final = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Programme:
    """A CMS programme name as the submissions API calls it: ``mips``, ``app1``, ``appPlus`` or ``pcf``."""

    name: str
    entity_type: str


@dataclass(frozen=True, slots=True)
class PopulationGroup:
    """One rate of a measure: the GUIDs (upper case) of its populations by code, and of its strata."""

    name: str | None
    populations: dict[str, str]
    strata: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MeasureIdentifiers:
    """An eCQM of a year; ``groups`` without populations are rates that only registries report."""

    measure_id: str
    ecqm_id: str
    uuid: str
    metric_type: str
    groups: tuple[PopulationGroup, ...]

    @property
    def reported_groups(self) -> tuple[PopulationGroup, ...]:
        """The groups that an eCQM counts."""
        return tuple(group for group in self.groups if group.populations)


@dataclass(frozen=True, slots=True)
class YearData:
    """One performance year."""

    year: int
    guide: str
    guide_pages: dict[int, int]
    document_template: str
    programmes: dict[str, Programme]
    cehrt_in_quality: bool
    pcf_required: tuple[str, ...]
    pcf_cehrt_pattern: str | None
    measures: dict[str, MeasureIdentifiers]
    errors: dict[int, str]


@cache
def year_data(year: int) -> YearData:
    """The data of one of :data:`YEARS`."""
    programmes = _read(year, "programmes")
    pcf = programmes.get("primaryCareFirst", {})
    measures = measure_identifiers(year)
    return YearData(
        year=year,
        guide=programmes["guide"],
        guide_pages={code: int(page) for page, codes in programmes["guidePages"].items() for code in codes},
        document_template=programmes["documentTemplate"],
        programmes={
            name: Programme(entry["programName"], entry["entityType"])
            for name, entry in programmes["programmes"].items()
        },
        cehrt_in_quality=programmes["cehrtInQuality"],
        pcf_required=tuple(pcf.get("requiredMeasures", ())),
        pcf_cehrt_pattern=pcf.get("cehrtPattern"),
        measures={measure.uuid: measure for measure in measures},
        errors={int(code): entry["text"] for code, entry in _read(year, "errors")["errors"].items()},
    )


@cache
def measure_identifiers(year: int) -> tuple[MeasureIdentifiers, ...]:
    """The eCQMs of one of :data:`YEARS`, or of 2026, whose other data CMS has not published yet."""
    return tuple(_measure(entry) for entry in _read(year, "measures")["measures"])


def years_of_template(extension: str | None) -> tuple[int, ...]:
    """The years whose guide has this extension of the document's template, oldest first."""
    return tuple(year for year in YEARS if year_data(year).document_template == extension)


@cache
def other_templates() -> dict[str, str]:
    """A sentence on each extension of the document's template that is known and of no year here."""
    content: dict[str, dict[str, str]] = json.loads((_DATA / "other_templates.json").read_text("utf-8"))
    return content["templates"]


def _measure(entry: dict[str, Any]) -> MeasureIdentifiers:
    return MeasureIdentifiers(
        measure_id=entry["measureId"],
        ecqm_id=entry["eMeasureId"],
        uuid=entry["eMeasureUuid"],
        metric_type=entry["metricType"],
        groups=tuple(
            PopulationGroup(group["name"], group.get("populations", {}), tuple(group.get("strata", ())))
            for group in entry["groups"]
        ),
    )


def _read(year: int, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_DATA / str(year) / f"{name}.json").read_text("utf-8"))
    return content
