"""The commands for authors of CQL: translate, format, lint, repl and conformance."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from shared_inputs import shared

from measurewise import cql_libraries, valuesets
from measurewise.cli.repl import completion, history_file
from measurewise.engine import elm
from measurewise.engine.runner.interactive import Interactive, is_unfinished
from measurewise.engine.runtime.datetime_parsing import parse_datetime
from measurewise.synthetic import bundle_json, synthetic_patient

SMALL = """library Small version '1.0.0'
define A: 1
define B: A + 1
"""

TO_LINT = """library ToLint version '1.0.0'
using FHIR version '4.0.1'

valueset "Used": 'http://example.org/used'
valueset "Unused": 'http://example.org/unused'

parameter P Integer
parameter Asked List<Code>

context Patient

define private Idle:
  1

define Sum:
  [Condition: code in "Used"] C
    where C.id = null

define Kind:
  case when true then 1 when false then 2 else 3 end

define Twice:
  case P when 1 then 'a' when 1 then 'b' else 'c' end

define Either:
  if false then 1 else 2

define All:
  [Observation]

define Dynamic:
  [Condition: code in Asked]
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "Small.cql"
    path.write_text(SMALL)
    return path


# --- translate ------------------------------------------------------------------------------------------


def test_one_file_goes_to_stdout_as_elm_that_can_be_read(run, small):
    done = run("translate", small)
    assert (done.status, done.err) == (0, "")
    library = elm.read_library(done.out.encode())
    assert (library.identifier.id, library.identifier.version) == ("Small", "1.0.0")
    assert [s.name for s in library.statements] == ["A", "B"]


def test_a_folder_goes_to_files_and_its_libraries_include_each_other(run, tmp_path):
    output = tmp_path / "elm"
    done = run("translate", cql_libraries.FOLDER, "--output", output, "--json")
    assert done.status == 0
    libraries = done.json["libraries"]
    assert {row["library"] for row in libraries} >= {"FHIRHelpers", "DiabetesGlycemicControl"}
    for row in libraries:
        assert row["errors"] == []
        written = elm.read_library(Path(row["output"]).read_bytes())
        assert written.identifier.id == row["library"]
    assert run("translate", cql_libraries.FOLDER).status == 2


def test_annotations_carry_the_text(run, small):
    plain = json.loads(run("translate", small).out)
    annotated = json.loads(run("translate", small, "--annotations").out)
    assert "annotation" not in plain["library"]["statements"]["def"][0]
    assert "define " in json.dumps(annotated["library"]["statements"]["def"][0]["annotation"])
    assert run("translate", small, "--no-locators").out.count("locator") == 0


def test_libraries_elsewhere_are_included_by_option(run, tmp_path):
    path = tmp_path / "mine" / "Mine.cql"
    path.parent.mkdir()
    path.write_text(
        "library Mine\nusing QICore version '6.0.0'\n"
        "include FHIRHelpers version '1.0.0' called FHIRHelpers\ncontext Patient\n"
        "define Born: Patient.birthDate\n"
    )
    alone = run("translate", path)
    assert alone.status == 1
    assert f"{path}:3:1: error: " in alone.err
    assert alone.out == ""
    assert run("translate", path, "--libraries", cql_libraries.FOLDER).status == 0


def test_every_error_has_file_line_and_column(run, tmp_path, small):
    (tmp_path / "Wrong.cql").write_text("library Wrong\ndefine A: Bee\ndefine Bea: 1\ndefine C: 1 + true\n")
    (tmp_path / "Broken.cql").write_text("library Broken\ndefine A: 1 +\n")
    output = tmp_path / "elm"
    done = run("translate", tmp_path, "--output", output)
    assert done.status == 1
    wrong = tmp_path / "Wrong.cql"
    assert f"{wrong}:2:11: error: " in done.err
    assert 'Did you mean "Bea"?' in done.err
    assert f"{wrong}:4:11: error: " in done.err
    assert f"{tmp_path / 'Broken.cql'}:" in done.err
    assert [path.name for path in output.iterdir()] == ["Small.json"]


# --- format ---------------------------------------------------------------------------------------------


def test_format_changes_files_once_and_check_changes_none(run, tmp_path):
    path = tmp_path / "A.cql"
    untidy = "library   A\ndefine  B:1+  2 // kept\n"
    path.write_text(untidy)
    checked = run("format", tmp_path, "--check")
    assert (checked.status, checked.out) == (1, f"would change: {path}\n")
    assert path.read_text() == untidy
    assert run("format", path, "--json").json == {"files": 1, "changed": [str(path)], "failed": []}
    tidy = path.read_text()
    assert tidy != untidy
    assert "// kept" in tidy
    assert run("format", path, "--check") == (0, "", "")


