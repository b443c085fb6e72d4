"""The official measures, all cases, through the command that a person runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASES = 2156


def run_deck(deck: Path, *more: str, engine: str = "elm") -> tuple[int, dict[str, Any]]:
    code = "import sys; from measurewise.cli import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        code,
        "deck",
        str(deck),
        "--engine",
        engine,
        "--json",
        "--jobs",
        "2",
        "--no-cache",
        *more,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == "", done.stderr
    return done.returncode, json.loads(done.stdout)


def listed(failures: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{failure['measure']} {failure['case']}: expected {failure['expected']}, got {failure['actual']}"
        for failure in failures
    )


@pytest.mark.deck
@pytest.mark.parametrize("engine", ["elm", "cql"])
def test_every_official_case_passes(ecqm_dir: Path, record_property, engine: str) -> None:
    status, found = run_deck(ecqm_dir, engine=engine)
    tally = f"{found['passed']:,} of {found['cases']:,}, {len(found['reviewed'])} by reviewed expectations"
    print(tally)
    record_property(f"deck from {engine}", tally)
    assert found["cases"] == CASES
    assert found["passed"] == CASES, f"{tally}\n{listed(found['failures'])}"
    assert (status, found["failures"]) == (0, [])


@pytest.mark.deck
def test_99_of_100_cases_pass_by_structure_without_any_label(ecqm_dir: Path, record_property) -> None:
    _, found = run_deck(ecqm_dir, "--strip-labels")
    tally = f"{found['passed']:,} of {found['cases']:,} without labels"
    print(tally)
    record_property("deck without labels", tally)
    assert found["cases"] == CASES
    assert found["passed"] >= 0.99 * CASES, f"{tally}\n{listed(found['failures'])}"
