"""``measurewise qpp submit``, ``list``, ``delete`` and ``score``: CMS's submissions API at the prompt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import Column, print_json, print_table
from measurewise.cli.qpp_files import read_file
from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.mips.submission.api_client import SubmissionsApi
    from measurewise.mips.submission.sending import Step
    from measurewise.qrda.qpp_model import MeasurementSet, Submission

TOKEN: Final = "MEASUREWISE_QPP_TOKEN"  # noqa: S105, the name of a variable
URL: Final = "MEASUREWISE_QPP_URL"

BaseUrl = Annotated[
    str | None,
    Parameter(
        name="--base-url",
        help="Where the API is. Default: $MEASUREWISE_QPP_URL, else CMS's developer preview; production is "
        "https://qpp.cms.gov/api/submissions.",
    ),
]
Send = Annotated[bool, Parameter(negative="", help="Send it. Without this, what would be sent is shown.")]


def submit(
    file: Annotated[Path, Parameter(help="A file of QPP JSON.")],
    /,
    *,
    send: Send = False,
    compare: Annotated[
        bool,
        Parameter(negative="", help="Ask the API what is there already, so that replacements are shown too."),
    ] = False,
    despite_errors: Annotated[
        bool, Parameter(negative="", help="Go on where the submission has errors.")
    ] = False,
    base_url: BaseUrl = None,
    json: AsJson = False,
) -> int:
    """Hand a submission in, a measurement set at a time; without --send only show what would be sent.

    A set of the same category, submission method and programme that is there is replaced whole, others are
    created. The token is taken from $MEASUREWISE_QPP_TOKEN. With --json an object a request and line: action,
    set, request, and with --send the id.
    """
    from measurewise.mips.submission.sending import carry_out, plan
    from measurewise.mips.submission.validation import is_clean, validate

    reading = read_file(file)
    problems = validate(reading)
    if not is_clean(problems) and not despite_errors:
        first = next(one for one in problems if one.severity == "error")
        raise MeasurewiseError(
            f"the submission has errors, the first at {first.pointer}: {first.message}",
            where=str(file),
            mend="See measurewise qpp validate, or give --despite-errors.",
        )
    submission = reading.submission
    address = _address(base_url)
    if not send and not compare:
        for step in plan(submission):
            _tell(step, "would", address, json, None)
        if not json:
            print("Nothing was sent. --compare asks what is there, --send sends.")
        return 0
    with _api(address) as api:
        steps = plan(submission, api.submissions(submission))
        if not send:
            for step in steps:
                _tell(step, "would", address, json, None)
            if not json:
                print("Nothing was sent.")
            return 0
        for step, made in carry_out(api, steps):
            _tell(step, "did", address, json, made.id)
    return 0


def list_submissions(
    *,
    year: Annotated[int | None, Parameter(help="The performance year.")] = None,
    entity_type: Annotated[
        str | None, Parameter(help="individual, group, virtualGroup, subgroup or apm.")
    ] = None,
    tin: Annotated[str | None, Parameter(help="A taxpayer identification number.")] = None,
    npi: Annotated[str | None, Parameter(help="A national provider identifier.")] = None,
    entity_id: Annotated[
        str | None, Parameter(help="An APM entity's, virtual group's or subgroup's id.")
    ] = None,
    base_url: BaseUrl = None,
    json: AsJson = False,
) -> int:
    """List the submissions and measurement sets that CMS has and the token may see.

    With --json an object a submission and line.
    """
    from measurewise.qrda.qpp_model import Submission, to_json

    like = Submission(
        performance_year=year,
        entity_type=entity_type,
        entity_id=entity_id,
        taxpayer_identification_number=tin,
        national_provider_identifier=npi,
    )
    with _api(_address(base_url)) as api:
        found = api.submissions(like)
    if json:
        for one in found:
            print_json(to_json(one))
        return 0
    columns = [
        Column("Submission"),
        Column("Year"),
        Column("Who"),
        Column("Set"),
        Column("Id"),
        Column("Measures", "right"),
    ]
    rows = [row for one in found for row in _rows(one)]
    print_table("", columns, rows)
    return 0


def delete(
    *,
    measurement_set: Annotated[
        str | None,
        Parameter(name="--set", help="Id of a measurement set: it goes with its measurements."),
    ] = None,
    submission: Annotated[
        str | None, Parameter(help="The id of a submission: it goes with all its measurement sets.")
    ] = None,
    send: Annotated[bool, Parameter(negative="", help="Delete it. Without this, it is shown.")] = False,
    base_url: BaseUrl = None,
    json: AsJson = False,
) -> int:
    """Delete a submission, or one measurement set, that CMS has; without --send only show what would go.

    What would go is asked of the API, so the token is needed for that too (see qpp list for ids). With --json
    an object a measurement set and line: deleted, submission, set, category, submissionMethod, programName,
    measures; of a submission without any, one with deleted and submission.
    """
    if (measurement_set is None) == (submission is None):
        raise MeasurewiseError("one of --set and --submission is wanted.", mend="See measurewise qpp list.")
    with _api(_address(base_url)) as api:
        if measurement_set is not None:
            one_set = api.measurement_set(measurement_set)
            sets: tuple[MeasurementSet, ...] = (one_set,)
            of = one_set.submission_id
        else:
            sets = api.submission(submission or "").measurement_sets or ()
            of = submission
        if send and measurement_set is not None:
            api.delete_measurement_set(measurement_set)
        elif send:
            api.delete_submission(submission or "")
    for one in sets or (None,):
        _tell_deleted(one, of, send, json)
    if not send and not json:
        print("Nothing was deleted. --send deletes.")
    return 0


def _tell_deleted(one: MeasurementSet | None, submission: str | None, send: bool, json: bool) -> None:
    shown: dict[str, Any] = {"deleted": send, "submission": submission}
    if one is not None:
        shown |= {
            "set": one.id,
            "category": one.category,
            "submissionMethod": one.submission_method,
            "programName": one.programme,
            "measures": len(one.measurements or ()),
        }
    if json:
        print_json(shown)
        return
    doing = "deleted" if send else "would delete"
    if one is None:
        print(f"{doing} submission {submission}, which has no measurement set")
        return
    name = ", ".join(filter(None, (one.category, one.submission_method, one.programme)))
    print(f"{doing} {name}: set {one.id} of submission {submission}, {shown['measures']} measures")


def score(
    file: Annotated[Path | None, Parameter(help="A file of QPP JSON, for the score it would have.")] = None,
    /,
    *,
    submission: Annotated[
        str | None, Parameter(help="The id of a submission that CMS has, for its score.")
    ] = None,
    program: Annotated[str | None, Parameter(help="The programme whose score is asked for.")] = None,
    send: Send = False,
    base_url: BaseUrl = None,
    json: AsJson = False,
) -> int:
    """Show CMS's score of a stored submission, or (with --send) of a file; the file is not stored there."""
    from measurewise.mips.submission.api_client import preview_request

    if (file is None) == (submission is None):
        raise MeasurewiseError(
            "one of a file and --submission is wanted.", mend="Name a file, or the id of a submission."
        )
    address = _address(base_url)
    if file is not None and not send:
        request = preview_request(read_file(file).submission).as_json(address)
        if json:
            print_json(request)
        else:
            print(f"would {request['method']} {request['url']}\nNothing was sent. --send sends.")
        return 0
    with _api(address) as api:
        if submission is not None:
            found = api.score(submission, program)
        elif file is not None:
            found = api.score_preview(read_file(file).submission)
    if json:
        print_json(found)
        return 0
    print(f"{found.get('title') or found.get('name')}: {found.get('value')}")
    for part in found.get("parts") or ():
        if isinstance(part, dict) and "value" in part:
            print(f"  {part.get('name')}: {part['value']}")
    for warning in found.get("warnings") or ():
        print(f"notice: {warning}")
    return 0


