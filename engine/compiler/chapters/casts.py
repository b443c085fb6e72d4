"""Type operators (ELM "Type Operators"): is, as, convert, and the To… conversions that need the compiler."""

from __future__ import annotations

from dataclasses import replace

from measurewise.engine import elm
from measurewise.engine.compiler.emitter import Emitter, boolean, emits
from measurewise.engine.compiler.origins import ChoiceElement, KnownCodes
from measurewise.engine.compiler.shapes import PYTHON_TYPES
from measurewise.engine.compiler.writer import NULL, Term
from measurewise.engine.models.types import (
    ANY,
    CONCEPT,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGER,
    LONG,
    QUANTITY,
    STRING,
    TIME,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
)


def test_type(em: Emitter, node: elm.Is) -> DataType:
    """The type that an Is asks for."""
    return _specified(em, node.is_type, node.is_type_specifier)


def cast_type(em: Emitter, node: elm.As) -> DataType:
    """The type that an As casts to."""
    return _specified(em, node.as_type, node.as_type_specifier)


def _specified(em: Emitter, name: str | None, spec: elm.TypeSpecifier | None) -> DataType:
    if spec is not None:
        return em.shapes.of_specifier(spec)
    return em.shapes.named(name) if name is not None else ANY


def type_test(em: Emitter, text: str, kind: DataType) -> str:
    """Two-valued Python text: whether the value in ``text`` (a name) is of the type at run time."""
    if kind == ANY:
        return f"({text} is not None)"
    if isinstance(kind, ChoiceType):
        return "(" + " or ".join(type_test(em, text, k) for k in kind.choices) + ")"
    if isinstance(kind, ListType):
        return f"is_list_of({text}, lambda x: {type_test(em, 'x', kind.element)})"
    if isinstance(kind, IntervalType):
        if isinstance(kind.point, NamedType) and kind.point != ANY:
            return f"is_interval_of({text}, {kind.point.name!r})"
        return f"(type({text}) is Interval)"
    if isinstance(kind, TupleType):
        elements = "{" + ", ".join(repr(n) for n, _ in kind.elements) + "}"
        return f"(type({text}) is Tuple and {text}.keys() <= {elements})"
    if kind.model == "System":
        if kind.name == "Vocabulary":
            return f"(type({text}) is ValueSet or type({text}) is CodeSystem)"
        if kind.name == "Boolean":
            return f"({text} is True or {text} is False)"
        return f"(type({text}) is {PYTHON_TYPES[kind.name]})"
    if em.shapes.is_resource(kind):
        names = em.assembly.resource_names(kind)
        if len(names) == 1:
            return f"(type({text}) is dict and {text}.get('resourceType') == {names[0]!r})"
        return f"(type({text}) is dict and {text}.get('resourceType') in {em.assembly.name_set(names)})"
    names = em.assembly.element_names(kind)
    if len(names) == 1:
        return f"(type({text}) is Boxed and {text}.type == {names[0]!r})"
    return f"(type({text}) is Boxed and {text}.type in {em.assembly.name_set(names)})"


@emits(elm.Is)
def is_(em: Emitter, node: elm.Is) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#is"""
    kind = test_type(em, node)
    term = em.expr(node.operand)
    if isinstance(term.origin, ChoiceElement) and em.shapes.is_fhir(kind):
        return boolean(_any_form(em, term.origin, kind), two_valued=True)
    known = _statically(em, term, kind)
    if known is not None:
        if known and term.nullable:
            return boolean(f"({term.text} is not None)", two_valued=True)
        return boolean(str(known), two_valued=True, folded=known)
    value = em.w.atom(term)
    return boolean(type_test(em, value.text, kind), two_valued=True)


def _any_form(em: Emitter, element: ChoiceElement, kind: DataType) -> str:
    names = [name for name, form in element.forms if em.shapes.model.is_subtype(form, kind)]
    if not names:
        return "False"
    tests = " or ".join(f"{element.parent}.get({n!r}) is not None" for n in names)
    if element.parent_nullable:
        return f"({element.parent} is not None and ({tests}))"
    return f"({tests})"


def _statically(em: Emitter, term: Term, kind: DataType) -> bool | None:
    """Whether the static type alone answers an ``is``; None when the value must be asked."""
    if em.shapes.is_open(term.type):
        return None
    if term.type == kind or em.shapes.model.is_subtype(term.type, kind):
        return True
    if em.shapes.is_resource(term.type) or isinstance(term.type, ListType | IntervalType | TupleType):
        return None
    return False


@emits(elm.As)
def as_(em: Emitter, node: elm.As) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#as"""
    kind = cast_type(em, node)
    term = em.expr(node.operand)
    return cast(em, term, kind, node.strict, node)


