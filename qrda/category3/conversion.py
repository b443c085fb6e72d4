"""One QRDA III file judged and converted: CMS's codes, and the QPP submission."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from lxml import etree

from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda import qpp
from measurewise.qrda.category3.document import Document, Kind, read_document
from measurewise.qrda.category3.finding import Finding, finding
from measurewise.qrda.category3.reading import SIZE_LIMIT, Paths, UnreadableXmlError, places, read_xml
from measurewise.qrda.category3.roster import Roster, roster_findings
from measurewise.qrda.category3.rules import findings, programme_of, reporting_day
from measurewise.qrda.year_data import YEARS, YearData, other_templates, year_data, years_of_template

_STOPPED: Final = 3
# CMS's tool shows no more errors than these, and says so (82).
_SHOWN: Final = 100
_TOLD: Final = 10_000


@dataclass(frozen=True, slots=True)
class Located:
    """A finding with its place: XPath, and line and column of the start tag, from 1 (0 where unknown)."""

    finding: Finding
    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of a file; of its errors 10,000 at most are told, its codes are all there.

    ``qpp`` is there whenever CMS's own rules let the file pass, so also where ``status`` is ERR for a rule
    that only Measurewise applies; it is None otherwise.
    """

    status: str
    codes: tuple[int, ...]
    cms_status: str
    cms_codes: tuple[int, ...]
    errors: tuple[Located, ...]
    qpp: dict[str, Any] | None


def convert(data: bytes, *, roster: Roster | None = None) -> Conversion:
    """Judge a file's bytes by the rules of its own performance year, and write its submission.

    Every input has an answer: what is no XML is code 2, what is no QRDA III report of a known year is 5.
    Reports of Primary Care First are held to ``roster`` where one is given.
    """
    newest = year_data(YEARS[-1])
    try:
        root = read_xml(data)
    except UnreadableXmlError as error:
        unreadable = finding(newest, 2, None)
        told = Finding(2, f"{unreadable.message} {error.what}", error.mend, None, 2)
        return _judged([told], data, None)
    document = read_document(root)
    year = None if document is None else year_of(document)
    if document is None or year is None:
        return _judged([_of_no_year(root, document)], data, None)
    found = findings(document, year)
    programme = programme_of(document, year)
    if programme is not None and programme.name == "pcf":
        if roster is not None:
            found += roster_findings(document, year, roster)
        elif all(one.warning for one in found):
            found.append(finding(year, 79, document.at, warning=True))
    errors = sum(one.cms is not None and not one.warning for one in found)
    if errors > _SHOWN:
        found.append(finding(year, 82, document.at, errors))
    converted = None
    if programme is not None and not errors:
        converted = qpp.submission(document, programme, year)
        if _lacks_measure_id(document):
            # CMS's converter gives up on every set then; what is told (70) has no other effect there.
            converted.pop("measurementSets", None)
    return _judged(found, data, converted)


def convert_file(path: Path, *, roster: Roster | None = None) -> Conversion:
    """:func:`convert` for a file on disk; one that is too large is refused before it is read.

    Raises MeasurewiseError when the file cannot be opened.
    """
    try:
        with path.open("rb") as stream:
            # One byte more than is allowed, so that the reader sees that there is too much.
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise MeasurewiseError(f"the file cannot be read: {error.strerror}.", where=str(path)) from None
    return convert(data, roster=roster)


def year_of(document: Document) -> YearData | None:
    """The performance year whose rules hold: by the document's template, then by the reporting period.

    Where years share the template and the period is of another year, it is the year that knows most of the
    report's measures by their GUIDs, which are new every year; then the newest. None when no year's guide has
    the template, or when the period lies in a year that wants another template.
    """
    years = sorted({year for text in document.template_extensions for year in years_of_template(text)})
    if not years:
        return None
    reported = {day.year for day in map(reporting_day, (*document.starts, *document.ends)) if day is not None}
    within = [year for year in years if year in reported]
    if not within and reported & set(YEARS):
        return None
    return year_data(within[0] if within else max(years, key=lambda year: (_known(document, year), year)))


def _known(document: Document, year: int) -> int:
    """How many of a report's measures have a GUID of the year."""
    measures = year_data(year).measures
    return sum(
        guid.lower() in measures
        for section in document.of(Kind.QUALITY_SECTION)
        for measure in section.of(Kind.MEASURE)
        for guid in measure.measure_ids
    )


def _of_no_year(root: etree._Element, document: Document | None) -> Finding:
    """Code 5, which says of which year a document is where that is known and no year judged here."""
    found = finding(year_data(YEARS[-1]), 5, root)
    known = other_templates()
    for extension in () if document is None else document.template_extensions:
        if extension in known:
            return replace(found, message=f"{found.message} {known[extension]}")
    return found


def _lacks_measure_id(document: Document) -> bool:
    return any(
        not measure.measure_ids
        for section in document.of(Kind.QUALITY_SECTION)
        for measure in section.of(Kind.MEASURE)
    )


def _judged(found: list[Finding], data: bytes, converted: dict[str, Any] | None) -> Conversion:
    stopped = any(one.cms == _STOPPED for one in found)
    seen = [one for one in found if one.cms is not None]
    refused = any(not one.warning for one in seen)
    cms = {one.cms for one in seen if one.cms is not None and not (refused and one.warning)}
    failed = any(not one.warning for one in found)
    shown = [one for one in found if not (failed and one.warning)]
    return Conversion(
        status="ERR" if failed else "OK",
        codes=tuple(sorted({one.code for one in shown})),
        cms_status="ERR" if refused else "OK",
        cms_codes=(_STOPPED,) if stopped else tuple(sorted(cms)),
        errors=tuple(_located(shown, data)),
        qpp=converted,
    )


def _located(found: list[Finding], data: bytes) -> list[Located]:
    told = found[:_TOLD]
    at = places((one.at for one in told if one.at is not None), data)
    paths = Paths()
    return [
        Located(one, "", 0, 0) if one.at is None else Located(one, paths.of(one.at), *at[one.at])
        for one in told
    ]
