"""Results on their way out: JSON and tables on stdout, files that appear only when they are whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Self

from measurewise.engine.errors import MeasurewiseError

Justify = Literal["left", "right"]
_NARROWEST_TEXT = 12


class Column(NamedTuple):
    """A table's column; ``style`` is a rich style, for terminals."""

    title: str
    justify: Justify = "left"
    style: str = ""


def print_json(value: Any) -> None:
    """One JSON object on one line of stdout; decimals are written as numbers with all their digits."""
    import msgspec

    sys.stdout.write(msgspec.json.Encoder(decimal_format="number").encode(value).decode() + "\n")


def print_table(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout, with a title or none: drawn on a terminal, else in plain aligned columns."""
    if sys.stdout.isatty():
        _draw(title, columns, rows)
        return
    print(title)  # an empty one parts the table from the one before
    table = [[column.title for column in columns], *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(columns))]
    for row in table:
        cells = [
            cell.rjust(width) if column.justify == "right" else cell.ljust(width)
            for column, width, cell in zip(columns, widths, row, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _draw(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title or None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )
    for place, column in enumerate(columns):
        widest = max(len(row[place]) for row in [[c.title for c in columns], *rows])
        numbers = column.justify == "right"
        # Where the terminal is narrow, texts give way before numbers do, and no column goes away.
        table.add_column(
            column.title,
            justify=column.justify,
            style=column.style,
            no_wrap=numbers,
            overflow="fold",
            min_width=widest if numbers else min(widest, _NARROWEST_TEXT),
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    # Lines that are too long wrap, which reads badly; numbers that are cut off do not read at all.
    console.print(table, width=max(console.width, console.measure(table).minimum), crop=False, no_wrap=True)


class WholeFile:
    """A file that takes its name only when it was written to its end.

    Until then its content stands in a hidden file beside it; an error, or ``discard``, takes that away.
    """

    def __init__(self, path: Path) -> None:
        """Raises MeasurewiseError where the place cannot be written to."""
        if path.is_dir():
            raise MeasurewiseError("this is a folder.", where=str(path), mend="Name a file to write to.")
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        self._kept = True
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.stream: IO[bytes] = self._unfinished.open("wb")
        except OSError as error:
            raise MeasurewiseError(
                f"the file cannot be written ({error.strerror}).",
                where=str(path),
                mend="Choose another --output.",
            ) from error

    def discard(self) -> None:
        """Leave no file behind."""
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self.stream.close()
            if kind is None and self._kept:
                self._unfinished.replace(self._path)
        finally:
            self._unfinished.unlink(missing_ok=True)
