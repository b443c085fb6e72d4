"""Type specifiers and qualified names (cql.g4, "Type Specifiers")."""

from __future__ import annotations

from measurewise.engine.cql.cursor import REFERENTIAL, Cursor
from measurewise.engine.cql.lexer import IDENTIFIER
from measurewise.engine.cql.tree import (
    ChoiceOf,
    Identifier,
    IntervalOf,
    ListOf,
    NamedType,
    QualifiedIdentifier,
    TupleElementType,
    TupleOf,
    TypeSpecifier,
)
from measurewise.engine.cql.words import TYPE_NAME_KEYWORDS

TYPE_NAMES = REFERENTIAL | TYPE_NAME_KEYWORDS


class TypeParser(Cursor):
    """Reads types."""

    def type_specifier(self) -> TypeSpecifier:
        """``Integer``, ``List<Integer>``, ``Interval<DateTime>``, ``Choice<...>``, ``Tuple { ... }``."""
        kind = self.kinds[self.i]
        following = self.following()
        if kind == "Tuple" and following == "{":
            return self._tuple_type()
        if following == "<" and (
            kind in ("List", "Interval") or (kind == IDENTIFIER and self.spelling() == "Choice")
        ):
            return self._generic(kind)
        return self.named_type()

    def _generic(self, kind: str) -> TypeSpecifier:
        start = self.starts[self.i]
        self.i += 2
        arguments = [self._nested()]
        while kind == IDENTIFIER and self.accept(","):
            arguments.append(self._nested())
        self.expect(">")
        span = self.span(start)
        if kind == "List":
            return ListOf(span, arguments[0])
        if kind == "Interval":
            return IntervalOf(span, arguments[0])
        return ChoiceOf(span, tuple(arguments))

    def _nested(self) -> TypeSpecifier:
        self.enter()
        inner = self.type_specifier()
        self.depth -= 1
        return inner

    def _tuple_type(self) -> TupleOf:
        start = self.starts[self.i]
        self.i += 2
        elements = [self._tuple_element()]
        while self.accept(","):
            elements.append(self._tuple_element())
        self.expect_close("}")
        return TupleOf(self.span(start), tuple(elements))

    def _tuple_element(self) -> TupleElementType:
        start = self.starts[self.i]
        name = self.identifier("an element name", REFERENTIAL)
        return (
            TupleElementType(self.span(start), name, self._nested())
            if name.name
            else self._unnamed(start, name)
        )

    def _unnamed(self, start: int, name: Identifier) -> TupleElementType:
        return TupleElementType(self.span(start), name, NamedType(name.span, (name,)))

    def named_type(self) -> NamedType:
        """A model's type: ``Integer``, ``FHIR.Encounter``, ``"Condition Encounter Diagnosis"``."""
        start = self.starts[self.i]
        parts = [self.identifier("a type name", TYPE_NAMES)]
        while self.kinds[self.i] == ".":
            self.i += 1
            parts.append(self.identifier("a type name", TYPE_NAMES))
        return NamedType(self.span(start), tuple(parts))

    def qualified_identifier(self, what: str) -> QualifiedIdentifier:
        """Names with dots between; ``what`` names them in an error."""
        start = self.starts[self.i]
        parts = [self.identifier(what)]
        while self.kinds[self.i] == ".":
            self.i += 1
            parts.append(self.identifier(what))
        return QualifiedIdentifier(self.span(start), tuple(parts))
