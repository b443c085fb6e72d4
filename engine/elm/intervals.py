"""Interval operators, among them those that lists share.

ELM: "Interval Operators"; Contains, In, Includes, IncludedIn, their proper forms, Union, Intersect and Except
are also the list operators.
"""

from __future__ import annotations

from measurewise.engine.elm.element import (
    BinaryExpression,
    NaryExpression,
    PrecisionExpression,
    UnaryExpression,
)


class Width(UnaryExpression):
    """The difference of the boundaries."""

    __slots__ = ()


class Size(UnaryExpression):
    """The number of points, in units of the point type's step."""

    __slots__ = ()


class PointFrom(UnaryExpression):
    """The only point of an interval."""

    __slots__ = ()


class Start(UnaryExpression):
    """The low boundary."""

    __slots__ = ()


class End(UnaryExpression):
    """The high boundary."""

    __slots__ = ()


class Contains(PrecisionExpression):
    """True where the point or element is in the first operand."""

    __slots__ = ()


class ProperContains(PrecisionExpression):
    """As Contains, with more in it besides."""

    __slots__ = ()


class In(PrecisionExpression):
    """True where the first operand is in the second."""

    __slots__ = ()


class ProperIn(PrecisionExpression):
    """As In, with more in it besides."""

    __slots__ = ()


class Includes(PrecisionExpression):
    """True where the first operand has all of the second."""

    __slots__ = ()


class IncludedIn(PrecisionExpression):
    """True where the second operand has all of the first."""

    __slots__ = ()


class ProperIncludes(PrecisionExpression):
    """As Includes, with more besides."""

    __slots__ = ()


class ProperIncludedIn(PrecisionExpression):
    """As IncludedIn, with more besides."""

    __slots__ = ()


class Before(PrecisionExpression):
    """True where the first ends before the second starts."""

    __slots__ = ()


class After(PrecisionExpression):
    """True where the first starts after the second ends."""

    __slots__ = ()


class Meets(PrecisionExpression):
    """True where one follows on the other without a gap."""

    __slots__ = ()


class MeetsBefore(PrecisionExpression):
    """True where the first ends just before the second starts."""

    __slots__ = ()


class MeetsAfter(PrecisionExpression):
    """True where the first starts just after the second ends."""

    __slots__ = ()


class Overlaps(PrecisionExpression):
    """True where both share a point."""

    __slots__ = ()


class OverlapsBefore(PrecisionExpression):
    """True where the first starts before the second and overlaps it."""

    __slots__ = ()


class OverlapsAfter(PrecisionExpression):
    """True where the first ends after the second and overlaps it."""

    __slots__ = ()


class Starts(PrecisionExpression):
    """True where both start together and the second ends no earlier."""

    __slots__ = ()


class Ends(PrecisionExpression):
    """True where both end together and the second starts no later."""

    __slots__ = ()


class Collapse(BinaryExpression):
    """The fewest intervals that cover those of a list, to the precision of the second operand."""

    __slots__ = ()


class Expand(BinaryExpression):
    """Intervals (of an interval: points) of the size of the second operand."""

    __slots__ = ()


class Union(NaryExpression):
    """All of both."""

    __slots__ = ()


class Intersect(NaryExpression):
    """What both share."""

    __slots__ = ()


class Except(NaryExpression):
    """The first without the second."""

    __slots__ = ()
