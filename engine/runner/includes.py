"""Included libraries as the translator asks for them."""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.content.sources import LibrarySource
from measurewise.engine.errors import NotFoundError


class Includes:
    """The libraries of a source: their text, or ELM where there is none.

    The text comes first, since it tells every type; ELM may have been translated without result types.
    """

    def __init__(self, source: LibrarySource) -> None:
        self.source = source

    def resolve_include(self, name: str, version: str | None, namespace: str | None) -> str | elm.Library:
        """See ``IncludeSource``. Raises NotFoundError."""
        library = self.source.resolve(name, version, namespace)
        found = library.cql or library.tree()
        if found is None:
            raise NotFoundError(f"library {library} has neither CQL nor ELM.", where=library.source)
        return found
