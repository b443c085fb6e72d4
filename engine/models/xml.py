"""Model-info XML, read into the plain table that the shipped tables are stored as.

One reader serves the generator of the shipped tables and model info loaded at run time, so the two cannot
differ.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from measurewise.engine.errors import ContentError
from measurewise.engine.models.names import parse_type, write_type
from measurewise.engine.models.types import (
    ANY,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    choice_of,
    tuple_of,
)

NAMESPACE = "urn:hl7-org:elm-modelinfo:r1"
_N = f"{{{NAMESPACE}}}"
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_KINDS = {"ClassInfo": "class", "SimpleTypeInfo": "simple", "ProfileInfo": "profile"}
# Anonymous types: the schema lets nothing refer to them.
_UNNAMED = {"IntervalTypeInfo", "ListTypeInfo", "TupleTypeInfo", "ChoiceTypeInfo"}
_MODEL_ATTRIBUTES = (
    "name",
    "version",
    "url",
    "targetUrl",
    "targetVersion",
    "targetQualifier",
    "schemaLocation",
    "patientClassName",
    "patientClassIdentifier",
    "patientBirthDatePropertyName",
    "defaultContext",
)
_CLASS_ATTRIBUTES = ("identifier", "label", "target", "primaryCodePath", "primaryValueSetPath")

Table = dict[str, Any]


def read_model_info(xml: bytes | str) -> Table:
    """The table of a model-info document. Raises ContentError when the XML is not a usable model info."""
    text = xml.decode("utf-8-sig", errors="replace") if isinstance(xml, bytes) else xml
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ContentError("The model info declares a document type.", mend="Remove the DOCTYPE declaration.")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 (no DOCTYPE, so no entities)
    except ElementTree.ParseError as error:
        raise ContentError(f"The model info is not well-formed XML: {error}.") from None
    if root.tag != f"{_N}modelInfo":
        raise ContentError(
            f"Not a model info: its root is {root.tag}.", mend=f"Give a modelInfo of {NAMESPACE}."
        )
    if not root.get("name") or not root.get("url"):
        raise ContentError("The model info lacks its name or url.")
    return _Reader(root).table()


class _Reader:
    def __init__(self, root: ElementTree.Element) -> None:
        self.root = root
        self.model = root.attrib["name"]
        self.required = [
            (r.get("name", ""), r.get("version")) for r in root.findall(f"{_N}requiredModelInfo")
        ]
        self.models = {name for name, _ in self.required}

    def table(self) -> Table:
        table: Table = {k: self.root.attrib[k] for k in _MODEL_ATTRIBUTES if k in self.root.attrib}
        for flag in ("caseSensitive", "strictRetrieveTyping"):
            if self.root.get(flag) in ("true", "1"):
                table[flag] = True
        table["requires"] = [[name, version] for name, version in self.required]
        table["contexts"] = [self._context(c) for c in self.root.findall(f"{_N}contextInfo")]
        table["conversions"] = [self._conversion(c) for c in self.root.findall(f"{_N}conversionInfo")]
        classes: Table = {}
        for info in self.root.findall(f"{_N}typeInfo"):
            name, row = self._class(info)
            if not name:
                continue
            if name in classes:
                raise ContentError(f"The model info defines the type {name} twice.", where=self.model)
            classes[name] = row
        table["classes"] = classes
        return table

    def _class(self, info: ElementTree.Element) -> tuple[str, Table]:
        kind = _local(info.get(_XSI_TYPE, "ClassInfo"))
        if kind in _UNNAMED:
            return "", {}
        if kind not in _KINDS:
            raise ContentError(f"The model info has a type of unknown kind {kind}.", where=self.model)
        name = info.get("name", "")
        if info.get("namespace") is None:
            name = name.removeprefix(f"{self.model}.")
        if not name:
            raise ContentError("The model info has a type without a name.", where=self.model)
        if info.find(f"{_N}parameter") is not None:
            raise ContentError(
                f"The type {name} has type parameters, which are not supported.", where=self.model
            )
        row: Table = {}
        if kind != "ClassInfo":
            row["kind"] = _KINDS[kind]
        base = self._either(info, "baseType", "baseTypeSpecifier")
        if base is not None:
            row["base"] = write_type(base)
        row.update({k: info.attrib[k] for k in _CLASS_ATTRIBUTES if k in info.attrib})
        if info.get("retrievable") in ("true", "1"):
            row["retrievable"] = True
        elements: Table = {}
        for element in info.findall(f"{_N}element"):
            label = element.get("name", "")
            if not label or label in elements:
                raise ContentError(
                    f"The type {name} has a nameless or repeated element '{label}'.", where=self.model
                )
            elements[label] = self._element(element)
        if elements:
            row["elements"] = elements
        for tag, key in (("contextRelationship", "related"), ("targetContextRelationship", "targetRelated")):
            related = [
                [r.get("context", ""), r.get("relatedKeyElement", "")] for r in info.findall(f"{_N}{tag}")
            ]
            if related:
                row[key] = related
        searches = [self._search(s) for s in info.findall(f"{_N}search")]
        if searches:
            row["search"] = searches
        return name, row

    def _element(self, element: ElementTree.Element) -> Any:
        kind = (
            self._either(element, "elementType", "elementTypeSpecifier")
            or self._either(element, "type", "typeSpecifier")
            or ANY
        )
        row: Table = {}
        if element.get("target"):
            row["target"] = element.get("target")
        for flag in ("prohibited", "oneBased"):
            if element.get(flag) in ("true", "1"):
                row[flag] = True
        return [write_type(kind), row] if row else write_type(kind)

    def _search(self, search: ElementTree.Element) -> list[Any]:
        kind = self._either(search, "type", "typeSpecifier")
        return [search.get("name", ""), search.get("path", ""), None if kind is None else write_type(kind)]

    def _conversion(self, conversion: ElementTree.Element) -> list[str]:
        source = self._either(conversion, "fromType", "fromTypeSpecifier")
        target = self._either(conversion, "toType", "toTypeSpecifier")
        function = conversion.get("functionName")
        if source is None or target is None or not function:
            raise ContentError("A conversion lacks its function, source or target type.", where=self.model)
        return [function, write_type(source), write_type(target)]

    def _context(self, context: ElementTree.Element) -> list[Any]:
        kind = context.find(f"{_N}contextType")
        name = context.get("name", "")
        type_ = NamedType(self.model, name) if kind is None else self._specifier(kind, "NamedTypeSpecifier")
        return [name, write_type(type_), context.get("keyElement", ""), context.get("birthDateElement")]

    def _either(self, owner: ElementTree.Element, attribute: str, child: str) -> DataType | None:
        text = owner.get(attribute)
        if text is not None:
            return parse_type(text, self.model, self.models)
        specifier = owner.find(f"{_N}{child}")
        return None if specifier is None else self._specifier(specifier)

    def _specifier(self, specifier: ElementTree.Element, default: str = "") -> DataType:
        kind = _local(specifier.get(_XSI_TYPE, default))
        if kind == "NamedTypeSpecifier":
            name, model = specifier.get("name", ""), specifier.get("namespace") or specifier.get("modelName")
            return NamedType(model, name) if model else parse_type(name, self.model, self.models)
        if kind == "ListTypeSpecifier":
            return ListType(self._either(specifier, "elementType", "elementTypeSpecifier") or ANY)
        if kind == "IntervalTypeSpecifier":
            return IntervalType(self._either(specifier, "pointType", "pointTypeSpecifier") or ANY)
        if kind == "ChoiceTypeSpecifier":
            members = specifier.findall(f"{_N}choice") or specifier.findall(f"{_N}type")
            listed = [self._specifier(m) for m in members]
            for text in filter(None, (t.strip() for t in specifier.get("types", "").split(","))):
                listed.append(parse_type(text, self.model, self.models))
            return choice_of(*listed) if listed else ANY
        if kind == "TupleTypeSpecifier":
            elements = specifier.findall(f"{_N}element")
            return tuple_of(
                {
                    e.get("name", ""): self._either(e, "elementType", "elementTypeSpecifier")
                    or self._either(e, "type", "typeSpecifier")
                    or ANY
                    for e in elements
                }
            )
        raise ContentError(
            f"The model info uses a type specifier that is not supported: {kind}.", where=self.model
        )


def _local(name: str) -> str:
    return name.rpartition(":")[2]
