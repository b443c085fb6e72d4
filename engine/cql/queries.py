"""Queries and retrieves (cql.g4, "Queries"; CQL 1.5.3 Author's Guide, "Queries", "Retrieve")."""

from __future__ import annotations

from measurewise.engine.cql.cursor import NAMES, REFERENTIAL
from measurewise.engine.cql.lexer import escape
from measurewise.engine.cql.timing import TimingParser
from measurewise.engine.cql.tree import (
    AggregateClause,
    AliasedSource,
    CodePath,
    Expression,
    LetItem,
    Member,
    Missing,
    Query,
    Relationship,
    Retrieve,
    ReturnClause,
    SortClause,
    SortItem,
    Span,
)

_ASCENDING = frozenset({"asc", "ascending"})
_DESCENDING = frozenset({"desc", "descending"})
_COMPARATORS = frozenset({"in", "=", "~"})


class QueryParser(TimingParser):
    """Reads queries."""

    # --- retrieve -------------------------------------------------------------------------------------------

    def retrieve(self) -> Retrieve:
        """``[context -> Type: path comparator terminology]``."""
        start = self.starts[self.i]
        self.i += 1
        outer, self.in_cast = self.in_cast, False
        context = None
        if self.kinds[self._past_names(self.i)] == "->":
            context = self._qualified_expression()
            self.i += 1
        type_ = self.named_type()
        path = comparator = terminology = None
        if self.accept(":"):
            end = self._past_path(self.i)
            if self.kinds[end] in _COMPARATORS:
                path = self._code_path(end)
                comparator = self.kinds[self.i]
                self.i += 1
            terminology = self.expression()
        self.expect("]")
        self.in_cast = outer
        return Retrieve(self.span(start), context, type_, path, comparator, terminology)

    def _past_names(self, index: int) -> int:
        kinds = self.kinds
        if kinds[index] not in REFERENTIAL:
            return index
        index += 1
        while kinds[index] == "." and kinds[index + 1] in REFERENTIAL:
            index += 2
        return index

    def _past_path(self, index: int) -> int:
        kinds = self.kinds
        if kinds[index] not in REFERENTIAL:
            return index
        index += 1
        while True:
            if kinds[index] == "." and kinds[index + 1] in REFERENTIAL:
                index += 2
            elif kinds[index] == "[" and kinds[index + 1] in ("NUMBER", "STRING") and kinds[index + 2] == "]":
                index += 3
            else:
                return index

    def _code_path(self, end: int) -> CodePath:
        start = self.starts[self.i]
        parts: list[str] = []
        while self.i < end:
            kind = self.kinds[self.i]
            if kind in NAMES:
                parts.append(self.identifier("a path").name)
            elif kind == "STRING":
                parts.append(escape(self.expect_string("a key"), "'"))
            else:
                parts.append(self.spelling())
                self.i += 1
        return CodePath(self.span(start), "".join(parts))

    def _qualified_expression(self) -> Expression:
        start = self.starts[self.i]
        name: Expression = self.identifier("a name", REFERENTIAL)
        while self.kinds[self.i] == "." and self.kinds[self.i + 1] in REFERENTIAL:
            self.i += 1
            member = self.identifier("a name", REFERENTIAL)
            name = Member(self.span(start), name, member)
        return name

    # --- query ----------------------------------------------------------------------------------------------

    def from_query(self) -> Query:
        """``from A a, B b ...``."""
        start = self.starts[self.i]
        self.i += 1
        return self._query(start, self._aliased_source())

    def query_of(self, source: Expression) -> Query:
        """A query whose first source was just read; the current token is its alias."""
        alias = self.identifier("an alias")
        first = AliasedSource(self.span(source.span.start), source, alias)
        return self._query(source.span.start, first)

    def _query(self, start: int, first: AliasedSource) -> Query:
        sources = [first]
        while self.kinds[self.i] == "," and self._aliased_source_at(self.i + 1):
            self.i += 1
            sources.append(self._aliased_source())
        lets: list[LetItem] = []
        if self.accept("let"):
            lets.append(self._let_item())
            while (
                self.kinds[self.i] == ","
                and self.kinds[self.i + 1] in NAMES
                and self.kinds[self.i + 2] == ":"
            ):
                self.i += 1
                lets.append(self._let_item())
        relationships: list[Relationship] = []
        while self.kinds[self.i] in ("with", "without"):
            relationships.append(self._relationship())
        where = self.expression() if self.accept("where") else None
        result: ReturnClause | AggregateClause | None = None
        kind = self.kinds[self.i]
        if kind == "return":
            result = self._return()
        elif kind == "aggregate":
            result = self._aggregate()
        sort = self._sort() if self.kinds[self.i] == "sort" else None
        return Query(self.span(start), tuple(sources), tuple(lets), tuple(relationships), where, result, sort)

    def _aliased_source_at(self, index: int) -> bool:
        # A comma after a source may also belong to the list or the arguments that the query stands in.
        kind = self.kinds[index]
        past = self.past_bracket(index) if kind in ("[", "(") else self._past_names(index)
        return past > index and self.kinds[past] in NAMES

    def _aliased_source(self) -> AliasedSource:
        start = self.starts[self.i]
        kind = self.kinds[self.i]
        source: Expression
        if kind == "[":
            source = self.retrieve()
        elif kind == "(":
            source = self.parenthesized()
        elif kind in REFERENTIAL:
            source = self._qualified_expression()
        else:
            self.missing(("a source (a retrieve, a name or an expression in parentheses)",))
            source = Missing(Span(start, start))
        alias = self.identifier("an alias for the source")
        return AliasedSource(self.span(start), source, alias)

    def _let_item(self) -> LetItem:
        start = self.starts[self.i]
        name = self.identifier("a name for the value")
        self.expect(":")
        value = self.expression()
        return LetItem(self.span(start), name, value)

    def _relationship(self) -> Relationship:
        start = self.starts[self.i]
        without = self.kinds[self.i] == "without"
        self.i += 1
        source = self._aliased_source()
        self.expect("such that")
        condition = self.expression()
        return Relationship(self.span(start), without, source, condition)

    def _modifier(self) -> str | None:
        kind = self.kinds[self.i]
        if kind in ("all", "distinct"):
            self.i += 1
            return kind
        return None

    def _return(self) -> ReturnClause:
        start = self.starts[self.i]
        self.i += 1
        modifier = self._modifier()
        value = self.expression()
        return ReturnClause(self.span(start), modifier, value)

    def _aggregate(self) -> AggregateClause:
        start = self.starts[self.i]
        self.i += 1
        modifier = self._modifier()
        name = self.identifier("a name for the accumulated value")
        starting: Expression | None = None
        if self.accept("starting"):
            starting = self._starting()
        self.expect(":")
        value = self.expression()
        return AggregateClause(self.span(start), modifier, name, starting, value)

    def _starting(self) -> Expression:
        kind = self.kinds[self.i]
        if kind == "NUMBER":
            return self.number_or_quantity()
        if kind == "STRING":
            return self.string_literal("a string")
        if kind == "(":
            return self.parenthesized()
        mend = "Put the starting value in parentheses."
        if kind not in self.beginners:
            self.missing(("the starting value",), mend)
            return Missing(Span(self.starts[self.i], self.starts[self.i]))
        self.report("Only a string, a number or a quantity may stand here without parentheses.", (), mend)
        return self.term()

    def _sort(self) -> SortClause:
        start = self.starts[self.i]
        self.i += 1
        direction = self._direction()
        if direction is not None:
            return SortClause(self.span(start), (), direction)
        if not self.accept("by"):
            self.missing(("'by'", "'asc'", "'desc'"))
        items = [self._sort_item()]
        while self.accept(","):
            items.append(self._sort_item())
        return SortClause(self.span(start), tuple(items), False)

    def _sort_item(self) -> SortItem:
        start = self.starts[self.i]
        value = self.term()
        direction = self._direction()
        return SortItem(self.span(start), value, bool(direction))

    def _direction(self) -> bool | None:
        kind = self.kinds[self.i]
        if kind in _ASCENDING or kind in _DESCENDING:
            self.i += 1
            return kind in _DESCENDING
        return None
