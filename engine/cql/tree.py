"""The syntax tree of CQL 1.5.3: one frozen class for each construct of the grammar, spans on every node.

The tree keeps what an author wrote (parentheses, the optional words of a phrase where they matter); it
decides nothing about names or types. Spans, quoting styles and synonyms without meaning take no part in
equality, so two texts that differ only in layout have equal trees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from measurewise.engine.cql.lexer import Lines


class Span(NamedTuple):
    """Where a node stands: character offsets ``start`` (included) and ``end`` (excluded) in the text."""

    start: int
    end: int


class Location(NamedTuple):
    """A span in lines and columns from 1; the end is that of the last character, as ELM locators have it."""

    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        start, end = f"{self.line}:{self.column}", f"{self.end_line}:{self.end_column}"
        return start if start == end else f"{start}-{end}"


@dataclass(frozen=True, slots=True)
class Node:
    """Anything in the tree."""

    span: Span = field(compare=False, repr=False)


class Expression(Node):
    """Anything that has a value."""

    __slots__ = ()


# --- names and types ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identifier(Expression):
    """A name, escapes resolved; ``quote`` is how it was written: ``""``, ``"`` or a backtick."""

    name: str
    quote: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class QualifiedIdentifier(Node):
    """Names with dots between: ``hl7.fhir.uv.cql.FHIRHelpers``, ``"Common"."SNOMEDCT"``."""

    parts: tuple[Identifier, ...]

    def __str__(self) -> str:
        return ".".join(part.name for part in self.parts)


class TypeSpecifier(Node):
    """A type as written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NamedType(TypeSpecifier):
    """``Integer``, ``FHIR.Encounter``, ``"Condition Encounter Diagnosis"``."""

    parts: tuple[Identifier, ...]

    def __str__(self) -> str:
        return ".".join(part.name for part in self.parts)


@dataclass(frozen=True, slots=True)
class ListOf(TypeSpecifier):
    """``List<element>``."""

    element: TypeSpecifier


@dataclass(frozen=True, slots=True)
class IntervalOf(TypeSpecifier):
    """``Interval<point>``."""

    point: TypeSpecifier


@dataclass(frozen=True, slots=True)
class ChoiceOf(TypeSpecifier):
    """``Choice<type, ...>``."""

    choices: tuple[TypeSpecifier, ...]


@dataclass(frozen=True, slots=True)
class TupleElementType(Node):
    """``name type`` in a tuple type."""

    name: Identifier
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class TupleOf(TypeSpecifier):
    """``Tuple { name type, ... }``."""

    elements: tuple[TupleElementType, ...]


# --- terms --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Missing(Expression):
    """Where an expression was expected and none stood; only in trees of texts with errors."""


@dataclass(frozen=True, slots=True)
class Literal(Expression):
    """A literal of a simple type.

    ``kind`` is one of null, boolean, string, integer, decimal, long, date, datetime, time. ``value`` is the
    text with its marks off: a string's value, ``2025-01-01T`` for a date/time, ``12`` for ``12L``, ``12:00``
    for ``@T12:00``.
    """

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Quantity(Expression):
    """``5 'mg'`` or ``3 days``; ``calendar`` says that the unit is a word, not a UCUM string."""

    value: str
    unit: str | None
    calendar: bool = False


@dataclass(frozen=True, slots=True)
class Ratio(Expression):
    """``1 'mg' : 2 'mL'``."""

    numerator: Quantity
    denominator: Quantity


@dataclass(frozen=True, slots=True)
class ExternalConstant(Expression):
    """``%name`` of FHIRPath."""

    name: str


@dataclass(frozen=True, slots=True)
class IterationVariable(Expression):
    """``$this``, ``$index`` or ``$total``; ``name`` with its dollar sign."""

    name: str


@dataclass(frozen=True, slots=True)
class Parenthesized(Expression):
    """``( expression )``."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class FunctionCall(Expression):
    """``Name(argument, ...)``."""

    name: Identifier
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Member(Expression):
    """``source.name``: an element, or a definition of an included library."""

    source: Expression
    name: Identifier


