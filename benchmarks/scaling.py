"""How the time of each official measure grows with the record: 1, 10, 100 encounters a year for ten years.

    python benchmarks/scaling.py [--measure CMS165 ...] [--output benchmarks/results/scaling.md]

The patients are those of ``patient_1mb.py``: one woman, whose other resources grow with her encounters. The
exponent between two sizes is log(ratio) / log(size ratio), size being bytes of JSON: 1 is linear, 2 is
quadratic; below 1 a constant part still shows. It is given for

evaluate  least CPU time of the repetitions to evaluate a record that was read anew for each of them
read      the same with reading the record
lines     the lines of Python that an evaluation runs: the same in every run, whatever caches and memory do

A small record may leave a measure early that a large one goes through (without cataract surgery, say), and
then time and lines grow by more than the record though nothing in the measure does. So the lines are also
counted on a record beyond the series (300 encounters a year), where every measure goes the way that it goes
with 100. What remains above 1 there are pairs: all of the woman's encounters fall into
the same ten years, so that pairs which stand close in time, which a measure may really ask for, grow with
the square of their number. Exit status 1 says that some measure's ``read`` between the two greatest sizes, or
its lines beyond, are above the limit.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from itertools import pairwise
from math import log
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from official_content import DECK
from patient_1mb import grown
from stopwatch import machine, pin, put_out, table

SIZES = (1, 10, 100)
"""Encounters a year."""

BEYOND = 300
"""Encounters a year of the record on which only lines are counted."""

KINDS = ("evaluate", "read", "lines")

LIMIT = 1.15
"""An exponent up to here counts as linear: caches and memory make the largest record dearer by the byte."""

NEGLIGIBLE = 0.05
"""Milliseconds. Below, an evaluation's growth is that of a few look-ups and says nothing."""


class Growth(NamedTuple):
    """One measure at each size: CPU milliseconds of evaluation alone and with reading, lines run."""

    measure: str
    evaluate: tuple[float, ...]
    read: tuple[float, ...]
    lines: tuple[int, ...]
    lines_beyond: int
    reached: bool

    def exponents(self, sizes: list[int], what: str = "evaluate") -> list[float]:
        """The growth exponent between each size and the next."""
        grown = pairwise(getattr(self, what))
        steps = pairwise(sizes[: len(getattr(self, what))])
        return [log(b / a) / log(s / r) for (a, b), (r, s) in zip(grown, steps, strict=True)]

    def beyond(self, sizes: list[int]) -> float:
        """The exponent of the lines between the greatest size of the series and the one beyond."""
        return log(self.lines_beyond / self.lines[-1]) / log(sizes[-1] / sizes[-2])