def cast(em: Emitter, term: Term, kind: DataType, strict: bool, node: elm.Element) -> Term:
    """The term as a value of ``kind``: null where it is not one, or an error where the cast is strict."""
    if term.text == "None":
        return NULL.typed(kind)
    source = term.type
    if source == kind:
        return term
    if isinstance(term.origin, ChoiceElement) and em.shapes.is_element(kind) and not strict:
        return em.shapes.form(term.origin, kind)
    if isinstance(kind, ChoiceType) and source in kind.choices and not em.shapes.is_fhir(source):
        # A System value tells its own type, so what is known of it need not be forgotten.
        return term
    if kind == ANY or (isinstance(kind, ChoiceType) and not em.shapes.is_open(source)):
        return em.shapes.coerce(term, kind)
    if isinstance(kind, ChoiceType):
        # A value of a choice that flows on as another choice keeps telling its own type.
        return term.typed(kind)
    if not em.shapes.is_open(source):
        if em.shapes.model.is_subtype(source, kind):
            return em.shapes.coerce(term, kind)
        if isinstance(source, ListType) and isinstance(kind, ListType):
            return em.shapes.coerce(term, kind)
        if isinstance(source, IntervalType) and isinstance(kind, IntervalType):
            if em.shapes.is_open(source.point):
                value = em.w.atom(term)
                test = type_test(em, value.text, kind)
                if em.w.holds(test):
                    return replace(value, type=kind, nullable=False, origin=None)
                return Term(f"({value.text} if {test} else None)", kind)
            return term.typed(kind)
        if isinstance(source, TupleType) and isinstance(kind, TupleType):
            return term.typed(kind)
        if em.shapes.is_element(source) and em.shapes.is_element(kind):
            # A FHIR element seen as a sibling or narrower class keeps its JSON.
            return term.typed(kind) if em.shapes.model.is_subtype(kind, source) else NULL.typed(kind)
        if not em.shapes.is_resource(source):
            if strict:
                return Term(f"cast_error({str(source)!r}, {str(kind)!r}, {term.text})", kind)
            return NULL.typed(kind)
    value = em.w.atom(term)
    test = type_test(em, value.text, kind)
    if em.w.holds(test) and not em.shapes.is_element(kind):
        return replace(value, type=kind, nullable=False, origin=None)
    hit = f"{value.text}.value" if em.shapes.is_element(kind) else value.text
    if strict:
        miss = f"cast_or_null({value.text}, {str(kind)!r})"
        return Term(f"({hit} if {test} else {miss})", kind)
    return Term(f"({hit} if {test} else None)", kind)


@emits(elm.ToList)
def to_list(em: Emitter, node: elm.ToList) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#tolist"""
    term = em.atom(node.operand)
    origin = term.origin if isinstance(term.origin, KnownCodes) else None
    if not term.nullable:
        return Term(f"[{term.text}]", ListType(term.type), nullable=False, origin=origin)
    return Term(f"([{term.text}] if {term.text} is not None else [])", ListType(term.type), nullable=False)


@emits(elm.ToConcept)
def to_concept(em: Emitter, node: elm.ToConcept) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#toconcept"""
    term = em.expr(node.operand)
    if isinstance(term.origin, KnownCodes) and term.atomic:
        return em.assembly.constant(f"to_concept({term.text})", CONCEPT, origin=term.origin)
    return Term(f"to_concept({term.text})", CONCEPT, nullable=term.nullable, origin=term.origin)


@emits(elm.ToDecimal)
def to_decimal(em: Emitter, node: elm.ToDecimal) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#todecimal"""
    term = em.expr(node.operand)
    if isinstance(term.folded, int) and not isinstance(term.folded, bool):
        return em.assembly.constant(f"Decimal({term.folded})", DECIMAL)
    return Term(f"to_decimal({term.text})", DECIMAL, nullable=term.nullable)


@emits(elm.ToDateTime)
def to_date_time(em: Emitter, node: elm.ToDateTime) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#todatetime"""
    term = em.expr(node.operand)
    if term.type == DATETIME:
        return term
    if term.type == DATE:
        return Term(f"date_to_datetime({term.text})", DATETIME, nullable=term.nullable)
    return Term(f"to_date_time({term.text}, zone=ZONE)", DATETIME)


CONVERSIONS: dict[DataType, str] = {
    INTEGER: "to_integer",
    LONG: "to_long",
    DECIMAL: "to_decimal",
    STRING: "to_string",
    DATE: "to_date",
    TIME: "to_time",
    QUANTITY: "to_quantity",
    CONCEPT: "to_concept",
    NamedType("System", "Boolean"): "to_boolean",
    NamedType("System", "Ratio"): "to_ratio",
}


@emits(elm.Convert)
def convert(em: Emitter, node: elm.Convert) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#convert"""
    kind = _specified(em, node.to_type, node.to_type_specifier)
    term = em.expr(node.operand)
    if term.type == kind:
        return term
    if kind == DATETIME:
        return Term(f"to_date_time({term.text}, zone=ZONE)", DATETIME)
    if kind in CONVERSIONS:
        return Term(f"{CONVERSIONS[kind]}({term.text})", kind)
    return cast(em, term, kind, True, node)


@emits(elm.CanConvert)
def can_convert(em: Emitter, node: elm.CanConvert) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#canconvert"""
    kind = _specified(em, node.to_type, node.to_type_specifier)
    term = em.expr(node.operand)
    name = kind.name if isinstance(kind, NamedType) else str(kind)
    return boolean(f"can_convert({term.text}, {name!r})")


@emits(elm.MinValue, elm.MaxValue)
def extreme_value(em: Emitter, node: elm.MinValue | elm.MaxValue) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#minvalue"""
    kind = em.shapes.named(node.value_type)
    which = "min_value" if isinstance(node, elm.MinValue) else "max_value"
    return em.assembly.constant(f"{which}({kind.name!r})", kind)
