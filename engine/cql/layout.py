"""Where a formatted library breaks its lines: decided on the syntax tree, written down by token.

What fits on one line stays on one line. What does not breaks where its construct says: a query before each
clause, a chain of operators before each operator, brackets around their content. Conventions: CQL 1.5.3,
Appendix G.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise
from typing import Any

from measurewise.engine.cql.lexer import END, Tokens
from measurewise.engine.cql.tree import (
    AggregateClause,
    Between,
    Binary,
    Case,
    ConceptSelector,
    Definition,
    Expression,
    ExpressionDefinition,
    FunctionCall,
    FunctionDefinition,
    If,
    Indexer,
    InstanceSelector,
    IntervalSelector,
    ListSelector,
    Member,
    Membership,
    MethodCall,
    Node,
    ParameterDefinition,
    Parenthesized,
    Query,
    Ratio,
    Retrieve,
    ReturnClause,
    SyntaxTree,
    Timing,
    TupleSelector,
    TypeSpecifier,
    Unary,
)

WIDTH = 100
STEP = 2
_ENDLESS = 1_000_000

_TIGHT_AFTER = frozenset({"(", "[", ".", "%"})
_TIGHT_BEFORE = frozenset({")", "]", ",", ".", ":"})
# Operators that may be written in one chain, as the parser groups them.
_CHAINS = [
    {"^"},
    {"*", "/", "div", "mod"},
    {"+", "-", "&"},
    {"|", "union", "intersect", "except"},
    {"<=", "<", ">", ">="},
    {"=", "!=", "~", "!~"},
    {"and"},
    {"or", "xor"},
    {"implies"},
]
_CHAIN_OF = {operator: index for index, chain in enumerate(_CHAINS) for operator in chain}


def children(node: Node) -> Iterator[Node]:
    """The nodes right below a node, in the order of the text; comments and tags are none."""
    found: list[Node] = []
    for field in dataclasses.fields(node):
        if field.name in ("span", "comments", "tags"):
            continue
        value = getattr(node, field.name)
        if isinstance(value, Node):
            found.append(value)
        elif isinstance(value, tuple):
            found.extend(item for item in value if isinstance(item, Node))
    return iter(sorted(found, key=lambda item: item.span.start))


class Layout:
    """The breaks of one library.

    ``breaks`` gives the indentation of each token that begins a line, ``tight`` the tokens with no space
    before.
    """

    def __init__(self, tree: SyntaxTree, tokens: Tokens) -> None:
        self.tokens = tokens
        self.kinds = tokens.kinds
        self.last = tokens.kinds.index(END)
        self.breaks: dict[int, int] = {}
        self.tight = self._spacing()
        for definition in tree.definitions:
            self._mark(definition)
        self._widths = self._measure()
        self._lays: dict[type[Node], Callable[[Any, int, int], int]] = {
            Binary: self._chain,
            Membership: self._operator,
            Timing: self._operator,
            Between: self._between,
            Query: self._query,
            Parenthesized: self._parenthesized,
            FunctionCall: self._call,
            MethodCall: self._call,
            Member: self._suffixed,
            Indexer: self._suffixed,
            ListSelector: self._braces,
            TupleSelector: self._braces,
            InstanceSelector: self._braces,
            ConceptSelector: self._braces,
            IntervalSelector: self._interval,
            If: self._if,
            Case: self._case,
            Unary: self._unary,
            Retrieve: self._retrieve,
        }
        for definition in tree.definitions:
            self._definition(definition)

    # --- tokens of nodes --------------------------------------------------------------------------------

    def first(self, node: Node) -> int:
        """The index of a node's first token."""
        return bisect_left(self.tokens.starts, node.span.start, 0, self.last)

    def past(self, node: Node) -> int:
        """The index after a node's last token."""
        return bisect_left(self.tokens.ends, node.span.end, 0, self.last) + 1

    def spelling(self, index: int) -> str:
        """A token as it is written out; two-word tokens with one space."""
        kind = self.kinds[index]
        return kind if " " in kind else self.tokens.spelling(index)

    # --- spacing ----------------------------------------------------------------------------------------

    def _spacing(self) -> list[bool]:
        kinds = self.kinds
        tight = [False] * (self.last + 1)
        for index in range(1, self.last + 1):
            before, kind = kinds[index - 1], kinds[index]
            tight[index] = before in _TIGHT_AFTER or kind in _TIGHT_BEFORE
        return tight

    def _mark(self, node: Node) -> None:
        # What only the tree tells: calls, indexers, intervals, type arguments, signs, ratios.
        stack = [node]
        while stack:
            node = stack.pop()
            stack.extend(children(node))
            if isinstance(node, FunctionCall | MethodCall | FunctionDefinition):
                self.tight[self.past(node.name)] = True
            elif isinstance(node, Indexer):
                self.tight[self.past(node.source)] = True
            elif isinstance(node, IntervalSelector):
                self.tight[self.first(node) + 1] = True
            elif isinstance(node, TypeSpecifier):
                for index in range(self.first(node) + 1, self.past(node)):
                    if self.kinds[index] in ("<", ">") or self.kinds[index - 1] == "<":
                        self.tight[index] = True
            elif isinstance(node, ListSelector) and node.element_type is not None:
                first, past = self.first(node.element_type), self.past(node.element_type)
                self.tight[first] = self.tight[first - 1] = self.tight[past] = True
            elif isinstance(node, Unary) and node.operator in ("+", "-"):
                self.tight[self.first(node) + 1] = True
            elif isinstance(node, Ratio):
                self.tight[self.past(node.numerator)] = False

    def _measure(self) -> list[int]:
        # Running widths; a comment or a line break inside a token makes what holds it too wide for one line.
        widths = [0]
        for index in range(self.last):
            spelling = self.spelling(index)
            width = len(spelling) + (0 if self.tight[index] else 1)
            widths.append(widths[-1] + (_ENDLESS if "\n" in spelling else width))
        # comments[i]: how many comments stand before the tokens up to i, i not included
        counts = [0] * (self.last + 2)
        for index, _, _ in self.tokens.comments:
            counts[index + 1] += 1
        self._comments = list(accumulate(counts))
        return widths

    def flat(self, first: int, past: int) -> int:
        """The width of some tokens on one line; endless when a comment stands between them."""
        if past <= first:
            return 0
        if self._comments[past] > self._comments[first + 1]:
            return _ENDLESS
        return self._widths[past] - self._widths[first] - (0 if self.tight[first] else 1)

    def space(self, index: int) -> int:
        """The width of the space before a token."""
        return 0 if self.tight[index] else 1

    # --- laying out -------------------------------------------------------------------------------------

    def _break(self, index: int, indent: int) -> None:
        self.breaks.setdefault(index, indent)

    def lay(self, node: Node, indent: int, column: int, tail: int = 0) -> int:
        """Lay a node out from a column, its further lines at least at ``indent``; the column after it.

        ``tail`` is the width of what must follow on the node's last line.
        """
        width = self.flat(self.first(node), self.past(node))
        if column + width + tail <= WIDTH:
            return column + width
        return self._lays.get(type(node), self._plain)(node, indent, column)

    def _plain(self, node: Node, indent: int, column: int) -> int:
        at = self.first(node)
        for child in children(node):
            first = self.first(child)
            if first > at:
                column += self.flat(at, first) + self.space(first)
            column = self.lay(child, indent + STEP, column)
            at = self.past(child)
        return self._rest(at, self.past(node), column)

    def _rest(self, at: int, past: int, column: int) -> int:
        return column + self.space(at) + self.flat(at, past) if past > at else column

    def _unary(self, node: Unary, indent: int, column: int) -> int:
        first = self.first(node.operand)
        column += self.flat(self.first(node), first) + self.space(first)
        return self.lay(node.operand, indent, column)

    def _chain(self, node: Binary, indent: int, column: int) -> int:
        chain = _CHAIN_OF[node.operator]
        operands: list[Expression] = []
        head: Expression = node
        while isinstance(head, Binary) and _CHAIN_OF[head.operator] == chain:
            operands.append(head.right)
            head = head.left
        operands.append(head)
        operands.reverse()
        return self._operands(operands, indent, column)

    def _operands(self, operands: list[Expression], indent: int, column: int) -> int:
        column = self.lay(operands[0], indent, column)
        for left, right in pairwise(operands):
            column = self._continue(self.past(left), right, indent + STEP)
        return column

    def _continue(self, at: int, node: Node, indent: int, tail: int = 0) -> int:
        """Begin a line at a token and lay out the node that follows it there."""
        self._break(at, indent)
        first = self.first(node)
        column = indent + self.flat(at, first) + (self.space(first) if first > at else 0)
        return self.lay(node, indent, column, tail)

    def _operator(self, node: Membership | Timing, indent: int, column: int) -> int:
        return self._operands([node.left, node.right], indent, column)

    def _between(self, node: Between, indent: int, column: int) -> int:
        return self._operands([node.operand, node.low, node.high], indent, column)

    def _bracketed(self, opening: int, items: list[Node], closing: int, indent: int) -> int:
        for item in items:
            first = self.first(item)
            self._break(first, indent + STEP)
            self.lay(item, indent + STEP, indent + STEP, 1)
        if closing > opening + 1:
            self._break(closing, indent)
            return indent + 1
        return indent

    def _parenthesized(self, node: Parenthesized, indent: int, column: int) -> int:
        return self._bracketed(self.first(node), [node.expression], self.past(node) - 1, indent)

    def _call(self, node: FunctionCall | MethodCall, indent: int, column: int) -> int:
        opening = self.past(node.name)
        if isinstance(node, MethodCall):
            column = self.lay(node.source, indent, column) + 1 + len(self.spelling(opening - 1))
        else:
            column += len(self.spelling(opening - 1))
        if not node.arguments or column + self.flat(opening, self.past(node)) <= WIDTH:
            return column + self.flat(opening, self.past(node))
        return self._bracketed(opening, list(node.arguments), self.past(node) - 1, indent)

    def _suffixed(self, node: Member | Indexer, indent: int, column: int) -> int:
        column = self.lay(node.source, indent, column)
        return self._rest(self.past(node.source), self.past(node), column)

    def _braces(
        self,
        node: ListSelector | TupleSelector | InstanceSelector | ConceptSelector,
        indent: int,
        column: int,
    ) -> int:
        items: list[Node] = list(node.codes if isinstance(node, ConceptSelector) else node.elements)
        closing = self.past(node) - 1
        if isinstance(node, ConceptSelector) and node.display is not None:
            closing = self.first(node.display) - 2
        if not items:
            return column + self.flat(self.first(node), self.past(node))
        end = self._bracketed(self.first(items[0]) - 1, items, closing, indent)
        return self._rest(closing + 1, self.past(node), end)

    def _interval(self, node: IntervalSelector, indent: int, column: int) -> int:
        self.lay(node.low, indent + STEP, column + len("Interval["), 1)
        self._break(self.first(node.high), indent + STEP)
        return self.lay(node.high, indent + STEP, indent + STEP, 1) + 1

    def _retrieve(self, node: Retrieve, indent: int, column: int) -> int:
        if node.terminology is None:
            return self._plain(node, indent, column)
        after_type = self.past(node.type) + 1
        self._break(after_type, indent + STEP)
        first = self.first(node.terminology)
        column = (
            indent + STEP + self.flat(after_type, first) + (self.space(first) if first > after_type else 0)
        )
        return self.lay(node.terminology, indent + STEP, column, 1) + 1

    def _if(self, node: If, indent: int, column: int) -> int:
        self.lay(node.condition, indent + STEP, column + 3, 5)
        self._break(self.first(node.then), indent + STEP)
        self.lay(node.then, indent + STEP, indent + STEP)
        self._break(self.past(node.then), indent)
        if isinstance(node.otherwise, If):
            # A ladder of conditions keeps one indentation.
            return self._if(node.otherwise, indent, indent + 5)
        self._break(self.first(node.otherwise), indent + STEP)
        return self.lay(node.otherwise, indent + STEP, indent + STEP)

    def _case(self, node: Case, indent: int, column: int) -> int:
        if node.comparand is not None:
            self.lay(node.comparand, indent + STEP, column + 5)
        inner = indent + STEP
        for item in node.items:
            self._break(self.first(item), inner)
            width = self.flat(self.first(item), self.past(item))
            if inner + width > WIDTH:
                self.lay(item.when, inner + STEP, inner + 5)
                self._continue(self.past(item.when), item.then, inner + STEP)
        self._continue(self.first(node.otherwise) - 1, node.otherwise, inner)
        self._break(self.past(node) - 1, indent)
        return indent + 3

    # --- queries ----------------------------------------------------------------------------------------

    def _query(self, node: Query, indent: int, column: int) -> int:
        inner = indent + STEP
        for index, source in enumerate(node.sources):
            first = self.first(source)
            if index:
                self._break(first, inner)
                column = inner
            elif first > self.first(node):
                column += 5
            column = self.lay(source.source, inner if index else indent, column)
            column = self._rest(self.past(source.source), self.past(source), column)
        for index, let in enumerate(node.lets):
            first = self.first(let)
            if index:
                self._break(first, inner + STEP)
                start = inner + STEP
            else:
                self._break(first - 1, inner)
                start = inner + 4
            value = self.first(let.value)
            column = self.lay(let.value, inner + STEP, start + self.flat(first, value) + 1, 1)
        for relationship in node.relationships:
            first = self.first(relationship)
            self._break(first, inner)
            start = inner + len(self.spelling(first)) + 1
            self.lay(relationship.source, inner, start)
            column = self._continue(self.past(relationship.source), relationship.condition, inner + STEP)
        if node.where is not None:
            column = self._continue(self.first(node.where) - 1, node.where, inner)
        if node.result is not None:
            column = self._result(node.result, inner)
        if node.sort is not None:
            self._break(self.first(node.sort), inner)
            column = self.lay(node.sort, inner, inner)
        return column

    def _result(self, clause: ReturnClause | AggregateClause, indent: int) -> int:
        first, value = self.first(clause), self.first(clause.value)
        if self.flat(first, value) < _ENDLESS:
            return self._continue(first, clause.value, indent)
        self._break(first, indent)
        return self.lay(clause, indent, indent)

    # --- definitions ------------------------------------------------------------------------------------

    def _definition(self, node: Definition) -> None:
        if isinstance(node, ExpressionDefinition):
            self._body(node.expression)
        elif isinstance(node, FunctionDefinition):
            end = self.past(node) if node.body is None else self.first(node.body)
            if self.flat(self.first(node), end) > WIDTH and node.operands:
                closing = self.past(node.operands[-1])
                self._bracketed(self.past(node.name), list(node.operands), closing, 0)
            if node.body is not None:
                self._body(node.body)
        elif isinstance(node, ParameterDefinition) and node.default is not None:
            first = self.first(node.default)
            if self.flat(self.first(node), self.past(node)) > WIDTH:
                self._break(first - 1, STEP)
                self.lay(node.default, STEP, STEP + len("default "))
        else:
            self.lay(node, 0, 0)

    def _body(self, expression: Expression) -> None:
        self._break(self.first(expression), STEP)
        self.lay(expression, STEP, STEP)
