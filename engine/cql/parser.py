"""CQL text to a syntax tree: libraries and single expressions (cql.g4, "Declarations", "Statements")."""

from __future__ import annotations

from collections.abc import Callable

from measurewise.engine.cql.cursor import NAMES, REFERENTIAL, Abandoned
from measurewise.engine.cql.errors import CqlSyntaxError, Issue
from measurewise.engine.cql.expressions import ExpressionParser
from measurewise.engine.cql.lexer import END, IDENTIFIER, STRING, Tokens, tokenize
from measurewise.engine.cql.tree import (
    CodeDefinition,
    CodeSystemDefinition,
    Comment,
    ConceptDefinition,
    ContextDefinition,
    Definition,
    Expression,
    ExpressionDefinition,
    FunctionDefinition,
    Identifier,
    IncludeDefinition,
    LibraryDefinition,
    Missing,
    Operand,
    ParameterDefinition,
    QualifiedIdentifier,
    Span,
    SyntaxTree,
    Tag,
    UsingDefinition,
    ValueSetDefinition,
)
from measurewise.engine.cql.words import DECLARATION_WORDS, KEYWORDS

_FUNCTION_NAMES = NAMES | KEYWORDS
_EXPECTED = ("'define'", "'context'", "'parameter'", "'valueset'", "'code'", "another definition")

_Comments = tuple[tuple[Comment, ...], tuple[Tag, ...]]


