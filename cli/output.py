"""Results on their way out: JSON and tables on stdout, files that appear only when they are whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Self

from measurewise.engine.errors import MeasurewiseError

Justify = Literal["left", "right"]


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
    """A table on stdout: drawn where that is a terminal, else in plain aligned columns."""
    if sys.stdout.isatty():
        _draw(title, columns, rows)
        return
    print(title)
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

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(
            column.title,
            justify=column.justify,
            style=column.style,
            no_wrap=column.justify == "right",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


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
