"""``measurewise evaluate``: measures over patients, to a table, JSON or MeasureReports."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter

from measurewise.cli.options import (
    AsJson,
    ContentPaths,
    EngineOption,
    Jobs,
    Measures,
    MissingValueSets,
    ModelInfoFiles,
    NoCache,
    Profiles,
    Stale,
    content_paths,
    matching,
    positive_jobs,
    program_cache,
)
from measurewise.cli.output import WholeFile, print_json, print_table
from measurewise.cli.progress import Display, display
from measurewise.cli.pull import ServerOptions, ServerPatients, SignInName, WayName
from measurewise.engine.errors import MeasurewiseError, RecordError

if TYPE_CHECKING:
    from measurewise.engine.measure.accumulate import SummaryAccumulator
    from measurewise.engine.measure.reports.parts import Reporting
    from measurewise.engine.measure.results import PatientResult
    from measurewise.engine.runner.batch import Batch, Keep
    from measurewise.engine.runner.issues import Issue
    from measurewise.engine.runner.patients import Patients
    from measurewise.engine.runner.period import Period

ReportKind = Literal["individual", "subject-list", "summary"]
_KEEP: Final[dict[str | None, Keep]] = {"individual": "reports", "subject-list": "results"}
_MOST_ISSUES: Final = 1000


def evaluate(
    *,
    patients: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            help="NDJSON (a bundle a line), a bundle, a folder of such files, or a folder of Bulk Data; each "
            "also .gz or .zst, by path, https:// or an address that fsspec knows (s3://); - for NDJSON on "
            "standard input.",
        ),
    ] = None,
    server: Annotated[
        str | None, Parameter(help="In place of --patients: base address of a FHIR R4 server to read from.")
    ] = None,
    way: Annotated[
        WayName | None,
        Parameter(help="How patients are got from the server. Default: what suits what it offers."),
    ] = None,
    group: Annotated[
        str | None, Parameter(help="Id of a Group at the server: only its members in the period.")
    ] = None,
    patient: Annotated[
        list[str] | None,
        Parameter(consume_multiple=True, negative="", help="Ids of patients at the server. Default: all."),
    ] = None,
    most: Annotated[int | None, Parameter(help="Stop after so many patients of the server.")] = None,
    sign_in: Annotated[
        SignInName,
        Parameter(help="How to sign in at the server; secrets stand in MEASUREWISE_... variables."),
    ] = "none",
    concurrency: Annotated[int, Parameter(help="Requests under way at the server at once.")] = 4,
    all_dates: Annotated[
        bool,
        Parameter(
            negative="",
            help="Search the server for resources of all dates, those too that can change no result.",
        ),
    ] = False,
    period: Annotated[str, Parameter(help="Measurement period: 2026, or 2026-01-01/2026-12-31.")],
    content: ContentPaths = None,
    measure: Measures = None,
    report: Annotated[
        ReportKind | None,
        Parameter(help="The kind of MeasureReport to write. Default: summary, with --output."),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(
            help="File for the reports: a FHIR Bundle, or NDJSON where its name ends in .ndjson; individual "
            "reports are always NDJSON. Without it, reports asked for go to stdout in place of the table."
        ),
    ] = None,
    jobs: Jobs = 1,
    engine: EngineOption = "auto",
    profiles: Profiles = "auto",
    missing_valuesets: MissingValueSets = "error",
    stale: Stale = None,
    model_info: ModelInfoFiles = None,
    now: Annotated[
        str | None, Parameter(help="Moment of evaluation (FHIR dateTime). Default: the end of the period.")
    ] = None,
    zone: Annotated[
        str,
        Parameter(
            help="Offset of dates and times that state none, such as -05:00.", allow_leading_hyphen=True
        ),
    ] = "+00:00",
    reporter: Annotated[str | None, Parameter(help="Who reports, such as Organization/1.")] = None,
    no_cache: NoCache = False,
    check_shape: Annotated[
        bool,
        Parameter(
            negative="",
            help="Hold every record to the shape of FHIR R4 first, and tell what has it not. Without it, "
            "only what the logic stumbles over is mended and told.",
        ),
    ] = False,
    supplemental_data: Annotated[
        bool,
        Parameter(
            negative="",
            help="Count the summary's populations by supplemental data too (payer, sex, race, ethnicity), as "
            "QRDA III needs them. Individual reports have these data in any case.",
        ),
    ] = False,
    strata: Annotated[bool, Parameter(negative="", help="Show a row for each stratum.")] = False,
    json: AsJson = False,
) -> int:
    """Evaluate measures over patients: populations, scores, MeasureReports.

    A patient that cannot be evaluated is told on stderr and the others go on; the exit status is then 1.
    """
    from measurewise.cli.summary_table import summary_tables
    from measurewise.engine.content.content import load_content
    from measurewise.engine.runner.batch import Preparation, evaluate_patients
    from measurewise.engine.runner.period import Period, offset_minutes
    from measurewise.fhir_server_adapter.landing import patients_at

    if report == "individual" and json and output is None:
        raise MeasurewiseError(
            "individual reports do not fit into one JSON object.",
            where="--report individual --json",
            mend="Give --output for the reports, or leave out --json to have them on stdout.",
        )
    kind = report or ("summary" if output is not None else None)
    started = time.perf_counter()
    preparation = Preparation(
        content=content_paths(content),
        measures=tuple(measure or ()),
        period=Period.parse(period),
        matching=matching(profiles),
        missing_valuesets=missing_valuesets,
        engine=engine,
        stale=stale,
        model_infos=tuple(model_info or ()),
        cache=program_cache(no_cache),
        now=now,
        zone=offset_minutes(zone),
        evaluated_resources=kind == "individual",
        supplemental_data=kind == "individual" or (kind == "summary" and supplemental_data),
        check_shape=check_shape,
    )
    if (patients is None) == (server is None):
        raise MeasurewiseError(
            "patients come from files or from a server.",
            where="--patients, --server",
            mend="Give one of the two.",
        )
    source: Patients | ServerPatients
    if patients is not None:
        source = patients_at(patients)
        prepared = preparation.prepared()
    else:
        options = ServerOptions(
            str(server), way, group, sign_in, tuple(patient or ()), most, max(1, concurrency), not all_dates
        )
        prepared = preparation.prepared()
        value_sets = load_content(*preparation.content).value_set_index(missing=missing_valuesets)
        source = ServerPatients(options, prepared, value_sets)
    reporting = prepared.reporting(reporter=reporter)
    with (
        WholeFile(output) if output is not None else nullcontext() as file,
        display("Evaluating", source.size, "patients") as shown,
    ):
        stream = file.stream if file else sys.stdout.buffer if kind and not json else None
        run = _Run(shown)
        for batch in evaluate_patients(
            preparation,
            prepared,
            source,
            jobs=positive_jobs(jobs),
            keep=_KEEP.get(kind, "sums"),
            reporting=reporting,
        ):
            run.add(batch)
            if stream is not None:
                stream.writelines(text + b"\n" for text in batch.reports)
            shown.advance(source.position, run.patients)
        if isinstance(source, ServerPatients):
            run.unread(source.failures)
        if not run.patients:
            where = str(server if patients is None else patients)
            raise RecordError("there are no patients in it.", where=where, mend="Give at least one.")
        run.remark((*prepared.remarks(), *source.notices))
        reports = run.reports(kind, reporting)
        if run.evaluated and stream is not None:
            _write(stream, reports, by_line=output is not None and output.name.endswith(".ndjson"))
        if not run.evaluated and file:
            file.discard()
    written = output if run.evaluated else None
    if json:
        print_json(run.as_json(preparation.period, time.perf_counter() - started, written, reports, kind))
    elif run.evaluated and (kind is None or written):
        period_text = f"{preparation.period.start} to {preparation.period.end}"
        title = f"Measurement period {period_text}, {run.patients:,} patients"
        for columns, rows in summary_tables(run.summaries, strata=strata):
            print_table(title, columns, rows)
            title = ""
    run.close(output, written, time.perf_counter() - started)
    return 1 if run.failed else 0


class _Run:
    """What has come of the patients so far; issues and notices go to stderr as they come."""

    def __init__(self, shown: Display) -> None:
        self._shown = shown
        self.summaries: list[SummaryAccumulator] = []
        self.results: list[list[PatientResult]] = []
        self.patients = 0
        self.failed = 0
        self.issues: list[Issue] = []
        self.issue_count = 0
        self.notices: list[str] = []

    @property
    def evaluated(self) -> bool:
        """Whether any measure has counted any patient."""
        return any(summary.patients for summary in self.summaries)

    def add(self, batch: Batch) -> None:
        """Count a share in."""
        self.patients += batch.patients
        self.failed += batch.failed
        self.issue_count += len(batch.issues)
        self.issues += batch.issues[: max(0, _MOST_ISSUES - len(self.issues))]
        for issue in batch.issues:
            self._shown.line(f"{issue.severity}: {issue}")
        if not self.summaries:
            self.summaries, self.results = batch.summaries, batch.results
            return
        for mine, theirs in zip(self.summaries, batch.summaries, strict=True):
            mine.merge(theirs)
        for kept, more in zip(self.results, batch.results, strict=True):
            kept += more

    def unread(self, failures: Iterable[tuple[str, MeasurewiseError]]) -> None:
        """Count patients that a server did not give, each by its id and with what kept it."""
        from measurewise.engine.runner.issues import Issue

        for patient_id, error in failures:
            issue = Issue.of(error, f"Patient/{patient_id}")
            self.patients += 1
            self.failed += 1
            self.issue_count += 1
            if len(self.issues) < _MOST_ISSUES:
                self.issues.append(issue)
            self._shown.line(f"{issue.severity}: {issue}")

    def remark(self, sentences: Iterable[str]) -> None:
        """Tell what stops nothing."""
        for sentence in sentences:
            self.notices.append(sentence)
            self._shown.line(f"notice: {sentence}")

    def reports(self, kind: ReportKind | None, reporting: Reporting) -> list[dict[str, Any]]:
        """The reports over all patients, and an OperationOutcome where there were issues."""
        from measurewise.engine.measure.reports.subject_list import subject_list_report
        from measurewise.engine.measure.reports.summary import summary_report
        from measurewise.engine.runner.issues import operation_outcome

        if kind == "summary":
            reports = [summary_report(summary, reporting) for summary in self.summaries]
        elif kind == "subject-list":
            reports = [
                subject_list_report(summary.measure, results, reporting)
                for summary, results in zip(self.summaries, self.results, strict=True)
            ]
        else:
            return []
        return [*reports, operation_outcome(self.issues)] if self.issues else reports

    def as_json(
        self,
        period: Period,
        seconds: float,
        output: Path | None,
        reports: list[dict[str, Any]],
        kind: ReportKind | None,
    ) -> dict[str, Any]:
        """The run in one object; reports stand in it where they were asked for and went to no file."""
        from measurewise.cli.summary_table import summary_json

        found: dict[str, Any] = {
            "period": {"start": period.start, "end": period.end},
            "patients": self.patients,
            "failed": self.failed,
            "seconds": round(seconds, 3),
            "measures": [summary_json(summary) for summary in self.summaries],
            "issues": [issue.as_json() for issue in self.issues],
            "notices": self.notices,
        }
        if self.issue_count > len(self.issues):
            found["issuesLeftOut"] = self.issue_count - len(self.issues)
        if output is not None:
            found["output"] = str(output)
        elif kind is not None:
            found["reports"] = reports
        return found

    def close(self, asked: Path | None, written: Path | None, seconds: float) -> None:
        """The last lines on stderr: what was written, how fast, who is missing."""
        if written is not None:
            self._shown.line(f"Reports: {written}")
        elif asked is not None:
            self._shown.line(f"No patient could be evaluated; {asked} was not written.")
        if self.failed and self.patients > 1:
            self._shown.line(
                f"{self.failed:,} of {self.patients:,} patients could not be evaluated; see above."
            )
        elif sys.stderr.isatty():
            self._shown.line(f"{self.patients:,} patients in {seconds:.1f} s")


def _write(stream: IO[bytes], reports: list[dict[str, Any]], *, by_line: bool) -> None:
    from measurewise.engine.measure.reports.edge import to_json

    if not reports:
        return
    if by_line:
        stream.writelines(to_json(report) + b"\n" for report in reports)
        return
    entries = [
        {"fullUrl": f"urn:uuid:{report['id']}", "resource": report}
        if "id" in report
        else {"resource": report}
        for report in reports
    ]
    stream.write(to_json({"resourceType": "Bundle", "type": "collection", "entry": entries}) + b"\n")
