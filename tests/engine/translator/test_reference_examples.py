"""The examples of the CQL Reference and what its descriptions say of nulls, bounds and overflow.

``reference/*.txt``: a line is ``expression => what it gives``, ``error`` where it must fail to translate or
to evaluate. They run through the path that a user's CQL takes, compared as the conformance tests are. Written
from CQL 1.5.3, Appendix B. Where an example's comment and the definition beside it differ (months between
@2012-01-02 and @2012), the definition holds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from measurewise.engine.errors import MeasurewiseError
from measurewise.engine.runner.conformance import evaluate, same

FILES = sorted((Path(__file__).parent / "reference").glob("*.txt"))


def examples(file: Path) -> list[tuple[int, str, str]]:
    """Line, expression and expected result."""
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            expression, arrow, expected = line.rpartition(" => ")
            assert arrow, f"{file.name}:{number}"
            found.append((number, expression, expected))
    return found


def difference(expression: str, expected: str) -> str | None:
    """What an expression gives in place of what is expected, or None."""
    try:
        actual = evaluate(expression)
    except MeasurewiseError as error:
        return None if expected == "error" else f"error: {error}"
    if expected == "error":
        return f"no error but {actual}"
    return None if same(actual, evaluate(expected, list_promotion=True)) else str(actual)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_reference_holds(file: Path) -> None:
    found = [
        f"{file.name}:{number}: {expression}: expected {expected}, got {got}"
        for number, expression, expected in examples(file)
        if (got := difference(expression, expected)) is not None
    ]
    assert found == []


def test_there_are_over_a_thousand_examples_and_a_wrong_one_would_be_told() -> None:
    assert sum(len(examples(file)) for file in FILES) > 1_000
    assert difference("1 + 1", "3") == "2"
    assert difference("1 + 1", "error") == "no error but 2"
    assert "error" in (difference("1 + 'a'", "2") or "")
