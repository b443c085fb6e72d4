"""The rules that look at expressions and retrieves, and all rules together.

==========================  ===========================================================================
unused-*                    nothing refers to a definition, function, parameter, value set, code, include
always-null-comparison      a comparison with null, which is null whatever the other side is
unreachable-case            a branch that no value can reach
valueset-without-expansion  a value set that the given value sets do not hold
retrieve-without-index      a retrieve whose codes or path the index cannot serve
==========================  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from measurewise.engine import elm
from measurewise.engine.elm.structure import structure_key, walk
from measurewise.engine.lint.finding import Finding, found
from measurewise.engine.lint.usage import unused, unused_includes, uses
from measurewise.engine.models.model import load_model, parse_type_name
from measurewise.engine.models.types import DataType, ListType, NamedType

_COMPARISONS = {
    elm.Equal: "=",
    elm.NotEqual: "!=",
    elm.Less: "<",
    elm.LessOrEqual: "<=",
    elm.Greater: ">",
    elm.GreaterOrEqual: ">=",
}
_INDEXED = frozenset(
    {NamedType("FHIR", "CodeableConcept"), NamedType("FHIR", "Coding"), NamedType("FHIR", "code")}
)


HasExpansion = Callable[[str, str | None], bool]


class Linted(NamedTuple):
    """A translated library and the file it came from."""

    file: str
    library: elm.Library


def lint(libraries: Sequence[Linted], has_expansion: HasExpansion | None = None) -> list[Finding]:
    """The findings in some libraries, by file and place.

    What one of the libraries uses of another counts as used. ``has_expansion`` tells whether the members of a
    value set are known by its URL and version; without it that is not looked at.
    """
    used = {use for linted in libraries for use in uses(linted.library)}
    findings: set[Finding] = set()
    for file, library in libraries:
        findings.update(unused(file, library, used))
        findings.update(unused_includes(file, library))
        for statement in library.statements:
            for node in walk(statement):
                findings.update(_of_node(file, node, statement))
        if has_expansion is not None:
            findings.update(_without_expansion(file, library, has_expansion))
    return sorted(findings)


def _of_node(file: str, node: elm.Element, statement: elm.ExpressionDef) -> Iterator[Finding]:
    if type(node) in _COMPARISONS:
        yield from _null_comparison(file, node, statement)
    elif isinstance(node, elm.Case):
        yield from _case(file, node, statement)
    elif isinstance(node, elm.If):
        yield from _if(file, node, statement)
    elif isinstance(node, elm.Retrieve):
        yield from _retrieve(file, node, statement)


def _null_comparison(file: str, node: elm.Element, statement: elm.ExpressionDef) -> Iterator[Finding]:
    operands: Sequence[elm.Expression] = getattr(node, "operand", ())
    if any(_is_null(operand) for operand in operands):
        operator = _COMPARISONS[type(node)]  # type: ignore[index]
        mend = "is null" if operator == "=" else "is not null" if operator == "!=" else "a value"
        message = f"A comparison with null ({operator}) is always null; perhaps {mend} is meant."
        yield found(file, _placed(node, statement), "always-null-comparison", "warning", message)


def _case(file: str, node: elm.Case, statement: elm.ExpressionDef) -> Iterator[Finding]:
    seen: dict[object, int] = {}
    certain = False
    for number, item in enumerate(node.case_item, start=1):
        where = _placed(item if item.locator else item.when, node if node.locator else statement)
        if certain:
            message = f"Branch {number} of this case cannot be reached: a branch before it always applies."
            yield found(file, where, "unreachable-case", "warning", message)
            continue
        first = seen.setdefault(structure_key(item.when), number)
        never = _is_null(item.when) or (node.comparand is None and _literal(item.when) == "false")
        if first != number:
            message = (
                f"Branch {number} of this case cannot be reached: branch {first} has the same condition."
            )
            yield found(file, where, "unreachable-case", "warning", message)
        elif never:
            message = f"Branch {number} of this case cannot be reached: its condition is never true."
            yield found(file, where, "unreachable-case", "warning", message)
        certain = node.comparand is None and _literal(item.when) == "true"
    if certain:
        message = "The else of this case cannot be reached: a branch before it always applies."
        yield found(file, _placed(node.else_, node), "unreachable-case", "warning", message)


def _if(file: str, node: elm.If, statement: elm.ExpressionDef) -> Iterator[Finding]:
    condition = _literal(node.condition)
    if condition == "true":
        place, part = node.else_, "else"
    elif condition == "false" or _is_null(node.condition):
        place, part = node.then, "then"
    else:
        return
    message = f"The {part} of this if cannot be reached: its condition is always {condition or 'null'}."
    yield found(file, _placed(place, _placed(node, statement)), "unreachable-case", "warning", message)


def _retrieve(file: str, node: elm.Retrieve, statement: elm.ExpressionDef) -> Iterator[Finding]:
    where = _placed(node, statement)
    kind = parse_type_name(node.data_type)
    if node.codes is None and not node.code_filter:
        if kind.name != "Patient":
            message = f"All resources of type {kind.name} are read: the retrieve names no terminology."
            yield found(file, where, "retrieve-without-index", "information", message)
        return
    model = load_model("FHIR", "4.0.1")
    info = model.class_of(kind)
    path = node.code_property or (info.primary_code_path if info else None) or "code"
    if "." in path or not any(_inner(form) in _INDEXED for form in _forms(kind, path)):
        message = f"The path '{path}' of {kind.name} holds no code, coding or concept, so no index serves it."
        yield found(file, where, "retrieve-without-index", "warning", message)
    elif node.codes is not None and not _known_codes(node.codes):
        message = (
            f"The codes of this retrieve of {kind.name} are known only at run time, so no index serves it."
        )
        yield found(file, where, "retrieve-without-index", "warning", message)


def _forms(kind: NamedType, path: str) -> list[DataType]:
    model = load_model("FHIR", "4.0.1")
    choices: list[DataType] = [form for _, form in model.choice_properties(kind, path)]
    element = model.element_type(kind, path)
    return choices or ([element] if element is not None else [])


def _inner(kind: DataType) -> DataType:
    return kind.element if isinstance(kind, ListType) else kind


def _known_codes(node: elm.Expression) -> bool:
    """Whether the codes of a filter are written in the text."""
    allowed = (
        elm.ValueSetRef, elm.CodeRef, elm.ConceptRef, elm.CodeSystemRef, elm.Code, elm.Concept, elm.ToList,
        elm.ToConcept, elm.ExpandValueSet, elm.List, elm.Property, elm.Literal, elm.Null, elm.As,
    )  # fmt: skip
    return all(isinstance(part, allowed) for part in walk(node))


def _without_expansion(file: str, library: elm.Library, has_expansion: HasExpansion) -> Iterator[Finding]:
    for definition in library.value_sets:
        if not has_expansion(definition.id, definition.version):
            message = (
                f'The value set "{definition.name}" ({definition.id}) is not among the given value sets.'
            )
            yield found(file, definition, "valueset-without-expansion", "warning", message)


def _is_null(node: elm.Expression) -> bool:
    while isinstance(node, elm.As):
        node = node.operand
    return isinstance(node, elm.Null)


def _literal(node: elm.Expression) -> str | None:
    if isinstance(node, elm.Literal) and node.value_type.endswith("Boolean"):
        return node.value
    return None


def _placed(node: elm.Element, around: elm.Element) -> elm.Element:
    """The node, or what is around it where the node has no place of its own."""
    return node if node.locator else around
