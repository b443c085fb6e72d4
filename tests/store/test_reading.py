"""A ``read`` keeps to one state and one connection, whatever is read within it and however many read."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from measurewise.store.access import OPERATOR
from measurewise.store.database import Database
from measurewise.store.resources import read, write

PATIENT = {"resourceType": "Patient", "id": "p1", "active": True}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url, pool_size=1)  # and two more where there is need
    found.migrate()
    with found.write() as connection:
        write(connection, "ours", dict(PATIENT))
    yield found
    found.close()


def active(database: Database) -> bool:
    with database.read() as connection:
        return bool(read(connection, OPERATOR, "Patient", "p1").parsed()["active"])


def test_many_that_read_within_a_read_do_not_wait_for_one_another(database: Database) -> None:
    together = threading.Barrier(3, timeout=20)
    found: list[bool] = []

    def ask() -> None:
        with database.read():
            together.wait()  # all connections are taken now
            found.append(active(database))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [True] * 3


def test_what_is_written_meanwhile_is_seen_after_the_read(database: Database) -> None:
    with database.read():
        assert active(database)
        with database.write() as connection:
            write(connection, "ours", {**PATIENT, "active": False})
        assert active(database)
    assert not active(database)


def test_another_thread_reads_for_itself(database: Database) -> None:
    found: list[bool] = []
    with database.read():
        assert active(database)
        with database.write() as connection:
            write(connection, "ours", {**PATIENT, "active": False})
        thread = threading.Thread(target=lambda: found.append(active(database)))
        thread.start()
        thread.join(20)
    assert found == [False]


def test_a_read_does_not_write_on_postgresql(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite's transactions are not declared as read-only")
    with pytest.raises(Exception, match="read-only"), database.read() as connection:
        write(connection, "ours", {**PATIENT, "active": False})
