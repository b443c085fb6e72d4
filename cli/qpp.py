"""``measurewise qpp``: submissions to the Quality Payment Program as QPP JSON, and CMS's submissions API."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from measurewise.cli.given_files import measures_of, parsed, resources_of
from measurewise.cli.options import AsJson, ContentPaths
from measurewise.cli.output import Column, print_json, print_table
from measurewise.cli.progress import display
from measurewise.cli.qpp_files import files_of, read_file, write_submission
from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.mips.submission.problem import Problem
    from measurewise.qrda.qpp_model import Measurement, MeasurementSet, Submission
    from measurewise.qrda.qpp_reading import QppReading

qpp = App(
    name="qpp",
    help="Submissions to the Quality Payment Program: written, read, judged, merged, sent to CMS.",
)
qpp.command(
    "measurewise.cli.qpp_api:submit", help="Hand a submission in, or show what would be sent for that."
)
qpp.command(
    "measurewise.cli.qpp_api:list_submissions", name="list", help="List what CMS has and the token may see."
)
qpp.command("measurewise.cli.qpp_api:delete", help="Delete a submission or a measurement set that CMS has.")
qpp.command(
    "measurewise.cli.qpp_api:score", help="Show CMS's score of a submission that it has, or of a file."
)

Source = Annotated[Path, Parameter(help="A file of QPP JSON, or a folder whose .json files are taken.")]
Output = Annotated[Path | None, Parameter(help="The file to write. Default: standard output.")]


@qpp.command
def write(
    description: Annotated[
        Path, Parameter(help="JSON: year, programme, who reports, CEHRT id, what is attested.")
    ],
    /,
    *,
    reports: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="MeasureReports (one summary a measure, or individual ones): a Bundle, one report, or "
            "NDJSON; several files may be given.",
        ),
    ] = None,
    content: ContentPaths = None,
    output: Output = None,
) -> int:
    """Write a submission from MeasureReports and a description, and judge it as qpp validate does.

    The description is that of qrda3 write. Measures are found by the CMS number in their URL; give --content
    where one has none. The exit status is 1 when the submissions API would refuse the submission.
    """
    from measurewise.mips.submission.measure_reports import submission_of_reports
    from measurewise.qrda.category3.writing.description_json import description_of

    described = description_of(parsed(description))
    resources = [one for path in reports or () for one in resources_of(path)]
    submission = submission_of_reports(
        [one for one in resources if one.get("resourceType") == "MeasureReport"],
        described,
        measures=[*measures_of(content), *(one for one in resources if one.get("resourceType") == "Measure")],
    )
    write_submission(submission, output)
    return _judged(submission)


@qpp.command
def read(source: Source, /, *, json: AsJson = False) -> int:
    """Show what submissions hold: sets, measures, and the rates that CMS computes from the counts.

    With --json an object a file and line: file, submission, and unread (members of another type than
    documented, by JSON pointer). The exit status is 1 when something could not be read.
    """
    from measurewise.qrda.qpp_model import to_json

    files = files_of(source, ".json")
    unread = 0
    with display("Reading", len(files), "files") as shown:
        for number, file in enumerate(files, start=1):
            reading = read_file(file)
            unread += bool(reading.wrong)
            wrong = [{"pointer": one.pointer, "expected": one.expected} for one in reading.wrong]
            if json:
                content = to_json(reading.submission)
                print_json({"file": str(file), "submission": content, "unread": wrong})
            else:
                _show(file, reading)
            shown.advance(number, number)
    return 1 if unread else 0


@qpp.command
def validate(
    source: Source,
    /,
    *,
    vendor: Annotated[
        str | None, Parameter(help="The id that CMS gave the registry: QCDR measures of others are told.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Judge submissions by the rules of the submissions API and of their performance year.

    With --json an object a file and line: file, status (OK or ERR), codes, problems (code, severity, message,
    mend, pointer). The exit status is 1 when a submission has an error; warnings cost points, not the
    submission.
    """
    from measurewise.mips.submission.validation import is_clean
    from measurewise.mips.submission.validation import validate as problems_of

    files = files_of(source, ".json")
    failed = 0
    with display("Validating", len(files), "files") as shown:
        for number, file in enumerate(files, start=1):
            try:
                problems = problems_of(read_file(file), vendor=vendor)
            except MeasurewiseError as error:
                # One file that is no submission does not keep the others of a folder from being judged.
                if len(files) == 1:
                    raise
                failed += 1
                _tell_unreadable(file, error, json)
            else:
                clean = is_clean(problems)
                failed += not clean
                _tell(file, "OK" if clean else "ERR", problems, json)
            shown.advance(number, number)
    return 1 if failed else 0


