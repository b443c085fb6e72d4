"""The submissions that CMS's own conversion tool wrote: read and written back, and judged."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cms_pairs import cms_pairs

from measurewise.mips.programme_year import YEARS
from measurewise.mips.submission.problem import Problem
from measurewise.mips.submission.validation import is_clean, validate
from measurewise.qrda.qpp_model import to_json
from measurewise.qrda.qpp_reading import parse_json, read_qpp

REVIEWED = json.loads((Path(__file__).parent / "reviewed_cms_submissions.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def submissions() -> dict[str, Any]:
    return {name: parse_json(data) for name, data in cms_pairs().items() if name.endswith(".qpp.json")}


@pytest.fixture(scope="module")
def problems(submissions: dict[str, Any]) -> dict[str, list[Problem]]:
    return {name: validate(read_qpp(content)) for name, content in submissions.items()}


def test_every_submission_is_read_whole_and_written_back_the_same(
    submissions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    same = 0
    for name, content in submissions.items():
        reading = read_qpp(content)
        assert reading.wrong == (), name
        assert reading.submission.others == {}, name
        same += to_json(reading.submission) == content
    with capsys.disabled():
        print(f"\nQPP JSON read and written back the same: {same} of {len(submissions)}")
    assert same == len(submissions) == 221


def test_every_kind_of_problem_in_them_is_reviewed(
    problems: dict[str, list[Problem]], capsys: pytest.CaptureFixture[str]
) -> None:
    """CMS converts reports that its API refuses later; which, and why, stands in the reviewed list."""
    counted = Counter(one.code for found in problems.values() for one in {p.code: p for p in found}.values())
    clean = sum(map(is_clean, problems.values()))
    spotless = sum(not found for found in problems.values())
    with capsys.disabled():
        print(
            f"\nSubmissions of CMS's conversion tool: {len(problems)}, without error {clean}, "
            f"of these without warning {spotless}"
        )
        for code, number in sorted(counted.items()):
            print(f"  {code:24} in {number:3}")
    assert counted == {code: entry["files"] for code, entry in REVIEWED["problems"].items()}
    assert (clean, spotless) == (REVIEWED["withoutError"], REVIEWED["withoutWarning"])


def test_no_problem_is_told_of_a_place_that_is_in_order(
    submissions: dict[str, Any], problems: dict[str, list[Problem]]
) -> None:
    """The arithmetic of CMS's own files, done a second time and in another way."""
    judged = {name: content for name, content in submissions.items() if content["performanceYear"] in YEARS}
    assert len(judged) == 182
    for name, content in judged.items():
        wrong = {
            one.pointer.rpartition("/")[0]
            for one in problems[name]
            if one.code in ("SV-negative", "SV-above-eligible", "SV-sum-above-eligible", "SV-proportion")
        }
        assert wrong == set(strange_counts(content)), name


def strange_counts(content: Any, place: str = "") -> list[str]:
    """The places of values whose counts do not fit each other."""
    if isinstance(content, list):
        return [at for number, one in enumerate(content) for at in strange_counts(one, f"{place}/{number}")]
    if not isinstance(content, dict):
        return []
    found = [at for name, one in content.items() for at in strange_counts(one, f"{place}/{name}")]
    counts = {name: one for name, one in content.items() if type(one) is int and name != "performanceYear"}
    whole = counts.pop("eligiblePopulation", counts.pop("denominator", None))
    negative = any(one < 0 for one in counts.values())
    above = whole is not None and any(one > whole for one in counts.values())
    return [*found, place] if negative or above else found
