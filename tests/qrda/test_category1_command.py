"""``measurewise qrda1``: patients to zips, zips to patients, and what is wrong with documents."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from category1_records import cases
from shared_inputs import shared

from measurewise.cli.app import run

MEASURE = "CMS22FHIRPCSBPScreeningFollowUp"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, ecqm_dir: Path) -> Path:
    """The official cases of a measure as zips."""
    folder = tmp_path_factory.mktemp("qrda1")
    patients = folder / "patients.ndjson"
    with patients.open("w", encoding="utf-8") as stream:
        for case in cases(MEASURE):
            stream.write(json.dumps({"resources": case["resources"]}, default=float) + "\n")
    assert (
        run(["qrda1", "write", "--patients", str(patients), *_measure(), "--output", str(folder / "out")])
        == 0
    )
    return folder / "out"


def _measure() -> list[str]:
    content = [str(shared("ecqm", name)) for name in ("measures", "libraries", "valuesets.ndjson.gz")]
    return ["--content", *content, "--measure", "CMS22", "--period", "2026"]


def test_a_zip_is_written_for_each_population_with_the_patients_in_it(written: Path) -> None:
    expected: Counter[str] = Counter()
    for case in cases(MEASURE):
        for population in case["expected"][0]["group"][0]["population"]:
            expected[population["code"]["coding"][0]["code"]] += bool(population["count"])
    found = {
        path.stem.partition("_")[2]: len(zipfile.ZipFile(path).namelist()) for path in written.glob("*.zip")
    }
    assert found == {code: number for code, number in expected.items() if number}
    assert not list(written.glob(".*"))


def test_the_list_beside_the_zips_names_each_document_and_what_no_template_carries(written: Path) -> None:
    lines = [json.loads(line) for line in (written / "carried.ndjson").read_text("utf-8").splitlines()]
    names = set(zipfile.ZipFile(written / f"{MEASURE}_initial-population.zip").namelist())
    assert {line["document"] for line in lines} == names
    entries = [entry for line in lines for entry in line["entries"]]
    assert not [entry for entry in entries if set(entry["lost"]) - {"text"}]
    assert {"resource", "datatype", "asElements", "lost", "filled"} == entries[0].keys()


def test_what_was_written_is_valid_by_the_command(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared("qrda")
    rules = [
        "--schematron-folder",
        str(folder / "category1" / "schematron"),
        "--schema-folder",
        str(folder / "xsd"),
    ]
    path = written / f"{MEASURE}_initial-population.zip"
    assert run(["qrda1", "validate", str(path), *rules, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["status"] for line in lines} == {"OK"}
    assert len(lines) == len(zipfile.ZipFile(path).namelist())


def test_what_was_read_again_evaluates_to_the_same_counts(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back = tmp_path / "back.ndjson"
    assert run(["qrda1", "read", str(written), "--output", str(back), "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == len(back.read_text("utf-8").splitlines()) == 38
    assert not [one for one in told if one["notMapped"]]
    counts = [_counts(path, capsys) for path in (written.parent / "patients.ndjson", back)]
    assert counts[0] == counts[1]


def _counts(patients: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    assert run(["evaluate", "--patients", str(patients), *_measure(), "--json"]) == 0
    (measure,) = json.loads(capsys.readouterr().out)["measures"]
    return measure["groups"]


def test_what_cannot_be_read_is_told_and_the_others_are_read(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.xml").write_text("<a/>")
    with zipfile.ZipFile(written / f"{MEASURE}_numerator.zip") as archive:
        archive.extract(archive.namelist()[0], tmp_path)
    assert run(["qrda1", "read", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.count("Patient/") == 1
    assert "no patient data section" in out


def test_an_invalid_document_is_told_with_its_line(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(written / f"{MEASURE}_numerator.zip") as archive:
        data = archive.read(archive.namelist()[0])
    (tmp_path / "a.xml").write_bytes(data.replace(b"<title>QRDA Category I Report</title>", b""))
    folder = shared("qrda")
    rules = [
        "--schematron-folder",
        str(folder / "category1" / "schematron"),
        "--schema-folder",
        str(folder / "xsd"),
    ]
    assert run(["qrda1", "validate", str(tmp_path), *rules]) == 1
    out = capsys.readouterr().out
    assert out.startswith("ERR ")
    assert "line " in out
