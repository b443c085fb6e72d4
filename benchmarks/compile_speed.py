"""How long a measure takes to compile, cold and from the code cache; each repetition in a fresh process.

    python benchmarks/compile_speed.py [--measure CMS122FHIRDiabetesAssessGreaterThan9Percent]

``compile`` is everything from content in memory to functions: choosing the library versions, reading their
ELM (``text``: translating their CQL instead), generating Python and compiling it, or finding it in the cache.
``bind`` makes it ready for a period:
value sets expanded, indexes built. Loading the content and importing Measurewise are told apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from official_content import DECK
from stopwatch import Timing, machine, pin, table

CMS122 = "CMS122FHIRDiabetesAssessGreaterThan9Percent"
STEPS = ("import", "content", "compile", "bind")
COLD_AIM = 1000.0
TEXT_AIM = 1500.0
CACHED_AIM = 50.0


def once(deck: Path, measure: str, cache: Path | None, engine_kind: Any) -> dict[str, float]:
    """CPU milliseconds of each step in this process, which has done nothing yet."""
    stamps = [time.process_time()]
    from measurewise.engine import Engine, ProgramCache, load_content

    stamps.append(time.process_time())
    content = load_content(deck / "measures", deck / "libraries", deck / "valuesets.ndjson.gz")
    stamps.append(time.process_time())
    programs = None if cache is None else ProgramCache(cache)
    engine = Engine(content, missing_valuesets="empty", engine=engine_kind, cache=programs)
    engine.compiled(measure)
    stamps.append(time.process_time())
    engine.prepare(measure, period="2026")
    stamps.append(time.process_time())
    took = [(end - start) * 1000 for start, end in pairwise(stamps)]
    return dict(zip(STEPS, took, strict=True))


def fresh(
    deck: Path, measure: str, cache: Path | None, repetitions: int, engine_kind: str = "elm"
) -> dict[str, Timing]:
    """The steps in as many fresh processes, one after the other."""
    command = [sys.executable, __file__, "--once", "--deck", str(deck), "--measure", measure]
    command += ["--engine", engine_kind]
    if cache is not None:
        command += ["--cache", str(cache)]
    runs = []
    for _ in range(repetitions):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        runs.append(json.loads(done.stdout))
    return {step: Timing(median(run[step] for run in runs), min(run[step] for run in runs)) for step in STEPS}


def cold_and_cached(deck: Path, measure: str = CMS122, repetitions: int = 5) -> dict[str, dict[str, Timing]]:
    """The steps from ``cold`` ELM, from CQL ``text``, and ``cached`` by a process before."""
    with tempfile.TemporaryDirectory() as folder:
        cold = fresh(deck, measure, None, repetitions)
        text = fresh(deck, measure, None, repetitions, "cql")
        fresh(deck, measure, Path(folder), 1)
        return {"cold": cold, "text": text, "cached": fresh(deck, measure, Path(folder), repetitions)}


def shown(timings: dict[str, dict[str, Timing]]) -> str:
    """A table of the steps."""
    rows = [
        [name, *(f"{steps[step].median:.1f} ({steps[step].least:.1f})" for step in STEPS)]
        for name, steps in timings.items()
    ]
    return table(["CPU ms, median (least)", *STEPS], rows)


def main() -> int:
    arguments = argparse.ArgumentParser(description="Time compiling a measure, cold and from the cache.")
    arguments.add_argument("--deck", type=Path, default=DECK)
    arguments.add_argument("--measure", default=CMS122)
    arguments.add_argument("--repetitions", type=int, default=5)
    arguments.add_argument("--core", type=int, default=0)
    arguments.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("--engine", default="elm", help=argparse.SUPPRESS)
    arguments.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if not given.deck.is_dir():
        print(f"{given.deck} is not there. Name the official content's folder with --deck.", file=sys.stderr)
        return 2
    if given.once:
        print(json.dumps(once(given.deck, given.measure, given.cache, given.engine)))
        return 0
    pin(given.core)
    print(machine())
    print(shown(cold_and_cached(given.deck, given.measure, given.repetitions)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
