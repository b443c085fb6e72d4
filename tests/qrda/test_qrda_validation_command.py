"""``measurewise qrda3 validate``, ``convert --csv`` and ``read`` on official samples."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

from cms_pairs import cms_pairs
from shared_inputs import SHARED, needs

QRDA = SHARED / "qrda"
SAMPLES = QRDA / "category3" / "samples"
GROUP = SAMPLES / "2025MIPSGroupSampleQRDA-III-v1.0.xml"
pytestmark = needs("qrda")
RULES = ("--schematron-folder", str(QRDA), "--schema-folder", str(QRDA))


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("measurewise"), "qrda3", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@cache
def _accepted() -> bytes:
    """A report of 2024 that CMS takes."""
    return cms_pairs()["2024/0245.xml"]


def test_schema_schematron_and_conversion_answer_together(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(_accepted())
    spoilt = _accepted().replace(
        b'<low value="20240101"/>', b'<low value="20240101"/><low value="20240201"/>'
    )
    assert spoilt != _accepted()
    (tmp_path / "b.xml").write_bytes(spoilt)
    (tmp_path / "c.xml").write_bytes(b"no xml")
    done = _run("validate", tmp_path, *RULES, "--json", "--jobs", 2)
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert (first["status"], first["codes"], first["notChecked"]) == ("OK", [79], [])
    assert [(one["stage"], one["severity"]) for one in first["findings"]] == [("conversion", "warning")]
    assert {one["stage"] for one in second["findings"]} == {"schema", "schematron", "conversion"}
    assert all(one["line"] and one["column"] and one["path"] and one["mend"] for one in second["findings"])
    assert second["codes"] == second["cmsCodes"] == [29]
    assert [one["stage"] for one in third["findings"]] == ["structure"]
    assert third["codes"] == [2]


def test_another_year_can_be_asked_and_what_should_be(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(_accepted())
    done = _run("validate", tmp_path / "a.xml", *RULES, "--json", "--year", 2025)
    found = [one for one in json.loads(done.stdout)["findings"] if one["severity"] == "error"]
    assert {one["source"] for one in found} == {"CMS 2025 QRDA III"}
    assert "2024-12-01" in found[0]["message"]
    done = _run("validate", tmp_path / "a.xml", *RULES, "--json", "--warnings")
    found = json.loads(done.stdout)
    assert found["status"] == "OK"
    assert {one["severity"] for one in found["findings"]} <= {"warning"}


def test_the_error_report_has_a_line_an_error(tmp_path: Path) -> None:
    packed = tmp_path / "reports.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.xml", _accepted())
        archive.writestr("b.xml", b"no xml")
    report = tmp_path / "report.csv"
    done = _run("convert", packed, "--csv", report)
    assert done.returncode == 1
    with report.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["File No", "Size", "Timestamp", "Status", "Message"]
    assert [(row["File No"], row["Size"], row["Status"]) for row in rows] == [
        ("1", str(len(_accepted())), "OK"),
        ("2", "6", "ERR"),
    ]
    assert "reports.zip!a.xml: warning 79: " in rows[0]["Message"]
    assert "b.xml: 2: " in rows[1]["Message"]
    assert all(row["Timestamp"].endswith("+00:00") for row in rows)


def test_a_file_named_like_a_formula_is_no_formula_in_the_error_report(tmp_path: Path) -> None:
    (tmp_path / "=1+1.xml").write_bytes(b"no xml")
    command = [
        Path(sys.executable).with_name("measurewise"),
        "qrda3",
        "convert",
        "=1+1.xml",
        "--csv",
        "r.csv",
    ]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120).returncode == 1
    with (tmp_path / "r.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["Message"].startswith("'=1+1.xml: 2: ")


def test_a_report_is_read_as_typed_values() -> None:
    done = _run("read", GROUP, "--json")
    report = json.loads(done.stdout)
    assert (report["performanceYear"], report["programmeNames"]) == (2025, ["MIPS_GROUP"])
    assert report["practitioners"] == [{"npis": [], "tins": ["123456789"]}]
    quality, promoting, activities = report["sections"]
    assert [one["category"] for one in report["sections"]] == ["quality", "pi", "ia"]
    assert quality["periods"] == [{"start": "2025-01-01", "end": "2025-12-31"}]
    assert len(quality["measures"]) == 11
    assert quality["measures"][0]["ecqmId"] == "CMS165v13"
    populations = quality["measures"][0]["populations"]
    assert {one["code"]: one["count"] for one in populations}["IPOP"] == 1000
    assert {"element": "sex", "code": "F", "count": 600} in populations[0]["supplemental"]
    assert {"measureId": "PI_EP_1", "numerator": 750, "denominator": 800, "answer": None} in promoting[
        "promoting"
    ]
    assert {"measureId": "IA_PM_2", "answer": True} in activities["activities"]
    assert "PI_EP_1" in _run("read", GROUP).stdout


def test_what_is_no_report_is_told_in_one_line(tmp_path: Path) -> None:
    other = tmp_path / "a.xml"
    other.write_text("<a/>")
    done = _run("read", other)
    assert done.returncode == 2
    assert "no QRDA III report" in done.stderr
    assert done.stderr.count("\n") == 1
    assert _run("validate", GROUP, "--schematron-folder", tmp_path).returncode == 2
    assert _run("validate", GROUP, "--time-limit", 0).returncode == 2