@dataclass(frozen=True, slots=True)
class MethodCall(Expression):
    """``source.Name(argument, ...)``: a library's function, a fluent function or a FHIRPath function."""

    source: Expression
    name: Identifier
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Indexer(Expression):
    """``source[index]``."""

    source: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class IntervalSelector(Expression):
    """``Interval[low, high)``."""

    low: Expression
    low_closed: bool
    high: Expression
    high_closed: bool


@dataclass(frozen=True, slots=True)
class ElementSelector(Node):
    """``name: value`` in a tuple or an instance."""

    name: Identifier
    value: Expression


@dataclass(frozen=True, slots=True)
class TupleSelector(Expression):
    """``Tuple { name: value, ... }``; the word may be left out."""

    elements: tuple[ElementSelector, ...]


@dataclass(frozen=True, slots=True)
class InstanceSelector(Expression):
    """``Type { name: value, ... }``."""

    type: NamedType
    elements: tuple[ElementSelector, ...]


@dataclass(frozen=True, slots=True)
class ListSelector(Expression):
    """``List<type> { element, ... }``; word and type may be left out."""

    element_type: TypeSpecifier | None
    elements: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class CodeSelector(Expression):
    """``Code 'code' from "System" display '...'``."""

    code: Literal
    system: QualifiedIdentifier
    display: Literal | None


@dataclass(frozen=True, slots=True)
class ConceptSelector(Expression):
    """``Concept { Code ..., ... } display '...'``."""

    codes: tuple[CodeSelector, ...]
    display: Literal | None


# --- operators ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unary(Expression):
    """An operator before its operand.

    ``operator`` is ``+``, ``-``, ``not``, ``exists``, ``distinct``, ``flatten``, ``start of``, ``end of``,
    ``width of``, ``successor of``, ``predecessor of``, ``singleton from`` or ``point from``.
    """

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    """An operator between operands.

    ``operator`` is one of ``^ * / div mod + - & | union intersect except <= < > >= = != ~ !~ and or xor
    implies``.
    """

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Membership(Expression):
    """``left in|contains [precision of] right``."""

    operator: str
    precision: str | None
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Between(Expression):
    """``operand [properly] between low and high``."""

    operand: Expression
    properly: bool
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class TruthTest(Expression):
    """``operand is [not] null|true|false``."""

    operand: Expression
    negated: bool
    value: str


@dataclass(frozen=True, slots=True)
class TypeTest(Expression):
    """``operand is type``."""

    operand: Expression
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class As(Expression):
    """``operand as type``: null when it is of another type."""

    operand: Expression
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class Cast(Expression):
    """``cast operand as type``: an error when it is of another type."""

    operand: Expression
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class Convert(Expression):
    """``convert operand to type``, or to a unit: UCUM, or a calendar word when ``calendar``."""

    operand: Expression
    type: TypeSpecifier | None
    unit: str | None = None
    calendar: bool = False


@dataclass(frozen=True, slots=True)
class TypeExtent(Expression):
    """``minimum type`` or ``maximum type``."""

    extent: str
    type: NamedType


@dataclass(frozen=True, slots=True)
class ComponentFrom(Expression):
    """``year from operand``, ``date from operand``, ``timezoneoffset from operand``."""

    component: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class DurationOf(Expression):
    """``duration|difference in days of operand``; ``measure`` is the first word, ``precision`` singular."""

    measure: str
    precision: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class DurationBetween(Expression):
    """``[duration in] days between low and high``, ``difference in days between low and high``."""

    measure: str
    precision: str
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class SetAggregate(Expression):
    """``expand|collapse operand [per precision-or-quantity]``; a precision is its (singular) word."""

    operator: str
    operand: Expression
    per: str | Expression | None


@dataclass(frozen=True, slots=True)
class If(Expression):
    """``if condition then then else otherwise``."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class CaseItem(Node):
    """``when condition then result``."""

    when: Expression
    then: Expression


@dataclass(frozen=True, slots=True)
class Case(Expression):
    """``case [comparand] when ... then ... else otherwise end``."""

    comparand: Expression | None
    items: tuple[CaseItem, ...]
    otherwise: Expression


# --- timing -------------------------------------------------------------------------------------------------


class TimingPhrase(Node):
    """What stands between the two operands of a timing expression."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SamePhrase(TimingPhrase):
    """``[starts|ends|occurs] same [precision] as|or before|or after [start|end]``."""

    position: str | None
    precision: str | None
    relation: str
    boundary: str | None


