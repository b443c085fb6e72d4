"""Whose data a job touched, for the audit trail: written by those who do its steps.

The request that asked for a job leaves an AuditEvent of its own, which names no patient: who they are is
known only when the job is done. Its events have the same request id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from measurewise.api.audit import Occurrence, audit_events, patient_of
from measurewise.api.fhir.outcomes import status_of
from measurewise.api.jobs.kind import requester_of
from measurewise.api.security.principal import Principal
from measurewise.api.security.scopes import Scopes
from measurewise.engine.errors import MeasurewiseError
from measurewise.store import audit
from measurewise.store.database import now
from measurewise.store.jobs import Job

PATIENTS_AN_EVENT: Final = 250


def write_down(
    connection: Connection,
    job: Job,
    patients: Iterable[str],
    resources: Iterable[str] = (),
    error: MeasurewiseError | None = None,
) -> None:
    """Add the events of a job that touched data of patients (ids) and resources (references).

    An event names up to ``PATIENTS_AN_EVENT`` patients; resources stand in the first. A step that is done
    again after a crash leaves its events again: the data were touched again. With an ``error`` the event is
    there in any case, and says that the job failed.
    """
    named = list(dict.fromkeys(patients))
    touched = tuple(dict.fromkeys(resources))
    if not named and not touched and error is None:
        return
    requester = requester_of(job)
    principal = Principal(
        requester.subject,
        requester.client_id,
        Scopes(),
        requester.access,
        requester.name,
        requester.issuer,
        requester.token_id,
    )
    moment = now()
    for start in range(0, max(len(named), 1), PATIENTS_AN_EVENT):
        occurrence = Occurrence(
            "operation",
            moment,
            requester.request_id,
            requester.base or "urn:measurewise:worker",
            None,
            200 if error is None else status_of(error),
            touched if start == 0 else (),
            tuple(named[start : start + PATIENTS_AN_EVENT]),
            f"{requester.request or job.kind}, job {job.id}",
            requester.operation or job.kind,
            "" if error is None else error.what,
        )
        events = list(audit_events(principal, occurrence))
        audit.add(connection, job.organization, ((patient_of(event), event) for event in events))
