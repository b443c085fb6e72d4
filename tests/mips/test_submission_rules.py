"""Each rule of the submissions API: what breaks it is told with code and place, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from qpp_examples import (
    NPI,
    PI_MEASUREMENTS,
    activities,
    promoting,
    quality,
    registry,
    submission,
)
from submission_cases import APM, CASES, FIRST, MVP, one_rate, pi, rate, strata, without

import measurewise.mips
from measurewise.mips.programme_year import YEARS, ProgrammeMeasure, programme_year
from measurewise.mips.submission.validation import is_clean, validate_json

TEXTS = json.loads(
    (Path(measurewise.mips.__file__).parent / "data" / "submission_problems.json").read_text("utf-8")
)["problems"]


def found(content: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.code, one.pointer) for one in validate_json(content)]


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
