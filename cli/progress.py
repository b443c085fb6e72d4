"""Progress on stderr, for people at a terminal; silent elsewhere. Notices and issues, a line each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Display:
    """A progress bar that appears with the first advance, and lines above it."""

    def __init__(self, doing: str, total: float | None, counted: str) -> None:
        self._doing = doing
        self._total = total
        self._counted = counted
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def advance(self, completed: float, count: int) -> None:
        """Show how much of the total is done, and how many patients or cases that is."""
        if not sys.stderr.isatty():
            return
        if self._bar is None or self._task is None:
            self._bar = _progress(self._counted)
            self._task = self._bar.add_task(self._doing, total=self._total, count=0, rate="")
            self._bar.start()
        elapsed = self._bar.tasks[0].elapsed or 0
        rate = f"{count / elapsed:,.0f}/s" if elapsed > 1 else ""
        self._bar.update(self._task, completed=completed, count=count, rate=rate)

    def line(self, text: str) -> None:
        """A line of text, above the bar where there is one."""
        text = " ".join(text.split())
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def display(doing: str, total: float | None, counted: str) -> Iterator[Display]:
    """A display for a stretch of work; ``total`` is None where it is not known."""
    shown = Display(doing, total, counted)
    try:
        yield shown
    finally:
        shown.stop()


def _progress(counted: str) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[count]:,} " + counted),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
