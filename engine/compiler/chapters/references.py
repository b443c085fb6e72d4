"""References to definitions, functions, parameters, operands and terminology (ELM "Reusing Logic",
"Parameters", "Clinical Values")."""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.compiler.chapters.properties import step
from measurewise.engine.compiler.emitter import Emitter, emits
from measurewise.engine.compiler.intrinsics import intrinsic
from measurewise.engine.compiler.origins import ConvertedChoice, KnownCodes
from measurewise.engine.compiler.unit import Unit
from measurewise.engine.compiler.writer import Term
from measurewise.engine.models.types import CODE, CODESYSTEM, CONCEPT, INTEGER


@emits(elm.ExpressionRef)
def expression_ref(em: Emitter, node: elm.ExpressionRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#expressionref"""
    unit = em.assembly.unit_named(em.unit, node.library_name, node)
    found = em.assembly.definition(unit, node.name, node, em)
    if found.is_patient:
        return Term("s[1]", found.type, atomic=True, nullable=False)
    slot = found.slot
    text = f"(e{slot} if (e{slot} := s[{slot}]) is not U else {found.function}(s))"
    return Term(text, found.type, nullable=found.nullable, two_valued=found.two_valued, solid=found.solid)


@emits(elm.FunctionRef)
def function_ref(em: Emitter, node: elm.FunctionRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#functionref"""
    unit = em.assembly.unit_named(em.unit, node.library_name, node)
    if em.repeated and em.assembly.inlining.walks(em, node):
        written = em.assembly.inlining.of(em, node)
        if written is not None:
            return em.expr(written)
    arguments = [em.expr(operand) for operand in node.operand]
    done = intrinsic(em, unit, node, arguments)
    if done is not None:
        return done
    return call(em, unit, node, arguments)


def _of_choice_element(em: Emitter, unit: Unit, node: elm.FunctionRef, arguments: list[Term]) -> Term | None:
    """``latest(X.effective)`` and kin: one function of the place, which remembers what it found there."""
    if len(arguments) != 1 or len(node.operand) != 1:
        return None
    origin, operand = arguments[0].origin, node.operand[0]
    while isinstance(operand, elm.As | elm.Case) and not isinstance(operand, elm.FunctionRef):
        inner = operand.operand if isinstance(operand, elm.As) else _only_subject(operand)
        if inner is None:
            return None
        operand = inner
    if not isinstance(origin, ConvertedChoice) or not isinstance(operand, elm.FunctionRef):
        return None
    if em.assembly.freedom.heavy_call(unit, node):
        return None
    owner = em.assembly.unit_named(em.unit, operand.library_name, operand)
    made = em.assembly.readers.derived(unit, node, origin.element.forms, (owner, operand), em)
    if made is None:
        return None
    function, kind = made
    text = f"{function}(s, {origin.element.parent})"
    if origin.element.parent_nullable:
        text = f"({text} if {origin.element.parent} is not None else None)"
    return Term(text, kind)


def _only_subject(node: elm.Case) -> elm.Expression | None:
    """What all branches of a collapsed case cast (see ``logic.py``)."""
    if not node.case_item or not isinstance(node.case_item[0].when, elm.Is):
        return None
    return node.case_item[0].when.operand


def call(em: Emitter, unit: Unit, node: elm.FunctionRef, arguments: list[Term]) -> Term:
    """A call of a CQL function, compiled for the static types of these arguments."""
    derived = _of_choice_element(em, unit, node, arguments)
    if derived is not None:
        return derived
    variant, coerced = em.assembly.function(unit, node, arguments, em)
    key = ("call", variant.function, tuple(a.text for a in coerced))
    known = em.w.known(key)
    if known is not None:
        return known
    listed = "".join(f", {a.text}" for a in coerced)
    return Term(
        f"{variant.function}(s{listed})", variant.type, nullable=variant.nullable, solid=variant.solid
    )


@emits(elm.ParameterRef)
def parameter_ref(em: Emitter, node: elm.ParameterRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#parameterref"""
    unit = em.assembly.unit_named(em.unit, node.library_name, node)
    return em.assembly.parameter(unit, node.name, node)


@emits(elm.OperandRef)
def operand_ref(em: Emitter, node: elm.OperandRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#operandref"""
    found = em.names.operands.get(node.name)
    if found is None:
        raise em.unsupported(node, f"there is no operand {node.name}.")
    return found


@emits(elm.AliasRef)
def alias_ref(em: Emitter, node: elm.AliasRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#aliasref"""
    found = em.names.aliases.get(node.name)
    if found is None and node.name == "$this":
        found = em.names.row or em.names.iteration
    if found is None:
        raise em.unsupported(node, f"there is no alias {node.name}.")
    return found


@emits(elm.QueryLetRef)
def query_let_ref(em: Emitter, node: elm.QueryLetRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#queryletref"""
    found = em.names.lets.get(node.name)
    if found is None and node.name in em.names.aliases:
        # The running value of an aggregate is referred to as a let.
        return em.names.aliases[node.name]
    if found is None:
        raise em.unsupported(node, f"there is no let {node.name}.")
    expression, names = found
    key = ("let", id(expression), names.signature())
    known = em.w.known(key)
    if known is not None:
        return known
    with em.scope(names):
        term = em.w.atom(em.expr(expression), "l")
    em.w.remember(key, term)
    return term


@emits(elm.IdentifierRef)
def identifier_ref(em: Emitter, node: elm.IdentifierRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#identifierref"""
    names = em.names
    if node.name in names.aliases:
        return names.aliases[node.name]
    if node.name in names.operands:
        return names.operands[node.name]
    if names.row is not None:
        if node.name == "$this":
            return names.row
        return step(em, names.row, node.name, em.shapes.declared(node))
    unit = em.assembly.unit_named(em.unit, node.library_name, node)
    if unit.has_definition(node.name):
        return expression_ref(em, elm.ExpressionRef(name=node.name, library_name=node.library_name))
    raise em.unsupported(node, f"nothing is called {node.name} here.")


@emits(elm.CodeRef)
def code_ref(em: Emitter, node: elm.CodeRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#coderef"""
    unit = em.assembly.unit_named(em.unit, node.library_name, node)
    text, pair = unit.code_text(node.name, em.assembly, node)
    return em.assembly.constant(text, CODE, origin=KnownCodes((pair,)))


@emits(elm.ConceptRef)
def concept_ref(em: Emitter, node: elm.ConceptRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#conceptref"""
    unit = em.assembly.unit_named(em.unit, node.library_name, node)
    text, pairs = unit.concept_text(node.name, em.assembly, node)
    return em.assembly.constant(text, CONCEPT, origin=KnownCodes(pairs))


@emits(elm.ValueSetRef)
def value_set_ref(em: Emitter, node: elm.ValueSetRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#valuesetref"""
    return em.assembly.value_set(em.unit, node)


@emits(elm.CodeSystemRef)
def code_system_ref(em: Emitter, node: elm.CodeSystemRef) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#codesystemref"""
    unit = em.assembly.unit_named(em.unit, node.library_name, node)
    found = unit.code_system(node.name)
    return em.assembly.constant(f"CodeSystem({found.id!r}, {found.version!r}, {found.name!r})", CODESYSTEM)


@emits(elm.Current)
def current(em: Emitter, node: elm.Current) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#current"""
    if node.scope and node.scope in em.names.aliases:
        return em.names.aliases[node.scope]
    found = em.names.iteration or em.names.row
    if found is None:
        raise em.unsupported(node, "it stands outside an iteration.")
    return found


@emits(elm.Iteration)
def iteration(em: Emitter, node: elm.Iteration) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#iteration"""
    if em.names.index is None:
        raise em.unsupported(node, "it stands outside an iteration.")
    return em.names.index.typed(INTEGER)


@emits(elm.Total)
def total(em: Emitter, node: elm.Total) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#total"""
    if em.names.total is None:
        raise em.unsupported(node, "it stands outside an aggregate.")
    return em.names.total
