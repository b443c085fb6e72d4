"""A QRDA III report from MeasureReports and a description."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import msgspec
from lxml import etree

from measurewise.engine.errors import ContentError
from measurewise.qrda.category3.writing.attested_sections import add_activity_section, add_promoting_section
from measurewise.qrda.category3.writing.description import (
    Description,
    DescriptionError,
    EntityType,
    Programme,
)
from measurewise.qrda.category3.writing.elements import CDA, NAMESPACES, Element, Identities, added
from measurewise.qrda.category3.writing.header import header
from measurewise.qrda.category3.writing.quality_section import add_quality_section
from measurewise.qrda.category3.writing.results import (
    Json,
    MeasureResult,
    MissingPolicy,
    cms_number_of,
    measure_result,
)
from measurewise.qrda.category3.writing.year import Guide, YearIdentifiers, guide, year_identifiers

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:measurewise:qrda3")


@dataclass(frozen=True, slots=True)
class Written:
    """A report's bytes (UTF-8), the results in it, and a sentence for each thing that was left out."""

    xml: bytes
    measures: tuple[MeasureResult, ...]
    notices: tuple[str, ...]


def write(
    reports: Iterable[Json],
    description: Description,
    at: datetime,
    *,
    measures: Iterable[Json] = (),
    missing_supplemental_data: MissingPolicy = "error",
) -> Written:
    """Write one QRDA III report of a performance year.

    ``reports`` are summary MeasureReports in the shape of FHIR, one a measure, all for one period of the
    year; there may be none where something is attested. ``measures`` are Measure resources, wanted where a
    canonical URL has no CMS number. ``at`` is when the report is made; the same input and time give the
    same bytes. With ``missing_supplemental_data="leave-out"`` a report without counts by sex, ethnicity,
    race or payer is written without them, which CMS's schematron refuses. Raises ContentError for reports
    that the year cannot take, DescriptionError for a description that its programme or year cannot take.
    """
    given = list(reports)
    year = year_identifiers(description.year)
    rules = guide(description.year, description.document_template)
    programme_name = _programme_name(description, rules)
    notices: list[str] = []
    _remark(description, year, rules, notices)
    results = _results(given, year, list(measures), notices, missing_supplemental_data)
    _check(description, rules, results)
    identities = Identities(_identity(given, description, at))
    root = etree.Element(f"{{{CDA}}}ClinicalDocument", nsmap=NAMESPACES)  # type: ignore[arg-type]
    root.extend(header(description, rules, programme_name, at, identities))
    body = added(added(root, "component"), "structuredBody")
    if results:
        add_quality_section(body, results, rules, _period(given, year.year), identities)
    if description.promoting_interoperability is not None:
        add_promoting_section(body, description.promoting_interoperability, year, rules, identities)
    if description.improvement_activities is not None:
        add_activity_section(body, description.improvement_activities, year, rules, identities)
    return Written(_bytes(root), tuple(results), tuple(notices))


def _results(
    reports: Sequence[Json],
    year: YearIdentifiers,
    measures: Sequence[Json],
    notices: list[str],
    missing: MissingPolicy,
) -> list[MeasureResult]:
    by_url = {str(measure.get("url", "")): measure for measure in measures}
    results: dict[str, MeasureResult] = {}
    for report in reports:
        number = cms_number_of(report, by_url)
        if number in results:
            raise ContentError(
                f"there are two reports of {number}.", mend="Give one report a measure, over all patients."
            )
        results[number] = measure_result(report, number, year, notices, missing_supplemental_data=missing)
    return list(results.values())


def _programme_name(description: Description, rules: Guide) -> str:
    programme, entity = description.programme.submission_name, str(description.entity.type)
    name = rules.programme_names.get((programme, entity))
    if name is None:
        takers = sorted(kind for of, kind in rules.programme_names if of == programme)
        told = f"{programme} is reported by {', '.join(takers)}" if takers else f"there is no {programme}"
        raise DescriptionError(
            f"in {description.year} {told}, not by {entity}.",
            where="programme",
            mend="Choose another programme or entity type.",
        )
    return name


def _remark(description: Description, year: YearIdentifiers, rules: Guide, notices: list[str]) -> None:
    if description.mvp is not None and description.mvp not in year.mvps:
        raise DescriptionError(
            f"{description.mvp} is no MVP of {year.year}.", where="mvp", mend="Look it up in the year's list."
        )
    if description.document_template is not None:
        notices.append(
            f"document template {description.document_template} is as given; programme names and all other "
            "templates are those of the newest guide at hand."
        )
    if description.entity.type is EntityType.SUBGROUP and description.programme is not Programme.MVP:
        notices.append("subgroups report MVPs (42 CFR 414.1365); no MVP is given.")


def _check(description: Description, rules: Guide, results: Sequence[MeasureResult]) -> None:
    attested = description.promoting_interoperability or description.improvement_activities
    if not results and attested is None:
        raise DescriptionError(
            "there is nothing to report.", mend="Give MeasureReports, measures or activities attested."
        )
    if description.cehrt_id is None:
        wanting = [
            name
            for name, wanted in (
                ("quality measures", results and rules.cehrt_in_quality),
                ("Promoting Interoperability", description.promoting_interoperability),
            )
            if wanted
        ]
        if wanting:
            raise DescriptionError(
                f"{' and '.join(wanting)} of {rules.year} need a CMS EHR Certification ID.",
                where="cehrtId",
                mend="Give the id of the Certified Health IT Product List.",
            )


def _period(reports: Sequence[Json], year: int) -> tuple[date, date]:
    """The period of all reports; raises ContentError unless it is one, within the year."""
    periods = {_days(report) for report in reports}
    if len(periods) > 1:
        listed = ", ".join(sorted(f"{start} to {end}" for start, end in periods))
        raise ContentError(
            f"the reports are of different periods: {listed}.", mend="Evaluate all for the same period."
        )
    start, end = periods.pop()
    if not (start.year == year == end.year and start <= end):
        raise ContentError(
            f"the reports are of {start} to {end}, not of performance year {year}.",
            mend=f"Evaluate for a period of {year}.",
        )
    return start, end


def _days(report: Json) -> tuple[date, date]:
    period: Mapping[str, Any] = report.get("period") or {}
    try:
        return (
            date.fromisoformat(str(period.get("start"))[:10]),
            date.fromisoformat(str(period.get("end"))[:10]),
        )
    except ValueError:
        raise ContentError(
            "its period is not given to the day.",
            where=f"MeasureReport of {report.get('measure')}",
            mend="Give period.start and period.end.",
        ) from None


def _identity(reports: Sequence[Json], description: Description, at: datetime) -> uuid.UUID:
    digest = hashlib.sha256(f"{description!r}\n{at.isoformat()}\n".encode())
    for report in reports:
        digest.update(msgspec.json.encode(report, order="deterministic"))
    return uuid.uuid5(_NAMESPACE, digest.hexdigest())


def _bytes(root: Element) -> bytes:
    found: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return found
