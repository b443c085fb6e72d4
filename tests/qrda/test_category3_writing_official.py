"""QRDA III of the official measures: written, held to CDA schema and schematron, converted, read back.

The measures of the deck are those of 2026. Their populations are reported here as if they were of 2023 to
2025, with the identifiers of those years, so that every schematron judges them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from given_reports import AT, ENTITIES, counts_of, measures_of, values_of
from shared_inputs import shared

from measurewise.engine import (
    Engine,
    PatientResult,
    Reporting,
    SummaryAccumulator,
    load_content,
    record_of_bundle,
    summary_report,
)
from measurewise.engine.errors import ContentError
from measurewise.engine.record.record import Record
from measurewise.engine.runner.deck import Deck
from measurewise.engine.runtime.values import Code
from measurewise.qrda.category3.conversion import convert
from measurewise.qrda.category3.document import Kind, Part
from measurewise.qrda.category3.writing.description import (
    Attestation,
    Description,
    EntityType,
    ImprovementActivities,
    LegalAuthenticator,
    Programme,
    PromotingInteroperability,
    Proportion,
)
from measurewise.qrda.category3.writing.document import Written, write
from measurewise.qrda.category3.writing.results import POPULATIONS, cms_number_of
from measurewise.qrda.category3.writing.year import guide, year_identifiers
from measurewise.qrda.validation import validate

YEARS = (2023, 2024, 2025)
Json = dict[str, Any]

# The measures of 2026 that cannot be reported for a year, and why.
NOT_OF_YEAR = {
    2023: {"CMS1056": "has no eCQM", "CMS349": "under denominator-exception"},
    2024: {"CMS1056": "has no eCQM"},
    2025: {},
}


@dataclass(frozen=True)
class Counted:
    """A measure's patients: their results, and the sums."""

    resource: Json
    results: list[PatientResult]
    summary: SummaryAccumulator


def of_clinicians(measure: Json) -> bool:
    return number_of(measure) in year_identifiers(2025).measures


def number_of(measure: Json) -> str:
    return cms_number_of({"measure": measure["url"]}, {measure["url"]: measure})


@pytest.fixture(scope="module")
def official(ecqm_dir: Path) -> dict[str, Counted]:
    """The 25 measures of eligible clinicians with the patients of their cases."""
    deck = Deck(ecqm_dir)
    engine = Engine(deck.content(), missing_valuesets="empty")
    found = {}
    for measure in engine.content.measures:
        if not of_clinicians(measure.resource):
            continue
        prepared = engine.prepare(measure.id, period="2026", supplemental_data=True)
        results = [
            result
            for case in deck.read(measure.id)
            for result in prepared.evaluate(Record(case["resources"]))
        ]
        summary = SummaryAccumulator(prepared.measures[0]).add_all(results)
        found[number_of(measure.resource)] = Counted(measure.resource, results, summary)
    assert len(found) == 25
    return found


@pytest.fixture(scope="module")
def synthetic(ecqm_dir: Path) -> dict[str, Counted]:
    """The same measures with 60 synthetic patients."""
    from measurewise.synthetic import synthesize

    paths = (ecqm_dir / "measures", ecqm_dir / "libraries", ecqm_dir / "valuesets.ndjson.gz")
    engine = Engine(load_content(*paths), missing_valuesets="empty")
    chosen = [one.resource for one in engine.content.measures if of_clinicians(one.resource)]
    prepared = engine.prepare(*[one["id"] for one in chosen], period="2026", supplemental_data=True)
    results: list[list[PatientResult]] = [[] for _ in chosen]
    for bundle in synthesize(60, 1, 2026):
        for mine, result in zip(results, prepared.evaluate(record_of_bundle(bundle)), strict=True):
            mine.append(result)
    return {
        number_of(resource): Counted(resource, mine, SummaryAccumulator(measure).add_all(mine))
        for resource, measure, mine in zip(chosen, prepared.measures, results, strict=True)
    }


def reports_of(counted: dict[str, Counted], year: int) -> list[Json]:
    reporting = Reporting(f"{year}-01-01", f"{year}-12-31", f"{year + 1}-01-10T00:00:00Z")
    return [
        summary_report(one.summary, reporting)
        for number, one in counted.items()
        if number not in NOT_OF_YEAR[year]
    ]


def resources_of(counted: dict[str, Counted]) -> list[Json]:
    return [one.resource for one in counted.values()]


