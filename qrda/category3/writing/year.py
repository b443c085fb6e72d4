"""What a performance year has that a report to be written needs, from ``qrda/data/<year>/``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from measurewise.engine.errors import ContentError
from measurewise.qrda.year_data import YEARS, MeasureIdentifiers, measure_identifiers, year_data

IDENTIFIED_YEARS: Final = (*YEARS, 2026)
"""The years whose measures are identified. CMS's guide for the last one is not at hand (``Guide``)."""

_DATA: Final = Path(__file__).parents[2] / "data"
_CMS_NUMBER: Final = re.compile(r"CMS(?:FHIR)?0*([1-9]\d*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Template:
    """A CDA templateId."""

    root: str
    extension: str | None


@dataclass(frozen=True, slots=True)
class PromotingMeasure:
    """A Promoting Interoperability measure: ``metric_type`` is ``proportion`` or ``boolean``."""

    title: str
    metric_type: str


@dataclass(frozen=True, slots=True)
class YearIdentifiers:
    """A year's measures by CMS number (``CMS122``), with titles, and what else can be reported.

    ``numerator_exclusions`` has for the few measures with such a population its GUID in each group.
    """

    year: int
    measures: dict[str, MeasureIdentifiers]
    titles: dict[str, str]
    numerator_exclusions: dict[str, tuple[str | None, ...]]
    promoting: dict[str, PromotingMeasure]
    activities: dict[str, str]
    mvps: dict[str, str]


@dataclass(frozen=True, slots=True)
class Guide:
    """CMS's implementation guide of a year: templates by their part, programme names by what they stand for.

    ``programme_names`` has CMS's name for a programme of the submissions API and an entity type.
    """

    year: int
    templates: dict[str, Template]
    programme_names: dict[tuple[str, str], str]
    cehrt_in_quality: bool


@cache
def year_identifiers(year: int) -> YearIdentifiers:
    """The identifiers of one of :data:`IDENTIFIED_YEARS`; raises ContentError for any other year."""
    if year not in IDENTIFIED_YEARS:
        raise ContentError(
            f"there are no identifiers for performance year {year}.",
            mend=f"Report for {IDENTIFIED_YEARS[0]} to {IDENTIFIED_YEARS[-1]}.",
        )
    content = _read(year, "writing")
    return YearIdentifiers(
        year=year,
        measures={cms_number(one.ecqm_id) or one.ecqm_id: one for one in measure_identifiers(year)},
        titles=content["titles"],
        numerator_exclusions={name: tuple(guids) for name, guids in content["numeratorExclusions"].items()},
        promoting={
            name: PromotingMeasure(entry["title"], entry["metricType"])
            for name, entry in content["promotingInteroperability"].items()
        },
        activities=content["improvementActivities"],
        mvps=content["mvps"],
    )


@cache
def guide(year: int, document_template: str | None = None) -> Guide:
    """The guide of a year.

    ``document_template`` is the extension of the document's template (2.16.840.1.113883.10.20.27.1.2) of a
    guide that is not at hand; everything else is then as in the newest guide that is. Raises ContentError for
    a year without guide where it is not given.
    """
    known = year if year in YEARS else YEARS[-1]
    if known != year and document_template is None:
        raise ContentError(
            f"the CMS QRDA III guide of {year} is not at hand: neither the extension of its document "
            "template nor its schematron.",
            where=f"performance year {year}",
            mend="Give documentTemplate (such as 2025-12-01) as the guide states it, and hold the file "
            "against the guide's own schematron.",
        )
    data = year_data(known)
    templates = {
        name: Template(entry["root"], entry["extension"])
        for name, entry in _read(known, "templates")["templates"].items()
    }
    if document_template is not None:
        templates["reportCms"] = Template(templates["reportCms"].root, document_template)
    names: dict[tuple[str, str], str] = {}
    for name, programme in data.programmes.items():
        # MIPS alone stands for an individual too; the name that says so is written.
        if name != "MIPS":
            names.setdefault((programme.name, programme.entity_type), name)
    return Guide(year, templates, names, data.cehrt_in_quality)


def cms_number(text: str) -> str | None:
    """The CMS number in a name or canonical URL (``CMS122`` of ``.../CMS0122FHIRDiabetes...``), or None."""
    found = _CMS_NUMBER.search(text)
    return f"CMS{found[1]}" if found else None


def _read(year: int, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_DATA / str(year) / f"{name}.json").read_text("utf-8"))
    return content
