"""``measurewise deck``: cases run, counted, told apart, with reviewed expectations beside them."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from measurewise import cql_libraries, valuesets
from measurewise.engine import (
    Engine,
    individual_report,
    load_content,
    read_record,
)
from measurewise.synthetic import bundle_json, synthetic_patient

MEASURE = "HighBloodPressureFollowUp"
CASES = 12


def made_case(number: int, engine: Engine) -> dict[str, Any]:
    data = bundle_json(synthetic_patient(number, seed=5))
    prepared = engine.prepare(MEASURE, period="2026")
    (result,) = prepared.evaluate(read_record(data))
    report = individual_report(prepared.measures[0], result, prepared.reporting())
    resources = [entry["resource"] for entry in json.loads(data)["entry"]]
    return {
        "id": f"case-{number}",
        "description": f"Case {number}",
        "resources": resources,
        "expected": [
            {
                "resourceType": "MeasureReport",
                "period": report["period"],
                "group": [
                    {
                        "id": report["group"][0]["id"],
                        "population": [
                            {"id": p["id"], "code": p["code"], "count": p["count"]}
                            for p in report["group"][0]["population"]
                        ],
                    }
                ],
            }
        ],
    }


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    engine = Engine(load_content(cql_libraries.FOLDER, valuesets.FOLDER))
    return [made_case(number, engine) for number in range(CASES)]


@pytest.fixture
def deck(tmp_path: Path, cases: list[dict[str, Any]]) -> Path:
    """A deck laid out like the official one, of the engine's own results."""
    folder = tmp_path / "deck"
    for part in ("measures", "libraries", "cases"):
        (folder / part).mkdir(parents=True)
    ignored = shutil.ignore_patterns("*.py*", "*.md", "measure.json")
    shutil.copytree(cql_libraries.FOLDER, folder / "libraries", ignore=ignored, dirs_exist_ok=True)
    for source in cql_libraries.FOLDER.glob("*/measure.json"):
        shutil.copy(source, folder / "measures" / f"{source.parent.name}.json")
    sets = b"".join(
        json.dumps(json.loads(path.read_bytes())).encode() + b"\n" for path in valuesets.FOLDER.glob("*.json")
    )
    (folder / "valuesets.ndjson.gz").write_bytes(gzip.compress(sets))
    write(folder, cases)
    return folder


def write(deck: Path, cases: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(case) + "\n" for case in cases)
    (deck / "cases" / f"{MEASURE}.ndjson.gz").write_bytes(gzip.compress(text.encode()))


def spoilt(cases: list[dict[str, Any]], number: int, by: int = 1) -> list[dict[str, Any]]:
    """The cases with one expected count changed."""
    copied: list[dict[str, Any]] = json.loads(json.dumps(cases))
    copied[number]["expected"][0]["group"][0]["population"][0]["count"] += by
    return copied


def review(cases: list[dict[str, Any]], number: int, by: int = 1) -> dict[str, Any]:
    """The review that explains such a change."""
    population = cases[number]["expected"][0]["group"][0]["population"][0]
    return {
        "measure": MEASURE,
        "case": f"case-{number}",
        "reason": "The expectation was changed.",
        "clause": "FHIR R4 MeasureReport",
        "differences": [
            {
                "aspect": "population",
                "where": f"{cases[number]['expected'][0]['group'][0]['id']}/{population['id']}",
                "expected": str(population["count"] + by),
                "actual": population["count"],
            }
        ],
    }


def test_a_deck_that_passes_says_so_in_a_table(run, deck):
    done = run("deck", deck)
    assert (done.status, done.err) == (0, "")
    title, _, row, total = done.out.splitlines()
    assert title == "Cases by measure"
    assert row.split() == [MEASURE, str(CASES), str(CASES)]
    assert total.startswith(f"{CASES} of {CASES} (")


def test_json_has_cases_passed_and_failures(run, deck):
    done = run("deck", deck, "--json")
    assert (done.status, done.json["cases"], done.json["passed"], done.json["failures"]) == (
        0,
        CASES,
        CASES,
        [],
    )


def test_a_difference_fails_the_case_and_the_deck(run, deck, cases):
    write(deck, spoilt(cases, 4))
    done = run("deck", deck, "--json")
    assert (done.status, done.json["cases"], done.json["passed"]) == (1, CASES, CASES - 1)
    (failure,) = done.json["failures"]
    (difference,) = review(cases, 4)["differences"]
    assert (failure["measure"], failure["case"]) == (MEASURE, "case-4")
    assert failure["expected"] == {difference["where"]: difference["expected"]}
    assert failure["actual"] == {difference["where"]: str(difference["actual"])}
    told = run("deck", deck)
    assert f"failed: {MEASURE} case-4 (Case 4): {difference['where']}: expected " in told.out
    assert f"{CASES - 1} of {CASES} (" in told.out


