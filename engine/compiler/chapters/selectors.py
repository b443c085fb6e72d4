"""Literals and selectors (ELM "Simple Values", "Structured Values", and the Interval and List selectors)."""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.compiler.emitter import Emitter, emits
from measurewise.engine.compiler.origins import KnownCodes
from measurewise.engine.compiler.shapes import PYTHON_TYPES
from measurewise.engine.compiler.writer import NULL, Term
from measurewise.engine.models.types import (
    ANY,
    CODE,
    CONCEPT,
    QUANTITY,
    RATIO,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
    tuple_of,
)


@emits(elm.Literal)
def literal(em: Emitter, node: elm.Literal) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#literal"""
    kind = em.shapes.named(node.value_type)
    text = node.value
    if text is None:
        return NULL.typed(kind)
    if kind.name == "Boolean":
        value = text.lower() == "true"
        return Term(str(value), kind, atomic=True, nullable=False, two_valued=True, folded=value)
    if kind.name == "Integer":
        return Term(str(int(text)), kind, atomic=True, nullable=False, folded=int(text))
    if kind.name == "Long":
        return em.assembly.constant(f"Long({int(text.rstrip('Ll'))})", kind)
    if kind.name == "Decimal":
        return em.assembly.constant(f"Decimal({text!r})", kind)
    if kind.name == "String":
        return Term(repr(text), kind, atomic=True, nullable=False, folded=text)
    readers = {"Date": "parse_date", "DateTime": "read_datetime", "Time": "parse_time"}
    if kind.name in readers:
        return Term(f"{readers[kind.name]}({text!r})", kind)
    raise em.unsupported(node, f"a literal of type {kind} is unknown.")


@emits(elm.Null)
def null(em: Emitter, node: elm.Null) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#null"""
    return NULL.typed(em.shapes.named(node.value_type) if node.value_type else em.declared(node))


@emits(elm.Quantity)
def quantity(em: Emitter, node: elm.Quantity) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#quantity"""
    return em.assembly.constant(quantity_text(node), QUANTITY)


def quantity_text(node: elm.Quantity) -> str:
    """Python text that makes the quantity of a literal."""
    value = "None" if node.value is None else f"Decimal('{node.value}')"
    return f"Quantity({value}, {node.unit or '1'!r})"


@emits(elm.Ratio)
def ratio(em: Emitter, node: elm.Ratio) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#ratio"""
    return em.assembly.constant(
        f"Ratio({quantity_text(node.numerator)}, {quantity_text(node.denominator)})", RATIO
    )


@emits(elm.Code)
def code(em: Emitter, node: elm.Code) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#code"""
    system, version = None, None
    if node.system is not None:
        unit = em.assembly.unit_named(em.unit, node.system.library_name, node.system)
        definition = unit.code_system(node.system.name)
        system, version = definition.id, definition.version
    return em.assembly.constant(
        f"Code({node.code!r}, {system!r}, {version!r}, {node.display!r})",
        CODE,
        origin=KnownCodes(((system, node.code),)),
    )


@emits(elm.Concept)
def concept(em: Emitter, node: elm.Concept) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#concept"""
    codes = [code(em, c) for c in node.code]
    pairs = tuple(pair for c in codes for pair in c.origin.codes)
    listed = ", ".join(c.text for c in codes)
    return em.assembly.constant(f"Concept([{listed}], {node.display!r})", CONCEPT, origin=KnownCodes(pairs))


@emits(elm.Tuple)
def tuple_(em: Emitter, node: elm.Tuple) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#tuple"""
    declared = em.shapes.declared(node)
    items: list[str] = []
    types: dict[str, DataType] = {}
    for element in node.element:
        term = em.expr(element.value)
        want = declared.element(element.name) if isinstance(declared, TupleType) else None
        if want is not None and want != ANY:
            term = em.shapes.coerce(term, want)
        elif em.shapes.is_element(term.type) and want == ANY:
            term = em.shapes.coerce(term, ANY)
        types[element.name] = term.type
        items.append(f"{element.name!r}: {term.text}")
    kind = declared if isinstance(declared, TupleType) else tuple_of(types)
    return Term("Tuple({" + ", ".join(items) + "})", kind, nullable=False)


