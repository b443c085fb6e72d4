"""Paths into FHIR JSON: read, set, taken away, and the leaves of a resource by path.

A path is written as FHIRPath writes it, with the place in each list: ``type[0].coding[1].code``. A step
``extension(url)`` is the extension of that URL, wherever it stands in its list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

_STEP: Final = re.compile(r"([A-Za-z_]\w*)(?:\[(\d{1,6})\])?(?:\(([^)]+)\))?(?:\.|$)")
_MOST: Final = 100
Leaf: TypeAlias = str | bool | int | float | Decimal | None


class Url(NamedTuple):
    """The member of a list of extensions that has this URL."""

    url: str


Token: TypeAlias = str | int | Url


@cache
def tokens(path: str) -> tuple[Token, ...]:
    """A path as tokens: names, places in lists, URLs. Raises ValueError for what is no path."""
    found: list[Token] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or match.end() == position:
            raise ValueError(f"no path: {path}")
        name, place, url = match.groups()
        found.append(name)
        if place is not None:
            found.append(int(place))
        if url is not None:
            found.append(Url(url))
        position = match.end()
    return tuple(found)


def get(resource: Any, path: str) -> Any:
    """What stands at a path, None where nothing does."""
    current = resource
    for token in tokens(path):
        if isinstance(token, Url):
            current = _extension(current, token.url)
        elif isinstance(token, int):
            current = current[token] if isinstance(current, list) and token < len(current) else None
        else:
            current = current.get(token) if isinstance(current, Mapping) else None
        if current is None:
            return None
    return current


def put(resource: dict[str, Any], path: str, value: Any) -> None:
    """Set what stands at a path, making what leads to it. Raises ValueError where the path does not fit."""
    found = tokens(path)
    current: Any = resource
    for token, following in zip(found, (*found[1:], None), strict=True):
        if following is None:
            _set(current, token, value)
            return
        current = _entered(current, token, [] if isinstance(following, int | Url) else {})


def remove(resource: dict[str, Any], path: str) -> None:
    """Take away what stands at a path, and what is empty after it."""
    *leading, last = tokens(path)
    parents: list[Any] = [resource]
    for token in leading:
        here = parents[-1]
        try:
            parents.append(_extension(here, token.url) if isinstance(token, Url) else here[token])
        except (KeyError, IndexError, TypeError):
            return
    for parent, token in zip(reversed(parents), (last, *reversed(leading)), strict=True):
        if isinstance(parent, list) and isinstance(token, int) and token < len(parent):
            parent.pop(token)
        elif isinstance(parent, dict) and isinstance(token, str):
            parent.pop(token, None)
        if parent or parent is resource:
            return


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Leaf]]:
    """The primitive values of a resource by path; an empty object or list is None."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from leaves(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for place, part in enumerate(value):
            yield from leaves(part, f"{path}[{place}]")
    else:
        yield path, None if isinstance(value, Mapping | list) else value


def _extension(extensions: Any, url: str) -> Any:
    if not isinstance(extensions, list):
        return None
    return next((one for one in extensions if isinstance(one, dict) and one.get("url") == url), None)


def _entered(current: Any, token: Token, empty: Any) -> Any:
    if isinstance(token, Url):
        found = _extension(current, token.url)
        if found is None:
            found = {"url": token.url}
            current.append(found)
        return found
    if isinstance(token, int):
        _grow(current, token)
        if type(current[token]) is not type(empty):
            current[token] = empty
        return current[token]
    # What is of another kind than the path needs makes way for it.
    if type(current.get(token)) is not type(empty):
        current[token] = empty
    return current[token]


def _set(current: Any, token: Token, value: Any) -> None:
    if isinstance(token, int):
        _grow(current, token)
        current[token] = value
    elif isinstance(token, str) and isinstance(current, dict):
        current[token] = value
    else:
        raise ValueError("the path goes through a value")


def _grow(current: Any, place: int) -> None:
    if not isinstance(current, list) or place > len(current) + _MOST:
        raise ValueError("the path goes through no list")
    current.extend([None] * (place + 1 - len(current)))
