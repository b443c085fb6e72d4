"""What was done is written down: AuditEvents for everything that is read, changed, computed or refused.

They are written before the answer is sent, so an answer that cannot be written down is not given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from measurewise.api.audit import Interaction, Occurrence, audit_events, patient_of
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.outcomes import status_of
from measurewise.api.security.principal import Principal
from measurewise.api.services.context import Services
from measurewise.engine.errors import MeasurewiseError
from measurewise.store.audit import add
from measurewise.store.database import again, now

_NOBODY: Final = ""


@dataclass(frozen=True, slots=True)
class Asking:
    """A request as the audit trail tells of it: what is done, by which request, from where."""

    interaction: Interaction
    request: str
    request_id: str
    server: str
    client_address: str | None
    resource: str | None = None
    operation: str | None = None


class AuditTrail:
    """Writes the store's audit events."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def around(self, call: Call, asking: Asking, work: Callable[[Call], Reply]) -> Reply:
        """Do the work, and write down who did what to whose data, and how it ended."""
        try:
            reply = again(lambda: work(call))
        except MeasurewiseError as error:
            self.refused(call.principal, asking, error)
            raise
        except Exception:
            self._write(call.principal, asking, 500, failure="The server made a mistake.")
            raise
        if asking.interaction == "update" and reply.status == 201:
            asking = replace(asking, interaction="create")
        self._write(
            call.principal,
            asking,
            reply.status,
            resources=reply.touched or ((asking.resource,) if asking.resource else ()),
            patients=reply.patients,
        )
        return reply

    def done(self, principal: Principal, asking: Asking, status: int) -> None:
        """Write down what was done by itself, without :meth:`around`."""
        self._write(principal, asking, status, resources=(asking.resource,) if asking.resource else ())

    def refused(self, principal: Principal | None, asking: Asking, error: MeasurewiseError) -> None:
        """Write down what was not done; ``principal`` is None for somebody who was not let in."""
        named = (asking.resource,) if asking.resource else ()
        self._write(principal, asking, status_of(error), resources=named, failure=error.what)

    def _write(
        self,
        principal: Principal | None,
        asking: Asking,
        status: int,
        *,
        resources: tuple[str, ...] = (),
        patients: tuple[str, ...] = (),
        failure: str = "",
    ) -> None:
        occurrence = Occurrence(
            asking.interaction,
            now(),
            asking.request_id,
            asking.server,
            asking.client_address,
            status,
            resources,
            patients,
            asking.request,
            asking.operation,
            failure,
        )
        events = list(audit_events(principal, occurrence))
        with self._services.database.write() as connection:
            add(connection, self._organization(principal), ((patient_of(event), event) for event in events))

    def _organization(self, principal: Principal | None) -> str:
        """Whose trail it is: that of the one organisation of who asks, else the operator's."""
        organizations = principal.access.organizations if principal is not None else None
        if organizations is not None and len(organizations) == 1:
            return next(iter(organizations))
        return _NOBODY if principal is None else self._services.settings.organization