@dataclass(frozen=True, slots=True)
class IncludesPhrase(TimingPhrase):
    """``[properly] includes [precision of] [start|end]``."""

    properly: bool
    precision: str | None
    boundary: str | None


@dataclass(frozen=True, slots=True)
class IncludedInPhrase(TimingPhrase):
    """``[starts|ends|occurs] [properly] during|included in [precision of]``."""

    position: str | None
    properly: bool
    precision: str | None
    word: str = field(default="during", compare=False)


@dataclass(frozen=True, slots=True)
class QuantityOffset(Node):
    """``3 days``, ``3 days or more``, ``less than 3 days``.

    ``qualifier`` is ``or more``, ``or less``, ``less than``, ``more than`` or None.
    """

    quantity: Quantity
    qualifier: str | None


@dataclass(frozen=True, slots=True)
class BeforeOrAfterPhrase(TimingPhrase):
    """``[starts|ends|occurs] [offset] [on or] before|after [or on] [precision of] [start|end]``."""

    position: str | None
    offset: QuantityOffset | None
    relation: str
    inclusive: bool
    precision: str | None
    boundary: str | None


@dataclass(frozen=True, slots=True)
class WithinPhrase(TimingPhrase):
    """``[starts|ends|occurs] [properly] within quantity of [start|end]``."""

    position: str | None
    properly: bool
    quantity: Quantity
    boundary: str | None


@dataclass(frozen=True, slots=True)
class MeetsPhrase(TimingPhrase):
    """``meets [before|after] [precision of]``."""

    side: str | None
    precision: str | None


@dataclass(frozen=True, slots=True)
class OverlapsPhrase(TimingPhrase):
    """``overlaps [before|after] [precision of]``."""

    side: str | None
    precision: str | None


@dataclass(frozen=True, slots=True)
class StartsPhrase(TimingPhrase):
    """``starts [precision of]``."""

    precision: str | None


@dataclass(frozen=True, slots=True)
class EndsPhrase(TimingPhrase):
    """``ends [precision of]``."""

    precision: str | None


@dataclass(frozen=True, slots=True)
class Timing(Expression):
    """``left phrase right``."""

    left: Expression
    phrase: TimingPhrase
    right: Expression


# --- queries ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CodePath(Node):
    """A path in a retrieve: ``code``, ``participant.role``, ``component[0].code``; keys keep their quotes."""

    path: str


@dataclass(frozen=True, slots=True)
class Retrieve(Expression):
    """``[context -> Type: path comparator terminology]``; comparator is ``in``, ``=``, ``~`` or None."""

    context: Expression | None
    type: NamedType
    code_path: CodePath | None
    comparator: str | None
    terminology: Expression | None


@dataclass(frozen=True, slots=True)
class AliasedSource(Node):
    """``source alias``."""

    source: Expression
    alias: Identifier


@dataclass(frozen=True, slots=True)
class LetItem(Node):
    """``name: value`` in a let clause."""

    name: Identifier
    value: Expression


@dataclass(frozen=True, slots=True)
class Relationship(Node):
    """``with|without source alias such that condition``."""

    without: bool
    source: AliasedSource
    condition: Expression


@dataclass(frozen=True, slots=True)
class ReturnClause(Node):
    """``return [all|distinct] value``; ``modifier`` is the word or None (which means distinct)."""

    modifier: str | None
    value: Expression


@dataclass(frozen=True, slots=True)
class AggregateClause(Node):
    """``aggregate [all|distinct] name [starting start]: value``."""

    modifier: str | None
    name: Identifier
    starting: Expression | None
    value: Expression


@dataclass(frozen=True, slots=True)
class SortItem(Node):
    """``value [asc|desc]``; ``descending`` is False when no direction was written."""

    value: Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class SortClause(Node):
    """``sort by item, ...``, or ``sort asc|desc`` with no items."""

    items: tuple[SortItem, ...]
    descending: bool


