"""``measurewise qrda3``: QRDA Category III files validated, judged, converted to QPP JSON, and read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import print_json
from measurewise.cli.qrda_files import (
    CsvFile,
    FileJobs,
    Roster,
    SchemaFolder,
    SchematronFolder,
    SourcePath,
    TimeLimit,
    answer_each,
)

qrda3 = App(name="qrda3", help="QRDA III reports: validated, converted to QPP JSON, read and written.")
qrda3.command("measurewise.cli.qrda3_write:write", help="Write a QRDA III report from MeasureReports.")


@qrda3.command
def convert(
    source: SourcePath,
    /,
    *,
    json: AsJson = False,
    csv: CsvFile = None,
    roster: Roster = None,
    jobs: FileJobs = None,
    time_limit: TimeLimit = 60.0,
) -> int:
    """Convert QRDA III files to QPP submissions, each error with CMS's code, its place and how to mend it.

    With --json an object a file and line: file, status (OK or ERR), codes, errors, qpp, and what CMS's own
    tool answers (cmsStatus, cmsCodes). The exit status is 1 when a file has an error.
    """
    from measurewise.qrda.category3.roster import read_roster
    from measurewise.qrda.validation.judging import Converting

    return answer_each(
        source,
        Converting(None if roster is None else read_roster(roster)),
        doing="Converting",
        errors="errors",
        json=json,
        csv_file=csv,
        jobs=jobs,
        time_limit=time_limit,
    )


@qrda3.command
def validate(
    source: SourcePath,
    /,
    *,
    year: Annotated[
        int | None, Parameter(help="Year whose CMS schematron is asked. Default: that of each document.")
    ] = None,
    warnings: Annotated[
        bool, Parameter(negative="", help="Tell also what should be, beside what shall be.")
    ] = False,
    schematron_folder: SchematronFolder = None,
    schema_folder: SchemaFolder = None,
    json: AsJson = False,
    csv: CsvFile = None,
    roster: Roster = None,
    jobs: FileJobs = None,
    time_limit: TimeLimit = 60.0,
) -> int:
    """Hold QRDA III files to the CDA schema, the schematrons and CMS's conversion rules, in one answer.

    With --json an object a file and line: file, status (OK or ERR), codes, findings, notChecked, and what
    CMS's conversion tool answers (cmsStatus, cmsCodes). The exit status is 1 when a file has an error.
    """
    from measurewise.qrda.category3.roster import read_roster
    from measurewise.qrda.validation.judging import Validating

    return answer_each(
        source,
        Validating(
            category="qrda3",
            year=year,
            schematron_folder=schematron_folder,
            schema_folder=schema_folder,
            warnings=warnings,
            roster=None if roster is None else read_roster(roster),
        ),
        doing="Validating",
        errors="findings",
        json=json,
        csv_file=csv,
        jobs=jobs,
        time_limit=time_limit,
    )


@qrda3.command
def read(
    file: Annotated[Path, Parameter(help="A QRDA III file.")],
    /,
    *,
    json: AsJson = False,
) -> int:
    """Show what a QRDA III file reports: who, which period, and every measure's counts.

    Files with errors are read too: what is there is shown as it stands. The exit status is 2 when the file is
    no QRDA III report.
    """
    from measurewise.cli.qrda3_read import tell
    from measurewise.qrda.category3.report import read_report, to_json
    from measurewise.qrda.validation.sources import Source

    report = read_report(Source(file, None, 0).read(), where=str(file))
    if json:
        print_json(to_json(report))
    else:
        tell(report)
    return 0
