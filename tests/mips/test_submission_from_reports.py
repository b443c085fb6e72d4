"""MeasureReports become a submission, the same that their QRDA III report is converted to."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import given_reports
import pytest
from given_reports import group

from measurewise.engine import Engine, SummaryAccumulator, summary_report
from measurewise.engine.compiler.cache import ProgramCache
from measurewise.engine.errors import ContentError
from measurewise.engine.record.record import Record
from measurewise.engine.runner.deck import Deck
from measurewise.mips.programme_year import YEARS, programme_year
from measurewise.mips.submission.measure_reports import submission_of_reports, summed
from measurewise.mips.submission.validation import validate_json
from measurewise.qrda.category3.conversion import convert
from measurewise.qrda.category3.writing.description import (
    Attestation,
    Description,
    EntityType,
    ImprovementActivities,
    Programme,
    PromotingInteroperability,
    Proportion,
)
from measurewise.qrda.category3.writing.document import write
from measurewise.qrda.qpp_model import to_json
from measurewise.qrda.year_data import YEARS as GUIDED_YEARS
from measurewise.qrda.year_data import year_data


def report(number: str, *groups: dict[str, int], year: int = 2025, **changes: Any) -> dict[str, Any]:
    plain = (group(counts, everyone=False) for counts in groups)
    return given_reports.report(number, *plain, year=year, **changes)


def described(
    year: int = 2025,
    programme: Programme = Programme.MIPS,
    entity: EntityType = EntityType.GROUP,
    **more: Any,
) -> Description:
    if programme is Programme.MVP:
        more["mvp"] = next(iter(programme_year(year).mvps))
    return given_reports.described(year, programme, entity, **more)


def attested(year: int) -> dict[str, Any]:
    return {
        "promoting_interoperability": PromotingInteroperability(
            date(year, 1, 1),
            date(year, 7, 30),
            (Proportion("PI_EP_1", 5, 8), Attestation("PI_PPHI_1"), Attestation("PI_EP_2_EX_1", False)),
        ),
        "improvement_activities": ImprovementActivities(
            date(year, 2, 1), date(year, 5, 31), (Attestation("IA_EPA_2"), Attestation("IA_PM_16", False))
        ),
    }


def values(*reports: dict[str, Any], year: int = 2025) -> dict[str, Any]:
    """The values of the quality measurements by measure id."""
    made = to_json(submission_of_reports(reports, described(year)))
    (quality,) = made["measurementSets"]
    return {one["measureId"]: one["value"] for one in quality["measurements"]}


def converted(reports: list[dict[str, Any]], description: Description) -> Any:
    """The submission by way of QRDA III."""
    written = write(reports, description, datetime(2026, 1, 15), missing_supplemental_data="leave-out")
    qpp = convert(written.xml).qpp
    assert qpp is not None
    for one in qpp["measurementSets"]:
        assert one.pop("source") == "qrda3"
    return qpp


@pytest.fixture(scope="module")
def evaluated(
    ecqm_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """A summary and the individual reports of every eligible-clinician measure, over the official cases."""
    deck = Deck(ecqm_dir)
    cache = ProgramCache(tmp_path_factory.mktemp("programs"))
    engine = Engine(deck.content(), missing_valuesets="empty", cache=cache)
    year = programme_year(2025)
    found = []
    for name in deck.cases:
        number = re.match(r"CMS0*(\d+)", name)
        oncology = name.startswith("OncologyPain")
        if year.ecqm(f"CMS{number[1]}" if number else "CMS157" if oncology else "") is None:
            continue
        individuals: list[dict[str, Any]] = []
        total = None
        for case in deck.read(name):
            prepared = engine.prepare(name, period=case["expected"][0]["period"]["start"][:4])
            (result,) = prepared.evaluate(Record(case["resources"]))
            total = total or SummaryAccumulator(prepared.measures[0])
            total.add(result)
            individuals.append(prepared.report(result))
        assert total is not None
        summary = summary_report(total, prepared.reporting())
        found.append((summary, individuals))
    return found


def of_year(report: dict[str, Any], year: int) -> dict[str, Any]:
    url = report["measure"].replace("OncologyPainIntensityQuantifiedFHIR", "CMS157FHIROncologyPain")
    period = {"start": f"{year}-01-01", "end": f"{year}-12-31"}
    return {**report, "measure": url, "period": period}


def test_the_decks_measures_become_what_their_qrda_reports_are_converted_to(
    evaluated: list[tuple[dict[str, Any], list[dict[str, Any]]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(evaluated) == 25
    told = []
    for year in GUIDED_YEARS:
        joined, refused = [], 0
        for summary, _ in evaluated:
            one = of_year(summary, year)
            try:
                submission_of_reports([one], described(year))
            except ContentError as error:
                refused += 1
                with pytest.raises(ContentError, match=re.escape(error.what)):
                    converted([one], described(year))
            else:
                joined.append(one)
        pairs = 0
        for name, entity in programmes_of(year):
            description = described(year, name, entity, **attested(year))
            made = to_json(submission_of_reports(joined, description))
            assert made == converted(joined, description), (year, name, entity)
            pairs += 1
        told.append(
            f"{year}: {len(joined)} of 25 measures (refused by both ways {refused}), {pairs} programmes"
        )
        assert len(joined) >= 20
    with capsys.disabled():
        print("\nMeasureReports to QPP JSON, equal to QRDA III written and converted: " + "; ".join(told))


def programmes_of(year: int) -> list[tuple[Programme, EntityType]]:
    """Every programme of a year with every type of entity that reports it."""
    known = {(one.name, one.entity_type) for one in year_data(year).programmes.values()}
    found = [
        (programme, entity)
        for programme in (Programme.MIPS, Programme.APP, Programme.APP_PLUS)
        for entity in EntityType
        if (str(programme), str(entity)) in known
    ]
    return [*found, (Programme.MVP, EntityType.GROUP), (Programme.MVP, EntityType.SUBGROUP)]


@pytest.mark.parametrize("year", YEARS)
def test_the_decks_submissions_have_no_problem_but_the_programmes_measures(
    evaluated: list[tuple[dict[str, Any], list[dict[str, Any]]]], year: int
) -> None:
    """Measures that traditional MIPS does not take are told; counts, strata and kinds are all in order."""
    reports = [of_year(summary, year) for summary, _ in evaluated]
    takeable = []
    for one in reports:
        try:
            submission_of_reports([one], described(year))
        except ContentError:
            continue
        takeable.append(one)
    content = to_json(submission_of_reports(takeable, described(year)))
    codes = {one.code for one in validate_json(content)}
    assert codes <= {"SV-measure-programme"}
    assert len(content["measurementSets"][0]["measurements"]) == len(takeable) >= 20


def test_individual_reports_add_up_to_the_summary(
    evaluated: list[tuple[dict[str, Any], list[dict[str, Any]]]],
) -> None:
    for summary, individuals in evaluated:
        parts = [of_year(one, 2026) for one in individuals]
        (added,) = summed(parts)
        assert len(parts) >= 9
        assert counts(added) == counts(summary)


def counts(report: dict[str, Any]) -> list[list[int]]:
    return [[one["count"] for one in group["population"]] for group in report["group"]]


def test_a_rate_has_its_counts_and_who_did_not_meet_it() -> None:
    assert values(report("CMS22", {"IPOP": 90, "DENOM": 80, "DENEX": 5, "NUMER": 30, "DENEXCEP": 7})) == {
        "317": {
            "isEndToEndReported": True,
            "performanceMet": 30,
            "performanceNotMet": 38,
            "eligiblePopulation": 80,
            "eligiblePopulationExclusion": 5,
            "eligiblePopulationException": 7,
        }
    }


def test_groups_of_one_rate_are_added_up() -> None:
    first = {"IPOP": 90, "DENOM": 40, "NUMER": 30, "DENEXCEP": 2}
    second = {"IPOP": 90, "DENOM": 20, "NUMER": 5, "DENEXCEP": 1}
    value = values(report("CMS145", first, second))["007"]
    assert (value["performanceMet"], value["eligiblePopulation"], value["performanceNotMet"]) == (35, 60, 22)


@pytest.mark.parametrize("year", YEARS)
def test_groups_of_several_rates_are_named_strata(year: int) -> None:
    groups = [{"IPOP": 9, "DENOM": 9, "DENEX": 1, "NUMER": met} for met in (3, 4, 5)]
    strata = values(report("CMS155", *groups, year=year), year=year)["239"]["strata"]
    assert [(one["stratum"], one["performanceMet"]) for one in strata] == [
        ("percentiles", 3),
        ("nutrition", 4),
        ("physicalActivity", 5),
    ]


def test_a_stratum_that_the_ecqm_does_not_count_is_sent_with_zeros() -> None:
    counted = {"IPOP": 9, "DENOM": 9, "DENEX": 1, "NUMER": 3}
    _, adults = values(report("CMS159", counted))["370"]["strata"]
    assert adults == {
        "stratum": "adults",
        "performanceMet": 0,
        "performanceNotMet": 0,
        "eligiblePopulation": 0,
        "eligiblePopulationExclusion": 0,
    }


def test_who_is_excluded_from_the_numerator_has_not_met_the_measure() -> None:
    """CMS's frequently asked questions, measure 238."""
    plain = {"IPOP": 50, "DENOM": 50, "DENEX": 5, "NUMER": 20}
    excluding = {"IPOP": 50, "DENOM": 50, "DENEX": 5, "NUMER": 20, "NUMEX": 4}
    given = report("CMS156", plain, excluding, plain, year=2023)
    first, second, _ = values(given, year=2023)["238"]["strata"]
    assert (first["performanceMet"], first["performanceNotMet"]) == (20, 25)
    assert (second["performanceMet"], second["performanceNotMet"]) == (16, 29)


