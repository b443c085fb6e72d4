"""A QRDA III report as values of their own types: who reports, for which period, and every count.

What is not there is None or empty, and so is what is there and is no number or no day; what is wrong with it
is for :mod:`~measurewise.qrda.category3.conversion` to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda.category3.conversion import year_of
from measurewise.qrda.category3.document import (
    SUPPLEMENTAL,
    Document,
    Kind,
    Part,
    read_document,
    whole_number,
)
from measurewise.qrda.category3.reading import read_xml
from measurewise.qrda.category3.rules import programme_of, reporting_day
from measurewise.qrda.category3.rules_measures import identifiers
from measurewise.qrda.year_data import YEARS, YearData, year_data

_T = TypeVar("_T")


class NoReportError(MeasurewiseError):
    """XML that is no QRDA III report."""

    code = "structure"


@dataclass(frozen=True, slots=True)
class Period:
    """First and last day of a section's reporting period."""

    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Supplemental:
    """How many of a population have a value; ``element`` is sex, ethnicity, race or payer."""

    element: str
    code: str | None
    count: int | None


@dataclass(frozen=True, slots=True)
class Stratum:
    """How many of a population are in a stratum, which its GUID names."""

    guid: str | None
    count: int | None


@dataclass(frozen=True, slots=True)
class Population:
    """A population of a measure: its type (IPOP, DENOM, ...), GUID, and counts."""

    code: str | None
    guid: str | None
    count: int | None
    strata: tuple[Stratum, ...]
    supplemental: tuple[Supplemental, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """A performance rate from 0 to 1, of the numerator with a GUID; without value there is a null flavour."""

    value: Decimal | None
    null_flavor: str | None
    numerator_guid: str | None


@dataclass(frozen=True, slots=True)
class Measure:
    """An eCQM: its GUID, and the year's ids where the GUID is one of the year's."""

    guid: str | None
    ecqm_id: str | None
    measure_id: str | None
    populations: tuple[Population, ...]
    rates: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class PromotingMeasure:
    """A Promoting Interoperability measure: numerator and denominator, or an answer."""

    measure_id: str | None
    numerator: int | None
    denominator: int | None
    answer: bool | None


@dataclass(frozen=True, slots=True)
class Activity:
    """An improvement activity and whether it was performed."""

    measure_id: str | None
    answer: bool | None


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its category (quality, pi or ia), its periods, and what it reports."""

    category: str
    periods: tuple[Period, ...]
    measures: tuple[Measure, ...]
    promoting: tuple[PromotingMeasure, ...]
    activities: tuple[Activity, ...]


@dataclass(frozen=True, slots=True)
class Practitioner:
    """The NPIs and TINs of one performer."""

    npis: tuple[str, ...]
    tins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report. ``performance_year`` is None where neither template nor period is of a known year."""

    performance_year: int | None
    programme_names: tuple[str, ...]
    entity_type: str | None
    practitioners: tuple[Practitioner, ...]
    virtual_group_ids: tuple[str, ...]
    apm_entity_ids: tuple[str, ...]
    subgroup_ids: tuple[str, ...]
    practice_site_ids: tuple[str, ...]
    cehrt_ids: tuple[str, ...]
    mvp_ids: tuple[str, ...]
    sections: tuple[Section, ...]


_CATEGORIES = {
    Kind.QUALITY_SECTION: "quality",
    Kind.PROMOTING_SECTION: "pi",
    Kind.ACTIVITY_SECTION: "ia",
}


def read_report(data: bytes, *, where: str = "") -> Report:
    """The report in a file's bytes.

    Raises UnreadableXmlError for what cannot be read as XML, NoReportError for other XML.
    """
    document = read_document(read_xml(data))
    if document is None:
        raise NoReportError(
            "the file is no QRDA III report with the template of the CMS guide.",
            where=where,
            mend="Name a QRDA III file that was made for CMS.",
        )
    year = year_of(document) or _year_of_period(document)
    programme = None if year is None else programme_of(document, year)
    return Report(
        performance_year=None if year is None else year.year,
        programme_names=document.programme_names,
        entity_type=None if programme is None else programme.entity_type,
        practitioners=tuple(Practitioner(who.npis, who.tins) for who in document.performers),
        virtual_group_ids=document.virtual_group_ids,
        apm_entity_ids=document.apm_entity_ids,
        subgroup_ids=document.subgroup_ids,
        practice_site_ids=document.practice_site_ids,
        cehrt_ids=document.cehrt_ids,
        mvp_ids=document.mvp_ids,
        sections=tuple(_sections(document, year)),
    )


def _year_of_period(document: Document) -> YearData | None:
    """For reports with a template that no year's final guide has, such as CMS's own early samples."""
    days = [day for day in map(reporting_day, document.starts) if day is not None]
    return year_data(days[0].year) if days and days[0].year in YEARS else None


def to_json(value: Any) -> Any:
    """A report, or any part of it, as JSON: names in camel case, days as YYYY-MM-DD."""
    if is_dataclass(value):
        return {_camel(one.name): to_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return [to_json(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


def _sections(document: Document, year: YearData | None) -> Iterator[Section]:
    for section in document.parts:
        category = _CATEGORIES.get(section.kind)
        if category is not None:
            yield Section(
                category=category,
                periods=tuple(_period(act) for act in section.of(Kind.REPORTING_PARAMETERS)),
                measures=tuple(_measure(one, year) for one in section.of(Kind.MEASURE)),
                promoting=tuple(_promoting(one) for one in section.of(Kind.PROPORTION, Kind.ATTESTATION)),
                activities=tuple(
                    Activity(_first(one.measure_ids), _answer(one)) for one in section.of(Kind.ACTIVITY)
                ),
            )


def _period(act: Part) -> Period:
    start, end = (
        _read(act.texts(f"c:effectiveTime/c:{name}/@value"), reporting_day) for name in ("low", "high")
    )
    return Period(start, end)


def _measure(measure: Part, year: YearData | None) -> Measure:
    known = None if year is None else identifiers(measure, year)
    return Measure(
        guid=_first(measure.measure_ids),
        ecqm_id=None if known is None else known.ecqm_id,
        measure_id=None if known is None else known.measure_id,
        populations=tuple(_population(one) for one in measure.of(Kind.MEASURE_DATA)),
        rates=tuple(
            Rate(
                value=_read(one.texts("c:value/@value"), _decimal),
                null_flavor=_first(one.texts("c:value/@nullFlavor")),
                numerator_guid=_first(one.references),
            )
            for one in measure.of(Kind.PERFORMANCE_RATE)
        ),
    )


def _population(data: Part) -> Population:
    return Population(
        code=_first(data.code),
        guid=_first(data.references),
        count=_count(data),
        strata=tuple(Stratum(_first(one.references), _count(one)) for one in data.of(Kind.STRATUM)),
        supplemental=tuple(
            Supplemental(one.kind.name.lower(), _supplemental_code(one), _count(one))
            for one in data.of(*SUPPLEMENTAL)
        ),
    )


def _supplemental_code(part: Part) -> str | None:
    if part.kind is Kind.PAYER:
        return _first(part.texts("c:value/c:translation/@code"))
    return _first(part.code) or _first(part.texts("c:value/@nullFlavor"))


def _promoting(part: Part) -> PromotingMeasure:
    numerators, denominators = part.of(Kind.NUMERATOR), part.of(Kind.DENOMINATOR)
    return PromotingMeasure(
        measure_id=_first(part.measure_ids),
        numerator=_count(numerators[0]) if numerators else None,
        denominator=_count(denominators[0]) if denominators else None,
        answer=_answer(part),
    )


def _answer(part: Part) -> bool | None:
    codes = [code.upper() for one in part.of(Kind.PERFORMED) for code in one.code]
    return {"Y": True, "N": False}.get(codes[0]) if codes else None


def _count(part: Part) -> int | None:
    return _read(tuple(text for one in part.of(Kind.AGGREGATE_COUNT) for text in one.counts), whole_number)


def _first(texts: tuple[str, ...]) -> str | None:
    return texts[0] if texts else None


def _read(texts: tuple[str, ...], read: Callable[[str], _T | None]) -> _T | None:
    return read(texts[0]) if texts else None


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda letter: letter[1].upper(), name)