def _address(given: str | None) -> str:
    from measurewise.mips.submission.api_client import DEVELOPER_PREVIEW

    return given or os.environ.get(URL) or DEVELOPER_PREVIEW


def _api(address: str) -> SubmissionsApi:
    from measurewise.mips.submission.api_client import SubmissionsApi

    token = os.environ.get(TOKEN, "")
    if not token.strip():
        raise MeasurewiseError(
            "there is no token for CMS's submissions API.",
            where=f"${TOKEN}",
            mend="Put the token that CMS gave your organisation into this variable.",
        )
    return SubmissionsApi(address, token)


def _tell(step: Step, doing: str, address: str, json: bool, made: str | None) -> None:
    request = step.request.as_json(address)
    if json:
        shown: dict[str, Any] = {
            "action": step.action,
            "set": step.key,
            "sent": doing == "did",
            "request": request,
        }
        print_json(shown | ({"id": made} if made else {}))
        return
    measures = len(request["body"].get("measurements") or ())
    told = f"{doing} {step.action} {', '.join(step.key)}: {request['method']} {request['url']}"
    print(f"{told}, {measures} measures" + (f", id {made}" if made else ""))


def _rows(one: Submission) -> list[list[str]]:
    who = one.national_provider_identifier or one.entity_id or one.entity_type or ""
    head = [one.id or "", str(one.performance_year or ""), who]
    rows = []
    for part in one.measurement_sets or ():
        name = " ".join(filter(None, (part.category, part.submission_method, part.programme)))
        rows.append([*head, name, part.id or "", str(len(part.measurements or ()))])
    return rows or [[*head, "", "", ""]]
