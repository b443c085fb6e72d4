"""The operations that the server offers: a file each."""

from __future__ import annotations

from typing import Final

from measurewise.api.fhir.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = ()
