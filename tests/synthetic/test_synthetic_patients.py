"""Synthetic patients are the same for the same seed, valid, varied, and made one at a time."""

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from measurewise.synthetic import (
    BloodPressure,
    Diabetes,
    Hospital,
    bundle_json,
    stories,
    synthesize,
    synthetic_patient,
    write_folder,
    write_ndjson,
)

Json = dict[str, Any]
seeds = st.integers(min_value=0, max_value=10**6)


@cache
def population() -> tuple[Json, ...]:
    return tuple(synthesize(200, seed=1, year=2026))


def resources(kind: str | None = None) -> Iterator[Json]:
    for bundle in population():
        for entry in bundle["entry"]:
            if kind in (None, entry["resource"]["resourceType"]):
                yield entry["resource"]


def test_the_same_seed_gives_the_same_bytes_on_every_machine() -> None:
    digest = hashlib.sha256(b"\n".join(map(bundle_json, synthesize(50, seed=7, year=2026)))).hexdigest()
    assert digest == "1facd0a4ab94139989ec4483b840076793531993b8efd366ba20c2ba872b4f3c"


@settings(max_examples=20, deadline=None)
@given(seed=seeds, more=st.integers(min_value=1, max_value=10))
def test_asking_for_more_patients_leaves_the_first_ones_as_they_are(seed: int, more: int) -> None:
    few = list(synthesize(3, seed))
    assert list(synthesize(3 + more, seed))[:3] == few
    assert synthetic_patient(2, seed) == few[2]


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_another_seed_or_year_gives_other_patients(seed: int) -> None:
    here = synthetic_patient(0, seed, 2026)
    assert here != synthetic_patient(0, seed + 1, 2026)
    assert here != synthetic_patient(0, seed, 2025)


def test_patients_are_made_one_at_a_time() -> None:
    endless = synthesize(10**12, seed=3)
    assert [bundle["id"] for bundle in islice(endless, 2)] == ["synthetic-3-000001", "synthetic-3-000002"]


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_two_hundred_patients_live_through_every_story(seed: int) -> None:
    told = [stories(seed, number) for number in range(200)]
    assert {each.diabetes for each in told} == set(Diabetes)
    assert {each.blood_pressure for each in told} == set(BloodPressure)
    assert {each.hospital for each in told} == set(Hospital)


def test_a_bundle_names_the_stories_of_its_patient() -> None:
    for number, bundle in enumerate(population()):
        told = stories(1, number)
        assert [tag["code"] for tag in bundle["meta"]["tag"]] == [
            f"diabetes-{told.diabetes}",
            f"blood-pressure-{told.blood_pressure}",
            f"hospital-{told.hospital}",
        ]


def test_every_record_is_valid_fhir() -> None:
    for bundle in population():
        Bundle.model_validate_json(bundle_json(bundle))


def test_every_record_begins_with_its_one_patient_and_has_distinct_ids() -> None:
    for bundle in population():
        kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
        assert kinds[0] == "Patient"
        assert kinds.count("Patient") == 1
        urls = [entry["fullUrl"] for entry in bundle["entry"]]
        assert len(set(urls)) == len(urls)
        assert all(re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", e["resource"]["id"]) for e in bundle["entry"])


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node["reference"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_leads_to_a_resource_of_the_record() -> None:
    for bundle in population():
        there = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]}
        assert set(references(bundle)) <= there


def test_some_records_name_their_profiles_and_some_do_not() -> None:
    labelled = Counter(
        sum("meta" in entry["resource"] for entry in bundle["entry"]) > 0 for bundle in population()
    )
    assert min(labelled[True], labelled[False]) > 50
    for bundle in population():
        assert len({"meta" in entry["resource"] for entry in bundle["entry"]}) == 1
        for entry in bundle["entry"]:
            for profile in entry["resource"].get("meta", {}).get("profile", []):
                assert profile.startswith("http://hl7.org/fhir/us/")


def test_records_hold_many_kinds_of_resources() -> None:
    assert {resource["resourceType"] for resource in resources()} == {
        "Condition",
        "Coverage",
        "Encounter",
        "Immunization",
        "Medication",
        "MedicationRequest",
        "Observation",
        "Patient",
        "Procedure",
        "ServiceRequest",
    }


