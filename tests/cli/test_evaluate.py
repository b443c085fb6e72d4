"""``measurewise evaluate``: the same results whatever form patients, reports and processes take."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.measurereport import MeasureReport

MEASURES = ["DiabetesGlycemicControl", "HighBloodPressureFollowUp", "HospitalFollowUpInterval"]


def evaluate(run, patients: Path, *more: object):
    return run("evaluate", "--patients", patients, "--period", 2026, *more)


@pytest.fixture
def expected(run, patients):
    """Every measure's sums over the patients, as ``--json`` tells them."""
    found = evaluate(run, patients, "--json").json
    assert (found["patients"], found["failed"], found["issues"]) == (40, 0, [])
    return found["measures"]


def test_the_table_shows_every_measure_with_counts_and_score(run, patients, expected):
    done = evaluate(run, patients)
    assert (done.status, done.err) == (0, "")
    title, header, first, second, between, header_of_observations, third = done.out.splitlines()
    assert title == "Measurement period 2026-01-01 to 2026-12-31, 40 patients"
    assert between == ""
    assert header.split() == ["Measure", "Counts", "IPOP", "DENOM", "DENEX", "NUMER", "DENEXCEP", "Score"]
    assert header_of_observations.split() == ["Measure", "Counts", "IPOP", "MSRPOPL", "MSRPOPLEX", "Score"]
    assert [row.split()[0] for row in (first, second, third)] == MEASURES
    counts = [p["count"] for p in expected[0]["groups"][0]["populations"]]
    score = expected[0]["groups"][0]["score"]
    assert first.split() == [MEASURES[0], "patients", *map(str, counts), f"{score * 100:.2f}", "%"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_of_any_width_shows_every_number(patients, width, tmp_path):
    shown = tmp_path / "shown"
    code = (
        "import os, pty, sys; "
        "pty.spawn([sys.executable, '-c', 'from measurewise.cli import main; main()', *sys.argv[1:]])"
    )
    with shown.open("wb") as out:
        subprocess.run(
            [sys.executable, "-c", code, "evaluate", "--patients", patients, "--period", "2026"],
            env={**os.environ, "COLUMNS": str(width), "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            check=True,
        )
    text = shown.read_text()
    for title in ("Measure", "IPOP", "DENOM", "DENEXCEP", "MSRPOPLEX", "Score"):
        assert title in text
    assert len(re.findall(r"\d+\.\d\d %", text)) == 2


def test_strata_are_shown_on_request(run, patients):
    done = evaluate(run, patients, "--measure", MEASURES[0], "--strata")
    assert any(line.startswith("  Stratification Age Group: 18-44") for line in done.out.splitlines())


def test_measures_are_chosen_by_name_or_its_beginning(run, patients):
    found = evaluate(run, patients, "--measure", "Hospital", "DiabetesGlycemicControl", "--json").json
    assert [measure["measure"] for measure in found["measures"]] == [MEASURES[2], MEASURES[0]]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_the_number_of_processes_does_not_show(run, patients, expected, jobs):
    assert evaluate(run, patients, "--jobs", jobs, "--json").json["measures"] == expected


def as_gzip(lines: list[bytes], folder: Path) -> Path:
    path = folder / "patients.ndjson.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    return path


def as_cases(lines: list[bytes], folder: Path) -> Path:
    path = folder / "cases.ndjson"
    resources = [[entry["resource"] for entry in json.loads(line)["entry"]] for line in lines]
    path.write_text("".join(json.dumps({"id": "x", "resources": each}) + "\n" for each in resources))
    return path


def as_folder(lines: list[bytes], folder: Path) -> Path:
    for number, line in enumerate(lines):
        inner = folder / "bundles" / str(number % 3)
        inner.mkdir(parents=True, exist_ok=True)
        if number % 2:
            (inner / f"{number}.json").write_bytes(b"\xef\xbb\xbf" + line)
        else:
            (inner / f"{number}.json.gz").write_bytes(gzip.compress(line))
    return folder / "bundles"


def as_bulk_data(lines: list[bytes], folder: Path) -> Path:
    bulk = folder / "bulk"
    bulk.mkdir()
    by_type: dict[str, list[str]] = {}
    for line in lines:
        for entry in json.loads(line)["entry"]:
            by_type.setdefault(entry["resource"]["resourceType"], []).append(json.dumps(entry["resource"]))
    for kind, resources in by_type.items():
        (bulk / f"{kind}.ndjson").write_text("\n".join(resources) + "\n")
    return bulk


@pytest.mark.parametrize("form", [as_gzip, as_cases, as_folder, as_bulk_data])
def test_the_form_of_the_patients_does_not_show(run, patients, expected, tmp_path, form):
    path = form(patients.read_bytes().splitlines(), tmp_path)
    found = evaluate(run, path, "--json")
    assert (found.status, found.json["measures"]) == (0, expected)


def test_one_bundle_is_one_patient(run, patients, tmp_path):
    path = tmp_path / "one.json"
    path.write_bytes(patients.read_bytes().splitlines()[0])
    assert evaluate(run, path, "--json").json["patients"] == 1


def test_patients_come_from_standard_input(run_process, patients, expected):
    done = run_process("evaluate", "--patients", "-", "--period", 2026, "--json", stdin=patients.read_bytes())
    assert (done.status, done.json["measures"]) == (0, expected)


def test_summary_reports_go_to_a_bundle(run, patients, expected, tmp_path):
    output = tmp_path / "new" / "summary.json"
    done = evaluate(run, patients, "--output", output, "--reporter", "Organization/1")
    assert done.status == 0
    assert "DiabetesGlycemicControl" in done.out
    assert done.err == f"Reports: {output}\n"
    bundle = json.loads(output.read_bytes())
    Bundle.model_validate(bundle)
    reports = [entry["resource"] for entry in bundle["entry"]]
    assert [report["type"] for report in reports] == ["summary"] * 3
    assert {report["reporter"]["reference"] for report in reports} == {"Organization/1"}
    counts = [p["count"] for p in reports[0]["group"][0]["population"]]
    assert counts == [p["count"] for p in expected[0]["groups"][0]["populations"]]
    assert [path.name for path in output.parent.iterdir()] == ["summary.json"]


def test_reports_without_an_output_take_the_place_of_the_table(run, patients):
    done = evaluate(run, patients, "--report", "summary")
    assert json.loads(done.out)["resourceType"] == "Bundle"
    embedded = evaluate(run, patients, "--report", "summary", "--json").json["reports"]
    assert [report["type"] for report in embedded] == ["summary"] * 3


@pytest.mark.parametrize("jobs", [1, 2])
def test_individual_reports_are_streamed_in_the_order_of_the_patients(
    run, patients, expected, tmp_path, jobs
):
    output = tmp_path / "reports.ndjson"
    done = evaluate(run, patients, "--report", "individual", "--output", output, "--jobs", jobs)
    assert done.status == 0
    reports = [json.loads(line) for line in output.read_bytes().splitlines()]
    MeasureReport.model_validate(reports[0])
    ids = [json.loads(line)["entry"][0]["resource"]["id"] for line in patients.read_bytes().splitlines()]
    assert [report["subject"]["reference"] for report in reports[::3]] == [f"Patient/{i}" for i in ids]
    initial = [report["group"][0]["population"][0]["count"] for report in reports[::3]]
    assert sum(initial) == expected[0]["groups"][0]["populations"][0]["count"]
    assert any(report.get("evaluatedResource") for report in reports)


@pytest.mark.parametrize("jobs", [1, 2])
def test_subject_lists_name_who_is_in_each_population(run, patients, expected, tmp_path, jobs):
    output = tmp_path / "lists.ndjson"
    assert evaluate(run, patients, "--report", "subject-list", "--output", output, "--jobs", jobs).status == 0
    report = json.loads(output.read_bytes().splitlines()[0])
    lists = {resource["id"]: resource for resource in report["contained"]}
    for population, told in zip(
        report["group"][0]["population"], expected[0]["groups"][0]["populations"], strict=True
    ):
        listed = lists[population["subjectResults"]["reference"][1:]]
        assert len(listed.get("entry", [])) == told["count"] == population["count"]


@pytest.fixture
def misshapen(patients, tmp_path):
    """Three patients; the second has an Encounter whose period is a list of two dates."""
    lines = [json.loads(line) for line in patients.read_bytes().splitlines()[:3]]
    encounters = [
        entry["resource"] for entry in lines[1]["entry"] if entry["resource"]["resourceType"] == "Encounter"
    ]
    encounters[0]["period"] = ["2026-01-01", "2026-01-02"]
    mixed = tmp_path / "mixed.ndjson"
    mixed.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return mixed


def test_what_is_not_fhir_is_told_and_the_patient_evaluated_without_it(run, misshapen, tmp_path):
    output = tmp_path / "reports.ndjson"
    done = evaluate(
        run, misshapen, "--report", "individual", "--output", output, "--measure", MEASURES[2], "--json"
    )
    kinds = [json.loads(line)["resourceType"] for line in output.read_bytes().splitlines()]
    assert (done.status, done.json["failed"]) == (0, 0)
    assert kinds == ["MeasureReport"] * 3
    (issue,) = done.json["issues"]
    assert (issue["severity"], issue["code"]) == ("warning", "structure")
    assert issue["where"].endswith("mixed.ndjson, line 2")
    assert issue["what"].startswith("Encounter/")
    assert issue["what"].endswith(": period is a list of 2 where an object belongs; it is left out.")
    assert f"warning: {issue['where']}: {issue['what']}" in done.err


def test_a_patient_whom_the_logic_cannot_read_is_reported_in_place_of_its_report(
    run, misshapen, tmp_path, monkeypatch
):
    from measurewise.engine.runner import session

    monkeypatch.setattr(session, "mended", lambda *_: None)
    output = tmp_path / "reports.ndjson"
    done = evaluate(
        run, misshapen, "--report", "individual", "--output", output, "--measure", MEASURES[2], "--json"
    )
    kinds = [json.loads(line)["resourceType"] for line in output.read_bytes().splitlines()]
    assert done.status == 1
    assert kinds == ["MeasureReport", "OperationOutcome", "MeasureReport"]
    (issue,) = done.json["issues"]
    assert issue["measure"] == MEASURES[2]
    assert issue["where"].endswith(
        f"mixed.ndjson, line 2, Patient/synthetic-3-000002, measure {MEASURES[2]}, "
        f'definition {MEASURES[2]}."Measure Population", function {MEASURES[2]}."Days To Visit"'
    )
    assert "the logic stumbled (AttributeError: 'list' object has no attribute 'get')." in issue["what"]
    assert "Check that the resources have the shape of FHIR R4" in issue["mend"]
    assert "1 of 3 patients could not be evaluated; see above." in done.err


def test_every_record_can_be_held_to_the_shape_of_fhir(run, patients, tmp_path):
    line = json.loads(patients.read_bytes().splitlines()[0])
    patient = next(e["resource"] for e in line["entry"] if e["resource"]["resourceType"] == "Patient")
    patient["maritalStatus"] = 5
    odd = tmp_path / "odd.ndjson"
    odd.write_text(json.dumps(line))
    assert evaluate(run, odd, "--json").json["issues"] == []
    (issue,) = evaluate(run, odd, "--json", "--check-shape").json["issues"]
    assert issue["what"].endswith("maritalStatus is a number where an object belongs; it is left out.")


def test_a_patient_without_an_id_has_a_placeholder_that_stays(run, patients, tmp_path):
    line = json.loads(patients.read_bytes().splitlines()[0])
    entry = next(e for e in line["entry"] if e["resource"]["resourceType"] == "Patient")
    del entry["resource"]["id"]
    entry.pop("fullUrl", None)
    nameless = tmp_path / "nameless.ndjson"
    nameless.write_text(json.dumps(line))
    output = tmp_path / "reports.ndjson"
    subjects = set()
    for _ in range(2):
        done = evaluate(run, nameless, "--report", "individual", "--output", output, "--json")
        subjects |= {json.loads(text)["subject"]["reference"] for text in output.read_bytes().splitlines()}
        (issue,) = done.json["issues"]
        assert done.status == 0
    (subject,) = subjects
    assert re.fullmatch(r"Patient/without-id-[0-9a-f]{16}", subject)
    assert issue["what"] == f"The Patient has no id; results name it {subject}."


def test_the_moment_and_the_offset_are_taken(run, patients):
    done = evaluate(run, patients, "--now", "2027-01-15T08:00:00-05:00", "--zone", "-05:00", "--json")
    assert done.status == 0
    assert evaluate(run, patients, "--now", "yesterday").status == 2


def test_interrupting_leaves_no_half_written_file(run, patients, tmp_path, monkeypatch):
    from measurewise.engine.runner import batch

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "evaluate_batch", interrupted)
    done = evaluate(run, patients, "--output", tmp_path / "reports.json")
    assert done.status == 130
    assert list(tmp_path.iterdir()) == []
