"""Three-valued logic and the nullological operators (CQL Reference, "Logical" and "Nullological Operators").

A Boolean is ``True``, ``False`` or ``None`` (unknown). Operands are tested by identity, so that a value that
is not a Boolean is never taken for one.
"""

from __future__ import annotations

from typing import Any


def and_(left: bool | None, right: bool | None) -> bool | None:
    """False if either operand is false, true if both are true, else null (table 9-A)."""
    if left is False or right is False:
        return False
    if left is None or right is None:
        return None
    return True


def or_(left: bool | None, right: bool | None) -> bool | None:
    """True if either operand is true, false if both are false, else null (table 9-C)."""
    if left is True or right is True:
        return True
    if left is None or right is None:
        return None
    return False


def xor(left: bool | None, right: bool | None) -> bool | None:
    """True if exactly one operand is true; null if either is null (table 9-D)."""
    if left is None or right is None:
        return None
    return left is not right


def not_(operand: bool | None) -> bool | None:
    """The negation; null of null (table 9-B)."""
    return None if operand is None else not operand


def implies(left: bool | None, right: bool | None) -> bool | None:
    """True if the left is false or the right is true, false if true implies false, else null (table 9-A1)."""
    if left is False or right is True:
        return True
    if left is None or right is None:
        return None
    return False


def is_true(operand: bool | None) -> bool:
    """Whether the operand is true; never null."""
    return operand is True


def is_false(operand: bool | None) -> bool:
    """Whether the operand is false; never null."""
    return operand is False


def is_null(operand: Any) -> bool:
    """Whether the operand is null; never null."""
    return operand is None


def coalesce(*operands: Any) -> Any:
    """The first operand that is not null; of a single list operand, the first element that is not null."""
    if len(operands) == 1 and type(operands[0]) is list:
        return coalesce_list(operands[0])
    for operand in operands:
        if operand is not None:
            return operand
    return None


def coalesce_list(source: list[Any] | None) -> Any:
    """The first element of a list that is not null; null where there is none."""
    for element in source or ():
        if element is not None:
            return element
    return None