def test_certification_goes_where_the_year_wants_it() -> None:
    sets = {}
    for year in YEARS:
        one = report("CMS165", {"IPOP": 1, "DENOM": 1, "DENEX": 0, "NUMER": 1}, year=year)
        made = to_json(submission_of_reports([one], described(year, **attested(year))))
        sets[year] = {part["category"] for part in made["measurementSets"] if "cehrtId" in part}
    assert sets == {2023: {"pi"}, 2024: {"pi"}, 2025: {"quality", "pi"}, 2026: {"quality", "pi"}}


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        ([], "nothing to report"),
        ([report("CMS999", {"IPOP": 1})], "no eCQM CMS999"),
        ([report("CMS165", {"IPOP": 1, "DENOM": 1})], "does not count"),
        ([report("CMS165", {"IPOP": 1}, year=2024)], "(?s)does not count|performance year"),
        ([report("CMS155", {"IPOP": 1, "DENOM": 1, "DENEX": 0, "NUMER": 0})], "groups"),
        ([report("CMS165", {"IPOP": 1})] * 2, "not all are of individuals"),
        (
            [report("CMS165", {"IPOP": 1}, type="individual"), report("CMS165", {}, type="individual")],
            "periods, statuses or groups",
        ),
    ],
)
def test_reports_that_make_no_submission_are_told(reports: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ContentError, match=told) as caught:
        submission_of_reports(reports, described())
    assert caught.value.mend


def test_reports_of_another_year_are_told() -> None:
    one = report("CMS165", {"IPOP": 1, "DENOM": 1, "DENEX": 0, "NUMER": 1}, year=2024)
    with pytest.raises(ContentError, match="not of performance year 2025"):
        submission_of_reports([one], described())


@pytest.mark.parametrize("year", GUIDED_YEARS)
def test_the_two_rooms_name_the_rates_of_a_measure_alike(year: int) -> None:
    """QRDA's groups and the programme's strata come from one source by two ways."""
    for one in year_data(year).measures.values():
        measure = programme_year(year).ecqm(one.ecqm_id.split("v")[0])
        assert measure is not None
        assert (measure.measure_id, measure.metric_type) == (one.measure_id, one.metric_type)
        assert measure.ecqm_rates == len(one.reported_groups)
        assert one.groups[: measure.ecqm_rates] == one.reported_groups
        if measure.strata:
            assert [group.name for group in one.groups] == list(measure.strata)
