"""Many resources written at once are kept as if they had been written one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select

from measurewise.store import resources as store
from measurewise.store.access import OPERATOR
from measurewise.store.bulk_writing import Written, write_many
from measurewise.store.database import Database, now
from measurewise.store.histories import Versions, versions
from measurewise.store.tables import resource_versions, resources, results, search_values
from measurewise.synthetic import synthesize


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    found.migrate()
    yield found
    found.close()


def records(patients: int) -> list[dict[str, Any]]:
    return [entry["resource"] for bundle in synthesize(patients, 1, 2026) for entry in bundle["entry"]]


def kept(database: Database, organization: str) -> list[Any]:
    """All that the tables say of an organisation's resources, without keys and times."""
    columns = (resources.c.type, resources.c.id)
    with database.read() as connection:
        current = connection.execute(
            select(*columns, resources.c.version, resources.c.deleted, resources.c.patient)
            .where(resources.c.organization == organization)
            .order_by(*columns)
        ).all()
        versions = connection.execute(
            select(*columns, resource_versions.c.version, resource_versions.c.method)
            .join_from(resources, resource_versions)
            .where(resources.c.organization == organization)
            .order_by(*columns, resource_versions.c.version)
        ).all()
        values = connection.execute(
            select(
                *columns, search_values.c.parameter, search_values.c.system, search_values.c.value,
                search_values.c.low, search_values.c.high,
            )
            .join_from(resources, search_values)
            .where(resources.c.organization == organization)
        ).all()  # fmt: skip
    return [list(current), list(versions), sorted(map(str, values))]


def test_it_is_as_if_each_had_been_written_by_itself(database: Database) -> None:
    given = records(5)
    changed = [{**resource, "language": "en"} for resource in given[::3]]
    with database.write() as connection:
        for resource in (*given, *changed, *given[:2]):
            store.write(connection, "singly", resource)
    with database.write() as connection:
        assert write_many(connection, "together", given) == Written(created=len(given))
    with database.write() as connection:
        again = write_many(connection, "together", [*changed, *given[:2]])
    assert again == Written(updated=len(changed) + 1, unchanged=1)
    assert kept(database, "together") == kept(database, "singly")


def test_the_order_of_writing_is_the_order_of_searching(database: Database) -> None:
    given = [{"resourceType": "Basic", "id": name} for name in ("c", "a", "b")]
    with database.write() as connection:
        write_many(connection, "ours", given)
    with database.read() as connection:
        found = [one.id for one in store.of_types(connection, OPERATOR, ["Basic"])]
    assert found == ["c", "a", "b"]


def test_what_comes_twice_gets_a_version_each_time(database: Database) -> None:
    given = [{"resourceType": "Basic", "id": "a", "language": language} for language in ("en", "de", "de")]
    with database.write() as connection:
        assert write_many(connection, "ours", given) == Written(created=1, updated=1, unchanged=1)
    with database.read() as connection:
        assert store.read(connection, OPERATOR, "Basic", "a").parsed()["language"] == "de"
        assert versions(connection, OPERATOR, Versions("Basic", "a", 9)).total == 2


def test_what_was_deleted_comes_back(database: Database) -> None:
    given = [{"resourceType": "Basic", "id": "a"}]
    with database.write() as connection:
        write_many(connection, "ours", given)
        store.remove(connection, OPERATOR, "Basic", "a")
        assert write_many(connection, "ours", given) == Written(created=1)
    with database.read() as connection:
        assert store.read(connection, OPERATOR, "Basic", "a").version == 3


def test_one_by_one_goes_on_after_many_at_once(database: Database) -> None:
    with database.write() as connection:
        write_many(connection, "ours", [{"resourceType": "Basic", "id": "a"}])
        written = store.write(connection, "ours", {"resourceType": "Basic", "id": "b"})
    with database.read() as connection:
        assert store.read(connection, OPERATOR, "Basic", "a").key < written.key


def test_results_of_patients_whose_data_change_are_stale(database: Database) -> None:
    row = {
        "organization": "ours", "measure": "m|1", "period_start": "2026-01-01", "period_end": "2026-12-31",
        "computed": now(), "provenance": "x", "stale": False, "body": b"{}",
    }  # fmt: skip
    with database.write() as connection:
        connection.execute(insert(results), [{**row, "patient": "a"}, {**row, "patient": "b"}])
        write_many(connection, "ours", [{"resourceType": "Patient", "id": "a"}])
    with database.read() as connection:
        stale = dict(
            connection.execute(select(results.c.patient, results.c.stale)).all()  # type: ignore[arg-type]
        )
    assert stale == {"a": True, "b": False}
