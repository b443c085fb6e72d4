"""Where libraries come from: one question, asked of memory, folders, bundles or several of them in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.notice import Notice
from measurewise.engine.errors import NotFoundError
from measurewise.engine.terminology.canonical import split_canonical, version_key


class LibrarySource(Protocol):
    """Something that holds libraries."""

    def resolve(self, name: str, version: str | None = None, system: str | None = None) -> LibraryContent:
        """The library of a name and version, of the highest version where none is asked for.

        ``system`` is the namespace of the name, where it has one. Raises NotFoundError, whose sentence says
        which versions there are.
        """
        ...


class Libraries:
    """Libraries in memory, several versions of one name side by side.

    Copies of one library (same name and version, and same URL where both have one) are one: what one copy
    lacks, its CQL or its ELM, another gives. Where two copies differ the first is kept, with a notice.
    """

    def __init__(self, libraries: Iterable[LibraryContent] = ()) -> None:
        self.notices: list[Notice] = []
        self._by_name: dict[str, list[LibraryContent]] = {}
        for library in libraries:
            self._add(library)
        for found in self._by_name.values():
            found.sort(key=lambda library: version_key(library.version))

    def _add(self, library: LibraryContent) -> None:
        found = self._by_name.setdefault(library.name, [])
        for place, known in enumerate(found):
            urls = {known.url, library.url} - {None}
            if known.version == library.version and len(urls) < 2:
                if known.differs_from(library):
                    message = (
                        f"library {library} also stands in {library.source}, and differs; this copy is used."
                    )
                    self.notices.append(Notice("differing-copies", message, known.source))
                found[place] = known.completed(library)
                return
        found.append(library)

    def __iter__(self) -> Iterator[LibraryContent]:
        for found in self._by_name.values():
            yield from found

    def __len__(self) -> int:
        return sum(map(len, self._by_name.values()))

    def versions(self, name: str) -> list[LibraryContent]:
        """The libraries of a name, lowest version first."""
        return list(self._by_name.get(name, ()))

    def resolve(self, name: str, version: str | None = None, system: str | None = None) -> LibraryContent:
        """See :class:`LibrarySource`."""
        candidates = self.versions(name) or [lib for lib in self if lib.declared_identity()[0] == name]
        candidates = [library for library in candidates if _in_namespace(library, system)]
        chosen = _chosen(candidates, version)
        if chosen is None:
            raise NotFoundError(_absence(name, version, candidates))
        return chosen

    def by_canonical(self, canonical: str, prefer: str | None = None) -> LibraryContent:
        """The library of a canonical URL, with or without ``|version``.

        Without a version: ``prefer`` where that version is there, else the highest. A library without a URL
        is found by the last part of the reference as its name. Raises NotFoundError.
        """
        url, version = split_canonical(canonical)
        named = self.versions(url.rpartition("/")[2])
        candidates = [lib for lib in self if lib.url == url] or [lib for lib in named if lib.url is None]
        candidates.sort(key=lambda library: version_key(library.version))
        chosen = _chosen(candidates, version or prefer)
        if chosen is None and version is None:
            chosen = _chosen(candidates, None)
        if chosen is None:
            elsewhere = sorted({lib.url for lib in named if lib.url is not None and lib.url != url})
            hint = f" A library of that name has the URL {', '.join(elsewhere)}." if elsewhere else ""
            raise NotFoundError(_absence(url, version, candidates) + hint)
        return chosen


class LibraryChain:
    """Several sources, asked one after the other; an exact version anywhere comes before a higher one."""

    def __init__(self, sources: Sequence[LibrarySource]) -> None:
        self._sources = tuple(sources)

    def resolve(self, name: str, version: str | None = None, system: str | None = None) -> LibraryContent:
        """See :class:`LibrarySource`."""
        found, reasons = [], []
        for source in self._sources:
            try:
                library = source.resolve(name, version, system)
            except NotFoundError as error:
                reasons.append(error.what)
                continue
            if version is not None:
                return library
            found.append(library)
        if not found:
            raise NotFoundError(" ".join(dict.fromkeys(reasons)) or _absence(name, version, ()))
        return max(found, key=lambda library: version_key(library.version))


def _in_namespace(library: LibraryContent, system: str | None) -> bool:
    if not system or library.url is None:
        return True
    # A namespace in a CQL text is a name that only its author's tooling maps to a URL: nothing to compare.
    return "://" not in system or library.url.startswith(system)


def _chosen(candidates: Sequence[LibraryContent], version: str | None) -> LibraryContent | None:
    if version is None:
        return candidates[-1] if candidates else None
    for library in candidates:
        if library.version == version:
            return library
    # A guide may give its Library resources a version of their own, while includes name that of the CQL.
    return next((library for library in candidates if library.declared_identity()[1] == version), None)


def _absence(name: str, version: str | None, candidates: Sequence[LibraryContent]) -> str:
    wanted = f"library {name} version {version}" if version else f"library {name}"
    if not candidates:
        return f"{wanted} is not there."
    there = ", ".join(str(library.version) for library in candidates)
    return f"{wanted} is not there; there is version {there}."
