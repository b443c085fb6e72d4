"""What the commands on QRDA files share: answers over many processes, lines for people, and error reports."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from measurewise.cli.options import positive_jobs
from measurewise.cli.output import print_json
from measurewise.cli.progress import display
from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.qrda.validation.sources import Source

SourcePath = Annotated[
    Path, Parameter(help="A file, a folder whose .xml files are taken, or a .zip file with .xml files.")
]
CsvFile = Annotated[
    Path | None,
    Parameter(
        name="--csv",
        help="Write an error report: File No, Size, Timestamp, Status, Message; a line an error.",
    ),
]
TimeLimit = Annotated[float, Parameter(help="Seconds that one file may take before it is given up.")]
FileJobs = Annotated[int | None, Parameter(help="Number of processes. Default: one a processor.")]
SchematronFolder = Annotated[
    Path | None,
    Parameter(help="Folder with the schematrons. Default: $MEASUREWISE_SCHEMATRON_FOLDER."),
]
SchemaFolder = Annotated[
    Path | None,
    Parameter(help="Folder with the CDA schema. Default: $MEASUREWISE_SCHEMA_FOLDER."),
]
Roster = Annotated[
    Path | None,
    Parameter(help="CSV file (apm, npi, tin) with practitioners to hold reports of Primary Care First to."),
]


def answer_each(
    named: Path,
    work: Callable[[Source], dict[str, Any]],
    *,
    doing: str,
    errors: str,
    json: bool,
    csv_file: Path | None,
    jobs: int | None,
    time_limit: float,
) -> int:
    """Answer for every document that a name stands for, in order.

    ``errors`` is the answers' member with what is wrong. Gives the exit status: 1 when a file is not in
    order. Memory does not grow with the number of files.
    """
    from measurewise.qrda.validation.judging import given_up
    from measurewise.qrda.validation.sources import sources
    from measurewise.qrda.validation.workers import Ended, Workers

    if time_limit <= 0:
        raise MeasurewiseError("there must be some time.", where="--time-limit", mend="Give seconds above 0.")
    found = sources(named)
    count = min(len(found), positive_jobs(os.cpu_count() or 1 if jobs is None else jobs))
    failed = 0
    with (
        _report(csv_file) as report,
        display(doing, len(found), "files") as shown,
        Workers(work, count=count, time_limit=time_limit) as workers,
    ):
        for number, (source, answer) in enumerate(zip(found, workers.each(found), strict=True), start=1):
            told = given_up(source, answer) if isinstance(answer, Ended) else answer
            failed += told["status"] != "OK"
            if json:
                print_json(told)
            else:
                _tell(told, errors)
            report(number, source, told, errors)
            shown.advance(number, number)
    return 1 if failed else 0


def _tell(answer: dict[str, Any], errors: str) -> None:
    from measurewise.qrda.validation.error_report import sentence

    print(f"{answer['status']:4} {answer['file']}")
    for one in answer.get("notChecked", ()):
        print(f"     not checked: {one['stage']}; {one['why']} {one['mend']}")
    for one in answer[errors]:
        print(f"     {sentence(one)}")


@contextmanager
def _report(path: Path | None) -> Iterator[Callable[[int, Source, dict[str, Any], str], None]]:
    """A writer of lines of the error report, or of nothing."""
    from measurewise.qrda.validation.error_report import COLUMNS, rows

    try:
        stream = nullcontext() if path is None else path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise MeasurewiseError(
            f"the error report cannot be written: {error.strerror}.",
            where=str(path),
            mend="Name another file.",
        ) from None
    with stream as opened:
        lines = None if opened is None else csv.writer(opened)
        if lines is not None:
            lines.writerow(COLUMNS)

        def write(number: int, source: Source, answer: dict[str, Any], errors: str) -> None:
            if lines is not None:
                lines.writerows(rows(number, source.name, source.size, answer, errors))

        yield write
