"""Operations, declared once: routes, CapabilityStatement, OperationDefinitions and API docs follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from measurewise.api.fhir.arguments import Declared
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.security.scopes import OPERATIONS, OperationNeeds

Level = Literal["system", "type", "instance"]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the API.

    What a token must have for it stands in ``security.scopes.OPERATIONS`` under its name.
    ``handler`` runs in a thread and may take its time, but never more than a few seconds: what can take
    longer is a job. ``affects_state`` operations are not offered by GET.
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

    @property
    def name(self) -> str:
        """Its name in sentences, such as ``Measure/$care-gaps``."""
        return f"{self.resource_type}/${self.code}" if self.resource_type else f"${self.code}"

    @property
    def needs(self) -> OperationNeeds:
        """What it asks of a token's scopes."""
        return OPERATIONS[self.name]

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
