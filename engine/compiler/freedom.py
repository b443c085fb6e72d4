"""What an expression hangs on: the aliases, lets, operands and rows it takes from around it.

A closed expression hangs on nothing but the patient, so it has one value for a patient however often, and in
whichever loop, it is asked for.
"""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.compiler.unit import Unit

Free = frozenset[str]
NOTHING: Free = frozenset()

ROW = "$row"
"""Stands for the row of an enclosing sort or iteration."""


class Freedom:
    """Free names of nodes, each found once."""

    def __init__(self) -> None:
        self._free: dict[int, Free] = {}
        self._heavy: dict[int, bool] = {}
        self._sizes: dict[int, int] = {}

    def closed(self, node: elm.Element) -> bool:
        """Whether a node hangs on nothing around it."""
        return not self.free(node)

    def free(self, node: elm.Element) -> Free:
        """The names that a node takes from around it: aliases and lets by name, operands with a colon
        before."""
        known = self._free.get(id(node))
        if known is None:
            known = self._free[id(node)] = self._find(node)
        return known

    def _find(self, node: elm.Element) -> Free:
        if isinstance(node, elm.AliasRef | elm.QueryLetRef):
            return frozenset((node.name,))
        if isinstance(node, elm.OperandRef):
            return frozenset((":" + node.name,))
        if isinstance(node, elm.IdentifierRef | elm.Current | elm.Iteration | elm.Total):
            return frozenset((ROW,))
        if isinstance(node, elm.Property) and node.scope is not None:
            return frozenset((node.scope,))
        found: set[str] = set()
        if isinstance(node, elm.Query):
            self._query(node, found)
            return frozenset(found)
        for child in elm.children(node):
            found |= self.free(child)
        if isinstance(node, elm.Filter | elm.ForEach | elm.Repeat):
            found -= {ROW, "$this", node.scope or ROW}
        elif isinstance(node, elm.Aggregate | elm.Sort):
            found -= {ROW, "$this"}
        return frozenset(found)

    def _query(self, node: elm.Query, found: set[str]) -> None:
        bound = {s.alias for s in node.source} | {let.identifier for let in node.let}
        for source in node.source:
            found |= self.free(source.expression)
        inner: set[str] = set()
        for let in node.let:
            inner |= self.free(let.expression)
        for relation in node.relationship:
            found |= self.free(relation.expression) - bound
            inner |= self.free(relation.such_that) - {relation.alias}
        if node.where is not None:
            inner |= self.free(node.where)
        if node.return_ is not None:
            inner |= self.free(node.return_.expression)
        if node.aggregate is not None:
            inner |= self.free(node.aggregate.expression) - {node.aggregate.identifier}
            if node.aggregate.starting is not None:
                found |= self.free(node.aggregate.starting)
        if node.sort is not None:
            for item in node.sort.by:
                if isinstance(item, elm.ByExpression):
                    inner |= self.free(item.expression) - {ROW, "$this"}
        found |= inner - bound

    def size(self, function: elm.FunctionDef) -> int:
        """How many nodes the body of a function has."""
        known = self._sizes.get(id(function))
        if known is None:
            body = function.expression
            known = self._sizes[id(function)] = 0 if body is None else sum(1 for _ in elm.walk(body))
        return known

    def heavy(self, unit: Unit, function: elm.FunctionDef) -> bool:
        """Whether a function looks at more than its operands: at retrieves, definitions, or through
        others."""
        known = self._heavy.get(id(function))
        if known is None:
            self._heavy[id(function)] = False
            known = self._heavy[id(function)] = self._looks_around(unit, function)
        return known

    def heavy_call(self, unit: Unit, node: elm.FunctionRef) -> bool:
        """Whether any function a call may mean is heavy."""
        return any(self.heavy(unit, f) for f in unit.functions(node.name, len(node.operand)))

    def _looks_around(self, unit: Unit, function: elm.FunctionDef) -> bool:
        if function.expression is None:
            return False
        for node in elm.walk(function.expression):
            if isinstance(node, elm.Retrieve):
                return True
            if isinstance(node, elm.FunctionRef):
                owner = unit if node.library_name is None else unit.includes.get(node.library_name)
                if owner is not None and any(
                    self.heavy(owner, f) for f in owner.functions(node.name, len(node.operand))
                ):
                    return True
            elif isinstance(node, elm.ExpressionRef) and node.name != "Patient":
                return True
        return False