def descriptions(year: int) -> list[Description]:
    """Every programme and entity type that the year has."""
    period = {"start": date(year, 1, 1), "end": date(year, 12, 31)}
    signed = LegalAuthenticator("Ana", "Philips", AT, "1234567893")
    promoting = PromotingInteroperability(
        **period, measures=(Proportion("PI_EP_1", 70, 80), Attestation("PI_PPHI_1"))
    )
    activities = ImprovementActivities(**period, activities=(Attestation("IA_EPA_3"),))
    found = []
    for programme in Programme:
        for entity in EntityType:
            if (programme.submission_name, entity) not in guide(year).programme_names:
                continue
            if programme is Programme.MVP and entity is EntityType.VIRTUAL_GROUP:
                continue
            found.append(
                Description(
                    year,
                    programme,
                    ENTITIES[entity],
                    mvp="G0057" if programme is Programme.MVP else None,
                    cehrt_id="0015CABCDEFGHIJ",
                    promoting_interoperability=promoting,
                    improvement_activities=activities,
                    legal_authenticator=signed,
                )
            )
    return found


def faults(xml: bytes, year: int) -> list[str]:
    folder = shared("qrda")
    found = validate(
        xml,
        kind="qrda3",
        year=year,
        schematron_folder=folder / "category3" / "schematron",
        xsd_folder=folder / "xsd",
    )
    return [str(one) for one in found]


def numbers(report: Json) -> list[dict[str, int]]:
    """The counts of a report's groups by QRDA's population codes, read by themselves."""
    return [
        {
            POPULATIONS[population["code"]["coding"][0]["code"]]: population["count"]
            for population in group["population"]
        }
        for group in report["group"]
    ]


def assert_reads_back(written: Written, reports: list[Json], resources: list[Json], year: int) -> int:
    """Whether every population of every report stands in the file with its count; how many there were."""
    by_url = {resource["url"]: resource for resource in resources}
    by_uuid = {measure.measure_ids[0]: measure for measure in measures_of(written.xml)}
    assert len(by_uuid) == len(reports)
    populations = 0
    for report in reports:
        identifiers = year_identifiers(year).measures[cms_number_of(report, by_url)]
        measure = by_uuid[identifiers.uuid]
        counts = counts_of(measure)
        for own, group, rate in zip(
            identifiers.reported_groups, report["group"], numbers(report), strict=True
        ):
            assert {code: counts.pop(guid) for code, guid in own.populations.items()} == {
                code: count for code, count in rate.items() if code in own.populations
            }
            populations += len(own.populations)
            assert_rate(measure, own.populations["NUMER"], group)
        assert counts == {}
    return populations


def assert_submits(measurements: list[Json], reports: list[Json], resources: list[Json], year: int) -> None:
    """Whether the submission has what the reports count, summed over the rates of a measure."""
    by_url = {resource["url"]: resource for resource in resources}
    submitted = {one["measureId"]: one["value"] for one in measurements}
    for report in reports:
        known = year_identifiers(year).measures[cms_number_of(report, by_url)]
        value = submitted.pop(known.measure_id)
        rates = value.get("strata", [value])
        for name, code in (
            ("performanceMet", "NUMER"),
            ("eligiblePopulation", "DENOM"),
            ("eligiblePopulationExclusion", "DENEX"),
            ("eligiblePopulationException", "DENEXCEP"),
        ):
            assert sum(rate.get(name, 0) for rate in rates) == sum(
                counts.get(code, 0) for counts in numbers(report)
            )
    assert submitted == {}


def assert_rate(measure: Part, guid: str, group: Json) -> None:
    (rate,) = [one for one in measure.of(Kind.PERFORMANCE_RATE) if one.references == (guid,)]
    score = group["measureScore"].get("value")
    if score is None:
        assert rate.texts("c:value/@nullFlavor") == ("NA",)
    else:
        assert float(rate.texts("c:value/@value")[0]) == pytest.approx(float(score), abs=5e-7)


@pytest.mark.deck
@pytest.mark.parametrize("year", YEARS)
def test_every_programme_and_entity_passes_schema_and_schematron_converts_and_reads_back(
    official: dict[str, Counted], year: int, capsys: pytest.CaptureFixture[str]
) -> None:
    reports, resources = reports_of(official, year), resources_of(official)
    written = populations = 0
    for description in descriptions(year):
        file = write(reports, description, AT, measures=resources)
        assert faults(file.xml, year) == []
        answer = convert(file.xml)
        assert (answer.status, answer.codes, answer.cms_status) == ("OK", (), "OK")
        assert answer.qpp is not None
        assert answer.qpp["entityType"] == description.entity.type
        sets = answer.qpp["measurementSets"]
        assert [one["category"] for one in sets] == ["quality", "pi", "ia"]
        assert {one["programName"] for one in sets} == {description.mvp or description.programme}
        assert_submits(sets[0]["measurements"], reports, resources, year)
        populations += assert_reads_back(file, reports, resources, year)
        written += 1
    with capsys.disabled():
        print(
            f"\n{year}: {written} of {written} files with {len(reports)} measures each pass schema and "
            f"schematron and convert; {populations} populations read back equal"
        )
    assert written == (15 if year == 2025 else 12)


