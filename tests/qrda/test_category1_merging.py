"""Documents of one patient, from one system or several, become one record."""

from __future__ import annotations

from typing import Any

import pytest
from category1_documents import PRESSURE, document
from category1_records import settings

from measurewise.qrda.category1.document import write_document
from measurewise.qrda.category1.merging import Match, merge
from measurewise.qrda.category1.reading import ImportedDocument, read_document


def foreign(name: str, *entries: str, **changed: str) -> ImportedDocument:
    text = document(*entries).decode()
    for before, after in changed.values():
        assert before in text
        text = text.replace(before, after)
    return read_document(text.encode(), name)


def own(
    name: str, source: str, patient: dict[str, Any], *resources: dict[str, Any], created: str = "2026-01-01"
):
    written = write_document([patient, *resources], settings(source=source, created=f"{created}T00:00:00Z"))
    return read_document(written.data, name)


def pressure(number: str, value: str = "120") -> str:
    return PRESSURE.format(id=f"1.2.{number}", code="8480-6", time="20260101", value=value)


ADA = {
    "resourceType": "Patient",
    "id": "ada",
    "identifier": [{"system": "http://one.example", "value": "7"}],
    "name": [{"family": "Ohm", "given": ["Ada"]}],
    "gender": "female",
    "birthDate": "1960-02-03",
}
TASK = {
    "resourceType": "Task",
    "id": "t1",
    "status": "completed",
    "intent": "order",
    "for": {"reference": "Patient/ada"},
}


def test_an_entry_that_two_documents_of_a_system_have_is_taken_once_as_the_later_has_it() -> None:
    early = foreign("early", pressure("1"), pressure("2"), when=("20261101", "20260901"))
    late = foreign("late", pressure("2", "125"), pressure("3"))
    (one,) = merge([late, early])
    values = sorted(int(r["valueQuantity"]["value"]) for r in one.resources)
    assert values == [120, 120, 125]
    assert one.documents == ["late", "early"]
    assert [notice for notice in one.notices if "as late has it" in notice]


@pytest.mark.parametrize(
    ("match", "patients"), [("both", 1), ("identifiers", 2), ("demographics", 1), ("none", 2)]
)
def test_another_systems_document_joins_by_name_birth_date_and_sex_where_asked(
    match: Match, patients: int
) -> None:
    here = foreign("here", pressure("1"))
    there = foreign("there", pressure("2"), number=('extension="a"', 'extension="other"'))
    merged = merge([here, there], match)
    assert len(merged) == patients
    assert sum(len(one.resources) for one in merged) == 2
    assert len({one.patient["id"] for one in merged}) == patients
    if patients == 1:
        assert [one["value"] for one in merged[0].patient["identifier"]] == ["other", "a"] or [
            one["value"] for one in merged[0].patient["identifier"]
        ] == ["a", "other"]
        subject = f"Patient/{merged[0].patient['id']}"
        assert {one["subject"]["reference"] for one in merged[0].resources} == {subject}


def test_one_identifier_with_two_birth_dates_is_two_patients_and_told() -> None:
    merged = merge([foreign("one"), foreign("two", born=("19600203", "19610203"))])
    assert len(merged) == 2
    assert "kept apart from one" in merged[1].notices[0]


def test_two_fhir_ids_of_one_source_are_two_patients_whatever_they_share() -> None:
    documents = [own("one", "http://a", ADA), own("two", "http://a", ADA | {"id": "ada-2"})]
    merged = merge(documents)
    assert [one.patient["id"] for one in merged] == ["ada", "ada-2"]


def test_one_fhir_id_of_one_source_is_one_patient_even_where_nothing_else_is_matched() -> None:
    documents = [own("one", "http://a", ADA, TASK), own("two", "http://a", ADA, TASK)]
    (one,) = merge(documents, "none")
    assert one.patient == documents[0].patient
    assert one.resources == [TASK]
    assert one.notices == []


def test_equal_ids_of_different_sources_are_different_resources() -> None:
    later = own(
        "two",
        "http://b",
        ADA | {"id": "other"},
        TASK | {"for": {"reference": "Patient/other"}},
        created="2026-02-01",
    )
    (one,) = merge([own("one", "http://a", ADA, TASK), later])
    assert one.patient["id"] == "other"
    assert len({task["id"] for task in one.resources}) == 2
    assert {task["for"]["reference"] for task in one.resources} == {"Patient/other"}


def test_resources_that_one_document_has_twice_stay_twice() -> None:
    (one,) = merge([own("one", "http://a", ADA, TASK, TASK), own("two", "http://a", ADA, TASK, TASK)])
    assert one.resources == [TASK, TASK]
