"""A composite measure on the command line: evaluated like any other, its components found by themselves."""

import json
from pathlib import Path
from typing import Any

import pytest

SHIPPED = "https://measurewise.example/Measure/"
WEIGHT = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition/cqfm-weight"


@pytest.fixture
def composite(content: Path):
    """Puts a composite of the two shipped proportions beside them and gives the content's folder."""

    def written(method: str, weights: tuple[float, ...] = ()) -> Path:
        components: list[dict[str, Any]] = [
            {"type": "composed-of", "resource": SHIPPED + name}
            for name in ("DiabetesGlycemicControl", "HighBloodPressureFollowUp")
        ]
        for artifact, weight in zip(components, weights, strict=False):
            artifact["extension"] = [{"url": WEIGHT, "valueDecimal": weight}]
        measure = {
            "resourceType": "Measure",
            "url": "http://example.org/Measure/MyComposite",
            "name": "MyComposite",
            "status": "draft",
            "scoring": {"coding": [{"code": "composite"}]},
            "compositeScoring": {"coding": [{"code": method}]},
            "relatedArtifact": components,
        }
        (content / "composite.json").write_text(json.dumps(measure))
        return content

    return written


def evaluate(run, patients: Path, content: Path, *more: object):
    return run(
        "evaluate", "--patients", patients, "--period", 2026, "--content", content,
        "--measure", "MyComposite", *more,
    )  # fmt: skip


def test_a_composite_is_a_row_of_the_table(run, patients, composite):
    done = evaluate(run, patients, composite("opportunity"))
    assert (done.status, done.err) == (0, "")
    (row,) = [line for line in done.out.splitlines() if line.startswith("MyComposite")]
    assert row.split()[1] == "services"
    assert row.split()[-1] == "%"


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_sum_a_weighted_composite_up_to_the_same_score(run, patients, composite, jobs):
    done = evaluate(run, patients, composite("weighted", (0.25, 0.75)), "--json", "--jobs", jobs)
    (group,) = done.json["measures"][0]["groups"]
    assert (group["compositeScoring"], group["populations"]) == ("weighted", [])
    first, second = group["components"]
    assert [first["weight"], second["weight"]] == [0.25, 0.75]
    assert first["populations"][0]["code"] == "initial-population"
    assert group["score"] == pytest.approx(0.25 * first["score"] + 0.75 * second["score"])


@pytest.mark.parametrize("kind", ["individual", "subject-list", "summary"])
def test_a_composite_has_every_kind_of_report(run, patients, composite, tmp_path, kind):
    output = tmp_path / "reports.ndjson"
    done = evaluate(run, patients, composite("all-or-nothing"), "--report", kind, "--output", output)
    assert done.status == 0
    reports = [json.loads(line) for line in output.read_bytes().splitlines()]
    assert len(reports) == (40 if kind == "individual" else 1)
    assert {report["measure"] for report in reports} == {"http://example.org/Measure/MyComposite"}


def test_a_component_that_is_not_there_is_named(run, patients, composite, tmp_path):
    folder = composite("linear")
    (folder / "libraries" / "HighBloodPressureFollowUp" / "measure.json").unlink()
    output = tmp_path / "report.json"
    done = evaluate(run, patients, folder, "--output", output)
    assert (done.status, done.out) == (2, "")
    assert f"MyComposite is composed of {SHIPPED}HighBloodPressureFollowUp, but" in done.err
    assert not output.exists()


def test_weights_that_only_some_components_have_are_an_error(run, patients, composite):
    done = evaluate(run, patients, composite("weighted", (0.25,)))
    assert (done.status, done.out) == (2, "")
    assert f"1 of its 2 components have no weight: {SHIPPED}HighBloodPressureFollowUp." in done.err
