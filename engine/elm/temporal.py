"""Date and time constructors and operators.

ELM: "Date and Time Operators". A precision is one of Year, Month, Week, Day, Hour, Minute, Second,
Millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import (
    Expression,
    OperatorExpression,
    PrecisionExpression,
    UnaryExpression,
)


class DurationBetween(PrecisionExpression):
    """Whole periods of a precision between two points."""

    __slots__ = ()


class DifferenceBetween(PrecisionExpression):
    """Boundaries of a precision crossed between two points."""

    __slots__ = ()


class DateFrom(UnaryExpression):
    """The date of a date and time."""

    __slots__ = ()


class TimeFrom(UnaryExpression):
    """The time of a date and time."""

    __slots__ = ()


class TimezoneFrom(UnaryExpression):
    """The offset in hours; the CQL 1.2 name of TimezoneOffsetFrom."""

    __slots__ = ()


class TimezoneOffsetFrom(UnaryExpression):
    """The offset in hours."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DateTimeComponentFrom(UnaryExpression):
    """One component of a date or time."""

    precision: str | None = None


class TimeOfDay(OperatorExpression):
    """The time of the evaluation."""

    __slots__ = ()


class Today(OperatorExpression):
    """The date of the evaluation."""

    __slots__ = ()


class Now(OperatorExpression):
    """The date and time of the evaluation."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DateTime(OperatorExpression):
    """A date and time from its components."""

    year: Expression
    month: Expression | None = None
    day: Expression | None = None
    hour: Expression | None = None
    minute: Expression | None = None
    second: Expression | None = None
    millisecond: Expression | None = None
    timezone_offset: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Date(OperatorExpression):
    """A date from its components."""

    year: Expression
    month: Expression | None = None
    day: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Time(OperatorExpression):
    """A time from its components."""

    hour: Expression
    minute: Expression | None = None
    second: Expression | None = None
    millisecond: Expression | None = None


class SameAs(PrecisionExpression):
    """True where both are the same to a precision."""

    __slots__ = ()


class SameOrBefore(PrecisionExpression):
    """True where the first is the same or before, to a precision."""

    __slots__ = ()


class SameOrAfter(PrecisionExpression):
    """True where the first is the same or after, to a precision."""

    __slots__ = ()
