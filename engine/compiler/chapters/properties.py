"""Property access (ELM "Property"): paths into FHIR JSON, System values, tuples and intervals.

The static type of the source decides what a path means. On a FHIR primitive ``value`` is the JSON itself,
read as the System type; on a class it is one look-up in the JSON object; a choice element ``value[x]`` stays
a question (:class:`ChoiceElement`) until a cast, a conversion or a test says which form is wanted.
"""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.compiler.emitter import Emitter, emits
from measurewise.engine.compiler.origins import ChoiceElement, FromCoding, PrimitiveElement
from measurewise.engine.compiler.writer import NULL, Term
from measurewise.engine.models.types import (
    ANY,
    BOOLEAN,
    CODE,
    DATE,
    DATETIME,
    DECIMAL,
    QUANTITY,
    STRING,
    TIME,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
    choice_of,
)

SYSTEM_ATTRIBUTES: dict[str, dict[str, DataType]] = {
    "Quantity": {"value": DECIMAL, "unit": STRING},
    "Code": {"code": STRING, "system": STRING, "version": STRING, "display": STRING},
    "Concept": {"codes": ListType(CODE), "display": STRING},
    "Ratio": {"numerator": QUANTITY, "denominator": QUANTITY},
    "ValueSet": {"id": STRING, "version": STRING, "name": STRING},
    "CodeSystem": {"id": STRING, "version": STRING, "name": STRING},
}

VALUE_READERS = {DATE: "read_date", DATETIME: "read_datetime", TIME: "read_time", DECIMAL: "read_decimal"}
"""System types whose FHIR JSON must be read; the JSON of the others is the value."""


@emits(elm.Property, elm.Search)
def property_(em: Emitter, node: elm.Property) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#property"""
    if node.scope is not None:
        term = em.names.aliases.get(node.scope)
        if term is None and em.names.row is not None and node.scope == "$this":
            term = em.names.row
        if term is None:
            raise em.unsupported(node, f"there is no alias {node.scope}.")
    elif node.source is not None:
        term = em.expr(node.source)
    else:
        raise em.unsupported(node, "it has neither a scope nor a source.")
    return path(em, term, node.path, em.shapes.declared(node))


def path(em: Emitter, term: Term, dotted: str, declared: DataType | None) -> Term:
    """The value at a dotted path of a term; ``declared`` is the translator's type, used as a last resort."""
    steps = dotted.split(".")
    for number, name in enumerate(steps):
        last = number == len(steps) - 1
        if "[" in name:
            name, _, index = name.rstrip("]").partition("[")
            term = step(em, term, name, None)
            term = Term(f"indexer({term.text}, {int(index)})", _element(term.type))
        else:
            term = step(em, term, name, declared if last else None)
    return term


def _element(kind: DataType) -> DataType:
    return kind.element if isinstance(kind, ListType) else ANY


def step(em: Emitter, term: Term, name: str, declared: DataType | None) -> Term:
    """One step of a path."""
    if term.text == "None":
        return NULL.typed(declared or ANY)
    kind = term.type
    if isinstance(kind, ListType):
        inner = _inside(em, kind.element, name, declared)
        flat = isinstance(inner.type, ListType)
        listed = inner.type if flat else ListType(inner.type)
        return Term(f"traverse({term.text}, lambda x: {inner.text})", listed)
    if isinstance(kind, TupleType):
        return _tuple_element(em, term, kind, name)
    if isinstance(kind, IntervalType):
        return _attribute(em, term, _interval_attribute(name), _interval_type(kind, name))
    if isinstance(kind, ChoiceType) or kind == ANY:
        return _of_choice(em, term, name, declared)
    assert isinstance(kind, NamedType)
    if kind.model == "System":
        types = SYSTEM_ATTRIBUTES.get(kind.name, {})
        if name in types:
            return _attribute(em, term, name, types[name])
        return Term(f"dynamic_property({term.text}, {name!r})", declared or ANY)
    primitive = em.shapes.primitive(kind)
    if primitive is not None:
        if name == "value":
            reader = VALUE_READERS.get(primitive)
            if reader is None:
                return Term(term.text, primitive, atomic=term.atomic, nullable=term.nullable)
            return Term(f"{reader}({term.text})", primitive)
        return _beside_primitive(em, term, name)
    return _member(em, term, (kind,), name, declared)


def _inside(em: Emitter, kind: DataType, name: str, declared: DataType | None) -> Term:
    element = declared.element if isinstance(declared, ListType) else declared
    with em.w.captured():
        return step(em, Term("x", kind, atomic=True, nullable=False), name, element)


