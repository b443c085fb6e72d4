"""From one library to all that it needs: includes resolved, closed and in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from measurewise.engine import elm
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.notice import Notice
from measurewise.engine.content.sources import LibrarySource
from measurewise.engine.content.staleness import staleness
from measurewise.engine.errors import ContentError, NotFoundError

StalePolicy = Literal["error", "notice", "translate"]


@dataclass(frozen=True, slots=True, eq=False)
class ResolvedLibrary:
    """A library whose includes are resolved.

    ``tree`` is None where the CQL has yet to be translated. ``includes`` goes from local name to library.
    """

    content: LibraryContent
    tree: elm.Library | None
    includes: Mapping[str, ResolvedLibrary]

    def __repr__(self) -> str:
        return f"<ResolvedLibrary {self.content}>"


def resolve_libraries(
    primary: LibraryContent,
    source: LibrarySource,
    *,
    stale: StalePolicy = "error",
    notices: list[Notice] | None = None,
) -> list[ResolvedLibrary]:
    """A library and all that it includes, each after those it includes; ``primary`` is the last.

    ``stale`` says what becomes of ELM that is older than the CQL beside it: ``"error"`` raises, ``"notice"``
    uses it with a notice, ``"translate"`` leaves it aside, so that the CQL is translated.

    Raises NotFoundError for a library or version that is not there, ContentError for a library with neither
    ELM nor CQL, for stale ELM, and for includes in a circle.
    """
    return _Resolution(source, stale, notices if notices is not None else []).closed(primary)


def translated(
    libraries: Sequence[ResolvedLibrary], translate: Callable[[ResolvedLibrary], elm.Library]
) -> list[ResolvedLibrary]:
    """The same libraries with the missing trees made by ``translate``.

    ``translate`` gets each library after its includes, which have their trees.
    """
    done: dict[ResolvedLibrary, ResolvedLibrary] = {}
    for library in libraries:
        ready = replace(library, includes={alias: done[other] for alias, other in library.includes.items()})
        done[library] = ready if ready.tree is not None else replace(ready, tree=translate(ready))
    return list(done.values())


class _Resolution:
    def __init__(self, source: LibrarySource, stale: StalePolicy, notices: list[Notice]) -> None:
        self._source = source
        self._stale = stale
        self._notices = notices
        self._done: dict[LibraryContent, ResolvedLibrary] = {}
        self._path: list[LibraryContent] = []

    def closed(self, primary: LibraryContent) -> list[ResolvedLibrary]:
        self._visit(primary)
        return list(self._done.values())

    def _visit(self, library: LibraryContent) -> ResolvedLibrary:
        done = self._done.get(library)
        if done is not None:
            return done
        if library in self._path:
            circle = [*self._path[self._path.index(library) :], library]
            raise ContentError(
                f"libraries include each other in a circle: {' -> '.join(map(str, circle))}.",
                where=library.source,
                mend="Move what they share to a library of its own.",
            )
        self._path.append(library)
        usable = self._usable(library)
        includes = {
            include.alias: self._visit(
                self._found(library, include.name, include.version, include.namespace or None)
            )
            for include in usable.includes()
        }
        self._path.pop()
        resolved = ResolvedLibrary(usable, usable.tree(), includes)
        self._done[library] = resolved
        return resolved

    def _found(
        self, asker: LibraryContent, name: str, version: str | None, system: str | None
    ) -> LibraryContent:
        try:
            return self._source.resolve(name, version, system)
        except NotFoundError as error:
            wanted = f"{name} version {version}" if version else name
            raise NotFoundError(
                f"library {asker} includes {wanted}, but {error.what}",
                where=asker.source,
                mend="Add that version of the library to the measure's content.",
            ) from error

    def _usable(self, library: LibraryContent) -> LibraryContent:
        if library.elm_json is None and library.cql is None:
            raise ContentError(
                f"library {library} has neither ELM nor CQL.",
                where=library.source,
                mend="Add its ELM JSON (application/elm+json) or its CQL text (text/cql).",
            )
        difference = staleness(library)
        if difference is None:
            return library
        if self._stale == "translate":
            message = f"the ELM of library {library} is older than its CQL and is left aside: {difference}."
            self._notices.append(Notice("stale-elm", message, library.source))
            return library.without_elm()
        message = f"the ELM of library {library} is older than its CQL: {difference}."
        if self._stale == "error":
            raise ContentError(
                message,
                where=library.source,
                mend="Translate the CQL again and put the new ELM in place, or take the old ELM out.",
            )
        self._notices.append(Notice("stale-elm", message, library.source))
        return library
