"""Each rule of the submissions API: what breaks it is told with code and place, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from qpp_examples import (
    NPI,
    PI_MEASUREMENTS,
    RATE,
    activities,
    promoting,
    quality,
    registry,
    submission,
)

import measurewise.mips
from measurewise.mips.programme_year import YEARS, ProgrammeMeasure, programme_year
from measurewise.mips.submission.validation import is_clean, validate_json

TEXTS = json.loads(
    (Path(measurewise.mips.__file__).parent / "data" / "submission_problems.json").read_text("utf-8")
)["problems"]
SET = "/measurementSets/0"
FIRST = f"{SET}/measurements/0"
MVP = "G0053"
APM = {
    "entityType": "apm",
    "entityId": "AR1898",
    "taxpayerIdentificationNumber": None,
    "nationalProviderIdentifier": None,
}


def found(content: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.code, one.pointer) for one in validate_json(content)]


def without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}


def one_rate(measure: str = "236", **changes: Any) -> dict[str, Any]:
    value = {name: value for name, value in {**RATE, **changes}.items() if value is not None}
    return {"measureId": measure, "value": value}


def rate(**changes: Any) -> dict[str, Any]:
    return submission(quality(measurements=[one_rate(**changes)]))


def strata(*names: str, measure: str = "239", **changes: Any) -> dict[str, Any]:
    counts = {name: value for name, value in RATE.items() if name != "isEndToEndReported"}
    value = {
        "isEndToEndReported": True,
        "strata": [{**counts, **changes, "stratum": name} for name in names],
    }
    return {"measureId": measure, "value": value}


def pi(*changed: tuple[str, Any], **changes: Any) -> dict[str, Any]:
    """The complete PI set with values replaced, added, or (None) taken away."""
    values = {one["measureId"]: one["value"] for one in PI_MEASUREMENTS}
    values.update(changed)
    kept = [{"measureId": name, "value": value} for name, value in values.items() if value is not None]
    return submission(promoting(measurements=kept, **changes))


def at(content: dict[str, Any], measure: str) -> str:
    """The pointer to a measure's measurement in the first set."""
    names = [one["measureId"] for one in content["measurementSets"][0]["measurements"]]
    return f"{SET}/measurements/{names.index(measure)}"


