"""What tests of several rooms need."""

from __future__ import annotations

import os
from pathlib import Path

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
