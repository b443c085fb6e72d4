"""Patients' results in measures, kept until the data they came from change."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from measurewise.store.tables import result_types, results


def mark_stale(connection: Connection, organization: str, patient: str, resource_type: str) -> None:
    """Mark the results of a patient that a change to a resource of this type can have altered.

    Those are the results of the measures that retrieve the type; a Patient concerns every measure.
    """
    condition = (
        (results.c.organization == organization) & (results.c.patient == patient) & results.c.stale.is_(False)
    )
    if resource_type != "Patient":
        condition &= results.c.measure.in_(
            select(result_types.c.measure).where(result_types.c.type == resource_type)
        )
    connection.execute(update(results).where(condition).values(stale=True))
