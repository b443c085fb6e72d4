"""Type operators: tests, casts and conversions.

ELM: "Type Operators".
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import BinaryExpression, TypeSpecifier, UnaryExpression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Is(UnaryExpression):
    """True where the operand is of a type."""

    is_type: str | None = None
    is_type_specifier: TypeSpecifier | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class As(UnaryExpression):
    """The operand where it is of a type, else null, or an error where ``strict``."""

    as_type: str | None = None
    as_type_specifier: TypeSpecifier | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convert(UnaryExpression):
    """The operand converted to a type."""

    to_type: str | None = None
    to_type_specifier: TypeSpecifier | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CanConvert(UnaryExpression):
    """True where the operand can be converted to a type."""

    to_type: str | None = None
    to_type_specifier: TypeSpecifier | None = None


class ConvertsToBoolean(UnaryExpression):
    """True where the operand can become a Boolean."""

    __slots__ = ()


class ToBoolean(UnaryExpression):
    """The operand as a Boolean."""

    __slots__ = ()


class ConvertsToDate(UnaryExpression):
    """True where the operand can become a Date."""

    __slots__ = ()


class ToDate(UnaryExpression):
    """The operand as a Date."""

    __slots__ = ()


class ConvertsToDateTime(UnaryExpression):
    """True where the operand can become a DateTime."""

    __slots__ = ()


class ToDateTime(UnaryExpression):
    """The operand as a DateTime."""

    __slots__ = ()


class ConvertsToDecimal(UnaryExpression):
    """True where the operand can become a Decimal."""

    __slots__ = ()


class ToDecimal(UnaryExpression):
    """The operand as a Decimal."""

    __slots__ = ()


class ConvertsToInteger(UnaryExpression):
    """True where the operand can become a Integer."""

    __slots__ = ()


class ToInteger(UnaryExpression):
    """The operand as a Integer."""

    __slots__ = ()


class ConvertsToLong(UnaryExpression):
    """True where the operand can become a Long."""

    __slots__ = ()


class ToLong(UnaryExpression):
    """The operand as a Long."""

    __slots__ = ()


class ConvertsToQuantity(UnaryExpression):
    """True where the operand can become a Quantity."""

    __slots__ = ()


class ToQuantity(UnaryExpression):
    """The operand as a Quantity."""

    __slots__ = ()


class ConvertsToRatio(UnaryExpression):
    """True where the operand can become a Ratio."""

    __slots__ = ()


class ToRatio(UnaryExpression):
    """The operand as a Ratio."""

    __slots__ = ()


class ConvertsToString(UnaryExpression):
    """True where the operand can become a String."""

    __slots__ = ()


class ToString(UnaryExpression):
    """The operand as a String."""

    __slots__ = ()


class ConvertsToTime(UnaryExpression):
    """True where the operand can become a Time."""

    __slots__ = ()


class ToTime(UnaryExpression):
    """The operand as a Time."""

    __slots__ = ()


class ToConcept(UnaryExpression):
    """The concept of a code or of a list of codes."""

    __slots__ = ()


class ToList(UnaryExpression):
    """The operand as a list of one, or of none where it is null."""

    __slots__ = ()


class ToChars(UnaryExpression):
    """The characters of a string."""

    __slots__ = ()


class CanConvertQuantity(BinaryExpression):
    """True where a quantity can be expressed in a unit."""

    __slots__ = ()


class ConvertQuantity(BinaryExpression):
    """A quantity expressed in a unit."""

    __slots__ = ()
