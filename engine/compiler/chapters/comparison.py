"""Comparison operators (ELM "Comparison Operators"), on the static types that need no dispatch."""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.compiler.emitter import Emitter, boolean, decides, emits
from measurewise.engine.compiler.origins import FromCodeableConcept, FromCoding, KnownCodes
from measurewise.engine.compiler.writer import Term
from measurewise.engine.models.types import BOOLEAN, CODE, CONCEPT, INTEGER, LONG, STRING, DataType

PLAIN = (STRING, INTEGER, LONG, BOOLEAN)
"""Types whose values compare with Python's own operators once null is out of the way."""

ORDERED = (STRING, INTEGER, LONG)

SIGNS = {elm.Less: "<", elm.LessOrEqual: "<=", elm.Greater: ">", elm.GreaterOrEqual: ">="}
NAMES = {
    elm.Less: "less",
    elm.LessOrEqual: "less_or_equal",
    elm.Greater: "greater",
    elm.GreaterOrEqual: "greater_or_equal",
}


def _pair(em: Emitter, node: elm.BinaryExpression) -> tuple[Term, Term]:
    a, b = node.operand
    return em.expr(a), em.expr(b)


def _null_guard(em: Emitter, a: Term, b: Term) -> str:
    tests = [f"{t.text} is None" for t in (a, b) if t.nullable]
    return " or ".join(tests)


def _plain(node: elm.BinaryExpression, a: Term, b: Term, types: tuple[DataType, ...]) -> bool:
    if a.type != b.type or a.type not in types:
        return False
    return a.type not in (INTEGER, LONG) or not _may_be_uncertain(node)


@emits(elm.Equal)
def equal(em: Emitter, node: elm.Equal) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#equal"""
    a, b = _pair(em, node)
    if _plain(node, a, b, PLAIN):
        a, b = em.w.atom(a), em.w.atom(b)
        guard = _null_guard(em, a, b)
        if not guard:
            return boolean(f"({a.text} == {b.text})", two_valued=True)
        return boolean(f"(None if {guard} else {a.text} == {b.text})")
    return boolean(f"equal({a.text}, {b.text})")


@decides(elm.Equal)
def equal_true(em: Emitter, node: elm.Equal) -> str:
    """https://cql.hl7.org/04-logicalspecification.html#equal"""
    a, b = _pair(em, node)
    if _plain(node, a, b, PLAIN):
        if not a.nullable or not b.nullable:
            return f"({a.text} == {b.text})"
        a = em.w.atom(a)
        return f"({a.text} is not None and {a.text} == {b.text})"
    return f"equal({a.text}, {b.text})"


@emits(elm.NotEqual)
def not_equal(em: Emitter, node: elm.NotEqual) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#notequal"""
    a, b = _pair(em, node)
    if _plain(node, a, b, PLAIN):
        a, b = em.w.atom(a), em.w.atom(b)
        guard = _null_guard(em, a, b)
        if not guard:
            return boolean(f"({a.text} != {b.text})", two_valued=True)
        return boolean(f"(None if {guard} else {a.text} != {b.text})")
    return boolean(f"not_({f'equal({a.text}, {b.text})'})")


@emits(elm.Less, elm.LessOrEqual, elm.Greater, elm.GreaterOrEqual)
def ordering(em: Emitter, node: elm.BinaryExpression) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#less"""
    a, b = _pair(em, node)
    if _plain(node, a, b, ORDERED):
        a, b = em.w.atom(a), em.w.atom(b)
        guard = _null_guard(em, a, b)
        sign = SIGNS[type(node)]
        if not guard:
            return boolean(f"({a.text} {sign} {b.text})", two_valued=True)
        return boolean(f"(None if {guard} else {a.text} {sign} {b.text})")
    return boolean(f"{NAMES[type(node)]}({a.text}, {b.text})")


def _may_be_uncertain(node: elm.BinaryExpression) -> bool:
    """Whether an operand may be an uncertainty: a duration or difference, or what is made from one."""
    return any(
        isinstance(
            part,
            elm.DurationBetween
            | elm.DifferenceBetween
            | elm.CalculateAge
            | elm.CalculateAgeAt
            | elm.ExpressionRef
            | elm.OperandRef
            | elm.QueryLetRef
            | elm.AliasRef
            | elm.Property,
        )
        for operand in node.operand
        for part in elm.walk(operand)
    )


@emits(elm.Equivalent)
def equivalent(em: Emitter, node: elm.Equivalent) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#equivalent"""
    a, b = _pair(em, node)
    for value, known in ((a, b), (b, a)):
        if not isinstance(known.origin, KnownCodes):
            continue
        codes = known.origin.codes
        if isinstance(value.origin, FromCodeableConcept):
            if len(codes) == 1:
                system, code = codes[0]
                return boolean(f"concept_has({value.origin.text}, {system!r}, {code!r})", two_valued=True)
            return boolean(f"concept_in({value.origin.text}, {em.assembly.code_set(codes)})", two_valued=True)
        if isinstance(value.origin, FromCoding) and len(codes) == 1:
            system, code = codes[0]
            return boolean(f"coding_is({value.origin.text}, {system!r}, {code!r})", two_valued=True)
        if value.type in (CODE, CONCEPT) and len(codes) == 1 and value.text != "None":
            system, code = codes[0]
            return boolean(f"has_code({value.text}, {system!r}, {code!r})", two_valued=True)
    for value, known in ((a, b), (b, a)):
        if value.type == STRING and isinstance(known.folded, str):
            value = em.w.atom(value)
            return boolean(
                f"({value.text} == {known.text} or equivalent({value.text}, {known.text}))", two_valued=True
            )
    return boolean(f"equivalent({a.text}, {b.text})", two_valued=True)
