"""One library as content: its CQL text, its ELM, and who it says it is."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from measurewise.engine import elm
from measurewise.engine.content.cql_outline import CqlOutline, Include, outline
from measurewise.engine.content.files import decoding_error
from measurewise.engine.errors import ContentError

_ELM_JSON = {"application/elm+json", "application/json+elm"}
_CQL = {"text/cql", "application/cql"}


class _Identifier(msgspec.Struct):
    id: str | None = None
    version: str | None = None
    system: str | None = None


class _ElmBody(msgspec.Struct):
    identifier: _Identifier | None = None


class _ElmFile(msgspec.Struct):
    library: _ElmBody | None = None
    identifier: _Identifier | None = None


class _IncludeDef(msgspec.Struct):
    path: str
    localIdentifier: str = ""
    version: str | None = None


class _IncludeDefs(msgspec.Struct):
    definitions: list[_IncludeDef] = msgspec.field(name="def", default_factory=list)


class _ElmIncludes(msgspec.Struct):
    includes: _IncludeDefs | None = None
    library: _ElmIncludes | None = None


class _Attachment(msgspec.Struct):
    contentType: str = ""
    data: str | None = None


class _LibraryResource(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    version: str | None = None
    url: str | None = None
    content: list[_Attachment] = []


_decode_identity = msgspec.json.Decoder(_ElmFile).decode
_decode_includes = msgspec.json.Decoder(_ElmIncludes).decode
_decode_resource = msgspec.json.Decoder(_LibraryResource).decode


class LibraryContent:
    """A library with its CQL text, its ELM, or both. What costs time is read when first asked for.

    ``name`` and ``version`` are those of the FHIR Library where there is one, else those that the ELM or the
    CQL declare. ``source`` names the file or resource.
    """

    __slots__ = ("_cql", "_elm_json", "_outline", "_tree", "name", "source", "url", "version")

    def __init__(
        self,
        *,
        name: str,
        version: str | None,
        url: str | None = None,
        cql: bytes | None = None,
        elm_json: bytes | None = None,
        source: str = "",
    ) -> None:
        self.name = name
        self.version = version
        self.url = url
        self.source = source
        self._cql = cql
        self._elm_json = elm_json
        self._outline: CqlOutline | None = None
        self._tree: elm.Library | None = None

    @classmethod
    def from_resource(cls, resource: Mapping[str, Any] | bytes, source: str = "") -> LibraryContent:
        """The library in a FHIR Library resource, parsed or as JSON.

        FHIR R4 Library.content; the media types of the "Using CQL with FHIR" guide. Raises ContentError where
        the resource is not of the shape of a Library, where its data are not base64, or where ELM comes as
        XML only.
        """
        try:
            known = (
                _decode_resource(resource)
                if isinstance(resource, bytes)
                else msgspec.convert(resource, _LibraryResource)
            )
        except msgspec.MsgspecError as error:
            data = resource if isinstance(resource, bytes) else b""
            raise decoding_error(error, data, source) from error
        name = known.name or known.id
        if not name:
            raise ContentError("the Library has neither name nor id.", where=source, mend="Give it a name.")
        cql = elm_json = None
        has_xml = False
        for attachment in known.content:
            media_type = attachment.contentType.partition(";")[0].strip().lower()
            has_xml = has_xml or media_type == "application/elm+xml"
            if attachment.data and media_type in _ELM_JSON:
                elm_json = _decoded(attachment.data, source)
            elif attachment.data and media_type in _CQL:
                cql = _decoded(attachment.data, source)
        if has_xml and cql is None and elm_json is None:
            raise ContentError(
                f"library {name} has its ELM as XML only.",
                where=source,
                mend="Add ELM JSON (application/elm+json) or the CQL text (text/cql).",
            )
        return cls(name=name, version=known.version, url=known.url, cql=cql, elm_json=elm_json, source=source)

    @classmethod
    def from_texts(
        cls, *, cql: bytes | None = None, elm_json: bytes | None = None, source: str = ""
    ) -> LibraryContent:
        """The library in a bare CQL text, a bare ELM JSON text, or both."""
        content = cls(name="", version=None, cql=cql, elm_json=elm_json, source=source)
        content.name, content.version = content.declared_identity()
        if not content.name:
            raise ContentError(
                "this CQL declares no library.",
                where=source,
                mend="Begin it with: library Name version '1.0.0'",
            )
        return content

    def __repr__(self) -> str:
        return f"<LibraryContent {self}>"

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name

    @property
    def cql(self) -> str | None:
        """The CQL text."""
        return None if self._cql is None else self._cql.decode("utf-8", "replace")

    @property
    def elm_json(self) -> bytes | None:
        """The ELM JSON as it came."""
        return self._elm_json

    @property
    def outline(self) -> CqlOutline | None:
        """What the CQL text declares."""
        if self._outline is None and self._cql is not None:
            self._outline = outline(self.cql or "")
        return self._outline

    def tree(self) -> elm.Library | None:
        """The ELM, or None where the library has none. Raises ContentError where it cannot be read."""
        if self._tree is None and self._elm_json is not None:
            self._tree = elm.read_library(self._elm_json, source=self.source)
        return self._tree

    def declared_identity(self) -> tuple[str, str | None]:
        """Name and version that the CQL declares, or the ELM where there is no CQL; skimmed, not parsed.

        The name is empty where neither declares one.
        """
        if self.outline is not None and self.outline.name:
            return self.outline.name, self.outline.version
        if self._elm_json is None:
            return "", None
        try:
            skimmed = _decode_identity(self._elm_json)
        except msgspec.MsgspecError as error:
            raise decoding_error(error, self._elm_json, self.source) from error
        identifier = skimmed.library.identifier if skimmed.library else skimmed.identifier
        return (identifier.id or "", identifier.version) if identifier else ("", None)

    def includes(self) -> Sequence[Include]:
        """The includes, of the ELM where there is one, else of the CQL text."""
        tree = self.tree()
        if tree is not None:
            return [included(definition) for definition in tree.includes]
        return [] if self.outline is None else self.outline.includes

    def skimmed_includes(self) -> Sequence[Include]:
        """As :meth:`includes`, without reading the ELM further than its includes."""
        if self._tree is not None or self._elm_json is None:
            return self.includes()
        try:
            skimmed = _decode_includes(self._elm_json)
        except msgspec.MsgspecError as error:
            raise decoding_error(error, self._elm_json, self.source) from error
        body = skimmed.library or skimmed
        listed = body.includes.definitions if body.includes is not None else []
        return [
            Include(name, found.version, found.localIdentifier, namespace)
            for found in listed
            for namespace, _, name in (found.path.rpartition("/"),)
        ]

    def digest(self) -> bytes:
        """A digest of the texts."""
        found = hashlib.blake2b(digest_size=16)
        for text in (self._cql, self._elm_json):
            found.update(b"-" if text is None else text)
            found.update(b"|")
        return found.digest()

    def completed(self, other: LibraryContent) -> LibraryContent:
        """This library with what it lacks taken from another copy of it."""
        return LibraryContent(
            name=self.name,
            version=self.version,
            url=self.url or other.url,
            cql=self._cql if self._cql is not None else other._cql,
            elm_json=self._elm_json if self._elm_json is not None else other._elm_json,
            source=self.source,
        )

    def without_elm(self) -> LibraryContent:
        """This library with its CQL text only."""
        return LibraryContent(
            name=self.name, version=self.version, url=self.url, cql=self._cql, source=self.source
        )

    def differs_from(self, other: LibraryContent) -> bool:
        """True where both have a text of the same kind and these are different."""
        pairs = ((self._cql, other._cql), (self._elm_json, other._elm_json))
        return any(mine is not None and theirs is not None and mine != theirs for mine, theirs in pairs)


def included(definition: elm.IncludeDef) -> Include:
    """An include of the ELM; its path is the name, after a namespace and a slash where it has one."""
    namespace, _, name = definition.path.rpartition("/")
    return Include(name, definition.version, definition.local_identifier, namespace)


def _decoded(data: str, source: str) -> bytes:
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError) as error:
        raise ContentError(f"the Library's content is not base64 ({error}).", where=source) from error
