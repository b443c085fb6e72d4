"""``measurewise qrda3 write``: a QRDA III report from MeasureReports and a description."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from measurewise.cli.given_files import measures_of, parsed, resources_of
from measurewise.cli.options import AsJson, ContentPaths
from measurewise.cli.output import WholeFile, print_json
from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.qrda.category3.writing.document import Written


def write(
    description: Annotated[
        Path, Parameter(help="JSON: year, programme, who reports, CEHRT id, what is attested.")
    ],
    /,
    *,
    output: Annotated[Path, Parameter(help="The QRDA III file to write.")],
    reports: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="Summary MeasureReports: a Bundle, one report, or NDJSON; several files may be given.",
        ),
    ] = None,
    content: ContentPaths = None,
    at: Annotated[
        str | None,
        Parameter(
            help="When the report is made (2026-01-15T08:00:00); the same gives the same file. Default: now."
        ),
    ] = None,
    missing_supplemental_data: Annotated[
        Literal["error", "leave-out"],
        Parameter(
            help="What becomes of reports that do not count by sex, race, ethnicity or payer: an error, or "
            "written without, which CMS's schematron refuses."
        ),
    ] = "error",
    json: AsJson = False,
) -> int:
    """Write a QRDA III report, and judge it as qrda3 convert does.

    Measures are found by the CMS number in their URL; give --content where one has none. What had to be left
    out is told on stderr. The exit status is 1 when CMS's rules have something against the report.
    """
    from measurewise.engine.measure.reports.edge import validate
    from measurewise.qrda.category3.conversion import convert
    from measurewise.qrda.category3.writing.description_json import description_of
    from measurewise.qrda.category3.writing.document import write as written_report
    from measurewise.qrda.year_data import YEARS

    described = description_of(parsed(description))
    resources = [found for path in reports or () for found in resources_of(path)]
    given = [one for one in resources if one.get("resourceType") == "MeasureReport"]
    for report in given:
        validate(report)
    with WholeFile(output) as file:
        written = written_report(
            given,
            described,
            _moment(at),
            measures=[
                *measures_of(content),
                *(one for one in resources if one.get("resourceType") == "Measure"),
            ],
            missing_supplemental_data=missing_supplemental_data,
        )
        file.stream.write(written.xml)
    for notice in written.notices:
        print(f"notice: {notice}", file=sys.stderr)
    # The rules of a year whose guide is not at hand are not known either.
    judged = convert(written.xml) if described.year in YEARS else None
    if judged is not None:
        for one in judged.errors:
            print(f"{one.finding.code}: {one.finding.message} {one.finding.mend}", file=sys.stderr)
    status = None if judged is None else judged.status
    if json:
        print_json(_as_object(output, written, status))
    else:
        told = "" if status is None else f", {status}"
        print(f"{output}: {len(written.measures)} measures, {len(written.xml):,} bytes{told}")
    return 1 if status == "ERR" else 0


def _as_object(output: Path, written: Written, status: str | None) -> dict[str, Any]:
    return {
        "output": str(output),
        "status": status,
        "notices": list(written.notices),
        "measures": [
            {
                "measureId": measure.identifiers.measure_id,
                "eMeasureId": measure.identifiers.ecqm_id,
                "rates": [
                    {population.code: population.count for population in rate.populations}
                    for rate in measure.rates
                ],
            }
            for measure in written.measures
        ],
    }


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now().astimezone()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise MeasurewiseError(
            f"{text!r} is no date and time.", where="--at", mend="Write 2026-01-15T08:00:00."
        ) from None
