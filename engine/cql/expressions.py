"""Operators: a Pratt parser over the two levels of CQL's grammar (cql.g4, "Expressions").

The grammar has *expressions* (logic, comparison, timing, queries) made of *expression terms* (arithmetic,
extractors, conditionals, selectors). An arithmetic operator takes terms only: ``A is null + 1`` is no CQL. A
number says how tightly an operator binds; operators of equal power group to the left.
"""

from __future__ import annotations

from collections.abc import Callable

from measurewise.engine.cql.cursor import CLOSERS, REFERENTIAL, Abandoned
from measurewise.engine.cql.lexer import DATE, DATETIME, END, LONG, NUMBER, STRING, TIME, Tokens, unescape
from measurewise.engine.cql.queries import QueryParser
from measurewise.engine.cql.terms import POLARITY
from measurewise.engine.cql.tree import (
    As,
    Between,
    Binary,
    Case,
    CaseItem,
    Cast,
    ComponentFrom,
    Convert,
    DurationBetween,
    DurationOf,
    Expression,
    If,
    Membership,
    Missing,
    SetAggregate,
    Span,
    Timing,
    TruthTest,
    TypeExtent,
    TypeTest,
    Unary,
)
from measurewise.engine.cql.words import (
    DATE_TIME_COMPONENTS,
    KEYWORDS,
    PLURAL_PRECISIONS,
    PRECISIONS,
    RESERVED,
    UNIT_WORDS,
)

# Terms.
_POWER = 70
_MULTIPLICATION = 60
_ADDITION = 50
# Expressions.
_TYPE = 45
_LOGICAL_PREFIX = 43
_BETWEEN = 40
_SET = 38
_INEQUALITY = 36
_TIMING = 34
_EQUALITY = 32
_MEMBERSHIP = 30
_AND = 28
_OR = 26
_IMPLIES = 24

_TERM_POWERS = {
    "^": _POWER,
    "*": _MULTIPLICATION,
    "/": _MULTIPLICATION,
    "div": _MULTIPLICATION,
    "mod": _MULTIPLICATION,
    "+": _ADDITION,
    "-": _ADDITION,
    "&": _ADDITION,
}
_BINARY_POWERS = {
    "|": _SET,
    "union": _SET,
    "intersect": _SET,
    "except": _SET,
    "<=": _INEQUALITY,
    "<": _INEQUALITY,
    ">": _INEQUALITY,
    ">=": _INEQUALITY,
    "=": _EQUALITY,
    "!=": _EQUALITY,
    "~": _EQUALITY,
    "!~": _EQUALITY,
    "and": _AND,
    "or": _OR,
    "xor": _OR,
    "implies": _IMPLIES,
}
_OTHER_POWERS = {
    "is": _TYPE,
    "as": _TYPE,
    "between": _BETWEEN,
    "in": _MEMBERSHIP,
    "contains": _MEMBERSHIP,
    **dict.fromkeys(
        (
            "same",
            "starts",
            "ends",
            "occurs",
            "properly",
            "includes",
            "during",
            "included in",
            "before",
            "after",
            "on or",
            "within",
            "meets",
            "overlaps",
            "less than",
            "more than",
            NUMBER,
        ),
        _TIMING,
    ),
}
_POWERS = {**_TERM_POWERS, **_BINARY_POWERS, **_OTHER_POWERS}
_SLIPS = {
    "=": "CQL compares with a single '='.",
    ">": "CQL writes '!=' for 'not equal'.",
    "&": "CQL writes 'and'.",
    "|": "CQL writes 'or'.",
}

_AFTER_A_NAME = frozenset({".", "=", ")", ",", "~", "<", ">"})

_Prefix = Callable[[], Expression]


