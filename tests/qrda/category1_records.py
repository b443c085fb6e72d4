"""What the tests of QRDA I share: official cases, settings, and records compared."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from shared_inputs import shared

from measurewise.qrda.category1.document import MeasureReference, Settings
from measurewise.qrda.validation import ValidationFinding, validate_category1

AT = "2026-11-22T10:00:00+00:00"
MEASURE = MeasureReference("65c8fea2-95e8-434e-8fd0-9450717430d9", "Diabetes: Glycemic Status Assessment")


def settings(**changed: Any) -> Settings:
    """Settings of a document for one measure in 2026."""
    given: dict[str, Any] = {"measures": (MEASURE,), "period": ("2026-01-01", "2026-12-31"), "created": AT}
    return Settings(**(given | changed))


def findings(document: bytes) -> list[ValidationFinding]:
    """What the CDA schema and the schematrons have against a document."""
    folder = shared("qrda")
    return validate_category1(
        document, schematron_folder=folder / "category1" / "schematron", xsd_folder=folder / "xsd"
    )


def cases(measure: str) -> Iterator[dict[str, Any]]:
    """The official cases of a measure, decimals kept."""
    with gzip.open(shared("ecqm", "cases", f"{measure}.ndjson.gz"), "rt", encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line, parse_float=Decimal)


def comparable(resources: Any) -> list[str]:
    """Resources as texts in one order, without narratives and with one spelling of UTC's offset."""
    return sorted(json.dumps(_plain(one), sort_keys=True, default=str) for one in resources)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _plain(part) for name, part in value.items() if name != "text" or "div" not in str(part)
        }
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, str) and value.endswith("Z") and "T" in value:
        return value.removesuffix("Z") + "+00:00"
    return value
