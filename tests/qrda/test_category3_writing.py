"""QRDA III written from reports of our own: what is in it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from given_reports import (
    AT,
    SDE,
    by_element,
    counts_of,
    described,
    group,
    measures_of,
    population,
    read_back,
    report,
    stratum,
    values_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree, isoschematron
from shared_inputs import shared

from measurewise.engine.errors import ContentError, MeasurewiseError
from measurewise.qrda.category3.conversion import convert
from measurewise.qrda.category3.document import Kind
from measurewise.qrda.category3.writing.description import (
    Attestation,
    DescriptionError,
    Entity,
    EntityType,
    ImprovementActivities,
    Programme,
    PromotingInteroperability,
    Proportion,
    is_npi,
)
from measurewise.qrda.category3.writing.document import write
from measurewise.qrda.category3.writing.quality_section import rate_text
from measurewise.qrda.category3.writing.year import cms_number, year_identifiers

COUNTS = {"IPOP": 100, "DENOM": 90, "DENEX": 10, "NUMER": 60}
GUIDS = year_identifiers(2025).measures["CMS165"].groups[0].populations
ATTESTED = {
    "promoting_interoperability": PromotingInteroperability(
        date(2025, 1, 1),
        date(2025, 6, 30),
        (Proportion("PI_EP_1", 5, 8), Attestation("PI_PPHI_1"), Attestation("PI_EP_2_EX_1", False)),
    ),
    "improvement_activities": ImprovementActivities(
        date(2025, 2, 1), date(2025, 5, 1), (Attestation("IA_EPA_3"), Attestation("IA_PM_2", False))
    ),
}


def refused(error: type[MeasurewiseError] = ContentError, **changed: Any) -> str:
    """Why a report is refused."""
    given_report = changed.pop("report", report("CMS165", group(COUNTS)))
    reports = given_report if isinstance(given_report, list) else [given_report]
    with pytest.raises(error) as raised:
        write(reports, described(**changed), AT)
    assert raised.value.mend
    return str(raised.value)


def test_counts_stand_under_the_guids_of_the_year() -> None:
    written = write([report("CMS165", group(COUNTS))], described(), AT)
    (measure,) = measures_of(written.xml)
    assert measure.measure_ids == (year_identifiers(2025).measures["CMS165"].uuid,)
    assert counts_of(measure) == {GUIDS[code]: count for code, count in COUNTS.items()}
    assert [part.code for part in measure.of(Kind.MEASURE_DATA)] == [
        ("IPOP",),
        ("DENOM",),
        ("DENEX",),
        ("NUMER",),
    ]
    assert written.notices == ()


def test_every_value_of_supplemental_data_is_counted_within_each_population_also_by_zero() -> None:
    women = {"IPOP": 70, "DENOM": 65, "DENEX": 6, "NUMER": 50}
    men = {"IPOP": 30, "DENOM": 25, "DENEX": 4, "NUMER": 10}
    by_sex = by_element("sex", stratum(women, "F"), stratum(men, "248153007"))
    rest = [by_element(name, stratum(COUNTS, SDE[name][-1])) for name in ("ethnicity", "race", "payer")]
    written = write([report("CMS165", group(COUNTS, by_sex, *rest, everyone=False))], described(), AT)
    for part in measures_of(written.xml)[0].of(Kind.MEASURE_DATA):
        code = part.code[0]
        assert values_of(part, Kind.SEX) == {"M": men[code], "F": women[code]}
        assert values_of(part, Kind.ETHNICITY) == {"2186-5": 0, "2135-2": COUNTS[code]}
        assert values_of(part, Kind.RACE) == {**dict.fromkeys(SDE["race"], 0), "2131-1": COUNTS[code]}
        assert values_of(part, Kind.PAYER) == {"A": 0, "B": 0, "C": 0, "D": COUNTS[code]}


def test_who_has_several_races_or_payers_counts_once_under_each() -> None:
    one = dict.fromkeys(COUNTS, 1)
    counts = dict.fromkeys(COUNTS, 3)
    by_payer = by_element(
        "payer", stratum(one, "111", "121"), stratum(one, "1", "2"), stratum(one, "611", "59")
    )
    by_race = by_element(
        "race", stratum(one, "2106-3", "2028-9"), stratum(one, "2106-3", "1586-7"), stratum(one, "1586-7")
    )
    rest = [by_element(name, stratum(counts, SDE[name][0])) for name in ("sex", "ethnicity")]
    written = write(
        [report("CMS165", group(counts, by_payer, by_race, *rest, everyone=False))], described(), AT
    )
    part = measures_of(written.xml)[0].of(Kind.MEASURE_DATA)[0]
    assert values_of(part, Kind.PAYER) == {"A": 2, "B": 1, "C": 1, "D": 0}
    assert values_of(part, Kind.RACE) == {
        **dict.fromkeys(SDE["race"], 0),
        "2106-3": 2,
        "2028-9": 1,
        "UNK": 1,
    }
    (notice,) = written.notices
    assert "race unknown, for want of a value for 1586-7" in notice


def test_reports_of_others_are_read_by_loinc_codes_and_without_what_is_zero() -> None:
    loinc = {"sex": "76689-9", "ethnicity": "69490-1", "race": "72826-1", "payer": "48768-6"}
    few = {code: count for code, count in COUNTS.items() if code != "DENEX"}
    stratifiers: list[dict[str, Any]] = [
        {
            "code": [{"coding": [{"system": "http://loinc.org", "code": code}]}],
            "stratum": [stratum(COUNTS if name != "sex" else few, SDE[name][0])],
        }
        for name, code in loinc.items()
    ]
    written = write([report("CMS165", group(COUNTS, *stratifiers, everyone=False))], described(), AT)
    parts = {part.code[0]: part for part in measures_of(written.xml)[0].of(Kind.MEASURE_DATA)}
    assert values_of(parts["NUMER"], Kind.SEX) == {"M": 60, "F": 0}
    assert values_of(parts["DENEX"], Kind.SEX) == {"M": 0, "F": 0}
    assert values_of(parts["DENEX"], Kind.PAYER) == {"A": 10, "B": 0, "C": 0, "D": 0}
    assert written.notices == (
        "CMS165 (CMS165v13): of 10 in denominator-exclusion, only 0 are counted by sex.",
    )


def test_a_value_may_be_told_by_its_name_alone() -> None:
    half = {code: count // 2 for code, count in COUNTS.items()}
    by_sex = by_element("sex", stratum(half, text="female"), stratum(half, text="Somewhat"))
    rest = [by_element(name, stratum(COUNTS, SDE[name][0])) for name in ("ethnicity", "race", "payer")]
    written = write([report("CMS165", group(COUNTS, by_sex, *rest, everyone=False))], described(), AT)
    part = measures_of(written.xml)[0].of(Kind.MEASURE_DATA)[0]
    assert values_of(part, Kind.SEX) == {"M": 0, "F": 50, "UNK": 50}
    assert "a value for Somewhat" in written.notices[0]


def test_who_is_unknown_is_counted_as_such_and_told_where_that_cannot_be_written() -> None:
    known = {code: count - 5 for code, count in COUNTS.items()}
    five = dict.fromkeys(COUNTS, 5)
    stratifiers = [
        by_element(name, stratum(known, codes[0]), stratum(five, "unknown")) for name, codes in SDE.items()
    ]
    for one in stratifiers:
        one["stratum"][1]["value"]["coding"][0]["system"] = (
            "http://terminology.hl7.org/CodeSystem/data-absent-reason"
        )
    written = write([report("CMS165", group(COUNTS, *stratifiers, everyone=False))], described(), AT)
    part = measures_of(written.xml)[0].of(Kind.MEASURE_DATA)[0]
    assert values_of(part, Kind.SEX) == {"M": 95, "F": 0, "UNK": 5}
    assert values_of(part, Kind.PAYER) == {"A": 95, "B": 0, "C": 0, "D": 0}
    assert written.notices == (
        "CMS165 (CMS165v13): 5 of 100 have no known payer; QRDA III has no value for that, and they are in "
        "none.",
    )


def test_strata_count_those_of_whom_the_stratifier_is_true() -> None:
    parts = [{code: count // number for code, count in COUNTS.items()} for number in (2, 4)]
    stratifiers = [
        {
            "id": f"Stratification_1_{place}",
            "stratum": [stratum(COUNTS, text="false"), stratum(part, text="true")],
        }
        for place, part in enumerate(parts, 1)
    ]
    written = write([report("CMS130", group(COUNTS, *stratifiers))], described(), AT)
    strata = year_identifiers(2025).measures["CMS130"].groups[0].strata
    for part in measures_of(written.xml)[0].of(Kind.MEASURE_DATA):
        found = {one.references[0]: one.count for one in part.of(Kind.STRATUM)}
        assert found == {guid: counts[part.code[0]] for guid, counts in zip(strata, parts, strict=True)}
    assert written.notices == ()


def test_strata_that_the_year_or_the_report_lacks_are_told() -> None:
    yes = {"id": "s", "stratum": [stratum(COUNTS, text="true")]}
    other = write([report("CMS165", group(COUNTS, yes))], described(), AT)
    assert other.notices == ("CMS165 (CMS165v13): 1 strata are left out; 2025 has no GUIDs for them.",)
    lacking = write([report("CMS130", group(COUNTS))], described(), AT)
    assert "2025 has 2 strata and the report 0" in lacking.notices[0]
    assert not any(part.of(Kind.STRATUM) for part in measures_of(lacking.xml)[0].parts)


def test_the_performance_rate_leaves_exclusions_and_exceptions_out_and_is_na_over_nothing() -> None:
    counts = {"IPOP": 40, "DENOM": 37, "DENEX": 3, "DENEXCEP": 4, "NUMER": 11}
    nothing = {"IPOP": 9, "DENOM": 7, "DENEX": 3, "DENEXCEP": 4, "NUMER": 0}
    written = write([report("CMS22", group(counts)), report("CMS69", group(nothing))], described(), AT)
    rates = [measure.of(Kind.PERFORMANCE_RATE)[0] for measure in measures_of(written.xml)]
    assert rates[0].texts("c:value/@value") == ("0.366667",)
    assert rates[0].references == (year_identifiers(2025).measures["CMS22"].groups[0].populations["NUMER"],)
    assert rates[1].texts("c:value/@nullFlavor") == ("NA",)
    assert rates[1].texts("c:value/@value") == ()


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Fraction(1), "1"),
        (Fraction(0), "0"),
        (Fraction(1, 2), "0.5"),
        (Fraction(2, 3), "0.666667"),
        (Fraction(1, 10**7), "0"),
        (Fraction(999_999_999, 10**9), "1"),
    ],
)
def test_rates_have_at_most_six_decimals(rate: Fraction, text: str) -> None:
    assert rate_text(rate) == text


def test_numerator_exclusions_are_taken_off_the_numerator() -> None:
    counts = {"IPOP": 20, "DENOM": 20, "DENEX": 2, "NUMER": 9, "NUMEX": 3}
    written = write([report("CMS249", group(counts), year=2024)], described(2024), AT)
    (rate,) = written.measures[0].rates
    assert rate.performance_rate == Fraction(9 - 3, 20 - 2)
    guids = year_identifiers(2024).numerator_exclusions["CMS249v6"]
    assert counts_of(measures_of(written.xml)[0])[str(guids[0])] == 3


def test_the_same_report_and_time_give_the_same_bytes_and_another_gives_other_ids() -> None:
    first = write([report("CMS165", group(COUNTS))], described(), AT)
    again = write([report("CMS165", group(COUNTS))], described(), AT)
    later = write([report("CMS165", group(COUNTS))], described(), AT.replace(hour=9))
    other = write([report("CMS165", group({**COUNTS, "NUMER": 59}))], described(), AT)
    assert first.xml == again.xml
    ids = [read_back(one.xml).at.find("{*}id").get("root") for one in (first, later, other)]
    assert len(set(ids)) == 3


def test_a_measure_without_a_cms_number_in_its_url_is_found_by_its_identifiers() -> None:
    url = "https://madie.cms.gov/Measure/OncologyPainIntensityQuantifiedFHIR"
    counts = {"IPOP": 10, "DENOM": 10, "NUMER": 4}
    given_report = report("", group(counts), group(counts), measure=f"{url}|0.3.000")
    measure = {"url": url, "identifier": [{"value": "CMS157FHIR"}, {"value": "urn:uuid:b7b487bf"}]}
    written = write([given_report], described(), AT, measures=[measure])
    assert written.measures[0].identifiers.ecqm_id == "CMS157v13"
    assert "has no CMS number" in refused(report=given_report)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("CMS0334FHIRPCCesareanBirth", "CMS334"),
        ("CMSFHIR844Hybrid", "CMS844"),
        ("CMS122v13", "CMS122"),
        ("OncologyPainIntensityQuantifiedFHIR", None),
    ],
)
def test_the_cms_number_is_read_out_of_names(name: str, number: str | None) -> None:
    assert cms_number(name) == number


def test_a_measure_that_the_year_lacks_is_an_error() -> None:
    one = report("CMS1056", group(COUNTS), year=2024)
    assert "performance year 2024 has no eCQM CMS1056" in refused(report=one, year=2024)


def test_counts_that_the_year_has_no_population_for_are_an_error_and_nothing_is_a_notice() -> None:
    with_exception = {**COUNTS, "DENEXCEP": 2}
    one = report("CMS349", group(with_exception), year=2023)
    assert "counts 2 under denominator-exception" in refused(report=one, year=2023)
    none = report("CMS349", group({**COUNTS, "DENEXCEP": 0}), year=2023)
    assert "0 and left out" in write([none], described(2023), AT).notices[0]


def test_populations_that_the_report_does_not_count_are_an_error() -> None:
    less = {code: count for code, count in COUNTS.items() if code != "DENEX"}
    assert "does not count denominator-exclusion" in refused(report=report("CMS165", group(less)))
    assert "has 1 groups; the measure of 2025 has 3" in refused(report=report("CMS155", group(COUNTS)))


@pytest.mark.parametrize("name", SDE)
def test_supplemental_data_are_never_made_up(name: str) -> None:
    others = [by_element(one, stratum(COUNTS, codes[0])) for one, codes in SDE.items() if one != name]
    one = report("CMS165", group(COUNTS, *others, everyone=False))
    assert f"does not count its populations by {name}" in refused(report=one)
    written = write([one], described(), AT, missing_supplemental_data="leave-out")
    assert name in written.notices[0]
    kind = {"sex": Kind.SEX, "ethnicity": Kind.ETHNICITY, "race": Kind.RACE, "payer": Kind.PAYER}[name]
    assert not any(part.of(kind) for part in measures_of(written.xml)[0].parts)


def test_nobody_in_the_initial_population_has_zero_of_everything() -> None:
    written = write([report("CMS165", group(dict.fromkeys(COUNTS, 0), everyone=False))], described(), AT)
    part = measures_of(written.xml)[0].of(Kind.MEASURE_DATA)[0]
    assert values_of(part, Kind.RACE) == dict.fromkeys(SDE["race"], 0)


def test_strata_that_do_not_add_up_are_told() -> None:
    half = {code: count // 2 for code, count in COUNTS.items()}
    stratifiers = [by_element(name, stratum(half, codes[0])) for name, codes in SDE.items()]
    notices = write([report("CMS165", group(COUNTS, *stratifiers, everyone=False))], described(), AT).notices
    assert "CMS165 (CMS165v13): of 100 in initial-population, only 50 are counted by sex." in notices


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"type": "individual"}, "no summary MeasureReport but individual"),
        ({"status": "pending"}, "status is pending"),
        ({"period": {"start": "2024-01-01", "end": "2024-12-31"}}, "not of performance year 2025"),
        ({"period": {"start": "2025"}}, "not given to the day"),
        ({"group": [group({**COUNTS, "NUMER": -1})]}, "no whole number"),
        ({"group": [{"population": [population("IPOP", 1)] * 2}]}, "has once"),
    ],
)
def test_reports_that_cannot_be_reported_are_refused(changed: dict[str, Any], told: str) -> None:
    assert told in refused(report=report("CMS165", group(COUNTS), **changed))


def test_reports_of_the_same_measure_or_of_different_periods_are_refused() -> None:
    one = report("CMS165", group(COUNTS))
    assert "two reports of CMS165" in refused(report=[one, one])
    half = report("CMS122", group(COUNTS), period={"start": "2025-01-01", "end": "2025-06-30"})
    assert "different periods: 2025-01-01 to 2025-06-30, 2025-01-01 to 2025-12-31" in refused(
        report=[one, half]
    )


def test_what_is_attested_is_written_and_converts() -> None:
    written = write([report("CMS165", group(COUNTS))], described(**ATTESTED), AT)
    answer = convert(written.xml)
    assert (answer.status, answer.codes) == ("OK", ())
    assert answer.qpp is not None
    sets = {one["category"]: one for one in answer.qpp["measurementSets"]}
    assert sets["pi"]["performanceEnd"] == "2025-06-30"
    assert sets["pi"]["cehrtId"] == "0015CABCDEFGHIJ"
    assert sets["pi"]["measurements"] == [
        {"measureId": "PI_EP_1", "value": {"numerator": 5, "denominator": 8}},
        {"measureId": "PI_PPHI_1", "value": True},
        {"measureId": "PI_EP_2_EX_1", "value": False},
    ]
    assert (sets["ia"]["performanceStart"], sets["ia"]["performanceEnd"]) == ("2025-02-01", "2025-05-01")
    assert sets["ia"]["measurements"] == [
        {"measureId": "IA_EPA_3", "value": True},
        {"measureId": "IA_PM_2", "value": False},
    ]
    assert sets["quality"]["measurements"][0]["value"]["performanceMet"] == 60


def attesting(*measures: Proportion | Attestation) -> dict[str, Any]:
    period = (date(2025, 1, 1), date(2025, 12, 31))
    return {"promoting_interoperability": PromotingInteroperability(*period, measures)}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (attesting(Attestation("PI_EP_1")), "reported as yes or no, and is a proportion"),
        (attesting(Proportion("PI_PPHI_1", 1, 2)), "reported as numbers, and is a boolean"),
        (attesting(Attestation("PI_NONE_1")), "no Promoting Interoperability measure of this id"),
        ({"programme": Programme.MVP, "mvp": "G9999"}, "G9999 is no MVP of 2025"),
        ({"year": 2024, "programme": Programme.APP_PLUS}, "in 2024 there is no appPlus"),
        ({"programme": Programme.APP, "entity": EntityType.VIRTUAL_GROUP}, "apm, group, individual"),
        ({"cehrt_id": None}, "need a CMS EHR Certification ID"),
    ],
)
def test_what_the_year_or_programme_does_not_take_is_refused(changed: dict[str, Any], told: str) -> None:
    assert told in refused(DescriptionError, **changed)


def test_nothing_to_report_is_refused() -> None:
    assert "nothing to report" in refused(DescriptionError, report=[])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Entity(EntityType.GROUP, "Clinic"), "tin is missing"),
        (lambda: Entity(EntityType.GROUP, "Clinic", tin="12-3456789"), "not 9 digits"),
        (
            lambda: Entity(EntityType.GROUP, "Clinic", tin="123456789", npi="1234567893"),
            "npi is not reported",
        ),
        (lambda: Entity(EntityType.INDIVIDUAL, "Clinic", tin="123456789", npi="1234567890"), "check digit"),
        (lambda: Entity(EntityType.APM, " ", id="A1"), "has no name"),
        (lambda: Entity(EntityType.APM, "Cli\x00nic", id="A1"), "name has characters"),
        (lambda: Entity(EntityType.APM, "Clinic", id="A\n1"), "id has characters"),
        (lambda: described(software="\x1b[0m"), "software has characters"),
        (lambda: described(2026, document_template="2025"), "it is no date"),
        (lambda: Proportion("PI_EP_1", 3, 2), "do not fit"),
        (lambda: described(programme=Programme.MVP, entity=EntityType.VIRTUAL_GROUP), "virtual groups"),
        (lambda: described(mvp="G0057"), "go together"),
        (lambda: described(cehrt_id="0015C"), "15 letters and digits"),
        (lambda: described(**attesting()), "nothing in it"),
        (lambda: described(**attesting(Attestation("PI_EP_2"), Attestation("PI_EP_2"))), "given twice"),
        (lambda: described(2024, **attesting(Attestation("PI_EP_2"))), "is no period of 2024"),
    ],
)
def test_descriptions_that_nobody_takes_are_refused(make: Any, told: str) -> None:
    with pytest.raises(DescriptionError, match=told):
        make()


def test_npis_are_known_by_their_check_digit() -> None:
    assert is_npi("1234567893")
    assert [digit for digit in "0123456789" if is_npi(f"123456789{digit}")] == ["3"]
    assert not is_npi("12345678931")


def test_a_subgroup_without_an_mvp_is_told() -> None:
    written = write([report("CMS165", group(COUNTS))], described(entity=EntityType.SUBGROUP), AT)
    assert "subgroups report MVPs" in written.notices[0]


def test_2026_has_identifiers_and_no_guide() -> None:
    one = report("CMS165", group(COUNTS), year=2026)
    told = refused(report=one, year=2026)
    assert "guide of 2026 is not at hand" in told
    assert "documentTemplate" in told
    written = write([one], described(2026, document_template="2025-12-01"), AT)
    known = year_identifiers(2026).measures["CMS165"]
    assert measures_of(written.xml)[0].measure_ids == (known.uuid,)
    assert read_back(written.xml).template_extensions == ("2025-12-01",)
    assert "as given" in written.notices[0]


def test_a_year_without_identifiers_is_refused() -> None:
    assert "no identifiers for performance year 2022" in refused(year=2022)


@st.composite
def any_counts(draw: st.DrawFn, codes: tuple[str, ...]) -> dict[str, int]:
    """Counts that a proportion measure may have, up to the largest that QRDA III takes."""
    initial = draw(st.integers(0, 2**31 - 1))
    denominator = draw(st.integers(0, initial))
    excluded = draw(st.integers(0, denominator)) if "DENEX" in codes else 0
    numerator = draw(st.integers(0, denominator - excluded))
    excepted = draw(st.integers(0, denominator - excluded - numerator)) if "DENEXCEP" in codes else 0
    counts = {"IPOP": initial, "DENOM": denominator, "DENEX": excluded, "NUMER": numerator}
    counts["DENEXCEP"] = excepted
    return {code: counts[code] for code in codes}


YEAR_AND_MEASURE = [(year, name) for year in (2023, 2024, 2025) for name in year_identifiers(year).measures]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(YEAR_AND_MEASURE))
def test_whatever_the_counts_they_read_back_equal_and_convert(
    data: st.DataObject, which: tuple[int, str]
) -> None:
    year, name = which
    identifiers = year_identifiers(year).measures[name]
    extra = year_identifiers(year).numerator_exclusions.get(identifiers.ecqm_id)
    rates = [data.draw(any_counts(tuple(own.populations))) for own in identifiers.reported_groups]
    groups = [group({**counts, "NUMEX": 0} if extra else counts) for counts in rates]
    written = write([report(name, *groups, year=year)], described(year), AT)
    expected = {
        guid: counts[code]
        for own, counts in zip(identifiers.reported_groups, rates, strict=True)
        for code, guid in own.populations.items()
    }
    (measure,) = measures_of(written.xml)
    assert {guid: count for guid, count in counts_of(measure).items() if guid in expected} == expected
    answer = convert(written.xml)
    assert (answer.status, answer.codes) == ("OK", ())


def judged_by_lxml(xml: bytes, year: int) -> list[str]:
    """What CMS's schematron says through lxml's own implementation of ISO Schematron."""
    path = shared("qrda") / "category3" / "schematron" / f"PY{year}" / "EP_CAT_III.sch"
    vocabulary = (path.parent / "voc.xml").as_uri()
    text = path.read_text("utf-8").replace("document('voc.xml')", f"document('{vocabulary}')")
    rules = isoschematron.Schematron(etree.fromstring(text.encode()), phase="errors", store_report=True)
    rules.validate(etree.fromstring(xml))
    failed: Iterator[Any] = rules.validation_report.iter("{http://purl.oclc.org/dsdl/svrl}failed-assert")
    return [one.get("id") for one in failed]


@pytest.mark.parametrize("year", [2023, 2024, 2025])
def test_cms_has_nothing_against_it_and_would_say_so_if_it_had(year: int) -> None:
    period = {"start": date(year, 1, 1), "end": date(year, 12, 31)}
    attested = {
        "promoting_interoperability": PromotingInteroperability(
            **period, measures=(Proportion("PI_EP_1", 5, 8), Attestation("PI_PPHI_1"))
        ),
        "improvement_activities": ImprovementActivities(**period, activities=(Attestation("IA_EPA_3"),)),
    }
    reports = [report("CMS165", group(COUNTS), year=year)]
    written = write(reports, described(year, **attested), AT)
    assert judged_by_lxml(written.xml, year) == []
    schema = shared("qrda") / "xsd" / "infrastructure" / "cda" / "CDA_SDTC.xsd"
    etree.XMLSchema(etree.parse(schema)).assertValid(etree.fromstring(written.xml))
    bare = [report("CMS165", group(COUNTS, everyone=False), year=year)]
    without = write(bare, described(year), AT, missing_supplemental_data="leave-out")
    assert "a-4427-18141_C01-error" in judged_by_lxml(without.xml, year)


@pytest.mark.parametrize("year", [2023, 2024, 2025])
def test_every_template_stands_in_the_years_schematron(year: int) -> None:
    from measurewise.qrda.category3.writing.year import guide

    text = (shared("qrda") / "category3" / "schematron" / f"PY{year}" / "EP_CAT_III.sch").read_text("utf-8")
    for template in guide(year).templates.values():
        extension = f"[@extension='{template.extension}']" if template.extension else ""
        assert f"[@root='{template.root}']{extension}" in text.replace(" = ", "=")
