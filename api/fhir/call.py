"""A request to the FHIR API in the words of this project, and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from measurewise.api.fhir.arguments import Arguments
from measurewise.api.security.principal import Principal
from measurewise.api.security.scopes import Need
from measurewise.api.services.context import Services
from measurewise.store.access import Access


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    ``target`` is the type and id that an operation or interaction is about (either may be None), ``base`` the
    FHIR base URL as the client knows it, ``organization`` what ``X-Organization`` names, ``headers`` in lower
    case.
    """

    services: Services
    principal: Principal
    base: str
    target: tuple[str | None, str | None] = (None, None)
    arguments: Arguments = field(default_factory=Arguments)
    organization: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    url: str = ""
    """The address that was asked for, with its query."""

    @property
    def access(self) -> Access:
        """Whose data the call may see, narrowed to the organisation it names."""
        access = self.principal.access
        if self.organization is None:
            return access
        home = access.home(self.organization, self.services.settings.organization)
        return Access(frozenset({home}), access.patient)

    @property
    def home(self) -> str:
        """The organisation that the call writes to. Raises ForbiddenError where it has none."""
        return self.principal.access.home(self.organization, self.services.settings.organization)

    def permitted(self, resource_type: str, actions: str, *, restrictable: bool = False) -> Call:
        """The call with the access that the token's scopes give for this (see ``Principal.permit``).

        Raises ScopeError.
        """
        principal = self.principal.permit(Need(resource_type, actions), restrictable=restrictable)
        return replace(self, principal=principal)

    @property
    def asynchronous(self) -> bool:
        """Whether the client asks for an answer later (``Prefer: respond-async``)."""
        return "respond-async" in self.headers.get("prefer", "")


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer: a resource (a dictionary or JSON bytes; None for an empty body), status and headers.

    ``touched`` are the resources that the audit trail names, as ``Type/id``; ``patients`` the ids of their
    patients.
    """

    resource: dict[str, Any] | bytes | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    touched: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    media_type: str | None = None
    file: Path | None = None
    """A file that is the body, in place of ``resource``."""
