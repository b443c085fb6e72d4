"""What tests of several rooms need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import postgresql_server as throwaway
import pytest
from shared_inputs import absent, shared


@pytest.fixture(scope="session")
def ecqm_dir() -> Path:
    """The folder of official measures, libraries, value sets and cases."""
    return shared("ecqm")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server with ``{name}`` for a database; skips where none can be started."""
    programs = throwaway.server_programs()
    if programs is None:
        absent("no PostgreSQL server is installed")
    with throwaway.server(programs) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    return throwaway.new_database(request, tmp_path, request.param)
