"""Timing phrases, and the expression that has one between its operands."""

from __future__ import annotations

from dataclasses import dataclass, field

from measurewise.engine.cql.tree.nodes import Expression, Node
from measurewise.engine.cql.tree.terms import Quantity


class TimingPhrase(Node):
    """What stands between the two operands of a timing expression."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SamePhrase(TimingPhrase):
    """``[starts|ends|occurs] same [precision] as|or before|or after [start|end]``."""

    position: str | None
    precision: str | None
    relation: str
    boundary: str | None


@dataclass(frozen=True, slots=True)
class IncludesPhrase(TimingPhrase):
    """``[properly] includes [precision of] [start|end]``."""

    properly: bool
    precision: str | None
    boundary: str | None


@dataclass(frozen=True, slots=True)
class IncludedInPhrase(TimingPhrase):
    """``[starts|ends|occurs] [properly] during|included in [precision of]``."""

    position: str | None
    properly: bool
    precision: str | None
    word: str = field(default="during", compare=False)


@dataclass(frozen=True, slots=True)
class QuantityOffset(Node):
    """``3 days``, ``3 days or more``, ``less than 3 days``.

    ``qualifier`` is ``or more``, ``or less``, ``less than``, ``more than`` or None.
    """

    quantity: Quantity
    qualifier: str | None


@dataclass(frozen=True, slots=True)
class BeforeOrAfterPhrase(TimingPhrase):
    """``[starts|ends|occurs] [offset] [on or] before|after [or on] [precision of] [start|end]``."""

    position: str | None
    offset: QuantityOffset | None
    relation: str
    inclusive: bool
    precision: str | None
    boundary: str | None


@dataclass(frozen=True, slots=True)
class WithinPhrase(TimingPhrase):
    """``[starts|ends|occurs] [properly] within quantity of [start|end]``."""

    position: str | None
    properly: bool
    quantity: Quantity
    boundary: str | None


@dataclass(frozen=True, slots=True)
class MeetsPhrase(TimingPhrase):
    """``meets [before|after] [precision of]``."""

    side: str | None
    precision: str | None


@dataclass(frozen=True, slots=True)
class OverlapsPhrase(TimingPhrase):
    """``overlaps [before|after] [precision of]``."""

    side: str | None
    precision: str | None


@dataclass(frozen=True, slots=True)
class StartsPhrase(TimingPhrase):
    """``starts [precision of]``."""

    precision: str | None


@dataclass(frozen=True, slots=True)
class EndsPhrase(TimingPhrase):
    """``ends [precision of]``."""

    precision: str | None


@dataclass(frozen=True, slots=True)
class Timing(Expression):
    """``left phrase right``."""

    left: Expression
    phrase: TimingPhrase
    right: Expression