CASES: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("no year", submission(performanceYear=None), [("SV-missing", "/performanceYear")]),
    ("year as text", submission(performanceYear="2025"), [("SV-type", "/performanceYear")]),
    ("unknown year", submission(performanceYear=2019), [("SV-year", "/performanceYear")]),
    ("no entity type", submission(entityType=None), [("SV-missing", "/entityType")]),
    ("strange entity", submission(entityType="practice"), [("SV-entity-type", "/entityType")]),
    (
        "no TIN",
        submission(taxpayerIdentificationNumber=None),
        [("SV-missing", "/taxpayerIdentificationNumber")],
    ),
    (
        "TIN with hyphen",
        submission(taxpayerIdentificationNumber="12-3456789"),
        [("SV-tin", "/taxpayerIdentificationNumber")],
    ),
    ("no NPI", submission(nationalProviderIdentifier=None), [("SV-missing", "/nationalProviderIdentifier")]),
    ("short NPI", submission(nationalProviderIdentifier="123"), [("SV-npi", "/nationalProviderIdentifier")]),
    (
        "mistyped NPI",
        submission(nationalProviderIdentifier="1234567894"),
        [("SV-npi-check-digit", "/nationalProviderIdentifier")],
    ),
    (
        "group with NPI",
        submission(entityType="group"),
        [("SV-identifier-unused", "/nationalProviderIdentifier")],
    ),
    ("individual with entity id", submission(entityId="A1"), [("SV-identifier-unused", "/entityId")]),
    (
        "APM entity without id",
        submission(entityType="apm", taxpayerIdentificationNumber=None, nationalProviderIdentifier=None),
        [("SV-missing", "/entityId")],
    ),
    (
        "virtual group with TIN",
        submission(entityType="virtualGroup", entityId="VG1", nationalProviderIdentifier=None),
        [("SV-identifier-unused", "/taxpayerIdentificationNumber")],
    ),
    (
        "subgroup id of another form",
        submission(
            quality(programName=MVP, measurements=[one_rate("130")]),
            entityType="subgroup",
            entityId="1",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-entity-id", "/entityId")],
    ),
    ("no sets", submission(measurementSets=[]), [("SV-no-sets", "/measurementSets")]),
    ("sets absent", submission(measurementSets=None), [("SV-no-sets", "/measurementSets")]),
    ("sets no list", submission(measurementSets={}), [("SV-type", "/measurementSets")]),
    ("a set no object", submission(measurementSets=[1]), [("SV-type", "/measurementSets/0")]),
    ("no category", submission(without(quality(), "category")), [("SV-missing", f"{SET}/category")]),
    ("cost category", submission(quality(category="cost")), [("SV-category", f"{SET}/category")]),
    (
        "no method",
        submission(without(quality(), "submissionMethod")),
        [("SV-missing", f"{SET}/submissionMethod")],
    ),
    (
        "claims",
        submission(quality(submissionMethod="claims")),
        [("SV-method", f"{SET}/submissionMethod")],
    ),
    (
        "pcf after its end",
        submission(
            quality(programName="pcf", measurements=[one_rate()]),
            entityType="apm",
            entityId="AR1898",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-programme", f"{SET}/programName")],
    ),
    (
        "APP Plus before its time",
        submission(
            quality(
                programName="appPlus",
                performanceStart="2024-01-01",
                performanceEnd="2024-12-31",
                measurements=[one_rate()],
            ),
            performanceYear=2024,
        ),
        [("SV-programme", f"{SET}/programName")],
    ),
    (
        "virtual group in APP",
        submission(
            quality(programName="app1", measurements=[one_rate()]),
            entityType="virtualGroup",
            entityId="VG1",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-programme-entity", f"{SET}/programName")],
    ),
    (
        "activities for pcf",
        submission(
            activities(programName="PCF", performanceStart="2024-01-01", performanceEnd="2024-12-31"),
            performanceYear=2024,
            entityType="apm",
            entityId="AR1898",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-programme-category", f"{SET}/programName")],
    ),
    ("the same set twice", submission(quality(), quality()), [("SV-duplicate-set", "/measurementSets/1")]),
    (
        "the same set, its programme once unnamed",
        submission(quality(), without(quality(), "programName")),
        [("SV-duplicate-set", "/measurementSets/1")],
    ),
    (
        "the same measure twice",
        submission(quality(measurements=[one_rate(), one_rate()])),
        [("SV-duplicate-measure", f"{SET}/measurements/1/measureId")],
    ),
    (
        "no start",
        submission(without(quality(), "performanceStart")),
        [("SV-missing", f"{SET}/performanceStart")],
    ),
    (
        "a day that is none",
        submission(quality(performanceEnd="2025-02-30")),
        [("SV-date", f"{SET}/performanceEnd")],
    ),
    (
        "a day in another form",
        submission(quality(performanceEnd="20251231")),
        [("SV-date", f"{SET}/performanceEnd")],
    ),
    (
        "end before start",
        submission(activities(performanceStart="2025-06-01", performanceEnd="2025-05-31")),
        [("SV-period-order", f"{SET}/performanceEnd")],
    ),
    (
        "quality that ends the day before it starts",
        submission(quality(performanceStart="2025-06-01", performanceEnd="2025-05-31")),
        [("SV-period-order", f"{SET}/performanceEnd")],
    ),
    (
        "a day of activities",
        submission(activities(performanceEnd="2025-01-01")),
        [("SV-period-short", f"{SET}/performanceEnd")],
    ),
    (
        "a day by its week",
        submission(quality(performanceEnd="2025-W05-5")),
        [("SV-date", f"{SET}/performanceEnd")],
    ),
    (
        "virtual group in an MVP",
        submission(
            quality(programName=MVP, measurements=[one_rate("130")]),
            entityType="virtualGroup",
            entityId="VG1",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-programme-entity", f"{SET}/programName")],
    ),
    (
        "period of two years",
        submission(activities(performanceStart="2024-12-01")),
        [("SV-period-year", f"{SET}/performanceStart")],
    ),
    (
        "179 days of PI",
        submission(promoting(performanceStart="2025-07-06")),
        [("SV-period-short", f"{SET}/performanceEnd")],
    ),
    (
        "89 days of activities",
        submission(activities(performanceEnd="2025-03-30")),
        [("SV-period-short", f"{SET}/performanceEnd")],
    ),
    (
        "half a year of quality",
        submission(quality(performanceStart="2025-07-01")),
        [("SV-period-partial", f"{SET}/performanceStart")],
    ),
    (
        "PI without certification",
        submission(without(promoting(), "cehrtId")),
        [("SV-cehrt-missing", f"{SET}/cehrtId")],
    ),
    (
        "eCQMs without certification",
        submission(without(quality(), "cehrtId")),
        [("SV-cehrt-expected", f"{SET}/cehrtId")],
    ),
    (
        "hospital certification",
        submission(promoting(cehrtId="0015H1235689784")),
        [("SV-cehrt-format", f"{SET}/cehrtId")],
    ),
    ("empty set", submission(quality(measurements=[])), [("SV-empty-set", f"{SET}/measurements")]),
    (
        "no measure id",
        submission(quality(measurements=[{"value": RATE}])),
        [("SV-missing", f"{FIRST}/measureId")],
    ),
    (
        "no value",
        submission(quality(measurements=[{"measureId": "236"}])),
        [("SV-missing", f"{FIRST}/value")],
    ),
    (
        "a CMS number",
        submission(quality(measurements=[one_rate("CMS165")])),
        [("SV-measure-unknown", f"{FIRST}/measureId")],
    ),
    (
        "an activity among quality",
        submission(quality(measurements=[{"measureId": "IA_PM_2", "value": {"numerator": 1}}])),
        [("SV-measure-category", f"{FIRST}/measureId")],
    ),
    (
        "an eCQM-only measure by registry",
        submission(registry(strata("84Days", "180Days", measure="009", eligiblePopulationExclusion=0))),
        [("SV-measure-method", f"{FIRST}/measureId")],
    ),
    (
        "CAHPS",
        submission(registry({"measureId": "321", "value": {"score": 9}})),
        [("SV-measure-elsewhere", f"{FIRST}/measureId")],
    ),
    (
        "a measure of MVPs alone",
        submission(quality(measurements=[one_rate("128")])),
        [("SV-measure-programme", f"{FIRST}/measureId")],
    ),
    (
        "a value of another kind",
        submission(activities(measurements=[{"measureId": "IA_PM_2", "value": {"numerator": 1}}])),
        [("SV-value-kind", f"{FIRST}/value")],
    ),
    (
        "a yes for a rate",
        submission(quality(measurements=[{"measureId": "236", "value": True}])),
        [("SV-value-kind", f"{FIRST}/value")],
    ),
    (
        "one rate for several",
        submission(quality(measurements=[one_rate("239")])),
        [("SV-value-kind", f"{FIRST}/value")],
    ),
    (
        "not end to end told",
        rate(isEndToEndReported=None),
        [("SV-missing", f"{FIRST}/value/isEndToEndReported")],
    ),
    ("no numerator", rate(performanceMet=None), [("SV-missing", f"{FIRST}/value/performanceMet")]),
    ("half a patient", rate(performanceMet=60.5), [("SV-type", f"{FIRST}/value/performanceMet")]),
    ("a negative count", rate(performanceNotMet=-1), [("SV-negative", f"{FIRST}/value/performanceNotMet")]),
    (
        "more met than eligible",
        rate(performanceMet=101),
        [("SV-above-eligible", f"{FIRST}/value/performanceMet")],
    ),
    (
        "counts beyond the eligible",
        rate(performanceMet=70),
        [("SV-sum-above-eligible", f"{FIRST}/value/eligiblePopulation")],
    ),
    ("incomplete data", rate(eligiblePopulation=134), [("SV-completeness", f"{FIRST}/value")]),
    (
        "incomplete data of several rates",
        submission(
            quality(
                measurements=[strata("percentiles", "nutrition", "physicalActivity", eligiblePopulation=134)]
            )
        ),
        [("SV-completeness", f"{FIRST}/value")],
    ),
    (
        "no eligible population",
        rate(eligiblePopulation=None),
        [("SV-missing", f"{FIRST}/value/eligiblePopulation")],
    ),
    (
        "an eligible population below 0",
        rate(eligiblePopulation=-1),
        [("SV-negative", f"{FIRST}/value/eligiblePopulation")],
    ),
    (
        "strata that are null",
        submission(
            quality(
                measurements=[{"measureId": "239", "value": {"isEndToEndReported": True, "strata": None}}]
            )
        ),
        [("SV-missing", f"{FIRST}/value/strata")],
    ),
    (
        "exclusions of a CQM",
        submission(registry(one_rate())),
        [("SV-cqm-exclusion", f"{FIRST}/value/eligiblePopulationExclusion")],
    ),
    (
        "a QCDR measure without its rate",
        submission(registry(one_rate("ACR12"))),
        [("SV-rate-missing", f"{FIRST}/value/performanceRate")],
    ),
    (
        "a rate above 100",
        submission(registry(one_rate("ACR12", performanceRate=100.5))),
        [("SV-rate-range", f"{FIRST}/value/performanceRate")],
    ),
    (
        "a stratum too few",
        submission(quality(measurements=[strata("percentiles", "nutrition")])),
        [("SV-stratum-missing", f"{FIRST}/value/strata")],
    ),
    (
        "a stratum of another name",
        submission(quality(measurements=[strata("percentiles", "nutrition", "physicalActivity", "sleep")])),
        [("SV-stratum-unknown", f"{FIRST}/value/strata/3/stratum")],
    ),
    (
        "a stratum twice",
        submission(
            quality(measurements=[strata("percentiles", "nutrition", "physicalActivity", "nutrition")])
        ),
        [("SV-duplicate-stratum", f"{FIRST}/value/strata/3/stratum")],
    ),
    (
        "three strata of 238 by registry",
        submission(
            registry(
                strata(
                    "overall",
                    "appropriateDiagnosis",
                    "totalRate",
                    measure="238",
                    eligiblePopulationExclusion=0,
                )
            )
        ),
        [("SV-stratum-count", f"{FIRST}/value/strata")],
    ),
    (
        "counts of a stratum",
        submission(
            quality(measurements=[strata("percentiles", "nutrition", "physicalActivity", performanceMet=-1)])
        ),
        [("SV-negative", f"{FIRST}/value/strata/{number}/performanceMet") for number in range(3)],
    ),
    (
        "numerator above denominator",
        pi(("PI_EP_1", {"numerator": 9, "denominator": 8})),
        [("SV-proportion", f"{FIRST}/value/numerator")],
    ),
    (
        "a measure with its exclusion",
        pi(("PI_LVPP_1", True)),
        [("SV-pi-exclusion", FIRST)],
    ),
    (
        "a denied measure with its exclusion",
        pi(("PI_PHCDRR_3", False)),
        [("SV-pi-superfluous", f"{SET}/measurements/11")],
    ),
    (
        "two ways of exchange",
        pi(("PI_HIE_1", {"numerator": 1, "denominator": 2})),
        [("SV-pi-substitute", f"{SET}/measurements/2")],
    ),
    (
        "no security risk analysis",
        pi(("PI_PPHI_1", None)),
        [("SV-pi-required", f"{SET}/measurements")],
    ),
    (
        "no exchange",
        pi(("PI_HIE_5", None)),
        [("SV-pi-required", f"{SET}/measurements")],
    ),
    (
        "half an exchange",
        pi(("PI_HIE_5", None), ("PI_HIE_1", {"numerator": 1, "denominator": 2})),
        [("SV-pi-required", f"{SET}/measurements")],
    ),
    (
        "no patient with access",
        pi(("PI_PEA_1", {"numerator": 0, "denominator": 9})),
        [("SV-pi-not-performed", f"{SET}/measurements/3/value")],
    ),
    (
        "information blocking",
        pi(("PI_INFBLO_1", False)),
        [("SV-pi-not-performed", f"{SET}/measurements/9/value")],
    ),
    (
        "engagement without its level",
        pi(("PI_PHCDRR_1_PROD", None)),
        [("SV-pi-engagement", f"{SET}/measurements/4")],
    ),
]


@pytest.mark.parametrize(
    ("content", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_breaks_a_rule_is_told(content: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert found(content) == expected


def test_a_submission_in_order_has_no_problem() -> None:
    assert found(submission()) == []


@pytest.mark.parametrize("entity", ["group", "virtualGroup", "apm", "subgroup"])
def test_every_entity_type_has_a_submission_in_order(entity: str) -> None:
    named: dict[str, Any] = {"entityType": entity, "nationalProviderIdentifier": None}
    if entity != "group":
        named |= {"taxpayerIdentificationNumber": None, "entityId": "SG-00000001"}
    sets = [quality(), promoting(), activities()]
    if entity == "subgroup":
        sets = [quality(programName=MVP, measurements=[one_rate("130")]), promoting(programName=MVP)]
    assert found(submission(*sets, **named)) == []


@pytest.mark.parametrize(
    "content",
    [
        rate(
            performanceMet=100,
            performanceNotMet=0,
            eligiblePopulationExclusion=0,
            eligiblePopulationException=0,
        ),
        rate(
            performanceMet=75,
            performanceNotMet=0,
            eligiblePopulationExclusion=0,
            eligiblePopulationException=0,
        ),
        rate(
            performanceMet=0,
            performanceNotMet=0,
            eligiblePopulationExclusion=100,
            eligiblePopulationException=0,
        ),
        rate(performanceMet=0, performanceNotMet=0, eligiblePopulationExclusion=0, eligiblePopulation=5),
        rate(eligiblePopulationExclusion=None, eligiblePopulation=90),
        pi(("PI_EP_1", {"numerator": 8, "denominator": 8})),
        submission(registry(one_rate("ACR12", performanceRate=0))),
        submission(registry(one_rate("ACR12", performanceRate=100))),
        submission(quality(cehrtId="2025C1235689784")),
        submission(quality(cehrtId="xx15exxxxxxxxxx")),
    ],
)
def test_what_lies_just_within_a_limit_is_in_order(content: dict[str, Any]) -> None:
    assert found(content) == []


def test_required_measures_are_told_with_what_may_stand_in_for_them() -> None:
    (one,) = validate_json(pi(("PI_PEA_1", None), ("PI_HIE_5", None), ("PI_LVOTC_1", True)))
    assert one.message.endswith(": PI_HIE_4 (or PI_LVITC_2, PI_HIE_5, PI_HIE_6), PI_PEA_1.")


def test_two_methods_and_two_programmes_are_sets_of_their_own() -> None:
    app = quality(programName="appPlus", measurements=[one_rate()])
    cqm = registry(one_rate(eligiblePopulationExclusion=0, eligiblePopulation=90))
    assert found(submission(quality(), app, cqm)) == []


def test_the_stratum_that_an_algorithm_names_says_how_complete_a_measure_is() -> None:
    names = ("overall", "appropriateDiagnosis", "totalRate")
    measured = strata(*names, measure="238")
    incomplete = {"eligiblePopulation": 500}
    measured["value"]["strata"][1] |= incomplete
    assert found(submission(quality(measurements=[measured]))) == []
    measured["value"]["strata"][0] |= incomplete
    expected = [("SV-completeness", f"{FIRST}/value")]
    assert found(submission(quality(measurements=[measured]))) == expected


def test_a_registrys_counts_stand_without_exclusions_and_with_two_strata_of_238() -> None:
    two = strata("overall", "appropriateDiagnosis", measure="238", eligiblePopulationExclusion=0)
    assert found(submission(registry(two))) == []


def test_a_measure_of_the_web_interface_cannot_be_handed_in() -> None:
    period = {"performanceStart": "2024-01-01", "performanceEnd": "2024-12-31"}
    (one,) = validate_json(
        submission(quality(**period, measurements=[one_rate("110")]), performanceYear=2024)
    )
    assert (one.code, one.pointer) == ("SV-measure-elsewhere", f"{FIRST}/measureId")
    assert "cmsWebInterface" in one.message


def test_minus_counts_of_a_ratio_are_no_problem() -> None:
    value = {"numerator": -1.5, "denominator": 0, "observationInstances": 30, "isEndToEndReported": False}
    assert found(submission(registry({"measureId": "ACRAD15", "value": value}))) == []
    del value["observationInstances"]
    expected = [("SV-missing", f"{FIRST}/value/observationInstances")]
    assert found(submission(registry({"measureId": "ACRAD15", "value": value}))) == expected


def test_what_a_year_asks_is_the_years_own() -> None:
    period = {"performanceStart": "2023-01-01", "performanceEnd": "2023-03-31"}
    old = [one for one in PI_MEASUREMENTS if one["measureId"] != "PI_PPHI_2"]
    set_2023 = promoting(**period, measurements=[*old, {"measureId": "PI_PPHI_2", "value": False}])
    assert found(submission(set_2023, performanceYear=2023)) == []
    period = {"performanceStart": "2024-01-01", "performanceEnd": "2024-03-31"}
    assert [code for code, _ in found(submission(promoting(**period), performanceYear=2024))] == [
        "SV-period-short"
    ]


def test_every_code_that_can_be_told_is_told_by_some_case() -> None:
    told = {code for _, content, _ in CASES for code, _ in found(content)}
    assert told | {"SV-measure-vendor"} == TEXTS.keys()


def test_a_qcdr_measure_is_reported_by_its_vendors_alone() -> None:
    owners = programme_year(2025).measures["ACR12"].vendors
    content = submission(
        registry(one_rate("ACR12", performanceRate=50), one_rate(eligiblePopulationExclusion=0))
    )
    assert owners
    assert validate_json(content, vendor=next(iter(owners))) == []
    (one,) = validate_json(content, vendor="0000000")
    assert (one.code, one.pointer) == ("SV-measure-vendor", f"{FIRST}/measureId")


def test_what_is_wrong_is_said_in_the_programmes_words() -> None:
    (one,) = validate_json(submission(promoting(performanceStart="2025-07-06")))
    assert "has 179 days; Promoting Interoperability needs 180 continuous days in 2025" in one.message


def test_sets_without_category_are_not_taken_for_the_same() -> None:
    one = without(activities(), "category")
    assert {code for code, _ in found(submission(one, one))} == {"SV-missing"}


def test_every_problem_has_a_sentence_a_remedy_and_a_place_that_exists() -> None:
    for name, content, _ in CASES:
        for one in validate_json(content):
            assert one.message.startswith("SV - "), name
            assert one.message.endswith("."), name
            assert one.mend.endswith("."), name
            assert "{" not in one.mend, name
            assert one.severity == TEXTS[one.code].get("severity", "error")
            assert parent_exists(content, one.pointer), (name, one.pointer)


def parent_exists(content: Any, pointer: str) -> bool:
    """Whether all but the last part of a pointer leads somewhere; what is missing is pointed at too."""
    for part in pointer.split("/")[1:-1]:
        try:
            content = content[int(part)] if isinstance(content, list) else content[part]
        except (KeyError, IndexError):
            return False
    return True


def test_the_api_takes_what_has_only_warnings() -> None:
    assert is_clean(validate_json(submission(quality(measurements=[]))))
    assert not is_clean(validate_json(submission(entityType=None)))


def test_the_words_of_the_api_are_used_where_they_are_known() -> None:
    (one,) = validate_json(submission(quality(measurements=[one_rate("128")])))
    assert one.message == "SV - measure ID 128 is not allowed to be submitted to the mips program."
    assert one.mend == "Please remove the invalid measure from the measurement set."
    (one,) = validate_json(rate(performanceMet=None))
    field = "field 'performanceMet' in Submission.measurementSets[0].measurements[0].value is missing"
    assert one.message == f"SV - {field}."


@pytest.mark.parametrize(
    ("npi", "codes"),
    [
        (NPI, []),
        ("1245319599", []),
        ("1234567890", ["SV-npi-check-digit"]),
        ("123456789", ["SV-npi"]),
        ("12345６7893", ["SV-npi"]),
    ],
)
def test_an_npi_has_ten_digits_and_its_check_digit(npi: str, codes: list[str]) -> None:
    assert [code for code, _ in found(submission(nationalProviderIdentifier=npi))] == codes


@pytest.mark.parametrize("year", YEARS)
def test_every_measure_of_a_year_can_be_judged(year: int) -> None:
    known = programme_year(year)
    assert len(known.measures) >= 570
    for measure in known.measures.values():
        assert measure.category in ("quality", "pi", "ia", "cost")
        for other in (*measure.exclusion, *measure.substitutes, *measure.preprod):
            assert other in known.measures, (measure.measure_id, other)
        if measure.ecqm_id:
            assert known.ecqm(measure.ecqm_id.split("v")[0]) is measure
            assert measure.ecqm_rates >= 1, measure.measure_id
        if measure.metric_type == "multiPerformanceRate":
            assert measure.strata, measure.measure_id
            assert measure.ecqm_rates <= len(measure.strata)


def test_every_measure_of_every_year_and_method_can_be_reported_in_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    judged = 0
    for year in YEARS:
        known = programme_year(year)
        for measure in known.measures.values():
            if measure.category == "cost" or not measure.is_handed_in or not measure.programmes:
                continue
            programme = min(measure.programmes, key=lambda name: (name != "mips", name))
            for method in measure.submission_methods or ("electronicHealthRecord", "registry"):
                if method not in ("electronicHealthRecord", "registry"):
                    continue
                one = {
                    "category": measure.category,
                    "submissionMethod": method,
                    "programName": programme,
                    "cehrtId": "0015C1235689784",
                    "performanceStart": f"{year}-01-01",
                    "performanceEnd": f"{year}-12-31",
                    "measurements": [
                        {"measureId": measure.measure_id, "value": in_order(measure, method, year)}
                    ],
                }
                # Primary Care First alone is closed to individuals.
                content = submission(one, performanceYear=year, **(APM if programme == "pcf" else {}))
                told = {code for code, _ in found(content)}
                # A single PI measure is not the whole category.
                assert told <= {"SV-pi-required", "SV-pi-engagement"}, (
                    year,
                    measure.measure_id,
                    method,
                    told,
                )
                judged += 1
    with capsys.disabled():
        print(
            f"\nMeasures reported in order by each method they take, 2023 to 2026: {judged:,} of {judged:,}"
        )
    assert judged > 2_500


def in_order(measure: ProgrammeMeasure, method: str, year: int) -> Any:
    """A value of the kind that a measure is reported with."""
    rate = {"performanceMet": 60, "performanceNotMet": 30, "eligiblePopulation": 90}
    kind = measure.metric_type
    if kind == "boolean":
        return True
    if kind == "proportion":
        return {"numerator": 1, "denominator": 2}
    if kind == "nonProportion":
        return {"numerator": 1.5, "denominator": 2, "observationInstances": 3, "isEndToEndReported": False}
    value: dict[str, Any] = {"isEndToEndReported": True}
    if kind in ("multiPerformanceRate", "registryMultiPerformanceRate"):
        by_registry = programme_year(year).terms.registry_strata if method == "registry" else {}
        names = measure.strata[: by_registry.get(measure.measure_id)]
        value["strata"] = [{"stratum": name, **rate} for name in names]
    else:
        value |= rate
    return value | ({"performanceRate": 66.67} if kind.startswith("registry") else {})
