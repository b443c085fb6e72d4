"""The data-collection MeasureReport: what was found for a patient, without a result (DEQM Data Exchange)."""

from __future__ import annotations

from collections.abc import Iterable

from measurewise.engine.measure.definition import MeasureDefinition
from measurewise.engine.measure.extensions import DATA_EXCHANGE_PROFILE, SUBMIT_DATA_UPDATE_TYPE
from measurewise.engine.measure.reports.parts import Json, Reporting, head


def data_collection_report(
    measure: MeasureDefinition,
    subject: str,
    evaluated_resources: Iterable[str],
    reporting: Reporting,
    *,
    incremental: bool = False,
) -> Json:
    """The report that goes with a patient's data; ``evaluated_resources`` are references.

    ``incremental`` says that earlier data stay as they are; otherwise these replace them.
    """
    report = head("data-collection", DATA_EXCHANGE_PROFILE, measure, reporting, subject)
    report["extension"] = [
        {"url": SUBMIT_DATA_UPDATE_TYPE, "valueCode": "incremental" if incremental else "snapshot"}
    ]
    references = [{"reference": reference} for reference in dict.fromkeys(evaluated_resources)]
    if references:
        report["evaluatedResource"] = references
    return report
