"""What the measure room asks of whoever evaluates CQL: one patient's definitions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class Definitions(Protocol):
    """One patient's definitions, of one set of libraries."""

    def value(self, library: str, name: str) -> Any:
        """The value of an expression definition; a CQL value as ``engine/runtime/values.py`` has it."""
        ...

    def call(self, library: str, name: str, *args: Any) -> Any:
        """The value of a function definition for some arguments."""
        ...

    def has(self, library: str, name: str) -> bool:
        """Whether the library has an *expression* definition of that name; a function does not count."""
        ...

    def evaluated_resources(self) -> Iterable[dict[str, Any]]:
        """The resources that retrieves have touched so far."""
        ...
