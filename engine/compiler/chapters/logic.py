"""Logical, nullological and conditional operators, and messages.

ELM "Logical Operators", "Nullological Operators", "Conditional Operators", "Errors and Messages". Operands
are evaluated only when the ones before leave the answer open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from measurewise.engine import elm
from measurewise.engine.compiler.chapters.casts import cast_type, test_type, type_test
from measurewise.engine.compiler.emitter import Emitter, boolean, decides, emits
from measurewise.engine.compiler.origins import ChoiceElement, ConvertedChoice, PrimitiveElement
from measurewise.engine.compiler.writer import NULL, Term
from measurewise.engine.models.types import ANY, BOOLEAN, ChoiceType, DataType, ListType, choice_of


def _flat(node: elm.Expression, kind: type) -> list[elm.Expression]:
    if type(node) is kind:
        return [leaf for part in node.operand for leaf in _flat(part, kind)]  # type: ignore[attr-defined]
    return [node]


# ------------------------------------------------------------------ and, or


@decides(elm.And)
def and_true(em: Emitter, node: elm.And) -> str:
    """https://cql.hl7.org/04-logicalspecification.html#and"""
    return chain(em, _flat(node, elm.And), "and", em.truth)


@decides(elm.Or)
def or_true(em: Emitter, node: elm.Or) -> str:
    """https://cql.hl7.org/04-logicalspecification.html#or"""
    return chain(em, _flat(node, elm.Or), "or", em.truth)


def chain(
    em: Emitter, parts: Sequence[elm.Expression], word: str, of: Callable[[elm.Expression], str]
) -> str:
    """Python's own ``and`` or ``or`` over what ``of`` makes of each part; later parts wait for their turn."""
    text = of(parts[0])
    for part in parts[1:]:
        lines, more = em.lazily(of, part)
        if not lines:
            text = f"({text} {word} {more})"
            continue
        name = em.w.variable("b", text)
        em.place(f"if {name}" if word == "and" else f"if not {name}", lines, f"{name} = {more}")
        text = name
    return text


@emits(elm.And)
def and_(em: Emitter, node: elm.And) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#and"""
    return _connect(em, _flat(node, elm.And), node, "False", "True", "and")


@emits(elm.Or)
def or_(em: Emitter, node: elm.Or) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#or"""
    return _connect(em, _flat(node, elm.Or), node, "True", "False", "or")


def _connect(
    em: Emitter, parts: Sequence[elm.Expression], node: elm.Expression, final: str, neutral: str, word: str
) -> Term:
    """A chain whose answer is ``final`` as soon as one operand is, and null if one is null and none final."""
    if all(two_valued(em, p) for p in parts):
        return boolean(chain(em, parts, word, em.truth), two_valued=True)
    name = em.w.variable("b", em.expr(parts[0]).text)
    for part in parts[1:]:
        lines, more = em.lazily(lambda p: em.atom(p).text, part)
        em.place(f"if {name} is not {final}", lines, f"if {more} is not {neutral}:", f"    {name} = {more}")
    return Term(name, BOOLEAN, atomic=True)


TWO_VALUED: tuple[type, ...] = (
    elm.Exists,
    elm.IsNull,
    elm.IsTrue,
    elm.IsFalse,
    elm.Is,
    elm.Equivalent,
    elm.InValueSet,
    elm.AnyInValueSet,
    elm.CanConvert,
)


def two_valued(em: Emitter, node: elm.Expression) -> bool:
    """Whether a Boolean node can never be null."""
    if isinstance(node, elm.And | elm.Or | elm.Xor):
        return all(two_valued(em, p) for p in node.operand)
    if isinstance(node, elm.Not):
        return two_valued(em, node.operand)
    if isinstance(node, elm.Literal):
        return node.value is not None
    return isinstance(node, TWO_VALUED)


@emits(elm.Xor)
def xor(em: Emitter, node: elm.Xor) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#xor"""
    a, b = (em.expr(o).text for o in node.operand)
    return boolean(f"xor({a}, {b})")


