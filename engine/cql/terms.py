"""Terms: names, literals, selectors and what can follow them (cql.g4, "Terms")."""

from __future__ import annotations

from measurewise.engine.cql.cursor import NAMES, REFERENTIAL
from measurewise.engine.cql.lexer import STRING, unescape
from measurewise.engine.cql.tree import (
    CodeSelector,
    ComponentFrom,
    ConceptSelector,
    ElementSelector,
    Expression,
    ExternalConstant,
    FunctionCall,
    Identifier,
    Indexer,
    InstanceSelector,
    IntervalSelector,
    IterationVariable,
    ListSelector,
    Literal,
    Member,
    MethodCall,
    NamedType,
    Parenthesized,
    Quantity,
    Ratio,
    Span,
    TupleSelector,
    TypeSpecifier,
)
from measurewise.engine.cql.type_specifiers import TYPE_NAMES, TypeParser
from measurewise.engine.cql.words import KEYWORDS, TYPE_NAME_KEYWORDS, UNIT_WORDS

# How tightly the operators before a term hold it.
POLARITY = 80

_FUNCTION_NAMES = NAMES | KEYWORDS
_LITERAL_KINDS = {
    "true": "boolean",
    "false": "boolean",
    "null": "null",
    "DATE": "date",
    "DATETIME": "datetime",
}


