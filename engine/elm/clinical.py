"""Codes, concepts, quantities, value sets and code systems: selectors, references, membership; ages.

ELM: "Clinical Values", "Clinical Operators". Membership operators name their value set or code system by a
reference, or since CQL 1.5 by an expression; the expression decides where both are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from measurewise.engine.elm.element import (
    BinaryExpression,
    Expression,
    OperatorExpression,
    PrecisionExpression,
    UnaryExpression,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeSystemRef(Expression):
    """A code system by the name of its definition."""

    name: str
    library_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueSetRef(Expression):
    """A value set by the name of its definition; unless ``preserve``, its expansion."""

    name: str
    library_name: str | None = None
    preserve: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeRef(Expression):
    """A code by the name of its definition."""

    name: str
    library_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConceptRef(Expression):
    """A concept by the name of its definition."""

    name: str
    library_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Code(Expression):
    """A code selector."""

    code: str
    system: CodeSystemRef | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Concept(Expression):
    """A concept selector."""

    code: tuple[Code, ...] = ()
    display: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantity(Expression):
    """A quantity selector; the unit is a UCUM unit or a calendar duration, none is ``1``."""

    value: Decimal | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ratio(Expression):
    """A ratio selector."""

    numerator: Quantity
    denominator: Quantity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InCodeSystem(OperatorExpression):
    """True where a code is in a code system."""

    code: Expression
    codesystem: CodeSystemRef | None = None
    codesystem_expression: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnyInCodeSystem(OperatorExpression):
    """True where one of the codes is in a code system."""

    codes: Expression
    codesystem: CodeSystemRef | None = None
    codesystem_expression: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InValueSet(OperatorExpression):
    """True where a code is in a value set."""

    code: Expression
    valueset: ValueSetRef | None = None
    valueset_expression: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnyInValueSet(OperatorExpression):
    """True where one of the codes is in a value set."""

    codes: Expression
    valueset: ValueSetRef | None = None
    valueset_expression: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeSystemContains(OperatorExpression):
    """InCodeSystem with its operands the other way round."""

    codesystem: CodeSystemRef | None = None
    codesystem_expression: Expression | None = None
    code: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeSystemContainsAny(OperatorExpression):
    """AnyInCodeSystem with its operands the other way round."""

    codesystem: CodeSystemRef | None = None
    codesystem_expression: Expression | None = None
    codes: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueSetContains(OperatorExpression):
    """InValueSet with its operands the other way round."""

    valueset: ValueSetRef | None = None
    valueset_expression: Expression | None = None
    code: Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueSetContainsAny(OperatorExpression):
    """AnyInValueSet with its operands the other way round."""

    valueset: ValueSetRef | None = None
    valueset_expression: Expression | None = None
    codes: Expression


class ExpandValueSet(UnaryExpression):
    """The codes of a value set."""

    __slots__ = ()


class Subsumes(BinaryExpression):
    """True where the first code is the second or an ancestor of it."""

    __slots__ = ()


class SubsumedBy(BinaryExpression):
    """True where the second code is the first or an ancestor of it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalculateAge(UnaryExpression):
    """Whole periods of a precision from a birth date to the evaluation."""

    precision: str | None = None


class CalculateAgeAt(PrecisionExpression):
    """Whole periods of a precision from a birth date to another date."""

    __slots__ = ()