@emits(elm.Implies)
def implies(em: Emitter, node: elm.Implies) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#implies"""
    name = em.w.variable("b", f"not_({em.expr(node.operand[0]).text})")
    lines, more = em.lazily(lambda p: em.atom(p).text, node.operand[1])
    em.place(f"if {name} is not True", lines, f"if {more} is not False:", f"    {name} = {more}")
    return Term(name, BOOLEAN, atomic=True)


@emits(elm.Not)
def not_(em: Emitter, node: elm.Not) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#not"""
    if two_valued(em, node.operand):
        return boolean(f"(not {em.truth(node.operand)})", two_valued=True)
    term = em.atom(node.operand)
    if isinstance(term.folded, bool):
        return boolean(str(not term.folded), two_valued=True, folded=not term.folded)
    if term.two_valued:
        return boolean(f"(not {term.text})", two_valued=True)
    return boolean(f"(None if {term.text} is None else not {term.text})")


@decides(elm.Not)
def not_true(em: Emitter, node: elm.Not) -> str:
    """https://cql.hl7.org/04-logicalspecification.html#not"""
    if two_valued(em, node.operand):
        return f"(not {em.truth(node.operand)})"
    term = em.expr(node.operand)
    return f"(not {term.text})" if term.two_valued else f"({term.text} is False)"


# ------------------------------------------------------------------- nullology


@emits(elm.IsNull)
def is_null(em: Emitter, node: elm.IsNull) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#isnull"""
    term = em.expr(node.operand)
    if term.folded is not ...:
        return boolean(str(term.folded is None), two_valued=True, folded=term.folded is None)
    if not term.nullable:
        return boolean("False", two_valued=True, folded=False)
    origin = term.origin
    if isinstance(origin, ConvertedChoice) and all(
        em.shapes.primitive(t) or t.name in ("CodeableConcept", "Coding", "Range", "Ratio")
        for _, t in origin.element.forms
    ):
        origin = origin.element
    if isinstance(origin, ChoiceElement):
        tests = " and ".join(f"{origin.parent}.get({name!r}) is None" for name, _ in origin.forms)
        if len(origin.forms) <= 4:
            if origin.parent_nullable:
                return boolean(f"({origin.parent} is None or {tests})", two_valued=True)
            return boolean(f"({tests})", two_valued=True)
    if isinstance(origin, PrimitiveElement):
        there = f"{origin.parent}.get({'_' + origin.name!r}) is None"
        if origin.parent_nullable:
            there = f"({origin.parent} is None or {there})"
        return boolean(f"({term.text} is None and {there})", two_valued=True)
    return boolean(f"({term.text} is None)", two_valued=True)


@emits(elm.IsTrue)
def is_true(em: Emitter, node: elm.IsTrue) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#istrue"""
    return boolean(f"({em.expr(node.operand).text} is True)", two_valued=True)


@emits(elm.IsFalse)
def is_false(em: Emitter, node: elm.IsFalse) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#isfalse"""
    return boolean(f"({em.expr(node.operand).text} is False)", two_valued=True)


@emits(elm.Coalesce)
def coalesce(em: Emitter, node: elm.Coalesce) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#coalesce"""
    declared = em.shapes.declared(node)
    first = em.expr(node.operand[0])
    if len(node.operand) == 1 and isinstance(first.type, ListType):
        return Term(f"coalesce_list({first.text})", declared or first.type.element)
    others: list[tuple[list[tuple[int, str]], Term]] = []
    kind: DataType = first.type
    for operand in node.operand[1:]:
        with em.w.captured() as lines:
            term = em.expr(operand)
        others.append((lines, term))
        kind = em.shapes.unify(kind, term.type)
    if declared is not None and not em.shapes.is_open(declared):
        kind = declared
    name = em.w.variable("v", em.shapes.coerce(first, kind).text)
    for lines, term in others:
        em.place(f"if {name} is None", lines, f"{name} = {em.shapes.coerce(term, kind).text}")
    return Term(name, kind, atomic=True)


# ----------------------------------------------------------------- conditionals

Branch = tuple[elm.Expression | str, elm.Expression]


@emits(elm.If)
def if_(em: Emitter, node: elm.If) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#if"""
    return _once(em, node, [(node.condition, node.then)], node.else_)


