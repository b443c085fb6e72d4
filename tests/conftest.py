"""What tests of several rooms need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import postgresql_server as throwaway
import pytest

ECQM = Path(__file__).parents[2] / "shared" / "ecqm"


@pytest.fixture(scope="session")
def ecqm_dir() -> Path:
    """The folder of official measures, libraries, value sets and cases, beside the repository.

    Tests that need it are skipped where it is absent; under CI its absence is a failure, so that a green run
    there means that they ran.
    """
    if ECQM.is_dir():
        return ECQM
    reason = "the official measures are not there: expected in ../shared/ecqm, beside the repository"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server with ``{name}`` for a database; skips where none can be started."""
    programs = throwaway.server_programs()
    if programs is None:
        reason = "no PostgreSQL server is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with throwaway.server(programs) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    return throwaway.new_database(request, tmp_path, request.param)
