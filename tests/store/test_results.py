"""Kept results: none is taken for fresh that a change could have altered, whoever writes at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event

from measurewise.store import results as store
from measurewise.store.access import OPERATOR, SHARED, Access
from measurewise.store.database import Database
from measurewise.store.resources import compartment, of_references, read, remove, write
from measurewise.store.results import (
    Kept,
    Question,
    content_revision,
    counts,
    fresh,
    keep,
    note_types,
    revisions,
)

QUESTION = Question("urn:measure|1", "2026-01-01", "2026-12-31", "as-it-is")
PATIENT = {"resourceType": "Patient", "id": "p"}
ABOUT = {"subject": {"reference": "Patient/p"}}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    found.migrate()
    with found.write() as connection:
        write(connection, "ours", PATIENT)
        note_types(connection, QUESTION.measure, ["Observation", "Patient"])
    yield found
    found.close()


def read_at(database: Database) -> dict[str, store.Revision]:
    with database.read() as connection:
        return revisions(connection, "ours", ["p"])


def kept(connection: Connection, at: dict[str, store.Revision]) -> int:
    return keep(connection, "ours", [Kept("p", QUESTION, b'{"a": 1}')], at)


def held(database: Database, question: Question = QUESTION) -> dict[tuple[str, str], bytes]:
    with database.read() as connection:
        return fresh(connection, "ours", ["p", "q"], [question])


def keep_one(database: Database) -> None:
    at = read_at(database)
    with database.write() as connection:
        assert kept(connection, at) == 1


def test_a_result_is_found_by_what_it_answers(database: Database) -> None:
    keep_one(database)
    assert held(database) == {("p", QUESTION.measure): b'{"a": 1}'}
    for other in (
        Question("urn:measure|2", "2026-01-01", "2026-12-31", "as-it-is"),
        Question("urn:measure|1", "2025-01-01", "2025-12-31", "as-it-is"),
        Question("urn:measure|1", "2026-01-01", "2026-12-31", "changed"),
    ):
        assert held(database, other) == {}
    with database.read() as connection:
        assert fresh(connection, "theirs", ["p"], [QUESTION]) == {}


def test_a_result_takes_the_place_of_the_one_before(database: Database) -> None:
    keep_one(database)
    keep_one(database)
    with database.read() as connection:
        assert counts(connection, "ours") == (1, 0)


@pytest.mark.parametrize(
    ("resource", "stale"),
    [
        ({"resourceType": "Observation", "id": "o", **ABOUT}, True),
        ({"resourceType": "Condition", "id": "c", **ABOUT}, False),
        ({"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/q"}}, False),
        ({"resourceType": "Condition", "id": "c", **ABOUT, "contained": [{"resourceType": "Device"}]}, True),
        ({"resourceType": "MeasureReport", "id": "r", **ABOUT}, False),
        ({"resourceType": "Location", "id": "l"}, False),
        ({"resourceType": "Observation", "id": "of-nobody"}, True),
        ({**PATIENT, "gender": "male"}, True),
        (PATIENT, False),
    ],
)
def test_what_a_change_can_alter_is_stale(database: Database, resource: dict[str, Any], stale: bool) -> None:
    keep_one(database)
    with database.write() as connection:
        write(connection, "ours", resource)
    assert held(database) == ({} if stale else {("p", QUESTION.measure): b'{"a": 1}'})


def test_what_moves_to_another_patient_concerns_both(database: Database) -> None:
    observation = {"resourceType": "Observation", "id": "o"}
    with database.write() as connection:
        write(connection, "ours", {**observation, **ABOUT})
    keep_one(database)
    with database.write() as connection:
        write(connection, "ours", {**observation, "subject": {"reference": "Patient/q"}})
    assert held(database) == {}


def test_what_is_deleted_concerns_its_patient(database: Database) -> None:
    with database.write() as connection:
        write(connection, "ours", {"resourceType": "Observation", "id": "o", **ABOUT})
    keep_one(database)
    with database.write() as connection:
        remove(connection, OPERATOR, "Observation", "o")
    assert held(database) == {}


def test_another_organisations_change_concerns_nobody_here(database: Database) -> None:
    keep_one(database)
    with database.write() as connection:
        write(connection, "theirs", {**PATIENT, "gender": "male"})
    assert held(database) != {}


@pytest.mark.parametrize("resource_type", ["Observation", "Condition"])
def test_nothing_is_kept_of_data_that_changed_since_they_were_read(
    database: Database, resource_type: str
) -> None:
    at = read_at(database)
    with database.write() as connection:
        write(connection, "ours", {"resourceType": resource_type, "id": "x", **ABOUT})
    with database.write() as connection:
        assert kept(connection, at) == 0
        assert kept(connection, revisions(connection, "ours", ["p"])) == 1


def test_nothing_is_kept_when_what_belongs_to_nobody_has_changed(database: Database) -> None:
    at = read_at(database)
    with database.write() as connection:
        write(connection, "ours", {"resourceType": "Medication", "id": "m"})
    with database.write() as connection:
        assert kept(connection, at) == 0


def test_nothing_is_kept_while_somebody_writes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    monkeypatch.setattr(store, "_TRIES", 2)
    at = read_at(database)
    with database.write() as writing:
        write(writing, "ours", {"resourceType": "Observation", "id": "o", **ABOUT})
        with database.write() as keeping:
            assert kept(keeping, at) == 0
    with database.write() as keeping:
        assert kept(keeping, at) == 0
    keep_one(database)


def test_types_that_a_measure_once_retrieved_stay_noted(database: Database) -> None:
    keep_one(database)
    with database.write() as connection:
        note_types(connection, QUESTION.measure, ["Condition"])
        write(connection, "ours", {"resourceType": "Observation", "id": "o", **ABOUT})
    assert held(database) == {}


def test_content_has_another_number_after_every_change(database: Database) -> None:
    library = {"resourceType": "Library", "id": "l", "status": "draft"}
    numbers = []
    for resource in (library, {**library, "status": "active"}):
        with database.write() as connection:
            write(connection, "ours", resource)
            numbers.append(content_revision(connection))
    with database.write() as connection:
        write(connection, "ours", PATIENT)
        assert content_revision(connection) == numbers[-1]
        remove(connection, Access(frozenset({SHARED})), "Library", "l")
        numbers.append(content_revision(connection))
    assert numbers == sorted(set(numbers))


def test_hot_queries_read_no_whole_table(database: Database) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL chooses plans by the sizes of tables")
    asked: list[tuple[str, Any]] = []

    def note(_: Connection, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    with database.read() as connection:
        event.listen(database.engine, "before_cursor_execute", note)
        read(connection, OPERATOR, "Patient", "p")
        of_references(connection, OPERATOR, [("Medication", "m")])
        compartment(connection, "ours", "p")
        revisions(connection, "ours", ["p"])
        fresh(connection, "ours", ["p"], [QUESTION])
        content_revision(connection)
        event.remove(database.engine, "before_cursor_execute", note)
        assert len(asked) == 7
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [step for *_, step in plan]
            assert not [step for step in steps if step.startswith("SCAN")], (statement, steps)
            if "FROM results" in statement:
                # Not those of everybody in the measure.
                assert "patient=?" in steps[0]
