"""Files of QPP commands: submissions in, submissions out, folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from measurewise.cli.given_files import named, parsed
from measurewise.cli.output import WholeFile
from measurewise.engine.errors import MeasurewiseError, NotFoundError

if TYPE_CHECKING:
    from measurewise.qrda.qpp_model import Submission
    from measurewise.qrda.qpp_reading import QppReading


def files_of(source: Path, suffix: str) -> list[Path]:
    """A file, or a folder's files of a suffix with those of its folders below; raises MeasurewiseError."""
    if source.is_dir():
        found = sorted(path for path in source.rglob("*") if path.suffix.lower() == suffix and path.is_file())
        if not found:
            raise NotFoundError(
                f"the folder has no {suffix} file.", where=str(source), mend="Name another folder."
            )
        return found
    if not source.is_file():
        raise NotFoundError("there is no such file or folder.", where=str(source), mend="Check the name.")
    return [source]


def read_file(path: Path) -> QppReading:
    """The submission in a file; raises MeasurewiseError, with the file's name, where there is none."""
    from measurewise.qrda.qpp_reading import read_qpp

    content = parsed(path)
    try:
        return read_qpp(content)
    except MeasurewiseError as error:
        raise named(error, path) from None


def text_of(submission: Submission) -> str:
    """A submission as JSON for a file or a screen."""
    from measurewise.qrda.qpp_model import to_json

    return json.dumps(to_json(submission), indent=1, ensure_ascii=False) + "\n"


def write_submission(submission: Submission, output: Path | None) -> None:
    """To a file that appears only when it is whole, or to stdout."""
    if output is None:
        print(text_of(submission), end="")
        return
    with WholeFile(output) as file:
        file.stream.write(text_of(submission).encode())
