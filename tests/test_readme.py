"""What the README shows works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_library_example_runs() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    done = subprocess.run([sys.executable, "-c", example], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Patient/synthetic-1-000002 \(1, 1, 0, 1, 0\)$", done.stdout, re.MULTILINE)
    assert '"resourceType":"MeasureReport"' in done.stdout


def test_every_page_that_is_linked_is_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "cql_libraries" / "README.md"]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for record in (ROOT / "docs" / "decisions").glob("[0-9]*.md"):
        assert f"(decisions/{record.name})" in index


def test_every_command_of_the_readme_is_one() -> None:
    named = set(re.findall(r"^measurewise (\w+)", README, re.MULTILINE))
    done = subprocess.run(
        [sys.executable, "-c", "from measurewise.cli import main; main()", "--help"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert named
    for command in named:
        assert re.search(rf"│ {command} ", done.stdout), command