@qpp.command
def convert(
    source: Annotated[Path, Parameter(help="A QRDA III file, or a folder whose .xml files are taken.")],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(help="A folder for the submissions, one <name>.qpp.json a report in order.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Convert QRDA III reports to submissions, and judge these too.

    With --json an object a file and line: file, status (OK or ERR), codes (CMS's of the report), errors,
    problems (of the submission), qpp. The exit status is 1 when a report or its submission has an error.
    """
    from measurewise.mips.submission.validation import is_clean, validate_json
    from measurewise.qrda.category3.conversion import convert_file
    from measurewise.qrda.qpp_reading import read_qpp

    files = files_of(source, ".xml")
    failed = 0
    with display("Converting", len(files), "files") as shown:
        for number, file in enumerate(files, start=1):
            result = convert_file(file)
            problems = validate_json(result.qpp) if result.qpp is not None else []
            sound = result.status == "OK" and is_clean(problems)
            failed += not sound
            if output is not None and sound and result.qpp is not None:
                write_submission(read_qpp(result.qpp).submission, _beside(file, source, output))
            errors = [
                {
                    "code": one.finding.code,
                    "message": one.finding.message,
                    "mend": one.finding.mend,
                    "path": one.path,
                    "line": one.line,
                    "column": one.column,
                }
                for one in result.errors
            ]
            if json:
                print_json(
                    {
                        "file": str(file),
                        "status": "OK" if sound else "ERR",
                        "codes": result.codes,
                        "errors": errors,
                        "problems": [one.as_json() for one in problems],
                        "qpp": result.qpp,
                    }
                )
            else:
                _tell(file, "OK" if sound else "ERR", problems, json)
                for one in errors:
                    print(f"     CT {one['code']}: line {one['line']}: {one['message']} {one['mend']}")
            shown.advance(number, number)
    return 1 if failed else 0


@qpp.command
def merge(
    submissions: Annotated[
        list[Path], Parameter(help="Two files of QPP JSON or more, from the oldest to the newest.")
    ],
    /,
    *,
    output: Output = None,
) -> int:
    """Merge submissions of one clinician, practice or entity.

    A measurement set replaces the older one of the same category, submission method and programme whole;
    every other set stays. What was replaced, kept and added is told on stderr.
    """
    from measurewise.mips.submission.merging import merge as merged_with

    if len(submissions) < 2:
        raise MeasurewiseError("there is nothing to merge with.", mend="Name two files or more.")
    merged = read_file(submissions[0]).submission
    for path in submissions[1:]:
        result = merged_with(merged, read_file(path).submission)
        for doing, keys in (("replaced", result.replaced), ("kept", result.kept), ("added", result.added)):
            for key in keys:
                print(f"{path}: {doing} {', '.join(key)}", file=sys.stderr)
        merged = result.submission
    write_submission(merged, output)
    return 0


def _beside(file: Path, source: Path, output: Path) -> Path:
    below = file.relative_to(source) if source.is_dir() else Path(file.name)
    return output / below.with_suffix(".qpp.json")


def _judged(submission: Submission) -> int:
    """Tell a submission's problems on stderr; 1 when the API would refuse it."""
    from measurewise.mips.submission.validation import is_clean, validate_json
    from measurewise.qrda.qpp_model import to_json

    problems = validate_json(to_json(submission))
    for one in problems:
        print(_line(one), file=sys.stderr)
    return 0 if is_clean(problems) else 1


def _tell(file: Path, status: str, problems: Sequence[Problem], json: bool) -> None:
    if json:
        codes = sorted({one.code for one in problems})
        found = [one.as_json() for one in problems]
        print_json({"file": str(file), "status": status, "codes": codes, "problems": found})
        return
    print(f"{status:4} {file}")
    for one in problems:
        print(f"     {_line(one)}")


def _tell_unreadable(file: Path, error: MeasurewiseError, json: bool) -> None:
    if json:
        said = {"code": "unreadable", "severity": "error", "message": error.what, "mend": error.mend}
        found = [{**said, "pointer": ""}]
        print_json({"file": str(file), "status": "ERR", "codes": ["unreadable"], "problems": found})
    else:
        print(f"ERR  {file}\n     {error}")


def _line(one: Problem) -> str:
    kind = "" if one.severity == "error" else "warning, "
    return f"{one.code}: {kind}{one.pointer or '/'}: {one.message} {one.mend}"


def _show(file: Path, reading: QppReading) -> None:
    submission = reading.submission
    ids = (submission.entity_id, submission.national_provider_identifier)
    who = " ".join(filter(None, (submission.entity_type, *ids)))
    columns = [
        Column("Set"),
        Column("Measure", style="bold"),
        Column("Met", "right"),
        Column("Of", "right"),
        Column("Rate", "right"),
        Column("Complete", "right"),
    ]
    rows = []
    for one in submission.measurement_sets or ():
        name = " ".join(filter(None, (one.category, one.submission_method, one.programme)))
        rows += [[name, *cells] for cells in map(_cells(submission, one), one.measurements or ())]
    print_table(f"{file}: {submission.performance_year} {who}", columns, rows)
    for wrong in reading.wrong:
        print(f"unread: {wrong.pointer}: not {wrong.expected}")


def _cells(submission: Submission, one: MeasurementSet) -> Any:
    from measurewise.mips.programme_year import YEARS, programme_year
    from measurewise.mips.submission.rates import rates
    from measurewise.qrda.qpp_model import MultiPerformanceRate, PerformanceRate, Proportion

    year = submission.performance_year
    known = programme_year(year).measures if year in YEARS else {}

    def cells(measurement: Measurement) -> list[str]:
        name, value = measurement.measure_id or "", measurement.value
        measure = known.get(name)
        if isinstance(value, Proportion):
            return [name, str(value.numerator), str(value.denominator), "", ""]
        if isinstance(value, (PerformanceRate, MultiPerformanceRate)) and measure is not None:
            found = rates(value, measure, one.submission_method or "")
            met = str(value.performance_met) if isinstance(value, PerformanceRate) else ""
            return [
                name,
                met,
                str(found.case_count),
                _percent(found.performance_rate),
                _percent(found.reporting_rate),
            ]
        return [
            name,
            {True: "yes", False: "no"}.get(value, "") if isinstance(value, bool) else "",
            "",
            "",
            "",
        ]

    return cells


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.2f} %"
