"""ELM as one line, for tests to read: ``Add(ToDecimal(1), 2.0)``."""

from __future__ import annotations

from typing import Any

from measurewise.engine import elm
from measurewise.engine.elm.schema import attributes
from measurewise.engine.translator import IncludeSource, Translation, Translator, TranslatorOptions

_UNSAID = {"local_id", "locator", "annotation", "result_type_name", "result_type_specifier", "signature"}


def translated(text: str, source: IncludeSource | None = None, **options: Any) -> Translation:
    """The translation of a library that must have no errors."""
    translation = Translator(source, TranslatorOptions(**options)).translate(text)
    assert not translation.errors, [str(error) for error in translation.errors]
    return translation


def elm_of(expression: str, before: str = "", source: IncludeSource | None = None, **options: Any) -> str:
    """The ELM of an expression; ``before`` are declarations and definitions of its library."""
    text = f"library Sample version '1.0.0'\n{before}\ndefine Wanted: {expression}\n"
    translation = translated(text, source, **options)
    wanted = next(s for s in translation.library.statements if s.name == "Wanted")
    return render(wanted.expression)


def render(node: Any) -> str:
    """One line for a node and all below it; named types without their namespace."""
    if isinstance(node, elm.TypeSpecifier):
        return _type(node)
    if not isinstance(node, elm.Element):
        return str(node).rpartition("}")[2] if isinstance(node, str) else str(node)
    name = type(node).__name__
    if isinstance(node, elm.Literal):
        text = f"{node.value}"
        return f"'{text}'" if node.value_type.endswith("}String") else text
    if isinstance(node, elm.Quantity):
        return f"{node.value} {node.unit}"
    if isinstance(node, elm.Null):
        return "null"
    parts = []
    for attribute in attributes(type(node)):
        value = getattr(node, attribute.name)
        if attribute.name in _UNSAID or value is None or value == () or value == attribute.default:
            continue
        shown = ", ".join(map(render, value)) if isinstance(value, tuple) else render(value)
        parts.append(shown if attribute.name in ("operand", "name") else f"{attribute.name}: {shown}")
    return f"{name}({', '.join(parts)})"


def _type(node: elm.TypeSpecifier) -> str:
    if isinstance(node, elm.NamedTypeSpecifier):
        return node.name.rpartition("}")[2]
    if isinstance(node, elm.ListTypeSpecifier):
        return f"List<{_type(node.element_type)}>"
    if isinstance(node, elm.IntervalTypeSpecifier):
        return f"Interval<{_type(node.point_type)}>"
    if isinstance(node, elm.ChoiceTypeSpecifier):
        return f"Choice<{', '.join(map(_type, node.choice))}>"
    return "Tuple"
