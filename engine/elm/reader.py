"""Reading ELM JSON.

ELM JSON has no schema of its own; it is the XML schema by the rules of the ELM specification's "JSON
Representation": a node names its class in ``type`` unless its place implies it, lists of definitions stand
under ``def``. Read leniently where translators differ: one object where a list is due and the other way
round, the deprecated ``type`` of tuple elements and choices, booleans and numbers as strings. Attributes that
ELM r1 does not define are passed over; a class that it does not define is an error.
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import msgspec

from measurewise.engine.elm.element import ChoiceTypeSpecifier, Element, TupleElementDefinition
from measurewise.engine.elm.library import Library
from measurewise.engine.elm.schema import ABSTRACT, Kind, attributes, node_classes
from measurewise.engine.errors import ContentError

_Json = dict[str, Any]
_Reader = Callable[[_Json], Element]

_decoder = msgspec.json.Decoder(float_hook=Decimal)


def read_library(
    data: bytes | str | Mapping[str, Any], *, source: str = "", annotations: bool = False
) -> Library:
    """The library in some ELM JSON, with or without the ``{"library": ...}`` around it.

    ``source`` names the file or resource in errors. ``annotations`` keeps the annotations of definitions,
    which hold the CQL text by node; those of the library are always kept.

    Raises ContentError naming library, definition and line where the JSON or a node cannot be read.
    """
    with _collector_paused():
        root = _decode(data, source) if isinstance(data, bytes | str) else data
        return _read_root(root, source, annotations)


def _read_root(root: Mapping[str, Any], source: str, annotations: bool) -> Library:
    body = root.get("library", root)
    if not isinstance(body, dict) or not isinstance(body.get("identifier"), dict):
        raise ContentError(
            "this JSON is not an ELM library (it has no library identifier).",
            where=source,
            mend="Give ELM JSON as the CQL-to-ELM translator writes it.",
        )
    identifier = body["identifier"]
    name = f"{identifier.get('id') or '(unnamed)'} {identifier.get('version') or ''}".strip()
    where = f"{source}: library {name}" if source else f"library {name}"
    return _read_sections(body, _readers(annotations), where)


@contextmanager
def _collector_paused() -> Iterator[None]:
    # Reading makes some hundred thousand objects and no garbage: letting the collector look through them each
    # time takes longer than reading does.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _UnreadableError(Exception):
    """What is wrong with a node, and its locator once a node around it has one."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.locator = ""
        super().__init__(what)


def _decode(data: bytes | str, source: str) -> _Json:
    try:
        root = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ContentError(f"the ELM is not valid JSON ({error}).", where=source) from error
    except RecursionError as error:
        raise ContentError("the ELM is nested too deeply to be read.", where=source) from error
    if not isinstance(root, dict):
        raise ContentError("the ELM is not a JSON object.", where=source)
    return root


def _read_sections(body: _Json, readers: _Readers, where: str) -> Library:
    parts: dict[str, Any] = {}
    for name, elm_name, kind, node, _default in attributes(Library):
        value = body.get(elm_name)
        if value is None:
            continue
        if node is None or kind == "node":
            with _located(where):
                parts[name] = readers.convert(value, kind, node)
            continue
        table = readers.tables[node]
        definitions = []
        for definition in _listed(value.get("def", ()) if isinstance(value, dict) else value):
            with _located(where, definition):
                definitions.append(table.read(definition))
        parts[name] = tuple(definitions)
    return Library(**parts)


@contextmanager
def _located(where: str, definition: Any = None) -> Iterator[None]:
    try:
        yield
    except _UnreadableError as error:
        line = error.locator.partition(":")[0]
        place = f"{where}{_title(definition)}" + (f", line {line}" if line else "")
        raise ContentError(
            f"{error.what}.", where=place, mend="Translate the CQL again to ELM r1."
        ) from error
    except RecursionError as error:
        raise ContentError(
            "the expression is nested too deeply to be read.", where=f"{where}{_title(definition)}"
        ) from error


def _title(definition: Any) -> str:
    if not isinstance(definition, dict):
        return ""
    name = definition.get("name") or definition.get("localIdentifier")
    return f', definition "{name}"' if name else ""


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else (value,)


