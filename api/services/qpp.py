"""Submissions to the Quality Payment Program: converted, judged and merged, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from measurewise.api.fhir.outcomes import RequestError
from measurewise.engine.measure.reports.edge import validate as validate_report
from measurewise.mips.submission.measure_reports import submission_of_reports
from measurewise.mips.submission.merging import merge
from measurewise.mips.submission.problem import Problem
from measurewise.mips.submission.validation import is_clean, validate, validate_json
from measurewise.qrda.category3.writing.description import Description
from measurewise.qrda.qpp_model import to_json
from measurewise.qrda.qpp_reading import UnreadableQppError, read_qpp

Answer = dict[str, Any]


def with_problems(answer: Answer) -> Answer:
    """The answer of a conversion with the ``problems`` of its submission; ERR where either has an error."""
    problems = validate_json(answer["qpp"]) if answer["qpp"] is not None else []
    sound = answer["status"] == "OK" and is_clean(problems)
    return {**answer, "status": "OK" if sound else "ERR", "problems": [one.as_json() for one in problems]}


def of_reports(
    reports: Sequence[Mapping[str, Any]], description: Description, measures: Sequence[Mapping[str, Any]]
) -> Answer:
    """The submission of MeasureReports: ``status``, ``codes``, ``problems``, ``qpp``. Raises ContentError."""
    for report in reports:
        validate_report(report)
    qpp = to_json(submission_of_reports(reports, description, measures=measures))
    return {**_judged(validate_json(qpp)), "qpp": qpp}


def judged(content: Any, vendor: str | None) -> Answer:
    """``status``, ``codes`` and ``problems`` of a submission. Raises UnreadableQppError."""
    return _judged(validate(read_qpp(content), vendor=vendor))


def merged(contents: Sequence[Any]) -> Answer:
    """Submissions, from the oldest to the newest, as one: ``qpp``, and what each did (``steps``).

    Raises UnreadableQppError, MergeError.
    """
    readings = []
    for position, content in enumerate(contents):
        reading = read_qpp(content)
        if reading.wrong:
            wrong = reading.wrong[0]
            raise UnreadableQppError(
                f"{wrong.name} is not {wrong.expected}.",
                where=f"/{position}{wrong.pointer}",
                mend="Correct it; see /qpp/validate.",
            )
        readings.append(reading.submission)
    if len(readings) < 2:
        raise RequestError("there is nothing to merge with.", mend="Send two submissions or more.")
    whole = readings[0]
    steps = []
    for newer in readings[1:]:
        result = merge(whole, newer)
        steps.append({"replaced": result.replaced, "kept": result.kept, "added": result.added})
        whole = result.submission
    return {"qpp": to_json(whole), "steps": steps}


def _judged(problems: list[Problem]) -> Answer:
    return {
        "status": "OK" if is_clean(problems) else "ERR",
        "codes": sorted({one.code for one in problems}),
        "problems": [one.as_json() for one in problems],
    }