class ExpressionParser(QueryParser):
    """Reads expressions."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(tokens)
        self.is_term = True
        of = dict.fromkeys(("start", "end", "width", "successor", "predecessor"), self._of)
        # What begins a term, whatever stands before it.
        self._terms: dict[str, _Prefix] = {
            **dict.fromkeys(REFERENTIAL, self._name),
            "(": self._parentheses,
            **dict.fromkeys(("true", "false", "null", DATE, DATETIME), self.literal),
            TIME: self.time_literal,
            STRING: self.string,
            NUMBER: self.number,
            LONG: self.long,
            "%": self.external_constant,
            **dict.fromkeys(("$this", "$index", "$total"), self.iteration_variable),
            "Interval": self.interval_selector,
            "{": self.list_or_tuple,
            "Tuple": self.tuple_selector,
            "List": self.list_selector,
            "Code": self.code_selector,
            "Concept": self.concept_selector,
            **dict.fromkeys(("+", "-"), self._polarity),
            **of,
            **dict.fromkeys(("singleton", "point"), self._from),
            **dict.fromkeys(DATE_TIME_COMPONENTS, self._component),
            **dict.fromkeys(("minimum", "maximum"), self._extent),
            "convert": self._convert,
            "if": self._if,
            "case": self._case,
            **dict.fromkeys(("distinct", "flatten"), self._list_operator),
            **dict.fromkeys(("expand", "collapse"), self._set_aggregate),
            **dict.fromkeys(("duration", "difference"), self._duration_of),
        }
        # What begins an expression that is no term, or may turn out to be none.
        self._expressions: dict[str, _Prefix] = {
            **dict.fromkeys(REFERENTIAL - set(of) - {"date", "time", "timezoneoffset"}, self._name_or_query),
            "(": self._parentheses_or_query,
            "[": self._retrieve_or_query,
            "from": self._from_query,
            "not": self._not,
            "exists": self._exists,
            "cast": self._cast,
            **dict.fromkeys(("duration", "difference"), self._duration),
            **dict.fromkeys(PLURAL_PRECISIONS, self._between_dates),
            **dict.fromkeys(of, self._of_or_name),
            **dict.fromkeys(("date", "time", "timezoneoffset"), self._component_or_name),
        }
        self.beginners = frozenset(self._terms) | frozenset(self._expressions)

    # --- the two loops --------------------------------------------------------------------------------------

    def expression(self, power: int = 0) -> Expression:
        """Any expression whose operators bind more tightly than ``power``."""
        self.enter()
        kinds = self.kinds
        kind = kinds[self.i]
        prefix = self._expressions.get(kind)
        if prefix is not None:
            left = prefix()  # sets is_term
        else:
            left = self._prefix_term(kind)
            self.is_term = True
        while True:
            kind = kinds[self.i]
            binding = _POWERS.get(kind)
            if binding is None or binding <= power:
                # Between binds more tightly than the timing phrases that may begin with the same word.
                if kind != "properly" or kinds[self.i + 1] != "between" or power >= _BETWEEN:
                    break
            if kind in _TERM_POWERS:
                if not self.is_term:
                    break
                self.i += 1
                right = self.term(binding or 0)
                left = Binary(Span(left.span[0], self.ends[self.i - 1]), kind, left, right)
                self.is_term = True
                continue
            if kind in _BINARY_POWERS:
                self.i += 1
                right = self.expression(binding or 0)
                left = Binary(Span(left.span[0], self.ends[self.i - 1]), kind, left, right)
            elif kind == "is":
                left = self._is(left)
            elif kind == "as":
                if self.in_cast:
                    break
                self.i += 1
                type_ = self.type_specifier()
                left = As(Span(left.span[0], self.ends[self.i - 1]), left, type_)
            elif kind == "in" or kind == "contains":
                self.i += 1
                precision = self.precision_of()
                right = self.expression(_MEMBERSHIP)
                left = Membership(Span(left.span[0], self.ends[self.i - 1]), kind, precision, left, right)
            elif kind == "between" or (kind == "properly" and kinds[self.i + 1] == "between"):
                left = self._between(left)
            else:
                if kind == NUMBER and not self.offset_ahead():
                    break
                phrase = self.timing_phrase()
                right = self.expression(_TIMING)
                left = Timing(Span(left.span[0], self.ends[self.i - 1]), left, phrase, right)
            self.is_term = False
        self.depth -= 1
        return left

    def term(self, power: int = 0) -> Expression:
        """An expression term whose operators bind more tightly than ``power``."""
        self.enter()
        left = self._prefix_term(self.kinds[self.i])
        while True:
            kind = self.kinds[self.i]
            binding = _TERM_POWERS.get(kind)
            if binding is None or binding <= power:
                break
            self.i += 1
            right = self.term(binding)
            left = Binary(Span(left.span[0], self.ends[self.i - 1]), kind, left, right)
        self.depth -= 1
        return left

    def _prefix_term(self, kind: str) -> Expression:
        prefix = self._terms.get(kind)
        if prefix is None or (kind in KEYWORDS and self.starts_definition(self.i)):
            return self._no_term(kind)
        return prefix()

    def _no_term(self, kind: str) -> Expression:
        start = self.starts[self.i]
        begins_definition = kind in KEYWORDS and self.starts_definition(self.i)
        if kind in self._expressions and not begins_definition:
            mend = "Put this operand in parentheses."
            self.report(f"Expected a term, found {self.found()}.", ("a term",), mend)
            return self.expression(_LOGICAL_PREFIX)
        previous = self.kinds[self.i - 1] if self.i else ""
        if kind in _SLIPS and (kind == previous or (kind == ">" and previous == "<")):
            self.missing(("an expression",), _SLIPS[kind])
            self.i += 1
            return self.expression(_POWERS[previous])
        if kind in RESERVED and not begins_definition and self.following() in _AFTER_A_NAME:
            mend = f"'{kind}' is a reserved word; write it in double quotes to use it as a name."
            self.missing(("an expression",), mend)
            self.i += 1
            return self.postfix(Missing(self.span(start)), start)
        self.missing(("an expression",))
        if kind == END or kind in CLOSERS or kind in _POWERS or kind in KEYWORDS or kind in (",", ":"):
            return Missing(Span(start, start))
        raise Abandoned

    # --- names, parentheses, queries ------------------------------------------------------------------------

    def _name(self) -> Expression:
        return self.name_term()[0]

    def _name_or_query(self) -> Expression:
        if self.kinds[self.i] in KEYWORDS and self.starts_definition(self.i):
            self.is_term = True
            return self._no_term(self.kinds[self.i])
        term, names_only = self.name_term()
        if names_only and self.kinds[self.i] in ("IDENTIFIER", "QUOTED"):
            query = self.query_of(term)
            self.is_term = False
            return query
        self.is_term = True
        return term

    def _parentheses(self) -> Expression:
        start = self.starts[self.i]
        return self.postfix(self.parenthesized(), start)

    def _parentheses_or_query(self) -> Expression:
        start = self.starts[self.i]
        inner = self.parenthesized()
        if self.kinds[self.i] in ("IDENTIFIER", "QUOTED"):
            query = self.query_of(inner)
            self.is_term = False
            return query
        term = self.postfix(inner, start)
        self.is_term = True
        return term

    def _retrieve_or_query(self) -> Expression:
        found: Expression = self.retrieve()
        if self.kinds[self.i] in ("IDENTIFIER", "QUOTED"):
            found = self.query_of(found)
        self.is_term = False
        return found

    def _from_query(self) -> Expression:
        query = self.from_query()
        self.is_term = False
        return query

    # --- operators before their operand ---------------------------------------------------------------------

    def _not(self) -> Expression:
        return self._logical("not")

    def _exists(self) -> Expression:
        return self._logical("exists")

    def _logical(self, operator: str) -> Expression:
        start = self.starts[self.i]
        self.i += 1
        operand = self.expression(_LOGICAL_PREFIX)
        self.is_term = False
        return Unary(self.span(start), operator, operand)

    def _polarity(self) -> Expression:
        start = self.starts[self.i]
        operator = self.kinds[self.i]
        self.i += 1
        operand = self.term(POLARITY)
        return Unary(self.span(start), operator, operand)

    def _of(self) -> Expression:
        if self.kinds[self.i + 1] != "of":
            return self._name()
        start = self.starts[self.i]
        operator = f"{self.kinds[self.i]} of"
        self.i += 2
        operand = self.term(POLARITY)
        return Unary(self.span(start), operator, operand)

    def _of_or_name(self) -> Expression:
        if self.kinds[self.i + 1] != "of":
            return self._name_or_query()
        operand = self._of()
        self.is_term = True
        return operand

    def _from(self) -> Expression:
        start = self.starts[self.i]
        operator = f"{self.kinds[self.i]} from"
        self.i += 1
        self.expect("from")
        operand = self.term(POLARITY)
        return Unary(self.span(start), operator, operand)

    def _component(self) -> Expression:
        component = self.kinds[self.i]
        if component in REFERENTIAL and self.kinds[self.i + 1] != "from":
            return self._name()
        start = self.starts[self.i]
        self.i += 1
        mend = f"'{component}' is a reserved word; write it in double quotes to use it as a name."
        self.expect("from", mend)
        operand = self.term(POLARITY)
        return ComponentFrom(self.span(start), component, operand)

    def _component_or_name(self) -> Expression:
        if self.kinds[self.i + 1] != "from":
            return self._name_or_query()
        component = self._component()
        self.is_term = True
        return component

    def _extent(self) -> Expression:
        start = self.starts[self.i]
        extent = self.kinds[self.i]
        self.i += 1
        type_ = self.named_type()
        return TypeExtent(self.span(start), extent, type_)

    def _list_operator(self) -> Expression:
        start = self.starts[self.i]
        operator = self.kinds[self.i]
        self.i += 1
        operand = self.expression()
        return Unary(self.span(start), operator, operand)

    def _set_aggregate(self) -> Expression:
        start = self.starts[self.i]
        operator = self.kinds[self.i]
        self.i += 1
        operand = self.expression()
        per: str | Expression | None = None
        if self.accept("per"):
            if self.kinds[self.i] in PRECISIONS and self.following() != "from":
                per = self.kinds[self.i]
                self.i += 1
            else:
                per = self.expression()
        return SetAggregate(self.span(start), operator, operand, per)

    # --- types ----------------------------------------------------------------------------------------------

    def _is(self, left: Expression) -> Expression:
        self.i += 1
        negated = self.accept("not")
        kind = self.kinds[self.i]
        if kind in ("null", "true", "false"):
            self.i += 1
            return TruthTest(Span(left.span[0], self.ends[self.i - 1]), left, negated, kind)
        if negated:
            mend = "Write 'not (X is Type)' to ask that X is of another type."
            self.missing(("'null'", "'true'", "'false'"), mend)
        type_ = self.type_specifier()
        return TypeTest(Span(left.span[0], self.ends[self.i - 1]), left, type_)

    def _cast(self) -> Expression:
        start = self.starts[self.i]
        self.i += 1
        outer, self.in_cast = self.in_cast, True
        operand = self.expression()
        self.in_cast = outer
        self.expect("as")
        type_ = self.type_specifier()
        self.is_term = False
        return Cast(self.span(start), operand, type_)

    def _convert(self) -> Expression:
        start = self.starts[self.i]
        self.i += 1
        operand = self.expression()
        self.expect("to")
        kind = self.kinds[self.i]
        converted: Expression
        if kind == STRING:
            unit = unescape(self.spelling())
            self.i += 1
            converted = Convert(self.span(start), operand, None, unit)
        elif kind in UNIT_WORDS:
            self.i += 1
            converted = Convert(self.span(start), operand, None, kind, True)
        else:
            type_ = self.type_specifier()
            converted = Convert(self.span(start), operand, type_)
        return self.postfix(converted, start)

    # --- conditionals ---------------------------------------------------------------------------------------

    def _if(self) -> Expression:
        start = self.starts[self.i]
        self.i += 1
        condition = self.expression()
        self.expect("then")
        then = self.expression()
        self.expect("else", "Every 'if' of CQL has an 'else'; 'else null' says that there is no other value.")
        otherwise = self.expression()
        return If(self.span(start), condition, then, otherwise)

    def _case(self) -> Expression:
        start = self.starts[self.i]
        self.i += 1
        comparand = None if self.kinds[self.i] == "when" else self.expression()
        items: list[CaseItem] = []
        while self.kinds[self.i] == "when":
            item_start = self.starts[self.i]
            self.i += 1
            when = self.expression()
            self.expect("then")
            then = self.expression()
            items.append(CaseItem(self.span(item_start), when, then))
        if not items:
            self.missing(("'when'",))
        self.expect(
            "else", "Every 'case' of CQL has an 'else'; 'else null' says that there is no other value."
        )
        # A forgotten "else" leaves "end", which could be a name, as what comes next.
        here = self.starts[self.i]
        forgotten = self.kinds[self.i] == "end" and self.kinds[self.i - 1] != "else"
        otherwise = Missing(Span(here, here)) if forgotten else self.expression()
        self.expect("end")
        return self.postfix(Case(self.span(start), comparand, tuple(items), otherwise), start)

    # --- durations ------------------------------------------------------------------------------------------

    def _between(self, left: Expression) -> Expression:
        properly = self.accept("properly")
        self.i += 1
        low = self.term()
        self.expect("and")
        high = self.term()
        return Between(Span(left.span[0], self.ends[self.i - 1]), left, properly, low, high)

    def _duration_of(self) -> Expression:
        found = self._duration()
        if isinstance(found, DurationBetween):
            start, end = found.span
            self.report_at(
                start,
                end,
                "Expected a term, found a duration between two dates.",
                ("a term",),
                "Put this operand in parentheses.",
            )
        return found

    def _duration(self) -> Expression:
        start = self.starts[self.i]
        measure = self.kinds[self.i]
        self.i += 1
        self.expect("in")
        precision = self._plural_precision()
        if self.accept("of"):
            operand = self.term(POLARITY)
            self.is_term = True
            return DurationOf(self.span(start), measure, precision, operand)
        if self.kinds[self.i] != "between":
            self.missing(("'of'", "'between'"))
        return self._bounds(start, measure, precision)

    def _between_dates(self) -> Expression:
        start = self.starts[self.i]
        precision = self._plural_precision()
        if self.kinds[self.i] != "between":
            mend = f"'{precision}s' is a reserved word; write it in double quotes to use it as a name."
            self.missing(("'between'",), mend)
        return self._bounds(start, "duration", precision)

    def _bounds(self, start: int, measure: str, precision: str) -> Expression:
        self.accept("between")
        low = self.term()
        self.expect("and")
        high = self.term()
        self.is_term = False
        return DurationBetween(self.span(start), measure, precision, low, high)

    def _plural_precision(self) -> str:
        kind = self.kinds[self.i]
        if kind in PLURAL_PRECISIONS:
            self.i += 1
            return kind[:-1]
        mend = f"Write '{kind}s'." if kind in PRECISIONS else ""
        self.missing(("a precision such as 'days'",), mend)
        if kind in PRECISIONS:
            self.i += 1
        return "day"
