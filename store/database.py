"""The database: SQLite with a write-ahead log by default, PostgreSQL by one setting (its URL)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError

from measurewise.store.errors import ConflictError, StoreError

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_BUSY_MILLISECONDS: Final = 30_000
_RACES: Final = frozenset({"23505", "40001", "40P01"})
"""PostgreSQL's codes for a row that another made first, for states that go not together, for a deadlock."""
_ATTEMPTS: Final = 8
_Result = TypeVar("_Result")


class Database:
    """A pool of connections, and transactions on it.

    ``url`` is an SQLAlchemy URL (``sqlite:////path/to/file.db``, ``postgresql+psycopg://user@host/name``).
    SQLite has one writer at a time: a transaction that writes asks for the place at its start
    (``BEGIN IMMEDIATE``) and waits for it, so that no transaction fails half-way for having read first.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        """Raises StoreError for a URL that names no database this version can open."""
        try:
            parsed = make_url(url)
            options: dict[str, Any] = {}
            self.is_sqlite = parsed.get_backend_name() == "sqlite"
            if self.is_sqlite:
                if parsed.database not in (None, "", ":memory:"):
                    Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
                options["connect_args"] = {"check_same_thread": False}
            else:
                options["pool_pre_ping"] = True
            # Values are patients' data: what goes wrong is told, and logged, without them.
            options["hide_parameters"] = True
            self.engine: Engine = create_engine(
                parsed, pool_size=pool_size, max_overflow=2 * pool_size, **options
            )
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise StoreError(
                f"the database URL cannot be used ({error}).",
                mend="Write sqlite:////path/file.db or postgresql+psycopg://user:password@host/name.",
            ) from error
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
        self._writing = threading.Lock()
        self._reading: ContextVar[tuple[int, Connection] | None] = ContextVar("reading", default=None)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading: one consistent state from its first query to its end.

        Within another ``read`` of the same thread it is that one's connection and state: whoever holds a
        connection never waits for a second one, which with many requests at once would never come.
        """
        outer = self._reading.get()
        if outer is not None and outer[0] == threading.get_ident() and not outer[1].closed:
            yield outer[1]
            return
        with self._read_only() as connection:
            self._reading.set((threading.get_ident(), connection))
            try:
                yield connection
            finally:
                self._reading.set(outer)

    @contextmanager
    def _read_only(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it or, where an error leaves the block, nothing.

        What others read meanwhile (``read`` within it too) is the state before it.
        """
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                yield connection
            return
        # Within a process the lock is fair, which SQLite's own waiting is not.
        with self._writing, self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def migrate(self) -> None:
        """Bring the tables to this version; nothing is done where they have it."""
        with self._opened() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        if current == self._head():
            return
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["engine"] = self.engine
        command.upgrade(config, "head")

    def check(self) -> None:
        """Raises StoreError where the database cannot be reached or its tables are not of this version."""
        with self._opened() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            connection.execute(text("SELECT 1"))
        if current != self._head():
            raise StoreError(
                f"the tables are of version {current}, this program's of {self._head()}.",
                mend="Run measurewise store migrate.",
            )

    def check_whole(self) -> None:
        """Raises StoreError where SQLite finds its file damaged; PostgreSQL looks after its own."""
        if not self.is_sqlite:
            return
        with self._opened() as connection:
            found = list(connection.exec_driver_sql("PRAGMA integrity_check").scalars())
            astray = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if found != ["ok"] or astray is not None:
            said = found[0] if found != ["ok"] else f"rows of {astray[0]} belong to nothing"  # type: ignore[index]
            raise StoreError(
                f"the database is damaged ({said}).",
                where=self.engine.url.render_as_string(),
                mend="Restore a backup.",
            )

    def vacuum(self) -> None:
        """Give back unused room and renew the statistics that queries are planned by; takes its time."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("VACUUM")
                connection.exec_driver_sql("ANALYZE")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                connection.exec_driver_sql("VACUUM (ANALYZE)")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            raise StoreError(
                f"the database cannot be opened ({error.orig}).", where=self.engine.url.render_as_string()
            ) from error

    @staticmethod
    def _head() -> str | None:
        return ScriptDirectory(str(_MIGRATIONS)).get_current_head()


def now() -> datetime:
    """This moment, in UTC, to the microsecond."""
    return datetime.now(UTC)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Transactions are begun by ``read`` and ``write``; the driver's own begin comes too late for both.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.execute("PRAGMA mmap_size=268435456")
    cursor.close()


def again(work: Callable[[], _Result]) -> _Result:
    """Do work whose transaction may lose a race against others, and is then done once more from its start.

    The work is one transaction, or comes to the same if it is done twice. Raises ConflictError where it
    loses again and again.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return work()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _RACES:
                raise
        time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311
    raise ConflictError("others are changing the same resources all the time.", mend="Send it again later.")
