"""A QRDA III report from MeasureReports and a description, as a Binary."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from measurewise.api.fhir.media import NOTICE
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.context import Services
from measurewise.engine import Period
from measurewise.engine.errors import NotFoundError
from measurewise.engine.measure.reports.edge import validate
from measurewise.qrda.category3.conversion import convert
from measurewise.qrda.category3.writing.description_json import description_of
from measurewise.qrda.category3.writing.document import write
from measurewise.qrda.category3.writing.results import MissingPolicy
from measurewise.qrda.category3.writing.year import year_identifiers
from measurewise.qrda.year_data import YEARS
from measurewise.store import resources as store
from measurewise.store.access import Access
from measurewise.store.resources import Stored
from measurewise.store.search import Criterion, Search, search

XML: Final = "application/xml"
Json = dict[str, Any]


class Writing(msgspec.Struct, frozen=True):
    """What a report says besides counts: the description of ``qrda3 write``, and when it is made."""

    description: Json
    at: str
    missing_supplemental_data: MissingPolicy = "error"

    def check(self) -> None:
        """Raises DescriptionError for a description that cannot be written, ContentError for its year."""
        year_identifiers(description_of(self.description).year)


def written(services: Services, reports: Sequence[Json], writing: Writing) -> bytes:
    """The report's XML in UTF-8, and notices of what it lacks: :func:`binary` makes a resource of both.

    Raises DescriptionError, ContentError, and RequestError (422) where CMS's conversion rules would refuse
    the report.
    """
    return binary(*document(services, reports, writing))


def document(services: Services, reports: Sequence[Json], writing: Writing) -> tuple[bytes, list[str]]:
    """The report's bytes, and a sentence for each thing it lacks. Raises as :func:`written`."""
    described = description_of(writing.description)
    for report in reports:
        if report.get("type") != "summary" or report.get("status") != "complete":
            raise RequestError(
                f"the MeasureReport {report.get('id', '')} of {report.get('measure')} is not complete or no "
                "summary.",
                where="MeasureReport.type",
                mend="Give complete summary reports.",
            )
        validate(report)
    made = write(
        reports,
        described,
        datetime.fromisoformat(writing.at),
        measures=[measure.resource for measure in services.catalog.content.measures],
        missing_supplemental_data=writing.missing_supplemental_data,
    )
    notices = list(made.notices)
    for report in reports:
        notices += _not_evaluated(report)
    if described.year in YEARS:
        judged = convert(made.xml)
        if judged.status == "ERR":
            told = "; ".join(f"{one.finding.code}: {one.finding.message}" for one in judged.errors)
            raise RequestError(
                f"CMS's rules would refuse the report: {told}",
                code="business-rule",
                mend=" ".join(dict.fromkeys(one.finding.mend for one in judged.errors)),
            )
        notices += [f"{one.finding.code}: {one.finding.message}" for one in judged.errors]
    return made.xml, notices


def binary(content: bytes, notices: Sequence[str]) -> bytes:
    """A Binary with an XML document; notices are extensions of its meta."""
    resource: Json = {"resourceType": "Binary"}
    if notices:
        resource["meta"] = {"extension": [{"url": NOTICE, "valueString": text} for text in notices]}
    resource |= {"contentType": XML, "data": base64.b64encode(content).decode("ascii")}
    return msgspec.json.encode(resource)


def reports_named(connection: Connection, access: Access, references: Sequence[str]) -> list[Json]:
    """Stored MeasureReports by id or reference. Raises NoSuchResourceError."""
    return [
        store.read(connection, access, "MeasureReport", reference.removeprefix("MeasureReport/")).parsed()
        for reference in references
    ]


def reports_of(
    services: Services, connection: Connection, access: Access, measures: Sequence[str], period: Period
) -> list[Json]:
    """The newest complete summary report of each measure (without any: of every measure) of a period.

    Raises NotFoundError for a measure that is not there, RequestError where a measure has no such report.
    """
    urls = [str(services.catalog.content.measure(measure).url) for measure in measures]
    newest: dict[str, tuple[str, Json]] = {}
    for found in _summaries(services, connection, access):
        report = found.parsed()
        key = str(report.get("measure")).partition("|")[0]
        stamp = f"{report.get('date', '')} {found.updated.isoformat()}"
        if (not urls or key in urls) and _is_of(report, period) and stamp >= newest.get(key, ("", {}))[0]:
            newest[key] = (stamp, report)
    lacking = [measure for measure, url in zip(measures, urls, strict=True) if url not in newest]
    if lacking or not newest:
        raise NotFoundError(
            f"there is no complete summary report of {', '.join(lacking) or 'any measure'} "
            f"from {period.start[:10]} to {period.end[:10]}.",
            where="MeasureReport",
            mend="Store one, or ask with evaluate=true.",
        )
    return [newest[url][1] for url in (urls or list(newest))]


def _summaries(services: Services, connection: Connection, access: Access) -> Iterator[Stored]:
    """All stored summary reports."""
    after = None
    while True:
        criteria = (Criterion("type", None, ("summary",)),)
        asked = Search("MeasureReport", criteria, count=500, after=after, total=False)
        page = search(connection, access, asked, services.catalog.codes)
        yield from page.matches
        if page.next is None:
            return
        after = page.next


def _is_of(report: Json, period: Period) -> bool:
    told = report.get("period") or {}
    days = (str(told.get("start"))[:10], str(told.get("end"))[:10])
    return report.get("status") == "complete" and days == (period.start[:10], period.end[:10])


def _not_evaluated(report: Json) -> list[str]:
    """A notice where the report says that patients could not be evaluated."""
    return [
        f"{report.get('measure')}: {len(one.get('issue') or ())} patients could not be evaluated and are not "
        "counted"
        for one in report.get("contained") or ()
        if one.get("resourceType") == "OperationOutcome"
    ]