def _guarded(em: Emitter, value: Term, text: str) -> str:
    return text if not value.nullable else f"({text} if {value.text} is not None else None)"


def _attribute(em: Emitter, term: Term, attribute: str, kind: DataType) -> Term:
    if isinstance(term.origin, FromCoding):
        coding = Term(term.origin.text, atomic=True)
        return Term(_guarded(em, coding, f"{coding.text}.get({attribute!r})"), kind)
    value = em.w.atom(term)
    return Term(_guarded(em, value, f"{value.text}.{attribute}"), kind)


def _interval_attribute(name: str) -> str:
    return {"lowClosed": "low_closed", "highClosed": "high_closed"}.get(name, name)


def _interval_type(kind: IntervalType, name: str) -> DataType:
    return BOOLEAN if name in ("lowClosed", "highClosed") else kind.point


def _tuple_element(em: Emitter, term: Term, kind: TupleType, name: str) -> Term:
    value = em.w.atom(term)
    found = kind.element(name)
    return Term(_guarded(em, value, f"{value.text}.get({name!r})"), found or ANY)


def _beside_primitive(em: Emitter, term: Term, name: str) -> Term:
    """``id`` or ``extension`` of a primitive, which FHIR JSON keeps in a property of the name with ``_``."""
    kind: DataType = (
        ListType(NamedType("FHIR", "Extension")) if name == "extension" else NamedType("FHIR", "string")
    )
    origin = term.origin
    if not isinstance(origin, PrimitiveElement):
        return NULL.typed(kind)
    text = f"sibling({origin.parent}, {'_' + origin.name!r}, {name!r})"
    return Term(text, kind)


def _member(
    em: Emitter, term: Term, kinds: tuple[NamedType, ...], name: str, declared: DataType | None
) -> Term:
    """An element of a FHIR class, or of each of several classes the value may have."""
    forms: list[tuple[str, NamedType]] = []
    found: DataType | None = None
    for kind in kinds:
        for form in em.shapes.model.choice_properties(kind, name):
            if form not in forms:
                forms.append(form)
        element = em.shapes.model.element_type(kind, name)
        if element is not None:
            found = element if found is None else em.shapes.unify(found, element)
    if found is None and name == "resourceType":
        found = STRING
    value = em.w.atom(term)
    nullable = value.nullable
    if forms:
        origin = ChoiceElement(value.text, nullable, tuple(forms))
        text = f"choice_of({value.text}, {em.assembly.forms(tuple(forms))})"
        return Term(text, choice_of(*(t for _, t in forms)), origin=origin)
    text = _guarded(em, value, f"{value.text}.get({name!r})")
    kind_found = found or declared or ANY
    if isinstance(found, ChoiceType):
        kind_found = _merged(em, found)
    primitive = em.shapes.primitive(kind_found)
    origin2 = PrimitiveElement(value.text, nullable, name) if primitive is not None else None
    return Term(text, kind_found, origin=origin2, solid=isinstance(kind_found, ListType))


def _merged(em: Emitter, found: ChoiceType) -> DataType:
    """One element type for an element that several classes declare differently (status codes, mostly)."""
    values = {em.shapes.primitive(t) for t in found.choices}
    if len(values) == 1 and None not in values:
        return found.choices[0]
    return found.choices[0]


def _of_choice(em: Emitter, term: Term, name: str, declared: DataType | None) -> Term:
    members = term.type.choices if isinstance(term.type, ChoiceType) else ()
    resources = tuple(m for m in members if isinstance(m, NamedType) and em.shapes.is_resource(m))
    if resources and len(resources) == len(members):
        return _member(em, term, resources, name, declared)
    kinds: list[DataType] = []
    for member in members:
        with em.w.captured():
            probe = step(em, Term("x", member, atomic=True, nullable=False), name, None)
        if probe.text != "None" and probe.type != ANY:
            kinds.append(probe.type)
    kind: DataType = choice_of(*kinds) if kinds else (declared or ANY)
    value = em.w.atom(term)
    if name == "value":
        return Term(f"boxed_value({value.text})", kind)
    if not em.shapes.is_open(kind) and em.shapes.is_element(kind):
        return Term(f"dynamic_property({value.text}, {name!r})", kind)
    if kinds and all(isinstance(m, IntervalType) for m in members if _has(em, m, name)):
        attribute = _interval_attribute(name)
        return Term(f"({value.text}.{attribute} if type({value.text}) is Interval else None)", kind)
    return Term(f"dynamic_property({value.text}, {name!r})", kind)


def _has(em: Emitter, member: DataType, name: str) -> bool:
    with em.w.captured():
        probe = step(em, Term("x", member, atomic=True, nullable=False), name, None)
    return probe.type != ANY
