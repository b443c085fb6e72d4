"""Input that cannot be used gets one line that names it and says how to mend it; nothing stays behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from measurewise.synthetic import bundle_json, synthetic_patient

MEASURE = "DiabetesGlycemicControl"


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def only_line(err: str) -> str:
    (line,) = lines(err)
    assert "Traceback" not in line
    return line


def bundle(number: int = 0) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(bundle_json(synthetic_patient(number)))
    return made


def evaluate(run, patients: Path, output: Path, *more: object):
    return run("evaluate", "--patients", patients, "--period", 2026, "--output", output, *more)


def test_truncated_json_is_named_with_its_place(run_process, tmp_path):
    text = json.dumps(bundle(), indent=1)
    broken = tmp_path / "broken.json"
    broken.write_text(text[: len(text) // 2])
    output = tmp_path / "out" / "report.json"
    done = evaluate(run_process, broken, output)
    assert done.status == 1
    assert done.out == ""
    failure, nothing_written = lines(done.err)
    line = text[: len(text) // 2].count("\n") + 1
    assert f"broken.json, line {line}, column " in failure
    assert "the JSON ends early. Copy or download the file again." in failure
    assert nothing_written == f"No patient could be evaluated; {output} was not written."
    assert list(output.parent.iterdir()) == []


def test_a_bundle_with_no_patient_is_named(run, tmp_path):
    without = bundle()
    without["entry"] = [e for e in without["entry"] if e["resource"]["resourceType"] != "Patient"]
    path = tmp_path / "nobody.json"
    path.write_text(json.dumps(without))
    done = run("evaluate", "--patients", path, "--period", 2026)
    assert (done.status, done.out) == (1, "")
    assert only_line(done.err) == (
        f"error: {path}: There is no Patient among the resources. Add the Patient that the data belongs to."
    )


def test_two_patients_in_one_bundle_are_named(run, tmp_path):
    both = bundle()
    both["entry"] += bundle(1)["entry"]
    path = tmp_path / "two.ndjson"
    path.write_text(json.dumps(both) + "\n")
    done = run("evaluate", "--patients", path, "--period", 2026)
    assert (done.status, done.out) == (1, "")
    line = only_line(done.err)
    assert line.startswith(
        f"error: {path}, line 1: There are 2 Patients among the resources (synthetic-1-000001,"
    )
    assert line.endswith("Give each patient a bundle (or NDJSON line) of its own.")


def test_one_bad_patient_does_not_stop_the_others(run, tmp_path, patients):
    good = patients.read_bytes().splitlines(keepends=True)
    mixed = tmp_path / "mixed.ndjson"
    mixed.write_bytes(good[0] + b'{"resourceType": "Bundle", "entry": [\n' + b"".join(good[1:]))
    output = tmp_path / "reports.json"
    done = evaluate(run, mixed, output, "--json")
    whole = run("evaluate", "--patients", patients, "--period", 2026, "--json").json
    assert done.status == 1
    assert (done.json["patients"], done.json["failed"]) == (41, 1)
    assert done.json["measures"] == whole["measures"]
    (issue,) = done.json["issues"]
    assert issue["code"] == "structure"
    assert issue["where"].startswith(f"{mixed}, line 2, column ")
    assert issue["what"] == "the JSON ends early."
    kinds = [entry["resource"]["resourceType"] for entry in json.loads(output.read_bytes())["entry"]]
    assert kinds == ["MeasureReport"] * 3 + ["OperationOutcome"]


def test_a_missing_value_set_is_named_with_its_library(run, tmp_path, content, patients):
    (content / "valuesets" / "hemoglobin-a1c.json").unlink()
    output = tmp_path / "report.json"
    done = evaluate(run, patients, output, "--content", content)
    assert (done.status, done.out) == (2, "")
    line = only_line(done.err)
    assert (
        '"Hemoglobin A1c" (https://measurewise.example/ValueSet/hemoglobin-a1c) of DiabetesGlycemicControl'
        in line
    )
    assert "Add the value sets, or set" in line
    assert not output.exists()


def test_a_missing_value_set_may_count_as_empty_with_a_notice(run, content, patients):
    (content / "valuesets" / "hemoglobin-a1c.json").unlink()
    done = run(
        "evaluate", "--patients", patients, "--period", 2026, "--content", content, "--measure", MEASURE,
        "--missing-valuesets", "empty", "--json",
    )  # fmt: skip
    assert done.status == 0
    (notice,) = [notice for notice in done.json["notices"] if "hemoglobin-a1c" in notice]
    assert "it is taken as empty" in notice
    counts = {p["code"]: p["count"] for p in done.json["measures"][0]["groups"][0]["populations"]}
    assert counts["denominator"] > 0
    assert counts["numerator"] == 0


def spoilt_include(folder: Path, library: str, name: str, version: str, new: tuple[str, str]) -> None:
    """Let a library include another name and version, in CQL and ELM."""
    path = folder / "libraries" / library / f"{library}.elm.json"
    tree = json.loads(path.read_bytes())
    (include,) = [d for d in tree["library"]["includes"]["def"] if d["path"] == name]
    include["path"], include["version"] = new
    path.write_text(json.dumps(tree))
    text = folder / "libraries" / library / f"{library}.cql"
    before = f"include {name} version '{version}'"
    assert before in text.read_text()
    text.write_text(text.read_text().replace(before, f"include {new[0]} version '{new[1]}'"))


def test_a_missing_library_version_is_named_with_who_asks_and_what_there_is(run, tmp_path, content, patients):
    spoilt_include(content, MEASURE, "HospiceCare", "1.0.0", ("HospiceCare", "9.1.0"))
    output = tmp_path / "report.json"
    done = evaluate(run, patients, output, "--content", content)
    assert (done.status, done.out) == (2, "")
    line = only_line(done.err)
    assert f"library {MEASURE} 1.0.0 includes HospiceCare version 9.1.0, but" in line
    assert "there is version 1.0.0." in line
    assert "Add that version of the library" in line
    assert not output.exists()


def test_a_circle_of_includes_is_shown(run, tmp_path, content, patients):
    spoilt_include(content, "HospiceCare", "ClinicalTiming", "1.0.0", (MEASURE, "1.0.0"))
    output = tmp_path / "report.json"
    done = evaluate(run, patients, output, "--content", content, "--measure", MEASURE)
    assert (done.status, done.out) == (2, "")
    line = only_line(done.err)
    assert f"in a circle: {MEASURE} 1.0.0 -> HospiceCare 1.0.0 -> {MEASURE} 1.0.0." in line
    assert "Move what they share to a library of its own." in line
    assert not output.exists()


def test_elm_older_than_its_cql_is_named_with_the_difference(run, tmp_path, content, patients):
    text = content / "libraries" / MEASURE / f"{MEASURE}.cql"
    text.write_text(text.read_text() + '\ndefine "Added Later":\n  true\n')
    output = tmp_path / "report.json"
    done = evaluate(run, patients, output, "--content", content, "--measure", MEASURE, "--engine", "elm")
    assert (done.status, done.out) == (2, "")
    line = only_line(done.err)
    assert f"the ELM of library {MEASURE} 1.0.0 is older than its CQL" in line
    assert 'the CQL has the definition "Added Later", the ELM does not' in line
    assert "Translate the CQL again" in line
    assert not output.exists()
    lenient = evaluate(run, patients, output, "--content", content, "--measure", MEASURE, "--stale", "notice")
    assert lenient.status == 0
    assert "older than its CQL" in lenient.err
    translated = evaluate(run, patients, output, "--content", content, "--measure", MEASURE)
    assert translated.status == 0
    assert "is older than its CQL and is left aside" in translated.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--patients", "nowhere.ndjson", "--period", "2026"],
            "nowhere.ndjson: there is no such file or folder.",
        ),
        (["--patients", "{patients}", "--period", "20x6"], "'20x6' is no measurement period. Write 2026,"),
        (["--patients", "{patients}", "--period", "2026-12-31/2026-01-01"], "before it starts"),
        (["--patients", "{patients}", "--period", "2026", "--measure", "Diabetis"], 'no measure "Diabetis"'),
        (
            ["--patients", "{patients}", "--period", "2026", "--content", "nowhere"],
            "nowhere: there is no such",
        ),
        (["--patients", "{patients}", "--period", "2026", "--zone", "+25:00"], "'+25:00' is no offset"),
        (["--patients", "{patients}", "--period", "2026", "--jobs", "0"], "--jobs: there must be a process"),
        (["--patients", "{patients}", "--period", "2026", "--profiles", "all"], "--profiles"),
        (["--patients", "{patients}", "--period", "2026", "--reports", "summary"], "--reports"),
        (["--patients", "{patients}"], "--period"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(run, patients, arguments, told):
    done = run("evaluate", *(argument.format(patients=patients) for argument in arguments))
    assert (done.status, done.out) == (2, "")
    assert told in only_line(done.err)


def test_an_error_is_one_json_object_on_request(run, tmp_path):
    done = run("evaluate", "--patients", tmp_path / "nowhere", "--period", 2026, "--json")
    assert done.status == 2
    assert done.json["error"] == {
        "code": "not-found",
        "what": "there is no such file or folder.",
        "where": str(tmp_path / "nowhere"),
    }


def test_compressed_patients_that_end_early_stop_the_run(run, tmp_path, patients):
    import gzip

    whole = gzip.compress(patients.read_bytes())
    broken = tmp_path / "patients.ndjson.gz"
    broken.write_bytes(whole[: len(whole) // 2])
    output = tmp_path / "reports.ndjson"
    done = evaluate(run, broken, output, "--report", "individual")
    assert (done.status, done.out) == (2, "")
    assert f"{broken}: the compressed data end early." in only_line(done.err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["patients.ndjson.gz"]


def test_no_patients_at_all_is_an_error(run, tmp_path):
    (tmp_path / "none.ndjson").write_text("\n")
    done = run("evaluate", "--patients", tmp_path / "none.ndjson", "--period", 2026)
    assert (done.status, done.out) == (2, "")
    assert "there are no patients in it." in only_line(done.err)


def test_an_output_that_cannot_be_written_is_told_before_the_work(run, tmp_path, patients):
    done = evaluate(run, patients, tmp_path)
    assert (done.status, done.out) == (2, "")
    assert f"{tmp_path}: this is a folder." in only_line(done.err)
