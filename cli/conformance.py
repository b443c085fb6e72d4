"""``measurewise conformance``: the official tests of CQL, run through the path that a user's CQL takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import print_json

if TYPE_CHECKING:
    from measurewise.engine.runner.conformance import ConformanceResult

REVIEWED = Path(__file__).parent / "reviewed" / "cql-tests.json"
"""The official tests that contradict the specification, each with the clause that proves it."""


def conformance(
    tests: Annotated[Path, Parameter(help="Folder of test XML, or one such file.")],
    /,
    *,
    reviewed: Annotated[Path | None, Parameter(help="Reviewed tests, in place of those that ship.")] = None,
    json: AsJson = False,
) -> int:
    """Run CQL conformance tests; the exit status is 0 only when none fails.

    A test that contradicts the specification is told apart, with the clause that proves it.
    """
    from measurewise.engine.runner.conformance import read_reviews, read_tests, run_tests

    result = run_tests(read_tests(tests), read_reviews(reviewed or REVIEWED))
    if json:
        print_json(result.as_json())
    else:
        _print(result)
    return 1 if result.failures else 0


def _print(result: ConformanceResult) -> None:
    for test in result.reviewed:
        print(
            f"reviewed: {test.file}, {test.group}, {test.name}: the test wants {test.expected}, "
            f"right is {test.actual}. {test.reason} {test.clause}"
        )
    for failure in result.failures:
        expression = " ".join(failure.expression.split())
        print(
            f"failed: {failure.file}, {failure.group}, {failure.name}: {expression}: "
            f"expected {failure.expected}, got {failure.actual}"
        )
    apart = f", {len(result.reviewed):,} contradict the specification (reviewed)" if result.reviewed else ""
    later = f", {result.skipped:,} of later versions of CQL skipped" if result.skipped else ""
    print(f"{result.passed:,} of {result.tests:,} passed{later}{apart}, {len(result.failures):,} failed")