class _Table(dict[Any, _Reader]):
    """Readers by ELM class name for the places that take one declared class; filled as classes are met."""

    def __init__(self, readers: _Readers, declared: type[Element]) -> None:
        super().__init__()
        self._readers = readers
        self._declared = declared

    def __missing__(self, name: str | None) -> _Reader:
        declared = self._declared
        if name is None and declared.__name__ in ABSTRACT:
            raise _UnreadableError(f"a node without a type stands where ELM has a {declared.__name__}")
        cls = declared if name is None else node_classes().get(name)
        if cls is None or name in ABSTRACT:
            raise _UnreadableError(f'ELM r1 has no "{name}"')
        if not issubclass(cls, declared):
            raise _UnreadableError(f"a {name} stands where ELM has a {declared.__name__}")
        reader = self._readers.of(cls)
        self[name] = reader
        return reader

    def read(self, value: Any) -> Element:
        """The node in a JSON value, whatever its shape."""
        if type(value) is list and len(value) == 1:
            (value,) = value
        if type(value) is not dict:
            raise _UnreadableError(f"{value!r} stands where ELM has a {self._declared.__name__}")
        name = value.get("type")
        if name is not None and type(name) is not str:
            name = "ChoiceTypeSpecifier" if type(name) is list else None
        return self[name](value)


class _Tables(dict[type[Element], _Table]):
    def __init__(self, readers: _Readers) -> None:
        super().__init__()
        self._readers = readers

    def __missing__(self, declared: type[Element]) -> _Table:
        table = self[declared] = _Table(self._readers, declared)
        return table


class _Readers:
    """One reader for each node class, made when the class is first met."""

    def __init__(self, annotations: bool) -> None:
        self._annotations = annotations
        self._made: dict[type[Element], _Reader] = {}
        self.tables = _Tables(self)

    def of(self, cls: type[Element]) -> _Reader:
        reader = self._made.get(cls)
        if reader is None:
            reader = self._made[cls] = self._make(cls)
        return reader

    def convert(self, value: Any, kind: Kind, node: type[Element] | None) -> Any:
        """A JSON value as an attribute's value."""
        if node is not None:
            table = self.tables[node]
            return table.read(value) if kind == "node" else tuple([table.read(v) for v in _listed(value)])
        if kind == "string":
            return value if type(value) is str else _text(value)
        if kind == "boolean":
            return _boolean(value)
        return _decimal(value) if kind == "decimal" else tuple(_listed(value))

    def _make(self, cls: type[Element]) -> _Reader:
        plan = {
            a.elm_name: (a.name, a.kind, a.node, None if a.node is None else self.tables[a.node])
            for a in attributes(cls)
            if a.kind != "raw" or self._annotations or cls is Library
        }
        if cls is TupleElementDefinition:
            plan["type"] = plan["elementType"]
        if cls is ChoiceTypeSpecifier:
            plan["type"] = plan["choice"]
        required = [(a.name, a.elm_name) for a in attributes(cls) if a.default is dataclasses.MISSING]
        convert = self.convert

        def read(data: _Json) -> Element:
            values: dict[str, Any] = {}
            try:
                for key, value in data.items():
                    step = plan.get(key)
                    if step is None or value is None:
                        continue
                    name, kind, node, table = step
                    if kind == "string" and type(value) is str:
                        values[name] = value
                    elif kind == "node" and type(value) is dict and type(value.get("type")) is str:
                        values[name] = table[value["type"]](value)  # type: ignore[index]
                    elif kind == "nodes" and type(value) is list:
                        if value:
                            nodes = []
                            for item in value:
                                if type(item) is dict and type(item.get("type")) is str:
                                    nodes.append(table[item["type"]](item))  # type: ignore[index]
                                else:
                                    nodes.append(table.read(item))  # type: ignore[union-attr]
                            values[name] = tuple(nodes)
                    elif key != "type" or type(value) is not str:
                        values[name] = convert(value, kind, node)
                for name, elm_name in required:
                    if name not in values:
                        raise _UnreadableError(f"a {cls.__name__} lacks its {elm_name}")
                return cls(**values)
            except _UnreadableError as error:
                if not error.locator:
                    error.locator = str(data.get("locator", ""))
                raise

        return read


@cache
def _readers(annotations: bool) -> _Readers:
    return _Readers(annotations)


def _text(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise _UnreadableError(f"{value!r} stands where ELM has a string")
    return str(value)


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise _UnreadableError(f"{value!r} is not a boolean")


def _decimal(value: Any) -> Decimal:
    try:
        # A float reaches here only from a dictionary that was decoded elsewhere: its shortest text is what
        # the JSON said, its binary value is not.
        return value if type(value) is Decimal else Decimal(str(value))
    except InvalidOperation as error:
        raise _UnreadableError(f"{value!r} is not a decimal") from error
