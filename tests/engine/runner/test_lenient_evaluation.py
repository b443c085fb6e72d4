"""Records that are not all valid FHIR: evaluated as far as they go, with a word on whatever was left out."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from measurewise import cql_libraries, valuesets
from measurewise.engine import (
    Engine,
    EvaluationError,
    MeasurewiseError,
    PatientResult,
    Prepared,
    Record,
    RecordError,
    SummaryAccumulator,
    individual_report,
    load_content,
    to_json,
)
from measurewise.engine.runner.batch import evaluate_batch
from measurewise.engine.runner.patients import PatientData
from measurewise.synthetic import bundle_json, synthetic_patient

Json = dict[str, Any]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_content(cql_libraries.FOLDER, valuesets.FOLDER))


@pytest.fixture(scope="module")
def prepared(engine: Engine) -> Prepared:
    return engine.prepare(period="2026")


def resources() -> list[Json]:
    """A patient who meets both proportions; every element spoilt below has a part in that."""
    bundle = json.loads(bundle_json(synthetic_patient(24, seed=1)))
    return [entry["resource"] for entry in bundle["entry"]]


def of_type(found: list[Json], kind: str) -> list[Json]:
    return [resource for resource in found if resource["resourceType"] == kind]


WHOLE = Record(resources())


def wrapped_codes(found: list[Json]) -> None:
    for resource in of_type(found, "Condition"):
        resource["code"] = [resource["code"]]


def numbers_as_codes(found: list[Json]) -> None:
    for resource in of_type(found, "MedicationRequest"):
        for coding in resource["medicationCodeableConcept"]["coding"]:
            coding["code"] = int(coding["code"])


def a_coding_that_is_no_list(found: list[Json]) -> None:
    for resource in of_type(found, "Observation"):
        resource["code"]["coding"] = resource["code"]["coding"][-1]


def a_type_that_is_no_list(found: list[Json]) -> None:
    for resource in of_type(found, "Encounter"):
        resource["type"] = resource["type"][0]


def nulls_among_codings(found: list[Json]) -> None:
    for resource in of_type(found, "Observation"):
        resource["code"]["coding"].insert(0, None)


def a_wrapped_birth_date(found: list[Json]) -> None:
    of_type(found, "Patient")[0]["birthDate"] = [of_type(found, "Patient")[0]["birthDate"]]


def a_wrapped_period(found: list[Json]) -> None:
    for resource in of_type(found, "Encounter"):
        resource["period"] = [resource["period"]]


def a_value_in_quotes(found: list[Json]) -> None:
    for resource in of_type(found, "Observation"):
        if "valueQuantity" in resource:
            resource["valueQuantity"]["value"] = str(resource["valueQuantity"]["value"])


@pytest.mark.parametrize(
    "spoil",
    [
        wrapped_codes,
        numbers_as_codes,
        a_coding_that_is_no_list,
        nulls_among_codings,
        a_wrapped_birth_date,
        a_wrapped_period,
        a_value_in_quotes,
    ],
)
def test_what_can_only_mean_one_thing_is_read_so_and_told(prepared: Prepared, spoil: Any) -> None:
    spoilt = resources()
    spoil(spoilt)
    before = copy.deepcopy(spoilt)
    assert spoilt != resources()
    record = Record(spoilt)
    assert [r.groups[0].counts for r in prepared.evaluate(record)] == [
        r.groups[0].counts for r in prepared.evaluate(WHOLE)
    ]
    assert record.issues
    assert all(" belongs; it" in issue for issue in record.issues)
    assert record.resources() == Record(before).resources() == Record(spoilt).resources()


def test_a_single_value_where_a_list_belongs_needs_no_word(prepared: Prepared) -> None:
    spoilt = resources()
    a_type_that_is_no_list(spoilt)
    record = Record(spoilt)
    assert [r.groups[0].counts for r in prepared.evaluate(record)] == [
        r.groups[0].counts for r in prepared.evaluate(WHOLE)
    ]


def test_a_record_in_the_shape_of_fhir_has_no_issues_and_is_not_copied(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    from measurewise.engine.runner import session

    monkeypatch.setattr(session, "mended", lambda *_: pytest.fail("a good record was walked through"))
    record = Record(resources())
    prepared.evaluate(record)
    assert record.issues == []


def test_issues_are_told_once_however_often_and_by_how_many_measures_a_record_is_evaluated(
    prepared: Prepared,
) -> None:
    spoilt = resources()
    wrapped_codes(spoilt)
    record = Record(spoilt)
    prepared.evaluate(record)
    told = list(record.issues)
    prepared.evaluate(record)
    prepared.attempt(record)
    assert record.issues == told
    assert len(told) == len(set(told)) == len(of_type(spoilt, "Condition"))


def test_only_the_measures_that_stumble_read_the_mended_copy(engine: Engine) -> None:
    spoilt = resources()
    for resource in of_type(spoilt, "Condition"):
        resource["code"] = [resource["code"]]
    record = Record(spoilt)
    engine.prepare("HospitalFollowUpInterval", period="2026").evaluate(record)
    assert record.issues == []
    engine.prepare("DiabetesGlycemicControl", period="2026").evaluate(record)
    assert record.issues


def test_what_no_logic_stumbles_over_is_told_when_shapes_are_checked(engine: Engine) -> None:
    spoilt = resources()
    of_type(spoilt, "Patient")[0]["maritalStatus"] = "M"
    record = Record(spoilt)
    engine.prepare(period="2026").evaluate(record)
    assert record.issues == []
    checked = engine.prepare(period="2026", check_shape=True)
    assert checked.evaluate(record) == engine.prepare(period="2026").evaluate(WHOLE)
    (issue,) = record.issues
    assert issue.endswith(": maritalStatus is a string where an object belongs; it is left out.")


def test_an_error_that_mending_does_not_help_names_patient_measure_and_definition(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    from measurewise.engine.runner import session

    monkeypatch.setattr(session, "mended", lambda *_: None)
    spoilt = resources()
    wrapped_codes(spoilt)
    outcomes = prepared.attempt(Record(spoilt))
    diabetes, hospital = outcomes[0], outcomes[2]
    assert isinstance(hospital, PatientResult)
    assert isinstance(diabetes, EvaluationError)
    assert diabetes.where == (
        "Patient/synthetic-1-000025, measure DiabetesGlycemicControl, "
        'definition DiabetesGlycemicControl."Diabetes Diagnoses"'
    )
    assert diabetes.what == "the logic stumbled (AttributeError: 'list' object has no attribute 'get')."
    assert isinstance(diabetes.__cause__, AttributeError)
    assert str(pickle.loads(pickle.dumps(diabetes))) == str(diabetes)  # noqa: S301  our own bytes
    with pytest.raises(EvaluationError, match="Diabetes Diagnoses"):
        prepared.evaluate(Record(spoilt))


def test_a_patient_without_an_id_is_a_result_with_a_placeholder_and_a_warning(prepared: Prepared) -> None:
    found = resources()
    del of_type(found, "Patient")[0]["id"]
    data = msgspec.json.encode({"resources": found})
    batch = evaluate_batch(prepared, [PatientData("line 1", data), PatientData("line 2", data)], "results")
    subjects = {result.subject for of_measure in batch.results for result in of_measure}
    (subject,) = subjects
    assert subject.startswith("Patient/without-id-")
    assert [(issue.severity, str(issue)) for issue in batch.issues] == [
        ("warning", f"line {number}: The Patient has no id; results name it {subject}.") for number in (1, 2)
    ]
    assert batch.failed == 0


# ---------------------------------------------------------------- official patients, spoilt at random

MEASURES = (
    "CMS122FHIRDiabetesAssessGreaterThan9Percent",
    "CMS165FHIRControllingHighBloodPressure",
    "CMS69FHIRPCSBMIScreenAndFollowUp",
    "CMS986FHIRMalnutritionScore",
    "CMS104FHIRSTKDCAntithrombotic",
)
Place = tuple[str | int, ...]


class Official:
    """Some official measures in one program, each with its patients and the types it retrieves."""

    def __init__(self, folder: Path) -> None:
        engine = Engine(
            load_content(folder / "measures", folder / "libraries", folder / "valuesets.ndjson.gz"),
            missing_valuesets="empty",
        )
        options: Any = {"period": "2026", "supplemental_data": True}
        self.together = engine.prepare(*MEASURES, **options)
        self.types = [
            {retrieval.resource_type for retrieval in engine.compiled(name).tables.retrievals}
            for name in MEASURES
        ]
        self.reporting = self.together.reporting(date="2027-01-01T00:00:00Z")
        decode = msgspec.json.Decoder(float_hook=Decimal).decode
        self.patients: list[list[Json]] = []
        for name in MEASURES:
            with gzip.open(folder / "cases" / f"{name}.ndjson.gz") as lines:
                self.patients += [decode(line)["resources"] for line in lines]


@cache
def official(folder: Path) -> Official:
    return Official(folder)


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*at, key)
        yield from places(item, (*at, key))


SPOILT = st.sampled_from(
    [
        lambda found: [found],
        lambda found: [[found]],
        lambda found: [found, found],
        lambda found: None,
        lambda found: [None],
        lambda found: [None, *found] if isinstance(found, list) else {"value": found},
        lambda found: found[0] if isinstance(found, list) and found else {"unknown": found},
        lambda found: 44054006,
        lambda found: True,
        lambda found: "text",
        lambda found: {},
        lambda found: [],
    ]
)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_official_patients_spoilt_at_random_raise_nothing_but_the_family(
    ecqm_dir: Path, data: st.DataObject
) -> None:
    those = official(ecqm_dir)
    whole = data.draw(st.sampled_from(those.patients))
    spoilt = copy.deepcopy(whole)
    touched: set[str] = set()
    for _ in range(data.draw(st.integers(1, 3))):
        resource = data.draw(st.sampled_from(spoilt))
        place = data.draw(st.sampled_from(list(places(resource))))
        touched.add(str(resource["resourceType"]))
        # A resource of another type, or referred to under another id, may be found by other measures.
        assume(place not in (("resourceType",), ("id",)))
        holder: Any = resource
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = data.draw(SPOILT)(holder[place[-1]])
    before = pickle.dumps(spoilt)
    try:
        record = Record(spoilt)
    except RecordError:
        return
    outcomes = those.together.attempt(record)
    assert pickle.dumps(spoilt) == before
    expected = those.together.evaluate(Record(whole))
    for measure, types, outcome, undisturbed in zip(
        those.together.measures, those.types, outcomes, expected, strict=True
    ):
        if isinstance(outcome, PatientResult):
            to_json(individual_report(measure, outcome, those.reporting))
            SummaryAccumulator(measure).add(outcome)
        else:
            assert isinstance(outcome, MeasurewiseError)
            assert outcome.where.startswith(f"{record.subject}, measure {measure.name}, ")
            assert "stumbled" not in outcome.what
        if not touched & (types | {"Patient"}):
            assert isinstance(outcome, PatientResult)
            assert outcome.groups == undisturbed.groups
