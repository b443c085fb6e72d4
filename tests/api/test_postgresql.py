"""The tests over HTTP hold on PostgreSQL as they do on SQLite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from postgresql_server import make_database
from served import TEMPLATE
from sqlalchemy import create_engine, text

from measurewise.api.services.context import open_services
from measurewise.api.settings import Settings

HERE = Path(__file__).parent
SUITES = ("test_interactions.py", "test_deqm_operations.py", "test_care_gaps.py")


def test_the_tests_over_http_hold_on_postgresql(postgresql_server: str, tmp_path: Path) -> None:
    # Every server of the tests starts with a copy of a store that has its tables and content.
    url = make_database(postgresql_server)
    open_services(Settings(data_folder=tmp_path, database=url, _env_file=None)).database.close()  # type: ignore[call-arg]
    name = url.removeprefix(postgresql_server.partition("{name}")[0]).partition("?")[0]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *(str(HERE / suite) for suite in SUITES),
        ],
        env={**os.environ, TEMPLATE: f"{postgresql_server} {name}"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 80
    assert "skipped" not in done.stdout
    engine = create_engine(postgresql_server.format(name="postgres"))
    with engine.connect() as connection:
        found = connection.execute(text("SELECT count(*) FROM pg_database WHERE datname LIKE 'test%'"))
        # One of its own for each server that the tests started.
        assert found.scalar_one() > 10
    engine.dispose()
