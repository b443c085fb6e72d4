"""Reports on their way out: to JSON without touching a digit, and checked against the FHIR model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from measurewise.engine.errors import ContentError

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def to_json(report: Mapping[str, Any]) -> bytes:
    """A report as JSON; decimals are written as they stand."""
    return _ENCODER.encode(report)


def validate(report: Mapping[str, Any]) -> None:
    """Check a report against the MeasureReport model of fhir.resources.

    fhir.resources has no R4, and its R4B MeasureReport is the same resource. Raises :class:`ContentError`
    that names every element at fault.
    """
    from fhir.resources.R4B.measurereport import MeasureReport
    from pydantic import ValidationError

    try:
        MeasureReport.model_validate_json(to_json(report))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'MeasureReport'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ContentError(
            f"the MeasureReport is not valid FHIR: {faults}.",
            where=f"MeasureReport {report.get('id', '')}".strip(),
            mend="Correct the element, or the Measure it was copied from.",
        ) from error
