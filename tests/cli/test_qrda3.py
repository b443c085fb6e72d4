"""``measurewise qrda3 convert``: an object a file and line, and an exit status that tells of errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from given_qrda3 import REPORT


def test_a_folder_gives_an_object_a_file(tmp_path: Path, run: Callable[..., Any]) -> None:
    (tmp_path / "a.xml").write_text(REPORT)
    (tmp_path / "b.xml").write_text(REPORT.replace('code="Y"', 'code="maybe"'))
    (tmp_path / "notes.txt").write_text("not a report")
    done = run("qrda3", "convert", tmp_path, "--json")
    first, second = map(json.loads, done.out.splitlines())
    assert done.status == 1
    assert (Path(first["file"]).name, first["status"], first["codes"]) == ("a.xml", "OK", [])
    assert first["qpp"]["entityId"] == "X12345"
    assert first["qpp"]["measurementSets"][0]["measurements"] == [{"measureId": "IA_PM_2", "value": True}]
    assert (Path(second["file"]).name, second["status"], second["codes"]) == ("b.xml", "ERR", [51])
    assert second["qpp"] is None
    assert second["errors"][0]["line"] > 1


def test_a_sound_file_ends_with_0_and_people_get_lines(tmp_path: Path, run: Callable[..., Any]) -> None:
    path = tmp_path / "a.xml"
    path.write_text(REPORT)
    done = run("qrda3", "convert", path)
    assert (done.status, done.out.split()) == (0, ["OK", str(path)])
    path.write_text(REPORT.replace("MIPS_APMENTITY", "MIPS_FOO"))
    done = run("qrda3", "convert", path)
    assert done.status == 1
    assert "25: line 1, column 1: " in done.out


def test_a_name_that_leads_nowhere_is_told(tmp_path: Path, run: Callable[..., Any]) -> None:
    assert run("qrda3", "convert", tmp_path / "absent.xml").status == 2
    assert run("qrda3", "convert", tmp_path).status == 2
