"""What ``_include`` and ``_revinclude`` add to a page of a search (FHIR R4, 3.1.1.5.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from measurewise.store.errors import SearchError, TooMuchError
from measurewise.store.resources import HELD, Stored, stored
from measurewise.store.search_conditions import Finder, reference_targets, refers
from measurewise.store.search_index import ANY_TYPE
from measurewise.store.tables import resources, search_values

MOST_INCLUDED: Final = 20_000
"""Resources that a page may include."""
_AT_ONCE: Final = 400


@dataclass(frozen=True, slots=True)
class Include:
    """``Type:parameter`` or ``Type:parameter:Target``; ``iterate`` follows what was included, too.

    ``resource_type`` is the type of the resources that refer, forwards (``_include``) as in ``reverse``.
    """

    resource_type: str
    parameter: str
    target: str | None = None
    iterate: bool = False
    reverse: bool = False

    @classmethod
    def parse(cls, key: str, value: str) -> Include:
        """From a query's key (``_include:iterate``) and value. Raises SearchError."""
        name, _, modifier = key.partition(":")
        if modifier not in ("", "iterate"):
            raise SearchError(f"'{key}' is not served.", where=name, mend=f"Write {name} or {name}:iterate.")
        kind, _, rest = value.partition(":")
        parameter, _, target = rest.partition(":")
        if not parameter:
            raise SearchError(f"'{value}' names no reference.", where=name, mend="Write Type:parameter.")
        targets = reference_targets(kind, parameter, name)
        if target and target not in targets and ANY_TYPE not in targets:
            raise SearchError(f"'{parameter}' of {kind} does not refer to a {target}.", where=name)
        return cls(kind, parameter, target or None, modifier == "iterate", name == "_revinclude")


def included(
    connection: Connection,
    finder: Finder,
    resource_type: str,
    includes: Sequence[Include],
    matches: Sequence[Stored],
) -> list[Stored]:
    """All that comes along, each once, nothing that matches by itself.

    Only types that may be read come along or lead further. Raises SearchError, TooMuchError.
    """
    for include in includes:
        if not include.iterate and not include.reverse and include.resource_type != resource_type:
            raise SearchError(
                f"'{include.resource_type}:{include.parameter}' is not about {resource_type}.",
                where="_include",
                mend="Write _include:iterate to follow what was included.",
            )
    found: dict[int, Stored] = {}
    known = {match.key for match in matches}
    reached: Sequence[Stored] = matches
    while reached:
        new: dict[int, Stored] = {}
        for include in includes:
            if include.iterate or reached is matches:
                for resource in _added(connection, finder, include, reached):
                    if resource.key not in known:
                        new[resource.key] = resource
        found |= new
        known |= set(new)
        if len(found) > MOST_INCLUDED:
            raise TooMuchError(
                f"more than {MOST_INCLUDED:,} resources would be included.",
                where="_revinclude" if any(include.reverse for include in includes) else "_include",
                mend="Ask for a smaller _count.",
            )
        reached = list(new.values())
    return list(found.values())


def _added(
    connection: Connection, finder: Finder, include: Include, reached: Iterable[Stored]
) -> list[Stored]:
    """What one include adds to resources, from their own organisations or shared."""
    targets = reference_targets(include.resource_type, include.parameter, "_include")
    anything = ANY_TYPE in targets
    from_types = {one.type for one in reached}
    if include.reverse:
        near = {kind for kind in from_types if anything or kind in targets}
        if include.target is not None:
            near &= {include.target}
        pairs = [(kind, include.resource_type) for kind in sorted(near)]
    elif include.resource_type in from_types:
        wanted = (include.target,) if include.target is not None else targets
        if wanted == (ANY_TYPE,):
            wanted = _types_referred_to(connection, include, reached)
        pairs = [(include.resource_type, kind) for kind in wanted]
    else:
        pairs = []
    found: list[Stored] = []
    for near_type, far_type in pairs:
        if finder.may(far_type, "r"):
            keys = [one.key for one in reached if one.type == near_type]
            found += _linked(connection, finder, include, keys, near_type, far_type)
    return found


def _linked(
    connection: Connection, finder: Finder, include: Include, keys: list[int], near_type: str, far_type: str
) -> list[Stored]:
    near, far = resources.alias(), resources.alias()
    if include.reverse:
        link = refers(far, include.parameter, near, near_type, far_type)
    else:
        link = refers(near, include.parameter, far, far_type, near_type)
    found: list[Stored] = []
    for start in range(0, len(keys), _AT_ONCE):
        linked = select(far.c.key).where(
            near.c.key.in_(keys[start : start + _AT_ONCE]), finder.visible(far, far_type), *link
        )
        query = select(*HELD).where(resources.c.key.in_(linked)).order_by(resources.c.key)
        found += [stored(row) for row in connection.execute(query.limit(MOST_INCLUDED + 1))]
    return found


def _types_referred_to(
    connection: Connection, include: Include, reached: Iterable[Stored]
) -> tuple[str, ...]:
    """The types that resources refer to by a parameter that may refer to any."""
    keys = [one.key for one in reached if one.type == include.resource_type]
    found: set[str] = set()
    for start in range(0, len(keys), _AT_ONCE):
        query = select(search_values.c.system).where(
            search_values.c.resource.in_(keys[start : start + _AT_ONCE]),
            search_values.c.parameter == include.parameter,
            search_values.c.system.is_not(None),
        )
        found |= {str(kind) for kind in connection.execute(query.distinct()).scalars()}
    return tuple(sorted(found))
