"""Retrieves and clinical operators (ELM "External Data", "Clinical Operators")."""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.compiler.emitter import Emitter, boolean, emits
from measurewise.engine.compiler.origins import (
    FromCodeableConcept,
    FromCodeableConcepts,
    FromCoding,
    KnownCodes,
)
from measurewise.engine.compiler.retrieval import CodeFilter, Retrieval
from measurewise.engine.compiler.writer import Term
from measurewise.engine.models.types import CODE, CONCEPT, INTEGER, STRING, ListType, NamedType


@emits(elm.Retrieve)
def retrieve(em: Emitter, node: elm.Retrieve) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#retrieve"""
    kind = em.shapes.named(node.data_type)
    listed = ListType(kind)
    code_filter, later = _code_filter(em, node, kind)
    slot, function = em.assembly.retrieve(Retrieval(kind.name, node.template_id, code_filter))
    text = f"(e{slot} if (e{slot} := s[{slot}]) is not U else {function}(s))"
    if later is not None:
        text = f"with_codes({text}, {node.code_property!r}, {later.text})"
    if node.id is not None:
        text = f"with_id({text}, {em.expr(node.id).text})"
    if node.context is not None:
        related = em.expr(node.context)
        text = f"related_to({text}, {related.text}, {em.assembly.context_paths(kind)!r})"
    for path, value in _date_filters(node):
        text = f"with_dates({text}, {path!r}, {em.expr(value).text}, ZONE)"
    return Term(text, listed, nullable=False, solid=True)


def _date_filters(node: elm.Retrieve) -> list[tuple[str, elm.Expression]]:
    found: list[tuple[str, elm.Expression]] = []
    if node.date_range is not None:
        found.append((node.date_property or node.date_low_property or "", node.date_range))
    for date_filter in node.date_filter:
        found.append((date_filter.property or date_filter.low_property or "", date_filter.value))
    return found


def _code_filter(em: Emitter, node: elm.Retrieve, kind: NamedType) -> tuple[CodeFilter | None, Term | None]:
    """The filter as the index can serve it, or the codes to filter by when they are known only at run
    time."""
    codes, path, comparator = node.codes, node.code_property, node.code_comparator or "in"
    if codes is None and node.code_filter:
        first = node.code_filter[0]
        codes, path, comparator = first.value, first.property, first.comparator or "in"
    if codes is None:
        return None, None
    if path is None:
        info = em.shapes.model.class_of(kind)
        path = (info.primary_code_path if info else None) or "code"
    elements = em.assembly.code_elements(kind, path)
    inner = codes
    while isinstance(inner, elm.ExpandValueSet | elm.ToList) and isinstance(inner.operand, elm.ValueSetRef):
        inner = inner.operand
    if isinstance(inner, elm.ValueSetRef):
        url, version = em.assembly.value_set_identity(em.unit, inner)
        return CodeFilter(elements, comparator, value_set=url, version=version), None
    term = em.expr(codes)
    if isinstance(term.origin, KnownCodes):
        return CodeFilter(elements, comparator, codes=term.origin.codes), None
    return None, term


# -------------------------------------------------------------------- membership


@emits(elm.InValueSet, elm.ValueSetContains)
def in_value_set(em: Emitter, node: elm.InValueSet) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#invalueset"""
    if node.valueset is None:
        assert node.valueset_expression is not None
        value_set = node.valueset_expression
        if not isinstance(value_set, elm.ValueSetRef):
            return boolean(
                f"in_value_set({em.expr(node.code).text}, {em.expr(value_set).text}, VALUE_SETS)",
                two_valued=True,
            )
    else:
        value_set = node.valueset
    members = em.assembly.members(em.unit, value_set)
    code = em.expr(node.code)
    if isinstance(code.origin, FromCodeableConcept):
        return boolean(f"concept_in({code.origin.text}, {members})", two_valued=True)
    if isinstance(code.origin, FromCoding):
        return boolean(f"coding_in({code.origin.text}, {members})", two_valued=True)
    if code.type == CODE:
        value = em.w.atom(code)
        test = f"({value.text}.system, {value.text}.code) in {members}"
        return boolean(f"({value.text} is not None and {test})", two_valued=True)
    if code.type == CONCEPT:
        return boolean(f"cql_concept_in({code.text}, {members})", two_valued=True)
    if code.type == STRING:
        return boolean(f"string_in({code.text}, {members})", two_valued=True)
    return boolean(f"member_in({code.text}, {members})", two_valued=True)


@emits(elm.AnyInValueSet, elm.ValueSetContainsAny)
def any_in_value_set(em: Emitter, node: elm.AnyInValueSet) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#anyinvalueset"""
    value_set = node.valueset or node.valueset_expression
    assert value_set is not None
    codes = em.expr(node.codes)
    if not isinstance(value_set, elm.ValueSetRef):
        return boolean(
            f"any_in_value_set({codes.text}, {em.expr(value_set).text}, VALUE_SETS)", two_valued=True
        )
    members = em.assembly.members(em.unit, value_set)
    if isinstance(codes.origin, FromCodeableConcepts):
        return boolean(f"any_concept_in({codes.origin.text}, {members})", two_valued=True)
    return boolean(f"any_member_in({codes.text}, {members})", two_valued=True)


@emits(elm.InCodeSystem, elm.CodeSystemContains)
def in_code_system(em: Emitter, node: elm.InCodeSystem) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#incodesystem"""
    system = node.codesystem or node.codesystem_expression
    assert system is not None
    return boolean(
        f"in_code_system({em.expr(node.code).text}, {em.expr(system).text}, VALUE_SETS)", two_valued=True
    )


@emits(elm.AnyInCodeSystem, elm.CodeSystemContainsAny)
def any_in_code_system(em: Emitter, node: elm.AnyInCodeSystem) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#anyincodesystem"""
    system = node.codesystem or node.codesystem_expression
    assert system is not None
    return boolean(
        f"any_in_code_system({em.expr(node.codes).text}, {em.expr(system).text}, VALUE_SETS)",
        two_valued=True,
    )


@emits(elm.ExpandValueSet)
def expand_value_set(em: Emitter, node: elm.ExpandValueSet) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#expandvalueset"""
    return Term(f"expand_value_set({em.expr(node.operand).text}, VALUE_SETS)", ListType(CODE))


@emits(elm.Subsumes, elm.SubsumedBy)
def subsumes(em: Emitter, node: elm.Subsumes | elm.SubsumedBy) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#subsumes"""
    a, b = (em.expr(o).text for o in node.operand)
    name = "subsumes" if isinstance(node, elm.Subsumes) else "subsumed_by"
    return boolean(f"{name}({a}, {b}, VALUE_SETS)")


# --------------------------------------------------------------------------- age


@emits(elm.CalculateAge)
def calculate_age(em: Emitter, node: elm.CalculateAge) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#calculateage"""
    from measurewise.engine.compiler.chapters.timing import precision_number

    birth = em.expr(node.operand)
    return Term(f"calculate_age({birth.text}, {precision_number(node.precision)}, NOW)", INTEGER)


@emits(elm.CalculateAgeAt)
def calculate_age_at(em: Emitter, node: elm.CalculateAgeAt) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#calculateageat"""
    from measurewise.engine.compiler.chapters.timing import precision_number

    birth, at = (em.expr(o).text for o in node.operand)
    return Term(f"calculate_age_at({birth}, {at}, {precision_number(node.precision)})", INTEGER)
