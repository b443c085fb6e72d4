"""The shipped measures put each synthetic patient where the patient's stories belong."""

from collections import Counter
from functools import cache

import pytest

from measurewise.cql_libraries import library_resources, measure_resources
from measurewise.engine import Content, Engine, GroupResult, Prepared, Record
from measurewise.synthetic import BloodPressure, Diabetes, Hospital, Stories, stories, synthesize
from measurewise.valuesets import value_set_resources

YEAR = 2026
SEEDS = (1, 2, 3)
by_seed = pytest.mark.parametrize("seed", SEEDS)

IN, DENOMINATOR, EXCLUDED = "initial-population", "denominator", "denominator-exclusion"
NUMERATOR, EXCEPTED = "numerator", "denominator-exception"
MEASURED, NOT_MEASURED = "measure-population", "measure-population-exclusion"

MET = {IN, DENOMINATOR, NUMERATOR}
MISSED = {IN, DENOMINATOR}
OUT: set[str] = set()

DIABETES = {
    Diabetes.NONE: OUT,
    Diabetes.CONTROLLED: MET,
    Diabetes.UNCONTROLLED: MISSED,
    Diabetes.CONTROLLED_AFTER_UNCONTROLLED: MET,
    Diabetes.TWO_RESULTS_IN_A_DAY: MET,
    Diabetes.RESULT_NOT_FINAL: MISSED,
    Diabetes.UNTESTED: MISSED,
    Diabetes.REFUSED_ORDER: MISSED | {EXCEPTED},
    Diabetes.REFUSED_VALUE_SET: MISSED | {EXCEPTED},
    Diabetes.REFUSED_OBSERVATION: MISSED | {EXCEPTED},
    Diabetes.REFUSED_THEN_TESTED: MET,
    Diabetes.HOSPICE: MISSED | {EXCLUDED},
    Diabetes.PALLIATIVE: MISSED | {EXCLUDED},
    Diabetes.PREGNANT: MISSED | {EXCLUDED},
    Diabetes.NO_VISIT: OUT,
    Diabetes.RESOLVED: OUT,
    Diabetes.REFUTED: OUT,
    Diabetes.TOO_YOUNG: OUT,
    Diabetes.TOO_OLD: OUT,
}
BLOOD_PRESSURE = {
    BloodPressure.NORMAL: {IN},
    BloodPressure.NO_READING: OUT,
    BloodPressure.READ_BETWEEN_VISITS: OUT,
    BloodPressure.LAST_READING_NORMAL: {IN},
    BloodPressure.HIGH_TREATED: MET,
    BloodPressure.HIGH_TREATED_BY_REFERENCE: MET,
    BloodPressure.HIGH_LIFESTYLE: MET,
    BloodPressure.HIGH_RECHECKED: MET,
    BloodPressure.HIGH_IGNORED: MISSED,
    BloodPressure.HIGH_REFUSED: MISSED | {EXCEPTED},
    BloodPressure.HIGH_CONTRAINDICATED: MISSED | {EXCEPTED},
    BloodPressure.HIGH_RENAL_DISEASE: MISSED | {EXCLUDED},
    BloodPressure.SEVERE_TREATED: MET,
    BloodPressure.SEVERE_IGNORED: MISSED,
}
HOSPITAL = {
    Hospital.NONE: OUT,
    Hospital.SEEN_SOON: {IN, MEASURED},
    Hospital.SEEN_LATE: {IN, MEASURED},
    Hospital.SEEN_SAME_DAY: {IN, MEASURED},
    Hospital.SEEN_AFTER_LONG_STAY: {IN, MEASURED},
    Hospital.SEEN_TOO_LATE: {IN},
    Hospital.NOT_SEEN: {IN},
    Hospital.NURSING_FACILITY: {IN, MEASURED, NOT_MEASURED},
    Hospital.TRANSFERRED: {IN, MEASURED, NOT_MEASURED},
    Hospital.DIED: {IN},
    Hospital.STILL_IN: OUT,
}


@cache
def prepared() -> Prepared:
    resources = [*measure_resources(), *library_resources(), *value_set_resources()]
    return Engine(Content.of(resources)).prepare(period=str(YEAR))


