"""``measurewise qpp``: submissions written, read, judged, converted, merged, and sent to a server here."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "mips"))
from fake_submissions_api import REGISTRY_TOKEN, USER_TOKEN, FakeSubmissionsApi
from given_qrda3 import REPORT
from qpp_examples import activities, promoting, quality, submission

Run = Callable[..., Any]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    def made(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return made


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSubmissionsApi]:
    double = FakeSubmissionsApi()
    with double.serve() as address:
        monkeypatch.setenv("MEASUREWISE_QPP_URL", address)
        monkeypatch.setenv("MEASUREWISE_QPP_TOKEN", REGISTRY_TOKEN)
        yield double


def test_a_folder_is_judged_an_object_a_file(write: Callable[..., Path], run: Run) -> None:
    write("in/a.json", submission())
    write("in/b.json", submission(performanceYear="2025"))
    write("in/below/c.json", "no json")
    done = run("qpp", "validate", write("in/notes.txt", "").parent, "--json")
    assert done.status == 1
    a, b, c = sorted(
        (json.loads(line) for line in done.out.splitlines()), key=lambda one: Path(one["file"]).name
    )
    assert (a["status"], a["codes"], a["problems"]) == ("OK", [], [])
    assert (b["status"], b["codes"]) == ("ERR", ["SV-type"])
    assert b["problems"] == [
        {
            "code": "SV-type",
            "severity": "error",
            "message": "SV - field 'performanceYear' in Submission is invalid: "
            '"2025" is not a whole number.',
            "mend": "Give a whole number.",
            "pointer": "/performanceYear",
        }
    ]
    assert (c["status"], c["codes"]) == ("ERR", ["unreadable"])


def test_warnings_do_not_fail_a_submission(write: Callable[..., Path], run: Run) -> None:
    path = write("a.json", submission(quality(measurements=[])))
    done = run("qpp", "validate", path)
    assert done.status == 0
    assert done.out.startswith(f"OK   {path}\n     SV-empty-set: warning, /measurementSets/0/measurements: ")


def test_what_is_no_submission_is_told_with_its_place(write: Callable[..., Path], run: Run) -> None:
    path = write("a.json", '{"a": 1,\n}')
    for command in ("validate", "read", "merge", "submit"):
        more = [path] if command == "merge" else []
        done = run("qpp", command, path, *more)
        assert (done.status, done.out) == (2, ""), command
        assert f"{path}, line 2" in done.err, command


def test_a_submission_is_shown_with_the_rates_that_cms_computes(write: Callable[..., Path], run: Run) -> None:
    path = write("a.json", submission())
    done = run("qpp", "read", path)
    assert done.status == 0
    assert [line.split() for line in done.out.splitlines()][1:4] == [
        ["Set", "Measure", "Met", "Of", "Rate", "Complete"],
        ["quality", "electronicHealthRecord", "mips", "236", "60", "90", "70.59", "%", "100.00", "%"],
        ["quality", "electronicHealthRecord", "mips", "239", "90", "70.59", "%", "100.00", "%"],
    ]
    shown = json.loads(run("qpp", "read", path, "--json").out)
    assert shown == {"file": str(path), "submission": submission(), "unread": []}
    strange = write("b.json", submission(entityType=3))
    done = run("qpp", "read", strange, "--json")
    assert done.status == 1
    assert json.loads(done.out)["unread"] == [{"pointer": "/entityType", "expected": "a text"}]


def test_a_submission_is_written_from_reports_and_a_description(
    write: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    counts = {"initial-population": 50, "denominator": 40, "denominator-exclusion": 5, "numerator": 30}
    report = {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "measure": "https://madie.cms.gov/Measure/CMS165FHIRControllingHighBP|0.5.000",
        "period": {"start": "2025-01-01", "end": "2025-12-31"},
        "group": [
            {"population": [{"code": {"coding": [{"code": c}]}, "count": n} for c, n in counts.items()]}
        ],
    }
    description = {
        "year": 2025,
        "programme": "mips",
        "entity": {"type": "individual", "name": "Dr Philips", "tin": "123456789", "npi": "1234567893"},
        "cehrtId": "0015C1235689784",
        "improvementActivities": {"start": "2025-01-01", "end": "2025-12-31", "activities": ["IA_PM_2"]},
    }
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": report}]}
    described = write("description.json", description)
    output = tmp_path / "out" / "qpp.json"
    done = run("qpp", "write", described, "--reports", write("reports.json", bundle), "--output", output)
    assert (done.status, done.out, done.err) == (0, "", "")
    written = json.loads(output.read_text())
    assert written["measurementSets"][0]["measurements"] == [
        {
            "measureId": "236",
            "value": {
                "isEndToEndReported": True,
                "performanceMet": 30,
                "performanceNotMet": 5,
                "eligiblePopulationExclusion": 5,
                "eligiblePopulation": 40,
            },
        }
    ]
    assert written["measurementSets"][1]["measurements"] == [{"measureId": "IA_PM_2", "value": True}]
    lines = write("reports.ndjson", json.dumps(report) + "\n")
    done = run("qpp", "write", described, "--reports", lines)
    assert json.loads(done.out) == written
    # CMS69 is a measure of MVPs: written, and told.
    other = {
        **report,
        "measure": "https://example.org/Measure/CMS69",
        "group": [
            {
                "population": [
                    {"code": {"coding": [{"code": c}]}, "count": 0}
                    for c in [*counts, "denominator-exception"]
                ]
            }
        ],
    }
    done = run("qpp", "write", described, "--reports", write("other.json", other))
    assert done.status == 1
    assert "SV-measure-programme: /measurementSets/0/measurements/0/measureId" in done.err


def test_reports_are_converted_judged_and_written(
    write: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    write("in/good.xml", REPORT)
    write("in/below/short.xml", REPORT.replace("20251231", "20250115"))
    write("in/wrong.xml", REPORT.replace('code="Y"', 'code="maybe"'))
    write("in/unknown.xml", REPORT.replace("IA_PM_2", "IA_NO_1"))
    output = tmp_path / "out"
    done = run("qpp", "convert", tmp_path / "in", "--json", "--output", output)
    assert done.status == 1
    found = {Path(one["file"]).stem: one for one in map(json.loads, done.out.splitlines())}
    told = {
        name: (one["status"], one["codes"], [p["code"] for p in one["problems"]])
        for name, one in found.items()
    }
    assert told == {
        "good": ("OK", [], []),
        "short": ("OK", [], ["SV-period-short"]),
        "wrong": ("ERR", [51], []),
        "unknown": ("ERR", [], ["SV-measure-unknown"]),
    }
    assert sorted(path.relative_to(output).as_posix() for path in output.rglob("*.json")) == [
        "below/short.qpp.json",
        "good.qpp.json",
    ]
    assert json.loads((output / "good.qpp.json").read_text()) == found["good"]["qpp"]


def test_submissions_are_merged_from_the_oldest_to_the_newest(write: Callable[..., Path], run: Run) -> None:
    old = write("old.json", submission(quality(), activities()))
    new = write("new.json", submission(quality(measurements=[]), promoting()))
    done = run("qpp", "merge", old, new)
    assert done.status == 0
    sets = json.loads(done.out)["measurementSets"]
    assert [one["category"] for one in sets] == ["quality", "ia", "pi"]
    assert sets[0]["measurements"] == []
    assert done.err.splitlines() == [
        f"{new}: replaced quality, electronicHealthRecord, mips",
        f"{new}: kept ia, registry, mips",
        f"{new}: added pi, electronicHealthRecord, mips",
    ]
    stranger = write("stranger.json", submission(quality(), performanceYear=2024))
    done = run("qpp", "merge", old, stranger)
    assert (done.status, done.out) == (2, "")
    assert "performance year" in done.err
    assert run("qpp", "merge", old).status == 2


def test_nothing_is_sent_unless_it_is_asked_for(
    write: Callable[..., Path], run: Run, api: FakeSubmissionsApi
) -> None:
    content = submission()
    path = write("a.json", content)
    done = run("qpp", "submit", path, "--json")
    assert done.status == 0
    assert api.requests == []
    shown = [json.loads(line) for line in done.out.splitlines()]
    assert [(one["action"], one["sent"]) for one in shown] == [("create", False)] * 3
    named = {name: value for name, value in content.items() if name != "measurementSets"}
    assert shown[0]["request"]["body"] == {**content["measurementSets"][0], "submission": named}
    assert run("qpp", "score", path).status == 0
    assert api.requests == []
    # Compared, the API is asked and still nothing is changed.
    assert run("qpp", "submit", path, "--compare").status == 0
    assert [method for method, *_ in api.requests] == ["GET"]
    assert api.sets == {}


def test_what_was_shown_is_what_is_sent(
    write: Callable[..., Path], run: Run, api: FakeSubmissionsApi
) -> None:
    path = write("a.json", submission())
    shown = [json.loads(line)["request"] for line in run("qpp", "submit", path, "--json").out.splitlines()]
    done = run("qpp", "submit", path, "--send", "--json")
    assert done.status == 0
    sent = [json.loads(line) for line in done.out.splitlines()]
    assert [one["id"] for one in sent] == list(api.sets)
    assert [one["request"] for one in sent] == shown
    assert [body for method, *_, body in api.requests if method == "POST"] == [one["body"] for one in shown]
    # Handed in again, the same sets are replaced, and no others come into being.
    again = run("qpp", "submit", path, "--send")
    assert again.status == 0
    assert again.out.count("did replace") == 3
    assert len(api.sets) == 3
    assert REGISTRY_TOKEN not in done.out + done.err + again.out + again.err


def test_a_submission_with_errors_is_not_sent(
    write: Callable[..., Path], run: Run, api: FakeSubmissionsApi
) -> None:
    path = write("a.json", submission(nationalProviderIdentifier="1234567890"))
    done = run("qpp", "submit", path, "--send")
    assert (done.status, api.requests) == (2, [])
    assert "check digit" in done.err
    assert run("qpp", "submit", path, "--send", "--despite-errors").status == 0
    assert len(api.sets) == 3


def test_refusals_of_the_api_are_told_on_one_line(
    write: Callable[..., Path], run: Run, api: FakeSubmissionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = copy.deepcopy(submission(quality()))
    del content["measurementSets"][0]["measurements"][0]["value"]["eligiblePopulation"]
    path = write("a.json", content)
    done = run("qpp", "submit", path, "--send", "--despite-errors", "--json")
    assert done.status == 2
    assert json.loads(done.out)["error"]["code"] == "invalid"
    assert "/measurements/0/value/eligiblePopulation" in done.err
    monkeypatch.setenv("MEASUREWISE_QPP_TOKEN", "expired")
    done = run("qpp", "list")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "401" in done.err
    monkeypatch.delenv("MEASUREWISE_QPP_TOKEN")
    done = run("qpp", "list")
    assert done.status == 2
    assert "MEASUREWISE_QPP_TOKEN" in done.err


def test_what_cms_has_is_listed_and_scored(
    write: Callable[..., Path], run: Run, api: FakeSubmissionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.json", submission())
    assert run("qpp", "submit", path, "--send").status == 0
    done = run("qpp", "list", "--year", 2025, "--tin", "123456789", "--json")
    (found,) = map(json.loads, done.out.splitlines())
    assert [one["category"] for one in found["measurementSets"]] == ["quality", "pi", "ia"]
    assert run("qpp", "list", "--year", 2024, "--json").out == ""
    assert "quality electronicHealthRecord mips" in run("qpp", "list").out
    monkeypatch.setenv("MEASUREWISE_QPP_TOKEN", USER_TOKEN)
    stored = run("qpp", "score", "--submission", found["id"])
    assert stored.out.startswith("Total Score: 3.0\n  quality: 1.0\n")
    assert run("qpp", "score", path, "--send").out == stored.out
    assert run("qpp", "score").status == 2
    assert run("qpp", "score", path, "--submission", "x").status == 2


def test_what_cms_has_is_deleted_when_that_is_asked_for(
    write: Callable[..., Path], run: Run, api: FakeSubmissionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("qpp", "submit", write("a.json", submission()), "--send").status == 0
    (found,) = map(json.loads, run("qpp", "list", "--json").out.splitlines())
    first = found["measurementSets"][0]
    shown = run("qpp", "delete", "--set", first["id"])
    assert shown.status == 0
    assert shown.out.startswith("would delete quality, electronicHealthRecord, mips: set ")
    assert "Nothing was deleted." in shown.out
    assert len(api.sets) == 3
    done = run("qpp", "delete", "--set", first["id"], "--send", "--json")
    (told,) = map(json.loads, done.out.splitlines())
    assert (told["deleted"], told["set"], told["submission"]) == (True, first["id"], found["id"])
    assert len(api.sets) == 2
    again = run("qpp", "delete", "--set", first["id"], "--send")
    assert again.status == 2
    assert "404" in again.err
    monkeypatch.setenv("MEASUREWISE_QPP_TOKEN", USER_TOKEN)
    done = run("qpp", "delete", "--submission", found["id"], "--send", "--json")
    assert [json.loads(line)["category"] for line in done.out.splitlines()] == ["pi", "ia"]
    assert run("qpp", "list", "--json").out == ""
    assert run("qpp", "delete").status == 2
    assert run("qpp", "delete", "--set", "a", "--submission", "b").status == 2
