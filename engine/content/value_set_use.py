"""Which value sets the logic refers to, and whether they are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from measurewise.engine import elm
from measurewise.engine.content.notice import Notice
from measurewise.engine.content.resolution import ResolvedLibrary
from measurewise.engine.errors import NotFoundError
from measurewise.engine.terminology.value_sets import ValueSetIndex

_SHOWN = 10


class ValueSetUse(NamedTuple):
    """A value set by URL and version, its name in the CQL, and the library that defines the name."""

    url: str
    version: str | None
    name: str
    library: str

    @property
    def canonical(self) -> str:
        """``url`` or ``url|version``."""
        return f"{self.url}|{self.version}" if self.version else self.url


def value_set_uses(
    libraries: Sequence[ResolvedLibrary], definitions: Iterable[str] | None = None
) -> list[ValueSetUse]:
    """The value sets that some definitions of the last library refer to, directly or through others.

    ``libraries`` is what resolve_libraries gives, all translated; ``definitions`` are names in the last of
    them, None all of them. Definitions that nothing reaches do not count. In the order they are first met.
    """
    primary = libraries[-1]
    names = [s.name for s in _statements(primary)] if definitions is None else list(definitions)
    pending = [(primary, name) for name in reversed(names)]
    seen: set[tuple[ResolvedLibrary, str]] = set()
    uses: dict[ValueSetUse, None] = {}
    while pending:
        library, name = pending.pop()
        if (library, name) in seen:
            continue
        seen.add((library, name))
        for statement in _statements(library):
            if statement.name == name:
                for node in elm.walk(statement):
                    if isinstance(node, elm.ValueSetRef):
                        uses.update(
                            dict.fromkeys(_definition(_library(library, node.library_name), node.name))
                        )
                    elif isinstance(node, elm.ExpressionRef):
                        pending.append((_library(library, node.library_name), node.name))
    return list(uses)


def missing_value_sets(
    uses: Iterable[ValueSetUse], index: ValueSetIndex, missing: Literal["error", "empty"] = "error"
) -> list[Notice]:
    """A notice for each value set in use that is not there, which will count as empty.

    With ``missing="error"`` raises NotFoundError naming them instead.
    """
    absent = [use for use in uses if use.canonical not in index]
    if missing == "empty":
        return [
            Notice(
                "missing-value-set",
                f'value set "{use.name}" ({use.canonical}) is not there; it is taken as empty.',
                use.library,
            )
            for use in absent
        ]
    if absent:
        shown = "; ".join(f'"{use.name}" ({use.canonical}) of {use.library}' for use in absent[:_SHOWN])
        rest = f"; and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        count = "a value set is" if len(absent) == 1 else f"{len(absent)} value sets are"
        raise NotFoundError(
            f"{count} not there: {shown}{rest}.",
            mend='Add the value sets, or set missing_valuesets to "empty" to take them as empty.',
        )
    return []


def _statements(library: ResolvedLibrary) -> Iterable[elm.ExpressionDef]:
    return library.tree.statements if library.tree is not None else ()


def _library(library: ResolvedLibrary, alias: str | None) -> ResolvedLibrary:
    return library if alias is None else library.includes.get(alias, library)


def _definition(library: ResolvedLibrary, name: str) -> Iterator[ValueSetUse]:
    for definition in library.tree.value_sets if library.tree is not None else ():
        if definition.name == name:
            yield ValueSetUse(definition.id, definition.version, name, str(library.content))
