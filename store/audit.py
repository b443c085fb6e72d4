"""The audit trail: AuditEvents, only ever added."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, insert

from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.database import now
from measurewise.store.tables import audit_events


def add(
    connection: Connection, organization: str, events: Iterable[tuple[str | None, dict[str, Any]]]
) -> int:
    """Add events, each with the id of the patient whom it is about (or None); how many there were."""
    moment = now()
    rows = [
        {"organization": organization, "patient": patient, "recorded": moment, "body": to_json(event)}
        for patient, event in events
    ]
    if rows:
        connection.execute(insert(audit_events), rows)
    return len(rows)