class TermParser(TypeParser):
    """Reads terms; ``expression`` comes from the class that knows operators."""

    # True while the operand of ``cast ... as`` is read, whose ``as`` ends it.
    in_cast = False

    def expression(self, power: int = 0) -> Expression:
        """Any expression whose operators bind more tightly than ``power``."""
        raise NotImplementedError

    def term(self, power: int = 0) -> Expression:
        """An expression term whose operators bind more tightly than ``power``."""
        raise NotImplementedError

    # --- names ----------------------------------------------------------------------------------------------

    def name_term(self) -> tuple[Expression, bool]:
        """A name, a function call or an instance, with what follows it; whether it is only names and dots."""
        start = self.starts[self.i]
        kind = self.kinds[self.i + 1]
        if kind == "(":
            name = self.identifier("a name", REFERENTIAL)
            arguments = self._arguments()
            return self.postfix(FunctionCall(self.span(start), name, arguments), start), False
        if kind == "from" and self.spelling() == "timezone":
            # CQL 1.3's word; no name can stand before "from".
            self.i += 2
            operand = self.term(POLARITY)
            return ComponentFrom(self.span(start), "timezoneoffset", operand), False
        term: Expression = self.identifier("a name", REFERENTIAL)
        while True:
            kind = self.kinds[self.i]
            following = self.kinds[self.i + 2] if kind == "." else ""
            if kind == "." and (
                (self.kinds[self.i + 1] in REFERENTIAL and following != "(")
                or (self.kinds[self.i + 1] in TYPE_NAME_KEYWORDS and following == "{")
            ):
                self.i += 1
                name = self.identifier("a name", TYPE_NAMES)
                term = Member(self.span(start), term, name)
            elif kind == "{":
                return self.postfix(
                    self._instance(start, NamedType(self.span(start), names_in(term))), start
                ), False
            elif kind in (".", "["):
                return self.postfix(term, start), False
            else:
                return term, True

    def postfix(self, term: Expression, start: int) -> Expression:
        """What follows a term: ``.name``, ``.Name(...)`` and ``[index]``, as many as there are."""
        while True:
            kind = self.kinds[self.i]
            if kind == ".":
                self.i += 1
                if self.following() == "(":
                    name = self.identifier("a function name", _FUNCTION_NAMES)
                    arguments = self._arguments()
                    term = MethodCall(self.span(start), term, name, arguments)
                else:
                    name = self.identifier("the name of an element or function", REFERENTIAL)
                    term = Member(self.span(start), term, name)
            elif kind == "[":
                self.i += 1
                index = self._bracketed()
                self.expect("]")
                term = Indexer(self.span(start), term, index)
            else:
                return term

    def _arguments(self) -> tuple[Expression, ...]:
        self.i += 1
        if self.accept(")"):
            return ()
        arguments = [self._bracketed()]
        while self.accept(","):
            arguments.append(self._bracketed())
        self.expect_close(")")
        return tuple(arguments)

    def _bracketed(self) -> Expression:
        outer, self.in_cast = self.in_cast, False
        inner = self.expression()
        self.in_cast = outer
        return inner

    def parenthesized(self) -> Parenthesized:
        """``( expression )``, without what follows it."""
        start = self.starts[self.i]
        self.i += 1
        inner = self._bracketed()
        self.expect(")")
        return Parenthesized(self.span(start), inner)

    # --- literals -------------------------------------------------------------------------------------------

    def literal(self) -> Expression:
        """``true``, ``false``, ``null`` and date literals."""
        start = self.starts[self.i]
        kind = self.kinds[self.i]
        value = self.spelling()
        self.i += 1
        return self.postfix(Literal(self.span(start), _LITERAL_KINDS[kind], value.removeprefix("@")), start)

    def time_literal(self) -> Expression:
        """``@T12:00``."""
        start = self.starts[self.i]
        value = self.spelling()[2:]
        self.i += 1
        return self.postfix(Literal(self.span(start), "time", value), start)

    def string(self) -> Expression:
        """``'...'``."""
        start = self.starts[self.i]
        return self.postfix(self.string_literal("a string"), start)

    def string_literal(self, what: str) -> Literal:
        """A string token as a literal."""
        start = self.starts[self.i]
        value = self.expect_string(what)
        return Literal(self.span(start), "string", value)

    def long(self) -> Expression:
        """``12L``."""
        start = self.starts[self.i]
        value = self.spelling()[:-1]
        self.i += 1
        return self.postfix(Literal(self.span(start), "long", value), start)

    def number(self) -> Expression:
        """A number, a quantity or a ratio."""
        start = self.starts[self.i]
        value = self.number_or_quantity()
        if self.kinds[self.i] == ":" and self.kinds[self.i + 1] == "NUMBER":
            numerator = _as_quantity(value)
            self.i += 1
            denominator = _as_quantity(self.number_or_quantity())
            return self.postfix(Ratio(self.span(start), numerator, denominator), start)
        return self.postfix(value, start)

    def number_or_quantity(self) -> Literal | Quantity:
        """``5``, ``5 days`` or ``5 'mg'``."""
        start = self.starts[self.i]
        value = self.spelling()
        self.i += 1
        kind = self.kinds[self.i]
        if kind == STRING:
            unit = unescape(self.spelling())
            self.i += 1
            return Quantity(self.span(start), value, unit)
        if kind in UNIT_WORDS:
            self.i += 1
            return Quantity(self.span(start), value, kind, True)
        return Literal(self.span(start), "decimal" if "." in value else "integer", value)

    def quantity(self) -> Quantity:
        """A quantity where nothing else may stand (timing phrases)."""
        if self.kinds[self.i] != "NUMBER":
            self.missing(("a quantity such as 3 days",))
            here = self.starts[self.i]
            return Quantity(Span(here, here), "0", None)
        return _as_quantity(self.number_or_quantity())

    def external_constant(self) -> Expression:
        """``%name``."""
        start = self.starts[self.i]
        self.i += 1
        if self.kinds[self.i] == STRING:
            name = self.expect_string("a string")
        else:
            name = self.identifier("the name of a constant").name
        return self.postfix(ExternalConstant(self.span(start), name), start)

    def iteration_variable(self) -> Expression:
        """``$this``, ``$index``, ``$total``."""
        start = self.starts[self.i]
        name = self.spelling()
        self.i += 1
        return self.postfix(IterationVariable(self.span(start), name), start)

    # --- selectors ------------------------------------------------------------------------------------------

    def interval_selector(self) -> Expression:
        """``Interval[low, high)``."""
        start = self.starts[self.i]
        self.i += 1
        kind = self.kinds[self.i]
        if kind not in ("[", "("):
            self.missing(("'['", "'('"), "An interval looks like Interval[low, high) or Interval(low, high].")
        else:
            self.i += 1
        low = self._bracketed()
        self.expect(",")
        high = self._bracketed()
        closed = self.kinds[self.i] == "]"
        if closed or self.kinds[self.i] == ")":
            self.i += 1
        else:
            self.missing(("']'", "')'"))
            self._skip_past("]")
        return self.postfix(IntervalSelector(self.span(start), low, kind == "[", high, closed), start)

    def list_selector(self) -> Expression:
        """``List<type> { element, ... }``, from the word on."""
        start = self.starts[self.i]
        self.i += 1
        element_type = None
        if self.accept("<"):
            element_type = self._nested()
            self.expect(">")
        if self.kinds[self.i] != "{":
            self.missing(("'{'",), "A list looks like List { 1, 2 } or { 1, 2 }.")
        return self._list(start, element_type)

    def _list(self, start: int, element_type: TypeSpecifier | None) -> Expression:
        self.accept("{")
        elements: list[Expression] = []
        if self.kinds[self.i] != "}":
            elements.append(self._bracketed())
            while self.accept(","):
                elements.append(self._bracketed())
        self.expect_close("}")
        return self.postfix(ListSelector(self.span(start), element_type, tuple(elements)), start)

    def tuple_selector(self) -> Expression:
        """``Tuple { name: value, ... }``, from the word on."""
        start = self.starts[self.i]
        self.i += 1
        if self.kinds[self.i] != "{":
            self.missing(("'{'",), "A tuple looks like Tuple { name: value }.")
        elements = self._elements()
        return self.postfix(TupleSelector(self.span(start), elements), start)

    def list_or_tuple(self) -> Expression:
        """``{ ... }``: a list, or a tuple when a name and a colon (or a bare colon) follow."""
        start = self.starts[self.i]
        following = self.kinds[self.i + 1]
        if following == ":" or (following in REFERENTIAL and self.kinds[self.i + 2] == ":"):
            elements = self._elements()
            return self.postfix(TupleSelector(self.span(start), elements), start)
        return self._list(start, None)

    def _elements(self) -> tuple[ElementSelector, ...]:
        self.accept("{")
        elements: list[ElementSelector] = []
        if not self.accept(":"):
            elements.append(self._element())
            while self.accept(","):
                elements.append(self._element())
        self.expect_close("}")
        return tuple(elements)

    def _element(self) -> ElementSelector:
        start = self.starts[self.i]
        name = self.identifier("an element name", REFERENTIAL)
        self.expect(":")
        value = self._bracketed()
        return ElementSelector(self.span(start), name, value)

    def _instance(self, start: int, type_: NamedType) -> InstanceSelector:
        elements = self._elements()
        return InstanceSelector(self.span(start), type_, elements)

    def code_selector(self) -> Expression:
        """``Code 'code' from "System"``, or an instance ``Code { ... }``."""
        start = self.starts[self.i]
        if self.kinds[self.i + 1] == "{":
            return self._keyword_instance()
        return self.postfix(self._code(), start)

    def _code(self) -> CodeSelector:
        start = self.starts[self.i]
        self.expect("Code")
        code = self.string_literal("the code as a string")
        self.expect("from")
        system = self.qualified_identifier("the name of a code system")
        display = self.display()
        return CodeSelector(self.span(start), code, system, display)

    def concept_selector(self) -> Expression:
        """``Concept { Code ..., ... }``, or an instance ``Concept { codes: ... }``."""
        start = self.starts[self.i]
        kinds, i = self.kinds, self.i
        if kinds[i + 1] == "{" and not (kinds[i + 2] == "Code" and kinds[i + 3] == STRING):
            return self._keyword_instance()
        self.i += 1
        self.expect("{")
        codes = [self._code()]
        while self.accept(","):
            codes.append(self._code())
        self.expect_close("}")
        display = self.display()
        return self.postfix(ConceptSelector(self.span(start), tuple(codes), display), start)

    def _keyword_instance(self) -> Expression:
        start = self.starts[self.i]
        name = Identifier(Span(start, self.ends[self.i]), self.spelling())
        self.i += 1
        return self.postfix(self._instance(start, NamedType(name.span, (name,))), start)

    def display(self) -> Literal | None:
        """``display '...'``, if it is there."""
        return self.string_literal("the display as a string") if self.accept("display") else None


def names_in(term: Expression) -> tuple[Identifier, ...]:
    """The names of a chain of members, first to last."""
    names: list[Identifier] = []
    while isinstance(term, Member):
        names.append(term.name)
        term = term.source
    if isinstance(term, Identifier):
        names.append(term)
    return tuple(reversed(names))


def _as_quantity(value: Literal | Quantity) -> Quantity:
    return value if isinstance(value, Quantity) else Quantity(value.span, value.value, None)