@emits(elm.Instance)
def instance(em: Emitter, node: elm.Instance) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#instance"""
    kind = em.shapes.named(node.class_type)
    values = {e.name: em.expr(e.value) for e in node.element}
    if kind.model == "System":
        return _system_instance(em, node, kind, values)
    if em.shapes.primitive(kind) is not None and set(values) <= {"value"}:
        value = values.get("value", NULL)
        return Term(f"json_of({value.text})", kind)
    items = []
    for name, term in values.items():
        forms = em.shapes.model.choice_properties(kind, name)
        if forms:
            for json_name, form in forms:
                if form == term.type or em.shapes.primitive(form) == term.type:
                    items.append(f"{json_name!r}: json_of({term.text})")
                    break
            else:
                items.append(f"**choice_json({name!r}, {term.text})")
        else:
            items.append(f"{name!r}: json_of({term.text})")
    text = "without_nulls({" + ", ".join(items) + "})"
    if em.shapes.is_resource(kind):
        text = "without_nulls({" + ", ".join([f"'resourceType': {kind.name!r}", *items]) + "})"
    return Term(text, kind, nullable=False)


def _system_instance(em: Emitter, node: elm.Instance, kind: NamedType, values: dict[str, Term]) -> Term:
    def part(name: str) -> str:
        return values[name].text if name in values else "None"

    makers = {
        "Quantity": ("value", "unit"),
        "Code": ("code", "system", "version", "display"),
        "Concept": ("codes", "display"),
        "Ratio": ("numerator", "denominator"),
        "ValueSet": ("id", "version", "name"),
        "CodeSystem": ("id", "version", "name"),
    }
    if kind.name not in makers:
        raise em.unsupported(node, f"{kind} has no instance selector.")
    arguments = ", ".join(part(name) for name in makers[kind.name])
    maker = "quantity_or_null" if kind.name == "Quantity" else PYTHON_TYPES[kind.name]
    return Term(f"{maker}({arguments})", kind, nullable=kind.name == "Quantity")


@emits(elm.Interval)
def interval(em: Emitter, node: elm.Interval) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#interval"""
    low = em.expr(node.low) if node.low is not None else NULL
    high = em.expr(node.high) if node.high is not None else NULL
    declared = em.shapes.declared(node)
    point = declared.point if isinstance(declared, IntervalType) else em.shapes.unify(low.type, high.type)
    low, high = em.shapes.coerce(low, point), em.shapes.coerce(high, point)
    name = point.name if isinstance(point, NamedType) and point.model == "System" and point != ANY else None
    if node.low_closed_expression is None and node.high_closed_expression is None:
        closed = f"{node.low_closed}, {node.high_closed}"
        if node.low_closed and node.high_closed and low.nullable and low.text == high.text:
            return Term(f"point_interval({low.text}, {name!r})", IntervalType(point))
    else:
        low_closed = em.expr(node.low_closed_expression).text if node.low_closed_expression else "True"
        high_closed = em.expr(node.high_closed_expression).text if node.high_closed_expression else "True"
        closed = f"{low_closed}, {high_closed}"
    return Term(f"interval({low.text}, {high.text}, {closed}, {name!r})", IntervalType(point))


@emits(elm.List)
def list_(em: Emitter, node: elm.List) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#list"""
    declared = em.shapes.declared(node)
    if node.type_specifier is not None:
        element: DataType = em.shapes.of_specifier(node.type_specifier)
    elif isinstance(declared, ListType):
        element = declared.element
    else:
        element = ANY
    terms = [em.expr(e) for e in node.element]
    if element == ANY:
        for term in terms:
            element = em.shapes.unify(element, term.type)
    codes: tuple[tuple[str | None, str], ...] | None = ()
    for term in terms:
        codes = (
            (*codes, *term.origin.codes)
            if codes is not None and isinstance(term.origin, KnownCodes)
            else None
        )
    origin = KnownCodes(codes) if codes else None
    listed = ", ".join(em.shapes.coerce(t, element).text for t in terms)
    return Term(f"[{listed}]", ListType(element), nullable=False, origin=origin)
