"""What the compiler remembers of the parts it has compiled."""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.models.types import DataType


@dataclass(frozen=True, slots=True)
class Definition:
    """A compiled expression definition: where its value is kept and which function finds it."""

    function: str
    slot: int
    type: DataType
    nullable: bool = True
    two_valued: bool = False
    solid: bool = False
    is_patient: bool = False


@dataclass(slots=True)
class Variant:
    """A compiled function for one set of argument types."""

    function: str
    operands: tuple[DataType, ...]
    type: DataType
    nullable: bool = True
    solid: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a library and the global name that holds its value."""

    library: str
    name: str
    variable: str
    type: DataType
    default: str | None
