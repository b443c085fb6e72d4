"""The operations that the server offers: a file each."""

from __future__ import annotations

from typing import Final

from measurewise.api.fhir.operation import Operation
from measurewise.api.operations import (
    bulk,
    bulk_import,
    care_gaps,
    evaluate,
    evaluate_measure,
    everything,
    exchange,
    logic,
    qrda,
    qrda_export,
    requirements,
    submitting,
    value_sets,
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    evaluate_measure.OPERATION,
    evaluate.OPERATION,
    care_gaps.OPERATION,
    everything.OPERATION,
    *value_sets.OPERATIONS,
    *logic.OPERATIONS,
    qrda.OPERATION,
    qrda_export.OPERATION,
    *requirements.OPERATIONS,
    exchange.OPERATION,
    submitting.OPERATION,
    *bulk.OPERATIONS,
    *bulk_import.OPERATIONS,
)
