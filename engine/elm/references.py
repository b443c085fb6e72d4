"""References to definitions, functions, parameters and operands.

ELM: "Expressions", "Reusing Logic", "Parameters".
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import Expression, TypeSpecifier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExpressionRef(Expression):
    """The value of a definition, of the library with the local name ``library_name`` or of this one."""

    name: str
    library_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FunctionRef(ExpressionRef):
    """A call of a function."""

    signature: tuple[TypeSpecifier, ...] = ()
    operand: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParameterRef(Expression):
    """The value of a parameter."""

    name: str
    library_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperandRef(Expression):
    """The value of an operand inside the body of its function."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IdentifierRef(Expression):
    """A name that the translator left open: inside a sort, an element of the row."""

    name: str
    library_name: str | None = None
