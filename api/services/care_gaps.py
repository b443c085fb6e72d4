"""Care gaps of stored patients, each patient's as a document (DEQM STU5, "Gaps in Care Reporting").

https://hl7.org/fhir/us/davinci-deqm/STU5/gaps-in-care-reporting.html
"""

from __future__ import annotations

import calendar
import html
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.context import Services
from measurewise.api.services.evaluation import Evaluated, evaluate_stored
from measurewise.api.services.provenance import check_fixed_versions, say_what_it_was_computed_with
from measurewise.engine import Content, Period, Prepared, Reporting, individual_report
from measurewise.engine.content.content import MeasureContent
from measurewise.engine.measure.gaps import GapStatus, Standing, gap_status, has_gaps, standing
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.runner.issues import Issue
from measurewise.store.access import Access
from measurewise.store.database import now
from measurewise.store.resources import Stored, of_references

_DEQM: Final = "http://hl7.org/fhir/us/davinci-deqm"
_ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:measurewise:care-gaps")
_WORDS: Final = {
    GapStatus.OPEN: "Open gap",
    GapStatus.CLOSED: "Closed gap",
    GapStatus.PROSPECTIVE: "Prospective gap",
    GapStatus.NOT_APPLICABLE: "Not applicable",
}


class CareGapsRequest(msgspec.Struct, frozen=True):
    """What is asked: measures by canonical reference, the gaps-through period, which gaps, in what form."""

    measures: tuple[str, ...]
    period_start: str
    period_end: str
    statuses: tuple[str, ...]
    reporter: str | None = None
    as_document: bool = True
    today: str = ""
    # Versions by canonical URL that a manifest fixes.
    fixed: dict[str, str] = {}

    @property
    def period(self) -> Period:
        """The gaps-through period."""
        return Period(self.period_start, self.period_end)

    @property
    def period_until_today(self) -> Period | None:
        """A period of the same length that ends today; None where the one asked for does not lie ahead."""
        start, end = _first_day(self.period_start), _last_day(self.period_end)
        today = date.fromisoformat(self.today) if self.today else datetime.now(UTC).date()
        ahead = end - today
        if ahead <= timedelta(0):
            return None
        return Period((start - ahead).isoformat(), today.isoformat())


def _first_day(text: str) -> date:
    """The first day of a FHIR date, which may be a year or a month."""
    return date.fromisoformat(f"{text}-01-01"[:10])


def _last_day(text: str) -> date:
    """The last day of a FHIR date, which may be a year or a month."""
    if len(text) == 7:
        year, month = int(text[:4]), int(text[5:])
        return date(year, month, calendar.monthrange(year, month)[1])
    return date.fromisoformat(f"{text}-12-31"[:10])


def measures_about(content: Content, topics: Sequence[str], programs: Sequence[str]) -> list[MeasureContent]:
    """The measures with one of the topics and one of the programmes, where such are asked for.

    Each is ``system|code``, a code, or a text. A programme stands in ``Measure.useContext`` with the code
    ``program``.
    """
    return [
        measure
        for measure in content.measures
        if (not topics or _has_any(measure.resource.get("topic") or (), topics))
        and (not programs or _has_any(_programs(measure), programs))
    ]


def prepare_gaps(services: Services, request: CareGapsRequest) -> tuple[Prepared, Prepared | None]:
    """The measures at the end of the period and, where that lies ahead, as of today.

    Raises RequestError for a measure of which no gaps can be told, and for other versions than are fixed.
    """
    check_fixed_versions(services.catalog, request.measures, request.period, request.fixed)
    prepared = services.catalog.prepare(request.measures, request.period, evaluated_resources=True)
    for measure in prepared.measures:
        if not all(has_gaps(group) for group in measure.groups):
            scorings = ", ".join(sorted({str(group.scoring) for group in measure.groups}))
            raise RequestError(
                f"no care gaps can be told of {measure.name}, whose scoring is {scorings}.",
                code="not-supported",
                where="measure",
                mend="Ask for measures scored as proportions.",
            )
    until_today = request.period_until_today
    return prepared, services.catalog.prepare(request.measures, until_today) if until_today else None


