"""Conversion between System types (CQL Reference, "Type Operators"; table 9-E).

A conversion gives null for text or a value that it cannot interpret; the ``converts_to`` functions tell
beforehand. A value that already has the wanted type stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import datetime_parsing, datetimes, quantities, ratios
from measurewise.engine.runtime.arithmetic import integer, long
from measurewise.engine.runtime.decimals import fit, plain
from measurewise.engine.runtime.temporal import Date, DateTime, Time, iso
from measurewise.engine.runtime.values import Code, Concept, Long, Quantity, Ratio

_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_BOOLEANS = dict.fromkeys(("true", "t", "yes", "y", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "0"), False
)
_MOST_DIGITS = 64
"""No System number has so many digits; longer text is refused before it is read."""


def to_boolean(operand: Any) -> bool | None:
    """Of a string as table 9-F lists them, of a number 1 or 0; else null."""
    if operand is None or type(operand) is bool:
        return operand
    if type(operand) is str:
        return _BOOLEANS.get(operand.lower())
    if type(operand) in (int, Long, Decimal):
        return True if operand == 1 else False if operand == 0 else None
    return None


def to_integer(operand: Any) -> int | None:
    """Of a Boolean, a Long, or a string of digits with an optional sign; null beyond the Integers."""
    if operand is None or type(operand) is int:
        return operand
    number = _whole(operand)
    return None if number is None else integer(number)


def to_long(operand: Any) -> Long | None:
    """Of a Boolean, an Integer, or a string of digits with an optional sign; null beyond the Longs."""
    if operand is None or type(operand) is Long:
        return operand
    number = _whole(operand)
    return None if number is None else long(number)


def _whole(operand: Any) -> int | None:
    if type(operand) in (bool, int, Long):
        return int(operand)
    if type(operand) is str and len(operand) <= _MOST_DIGITS and _WHOLE.fullmatch(operand):
        return int(operand)
    return None


def to_decimal(operand: Any) -> Decimal | None:
    """Of a Boolean, an Integer, a Long, or a string of digits; rounded to 8 places, null on overflow."""
    if operand is None or type(operand) is Decimal:
        return operand
    if type(operand) in (bool, int, Long):
        return Decimal(int(operand))
    if type(operand) is str and len(operand) <= _MOST_DIGITS and _DECIMAL.fullmatch(operand):
        return fit(Decimal(operand))
    return None


def to_string(operand: Any) -> str | None:
    """The text of table 9-G, which converts back to the same value."""
    if operand is None or type(operand) is str:
        return operand
    write = _TEXT.get(type(operand))
    return None if write is None else write(operand)


def _decimal_text(value: Decimal) -> str:
    text = plain(value)
    return text if "." in text else f"{text}.0"


_TEXT: dict[type, Callable[[Any], str | None]] = {
    bool: lambda value: "true" if value else "false",
    int: str,
    Long: lambda value: str(int(value)),
    Decimal: _decimal_text,
    Date: iso,
    DateTime: iso,
    Time: iso,
    Quantity: quantities.to_string,
    Ratio: ratios.to_string,
}


def to_quantity(operand: Any) -> Quantity | None:
    """Of a number (with the unit ``'1'``), a Ratio (divided), or a string such as ``5.5 'cm'``."""
    if operand is None or type(operand) is Quantity:
        return operand
    if type(operand) is str:
        return quantities.from_string(operand)
    if type(operand) is Ratio:
        return ratios.to_quantity(operand)
    if type(operand) in (int, Long, Decimal):
        return Quantity(Decimal(operand), "1")
    return None


def to_ratio(operand: Any) -> Ratio | None:
    """Of a string of two quantities and a colon between them."""
    if operand is None or type(operand) is Ratio:
        return operand
    return ratios.from_string(operand) if type(operand) is str else None


def to_date(operand: Any) -> Date | None:
    """Of a DateTime (``date from``) or a string in ISO 8601, whose time is left out."""
    if operand is None or type(operand) is Date:
        return operand
    if type(operand) is DateTime:
        return datetimes.date_from(operand)
    return datetime_parsing.parse_date(operand) if type(operand) is str else None


def to_date_time(operand: Any, *, zone: int = 0) -> DateTime | None:
    """Of a Date, whose time stays unspecified, or a string in ISO 8601.

    ``zone`` is the offset of the evaluation request, in minutes east of UTC.
    """
    if operand is None or type(operand) is DateTime:
        return operand
    if type(operand) is Date:
        return datetimes.to_date_time(operand)
    return datetime_parsing.parse_datetime(operand, zone) if type(operand) is str else None


_OFFSET = re.compile(r"(?:Z|[+-][0-9]{2}:[0-9]{2})$")


def to_time(operand: Any) -> Time | None:
    """Of a string in ISO 8601; an offset is left out (table 9-E's format allows one, a Time has none)."""
    if operand is None or type(operand) is Time:
        return operand
    return datetime_parsing.parse_time(_OFFSET.sub("", operand)) if type(operand) is str else None


def to_concept(operand: Any) -> Concept | None:
    """Of a Code, with its display, or of a list of Codes."""
    if operand is None or type(operand) is Concept:
        return operand
    if type(operand) is Code:
        return Concept([operand], operand.display)
    if type(operand) is list and all(code is None or type(code) is Code for code in operand):
        return Concept([code for code in operand if code is not None])
    return None


def _to_codes(operand: Any) -> list[Code] | None:
    return operand.codes if type(operand) is Concept else None


# --- whether a conversion is possible ---------------------------------------------------------------------


def converts_to_boolean(operand: Any) -> bool | None:
    """Whether :func:`to_boolean` has an answer; null of null."""
    return None if operand is None else to_boolean(operand) is not None


def converts_to_integer(operand: Any) -> bool | None:
    """Whether :func:`to_integer` has an answer; null of null."""
    return None if operand is None else to_integer(operand) is not None


def converts_to_long(operand: Any) -> bool | None:
    """Whether :func:`to_long` has an answer; null of null."""
    return None if operand is None else to_long(operand) is not None


def converts_to_decimal(operand: Any) -> bool | None:
    """Whether :func:`to_decimal` has an answer; null of null."""
    return None if operand is None else to_decimal(operand) is not None


def converts_to_string(operand: Any) -> bool | None:
    """Whether :func:`to_string` has an answer; null of null."""
    return None if operand is None else to_string(operand) is not None


def converts_to_quantity(operand: Any) -> bool | None:
    """Whether :func:`to_quantity` has an answer; null of null."""
    return None if operand is None else to_quantity(operand) is not None


def converts_to_ratio(operand: Any) -> bool | None:
    """Whether :func:`to_ratio` has an answer; null of null."""
    return None if operand is None else to_ratio(operand) is not None


def converts_to_date(operand: Any) -> bool | None:
    """Whether :func:`to_date` has an answer; null of null."""
    return None if operand is None else to_date(operand) is not None


def converts_to_date_time(operand: Any) -> bool | None:
    """Whether :func:`to_date_time` has an answer; null of null."""
    return None if operand is None else to_date_time(operand) is not None


def converts_to_time(operand: Any) -> bool | None:
    """Whether :func:`to_time` has an answer; null of null."""
    return None if operand is None else to_time(operand) is not None


# --- by the name of the type ------------------------------------------------------------------------------

_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Long": to_long,
    "Decimal": to_decimal,
    "String": to_string,
    "Quantity": to_quantity,
    "Ratio": to_ratio,
    "Date": to_date,
    "Time": to_time,
    "Concept": to_concept,
    "List<Code>": _to_codes,
}


def convert(operand: Any, type_name: str, *, zone: int = 0) -> Any:
    """The operand as a System type by name (``"Integer"``, ``"List<Code>"``); null where it does not convert.

    Raises :class:`EvaluationError` for a type that nothing converts to.
    """
    if operand is None:
        return None
    if type_name == "DateTime":
        return to_date_time(operand, zone=zone)
    conversion = _CONVERSIONS.get(type_name)
    if conversion is None:
        raise EvaluationError(
            f"Nothing converts to {type_name}.",
            mend=f"Convert to one of {', '.join(_CONVERSIONS)}, DateTime.",
        )
    return conversion(operand)


def can_convert(operand: Any, type_name: str) -> bool | None:
    """Whether :func:`convert` has an answer; null of null."""
    return None if operand is None else convert(operand, type_name) is not None
