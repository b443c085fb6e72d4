"""Measuring what runs in this process: CPU time, median and least of repetitions, on one pinned core.

CPU time is what a process worked, so other work on the machine shows in it only through shared caches and
clock rates, not as waiting. The least time is the best guess at what the work costs, the median at what it
costs on this machine today.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple


class Timing(NamedTuple):
    """Median and least of the repetitions, in the unit of whoever measured."""

    median: float
    least: float


def cpu(work: Callable[[], object], repetitions: int, *, share: int = 1, warm: int = 2) -> Timing:
    """CPU microseconds that ``work`` takes, divided by ``share``, after ``warm`` passes that do not count.

    The garbage collector runs once in each pass, after the work and within the time, as it does when
    ``measurewise evaluate`` goes through many patients: what was there before is left out of its walks.
    """
    for _ in range(warm):
        work()
    took = []
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for _ in range(repetitions):
            start = time.process_time_ns()
            work()
            gc.collect()
            took.append((time.process_time_ns() - start) / 1000 / share)
    finally:
        gc.enable()
        gc.unfreeze()
    return Timing(median(took), min(took))


def pin(core: int) -> bool:
    """Keep this process, and those that it starts, on one core; False where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {core})
    return True


def machine() -> str:
    """What the figures were taken on: processor, number of cores, system, Python."""
    model = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        names = [line for line in listing.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(": ")[2] if names else model
    return (
        f"{model} ({platform.machine()}), {os.cpu_count()} cores, {platform.system()},"
        f" {platform.python_implementation()} {platform.python_version()}"
    )


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is words, the others are figures."""
    widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]

    def line(cells: list[str]) -> str:
        first = cells[0].ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join([first, *others])} |"

    rule = " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join([line(columns), f"| {rule} |", *(line(row) for row in rows)])


def put_out(text: str, output: Path | None) -> None:
    """Print a page of results, and write it to a file where one was named."""
    print(text)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + "\n", encoding="utf-8")
        print(f"Written to {output}.", file=sys.stderr)