def care_gaps(
    services: Services,
    access: Access,
    request: CareGapsRequest,
    patients: Sequence[tuple[str, str]],
    base: str,
) -> tuple[list[dict[str, Any]], list[Issue]]:
    """The documents of the patients who have a gap of a status asked for, and what went wrong.

    Their entries have addresses below ``base``, the FHIR base, so that references between them, which are
    relative, are resolved within the document (FHIR R4, Bundle, "Resolving references in Bundles").
    """
    prepared, prepared_now = prepare_gaps(services, request)
    documents: list[dict[str, Any]] = []
    issues: list[Issue] = []
    moment = now().isoformat(timespec="seconds")
    reporter = request.reporter or services.settings.reporter
    said = Reporting(request.period_start, request.period_end, moment, reporter)
    for organization, identity in patients:
        one = [(organization, identity)]
        at_end = evaluate_stored(services, prepared, one, compact=False)
        issues += at_end.issues
        today = evaluate_stored(services, prepared_now, one) if prepared_now is not None else None
        sections = list(_sections(prepared, request, at_end, today, said))
        for section in sections:
            say_what_it_was_computed_with(section.report, services.catalog, request.period)
        if sections:
            data = _data(services, Access(frozenset({organization}), access.patient), sections, reporter)
            documents.append(_bundle(request, identity, sections, data, said, base))
    return documents, issues


class _Section:
    """A measure's part of a document: its report and its issues."""

    def __init__(self, report: dict[str, Any], title: str, found: list[dict[str, Any]]) -> None:
        self.report = report
        self.title = title
        self.issues = found


def _sections(
    prepared: Prepared,
    request: CareGapsRequest,
    at_end: Evaluated,
    today: Evaluated | None,
    said: Reporting,
) -> Iterable[_Section]:
    for place, measure in enumerate(prepared.measures):
        for result in at_end.results[place]:
            earlier = today.results[place][0] if today is not None and today.results[place] else None
            found: list[dict[str, Any]] = []
            report = individual_report(measure, result, said)
            for number, group in enumerate(measure.groups):
                standing_then = standing(group, result.groups[number])
                standing_now = None
                if today is not None:
                    standing_now = standing(group, earlier.groups[number]) if earlier else Standing(0, 0)
                status = gap_status(standing_then, standing_now)
                if status in request.statuses:
                    name = group.description or group.id if len(measure.groups) > 1 else None
                    found.append(_issue(report, result, status, standing_then, number, name, said))
            if found:
                yield _Section(report, measure.title or measure.name, found)


def _issue(
    report: dict[str, Any],
    result: PatientResult,
    status: GapStatus,
    stands: Standing,
    number: int,
    name: str | None,
    said: Reporting,
) -> dict[str, Any]:
    """The DetectedIssue of one group (profile gaps-detectedissue-deqm)."""
    evidence: list[dict[str, Any]] = [{"detail": [{"reference": f"MeasureReport/{report['id']}"}]}]
    if stands.episodes and status in (GapStatus.OPEN, GapStatus.PROSPECTIVE):
        evidence.append({"detail": [{"reference": episode} for episode in stands.episodes]})
    found: dict[str, Any] = {
        "resourceType": "DetectedIssue",
        "id": str(uuid.uuid5(_NAMESPACE, f"{report['id']} {number}")),
        "meta": {"profile": [f"{_DEQM}/StructureDefinition/gaps-detectedissue-deqm"]},
        "modifierExtension": [
            {
                "url": f"{_DEQM}/StructureDefinition/extension-gapStatus",
                "valueCodeableConcept": {
                    "coding": [{"system": f"{_DEQM}/CodeSystem/gaps-status", "code": str(status)}]
                },
            }
        ],
        "status": "preliminary" if status is GapStatus.PROSPECTIVE else "final",
        "code": {"coding": [{"system": _ACT, "code": "CAREGAP", "display": "Care Gaps"}]},
        "patient": {"reference": result.subject},
        "identifiedDateTime": said.date,
        "evidence": evidence,
    }
    if name is not None:
        found["detail"] = name
    return found


