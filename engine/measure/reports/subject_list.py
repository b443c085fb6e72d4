"""The subject-list MeasureReport: a population's numbers and, for each population, who is in it (DEQM).

``subjectResults`` refers to a contained List. FHIR R4 has it list the individual MeasureReports of the
subjects: each entry refers to the report that :func:`individual_report` makes of the subject, whose id is
known beforehand, and shows the subject's own reference.
"""

from __future__ import annotations

from collections.abc import Iterable

from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.definition import MeasureDefinition
from measurewise.engine.measure.extensions import SUBJECT_LIST_PROFILE
from measurewise.engine.measure.reports.parts import Json, Reporting, add_scoring, head, report_id
from measurewise.engine.measure.reports.summary import summary_groups
from measurewise.engine.measure.results import PatientResult


def subject_list_report(
    measure: MeasureDefinition, results: Iterable[PatientResult], reporting: Reporting
) -> Json:
    """The report of some patients; it grows with their number."""
    summary = SummaryAccumulator(measure)
    subjects: list[list[list[str]]] = [[[] for _ in group.populations] for group in measure.groups]
    for result in results:
        summary.add(result)
        for of_group, found in zip(subjects, result.groups, strict=True):
            for of_population, count in zip(of_group, found.counts, strict=True):
                if count:
                    of_population.append(result.subject)
    report = head("subject-list", SUBJECT_LIST_PROFILE, measure, reporting)
    groups = summary_groups(summary)
    add_scoring(report, measure, groups)
    contained: list[Json] = []
    for number, (rendered, of_group) in enumerate(zip(groups, subjects, strict=True), 1):
        for position, (population, members) in enumerate(
            zip(rendered.get("population", ()), of_group, strict=False), 1
        ):
            identity = f"subjects-{number}-{position}"
            contained.append(_list(identity, members, measure, reporting))
            population["subjectResults"] = {"reference": f"#{identity}"}
    report["contained"] = contained
    report["group"] = groups
    return report


def _list(identity: str, subjects: list[str], measure: MeasureDefinition, reporting: Reporting) -> Json:
    rendered: Json = {
        "resourceType": "List",
        "id": identity,
        "status": "current",
        "mode": "snapshot",
        "entry": [
            {
                "item": {
                    "reference": f"MeasureReport/{report_id('individual', measure, reporting, subject)}",
                    "display": subject,
                }
            }
            for subject in sorted(subjects)
        ],
    }
    if not rendered["entry"]:
        del rendered["entry"]
        rendered["emptyReason"] = {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/list-empty-reason", "code": "nilknown"}
            ]
        }
    return rendered
