"""``measurewise compile`` and ``synthesize``, and what all commands have in common."""

import ast
import json
import subprocess
import sys

import pytest

import measurewise


def test_compile_tells_what_a_measure_consists_of(run):
    facts = run("compile", "Diabetes", "--json").json
    assert facts["measure"] == "DiabetesGlycemicControl 1.0.0"
    assert facts["libraries"][-1] == "DiabetesGlycemicControl|1.0.0"
    assert "FHIRHelpers|1.0.0" in facts["libraries"]
    assert facts["valuesets"] == 7
    assert min(facts["definitions"], facts["functions"], facts["retrieves"], facts["lines"]) > 0
    shown = run("compile", "Diabetes")
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.startswith("DiabetesGlycemicControl 1.0.0, compiled\n")


def test_compile_shows_python_that_can_be_read(run):
    done = run("compile", "Diabetes", "--show")
    names = {node.name for node in ast.walk(ast.parse(done.out)) if isinstance(node, ast.FunctionDef)}
    assert any("Initial_Population" in name for name in names)
    assert run("compile", "Diabetes", "--show", "--json").json["source"] == done.out.rstrip("\n")


def test_programs_are_kept_and_found_again_unless_told_otherwise(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MEASUREWISE_CACHE", str(tmp_path / "programs"))
    anew = run("compile", "Hospital", "--show", "--no-cache")
    assert not (tmp_path / "programs").exists()
    assert run("compile", "Hospital", "--show") == anew
    assert len(list((tmp_path / "programs").iterdir())) == 1
    assert run("compile", "Hospital", "--show") == anew


def test_compile_names_what_is_near_a_misspelt_measure(run):
    done = run("compile", "DiabetesGlycaemicControl")
    assert (done.status, done.out) == (2, "")
    assert "Near it: DiabetesGlycemicControl" in done.err


def test_the_same_seed_gives_the_same_patients(run, tmp_path):
    paths = [tmp_path / name for name in ("a.ndjson", "b.ndjson", "c.ndjson")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        done = run("synthesize", "--patients", 5, "--seed", seed, "--year", 2026, "--output", path)
        assert done.status == 0
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again != other
    assert len(first.splitlines()) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ndjson", "b.ndjson", "c.ndjson"]


def test_patients_go_to_a_folder_or_to_stdout_too(run, tmp_path):
    done = run("synthesize", "--patients", 3, "--output", tmp_path / "folder", "--json")
    assert done.json == {"patients": 3, "seed": 1, "year": 2026, "output": str(tmp_path / "folder")}
    assert len(list((tmp_path / "folder").glob("*.json"))) == 3
    streamed = run("synthesize", "--patients", 3)
    assert [json.loads(line)["resourceType"] for line in streamed.out.splitlines()] == ["Bundle"] * 3
    assert run("synthesize", "--patients", 3, "--json").status == 2
    assert run("synthesize", "--patients", 0).status == 2


def test_version_and_help_are_there(run):
    assert run("--version").out.strip() == measurewise.__version__
    told = run("--help")
    assert told.status == 0
    for command in ("evaluate", "deck", "compile", "synthesize"):
        assert command in told.out
        assert "--json" in run(command, "--help").out


@pytest.mark.parametrize("arguments", [["frobnicate"], ["deck"], ["synthesize"], ["compile", "x", "--loud"]])
def test_wrong_usage_ends_with_status_2_and_one_line(run, arguments):
    done = run(*arguments)
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)


def test_help_imports_nothing_of_the_engine_but_its_errors():
    code = (
        "import sys; from measurewise.cli import main; main(['--help']); "
        "print(sorted(m for m in sys.modules if m.startswith('measurewise.engine')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "['measurewise.engine', 'measurewise.engine.errors']"
    assert "msgspec" not in done.stderr


def test_a_reader_that_has_enough_gets_no_traceback():
    code = "from measurewise.cli import main; main(['synthesize', '--patients', '200'])"
    command = f'"{sys.executable}" -c "{code}" | head -c 100 > /dev/null'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