def _data(
    services: Services, access: Access, sections: Sequence[_Section], reporter: str | None
) -> list[Stored]:
    """The patient, who reports, and the resources that the reports say were evaluated."""
    references: dict[str, None] = {}
    for section in sections:
        references[section.report["subject"]["reference"]] = None
        references.update((item["reference"], None) for item in section.report.get("evaluatedResource", ()))
    if reporter is not None:
        references[reporter] = None
    names = [(name.rpartition("/")[0], name.rpartition("/")[2]) for name in references]
    with services.database.read() as connection:
        return of_references(connection, access, names)


def _bundle(
    request: CareGapsRequest,
    identity: str,
    sections: Sequence[_Section],
    data: Sequence[Stored],
    said: Reporting,
    base: str,
) -> dict[str, Any]:
    reports = [section.report for section in sections]
    issues = [found for section in sections for found in section.issues]
    entries = [_entry(base, resource) for resource in (*issues, *reports)]
    entries += [
        {"fullUrl": f"{base}/{stored.reference}", "resource": msgspec.Raw(stored.body)} for stored in data
    ]
    if not request.as_document:
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}
    composition = _composition(identity, sections, said)
    return {
        "resourceType": "Bundle",
        "id": str(uuid.uuid5(_NAMESPACE, f"bundle {composition['id']}")),
        "meta": {"profile": [f"{_DEQM}/StructureDefinition/gaps-bundle-deqm"]},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"},
        "type": "document",
        "timestamp": said.date,
        "entry": [_entry(base, composition), *entries],
    }


def _composition(identity: str, sections: Sequence[_Section], said: Reporting) -> dict[str, Any]:
    return {
        "resourceType": "Composition",
        "id": str(uuid.uuid5(_NAMESPACE, " ".join([identity, *(s.report["id"] for s in sections)]))),
        "meta": {"profile": [f"{_DEQM}/StructureDefinition/gaps-composition-deqm"]},
        "status": "final",
        "type": {
            "coding": [{"system": "http://loinc.org", "code": "96315-7", "display": "Gaps in care report"}]
        },
        "subject": {"reference": f"Patient/{identity}"},
        "date": said.date,
        "author": [{"reference": said.reporter} if said.reporter else {"display": "Measurewise"}],
        "title": "Gaps in care report",
        "section": [_section(section) for section in sections],
    }


def _section(section: _Section) -> dict[str, Any]:
    words = ", ".join(
        _WORDS[GapStatus(found["modifierExtension"][0]["valueCodeableConcept"]["coding"][0]["code"])]
        for found in section.issues
    )
    text = html.escape(f"{section.title}: {words}")
    return {
        "title": section.title,
        "focus": {"reference": f"MeasureReport/{section.report['id']}"},
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'},
        "entry": [{"reference": f"DetectedIssue/{found['id']}"} for found in section.issues],
    }


def _entry(base: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}", "resource": resource}


def _programs(measure: MeasureContent) -> list[dict[str, Any]]:
    return [
        context["valueCodeableConcept"]
        for context in measure.resource.get("useContext") or ()
        if (context.get("code") or {}).get("code") == "program" and "valueCodeableConcept" in context
    ]


def _has_any(concepts: Iterable[dict[str, Any]], wanted: Sequence[str]) -> bool:
    for concept in concepts:
        known = {concept.get("text")}
        for coding in concept.get("coding") or ():
            known |= {
                coding.get("code"),
                f"{coding.get('system')}|{coding.get('code')}",
                coding.get("display"),
            }
        if known & set(wanted):
            return True
    return False
