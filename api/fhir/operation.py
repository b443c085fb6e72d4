"""Operations, declared once: routes, CapabilityStatement, OperationDefinitions and API docs follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from measurewise.api.fhir.arguments import Arguments, Declared
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.security.scopes import OPERATIONS, OperationNeeds, operation_needs

Level = Literal["system", "type", "instance"]
LINES: Final = "(lines)"
"""The argument under which an operation finds the NDJSON file that was sent to it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the API.

    What a token must have for it stands in ``security.scopes.OPERATIONS`` under its name.
    ``handler`` runs in a thread and may take its time, but never more than a few seconds: what can take
    longer is a job. ``affects_state`` operations are not offered by GET. ``types_in`` names the parameter
    that limits the resource types it deals with, and so what it asks of a token. One that ``takes_lines``
    may be sent NDJSON as its body, which the handler finds as a file: ``Arguments.one(LINES)``. One that
    ``produces`` a media type answers with a Binary, whose content is sent where the client does not ask for
    FHIR JSON.
    """

    code: str
    title: str
    resource_type: str | None
    levels: tuple[Level, ...]
    parameters: tuple[Declared, ...]
    handler: Callable[[Call], Reply]
    affects_state: bool = False
    definition: str | None = None
    asynchronous: bool = False
    types_in: str | None = None
    takes_lines: bool = False
    produces: str | None = None

    @property
    def name(self) -> str:
        """Its name in sentences, such as ``Measure/$care-gaps``."""
        return f"{self.resource_type}/${self.code}" if self.resource_type else f"${self.code}"

    @property
    def needs(self) -> OperationNeeds:
        """What it asks of a token's scopes."""
        return OPERATIONS[self.name]

    def needs_for(self, arguments: Arguments) -> OperationNeeds:
        """What it asks of a token's scopes when it is asked for with these arguments."""
        named = arguments.all(self.types_in) if self.types_in else ()
        types = [kind for text in named for kind in str(text).split(",") if kind]
        return operation_needs(self.name, types=types or None)

    @property
    def id(self) -> str:
        """The id of its OperationDefinition."""
        return f"{self.resource_type}-{self.code}" if self.resource_type else self.code

    def paths(self) -> Iterable[tuple[Level, str]]:
        """Its addresses below the base."""
        for level in self.levels:
            match level:
                case "system":
                    yield level, f"/${self.code}"
                case "type":
                    yield level, f"/{self.resource_type}/${self.code}"
                case "instance":
                    yield level, f"/{self.resource_type}/{{identity}}/${self.code}"
