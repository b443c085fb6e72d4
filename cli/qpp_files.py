"""Files of QPP commands: submissions in, submissions out, FHIR resources, folders walked with progress."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measurewise.cli.output import WholeFile
from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.qrda.qpp_model import Submission
    from measurewise.qrda.qpp_reading import QppReading


def files_of(source: Path, suffix: str) -> list[Path]:
    """A file, or a folder's files of a suffix with those of its folders below; raises MeasurewiseError."""
    if source.is_dir():
        found = sorted(path for path in source.rglob("*") if path.suffix.lower() == suffix and path.is_file())
        if not found:
            raise MeasurewiseError(
                f"the folder has no {suffix} file.", where=str(source), mend="Name another folder."
            )
        return found
    if not source.is_file():
        raise MeasurewiseError("there is no such file or folder.", where=str(source), mend="Check the name.")
    return [source]


def read_file(path: Path) -> QppReading:
    """The submission in a file; raises MeasurewiseError, with the file's name, where there is none."""
    from measurewise.qrda.qpp_reading import read_qpp

    content = parsed(path)
    try:
        return read_qpp(content)
    except MeasurewiseError as error:
        raise _named(error, path) from None


def parsed(path: Path) -> Any:
    """The JSON of a file; raises MeasurewiseError."""
    from measurewise.qrda.qpp_reading import SIZE_LIMIT, parse_json

    try:
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise MeasurewiseError(
            f"the file cannot be read: {error.strerror}.", where=str(path), mend="Check the name."
        ) from None
    try:
        return parse_json(data)
    except MeasurewiseError as error:
        raise _named(error, path) from None


def resources_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """The FHIR resources of a file: one, a Bundle's, or one a line; raises MeasurewiseError."""
    if path.suffix == ".ndjson":
        from measurewise.qrda.qpp_reading import parse_json

        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise MeasurewiseError(f"the file cannot be read: {error.strerror}.", where=str(path)) from None
        found = [parse_json(line) for line in lines if line.strip()]
    else:
        found = [parsed(path)]
    for one in found:
        if not isinstance(one, dict) or "resourceType" not in one:
            raise MeasurewiseError("it holds no FHIR resource.", where=str(path), mend="Give MeasureReports.")
        if one["resourceType"] == "Bundle":
            yield from (entry["resource"] for entry in one.get("entry") or () if "resource" in entry)
        else:
            yield one


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


def _named(error: MeasurewiseError, path: Path) -> MeasurewiseError:
    where = f"{path}, {error.where}" if error.where else str(path)
    return type(error)(error.what, where=where, mend=error.mend)
