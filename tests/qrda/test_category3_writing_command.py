"""``measurewise qrda3 write``, and descriptions read from JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from given_reports import group, measures_of, report

from measurewise.cli.app import run
from measurewise.qrda.category3.writing.description import (
    Attestation,
    DescriptionError,
    EntityType,
    Programme,
    Proportion,
)
from measurewise.qrda.category3.writing.description_json import description_of

COUNTS = {"IPOP": 100, "DENOM": 90, "DENEX": 10, "NUMER": 60}
PERIOD = {"start": "2025-01-01", "end": "2025-12-31"}
DESCRIPTION: dict[str, Any] = {
    "year": 2025,
    "programme": "mvp",
    "mvp": "G0057",
    "entity": {"type": "individual", "name": "Dr Philips", "tin": "123456789", "npi": "1234567893"},
    "cehrtId": "0015CABCDEFGHIJ",
    "legalAuthenticator": {"given": "Ana", "family": "Philips", "signed": "2026-01-15T07:45:00"},
    "promotingInteroperability": {
        **PERIOD,
        "measures": [
            {"id": "PI_EP_1", "numerator": 70, "denominator": 80},
            {"id": "PI_PPHI_1", "performed": True},
        ],
    },
    "improvementActivities": {**PERIOD, "activities": ["IA_EPA_3", {"id": "IA_PM_2", "performed": False}]},
}


def test_a_description_says_all_that_no_measure_computes() -> None:
    found = description_of(DESCRIPTION)
    assert (found.year, found.programme, found.mvp) == (2025, Programme.MVP, "G0057")
    assert (found.entity.type, found.entity.npi) == (EntityType.INDIVIDUAL, "1234567893")
    assert found.promoting_interoperability is not None
    assert found.promoting_interoperability.measures == (
        Proportion("PI_EP_1", 70, 80),
        Attestation("PI_PPHI_1"),
    )
    assert found.improvement_activities is not None
    assert found.improvement_activities.activities == (
        Attestation("IA_EPA_3"),
        Attestation("IA_PM_2", performed=False),
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"cehrtID": "x"}, "the description: cehrtID means nothing here. Known are cehrtId,"),
        ({"year": "2025"}, "year is not a whole number"),
        ({"year": True}, "year is not a whole number"),
        ({"programme": "MIPS"}, "programme is 'MIPS'. Choose mips, mvp, app1, appPlus."),
        ({"entity": None}, "entity is missing"),
        ({"entity": {"type": "group", "name": "Clinic", "TIN": "1"}}, "tin is missing"),
        (
            {"promotingInteroperability": {**PERIOD, "measures": [{"id": "PI_EP_1"}]}},
            "measures\\[0\\]: numer",
        ),
        ({"promotingInteroperability": {**PERIOD, "measures": ["PI_EP_1"]}}, "it is no object"),
        ({"legalAuthenticator": {"given": "A", "family": "B", "signed": "now"}}, "no date and time"),
        ({"improvementActivities": {"start": "1.1.2025", "activities": []}}, "start is '1.1.2025', no day"),
    ],
)
def test_mistakes_in_a_description_are_told_with_their_place(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(DescriptionError, match=told):
        description_of({**DESCRIPTION, **changed})


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "practice.json").write_text(json.dumps(DESCRIPTION))
    reports = [report("CMS165", group(COUNTS)), report("CMS122", group(COUNTS))]
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": one} for one in (*reports, {"resourceType": "OperationOutcome"})],
    }
    (tmp_path / "reports.json").write_text(json.dumps(bundle))
    (tmp_path / "reports.ndjson").write_text("".join(json.dumps(one) + "\n" for one in reports))
    return tmp_path


@pytest.mark.parametrize("name", ["reports.json", "reports.ndjson"])
def test_a_report_is_written_from_the_command_line(
    files: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = files / "out" / "report.xml"
    arguments = ["qrda3", "write", str(files / "practice.json"), "--reports", str(files / name)]
    arguments += ["--output", str(output), "--at", "2026-01-15T08:00:00", "--json"]
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["output"]) == ("OK", str(output))
    assert [one["eMeasureId"] for one in told["measures"]] == ["CMS165v13", "CMS122v13"]
    assert told["measures"][0]["rates"] == [COUNTS]
    first = output.read_bytes()
    assert len(measures_of(first)) == 2
    assert run(arguments) == 0
    assert output.read_bytes() == first


def test_what_cms_would_refuse_is_told_and_is_the_exit_status(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = {
        **PERIOD,
        "measures": [
            {"id": "PI_HIE_5", "performed": True},
            {"id": "PI_HIE_1", "numerator": 1, "denominator": 2},
        ],
    }
    (files / "practice.json").write_text(json.dumps({**DESCRIPTION, "promotingInteroperability": both}))
    arguments = ["qrda3", "write", str(files / "practice.json"), "--output", str(files / "o.xml")]
    assert run(arguments) == 1
    assert "102: " in capsys.readouterr().err


def test_a_report_that_cannot_be_written_leaves_no_file(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = report("CMS165", group(COUNTS, everyone=False))
    (files / "bare.json").write_text(json.dumps(bare))
    arguments = ["qrda3", "write", str(files / "practice.json"), "--reports", str(files / "bare.json")]
    arguments += ["--output", str(files / "o.xml")]
    assert run(arguments) == 2
    assert "Evaluate with --supplemental-data" in capsys.readouterr().err
    assert not (files / "o.xml").exists()
    assert run([*arguments, "--missing-supplemental-data", "leave-out"]) == 0
    assert "notice: CMS165 (CMS165v13): no counts by sex" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "this is no JSON"),
        (b"[1]", "it holds no FHIR resource"),
        (b'{"resourceType": "MeasureReport", "group": {}}', "the MeasureReport is not valid FHIR"),
        (None, "cannot be read"),
    ],
)
def test_files_that_cannot_be_used_are_told(
    files: Path, content: bytes | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (files / "wrong.json").write_bytes(content)
    arguments = ["qrda3", "write", str(files / "practice.json"), "--reports", str(files / "wrong.json")]
    assert run([*arguments, "--output", str(files / "o.xml")]) == 2
    assert told in capsys.readouterr().err


def test_evaluated_and_reported_from_beginning_to_end(
    ecqm_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patients, reports, practice = (tmp_path / name for name in ("p.ndjson", "r.json", "d.json"))
    assert run(["synthesize", "--patients", "30", "--year", "2025", "--output", str(patients)]) == 0
    content = [str(ecqm_dir / name) for name in ("measures", "libraries", "valuesets.ndjson.gz")]
    arguments = [
        "evaluate",
        "--patients",
        str(patients),
        "--period",
        "2025",
        "--measure",
        "CMS130",
        "Oncology",
    ]
    arguments += ["--content", *content, "--supplemental-data", "--output", str(reports)]
    assert run(arguments) == 0
    practice.write_text(json.dumps(DESCRIPTION))
    capsys.readouterr()
    arguments = [
        "qrda3",
        "write",
        str(practice),
        "--reports",
        str(reports),
        "--content",
        content[0],
        content[1],
    ]
    assert run([*arguments, "--output", str(tmp_path / "o.xml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["eMeasureId"] for one in told["measures"]} == {"CMS130v13", "CMS157v13"}
    assert told["measures"][0]["rates"][0]["IPOP"] > 0
