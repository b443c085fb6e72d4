"""Expressions that have one value for a whole run: they hang on literals, parameters and "now" alone.

``start of "Measurement Period" - 2 years`` is the same for every patient, so it is evaluated once when a
program is bound to its parameters and is a plain global name in the functions that use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from measurewise.engine import elm
from measurewise.engine.compiler.writer import Term

if TYPE_CHECKING:
    from measurewise.engine.compiler.assembly import Assembly
    from measurewise.engine.compiler.unit import Unit

HOISTED = (
    elm.Start,
    elm.End,
    elm.Interval,
    elm.DateFrom,
    elm.ToDateTime,
    elm.ToDate,
    elm.Add,
    elm.Subtract,
    elm.DateTime,
    elm.Date,
    elm.Time,
    elm.ToConcept,
    elm.ToQuantity,
    elm.ToDecimal,
    elm.Property,
    elm.Negate,
    elm.Multiply,
    elm.List,
    elm.ToList,
    elm.As,
    elm.DateTimeComponentFrom,
    elm.ExpressionRef,
)
"""Nodes worth evaluating once, and total: none of them stops an evaluation."""

LEAVES = (
    elm.Literal,
    elm.Null,
    elm.Quantity,
    elm.Code,
    elm.CodeRef,
    elm.ConceptRef,
    elm.Now,
    elm.Today,
    elm.ParameterRef,
)


class Constants:
    """Finds and emits the run constants of a program."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._terms: dict[int, Term | None] = {}
        self._is: dict[tuple[int, int], bool] = {}
        self._building = 0
        self._count = 0

    def of(self, unit: Unit, node: elm.Expression) -> Term | None:
        """The global name holding a node's value, or None when it is no run constant."""
        if not isinstance(node, HOISTED) or isinstance(node, elm.FunctionRef):
            return None
        if self._building and not isinstance(node, elm.ExpressionRef):
            return None
        if id(node) in self._terms:
            return self._terms[id(node)]
        term = self._make(unit, node) if self._constant(unit, node) else None
        self._terms[id(node)] = term
        return term

    @contextmanager
    def inline(self) -> Iterator[None]:
        """What is emitted inside makes no use of run constants."""
        self._building += 1
        yield
        self._building -= 1

    def _make(self, unit: Unit, node: elm.Expression) -> Term | None:
        from measurewise.engine.compiler.emitter import Emitter

        if isinstance(node, elm.ExpressionRef):
            owner = self._assembly.unit_named(unit, node.library_name, node)
            expression = owner.definition(node.name).expression
            assert expression is not None
            if not isinstance(expression, HOISTED):
                return None
            building, self._building = self._building, 0
            term = self.of(owner, expression)
            self._building = building
            return term
        self._building += 1
        try:
            em = Emitter(self._assembly, unit, f"library {unit.label}")
            value = em.expr(node)
        finally:
            self._building -= 1
        if value.atomic:
            return value
        self._count += 1
        name = f"K{self._count}"
        em.w.emit(f"return {value.text}")
        maker = f"def {name.lower()}():\n{em.w.text()}\n"
        # An error is the patient's who needs the value, not the run's.
        attempt = f"try:\n    {name} = {name.lower()}()\nexcept EvaluationError as error:\n"
        self._assembly.prelude.append(f"{maker}\n{attempt}    FAILED[{name!r}] = error")
        return Term(name, value.type, atomic=True, nullable=value.nullable, origin=value.origin)

    def _constant(self, unit: Unit, node: elm.Expression) -> bool:
        key = (id(unit), id(node))
        known = self._is.get(key)
        if known is None:
            self._is[key] = False
            known = self._is[key] = self._examine(unit, node)
        return known

    def _examine(self, unit: Unit, node: elm.Expression) -> bool:
        if isinstance(node, elm.FunctionRef):
            return False
        if isinstance(node, elm.ExpressionRef):
            owner = self._assembly.unit_named(unit, node.library_name, node)
            if not owner.has_definition(node.name):
                return False
            expression = owner.definition(node.name).expression
            return (
                expression is not None
                and isinstance(expression, HOISTED)
                and self._constant(owner, expression)
            )
        if isinstance(node, LEAVES):
            return True
        if not isinstance(node, HOISTED):
            return False
        if isinstance(node, elm.Property) and (node.scope is not None or node.source is None):
            return False
        return all(
            self._constant(unit, child) for child in elm.children(node) if isinstance(child, elm.Expression)
        )
