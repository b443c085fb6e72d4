"""Which libraries run from their ELM and which from their CQL, and the trees of the latter.

``cql`` compiles every library that has a text. ``auto`` uses ELM that is proved to belong to the CQL beside
it (``measurewise.engine.content.provenance``) and compiles the text otherwise, with a notice. ``elm`` uses
the ELM that there is, and compiles the text of a library that has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from measurewise.engine import elm
from measurewise.engine.content.content import Content, MeasureContent
from measurewise.engine.content.cql_outline import Include
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.notice import Notice
from measurewise.engine.content.provenance import doubt
from measurewise.engine.content.resolution import (
    ResolvedLibrary,
    StalePolicy,
    resolve_libraries,
    translated,
)
from measurewise.engine.content.staleness import staleness
from measurewise.engine.models.model import Model, load_model, load_model_info
from measurewise.engine.models.table import read_table, shipped_models
from measurewise.engine.runner.includes import Includes
from measurewise.engine.translator import Translator, checked

EngineKind = Literal["auto", "elm", "cql"]
ModelInfos = tuple[Path, ...]


class LibraryTrees:
    """The libraries of some content with their trees, made as ``kind`` says; translations are kept.

    ``stale`` is what becomes of ELM that is older than its CQL: where it is None, it is an error with ``elm``
    and gives way to the CQL with ``auto``. ``model_infos`` are model-info files beside the shipped models.
    Raises ContentError for a model info that cannot be read.
    """

    def __init__(
        self,
        content: Content,
        kind: EngineKind = "auto",
        *,
        stale: StalePolicy | None = None,
        model_infos: ModelInfos = (),
    ) -> None:
        self._content = content
        self._kind = kind
        self._stale: StalePolicy = stale or ("error" if kind == "elm" else "translate")
        self._model_infos = model_infos
        self._models = load_models(model_infos)
        self._translator = Translator(Includes(self), model_infos=self._models)
        self._usable: dict[LibraryContent, tuple[LibraryContent, Notice | None]] = {}
        self._trees: dict[bytes, elm.Library] = {}

    @property
    def model(self) -> Model | None:
        """FHIR with the further models beside it, for the compiler; None where there are none."""
        shipped = {model.url for model in shipped_models()}
        further = [model for model in self._models if model.url not in shipped]
        if not further:
            return None
        fhir = load_model("FHIR", "4.0.1")
        required = [model for model in fhir.models.values() if model is not fhir]
        return Model(read_table("FHIR", "4.0.1"), [*required, *further])

    def closure(self, measure: MeasureContent, notices: list[Notice]) -> list[ResolvedLibrary]:
        """All libraries of a measure with their trees, each after those it includes.

        Raises NotFoundError and ContentError as ``resolve_libraries`` does, and CqlSyntaxError and
        CqlTranslationError for CQL that cannot be compiled.
        """
        return self.closure_of(self._content.primary_library(measure), notices)

    def closure_of(self, library: LibraryContent, notices: list[Notice]) -> list[ResolvedLibrary]:
        """As ``closure``, of a library by itself."""
        libraries = resolve_libraries(self.usable(library), self, stale=self._stale, notices=notices)
        for one in libraries:
            notice = self._notice(one.content)
            if notice is not None and notice not in notices:
                notices.append(notice)
        for one in reversed(libraries):  # the outermost first: translating it translates its includes
            if one.tree is None:
                self._translation(one)
        return translated(libraries, self._translation)

    def resolve(self, name: str, version: str | None = None, system: str | None = None) -> LibraryContent:
        """See ``LibrarySource``; a library whose CQL is to be compiled comes without its ELM."""
        return self.usable(self._content.resolve(name, version, system))

    def usable(self, library: LibraryContent) -> LibraryContent:
        """The library as it takes part: without its ELM where its CQL is to be compiled."""
        known = self._usable.get(library)
        if known is None:
            known = self._usable[library] = self._judged(library)
            self._usable.setdefault(known[0], known)
        return known[0]

    def digest(self) -> bytes:
        """What the trees hang on beside the libraries' own texts."""
        digest = hashlib.blake2b(f"{self._kind} {self._stale}".encode(), digest_size=16)
        for path in self._model_infos:
            digest.update(path.read_bytes())
        digest.update(translator_digest())
        return digest.digest()

    def includes(self, library: LibraryContent) -> Iterator[Include]:
        """What a library includes by its ELM and by its CQL, without reading the ELM further."""
        yield from library.skimmed_includes()
        if library.outline is not None and self._kind != "elm":
            yield from library.outline.includes

    def _judged(self, library: LibraryContent) -> tuple[LibraryContent, Notice | None]:
        if library.cql is None:
            message = f"library {library} has no CQL; its ELM is used."
            wanted = self._kind == "cql" and library.elm_json is not None
            return library, Notice("no-cql", message, library.source) if wanted else None
        if library.elm_json is None:
            message = f"library {library} has no ELM; its CQL is compiled."
            return library, None if self._kind == "cql" else Notice("no-elm", message, library.source)
        if self._kind == "cql":
            return library.without_elm(), None
        if self._kind == "elm" or staleness(library) is not None:
            return library, None  # what becomes of stale ELM is the policy's to say
        reason = doubt(library)
        if reason is None:
            return library, None
        message = (
            f"the ELM of library {library} is not proved to belong to its CQL, which is compiled: {reason}."
        )
        return library.without_elm(), Notice("unproven-elm", message, library.source)

    def _notice(self, library: LibraryContent) -> Notice | None:
        known = self._usable.get(library)
        return None if known is None else known[1]

    def _translation(self, library: ResolvedLibrary) -> elm.Library:
        content = library.content
        key = content.digest()
        tree = self._trees.get(key)
        if tree is None:
            included = self._translator.included().get(content.declared_identity())
            # Its text may stand in another file than its Library resource: name it by its identity.
            source = f"library {content}"
            translation = included or self._translator.translate(content.cql or "", source)
            tree = self._trees[key] = checked(translation, source).library
        return tree


def load_models(paths: Sequence[Path]) -> tuple[Model, ...]:
    """The models of some model-info files; one may require those before it.

    Raises ContentError for a file that is no model info.
    """
    models: list[Model] = []
    for path in paths:
        models.append(load_model_info(path, models))
    return tuple(models)


@cache
def translator_digest() -> bytes:
    """What the parser and the translator are: another of either makes other trees."""
    digest = hashlib.blake2b(digest_size=16)
    engine = Path(__file__).parent.parent
    for room in ("cql", "translator", "content"):
        for path in sorted((engine / room).rglob("*.py")):
            facts = path.stat()
            digest.update(f"{path.relative_to(engine)} {facts.st_size} {facts.st_mtime_ns}".encode())
    return digest.digest()
