"""Records of resources that are not what they should be: nothing is dropped without a word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from measurewise.engine import Record, RecordError, read_record, record_of_bundle

PATIENT = {"resourceType": "Patient", "id": "p"}
ENCOUNTER = {"resourceType": "Encounter", "id": "e"}


def bundle(*entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "entry": list(entries)}


def test_entries_that_are_no_resources_are_told() -> None:
    record = Record(
        [PATIENT, "x", None, 5, ["y"], {}, {"resourceType": 5}, {"resourceType": {"a": 1}}, ENCOUNTER]
    )
    assert record.resources() == [PATIENT, ENCOUNTER]
    assert record.issues == [
        *["An entry is not a JSON object and is left out."] * 4,
        "An entry has no resourceType and is left out.",
        *["An entry's resourceType is not a string; the entry is left out."] * 2,
    ]


def test_a_type_in_a_list_of_one_is_read() -> None:
    record = Record([PATIENT, {"resourceType": ["Encounter"], "id": "e"}, ENCOUNTER])
    assert record.by_type["Encounter"] == [ENCOUNTER, ENCOUNTER]
    assert record.issues == ["The resourceType Encounter is a list; its only entry is read."]


def test_bundle_entries_that_hold_no_resource_are_told() -> None:
    record = record_of_bundle(
        bundle({"resource": PATIENT}, None, "x", {"resource": [ENCOUNTER]}, {"fullUrl": "urn:a"})
    )
    assert record.resources() == [PATIENT]
    assert record.issues == ["An entry is not a JSON object and is left out."] * 3


def test_a_single_entry_that_is_no_list_is_read() -> None:
    record = record_of_bundle({"resourceType": "Bundle", "entry": {"resource": PATIENT}})
    assert record.patient == PATIENT
    (issue,) = record.issues
    assert "an object where a list belongs" in issue
    with pytest.raises(RecordError, match="The entry of the Bundle is no list"):
        record_of_bundle({"resourceType": "Bundle", "entry": "Patient"})


def test_entries_without_an_id_are_named_by_their_urls() -> None:
    record = record_of_bundle(
        bundle(
            {"fullUrl": "urn:uuid:1-2", "resource": {"resourceType": "Patient", "id": None}},
            {"fullUrl": "urn:uuid:3-4", "resource": {**ENCOUNTER, "subject": {"reference": "urn:uuid:1-2"}}},
        )
    )
    assert record.subject == "Patient/1-2"
    assert record.by_type["Encounter"][0]["subject"] == {"reference": "Patient/1-2"}
    assert record.issues == []


def test_a_contained_resource_that_stands_in_no_list_is_found() -> None:
    request = {
        "resourceType": "MedicationRequest",
        "id": "r",
        "contained": {"resourceType": "Medication", "id": "m"},
        "medicationReference": {"reference": "#m"},
    }
    record = Record([PATIENT, request])
    assert record.find(record.by_type["MedicationRequest"][0]["medicationReference"]["reference"]) == {
        "resourceType": "Medication",
        "id": "r#m",
    }
    assert record.issues == ["MedicationRequest/r: contained is an object where a list belongs."]
    assert isinstance(request["contained"], dict)


@pytest.mark.parametrize("contained", ["x", 5, [None], [{"resourceType": 5}], [{"resourceType": ["A"]}]])
def test_what_cannot_be_contained_is_told(contained: Any) -> None:
    record = Record([PATIENT, {**ENCOUNTER, "contained": contained}])
    (issue,) = record.issues
    assert issue.startswith("Encounter/e")
    assert list(record.by_type) == ["Patient", "Encounter"]


def test_containers_without_an_id_do_not_share_what_they_contain() -> None:
    def request(code: str) -> dict[str, Any]:
        return {
            "resourceType": "MedicationRequest",
            "contained": [{"resourceType": "Medication", "id": "m", "code": {"text": code}}],
            "medicationReference": {"reference": "#m"},
        }

    record = Record([PATIENT, request("one"), request("two")])
    found = [record.find(r["medicationReference"]["reference"]) for r in record.by_type["MedicationRequest"]]
    assert [medication["code"]["text"] for medication in found if medication] == ["one", "two"]


@pytest.mark.parametrize("identity", [None, "", {}, ["p"], True])
def test_a_patient_without_an_id_gets_a_placeholder_made_from_the_record(identity: Any) -> None:
    def record(status: str) -> Record:
        return Record([{"resourceType": "Patient", "id": identity}, {**ENCOUNTER, "status": status}])

    one, same, other = record("finished"), record("finished"), record("planned")
    assert one.subject == one.subject == same.subject != other.subject
    assert one.subject.startswith("Patient/without-id-")
    assert one.issues == [f"The Patient has no id; results name it {one.subject}."]
    assert one.patient["id"] == identity


def test_a_number_as_id_is_read() -> None:
    record = Record([{"resourceType": "Patient", "id": 17}])
    assert record.subject == "Patient/17"
    assert record.issues == ["The id of the Patient is a number where a string belongs; it is read as one."]


def test_json_nested_beyond_reason_is_a_record_error() -> None:
    nested: Any = "x"
    for _ in range(400):
        nested = {"extension": [nested]}
    entry = {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "extension": [nested]}}
    with pytest.raises(RecordError, match="nested"):
        read_record(json.dumps(bundle(entry)).encode())
