"""A server for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from served import start

from measurewise.api.settings import Settings


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A server of its own for one test."""
    yield from start(Settings(data_folder=tmp_path, _env_file=None))  # type: ignore[call-arg]