def test_format_leaves_what_does_not_parse(run, tmp_path):
    path = tmp_path / "A.cql"
    path.write_text("library A\ndefine B: (1 +\n")
    done = run("format", path)
    assert done.status == 1
    assert f"{path}:" in done.err
    assert path.read_text() == "library A\ndefine B: (1 +\n"


# --- lint -----------------------------------------------------------------------------------------------


def test_lint_tells_rule_place_and_message(run, tmp_path):
    path = tmp_path / "ToLint.cql"
    path.write_text(TO_LINT)
    found = run("lint", path, "--libraries", cql_libraries.FOLDER, "--json").json
    assert found["files"][0]["errors"] == []
    told = {(f["rule"], f["severity"], f["line"]) for f in found["findings"]}
    line = {text: number for number, text in enumerate(TO_LINT.splitlines(), start=1)}
    assert ("unused-value-set", "warning", line["valueset \"Unused\": 'http://example.org/unused'"]) in told
    assert ("unused-definition", "warning", line["define private Idle:"]) in told
    assert ("unused-definition", "information", line["define Sum:"]) in told
    assert ("always-null-comparison", "warning", line["    where C.id = null"]) in told
    case = line["  case when true then 1 when false then 2 else 3 end"]
    assert ("unreachable-case", "warning", case) in told
    assert (
        "unreachable-case",
        "warning",
        line["  case P when 1 then 'a' when 1 then 'b' else 'c' end"],
    ) in told
    assert ("unreachable-case", "warning", line["  if false then 1 else 2"]) in told
    assert ("retrieve-without-index", "information", line["  [Observation]"]) in told
    dynamic = line["  [Condition: code in Asked]"]
    assert ("retrieve-without-index", "warning", dynamic) in told
    assert not [f for f in found["findings"] if '"Used"' in f["message"]]


def test_lint_asks_for_expansions_only_when_value_sets_are_given(run, tmp_path):
    path = tmp_path / "ToLint.cql"
    path.write_text(TO_LINT)
    given = tmp_path / "used.json"
    expansion = {"contains": [{"system": "http://loinc.org", "code": "1"}]}
    given.write_text(
        json.dumps({"resourceType": "ValueSet", "url": "http://example.org/used", "expansion": expansion})
    )
    without = run("lint", path, "--json").json
    assert "valueset-without-expansion" not in {f["rule"] for f in without["findings"]}
    found = run("lint", path, "--valuesets", given, "--json").json
    (missing,) = [f for f in found["findings"] if f["rule"] == "valueset-without-expansion"]
    assert "http://example.org/unused" in missing["message"]


def test_lint_is_strict_on_request(run, tmp_path, small):
    path = tmp_path / "linted" / "ToLint.cql"
    path.parent.mkdir()
    path.write_text(TO_LINT)
    done = run("lint", path)
    assert done.status == 0
    assert f'{path}:5:1: warning: The value set "Unused" is not used. [unused-value-set]' in done.out
    assert run("lint", path, "--strict").status == 1
    assert run("lint", small, "--strict").status == 0
    assert run("lint", cql_libraries.FOLDER, "--valuesets", valuesets.FOLDER, "--strict").status == 0


# --- repl -----------------------------------------------------------------------------------------------


@pytest.fixture
def typed(run_process, tmp_path):
    """Run the REPL over some lines of input."""

    def enter(text: str, *arguments: object):
        return run_process("repl", *arguments, stdin=text.encode())

    return enter


def test_expressions_and_definitions_against_a_patient(typed, tmp_path):
    bundle = tmp_path / "patient.json"
    bundle.write_bytes(bundle_json(synthetic_patient(0)))
    birth = next(
        e["resource"]["birthDate"]
        for e in json.loads(bundle.read_bytes())["entry"]
        if e["resource"]["resourceType"] == "Patient"
    )
    done = typed(
        "1 + 1\ndefine Dose: 5 'mg'\nDose * 2\nPatient.birthDate.value\n{ 1,\n  2 }\n"
        "define Dose: 7 'mg'\nDose\nInterval(@2012-01, null]\nTuple { a: 'x', b: null }\n",
        "--patient", bundle,
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "2", "10 'mg'", f"@{birth}", "{ 1, 2 }", "7 'mg'", "Interval(@2012-01, null]",
        "Tuple { a: 'x', b: null }",
    ]  # fmt: skip


def test_a_library_with_its_value_sets_and_period(typed, tmp_path):
    bundle = tmp_path / "patient.json"
    bundle.write_bytes(bundle_json(synthetic_patient(0)))
    done = typed(
        'exists HospiceCare."Hospice Encounters"\n:names\n',
        "--using", "QICore 6.0.0", "--patient", bundle, "--period", 2026, "--valuesets", valuesets.FOLDER,
        "--library", cql_libraries.FOLDER / "HospiceCare" / "HospiceCare.cql",
        "--library", cql_libraries.FOLDER / "ClinicalTiming" / "ClinicalTiming.cql",
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0] in ("true", "false")
    assert 'HospiceCare."Hospice Encounters"' in done.out