@pytest.mark.deck
@pytest.mark.parametrize("year", YEARS)
def test_synthetic_populations_pass_too(
    synthetic: dict[str, Counted], year: int, capsys: pytest.CaptureFixture[str]
) -> None:
    reports, resources = reports_of(synthetic, year), resources_of(synthetic)
    every = descriptions(year)
    for place, description in enumerate(every):
        share = reports[place % 4 :: 4]
        file = write(share, description, AT, measures=resources)
        assert faults(file.xml, year) == []
        assert convert(file.xml).status == "OK"
        assert_reads_back(file, share, resources, year)
    with capsys.disabled():
        print(f"\n{year}: {len(every)} of {len(every)} files of synthetic populations pass and convert")


@pytest.mark.parametrize("year", YEARS)
def test_what_the_year_does_not_have_is_refused(official: dict[str, Counted], year: int) -> None:
    reporting = Reporting(f"{year}-01-01", f"{year}-12-31", f"{year + 1}-01-10T00:00:00Z")
    for number, told in NOT_OF_YEAR[year].items():
        report = summary_report(official[number].summary, reporting)
        with pytest.raises(ContentError, match=told):
            write([report], descriptions(year)[0], AT)


def test_strata_are_the_patients_who_are_in_them(official: dict[str, Counted]) -> None:
    one = official["CMS155"]
    (measure,) = written_measures({"CMS155": one})
    identifiers = year_identifiers(2025).measures["CMS155"]
    told = 0
    for place, own in enumerate(identifiers.groups):
        for stratum, guid in enumerate(own.strata):
            of_population: Counter[str] = Counter()
            for result in one.results:
                found = result.groups[place]
                for within in found.strata[stratum] if found.strata else ():
                    if within.values[0].text == "true":
                        for position, population in enumerate(one.summary.measure.groups[place].populations):
                            of_population[POPULATIONS[population.code]] += within.counts[position] or 0
            for part in measure.of(Kind.MEASURE_DATA):
                if part.references[0] in own.populations.values():
                    counts = {each.references[0]: each.count for each in part.of(Kind.STRATUM)}
                    assert counts[guid] == of_population[part.code[0]]
                    told += counts[guid]
    assert told > 0


SEX = {"248153007": "M", "248152002": "F", "M": "M", "F": "F"}


@pytest.mark.parametrize("number", ["CMS122", "CMS145", "CMS157", "CMS74"])
def test_supplemental_data_count_the_members_of_each_population(
    official: dict[str, Counted], number: str
) -> None:
    """Also of measures that count episodes (CMS157) or do not declare these data (CMS74, CMS157)."""
    one = official[number]
    definition = one.summary.measure
    places = {item.criteria.name: place for place, item in enumerate(definition.supplemental_data)}
    (measure,) = written_measures({number: one})
    parts = {part.references[0]: part for part in measure.of(Kind.MEASURE_DATA)}
    for place, own in enumerate(year_identifiers(2025).measures[number].groups):
        for position, population in enumerate(definition.groups[place].populations):
            sexes: Counter[str] = Counter()
            races: Counter[str] = Counter()
            for result in one.results:
                count = result.groups[place].counts[position]
                sex = result.supplemental_data[places["SDE Sex"]]
                sexes[SEX.get(sex.code, "UNK") if isinstance(sex, Code) else "UNK"] += count
                race = result.supplemental_data[places["SDE Race"]]
                for code in codes_of(race):
                    races[code] += count
            part = parts[own.populations[POPULATIONS[population.code]]]
            found = values_of(part, Kind.SEX)
            assert {sex: count for sex, count in found.items() if count} == +sexes
            for code, count in values_of(part, Kind.RACE).items():
                if code != "UNK":
                    assert count == races[code]


def codes_of(race: Any) -> set[str]:
    codes = (race or {}).get("codes") or []
    return {code.code if isinstance(code, Code) else code["code"] for code in codes if code is not None}


def written_measures(counted: dict[str, Counted]) -> list[Part]:
    description = next(one for one in descriptions(2025) if one.entity.type is EntityType.GROUP)
    file = write(reports_of(counted, 2025), description, AT, measures=resources_of(counted))
    return measures_of(file.xml)