@emits(elm.Case)
def case(em: Emitter, node: elm.Case) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#case"""
    if node.comparand is None:
        collapsed = _collapsed(em, node)
        if collapsed is not None:
            return collapsed
        return _once(em, node, [(item.when, item.then) for item in node.case_item], node.else_)
    comparand = em.atom(node.comparand)
    branches: list[Branch] = []
    for item in node.case_item:
        when = em.expr(item.when)
        if isinstance(when.folded, str | int) and comparand.type == when.type:
            branches.append((f"{comparand.text} == {when.text}", item.then))
        else:
            branches.append((f"equal({comparand.text}, {when.text})", item.then))
    return _once(em, node, branches, node.else_)


def _collapsed(em: Emitter, node: elm.Case) -> Term | None:
    """``case when x is A then x as A when x is B then x as B else null`` is x, if x is an A or a B.

    The translator writes this where one choice of types flows into another (CQL "Choice Types").
    """
    if not isinstance(node.else_, elm.Null) or not node.case_item:
        return None
    subject: elm.Expression | None = None
    key = None
    kinds: list[DataType] = []
    for item in node.case_item:
        then = item.then
        while isinstance(then, elm.As) and isinstance(then.operand, elm.As):
            then = then.operand
        if not isinstance(item.when, elm.Is) or not isinstance(then, elm.As):
            return None
        wanted, given = test_type(em, item.when), cast_type(em, then)
        if wanted != given or em.shapes.is_element(wanted):
            return None
        for part in (item.when.operand, then.operand):
            if key is None:
                subject, key = part, em.assembly.key(part)
            elif em.assembly.key(part) != key:
                return None
        if wanted not in kinds:
            kinds.append(wanted)
    assert subject is not None
    term = em.expr(subject)
    members = term.type.choices if isinstance(term.type, ChoiceType) else (term.type,)
    if any(m == ANY for m in members):
        return None
    if all(m in kinds for m in members):
        return term
    if any(em.shapes.is_element(m) for m in members):
        return None
    value = em.w.atom(term)
    tests = " or ".join(type_test(em, value.text, k) for k in kinds if k in members)
    if not tests:
        return NULL.typed(em.declared(node))
    kept = choice_of(*(k for k in kinds if k in members))
    return Term(f"({value.text} if {tests} else None)", kept)


def _once(em: Emitter, node: elm.Expression, branches: Sequence[Branch], otherwise: elm.Expression) -> Term:
    key = ("select", em.assembly.key(node), em.names.signature())
    known = em.w.known(key)
    if known is not None:
        return known
    term = em.w.atom(_select(em, em.shapes.declared(node), branches, otherwise), "v")
    em.w.remember(key, term)
    return term


def _select(
    em: Emitter, declared: DataType | None, branches: Sequence[Branch], otherwise: elm.Expression
) -> Term:
    if not branches:
        return em.expr(otherwise)
    when, then = branches[0]
    condition = when if isinstance(when, str) else em.truth(when)
    if condition in ("False", "None"):
        return _select(em, declared, branches[1:], otherwise)
    if condition == "True":
        return em.expr(then)
    with em.w.captured() as yes_lines:
        em.w.assume(condition)
        yes = em.expr(then)
    with em.w.captured() as no_lines:
        no = _select(em, declared, branches[1:], otherwise)
    kind = em.shapes.unify(yes.type, no.type)
    if declared is not None and (kind == ANY or not em.shapes.is_open(declared)):
        kind = declared
    yes, no = em.shapes.coerce(yes, kind), em.shapes.coerce(no, kind)
    nullable = yes.nullable or no.nullable
    if not yes_lines and not no_lines:
        return Term(f"({yes.text} if {condition} else {no.text})", kind, nullable=nullable)
    name = em.w.fresh("v")
    em.place(f"if {condition}", yes_lines, f"{name} = {yes.text}")
    em.place("else", no_lines, f"{name} = {no.text}")
    return Term(name, kind, atomic=True, nullable=nullable)


# --------------------------------------------------------------------- messages


@emits(elm.Message)
def message(em: Emitter, node: elm.Message) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#message"""
    parts = [
        (em.expr(part) if part is not None else NULL).text
        for part in (node.condition, node.code, node.severity, node.message)
    ]
    source = em.expr(node.source)
    return Term(f"message({source.text}, {', '.join(parts)}, MESSAGES)", source.type, origin=None)
