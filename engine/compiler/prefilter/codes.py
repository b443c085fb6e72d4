"""What a test of codes says of the row that the codes come from."""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.compiler.prefilter.requirements import (
    ANYTHING,
    NOTHING,
    Coded,
    OnRow,
    Requirement,
    ValueSetUse,
    any_of,
)
from measurewise.engine.compiler.prefilter.symbols import NULL, Element, Scope, Value
from measurewise.engine.compiler.prefilter.values import Reading
from measurewise.engine.compiler.retrieval import CodeElement
from measurewise.engine.models.types import ListType


def coded(
    reading: Reading,
    node: elm.Expression,
    scope: Scope,
    uses: tuple[ValueSetUse, ...],
    codes: tuple[tuple[str | None, str], ...],
) -> Requirement:
    """That what a code, concept or list of them comes from has one of some codes. Raises UndecidedError."""
    return any_of(coded_value(reading, value, uses, codes) for value in reading.values(node, scope))


def coded_value(
    reading: Reading, value: Value, uses: tuple[ValueSetUse, ...], codes: tuple[tuple[str | None, str], ...]
) -> Requirement:
    """As :func:`coded`, for a value."""
    if value is NULL:
        return NOTHING
    element = _code_element(reading, value) if isinstance(value, Element) else None
    if element is None:
        return ANYTHING
    assert isinstance(value, Element)
    return OnRow(value.row, Coded((element,), uses, codes))


def _code_element(reading: Reading, value: Element) -> CodeElement | None:
    repeats = value.one_of or isinstance(value.type, ListType)
    inner = value.type.element if isinstance(value.type, ListType) else value.type
    kind = reading.assembly._coded(inner)
    return None if kind not in ("CodeableConcept", "Coding") else CodeElement(value.name, kind, repeats)


def spelled_out(reading: Reading, node: elm.Expression, scope: Scope) -> tuple[tuple[str | None, str], ...]:
    """The codes that an expression spells out; none where it does not."""
    node, scope = reading.resolved(node, scope)
    while isinstance(node, elm.ToConcept | elm.ToList):
        node, scope = reading.resolved(node.operand, scope)
    if isinstance(node, elm.CodeRef | elm.ConceptRef):
        unit = reading.assembly.unit_named(scope.unit, node.library_name, node)
        if isinstance(node, elm.CodeRef):
            return (unit.code_text(node.name, reading.assembly, node)[1],)
        return unit.concept_text(node.name, reading.assembly, node)[1]
    return ()


def value_set(reading: Reading, node: elm.Expression, scope: Scope) -> ValueSetUse | None:
    """The value set that an expression names."""
    node, scope = reading.resolved(node, scope)
    while isinstance(node, elm.ExpandValueSet | elm.ToList):
        node, scope = reading.resolved(node.operand, scope)
    if not isinstance(node, elm.ValueSetRef):
        return None
    url, version = reading.assembly.value_set_identity(scope.unit, node)
    return ValueSetUse(url, version, node.name)
