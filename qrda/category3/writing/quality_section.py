"""The measures of a report (QRDA Category III Measure Section - CMS).

The observations of supplemental data are most of a report; each is made once a report, copied for every
population and given its count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Final

from measurewise.qrda.category3.writing.elements import (
    ACT_CODE,
    EVENT,
    LOINC,
    OBSERVATION,
    Element,
    Identities,
    added,
    aggregate_count,
    assertion,
    completed,
    element,
    external_document,
    external_observation,
    reporting_parameters,
    section,
    table,
    templates,
)
from measurewise.qrda.category3.writing.results import MeasureResult, PopulationResult, RateResult
from measurewise.qrda.category3.writing.supplemental import Element as SupplementalElement
from measurewise.qrda.category3.writing.supplemental import Value
from measurewise.qrda.category3.writing.year import Guide

_ECQM: Final = "2.16.840.1.113883.4.738"
_PLACES: Final = Decimal("0.000001")
_NAMES: Final = {
    "IPOP": "Initial Population",
    "DENOM": "Denominator",
    "DENEX": "Denominator Exclusions",
    "NUMER": "Numerator",
    "NUMEX": "Numerator Exclusions",
    "DENEXCEP": "Denominator Exceptions",
}


def add_quality_section(
    body: Element,
    measures: Sequence[MeasureResult],
    guide: Guide,
    period: tuple[date, date],
    identities: Identities,
) -> None:
    """The section with every measure, for a reporting period (first and last day)."""
    made = section(
        body,
        templates(guide, "measureSection", "qualitySection", "qualitySectionCms"),
        table(("eCQM", "Version specific identifier", "Population", "Count"), _rows(measures)),
    )
    made.append(reporting_parameters(guide, identities.of("quality", "parameters"), *period))
    pieces = _Pieces(guide)
    for measure in measures:
        _add_measure(made, measure, pieces, identities)


def rate_text(rate: Fraction) -> str:
    """A performance rate with at most six decimals, half up (CONF:CMS_63)."""
    exact = (Decimal(rate.numerator) / Decimal(rate.denominator)).quantize(_PLACES, ROUND_HALF_UP)
    return f"{exact.normalize():f}"


class _Pieces:
    """Elements that every population has, made once and copied."""

    def __init__(self, guide: Guide) -> None:
        self.guide = guide
        self._supplemental: dict[tuple[str, str | None], Element] = {}
        self._count = aggregate_count(guide, 0)
        self._assertion = assertion()

    def count(self, number: int) -> Element:
        made = deepcopy(self._count)
        made[0][-2].set("value", str(number))
        return made

    def assertion(self) -> list[Element]:
        return [deepcopy(part) for part in self._assertion]

    def supplemental(self, of: SupplementalElement, value: Value | None, number: int) -> Element:
        key = (of.name, None if value is None else value.code)
        made = self._supplemental.get(key)
        if made is None:
            made = self._supplemental[key] = _supplemental(of, value, self.guide)
        made = deepcopy(made)
        made[0][-1][0][-2].set("value", str(number))
        return made


def _add_measure(parent: Element, measure: MeasureResult, pieces: _Pieces, identities: Identities) -> None:
    guide, identifiers = pieces.guide, measure.identifiers
    organizer = added(
        added(parent, "entry"),
        "organizer",
        {"classCode": "CLUSTER", **EVENT},
        *templates(guide, "measureReference", "measureResults", "measureResultsCms"),
        identities.of("measure", identifiers.uuid),
        completed(),
        external_document(
            _ECQM,
            identifiers.uuid,
            measure.title,
            element("code", {"code": "57024-2", **LOINC, "displayName": "Health Quality Measure Document"}),
        ),
    )
    for rate in measure.rates:
        organizer.append(_performance_rate(rate, guide))
        for population in rate.populations:
            _add_population(organizer, population, pieces)


def _performance_rate(rate: RateResult, guide: Guide) -> Element:
    stated = rate.performance_rate
    value = {"nullFlavor": "NA"} if stated is None else {"value": rate_text(stated)}
    return element(
        "component",
        None,
        element(
            "observation",
            OBSERVATION,
            *templates(guide, "performanceRate", "performanceRateCms"),
            element("code", {"code": "72510-1", **LOINC, "displayName": "Performance Rate"}),
            completed(),
            element("value", {"type": "REAL", **value}),
            external_observation(
                rate.numerator.guid,
                element("code", {"code": "NUMER", **ACT_CODE, "displayName": "Numerator"}),
            ),
        ),
    )


def _add_population(parent: Element, population: PopulationResult, pieces: _Pieces) -> None:
    observation = added(
        added(parent, "component"),
        "observation",
        OBSERVATION,
        *templates(pieces.guide, "measureData", "measureDataCms"),
        *pieces.assertion(),
        element("value", {"type": "CD", "code": population.code, **ACT_CODE}),
        pieces.count(population.count),
    )
    for stratum in population.strata:
        observation.append(_stratum(stratum.guid, stratum.count, pieces))
    for of, counted in population.supplemental:
        for value, count in zip(of.values, counted.counts, strict=True):
            observation.append(pieces.supplemental(of, value, count))
        if counted.unknown and not of.translated:
            observation.append(pieces.supplemental(of, None, counted.unknown))
    observation.append(external_observation(population.guid))


def _stratum(guid: str, count: int, pieces: _Pieces) -> Element:
    return element(
        "entryRelationship",
        {"typeCode": "COMP"},
        element(
            "observation",
            OBSERVATION,
            *templates(pieces.guide, "stratum"),
            *pieces.assertion(),
            element("value", {"type": "CD", "nullFlavor": "OTH"}, element("originalText", None, "Stratum")),
            pieces.count(count),
            external_observation(guid),
        ),
    )


def _supplemental(of: SupplementalElement, value: Value | None, guide: Guide) -> Element:
    if value is None:
        said = element("value", {"type": "CD", "nullFlavor": "UNK"})
    else:
        coded = {"code": value.code, **of.code_system, "displayName": value.display}
        if of.translated:
            said = element("value", {"type": "CD", "nullFlavor": "OTH"}, element("translation", coded))
        else:
            said = element("value", {"type": "CD", **coded})
    return element(
        "entryRelationship",
        {"typeCode": "COMP"},
        element(
            "observation",
            OBSERVATION,
            *templates(guide, *of.templates),
            element("code", {**of.code, **LOINC}),
            completed(),
            said,
            aggregate_count(guide, 0),
        ),
    )


def _rows(measures: Sequence[MeasureResult]) -> Iterator[tuple[str, ...]]:
    for measure in measures:
        for place, rate in enumerate(measure.rates, 1):
            number = f" {place}" if len(measure.rates) > 1 else ""
            title, guid = f"{measure.identifiers.ecqm_id} {measure.title}", measure.identifiers.uuid
            for population in rate.populations:
                yield title, guid, f"{_NAMES[population.code]}{number}", str(population.count)
                for stratum_place, stratum in enumerate(population.strata, 1):
                    name = f"{_NAMES[population.code]}{number}, stratum {stratum_place}"
                    yield title, guid, name, str(stratum.count)
            stated = rate.performance_rate
            text = "not applicable" if stated is None else rate_text(stated)
            yield title, guid, f"Performance Rate{number}", text