class LibraryParser(ExpressionParser):
    """Reads whole libraries."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(tokens)
        self._declarations: dict[str, Callable[[int, _Comments, str | None], Definition]] = {
            "parameter": self._parameter,
            "codesystem": self._codesystem,
            "valueset": self._valueset,
            "code": self._code_definition,
            "concept": self._concept,
        }

    def library(self, source: str) -> SyntaxTree:
        """The whole text; what cannot be read is left out and reported in ``issues``."""
        library: LibraryDefinition | None = None
        definitions: list[Definition] = []
        statements = False
        while self.kinds[self.i] != END:
            at, self.depth, self.in_cast, self.reported_before = self.i, 0, False, len(self.issues)
            try:
                definition = self._definition()
                if self.kinds[self.i] != END and not self._at_definition():
                    definitions.append(definition)
                    self._trailing()
                    continue
            except Abandoned:
                # Nothing may be read twice, and the word that began this definition began no other.
                if self.i == at or not self.starts_definition(self.i):
                    self.next_definition()
                continue
            if isinstance(definition, LibraryDefinition):
                if library is not None or definitions:
                    self._misplaced(definition, "The library definition must come first.")
                library = library or definition
                continue
            if isinstance(definition, ExpressionDefinition | FunctionDefinition | ContextDefinition):
                statements = True
            elif statements:
                self._misplaced(definition, "Declarations must come before the first 'context' or 'define'.")
            definitions.append(definition)
        comments = tuple(Comment(Span(a, b), self.text[a:b]) for _, a, b in self.tokens.comments)
        return SyntaxTree(source, self.text, library, tuple(definitions), comments, self.lines)

    def _at_definition(self) -> bool:
        return self.may_start_definition(self.i)

    def _trailing(self) -> None:
        """Report what stands after a definition and begins no other."""
        try:
            self.missing(("an operator", "the next definition"))
        finally:
            if not self._at_definition():
                self.next_definition()

    def _misplaced(self, definition: Definition, message: str) -> None:
        start = definition.span.start
        end = start
        while end < len(self.text) and self.text[end].isalpha():
            end += 1
        self.report_at(start, end, message)

    # --- definitions ----------------------------------------------------------------------------------------

    def _definition(self) -> Definition:
        start = self.starts[self.i]
        comments = self.comments_before(self.i)
        kind = self.kinds[self.i]
        if kind == "define":
            self.i += 1
            return self._statement(start, comments)
        if kind == "context":
            return self._context(start, comments)
        if kind == "library":
            self.i += 1
            name = self.qualified_identifier("the name of the library")
            version = self._version()
            return LibraryDefinition(self.span(start), *comments, name, version)
        if kind in ("using", "include"):
            return self._using_or_include(start, comments)
        access = self._access()
        kind = self.kinds[self.i]
        declaration = self._declarations.get(kind)
        if declaration is None:
            self.missing(_EXPECTED)
            raise Abandoned
        self.i += 1
        return declaration(start, comments, access)

    def _access(self) -> str | None:
        kind = self.kinds[self.i]
        if kind in ("public", "private"):
            self.i += 1
            return kind
        return None

    def _version(self) -> str | None:
        return self.expect_string("the version as a string") if self.accept("version") else None

    def _using_or_include(self, start: int, comments: _Comments) -> Definition:
        kind = self.kinds[self.i]
        self.i += 1
        what = "the name of a model" if kind == "using" else "the name of a library"
        name = self.qualified_identifier(what)
        version = self._version()
        alias = self.identifier("a local name") if self.accept("called") else None
        span = self.span(start)
        if kind == "using":
            return UsingDefinition(span, *comments, name, version, alias)
        return IncludeDefinition(span, *comments, name, version, alias)

    def _parameter(self, start: int, comments: _Comments, access: str | None) -> Definition:
        name = self.identifier("the name of the parameter")
        type_ = None
        if self.kinds[self.i] not in ("default", END) and not self._after_untyped_parameter():
            type_ = self.type_specifier()
        default = self.expression() if self.accept("default") else None
        return ParameterDefinition(self.span(start), *comments, access, name, type_, default)

    def _after_untyped_parameter(self) -> bool:
        # "code" and its kind name types of FHIR, too: "parameter X code" is a parameter of that type.
        kind, following = self.kinds[self.i], self.following()
        if kind in ("public", "private", "define", "library"):
            return self.may_start_definition(self.i)
        return kind in DECLARATION_WORDS and (following in NAMES or following == STRING)

    def _codesystem(self, start: int, comments: _Comments, access: str | None) -> Definition:
        name = self.identifier("the name of the code system")
        self.expect(":")
        uri = self.expect_string("the URI of the code system as a string")
        version = self._version()
        return CodeSystemDefinition(self.span(start), *comments, access, name, uri, version)

    def _valueset(self, start: int, comments: _Comments, access: str | None) -> Definition:
        name = self.identifier("the name of the value set")
        self.expect(":")
        uri = self.expect_string("the URI of the value set as a string")
        version = self._version()
        systems: tuple[QualifiedIdentifier, ...] = ()
        if self.accept("codesystems"):
            systems = self._names_in_braces("the name of a code system")
        return ValueSetDefinition(self.span(start), *comments, access, name, uri, version, systems)

    def _names_in_braces(self, what: str) -> tuple[QualifiedIdentifier, ...]:
        self.expect("{")
        names = [self.qualified_identifier(what)]
        while self.accept(","):
            names.append(self.qualified_identifier(what))
        self.expect_close("}")
        return tuple(names)

    def _code_definition(self, start: int, comments: _Comments, access: str | None) -> Definition:
        name = self.identifier("the name of the code")
        self.expect(":")
        code = self.expect_string("the code as a string")
        self.expect("from")
        system = self.qualified_identifier("the name of a code system")
        display = self.display()
        return CodeDefinition(
            self.span(start), *comments, access, name, code, system, display.value if display else None
        )

    def _concept(self, start: int, comments: _Comments, access: str | None) -> Definition:
        name = self.identifier("the name of the concept")
        self.expect(":")
        codes = self._names_in_braces("the name of a code")
        display = self.display()
        return ConceptDefinition(
            self.span(start), *comments, access, name, codes, display.value if display else None
        )

    def _context(self, start: int, comments: _Comments) -> Definition:
        self.i += 1
        name = self.identifier("the name of a context")
        model: Identifier | None = None
        if self.accept("."):
            model, name = name, self.identifier("the name of a context")
        return ContextDefinition(self.span(start), *comments, model, name)

    # --- statements -----------------------------------------------------------------------------------------

    def _statement(self, start: int, comments: _Comments) -> Definition:
        access = self._access()
        fluent = self.kinds[self.i] == "fluent" and self.following() == "function"
        if fluent:
            self.i += 1
        if self.kinds[self.i] == "function":
            self.i += 1
            return self._function(start, comments, access, fluent)
        name = self.identifier("the name of the definition")
        if self.kinds[self.i] == "(":
            mend = "Write 'define function' to define a function."
            self.missing(("':'",), mend)
            self.i = self.past_bracket(self.i)
        self.expect(":")
        expression = self.expression()
        return ExpressionDefinition(self.span(start), *comments, access, name, expression)

    def _function(self, start: int, comments: _Comments, access: str | None, fluent: bool) -> Definition:
        name = self.identifier("the name of the function", _FUNCTION_NAMES)
        operands: list[Operand] = []
        self.expect("(")
        if not self.accept(")"):
            operands.append(self._operand())
            while self.accept(","):
                operands.append(self._operand())
            self.expect_close(")")
        returns = None
        if self.kinds[self.i] == IDENTIFIER and self.spelling() == "returns":
            self.i += 1
            returns = self.type_specifier()
        self.expect(":")
        body: Expression | None = None
        if self._external():
            self.i += 1
        else:
            body = self.expression()
        return FunctionDefinition(
            self.span(start), *comments, access, fluent, name, tuple(operands), returns, body
        )

    def _external(self) -> bool:
        if self.kinds[self.i] != IDENTIFIER or self.spelling() != "external":
            return False
        return self.following() == END or self.may_start_definition(self.i + 1)

    def _operand(self) -> Operand:
        start = self.starts[self.i]
        name = self.identifier("the name of an operand", REFERENTIAL)
        type_ = self.type_specifier()
        return Operand(self.span(start), name, type_)


def read_library(text: str, source: str = "") -> tuple[SyntaxTree, tuple[Issue, ...]]:
    """The tree of a library together with all its syntax errors, in the order of the text.

    Definitions with errors are in the tree as far as they could be read (``Missing`` stands for what is not
    there), or left out. For editors and linters; ``parse_library`` for everyone who needs a correct library.
    """
    parser = LibraryParser(tokenize(text))
    try:
        tree = parser.library(source)
    except RecursionError:
        raise _too_deep(parser, source) from None
    return tree, tuple(sorted(parser.issues, key=lambda issue: issue.offset))


def _too_deep(parser: LibraryParser, source: str) -> CqlSyntaxError:
    # Only where the caller has used up most of Python's stack already; the parser counts its own levels.
    line, column = parser.lines.position(parser.starts[parser.i])
    offset = parser.starts[parser.i]
    return CqlSyntaxError([Issue("This is nested too deeply.", line, column, offset, offset)], source)


def parse_library(text: str, source: str = "") -> SyntaxTree:
    """The syntax tree of a CQL library.

    ``source`` names the text in messages (a file name, "CMS122 0.5.000"). Raises CqlSyntaxError with every
    syntax error of the text.
    """
    tree, issues = read_library(text, source)
    if issues:
        raise CqlSyntaxError(issues, source)
    return tree


def parse_expression(text: str, source: str = "") -> Expression:
    """The syntax tree of a single expression. Raises CqlSyntaxError with every syntax error of the text."""
    parser = LibraryParser(tokenize(text))
    expression: Expression = Missing(Span(0, 0))
    try:
        expression = parser.expression()
        if parser.kinds[parser.i] != END:
            parser.missing(("an operator", "the end of the expression"))
    except Abandoned:
        pass
    except RecursionError:
        raise _too_deep(parser, source) from None
    if parser.issues:
        raise CqlSyntaxError(sorted(parser.issues, key=lambda issue: issue.offset), source)
    return expression
