"""Inputs beside the repository: official measures and tests, model info, QRDA files and their rules.

Where they are absent the tests that need them are skipped; under CI their absence is a failure, so that a
green run there means that they ran.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

SHARED = Path(__file__).parents[2] / "shared"
CI = os.environ.get("CI") == "true"


def absent(reason: str) -> NoReturn:
    """Skip the test that runs, or fail it under CI."""
    if CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def shared(*parts: str) -> Path:
    """A file or folder of the shared inputs, by its path there."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        absent(_reason(*parts))
    return path


def needs(*parts: str) -> pytest.MarkDecorator:
    """A mark for tests (or a module's ``pytestmark``) that need a file or folder of the shared inputs."""
    return pytest.mark.skipif(not SHARED.joinpath(*parts).exists() and not CI, reason=_reason(*parts))


def _reason(*parts: str) -> str:
    return f"it is not there: expected in ../shared/{'/'.join(parts)}, beside the repository"
