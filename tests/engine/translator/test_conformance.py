"""The official conformance tests, and what the runner makes of tests of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from shared_inputs import shared

from measurewise.engine.errors import ContentError
from measurewise.engine.runner.conformance import ConformanceTest, read_tests, run_tests


def check(expression: str, *outputs: str, **more: str):
    return run_tests([ConformanceTest("f.xml", "g", "n", expression, outputs, **more)])


def test_no_official_test_fails_to_translate():
    result = run_tests(read_tests(shared("cql-tests")))
    assert result.tests == 1282
    assert [f for f in result.failures if f.actual.startswith(("syntax", "translation", "failure"))] == []
    assert result.passed + result.skipped + len(result.failures) == result.tests


def test_a_value_that_is_equal_passes():
    assert check("1 + 1", "2").passed == 1
    assert check("{1, null}", "{1, null}").passed == 1


def test_a_value_that_differs_is_a_failure_with_what_it_gave():
    (failure,) = check("1 + 1", "3").failures
    assert (failure.expected, failure.actual) == ("3", "2")


def test_null_is_not_false():
    assert check("null and true", "false").failures


def test_text_is_not_a_number():
    assert check("'1'", "1").failures


def test_an_uncertain_result_is_an_interval():
    assert check("years between DateTime(2005) and DateTime(2010)", "Interval[4, 5]").passed == 1


@pytest.mark.parametrize(
    ("expression", "stage"),
    [("1 +", "syntax"), ("1 + 'a'", "semantic"), ("singleton from {1, 2}", "execution")],
)
def test_an_invalid_expression_must_fail_at_its_stage(expression: str, stage: str):
    assert check(expression, invalid=stage).passed == 1
    assert check(expression, invalid="true").passed == 1
    others = {"syntax", "semantic", "execution"} - {stage}
    assert all(check(expression, invalid=other).failures for other in others)
    assert check("1", invalid=stage).failures


def test_a_test_of_a_later_cql_is_skipped():
    assert check("Slice({})", "{}", version="2.0").skipped == 1
    assert check("1", "1", version_to="1.3").skipped == 1


def test_a_folder_without_tests_is_an_error(tmp_path: Path):
    with pytest.raises(ContentError, match="no conformance tests"):
        list(read_tests(tmp_path))


def test_tests_are_read_with_their_group(tmp_path: Path):
    (tmp_path / "a.xml").write_text(
        '<tests xmlns="http://hl7.org/fhirpath/tests"><group name="G" version="1.0">'
        '<test name="T" version="1.5">'
        '<expression invalid="true">1 &lt; 2</expression><output>true</output></test></group></tests>',
        encoding="utf-8",
    )
    (test,) = read_tests(tmp_path)
    assert (test.group, test.name, test.expression, test.outputs) == ("G", "T", "1 < 2", ("true",))
    assert (test.invalid, test.version, test.in_scope) == ("true", "1.5", True)
