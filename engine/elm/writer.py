"""Writing ELM JSON, as ``reader.py`` reads it.

Absent values, empty lists and values equal to the schema's default are left out; a node names its class in
``type`` wherever its place allows more than one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from measurewise.engine.elm.element import Element
from measurewise.engine.elm.library import FunctionDef, Library
from measurewise.engine.elm.schema import attributes


def write_library(library: Library) -> dict[str, Any]:
    """The ELM JSON of a library: ``{"library": {...}}``. Decimals stay ``Decimal``, for an exact encoder."""
    body: dict[str, Any] = {}
    for attribute in attributes(Library):
        value = getattr(library, attribute.name)
        if value is None or value == ():
            continue
        if attribute.kind == "nodes":
            body[attribute.elm_name] = {"def": [_definition(definition) for definition in value]}
        else:
            body[attribute.elm_name] = (
                list(value) if attribute.kind == "raw" else _plain(value, attribute.node)
            )
    return {"library": body}


def _definition(definition: Element) -> dict[str, Any]:
    body = _body(definition)
    return {"type": "FunctionDef", **body} if isinstance(definition, FunctionDef) else body


def _plain(value: Any, declared: type[Element] | None) -> Any:
    if not isinstance(value, Element):
        return value
    name = type(value).__name__
    implied = declared is not None and declared.__name__ == name
    return _body(value) if implied else {"type": name, **_body(value)}


def _body(node: Element) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, elm_name, kind, declared, default in attributes(type(node)):
        value = getattr(node, name)
        if value is None or value == default:
            continue
        if kind == "nodes":
            body[elm_name] = [_plain(item, declared) for item in value]
        elif kind == "raw":
            body[elm_name] = list(value)
        elif kind == "decimal":
            body[elm_name] = int(value) if value == value.to_integral_value() and _short(value) else value
        else:
            body[elm_name] = _plain(value, declared)
    return body


def _short(value: Decimal) -> bool:
    return value.as_tuple().exponent == 0
