"""String operators.

ELM: "String Operators".
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import (
    BinaryExpression,
    Expression,
    NaryExpression,
    OperatorExpression,
    TernaryExpression,
    UnaryExpression,
)


class Concatenate(NaryExpression):
    """The operands one after the other; null where one is null."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combine(OperatorExpression):
    """The strings of a list with a separator between them."""

    source: Expression
    separator: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split(OperatorExpression):
    """The parts of a string between separators."""

    string_to_split: Expression
    separator: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitOnMatches(OperatorExpression):
    """The parts of a string between matches of a regular expression."""

    string_to_split: Expression
    separator_pattern: Expression


class Length(UnaryExpression):
    """The number of characters of a string or of elements of a list."""

    __slots__ = ()


class Upper(UnaryExpression):
    """The string in upper case."""

    __slots__ = ()


class Lower(UnaryExpression):
    """The string in lower case."""

    __slots__ = ()


class Indexer(BinaryExpression):
    """The character or element at an index from 0."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PositionOf(OperatorExpression):
    """The index from 0 of the first place of ``pattern`` in ``string``, or -1."""

    pattern: Expression
    string: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LastPositionOf(OperatorExpression):
    """The index from 0 of the last place of ``pattern`` in ``string``, or -1."""

    pattern: Expression
    string: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Substring(OperatorExpression):
    """The part of a string from an index, of at most a length."""

    string_to_sub: Expression
    start_index: Expression
    length: Expression | None = None


class StartsWith(BinaryExpression):
    """True where the first string starts with the second."""

    __slots__ = ()


class EndsWith(BinaryExpression):
    """True where the first string ends with the second."""

    __slots__ = ()


class Matches(BinaryExpression):
    """True where the first string matches the second as a regular expression."""

    __slots__ = ()


class ReplaceMatches(TernaryExpression):
    """The first string with matches of the second replaced by the third."""

    __slots__ = ()
