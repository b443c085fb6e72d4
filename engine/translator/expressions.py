"""Which chapter translates which kind of expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from measurewise.engine.cql import tree
from measurewise.engine.translator import (
    calls,
    operations,
    queries,
    references,
    retrieves,
    terms,
    timing,
    type_operations,
)
from measurewise.engine.translator.context import Context, Typed
from measurewise.engine.translator.diagnostics import Abandoned


def _parenthesized(c: Context, node: tree.Parenthesized) -> Typed:
    return c.expression(node.expression)


def _missing(c: Context, node: tree.Missing) -> Typed:
    raise Abandoned


def _constant(c: Context, node: tree.ExternalConstant) -> Typed:
    raise c.fail(node, f"%{node.name} has no value in CQL.", "Declare a parameter.")


_CHAPTERS: dict[type[tree.Expression], Callable[[Context, Any], Typed]] = {
    tree.Missing: _missing,
    tree.Parenthesized: _parenthesized,
    tree.ExternalConstant: _constant,
    tree.Identifier: references.identifier,
    tree.Member: references.member,
    tree.IterationVariable: references.iteration,
    tree.FunctionCall: calls.function_call,
    tree.MethodCall: calls.method_call,
    tree.Literal: terms.literal,
    tree.Quantity: terms.quantity,
    tree.Ratio: terms.ratio,
    tree.IntervalSelector: terms.interval,
    tree.TupleSelector: terms.tuple_selector,
    tree.InstanceSelector: terms.instance,
    tree.ListSelector: terms.list_selector,
    tree.CodeSelector: terms.code,
    tree.ConceptSelector: terms.concept,
    tree.Indexer: operations.indexer,
    tree.Unary: operations.unary,
    tree.Binary: operations.binary,
    tree.Membership: operations.membership,
    tree.Between: operations.between,
    tree.TruthTest: operations.truth_test,
    tree.If: operations.conditional,
    tree.Case: operations.case,
    tree.SetAggregate: operations.set_aggregate,
    tree.TypeTest: type_operations.type_test,
    tree.As: type_operations.cast,
    tree.Cast: type_operations.cast,
    tree.Convert: type_operations.convert,
    tree.TypeExtent: type_operations.type_extent,
    tree.ComponentFrom: timing.component_from,
    tree.DurationOf: timing.duration_of,
    tree.DurationBetween: timing.duration_between,
    tree.Timing: timing.timing,
    tree.Retrieve: retrieves.retrieve,
    tree.Query: queries.query,
}


def translate_expression(c: Context, node: tree.Expression) -> Typed:
    """The ELM of an expression with its type."""
    return _CHAPTERS[type(node)](c, node)
