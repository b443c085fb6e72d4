"""``measurewise qrda3``: QRDA Category III files judged and converted to QPP JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import print_json
from measurewise.cli.progress import display
from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.qrda.category3.conversion import Conversion

qrda3 = App(name="qrda3", help="QRDA III files of any origin: judged as CMS does, and converted to QPP JSON.")
qrda3.command("measurewise.cli.qrda3_write:write", help="Write a QRDA III report from MeasureReports.")


@qrda3.command
def convert(
    source: Annotated[Path, Parameter(help="A QRDA III file, or a folder whose .xml files are taken.")],
    /,
    *,
    json: AsJson = False,
) -> int:
    """Convert QRDA III files to QPP submissions, each error with CMS's code, its place and how to mend it.

    With --json an object a file and line: file, status (OK or ERR), codes, errors, qpp, and what CMS's own
    tool answers (cmsStatus, cmsCodes). The exit status is 1 when a file has an error.
    """
    from measurewise.qrda.category3.conversion import convert_file

    files = _files(source)
    failed = 0
    with display("Converting", len(files), "files") as shown:
        for number, file in enumerate(files, start=1):
            result = convert_file(file)
            failed += result.status != "OK"
            if json:
                print_json(_as_object(file, result))
            else:
                _tell(file, result)
            shown.advance(number, number)
    return 1 if failed else 0


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        found = sorted(path for path in source.rglob("*") if path.suffix.lower() == ".xml" and path.is_file())
        if not found:
            raise MeasurewiseError(
                "the folder has no .xml file.", where=str(source), mend="Name the folder with the reports."
            )
        return found
    if not source.is_file():
        raise MeasurewiseError("there is no such file or folder.", where=str(source), mend="Check the name.")
    return [source]


def _as_object(file: Path, result: Conversion) -> dict[str, Any]:
    return {
        "file": str(file),
        "status": result.status,
        "codes": result.codes,
        "errors": [
            {
                "code": one.finding.code,
                "message": one.finding.message,
                "mend": one.finding.mend,
                "severity": "warning" if one.finding.warning else "error",
                "path": one.path,
                "line": one.line,
                "column": one.column,
            }
            for one in result.errors
        ],
        "qpp": result.qpp,
        "cmsStatus": result.cms_status,
        "cmsCodes": result.cms_codes,
    }


def _tell(file: Path, result: Conversion) -> None:
    print(f"{result.status:4} {file}")
    for one in result.errors:
        place = f"line {one.line}, column {one.column}: " if one.line else ""
        print(f"     {one.finding.code}: {place}{one.finding.message} {one.finding.mend}")
