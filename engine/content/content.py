"""Measures, libraries and terminology as they came: from files, folders, archives, bundles or memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec

from measurewise.engine.content.files import Document, decoding_error, documents
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.notice import Notice
from measurewise.engine.content.resolution import ResolvedLibrary, StalePolicy, resolve_libraries
from measurewise.engine.content.sources import Libraries
from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.terminology.canonical import split_canonical, version_key
from measurewise.engine.terminology.value_sets import Raw, ValueSetIndex


class _Kind(msgspec.Struct):
    """What tells apart the JSON texts that may stand among measure content."""

    resourceType: Any = None
    library: msgspec.Raw = msgspec.Raw(b"null")
    identifier: msgspec.Raw = msgspec.Raw(b"null")
    schemaIdentifier: msgspec.Raw = msgspec.Raw(b"null")


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"null")


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


class _Versioned(msgspec.Struct):
    url: str | None = None
    version: str | None = None


_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_bundle = msgspec.json.Decoder(_Bundle).decode
_decode_versioned = msgspec.json.Decoder(_Versioned).decode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True, eq=False)
class MeasureContent:
    """A FHIR Measure and where it came from."""

    resource: Mapping[str, Any]
    source: str = ""

    @property
    def name(self) -> str:
        """Its name, or its id where it has none."""
        return str(self.resource.get("name") or self.resource.get("id") or "")

    @property
    def id(self) -> str | None:
        """Its id on the server or in the file it came from."""
        return self.resource.get("id")

    @property
    def url(self) -> str | None:
        """Its canonical URL."""
        return self.resource.get("url")

    @property
    def version(self) -> str | None:
        """Its business version."""
        return self.resource.get("version")

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


class Content:
    """What there is to measure with. Nothing is added after it was made.

    Value sets and code systems stay as they came (JSON bytes or dictionaries); ``value_set_index`` makes them
    searchable. It is a LibrarySource.
    """

    def __init__(
        self,
        *,
        measures: Iterable[MeasureContent] = (),
        libraries: Iterable[LibraryContent] = (),
        value_sets: Iterable[Raw] = (),
        code_systems: Iterable[Raw] = (),
        notices: Iterable[Notice] = (),
    ) -> None:
        self.libraries = Libraries(libraries)
        self.value_sets = tuple(value_sets)
        self.code_systems = tuple(code_systems)
        collected = [*notices, *self.libraries.notices]
        by_identity: dict[tuple[str, str | None], MeasureContent] = {}
        for measure in measures:
            known = by_identity.setdefault((measure.url or measure.name, measure.version), measure)
            if known is not measure and known.resource != measure.resource:
                message = (
                    f"measure {measure} also stands in {measure.source}, and differs; this copy is used."
                )
                collected.append(Notice("differing-copies", message, known.source))
        self.measures = tuple(by_identity.values())
        self.notices = tuple(collected)

    @classmethod
    def of(cls, resources: Iterable[Mapping[str, Any] | bytes], source: str = "memory") -> Content:
        """The content in some FHIR resources, parsed or as JSON; bundles are opened."""
        collected = _Collected()
        for number, resource in enumerate(resources, start=1):
            data = resource if isinstance(resource, bytes) else _encode(resource)
            collected.add_json(data, f"{source}, resource {number}")
        return collected.content()

    def measure(self, reference: str) -> MeasureContent:
        """The measure that a reference means.

        A reference is a canonical URL, name, id, business identifier or the beginning of a name (``CMS122``),
        each with or without ``|version``; without a version it means the highest one. Raises NotFoundError
        where nothing fits, ContentError where it could mean several measures.
        """
        key, version = split_canonical(reference)
        for fits in _FITS:
            found = [m for m in self.measures if fits(m, key) and version in (None, m.version)]
            identities = {m.url or m.name for m in found}
            if len(identities) > 1:
                names = ", ".join(sorted(m.name for m in found))
                raise ContentError(
                    f'"{reference}" could mean several measures: {names}.',
                    mend="Give the whole name or the URL.",
                )
            if found:
                return max(found, key=lambda m: version_key(m.version))
        raise NotFoundError(self._absence(reference, key, version))

    def _absence(self, reference: str, key: str, version: str | None) -> str:
        versions = [str(m.version) for m in self.measures if any(fits(m, key) for fits in _FITS)]
        if version is not None and versions:
            return f'measure "{key}" has no version {version}; there is version {", ".join(versions)}.'
        close = get_close_matches(key, [m.name for m in self.measures], n=3, cutoff=0.5)
        return f'there is no measure "{reference}".' + (f" Near it: {', '.join(close)}." if close else "")

    def primary_library(self, measure: MeasureContent) -> LibraryContent:
        """The library that a measure's criteria stand in.

        An unversioned reference means the library of the measure's own version where that is there, else the
        highest. Raises ContentError where the measure names none or several, or one that is not there.
        """
        references = measure.resource.get("library") or []
        if len(references) != 1:
            count = "no library" if not references else f"{len(references)} libraries"
            raise ContentError(
                f"measure {measure} names {count}; its criteria need one.",
                where=measure.source,
                mend="Name the primary library in Measure.library.",
            )
        (reference,) = references
        if reference.startswith("#"):
            for contained in measure.resource.get("contained") or ():
                if contained.get("id") == reference[1:] and contained.get("resourceType") == "Library":
                    return LibraryContent.from_resource(contained, measure.source)
        try:
            return self.libraries.by_canonical(reference, prefer=measure.version)
        except NotFoundError as error:
            raise NotFoundError(
                f"measure {measure} names library {reference}, but {error.what}",
                where=measure.source,
                mend="Add that library to the measure's content.",
            ) from error

    def resolve(self, name: str, version: str | None = None, system: str | None = None) -> LibraryContent:
        """See LibrarySource."""
        return self.libraries.resolve(name, version, system)

    def closure(
        self, measure: MeasureContent, *, stale: StalePolicy = "error", notices: list[Notice] | None = None
    ) -> list[ResolvedLibrary]:
        """All libraries of a measure, each after those it includes; see resolve_libraries."""
        return resolve_libraries(self.primary_library(measure), self, stale=stale, notices=notices)

    def value_set_index(self, *, missing: Literal["error", "empty"] = "error") -> ValueSetIndex:
        """The value sets and code systems, to be asked for members."""
        return ValueSetIndex((*self.value_sets, *self.code_systems), missing=missing)


def load_content(*paths: str | Path) -> Content:
    """The content of files, folders and archives taken together; earlier paths win where copies differ.

    Raises NotFoundError for a path that is not there, ContentError for a file that cannot be read and for a
    path with no measure, library, value set or code system in it.
    """
    collected = _Collected()
    for path in paths:
        before = collected.count
        for document in documents(Path(path)):
            collected.add(document)
        if collected.count == before:
            raise ContentError(
                "there is no measure, library, value set or code system in it.",
                where=str(path),
                mend="Give FHIR resources or bundles as JSON, or CQL and ELM files.",
            )
    return collected.content()


class _Collected:
    """Content while it is being read."""

    def __init__(self) -> None:
        self.count = 0
        self._measures: list[MeasureContent] = []
        self._libraries: list[LibraryContent] = []
        self._terminology: dict[str, dict[tuple[str | None, str | None], list[bytes]]] = {
            "ValueSet": {},
            "CodeSystem": {},
        }
        self._cql: dict[str, Document] = {}
        self._elm: dict[str, Document] = {}

    def add(self, document: Document) -> None:
        if document.kind == "cql":
            self.count += 1
            self._cql[_stem(document.source)] = document
        else:
            self.add_json(document.data, document.source)

    def add_json(self, data: bytes, source: str) -> None:
        try:
            self._add_json(data, source)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise decoding_error(error, data, source) from error

    def _add_json(self, data: bytes, source: str) -> None:
        if not data.lstrip().startswith(b"{"):
            _decode(data)
            return
        kind = _decode_kind(data)
        resource_type = kind.resourceType
        if resource_type == "Bundle":
            for number, entry in enumerate(_decode_bundle(data).entry, start=1):
                resource = bytes(entry.resource)
                if resource != b"null":
                    self.add_json(resource, f"{source}, entry {number}")
            return
        if resource_type == "Measure":
            self._measures.append(MeasureContent(_decode(data), source))
        elif resource_type == "Library":
            self._libraries.append(LibraryContent.from_resource(data, source))
        elif resource_type in ("ValueSet", "CodeSystem"):
            header = _decode_versioned(data)
            copies = self._terminology[resource_type].setdefault((header.url, header.version), [])
            if data not in copies:
                copies.append(data)
        elif resource_type is None and _is_elm(kind):
            self._elm[_stem(source)] = Document("json", data, source)
        else:
            return
        self.count += 1

    def content(self) -> Content:
        return Content(
            measures=self._measures,
            libraries=[*self._libraries, *self._bare_libraries()],
            value_sets=[data for copies in self._terminology["ValueSet"].values() for data in copies],
            code_systems=[data for copies in self._terminology["CodeSystem"].values() for data in copies],
        )

    def _bare_libraries(self) -> Sequence[LibraryContent]:
        libraries = []
        for stem in [*self._cql, *(stem for stem in self._elm if stem not in self._cql)]:
            cql, tree = self._cql.get(stem), self._elm.get(stem)
            libraries.append(
                LibraryContent.from_texts(
                    cql=cql.data if cql else None,
                    elm_json=tree.data if tree else None,
                    source=" and ".join(document.source for document in (tree, cql) if document),
                )
            )
        return libraries


def _is_elm(kind: _Kind) -> bool:
    if bytes(kind.schemaIdentifier) != b"null" and bytes(kind.identifier) != b"null":
        return True
    return bytes(kind.library).lstrip().startswith(b"{")


def _stem(source: str) -> str:
    """The path of a file without what tells its CQL from its ELM."""
    return re.sub(r"(?:[.-]elm)?\.(?:json|cql)(?:\.gz)?\Z", "", source, flags=re.IGNORECASE)


def _encode(resource: Mapping[str, Any]) -> bytes:
    return msgspec.json.Encoder(decimal_format="number").encode(resource)


def _begins(measure: MeasureContent, key: str) -> bool:
    name, key = measure.name.lower(), key.lower()
    return len(key) > 2 and name.startswith(key) and not name[len(key) : len(key) + 1].isdigit()


def _identified(measure: MeasureContent, key: str) -> bool:
    return any(identifier.get("value") == key for identifier in measure.resource.get("identifier") or ())


_FITS = (
    lambda measure, key: measure.url == key,
    lambda measure, key: measure.name == key,
    lambda measure, key: measure.id == key,
    _identified,
    _begins,
)