def reviewed_file(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "reviewed.json"
    path.write_text(json.dumps(list(entries)))
    return path


def test_a_reviewed_difference_passes_and_is_told_apart(run, deck, cases, tmp_path):
    write(deck, spoilt(cases, 4))
    path = reviewed_file(tmp_path, review(cases, 4))
    done = run("deck", deck, "--reviewed", path, "--json")
    assert (done.status, done.json["passed"], done.json["failures"]) == (0, CASES, [])
    assert done.json["reviewed"] == [
        {
            "measure": MEASURE,
            "case": "case-4",
            "kind": "wrong expectation",
            "reason": "The expectation was changed.",
            "clause": "FHIR R4 MeasureReport",
        }
    ]
    assert (
        f"{CASES} of {CASES}, 1 of them by reviewed expectations ("
        in run("deck", deck, "--reviewed", path).out
    )


def test_a_reviewed_case_that_differs_otherwise_fails(run, deck, cases, tmp_path):
    write(deck, spoilt(cases, 4, by=2))
    done = run("deck", deck, "--reviewed", reviewed_file(tmp_path, review(cases, 4)), "--json")
    assert (done.status, done.json["passed"]) == (1, CASES - 1)
    assert done.json["failures"][0]["case"] == "case-4"


def test_a_reviewed_case_that_meets_its_report_passes_with_a_notice(run, deck, cases, tmp_path):
    path = reviewed_file(tmp_path, review(cases, 4))
    done = run("deck", deck, "--reviewed", path, "--json")
    assert (done.status, done.json["passed"], done.json["failures"], done.json["reviewed"]) == (
        0,
        CASES,
        [],
        [],
    )
    notice = "case case-4 meets its report, although a review says otherwise."
    assert notice in done.json["notices"]
    told = run("deck", deck, "--reviewed", path)
    assert f"notice: {notice}" in told.out.splitlines()
    assert f"{CASES} of {CASES} (" in told.out


def test_a_review_concerns_no_other_case(run, deck, cases, tmp_path):
    entry = {**review(cases, 4), "case": "case-of-another-deck"}
    assert run("deck", deck, "--reviewed", reviewed_file(tmp_path, entry)).status == 0


def test_libraries_and_value_sets_may_lie_elsewhere(run, deck, tmp_path):
    shutil.move(deck / "libraries", tmp_path / "elsewhere")
    shutil.move(deck / "valuesets.ndjson.gz", tmp_path / "sets.ndjson.gz")
    alone = run("deck", deck, "--json")
    assert (alone.status, alone.json["passed"]) == (1, 0)
    assert "names library" in alone.json["failures"][0]["actual"]["error"]
    more = ("--libraries", tmp_path / "elsewhere", "--valuesets", tmp_path / "sets.ndjson.gz")
    assert run("deck", deck, *more).status == 0


def test_a_missing_value_set_is_empty_with_a_notice_unless_told_otherwise(run, deck):
    (deck / "valuesets.ndjson.gz").unlink()
    done = run("deck", deck, "--json")
    assert done.status == 1
    assert done.json["failures"]
    assert any("it is taken as empty" in notice for notice in done.json["notices"])
    strict = run("deck", deck, "--missing-valuesets", "error", "--json")
    assert strict.json["passed"] == 0
    assert "not there" in strict.json["failures"][0]["actual"]["error"]


def test_labels_can_be_stripped_and_the_structure_taken(run, deck, cases):
    labelled = json.loads(json.dumps(cases))
    for case in labelled:
        for resource in case["resources"]:
            resource["meta"] = {"profile": ["http://hl7.org/fhir/StructureDefinition/vitalspanel"]}
    write(deck, labelled)
    assert run("deck", deck, "--profiles", "structure").status == 0
    assert run("deck", deck, "--strip-labels").status == 0
    assert run("deck", deck, "--profiles", "label").status == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_measures_are_chosen_and_shared_out(run, deck, cases, jobs):
    shutil.copy(deck / "cases" / f"{MEASURE}.ndjson.gz", deck / "cases" / "DiabetesGlycemicControl.ndjson.gz")
    both = run("deck", deck, "--json", "--jobs", jobs).json
    assert [measure["cases"] for measure in both["measures"]] == [CASES, CASES]
    assert run("deck", deck, "--measure", "high", "--json").json["cases"] == CASES
    unknown = run("deck", deck, "--measure", "CMS999")
    assert (unknown.status, unknown.out) == (2, "")
    assert "no cases of a measure 'CMS999'" in unknown.err


@pytest.mark.parametrize("engine", ["auto", "elm", "cql"])
def test_each_way_to_the_libraries_gives_the_same_results(run, deck, engine):
    done = run("deck", deck, "--engine", engine, "--json").json
    assert (done["cases"], done["passed"], done["notices"]) == (CASES, CASES, [])


def test_a_folder_that_is_no_deck_is_refused(run, tmp_path):
    done = run("deck", tmp_path)
    assert (done.status, done.out) == (2, "")
    assert "this is no deck" in done.err


def test_cases_that_end_early_are_refused(run, deck):
    path = deck / "cases" / f"{MEASURE}.ndjson.gz"
    path.write_bytes(path.read_bytes()[:-500])
    done = run("deck", deck, "--json")
    assert done.status == 2
    assert str(path) in done.json["error"]["where"]


def test_the_shipped_reviews_can_be_read_and_say_why():
    from measurewise.cli.deck import REVIEWED
    from measurewise.engine.runner.reviewed import read_reviewed

    for path in sorted(REVIEWED.glob("ecqm-*.json")):
        for review in read_reviewed(path).values():
            assert review.reason
            assert review.clause
