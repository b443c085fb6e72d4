"""What a CQL text declares, read without parsing it: enough to find its includes and to tell stale ELM.

CQL 1.5 Author's Guide, "Library", "Include", "Definitions"; comments, strings and quoted identifiers are told
apart by the lexical rules of the Developer's Guide, so that a ``define`` inside them is none.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

_QUIET = r"""//[^\n]*|/\*.*?\*/"""
_STRING = r"""'(?:\\.|[^'\\])*'"""
_QUOTED = r""""(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`"""
# After a dot a keyword is the name of an element (``compose.include``).
_LANDMARK = re.compile(
    rf"{_QUIET}|{_STRING}|{_QUOTED}|(?<![\w.])(?P<keyword>library|include|define|valueset|context)\b",
    re.DOTALL,
)
_TOKEN = re.compile(
    rf"(?:\s+|{_QUIET})*(?:(?P<string>{_STRING})|(?P<quoted>{_QUOTED})|(?P<word>[A-Za-z_]\w*)|(?P<other>.))",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Include:
    """An include: the name without its namespace, the version where one is given, the local name."""

    name: str
    version: str | None
    alias: str
    namespace: str = ""


@dataclass(slots=True)
class CqlOutline:
    """The declarations of a CQL text. ``functions`` counts the overloads of each name."""

    name: str | None = None
    version: str | None = None
    includes: list[Include] = field(default_factory=list)
    expressions: set[str] = field(default_factory=set)
    functions: Counter[str] = field(default_factory=Counter)
    value_sets: dict[str, str] = field(default_factory=dict)
    contexts: set[str] = field(default_factory=set)


def outline(text: str) -> CqlOutline:
    """The declarations of a CQL text; what is not well formed is passed over."""
    found = CqlOutline()
    for landmark in _LANDMARK.finditer(text):
        keyword = landmark["keyword"]
        if keyword is None:
            continue
        tokens = _Tokens(text, landmark.end())
        if keyword == "define":
            _definition(tokens, found)
        elif keyword == "include":
            _include(tokens, found)
        elif keyword == "valueset":
            name = tokens.name()
            if name is not None and tokens.take(":") and (url := tokens.string()) is not None:
                found.value_sets[name] = url
        elif keyword == "context":
            if (name := tokens.name()) is not None:
                found.contexts.add(name)
        elif found.name is None:
            path = tokens.path()
            found.name = ".".join(path) or None
            found.version = tokens.string() if tokens.take("version") else None
    return found


def _definition(tokens: _Tokens, found: CqlOutline) -> None:
    for modifier in ("public", "private"):
        tokens.take(modifier)
    tokens.take("fluent")
    is_function = tokens.take("function")
    name = tokens.name()
    if name is None:
        return
    if is_function:
        found.functions[name] += 1
    else:
        found.expressions.add(name)


def _include(tokens: _Tokens, found: CqlOutline) -> None:
    path = tokens.path()
    if not path:
        return
    version = tokens.string() if tokens.take("version") else None
    alias = tokens.name() if tokens.take("called") else None
    found.includes.append(Include(path[-1], version, alias or path[-1], ".".join(path[:-1])))


class _Tokens:
    """The tokens from a place on; each question moves on only where its answer is yes."""

    def __init__(self, text: str, position: int) -> None:
        self._text = text
        self._position = position

    def take(self, word: str) -> bool:
        token = _TOKEN.match(self._text, self._position)
        if token is None or word not in (token["word"], token["other"]):
            return False
        self._position = token.end()
        return True

    def name(self) -> str | None:
        token = _TOKEN.match(self._text, self._position)
        if token is None or not (token["quoted"] or token["word"]):
            return None
        self._position = token.end()
        return token["word"] or _unescaped(token["quoted"])

    def path(self) -> list[str]:
        parts = []
        while (name := self.name()) is not None:
            parts.append(name)
            if not self.take("."):
                break
        return parts

    def string(self) -> str | None:
        token = _TOKEN.match(self._text, self._position)
        if token is None or token["string"] is None:
            return None
        self._position = token.end()
        return _unescaped(token["string"])


def _unescaped(quoted: str) -> str:
    body = quoted[1:-1]
    if "\\" not in body:
        return body
    return _ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 5 else _ESCAPED.get(m[1], m[1]), body)
