"""The string operators (CQL Reference, "String Operators").

Indexes are 0-based and count Unicode characters. Regular expressions are Python's, with the spellings of
PCRE and Java that mean the same taken over (``(?<name>...)``, ``\\z``, POSIX classes); they are
case-sensitive, match partially and let ``.`` match a line feed ("single line mode").
"""

from __future__ import annotations

import re
from functools import lru_cache

from measurewise.engine.errors import EvaluationError


def concatenate(*operands: str | None) -> str | None:
    """The strings one after the other; null if any is (the ``+`` operator)."""
    if None in operands:
        return None
    return "".join(operands)  # type: ignore[arg-type]


def combine(source: list[str | None] | None, separator: str | None = None) -> str | None:
    """The strings of a list that are not null, with a separator between them; null when there are none."""
    if source is None:
        return None
    parts = [part for part in source if part is not None]
    return (separator or "").join(parts) if parts else None


def split(text: str | None, separator: str | None) -> list[str] | None:
    """The parts of a string between separators; the whole of it for a null or empty separator."""
    if text is None:
        return None
    return text.split(separator) if separator else [text]


def split_on_matches(text: str | None, pattern: str | None) -> list[str] | None:
    """The parts of a string between the matches of a regular expression that are not empty."""
    if text is None:
        return None
    if pattern is None:
        return [text]
    parts = []
    start = 0
    for match in _compiled(pattern).finditer(text):
        if match.end() > match.start():
            parts.append(text[start : match.start()])
            start = match.end()
    parts.append(text[start:])
    return parts


def length(text: str | None) -> int | None:
    """The number of characters."""
    return None if text is None else len(text)


def upper(text: str | None) -> str | None:
    """The string in upper case, the same everywhere whatever the locale."""
    return None if text is None else text.upper()


def lower(text: str | None) -> str | None:
    """The string in lower case, the same everywhere whatever the locale."""
    return None if text is None else text.lower()


def indexer(text: str | None, index: int | None) -> str | None:
    """The character at an index; null where there is none."""
    if text is None or index is None or not 0 <= index < len(text):
        return None
    return text[index]


def position_of(pattern: str | None, text: str | None) -> int | None:
    """The index of the first appearance of ``pattern``, -1 without one."""
    return None if pattern is None or text is None else text.find(pattern)


def last_position_of(pattern: str | None, text: str | None) -> int | None:
    """The index of the last appearance of ``pattern``, -1 without one."""
    return None if pattern is None or text is None else text.rfind(pattern)


def starts_with(text: str | None, prefix: str | None) -> bool | None:
    """Whether the string starts with the prefix."""
    return None if text is None or prefix is None else text.startswith(prefix)


def ends_with(text: str | None, suffix: str | None) -> bool | None:
    """Whether the string ends with the suffix."""
    return None if text is None or suffix is None else text.endswith(suffix)


def substring(text: str | None, start: int | None, size: int | None = None) -> str | None:
    """At most ``size`` characters from ``start`` on; null when ``start`` is not an index of the string."""
    if text is None or start is None or not 0 <= start < len(text):
        return None
    if size is None:
        return text[start:]
    return text[start : start + size] if size > 0 else ""


def to_chars(text: str | None) -> list[str] | None:
    """The characters of a string as a list (ELM "ToChars")."""
    return None if text is None else list(text)


def matches(text: str | None, pattern: str | None) -> bool | None:
    """Whether the regular expression matches somewhere in the string ("Matches": "use partial matching")."""
    if text is None or pattern is None:
        return None
    return _compiled(pattern).search(text) is not None


def replace_matches(text: str | None, pattern: str | None, substitution: str | None) -> str | None:
    """The string with every match replaced.

    In the substitution ``$1`` and ``${name}`` stand for groups of the match, and a backslash takes the
    meaning from the character after it (``\\$`` is a dollar sign).
    """
    if text is None or pattern is None or substitution is None:
        return None
    compiled = _compiled(pattern)
    parts = _substitution(substitution, compiled.groups)

    def replacement(match: re.Match[str]) -> str:
        try:
            return "".join(part if isinstance(part, str) else match[part[0]] or "" for part in parts)
        except IndexError:
            raise EvaluationError(
                f"{substitution!r} names a group that the pattern {pattern!r} does not have.",
                mend=r"Name a group of the pattern, or write \$ for a dollar sign.",
            ) from None

    return compiled.sub(replacement, text)


_DIALECT = re.compile(r"\\.|\[:\^?\w+:\]|\(\?<(?=[A-Za-z_])|.", re.DOTALL)
_SPELLINGS = {
    r"\z": r"\Z",
    r"\Z": r"(?=\n?\Z)",
    "(?<": "(?P<",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:alnum:]": "A-Za-z0-9",
    "[:upper:]": "A-Z",
    "[:lower:]": "a-z",
    "[:space:]": r"\s",
    "[:xdigit:]": "0-9A-Fa-f",
    "[:word:]": r"\w",
}


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    spelled = _DIALECT.sub(lambda match: _SPELLINGS.get(match[0], match[0]), pattern)
    try:
        return re.compile(spelled, re.DOTALL)
    except re.error as error:
        raise EvaluationError(
            f"{pattern!r} is not a regular expression: {error}.",
            mend="Write the pattern with the constructs that PCRE and Python share.",
        ) from None


@lru_cache(maxsize=512)
def _substitution(text: str, groups: int) -> tuple[str | tuple[int | str], ...]:
    """Literal parts, and groups as tuples of their number or name."""
    parts: list[str | tuple[int | str]] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            parts.append(text[at + 1])
            at += 2
            continue
        if char == "$":
            named = re.compile(r"\$\{([A-Za-z_]\w*)\}").match(text, at)
            if named:
                parts.append((named[1],))
                at = named.end()
                continue
            numbered = re.compile(r"\$([0-9]+)").match(text, at)
            if numbered:
                # As in Java, digits belong to the number for as long as there is such a group.
                digits = numbered[1]
                while len(digits) > 1 and int(digits) > groups:
                    digits = digits[:-1]
                parts.append((int(digits),))
                at += 1 + len(digits)
                continue
        parts.append(char)
        at += 1
    return tuple(parts)
