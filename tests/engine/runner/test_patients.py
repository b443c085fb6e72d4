"""Patients from files: every form gives the same raw records, and says where each came from."""

import gzip
import json
from pathlib import Path

import pytest

from measurewise.engine import NotFoundError, RecordError, read_record
from measurewise.engine.runner.patients import Patients


def bundle(identity: str, *others: dict) -> dict:
    resources = [{"resourceType": "Patient", "id": identity}, *others]
    return {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]}


def ids(patients: Patients) -> list[str]:
    return [read_record(data, where=where).patient["id"] for where, data in patients]


def write_lines(path: Path, *values: dict) -> Path:
    text = "".join(json.dumps(value) + "\n" for value in values).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["p.ndjson", "p.ndjson.gz", "P.NDJSON", "p.jsonl"])
def test_lines_are_patients_and_blank_lines_are_not(tmp_path, name):
    path = write_lines(tmp_path / name, bundle("a"))
    with gzip.open(path, "ab") if name.endswith(".gz") else path.open("ab") as more:
        more.write(b"\n  \n" + json.dumps(bundle("b")).encode())
    patients = Patients(path)
    assert [(where.rpartition("/")[2], data.strip() != b"") for where, data in patients] == [
        (f"{name}, line 1", True),
        (f"{name}, line 4", True),
    ]
    assert patients.position == patients.size == path.stat().st_size


def test_a_folder_is_read_file_by_file_in_the_order_of_names_without_hidden_ones(tmp_path):
    (tmp_path / "b.json").write_text(json.dumps(bundle("2"), indent=2))
    write_lines(tmp_path / "a.ndjson", bundle("1"))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d.json.gz").write_bytes(gzip.compress(json.dumps(bundle("3")).encode()))
    (tmp_path / ".hidden.json").write_text("{")
    (tmp_path / "notes.txt").write_text("none of these")
    patients = Patients(tmp_path)
    assert ids(patients) == ["1", "2", "3"]
    assert patients.position == patients.size


def reference(to: str) -> dict:
    return {"reference": to}


def test_bulk_data_is_gathered_by_patient_with_what_the_resources_refer_to(tmp_path):
    write_lines(
        tmp_path / "Patient.ndjson",
        {"resourceType": "Patient", "id": "a", "managingOrganization": reference("Organization/o1")},
        {"resourceType": "Patient", "id": "b"},
    )
    write_lines(
        tmp_path / "Various.ndjson.gz",
        {"resourceType": "Coverage", "id": "c", "beneficiary": reference("Patient/b")},
        {
            "resourceType": "Task",
            "id": "t",
            "for": reference("https://example.org/fhir/Patient/a/_history/3"),
        },
        {"resourceType": "Immunization", "id": "i", "patient": reference("Patient/a")},
        {
            "resourceType": "MedicationRequest",
            "id": "m",
            "subject": reference("Patient/b"),
            "medicationReference": reference("Medication/aspirin"),
        },
        {"resourceType": "Medication", "id": "aspirin", "manufacturer": reference("Organization/o2")},
        {"resourceType": "Medication", "id": "unused"},
        {"resourceType": "Organization", "id": "o1"},
        {"resourceType": "Organization", "id": "o2"},
        {"resourceType": "Observation", "id": "nobody", "subject": reference("Group/g")},
        {"resourceType": "Observation"},
    )
    patients = Patients(tmp_path)
    found = {
        where.rpartition(", ")[2]: [f"{r['resourceType']}/{r['id']}" for r in read_record(data).resources()]
        for where, data in patients
    }
    assert found == {
        "Patient/a": ["Patient/a", "Task/t", "Immunization/i", "Organization/o1"],
        "Patient/b": [
            "Patient/b",
            "Coverage/c",
            "MedicationRequest/m",
            "Medication/aspirin",
            "Organization/o2",
        ],
    }
    assert patients.notices == [
        "Resources that belong to no patient were left out: 1 Medication, 2 Observation."
    ]


def test_one_file_of_resources_by_line_is_bulk_data_too(tmp_path):
    path = write_lines(
        tmp_path / "all.ndjson",
        {"resourceType": "Observation", "id": "o", "subject": reference("Patient/a")},
        {"resourceType": "Patient", "id": "a"},
    )
    ((_, data),) = Patients(path)
    assert len(read_record(data).resources()) == 2


def test_bulk_data_of_an_absent_patient_is_a_record_without_one(tmp_path):
    path = write_lines(
        tmp_path / "Observation.ndjson",
        {"resourceType": "Observation", "id": "o", "subject": reference("Patient/gone")},
    )
    ((where, data),) = Patients(path)
    with pytest.raises(RecordError, match=r"Patient/gone: There is no Patient"):
        read_record(data, where=where)


def test_patients_of_bulk_data_without_an_id_are_not_taken_for_one(tmp_path):
    path = write_lines(
        tmp_path / "Patient.ndjson",
        {"resourceType": "Patient", "gender": "male"},
        {"resourceType": "Patient", "gender": "female"},
    )
    found = list(Patients(path))
    assert [read_record(data).patient["gender"] for _, data in found] == ["male", "female"]
    assert [where.partition("Patient/")[2] for where, _ in found] == [
        f"(without an id) {path}, line {number}" for number in (1, 2)
    ]


def test_a_broken_line_of_bulk_data_stops_the_reading_for_nobody_knows_whose_it_is(tmp_path):
    path = write_lines(tmp_path / "Patient.ndjson", {"resourceType": "Patient", "id": "a"})
    with path.open("a") as more:
        more.write('{"resourceType": "Patient", "id"')
    with pytest.raises(RecordError, match=r"Patient\.ndjson, line 2, column \d+: the JSON ends early"):
        list(Patients(path))


def test_what_is_no_source_of_patients_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="there is no such file or folder"):
        Patients(tmp_path / "nowhere.ndjson")
    with pytest.raises(RecordError, match="there are no patients in this folder"):
        Patients(tmp_path)
    (tmp_path / "patients.csv").write_text("id\n1\n")
    with pytest.raises(RecordError, match="this kind of file"):
        Patients(tmp_path / "patients.csv")


def test_a_file_that_is_not_compressed_as_its_name_says_is_refused(tmp_path):
    (tmp_path / "p.ndjson.gz").write_text("{}")
    with pytest.raises(RecordError, match=r"p\.ndjson\.gz: the file cannot be read"):
        list(Patients(tmp_path / "p.ndjson.gz"))
