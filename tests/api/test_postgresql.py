"""The tests over HTTP hold on PostgreSQL as they do on SQLite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from postgresql_server import make_database
from served import TEMPLATE
from sqlalchemy import create_engine, text

from measurewise.api.services.context import open_services
from measurewise.api.settings import Settings

HERE = Path(__file__).parent
OFFICIAL_SUITES = ("test_qrda_operations.py", "test_job_audit.py")
"""Those that need the official measures."""
SUITES = (
    "test_interactions.py", "test_deqm_operations.py", "test_care_gaps.py", "test_histories.py",
    "test_patches.py", "test_tenancy.py", "test_ways_of_answering.py",
)  # fmt: skip


def test_the_tests_over_http_hold_on_postgresql(postgresql_server: str, tmp_path: Path) -> None:
    assert_hold(SUITES, postgresql_server, tmp_path, tests=80, servers=10)


def test_exports_reports_and_jobs_hold_on_postgresql(
    postgresql_server: str, ecqm_dir: Path, tmp_path: Path
) -> None:
    assert_hold(OFFICIAL_SUITES, postgresql_server, tmp_path, tests=40, servers=2)


def assert_hold(suites: Sequence[str], postgresql: str, folder: Path, *, tests: int, servers: int) -> None:
    """More tests than so many pass, none is skipped, and their servers had databases of their own."""
    # Every server of the tests starts with a copy of a store that has its tables and content.
    url = make_database(postgresql)
    open_services(Settings(data_folder=folder, database=url, _env_file=None)).database.close()  # type: ignore[call-arg]
    name = url.removeprefix(postgresql.partition("{name}")[0]).partition("?")[0]
    before = databases(postgresql)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *(str(HERE / suite) for suite in suites),
        ],
        env={**os.environ, TEMPLATE: f"{postgresql} {name}"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > tests
    assert "skipped" not in done.stdout
    assert databases(postgresql) - before >= servers


def databases(postgresql: str) -> int:
    """How many databases of tests there are."""
    engine = create_engine(postgresql.format(name="postgres"))
    with engine.connect() as connection:
        found = connection.execute(text("SELECT count(*) FROM pg_database WHERE datname LIKE 'test%'"))
        count = int(found.scalar_one())
    engine.dispose()
    return count
