"""Translating libraries together with those they include, each once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from measurewise.engine import elm
from measurewise.engine.cql.errors import CqlSyntaxError
from measurewise.engine.cql.parser import parse_library
from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.models.model import Model, load_model
from measurewise.engine.translator.diagnostics import CqlTranslationError
from measurewise.engine.translator.library import IncludedLibrary, Translation, translate_tree
from measurewise.engine.translator.options import TranslatorOptions
from measurewise.engine.translator.reuse import Ledger
from measurewise.engine.translator.symbols import symbols_of_elm

_Key = tuple[str, str | None, str | None]


class IncludeSource(Protocol):
    """Where included libraries come from."""

    def resolve_include(self, name: str, version: str | None, namespace: str | None) -> str | elm.Library:
        """The CQL text of a library, or its ELM where there is no text. Raises NotFoundError."""
        ...


class NoIncludes:
    """A source that holds nothing, for libraries that stand alone."""

    def resolve_include(self, name: str, version: str | None, namespace: str | None) -> str | elm.Library:
        """See IncludeSource."""
        wanted = f"{name} version {version}" if version else name
        raise NotFoundError(f"Library {wanted} is not there.")


class Translator:
    """Translates libraries from one source under one set of options; included libraries are kept.

    Translating a text again under the same ``source`` name takes over what has not changed since.
    """

    def __init__(
        self,
        source: IncludeSource | None = None,
        options: TranslatorOptions | None = None,
        model_infos: Iterable[Model] = (),
    ) -> None:
        self._source: IncludeSource = source if source is not None else NoIncludes()
        self.options = options if options is not None else TranslatorOptions()
        self._model_infos = tuple(model_infos)
        self._included: dict[_Key, IncludedLibrary] = {}
        self._translations: dict[_Key, Translation] = {}
        self._path: list[str] = []
        self._ledgers: dict[str, Ledger] = {}

    def translate(self, text: str, source: str = "") -> Translation:
        """The translation of a library's text; ``source`` names it in messages.

        Raises CqlSyntaxError where the text is not CQL; errors of meaning are in the result.
        """
        syntax = parse_library(text, source)
        before = self._ledgers.get(source)
        name = "" if syntax.library is None else str(syntax.library.name)
        self._path.append(name)
        try:
            translation = translate_tree(syntax, self._include, self.options, self._model_infos, before)
        finally:
            self._path.pop()
        if source:
            self._ledgers[source] = translation.ledger
        return translation

    def included(self) -> dict[tuple[str, str | None], Translation]:
        """The translations of the libraries that were included so far, by name and version."""
        return {(t.symbols.name, t.symbols.version): t for t in self._translations.values()}

    def refresh(self) -> None:
        """Ask the source for included libraries anew; what has not changed since is taken over."""
        self._included.clear()
        self._translations.clear()

    def _include(self, name: str, version: str | None, namespace: str | None) -> IncludedLibrary:
        key = (name, version, namespace)
        known = self._included.get(key)
        if known is not None:
            return known
        if name in self._path:
            circle = " -> ".join([*self._path[self._path.index(name) :], name])
            raise ContentError(f"Libraries include each other in a circle: {circle}.")
        content = self._source.resolve_include(name, version, namespace)
        if isinstance(content, elm.Library):
            models = _models_of(content, self._model_infos)
            included = IncludedLibrary(symbols_of_elm(content, models), models)
        else:
            label = f"{name} {version}" if version else name
            try:
                translation = self.translate(content, label)
            except CqlSyntaxError as error:
                raise ContentError(f"Library {label} has a syntax error: {error}") from None
            if translation.errors:
                first = translation.errors[0]
                raise ContentError(
                    f"Library {label} has {len(translation.errors)} error"
                    f"{'s' if len(translation.errors) > 1 else ''}, the first at {first}"
                )
            self._translations[key] = translation
            included = IncludedLibrary(translation.symbols, translation.models)
        self._included[key] = included
        return included


def _models_of(library: elm.Library, model_infos: tuple[Model, ...]) -> dict[str, Model]:
    models: dict[str, Model] = {"System": load_model("System")}
    for using in library.usings:
        name = using.name or using.local_identifier
        found = next((m for m in model_infos if m.name == name and using.version in (None, m.version)), None)
        model = found if found is not None else load_model(name, using.version)
        models.update(model.models)
    return models


def translate(
    text: str,
    *,
    source: IncludeSource | None = None,
    options: TranslatorOptions | None = None,
    model_infos: Iterable[Model] = (),
    name: str = "",
) -> Translation:
    """The ELM of a CQL library, with what its author should hear.

    ``source`` gives the libraries it includes, ``model_infos`` are models beside those that ship, ``name`` is
    used in messages. Raises CqlSyntaxError where the text is not CQL; other errors are in the result
    (``checked`` raises them).
    """
    return Translator(source, options, model_infos).translate(text, name)


def checked(translation: Translation, source: str = "") -> Translation:
    """The translation itself where it has no errors. Raises CqlTranslationError with all of them."""
    if translation.errors:
        raise CqlTranslationError(translation.errors, source)
    return translation
