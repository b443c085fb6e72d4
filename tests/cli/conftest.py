"""What tests of the command line share: running it, patients, and content to spoil."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from measurewise import cql_libraries, valuesets
from measurewise.cli import main
from measurewise.synthetic import synthesize, write_ndjson


class Done(NamedTuple):
    """What a command left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        (line,) = self.out.splitlines()
        return json.loads(line)


Run = Callable[..., Done]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of compiled programs for these tests alone."""
    folder = tmp_path_factory.mktemp("programs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEASUREWISE_CACHE", str(folder))
        yield folder


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command in this process."""

    def command(*arguments: object) -> Done:
        capfdbinary.readouterr()
        status = main([str(argument) for argument in arguments])
        sys.stdout.flush()
        captured = capfdbinary.readouterr()
        return Done(status, captured.out.decode(), captured.err.decode())

    return command


@pytest.fixture
def run_process() -> Run:
    """Run a command as a process of its own, as a shell does."""

    def command(*arguments: object, stdin: bytes | None = None) -> Done:
        tokens = [str(argument) for argument in arguments]
        code = "import sys; from measurewise.cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code, *tokens], input=stdin, capture_output=True, check=False
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return command


@pytest.fixture(scope="session")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty synthetic patients, a bundle a line."""
    path = tmp_path_factory.mktemp("patients") / "patients.ndjson"
    write_ndjson(synthesize(40, seed=3, year=2026), path)
    return path


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A copy of the shipped content, to be spoilt."""
    folder = tmp_path / "content"
    shutil.copytree(
        cql_libraries.FOLDER, folder / "libraries", ignore=shutil.ignore_patterns("*.py*", "*.md")
    )
    shutil.copytree(valuesets.FOLDER, folder / "valuesets", ignore=shutil.ignore_patterns("*.py*"))
    return folder