def grows(prepared: Any, measure: str, texts: list[bytes], beyond: Any, repetitions: int) -> Growth:
    """Time one measure over the series; ``beyond`` is the record beyond."""
    from measurewise.engine import read_record

    evaluate, together, lines, reached = [], [], [], False
    for text in texts:
        least = least_together = float("inf")
        for _ in range(repetitions):
            gc.collect()
            gc.disable()
            start = time.process_time_ns()
            record = read_record(text)
            read = time.process_time_ns()
            (result,) = prepared.evaluate(record)
            end = time.process_time_ns()
            gc.enable()
            least, least_together = min(least, end - read), min(least_together, end - start)
            reached |= any(group.counts[0] for group in result.groups)
        evaluate.append(least / 1e6)
        together.append(least_together / 1e6)
        lines.append(lines_run(partial(prepared.evaluate, record)))
    prepared.evaluate(beyond)
    last = lines_run(partial(prepared.evaluate, beyond))
    return Growth(measure, tuple(evaluate), tuple(together), tuple(lines), last, reached)


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python some work runs."""
    count = 0

    def line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return line

    sys.settrace(line)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


def series(deck: Path, sizes: Sequence[int]) -> list[bytes]:
    """The texts of the growing patient."""
    return [json.dumps(grown(size, deck), separators=(",", ":")).encode() for size in sizes]


def report(found: list[Growth], encounters: Sequence[int], sizes: list[int]) -> tuple[str, bool]:
    """A page of results, and whether every measure stays within the limit.

    The last of ``encounters`` and ``sizes`` are those of the record beyond.
    """
    rows = []
    for growth in sorted(found, key=lambda g: g.exponents(sizes)[-1], reverse=True):
        rows.append(
            [
                growth.measure + ("" if growth.reached else " *"),
                *(f"{milliseconds:.3f}" for milliseconds in growth.evaluate),
                *(f"{e:.2f}" for what in KINDS for e in growth.exponents(sizes, what)),
                f"{growth.beyond(sizes):.2f}",
            ]
        )
    weighty = [growth for growth in found if growth.evaluate[-1] >= NEGLIGIBLE]
    over = [
        growth.measure
        for growth in weighty
        if growth.exponents(sizes, "read")[-1] > LIMIT or growth.beyond(sizes) > LIMIT
    ]
    early = [growth.measure for growth in weighty if growth.exponents(sizes)[-1] > LIMIT]
    kilobytes = ", ".join(f"{size / 1000:,.0f}" for size in sizes)
    page = [
        "# Growth with the size of the record",
        "",
        f"{date.today()}. {machine()}.",
        "",
        f"{len(found)} measures over one patient with {', '.join(map(str, encounters))} encounters a year for"
        f" ten years: {kilobytes} kB of JSON; of the last, lines alone. CPU ms of an evaluation, and the"
        " exponents of growth of its time (`evaluate`), of its time with reading the record (`read`) and of"
        " the lines of Python that it runs (`lines`). * marks measures whose initial population the patient"
        " is not in.",
        "",
        f"Worst from {encounters[-3]} to {encounters[-2]} encounters a year:",
        "",
    ]
    for what in KINDS:
        worst, measure = max((g.exponents(sizes, what)[-1], g.measure) for g in weighty or found)
        page.append(f"- `{what}`: {worst:.2f}, {measure}")
    worst, measure = max((g.beyond(sizes), g.measure) for g in weighty or found)
    step_beyond = f"{encounters[-2]}→{encounters[-1]}"
    page += [
        f"- `lines` {step_beyond}: {worst:.2f}, {measure}",
        "",
        f"`read`, or `lines` {step_beyond}, above {LIMIT}: {', '.join(over) or 'none'}.",
        f"`evaluate` above {LIMIT}, where the smaller record leaves early: {', '.join(early) or 'none'}.",
    ]
    steps = [f"{small}→{large}" for small, large in pairwise(encounters[:-1])]
    columns = [
        "measure",
        *map(str, encounters[:-1]),
        *(f"{what} {step}" for what in KINDS for step in steps),
        f"lines {step_beyond}",
    ]
    return "\n".join([*page, "", table(columns, rows)]), not over


def main() -> int:
    arguments = argparse.ArgumentParser(description="Show how each measure's time grows with the record.")
    arguments.add_argument("--deck", type=Path, default=DECK)
    arguments.add_argument("--measure", nargs="+", help="names or beginnings; default: all measures")
    arguments.add_argument("--encounters", type=int, nargs="+", default=SIZES, help="so many a year")
    arguments.add_argument("--beyond", type=int, default=BEYOND, help="so many, lines alone")
    arguments.add_argument("--repetitions", type=int, default=5)
    arguments.add_argument("--core", type=int, default=0)
    arguments.add_argument("--output", type=Path, help="Markdown file for the results")
    given = arguments.parse_args()
    if not given.deck.is_dir():
        print(f"{given.deck} is not there. Name the official content's folder with --deck.", file=sys.stderr)
        return 2
    from measurewise.engine import Engine, load_content, read_record

    pin(given.core)
    deck: Path = given.deck
    content = load_content(deck / "measures", deck / "libraries", deck / "valuesets.ndjson.gz")
    engine = Engine(content, missing_valuesets="empty")
    names = sorted(path.name.removesuffix(".ndjson.gz") for path in (deck / "cases").glob("*.ndjson.gz"))
    if given.measure:
        names = [name for name in names if name.startswith(tuple(given.measure))]
    *texts, last = series(deck, [*given.encounters, given.beyond])
    beyond = read_record(last)
    gc.freeze()
    found = []
    for name in names:
        found.append(grows(engine.prepare(name, period="2026"), name, texts, beyond, given.repetitions))
        print(f"{len(found)} of {len(names)}: {name}", file=sys.stderr)
    sizes = [len(text) for text in (*texts, last)]
    page, linear = report(found, [*given.encounters, given.beyond], sizes)
    put_out(page, given.output)
    return 0 if linear else 1


if __name__ == "__main__":
    sys.exit(main())
