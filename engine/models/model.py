"""A model: its classes, elements, conversions and contexts, looked up by the names that CQL and ELM use.

Classes are read from the table when they are first asked for, so that loading FHIR costs little more than
reading its file. A model knows the models it requires; lookups that leave it (a QI-Core class based on
``System.Concept``) are answered there.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from measurewise.engine.errors import ContentError
from measurewise.engine.models.info import (
    ClassInfo,
    ContextInfo,
    ConversionInfo,
    ElementInfo,
    RelationshipInfo,
    SearchInfo,
)
from measurewise.engine.models.names import parse_type, split_expanded_name
from measurewise.engine.models.subtypes import is_subtype
from measurewise.engine.models.table import read_table, shipped_models
from measurewise.engine.models.types import (
    ANY,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
    TupleType,
    choice_of,
)
from measurewise.engine.models.xml import read_model_info


class Model:
    """One version of one data model.

    ``models`` maps model names to this model and every model it requires, System included. Public attributes
    carry the model info's own attributes: ``name``, ``version``, ``url``, ``target_url``, ``target_version``,
    ``target_qualifier``, ``schema_location``, ``patient_class_name``, ``patient_class_identifier``,
    ``patient_birth_date_property``, ``default_context``, ``case_sensitive``, ``strict_retrieve_typing`` and
    ``required`` (pairs of name and version).
    """

    def __init__(self, table: Mapping[str, Any], required: Iterable[Model] = ()) -> None:
        self.name: str = table["name"]
        self.version: str | None = table.get("version")
        self.url: str = table["url"]
        self.target_url: str | None = table.get("targetUrl")
        self.target_version: str | None = table.get("targetVersion")
        self.target_qualifier: str | None = table.get("targetQualifier")
        self.schema_location: str | None = table.get("schemaLocation")
        self.patient_class_name: str | None = table.get("patientClassName")
        self.patient_class_identifier: str | None = table.get("patientClassIdentifier")
        self.patient_birth_date_property: str | None = table.get("patientBirthDatePropertyName")
        self.default_context: str | None = table.get("defaultContext")
        self.case_sensitive: bool = table.get("caseSensitive", False)
        self.strict_retrieve_typing: bool = table.get("strictRetrieveTyping", False)
        self.required: tuple[tuple[str, str | None], ...] = tuple((n, v) for n, v in table["requires"])
        self.models: dict[str, Model] = {}
        for other in required:
            self.models.update(other.models)
        self.models[self.name] = self
        self._rows: Mapping[str, Mapping[str, Any]] = table["classes"]
        self._shared: list[str] = table.get("types", [])
        self._types: dict[str, DataType] = {}
        self._classes: dict[str, ClassInfo] = {}
        self._labels: dict[str, str] | None = None
        self._element_types: dict[tuple[DataType, str], DataType | None] = {}
        self.conversions: tuple[ConversionInfo, ...] = tuple(
            ConversionInfo(function, self._type(source), self._type(target))
            for function, source, target in table["conversions"]
        )
        self.contexts: dict[str, ContextInfo] = {
            name: ContextInfo(name, _named(self._type(kind)), _keys(keys), birth_date)
            for name, kind, keys, birth_date in table["contexts"]
        }

    def __repr__(self) -> str:
        return f"<Model {self.name} {self.version}>"

    # --- classes --------------------------------------------------------------------------------------------

    def type(self, name: str) -> ClassInfo | None:
        """The class of this name, or with this label ("QICore Encounter"); a ``Model.`` prefix may stand
        before it."""
        known = self._classes.get(name)
        if known is not None:
            return known
        if name not in self._rows:
            if self._labels is None:
                self._labels = {row["label"]: n for n, row in self._rows.items() if "label" in row}
            if name in self._labels:
                return self.type(self._labels[name])
            prefix = f"{self.name}."
            return self.type(name[len(prefix) :]) if name.startswith(prefix) else None
        info = self._classes[name] = self._class(name, self._rows[name])
        return info

    def class_names(self) -> Iterator[str]:
        """The names of all classes, in the order of the model info."""
        return iter(self._rows)

    def class_of(self, kind: DataType) -> ClassInfo | None:
        """The class of a named type of this model or of one it requires; None for any other type."""
        if type(kind) is not NamedType:
            return None
        owner = self.models.get(kind.model)
        return None if owner is None else owner.type(kind.name)

    # --- elements -------------------------------------------------------------------------------------------

    def element(self, kind: DataType, name: str) -> ElementInfo | None:
        """An element of a class, its own or an inherited one."""
        info = self.class_of(kind)
        while info is not None:
            found = info.elements.get(name)
            if found is not None:
                return found
            info = None if info.base is None else self.class_of(info.base)
        return None

    def elements(self, kind: DataType) -> dict[str, ElementInfo]:
        """All elements of a class, inherited ones first; one that a subclass restates stands as restated."""
        chain: list[ClassInfo] = []
        info = self.class_of(kind)
        while info is not None:
            chain.append(info)
            info = None if info.base is None else self.class_of(info.base)
        whole: dict[str, ElementInfo] = {}
        for info in reversed(chain):
            whole.update(info.elements)
        return whole

    def element_type(self, kind: DataType, path: str) -> DataType | None:
        """The type found along a dotted path, or None when there is no such element.

        A choice gives what its members that have the element give; an interval has ``low``, ``high``,
        ``lowClosed`` and ``highClosed``; a tuple its own elements. Lists are not stepped into: ``name`` of
        ``List<FHIR.Patient>`` is None, and the first step that ends in a list must be the last.
        """
        key = (kind, path)
        if key in self._element_types:
            return self._element_types[key]
        found: DataType | None = kind
        for step in path.split("."):
            found = None if found is None else self._step(found, step)
        self._element_types[key] = found
        return found

    def _step(self, kind: DataType, name: str) -> DataType | None:
        if isinstance(kind, NamedType):
            element = self.element(kind, name)
            return None if element is None else element.type
        if isinstance(kind, ChoiceType):
            found = [t for t in (self._step(member, name) for member in kind.choices) if t is not None]
            return choice_of(*found) if found else None
        if isinstance(kind, TupleType):
            return kind.element(name)
        if isinstance(kind, IntervalType):
            if name in ("low", "high"):
                return kind.point
            return NamedType("System", "Boolean") if name in ("lowClosed", "highClosed") else None
        return None

    def is_list(self, kind: NamedType | str, path: str) -> bool:
        """Whether the element repeats; False also when there is no such element."""
        return isinstance(self.element_type(self._as_type(kind), path), ListType)

    def choice_properties(self, kind: NamedType | str, path: str) -> tuple[tuple[str, NamedType], ...]:
        """The JSON names of a choice element with the type that each holds (FHIR R4, 2.1.9.1 "value[x]").

        ``("Observation", "value")`` → ``(("valueQuantity", FHIR.Quantity), ...)``; ``()`` when the element is
        no choice. The JSON name is the element's name and the type's name with its first letter upper case.
        """
        found = self.element_type(self._as_type(kind), path)
        if isinstance(found, ListType):
            found = found.element
        if not isinstance(found, ChoiceType):
            return ()
        name = path.rpartition(".")[2]
        return tuple(
            (name + m.name[0].upper() + m.name[1:], m) for m in found.choices if isinstance(m, NamedType)
        )

    # --- primitives -----------------------------------------------------------------------------------------

    def primitive_value_type(self, kind: NamedType | str) -> NamedType | None:
        """The System type in the ``value`` of a FHIR primitive: ``dateTime`` → ``System.DateTime``.

        Also of the enumerations that required bindings give (``EncounterStatus`` → ``System.String``) and of
        types derived from a primitive (``code``, ``id``, ``url``). None for anything else, ``Quantity``
        included.
        """
        start = self._as_type(kind)
        value = self.element(start, "value")
        if value is None or not isinstance(value.type, NamedType) or value.type.model != "System":
            return None
        info = self.class_of(start)
        while info is not None and info.type != NamedType(start.model, "Element"):
            if set(info.elements) - {"value"}:
                return None
            info = None if info.base is None else self.class_of(info.base)
        return value.type if info is not None else None

    # --- hierarchy and conversions --------------------------------------------------------------------------

    def base_type(self, kind: NamedType | str) -> DataType | None:
        """The type that a class is based on; None for ``System.Any`` and for an unknown class."""
        info = self.class_of(self._as_type(kind))
        if info is None:
            return None
        return info.base if info.base is not None or info.type == ANY else ANY

    def is_subtype(self, a: DataType, b: DataType) -> bool:
        """Whether every value of ``a`` is a value of ``b`` (see ``measurewise.engine.models.subtypes``)."""
        return is_subtype(a, b, self.models)

    def conversion(self, source: DataType, target: DataType) -> str | None:
        """The function that converts implicitly, such as ``FHIRHelpers.ToConcept``, found up the bases of
        ``source``.

        A conversion of the class itself comes before one of its base (``FHIR.Age`` → that of
        ``FHIR.Quantity``).
        """
        at: DataType | None = source
        while at is not None:
            for conversion in self.conversions:
                if conversion.source == at and conversion.target == target:
                    return conversion.function
            at = self.base_type(at) if isinstance(at, NamedType) else None
        return None

    def conversions_from(self, source: DataType) -> tuple[ConversionInfo, ...]:
        """Every implicit conversion of a type, its own before those of its bases."""
        found: list[ConversionInfo] = []
        at: DataType | None = source
        while at is not None:
            found += [c for c in self.conversions if c.source == at]
            at = self.base_type(at) if isinstance(at, NamedType) else None
        return tuple(found)

    # --- reading the table ----------------------------------------------------------------------------------

    def _as_type(self, kind: NamedType | str) -> NamedType:
        if not isinstance(kind, str):
            return kind
        info = self.type(kind)
        return NamedType(self.name, kind) if info is None else info.type

    def _type(self, text: str) -> DataType:
        known = self._types.get(text)
        if known is None:
            spelled = self._shared[int(text[1:])] if text[0] == "#" else text
            known = self._types[text] = parse_type(spelled, self.name, self.models)
        return known

    def _class(self, name: str, row: Mapping[str, Any]) -> ClassInfo:
        return ClassInfo(
            self.name,
            name,
            row.get("kind", "class"),
            self._type(row["base"]) if "base" in row else None,
            {label: self._element(label, cell) for label, cell in row.get("elements", {}).items()},
            identifier=row.get("identifier"),
            label=row.get("label"),
            target=row.get("target"),
            retrievable=row.get("retrievable", False),
            primary_code_path=row.get("primaryCodePath"),
            primary_value_set_path=row.get("primaryValueSetPath"),
            relationships=tuple(RelationshipInfo(c, _keys(k)) for c, k in row.get("related", ())),
            target_relationships=tuple(
                RelationshipInfo(c, _keys(k)) for c, k in row.get("targetRelated", ())
            ),
            searches=tuple(
                SearchInfo(n, path, None if kind is None else self._type(kind))
                for n, path, kind in row.get("search", ())
            ),
        )

    def _element(self, name: str, cell: Any) -> ElementInfo:
        if isinstance(cell, str):
            return ElementInfo(name, self._type(cell))
        kind, more = cell
        return ElementInfo(
            name,
            self._type(kind),
            more.get("target"),
            more.get("prohibited", False),
            more.get("oneBased", False),
        )


def _keys(text: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in text.split(";") if key.strip())


def _named(kind: DataType) -> NamedType:
    if not isinstance(kind, NamedType):
        raise ContentError(f"A context's type must be a class, not {kind}.")
    return kind


@cache
def load_model(name: str, version: str | None = None) -> Model:
    """A model that ships with the engine; the newest one when no version is given.

    Raises NotFoundError, naming what ships, for a model or version that does not.
    """
    table = read_table(name, version)
    return Model(table, _required(table, ()))


def load_model_info(source: Path | str | bytes, known: Iterable[Model] = ()) -> Model:
    """A model from a model-info XML document: a path to it (``.xml`` or ``.xml.gz``) or its bytes.

    ``known`` are models loaded before that this one may require; others it requires come from the shipped
    ones. Raises ContentError for a document that is no model info, NotFoundError for a required model that
    nothing holds.
    """
    if isinstance(source, bytes):
        xml = source
    else:
        path = Path(source)
        try:
            xml = path.read_bytes()
        except OSError as error:
            raise ContentError(f"The model info cannot be read: {error.strerror}.", where=str(path)) from None
        if path.suffix == ".gz":
            xml = gzip.decompress(xml)
    table = read_model_info(xml)
    return Model(table, _required(table, tuple(known)))


def _required(table: Mapping[str, Any], known: tuple[Model, ...]) -> list[Model]:
    wanted: list[tuple[str, str | None]] = [(n, v) for n, v in table["requires"]]
    if table["name"] != "System" and all(name != "System" for name, _ in wanted):
        wanted.append(("System", None))
    found: list[Model] = []
    for name, version in wanted:
        held = [m for m in known if m.name == name and version in (None, m.version)]
        found.append(held[-1] if held else load_model(name, version))
    return found


def parse_type_name(text: str, models: Iterable[Model] = ()) -> NamedType:
    """The type that an ELM name denotes: ``{http://hl7.org/fhir}Encounter`` → ``FHIR.Encounter``.

    ``models`` are run-time models whose URIs count besides those of the shipped ones. A name without a URI is
    read as ``Model.Name``. Raises ContentError when no model has the URI.
    """
    uri, name = split_expanded_name(text)
    if not uri:
        kind = parse_type(name, models={s.name for s in shipped_models()} | {m.name for m in models})
        return _named(kind)
    for model in models:
        if model.url == uri:
            return NamedType(model.name, name)
    model_name = _shipped_names().get(uri)
    if model_name is None:
        raise ContentError(
            f"No model has the URI {uri} of the type {text}.",
            mend="Load its model-info XML (--model-info FILE).",
        )
    return NamedType(model_name, name)


@cache
def _shipped_names() -> dict[str, str]:
    return {s.url: s.name for s in shipped_models()}
