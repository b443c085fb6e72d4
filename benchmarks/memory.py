"""Peak memory of a summary over few and over many synthetic patients: it should not hang on their number.

    python benchmarks/memory.py [--patients 2000 20000] [--output benchmarks/results/memory.md]

``measurewise evaluate`` runs as a user runs it, over the measures that ship, in one process and in several;
its peak resident memory is what the operating system counted (with several processes, that of the greatest of
them). Making the patients is not part of it. What may grow are the memos of dates, which have an end: they
are emptied at some 50,000 texts, which takes tens of thousands of patients. Exit status 1 says that many
patients took more than the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

from stopwatch import machine, put_out, table

LIMIT = 1.1
"""Peak memory over many patients, by that over few, up to which it counts as the same."""

COMMAND = [sys.executable, "-c", "from measurewise.cli import main; main()"]


class Run(NamedTuple):
    """A summary over so many patients with so many processes."""

    patients: int
    jobs: int
    megabytes: float
    seconds: float


def synthesize(patients: int, output: Path) -> None:
    """Make the patients."""
    command = [*COMMAND, "synthesize", "--patients", str(patients), "--seed", "1", "--output", str(output)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def evaluate(patients: Path, count: int, jobs: int) -> Run:
    """Evaluate them and ask the system for the peak. Raises RuntimeError where a patient is missing."""
    command = [*COMMAND, "evaluate", "--patients", str(patients), "--period", "2026", "--json"]
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as answer:
        process = subprocess.Popen([*command, "--jobs", str(jobs)], stdout=answer, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        answer.seek(0)
        found = json.load(answer)
    if found.get("patients") != count or found["failed"]:
        raise RuntimeError(f"{found.get('patients')} of {count} patients were evaluated.")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(count, jobs, usage.ru_maxrss * unit / 1e6, seconds)


def main() -> int:
    arguments = argparse.ArgumentParser(description="Peak memory over few and many patients.")
    arguments.add_argument("--patients", type=int, nargs="+", default=[2000, 20000])
    arguments.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    arguments.add_argument("--output", type=Path, help="Markdown file for the results")
    given = arguments.parse_args()
    runs, sizes = [], []
    with tempfile.TemporaryDirectory() as folder:
        for count in sorted(given.patients):
            file = Path(folder) / f"{count}.ndjson"
            synthesize(count, file)
            sizes.append(f"{count:,} patients are {file.stat().st_size / 1e6:,.0f} MB of JSON")
            runs += [evaluate(file, count, jobs) for jobs in given.jobs]
            file.unlink()
    rows = [[f"{r.patients:,}", str(r.jobs), f"{r.megabytes:.0f}", f"{r.seconds:.1f}"] for r in runs]
    ratios = {}
    for jobs in given.jobs:
        peaks = [run.megabytes for run in runs if run.jobs == jobs]
        ratios[jobs] = peaks[-1] / peaks[0]
    told = ", ".join(f"{ratio:.2f} with --jobs {jobs}" for jobs, ratio in ratios.items())
    page = [
        "# Peak memory",
        "",
        f"{date.today()}. {machine()}.",
        "",
        f"A summary of the three measures that ship; {'; '.join(sizes)}.",
        "",
        table(["patients", "processes", "peak MB", "seconds"], rows),
        "",
        f"Most patients by fewest: {told}.",
    ]
    put_out("\n".join(page), given.output)
    return 0 if max(ratios.values()) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