@dataclass(frozen=True, slots=True)
class Query(Expression):
    """``[from] sources let ... with ... where ... return|aggregate ... sort ...``."""

    sources: tuple[AliasedSource, ...]
    lets: tuple[LetItem, ...]
    relationships: tuple[Relationship, ...]
    where: Expression | None
    result: ReturnClause | AggregateClause | None
    sort: SortClause | None


# --- definitions --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comment(Node):
    """A comment with its marks."""

    text: str


@dataclass(frozen=True, slots=True)
class Tag(Node):
    """``@name: value`` in a comment before a definition; the value may be empty."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Definition(Node):
    """A declaration or statement of a library; ``comments`` stand right before it, ``tags`` are in them."""

    comments: tuple[Comment, ...] = field(compare=False, repr=False)
    tags: tuple[Tag, ...] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LibraryDefinition(Definition):
    """``library name version '1.0.0'``."""

    name: QualifiedIdentifier
    version: str | None


@dataclass(frozen=True, slots=True)
class UsingDefinition(Definition):
    """``using Model version '4.0.1' called Name``."""

    name: QualifiedIdentifier
    version: str | None
    alias: Identifier | None


@dataclass(frozen=True, slots=True)
class IncludeDefinition(Definition):
    """``include hl7.fhir.uv.cql.FHIRHelpers version '4.0.1' called FHIRHelpers``."""

    name: QualifiedIdentifier
    version: str | None
    alias: Identifier | None


@dataclass(frozen=True, slots=True)
class CodeSystemDefinition(Definition):
    """``codesystem "Name": 'uri' version '...'``; ``access`` is public, private or None."""

    access: str | None
    name: Identifier
    id: str
    version: str | None


@dataclass(frozen=True, slots=True)
class ValueSetDefinition(Definition):
    """``valueset "Name": 'uri' version '...' codesystems { ... }``."""

    access: str | None
    name: Identifier
    id: str
    version: str | None
    codesystems: tuple[QualifiedIdentifier, ...]


@dataclass(frozen=True, slots=True)
class CodeDefinition(Definition):
    """``code "Name": 'code' from "System" display '...'``."""

    access: str | None
    name: Identifier
    id: str
    system: QualifiedIdentifier
    display: str | None


@dataclass(frozen=True, slots=True)
class ConceptDefinition(Definition):
    """``concept "Name": { "Code", ... } display '...'``."""

    access: str | None
    name: Identifier
    codes: tuple[QualifiedIdentifier, ...]
    display: str | None


@dataclass(frozen=True, slots=True)
class ParameterDefinition(Definition):
    """``parameter "Name" type default value``."""

    access: str | None
    name: Identifier
    type: TypeSpecifier | None
    default: Expression | None


@dataclass(frozen=True, slots=True)
class ContextDefinition(Definition):
    """``context Patient``, ``context FHIR.Patient``."""

    model: Identifier | None
    name: Identifier


@dataclass(frozen=True, slots=True)
class ExpressionDefinition(Definition):
    """``define "Name": expression``."""

    access: str | None
    name: Identifier
    expression: Expression


@dataclass(frozen=True, slots=True)
class Operand(Node):
    """``name type`` of a function."""

    name: Identifier
    type: TypeSpecifier


@dataclass(frozen=True, slots=True)
class FunctionDefinition(Definition):
    """``define fluent function Name(operand type, ...) returns type: body``; no body means external."""

    access: str | None
    fluent: bool
    name: Identifier
    operands: tuple[Operand, ...]
    returns: TypeSpecifier | None
    body: Expression | None


@dataclass(frozen=True, slots=True)
class SyntaxTree:
    """A library as written.

    ``definitions`` are its declarations and statements in the order of the text, without the library
    definition;
    ``comments`` are all comments of the text.
    """

    source: str = field(compare=False)
    text: str = field(compare=False, repr=False)
    library: LibraryDefinition | None
    definitions: tuple[Definition, ...]
    comments: tuple[Comment, ...] = field(compare=False, repr=False)
    lines: Lines = field(compare=False, repr=False)

    def locate(self, node: Node) -> Location:
        """Lines and columns of a node."""
        start, end = node.span
        return Location(*self.lines.position(start), *self.lines.position(max(end - 1, start)))

    def text_of(self, node: Node) -> str:
        """The text of a node."""
        return self.text[node.span.start : node.span.end]