@cache
def results(seed: int) -> list[tuple[Stories, dict[str, GroupResult]]]:
    """The stories of each of 200 patients, and their results by measure name."""
    run = prepared()
    names = [measure.name for measure in run.measures]
    told = []
    for number, bundle in enumerate(synthesize(200, seed, YEAR)):
        found = run.evaluate(Record([entry["resource"] for entry in bundle["entry"]]))
        groups = {name: result.groups[0] for name, result in zip(names, found, strict=True)}
        told.append((stories(seed, number), groups))
    return told


def codes(measure: str) -> list[str]:
    (definition,) = (each for each in prepared().measures if each.name == measure)
    return [str(population.code.value) for population in definition.groups[0].populations]


def reached(measure: str, result: GroupResult) -> set[str]:
    return {code for code, count in zip(codes(measure), result.counts, strict=True) if count}


@by_seed
@pytest.mark.parametrize(
    "measure", ["DiabetesGlycemicControl", "HighBloodPressureFollowUp", "HospitalFollowUpInterval"]
)
def test_two_hundred_patients_reach_every_population(seed: int, measure: str) -> None:
    counts = Counter[str]()
    for _, groups in results(seed):
        counts.update(reached(measure, groups[measure]))
    assert set(counts) == set(codes(measure))
    assert min(counts.values()) >= 3


@by_seed
def test_diabetes_stories_belong_where_they_are_found(seed: int) -> None:
    measure = "DiabetesGlycemicControl"
    for told, groups in results(seed):
        assert reached(measure, groups[measure]) == DIABETES[told.diabetes], told


@by_seed
def test_blood_pressure_stories_belong_where_they_are_found(seed: int) -> None:
    measure = "HighBloodPressureFollowUp"
    seen = set()
    for told, groups in results(seed):
        found = reached(measure, groups[measure])
        expected = BLOOD_PRESSURE[told.blood_pressure]
        if told.blood_pressure is BloodPressure.NORMAL:
            assert found <= expected, told  # A child's visit is not in the initial population.
        elif told.diabetes in {Diabetes.HOSPICE, Diabetes.PREGNANT}:
            assert found - {EXCLUDED, NUMERATOR, EXCEPTED} == expected - {EXCLUDED, NUMERATOR, EXCEPTED}, told
        else:
            assert found == expected, told
            seen.add(told.blood_pressure)
    assert seen | {BloodPressure.NORMAL} == set(BloodPressure)


@by_seed
def test_hospital_stories_belong_where_they_are_found(seed: int) -> None:
    measure = "HospitalFollowUpInterval"
    seen = set()
    for told, groups in results(seed):
        if told.diabetes is not Diabetes.HOSPICE:  # Some enter hospice from a stay of its own.
            assert reached(measure, groups[measure]) == HOSPITAL[told.hospital], told
            seen.add(told.hospital)
    assert seen == set(Hospital)


@by_seed
def test_records_without_labels_give_what_records_with_labels_give(seed: int) -> None:
    labelled = [b for b in synthesize(200, seed, YEAR) if "meta" in b["entry"][0]["resource"]]
    assert len(labelled) > 50
    for bundle in labelled:
        known = [entry["resource"] for entry in bundle["entry"]]
        bare = [{k: v for k, v in resource.items() if k != "meta"} for resource in known]
        with_labels, without = prepared().evaluate(Record(known)), prepared().evaluate(Record(bare))
        for one, other in zip(with_labels, without, strict=True):
            assert one.groups[0].counts == other.groups[0].counts


@by_seed
def test_every_measured_stay_has_its_days_and_some_have_none(seed: int) -> None:
    measure = "HospitalFollowUpInterval"
    days = []
    for _, groups in results(seed):
        result = groups[measure]
        counts = dict(zip(codes(measure), result.counts, strict=True))
        (observed,) = result.observations
        assert len(observed) == counts[MEASURED] - counts[NOT_MEASURED]
        days += [observation.value for observation in observed]
    assert min(days, key=lambda value: value or 0) == 0
    assert all(value is not None and 0 <= value <= 90 for value in days)


@by_seed
@pytest.mark.parametrize(
    ("measure", "strata"),
    [
        ("DiabetesGlycemicControl", {"18-44", "45-64", "65-75"}),
        ("HospitalFollowUpInterval", {"under 7 days", "7 days or more"}),
    ],
)
def test_two_hundred_patients_reach_every_stratum(seed: int, measure: str, strata: set[str]) -> None:
    reached_strata = {
        value.text
        for _, groups in results(seed)
        for stratum in groups[measure].strata[0]
        for value in stratum.values
        if any(stratum.counts)
    }
    assert strata <= reached_strata
