"""What an expression is known to be before any patient is seen: a row, an element of it, a time, a code.

A value may have several possibilities, where logic that cannot be decided chooses between them. What is not
understood is ``UNKNOWN``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from measurewise.engine import elm
from measurewise.engine.compiler.prefilter.moments import Moment
from measurewise.engine.compiler.prefilter.requirements import Part
from measurewise.engine.compiler.unit import Unit
from measurewise.engine.models.types import DATETIME, DataType, NamedType


class Plain(Enum):
    """A value that is null, or of which nothing is known."""

    NULL = "null"
    UNKNOWN = "unknown"


NULL = Plain.NULL
UNKNOWN = Plain.UNKNOWN


@dataclass(frozen=True, slots=True)
class Row:
    """A resource that a query walks; row 0 is the patient."""

    number: int
    type: NamedType


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a row by its JSON property; a System type says that the primitive was read.

    ``one_of`` says that it is one of those that the property holds.
    """

    row: int
    name: str
    type: DataType
    one_of: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice element of a row: its JSON properties with the type that each holds."""

    row: int
    name: str
    forms: tuple[tuple[str, NamedType], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A time that a row holds: an element, or the start or end of one; ``kind`` is Date or DateTime."""

    row: int
    element: str
    part: Part
    kind: NamedType = DATETIME


@dataclass(frozen=True, slots=True)
class Fixed:
    """A time that is the same for every patient."""

    moment: Moment


Bound = Point | Fixed | None


@dataclass(frozen=True, slots=True)
class Span:
    """An interval of times; a bound that is not known is None.

    ``element`` is the row and JSON property of the Period that it is; without that Period it is null.
    """

    start: Bound
    end: Bound
    element: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Age:
    """The patient's age in years at a time."""

    at: Point | Fixed


@dataclass(frozen=True, slots=True)
class Constant:
    """A String or an Integer that the logic spells out."""

    value: str | int


Value = Plain | Row | Element | Choice | Point | Fixed | Span | Age | Constant


@dataclass(frozen=True, slots=True, eq=False)
class Closure:
    """An expression with what its names mean."""

    node: elm.Expression
    scope: Scope


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """What names mean at some place of a library.

    ``names`` maps aliases, lets (``let:``) and operands (``operand:``) to values or closures; ``depth`` is
    how many functions deep the place is.
    """

    unit: Unit
    names: Mapping[str, Value | Closure]
    depth: int = 0

    def with_names(self, more: Mapping[str, Value | Closure]) -> Scope:
        """The scope with more names."""
        return replace(self, names={**self.names, **more})


class UndecidedError(Exception):
    """What an expression is hangs on which form a choice element has."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        super().__init__(choice.name)