def test_patients_are_of_all_ages_and_some_lack_what_real_ones_lack() -> None:
    patients = list(resources("Patient"))
    born = [patient.get("birthDate", "") for patient in patients]
    assert {len(day) for day in born} == {0, 4, 7, 10}
    years = [int(day[:4]) for day in born if day]
    assert min(years) < 1940
    assert max(years) > 2010
    assert {"female", "male", None} <= {patient.get("gender") for patient in patients}
    assert any("deceasedDateTime" in patient for patient in patients)
    assert any("_birthDate" in patient for patient in patients)
    races = [[e["url"].rsplit("/", 1)[1] for e in p.get("extension", [])] for p in patients]
    assert any("us-core-race" in urls for urls in races)
    assert any("us-core-race" not in urls for urls in races)


def test_times_come_in_many_forms() -> None:
    taken = [r["effectiveDateTime"] for r in resources("Observation") if "effectiveDateTime" in r]
    assert any(time.endswith("Z") for time in taken)
    assert any(len(time) == 10 for time in taken)
    assert any("." in time for time in taken)
    assert len({time[-6:] for time in taken if re.search(r"-\d\d:\d\d$", time) and "T" in time}) >= 5
    assert any("effectivePeriod" in r for r in resources("Observation"))
    onsets = {len(r["onsetDateTime"]) for r in resources("Condition") if "onsetDateTime" in r}
    assert {4, 7, 10} <= onsets
    assert any("end" not in r["period"] for r in resources("Encounter"))


def test_quantities_are_exact_and_some_have_comparators_or_absent_values() -> None:
    quantities = [r["valueQuantity"] for r in resources("Observation") if "valueQuantity" in r]
    assert {type(quantity["value"]) for quantity in quantities} == {Decimal}
    assert any("comparator" in quantity for quantity in quantities)
    assert any("dataAbsentReason" in r for r in resources("Observation"))
    assert {"%", "[lb_av]", "kg", "mg/dL"} <= {quantity["code"] for quantity in quantities}


def test_refusals_come_for_a_code_and_for_a_whole_value_set() -> None:
    refused: list[Json] = [
        r["code"] if kind == "ServiceRequest" else r["medicationCodeableConcept"]
        for kind in ("ServiceRequest", "MedicationRequest")
        for r in resources(kind)
        if r.get("doNotPerform")
    ]
    assert any("coding" in code for code in refused)
    assert any("extension" in code for code in refused)
    assert any(r["status"] == "cancelled" for r in resources("Observation"))


def test_ndjson_holds_a_bundle_a_line_with_every_digit(tmp_path: Path) -> None:
    target = tmp_path / "out" / "patients.ndjson"
    assert write_ndjson(synthesize(20, seed=5), target) == 20
    decode = msgspec.json.Decoder(float_hook=Decimal, type=dict[str, Any]).decode
    lines = [decode(line) for line in target.read_bytes().splitlines()]
    assert lines == list(synthesize(20, seed=5))
    assert [path.name for path in target.parent.iterdir()] == ["patients.ndjson"]
    weights = re.findall(rb'"value":(\d+\.\d+),"unit":"lb"', target.read_bytes())
    assert weights
    assert all(len(weight.split(b".")[1]) == 2 for weight in weights)


def test_ndjson_goes_to_an_open_stream_too() -> None:
    stream = io.BytesIO()
    assert write_ndjson(synthesize(2), stream) == 2
    assert [json.loads(line)["type"] for line in stream.getvalue().splitlines()] == ["collection"] * 2


def test_a_failed_run_leaves_no_half_written_file(tmp_path: Path) -> None:
    def failing() -> Iterator[Json]:
        yield synthetic_patient(0)
        raise OSError("disk gone")

    target = tmp_path / "patients.ndjson"
    with pytest.raises(OSError, match="disk gone"):
        write_ndjson(failing(), target)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_holds_a_file_a_patient(tmp_path: Path) -> None:
    assert write_folder(synthesize(3, seed=2), tmp_path / "patients") == 3
    names = sorted(path.name for path in (tmp_path / "patients").iterdir())
    assert names == [f"synthetic-2-{number:06d}.json" for number in (1, 2, 3)]