def test_errors_do_not_end_the_session_and_name_the_line_typed(typed):
    done = typed("define A: 1\nAa\ndefine B: A + 'x'\n1 +\n\nA\n")
    assert done.status == 1
    assert done.out.splitlines() == ["1"]
    first, second, third = done.err.splitlines()
    assert first.startswith('error: 1:1: There is no name "Aa"')
    assert second.startswith("error: ")
    assert "Expected an expression" in third


def test_a_missing_file_is_told(run, tmp_path):
    assert run("repl", "--patient", tmp_path / "none.json").status == 2
    assert run("repl", "--library", tmp_path / "none.cql").status == 2


class Nothing:
    def resolve_include(self, name, version, namespace):
        raise AssertionError(name)


def test_names_and_words_complete(monkeypatch, tmp_path):
    session = Interactive(Nothing(), now=parse_datetime("2026-01-01T00:00:00Z", 0))
    session.enter('define "Blood Pressure": 1')
    assert completion(session, '"Blo', 0) == '"Blood Pressure"'
    assert completion(session, '"Blo', 1) is None
    assert completion(session, "differen", 0) == "difference"
    assert completion(session, ":na", 0) == ":names"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file().is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("text", "unfinished"),
    [("1 +", True), ("{ 1,", True), ("define A:", True), ("1 + 1", False), ("1 1", False)],
)
def test_an_entry_goes_on_while_its_end_is_missing(text, unfinished):
    assert is_unfinished(text) is unfinished


# --- conformance ----------------------------------------------------------------------------------------

TESTS = """<?xml version="1.0" encoding="UTF-8"?>
<tests xmlns="http://hl7.org/fhirpath/tests" name="Mine">
  <group name="Sum">
    <test name="Right"><expression>1 + 1</expression><output>2</output></test>
    <test name="Wrong"><expression>1 + 1</expression><output>3</output></test>
    <test name="Later" version="2.0"><expression>1 + 1</expression><output>2</output></test>
    <test name="Invalid"><expression invalid="semantic">1 + true</expression></test>
  </group>
</tests>
"""


def test_conformance_counts_and_shows_what_differs(run, tmp_path):
    (tmp_path / "Mine.xml").write_text(TESTS)
    done = run("conformance", tmp_path, "--json")
    assert done.status == 1
    assert (done.json["tests"], done.json["passed"], done.json["skipped"]) == (4, 2, 1)
    (failure,) = done.json["failures"]
    assert failure["name"] == "Wrong"
    assert (failure["expected"], failure["actual"]) == ("3", "2")
    shown = run("conformance", tmp_path)
    assert "failed: Mine.xml, Sum, Wrong: 1 + 1: expected 3, got 2" in shown.out


@pytest.mark.parametrize(("actual", "status"), [("2", 0), ("4", 1)])
def test_a_review_excuses_only_the_difference_it_proves(run, tmp_path, actual, status):
    (tmp_path / "Mine.xml").write_text(TESTS)
    review = {
        "file": "Mine.xml", "group": "Sum", "name": "Wrong", "expected": "3", "actual": actual,
        "reason": "One and one are two.", "clause": "Addition",
    }  # fmt: skip
    reviews = tmp_path / "reviews.json"
    reviews.write_text(json.dumps({"reviewed": [review]}))
    done = run("conformance", tmp_path / "Mine.xml", "--reviewed", reviews, "--json")
    assert done.status == status
    assert len(done.json["reviewed"]) == 1 - status
    assert len(done.json["failures"]) == status


def test_no_tests_at_all_is_an_error(run, tmp_path):
    assert run("conformance", tmp_path).status == 2


def test_the_official_tests_pass_or_contradict_the_specification(run):
    done = run("conformance", shared("cql-tests"), "--json")
    result = done.json
    assert done.status == 0
    assert result["failures"] == []
    assert (result["tests"], result["passed"], result["skipped"]) == (1282, 1256, 9)
    assert len(result["reviewed"]) == 17
    for test in result["reviewed"]:
        assert test["reason"]
        assert "CQL 1.5.3" in test["clause"]


def test_what_is_copied_is_translated_like_the_original(run, tmp_path):
    shutil.copy(cql_libraries.FOLDER / "FHIRHelpers" / "FHIRHelpers.cql", tmp_path)
    here = json.loads(run("translate", tmp_path / "FHIRHelpers.cql").out)
    there = json.loads(run("translate", cql_libraries.FOLDER / "FHIRHelpers" / "FHIRHelpers.cql").out)
    assert here == there
