"""What sources gave: whole patients in the place of whole patients, and never old data for new."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from measurewise.store import source_data, sources
from measurewise.store.access import OPERATOR, Access
from measurewise.store.database import Database
from measurewise.store.errors import (
    ConflictError,
    DeletedResourceError,
    NoSuchResourceError,
    StoreError,
)
from measurewise.store.histories import Versions, versions
from measurewise.store.resources import compartment, patients, read, write
from measurewise.store.source_ids import local_id, localized
from measurewise.store.sources import Source, SourceSettings
from measurewise.store.tables import metadata

FIRST = datetime(2026, 5, 1, tzinfo=UTC)
LATER = FIRST + timedelta(minutes=1)
CLINIC = Source("clinic", "ours", "https://clinic.example/fhir", SourceSettings())
HOSPITAL = Source("hospital", "ours", "https://hospital.example/fhir", SourceSettings(prefixed=True))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    found.migrate()
    with found.write() as connection:
        sources.add(connection, CLINIC)
        sources.add(connection, HOSPITAL)
    yield found
    found.close()


def observation(identity: str, of: str = "p", value: int = 1) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": identity, "status": "final",
        "subject": {"reference": f"Patient/{of}"}, "valueInteger": value,
    }  # fmt: skip


def give(
    database: Database, *resources: dict[str, Any], at: datetime = FIRST, source: Source = CLINIC
) -> source_data.Taken:
    given = [{"resourceType": "Patient", "id": "p"}, *resources]
    with database.write() as connection:
        local = [localized(source, resource) for resource in given]
        return source_data.replace_patient(connection, source, "p", local, at)


def held(database: Database, patient: str = "p") -> list[str]:
    with database.read() as connection:
        return sorted(one.reference for one in compartment(connection, "ours", patient))


def test_the_migrations_make_the_tables_that_the_program_knows(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_source_is_kept_as_it_was_added(database: Database) -> None:
    settings = SourceSettings(way="everything", sign_in="bearer", group="panel", overlap=5.0)
    practice = Source("practice-2", "theirs", "https://x.example/fhir", settings)
    with database.write() as connection:
        sources.add(connection, practice)
        assert sources.read(connection, OPERATOR, "practice-2") == practice
        assert [one.id for one in sources.listed(connection, Access(frozenset({"ours"})))] == [
            "clinic",
            "hospital",
        ]
        with pytest.raises(NoSuchResourceError, match="no source 'practice-2'"):
            sources.read(connection, Access(frozenset({"ours"})), "practice-2")
        with pytest.raises(ConflictError, match="already"):
            sources.add(connection, practice)
        with pytest.raises(StoreError, match="cannot be a source's name"):
            sources.add(connection, Source("No Name", "ours", "https://x.example", SourceSettings()))


def test_the_moment_of_a_sync_moves_on_from_where_the_sync_began_only(database: Database) -> None:
    with database.write() as connection:
        assert sources.advance(connection, "clinic", None, "2026-05-01T00:00:00Z")
        assert not sources.advance(connection, "clinic", None, "2026-04-01T00:00:00Z")
        assert sources.advance(connection, "clinic", "2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z")
        assert sources.read(connection, OPERATOR, "clinic").synced == "2026-05-02T00:00:00Z"


def test_a_patient_takes_the_place_of_what_was_there_before(database: Database) -> None:
    assert give(database, observation("a"), observation("b")) == source_data.Taken(created=3)
    taken = give(database, observation("a", value=2), observation("c"), at=LATER)
    assert taken == source_data.Taken(created=1, updated=1, unchanged=1, deleted=1)
    assert held(database) == ["Observation/a", "Observation/c", "Patient/p"]


def test_the_same_again_writes_nothing(database: Database) -> None:
    give(database, observation("a"))
    assert give(database, observation("a"), at=LATER) == source_data.Taken(unchanged=2)
    with database.read() as connection:
        assert versions(connection, OPERATOR, Versions("Observation", "a", 9)).total == 1


def test_what_was_read_earlier_does_not_replace_what_was_read_later(database: Database) -> None:
    give(database, observation("a", value=2), at=LATER)
    assert not give(database, observation("a", value=1), observation("b"), at=FIRST).something
    with database.read() as connection:
        assert read(connection, OPERATOR, "Observation", "a").parsed()["valueInteger"] == 2
    assert held(database) == ["Observation/a", "Patient/p"]


def test_a_change_read_before_the_deletion_does_not_bring_it_back(database: Database) -> None:
    give(database, observation("a"), observation("b"))
    give(database, observation("b"), at=LATER)
    early = FIRST + timedelta(seconds=30)
    with database.write() as connection:
        assert not source_data.write_changes(connection, CLINIC, [observation("a", value=9)], early).something
    assert held(database) == ["Observation/b", "Patient/p"]


def test_what_others_wrote_is_neither_deleted_nor_counted(database: Database) -> None:
    with database.write() as connection:
        write(connection, "ours", observation("by-hand"))
    give(database, observation("a"))
    give(database, at=LATER)
    assert held(database) == ["Observation/by-hand", "Patient/p"]


def test_a_resource_that_moved_to_another_patient_stays_with_that_one(database: Database) -> None:
    give(database, observation("a"))
    with database.write() as connection:
        moved = [{"resourceType": "Patient", "id": "q"}, observation("a", of="q")]
        source_data.replace_patient(connection, CLINIC, "q", moved, LATER)
    give(database, at=LATER)
    assert held(database, "q") == ["Observation/a", "Patient/q"]


def test_a_patient_who_is_gone_takes_all_data_along(database: Database) -> None:
    give(database, observation("a"))
    with database.write() as connection:
        assert source_data.remove_patient(connection, CLINIC, "p", LATER).deleted == 2
        assert not source_data.remove_patient(connection, CLINIC, "p", LATER).something
    assert held(database) == []
    with database.read() as connection:
        assert list(patients(connection, OPERATOR)) == []
        assert sources.counts(connection, "clinic") == sources.SourceCounts(0, 0)
        with pytest.raises(DeletedResourceError):
            read(connection, OPERATOR, "Patient", "p")


def test_an_error_is_noted_and_leaves_earlier_data(database: Database) -> None:
    give(database, observation("a"))
    told = {"code": "timeout", "diagnostics": "too slow"}
    with database.write() as connection:
        source_data.note_patient(connection, "clinic", "p", LATER, held=False, error=told)
        source_data.note_patient(connection, "clinic", "new", LATER, held=False, error=told)
        assert sources.failed_patients(connection, "clinic") == {"new": told, "p": told}
        assert sources.held_patients(connection, "clinic") == {"p"}
    assert held(database) == ["Observation/a", "Patient/p"]
    give(database, observation("a"), at=LATER + timedelta(minutes=1))
    with database.read() as connection:
        assert sources.failed_patients(connection, "clinic") == {"new": told}


def test_two_sources_with_the_same_ids_do_not_mix(database: Database) -> None:
    give(database, observation("a", value=1))
    give(database, observation("a", value=2), source=HOSPITAL)
    assert held(database) == ["Observation/a", "Patient/p"]
    assert held(database, "hospital.p") == ["Observation/hospital.a", "Patient/hospital.p"]
    kept = Source("third", "ours", "https://third.example/fhir", SourceSettings())
    with database.write() as connection:
        sources.add(connection, kept)
    with pytest.raises(ConflictError, match=r"came from the source 'clinic'.*--ids prefixed"):
        give(database, observation("new"), source=kept)
    assert held(database) == ["Observation/a", "Patient/p"]


def test_everything_of_a_source_can_be_deleted_and_nothing_else(database: Database) -> None:
    give(database, observation("a"))
    give(database, observation("a"), source=HOSPITAL)
    with database.write() as connection:
        assert source_data.remove_all(connection, HOSPITAL, LATER).deleted == 2
        sources.remove(connection, HOSPITAL)
    assert held(database, "hospital.p") == []
    assert held(database) == ["Observation/a", "Patient/p"]


def test_references_are_rewritten_with_the_ids() -> None:
    place = {
        "resourceType": "Location", "id": "l", "managingOrganization": {"reference": "Organization/1"},
    }  # fmt: skip
    resource = {
        "resourceType": "Encounter", "id": "e", "contained": [place],
        "subject": {"reference": "https://hospital.example/fhir/Patient/p/_history/3"},
        "participant": [{"individual": {"reference": "Practitioner/2", "display": "Dr"}}],
        "location": [{"location": {"reference": "#l"}}],
        "partOf": {"reference": "https://elsewhere.example/fhir/Encounter/9"},
        "reasonReference": [{"reference": "urn:uuid:1"}, {"identifier": {"value": "x"}}],
        "instantiates": {"reference": "Library/mine"},
    }  # fmt: skip
    made = localized(HOSPITAL, resource)
    assert made["id"] == "hospital.e"
    assert made["contained"][0]["managingOrganization"]["reference"] == "Organization/hospital.1"
    assert made["subject"]["reference"] == "Patient/hospital.p"
    assert made["participant"][0]["individual"] == {
        "reference": "Practitioner/hospital.2",
        "display": "Dr",
    }
    assert made["location"] == resource["location"]
    assert made["partOf"] == resource["partOf"]
    assert made["reasonReference"] == resource["reasonReference"]
    assert made["instantiates"] == resource["instantiates"]
    assert localized(CLINIC, resource)["participant"] == resource["participant"]


def test_long_ids_stay_ids() -> None:
    long, other = "x" * 64, "x" * 63 + "y"
    assert local_id(CLINIC, long) == long
    assert len(local_id(HOSPITAL, long)) == 64
    assert local_id(HOSPITAL, long) != local_id(HOSPITAL, other)
    assert local_id(HOSPITAL, long) == local_id(HOSPITAL, long)
