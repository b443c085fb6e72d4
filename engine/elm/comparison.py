"""Comparison operators.

ELM: "Comparison Operators".
"""

from __future__ import annotations

from measurewise.engine.elm.element import BinaryExpression


class Equal(BinaryExpression):
    """``=``"""

    __slots__ = ()


class Equivalent(BinaryExpression):
    """``~``"""

    __slots__ = ()


class NotEqual(BinaryExpression):
    """``!=``"""

    __slots__ = ()


class Less(BinaryExpression):
    """``<``"""

    __slots__ = ()


class Greater(BinaryExpression):
    """``>``"""

    __slots__ = ()


class LessOrEqual(BinaryExpression):
    """``<=``"""

    __slots__ = ()


class GreaterOrEqual(BinaryExpression):
    """``>=``"""

    __slots__ = ()
