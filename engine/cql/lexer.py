"""CQL text to tokens (CQL 1.5.3 Developer's Guide, "Lexical Elements"; lexer rules of cql.g4 and
fhirpath.g4).

Tokens are parallel lists rather than objects: reading all of a measure's libraries makes hundreds of
thousands. A token's kind is the word or symbol itself for keywords and symbols, else one of the upper-case
kinds below.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from measurewise.engine.cql.errors import Issue
from measurewise.engine.cql.words import KEYWORDS

IDENTIFIER = "IDENTIFIER"
QUOTED = "QUOTED"
STRING = "STRING"
NUMBER = "NUMBER"
LONG = "LONG"
DATE = "DATE"
DATETIME = "DATETIME"
TIME = "TIME"
END = "END"

_DATE = r"@\d{4}(?:-\d\d(?:-\d\d)?)?"
_CLOCK = r"\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?"
_GAP = r"[ \t\r\n\f\u00a0\ufeff]"

# The commonest tokens stand first; group numbers are the ``_``-constants below.
_TOKEN = re.compile(
    rf"""{_GAP}*(?:
      ((?:included{_GAP}+in|such{_GAP}+that|on{_GAP}+or|(?:less|more){_GAP}+than)(?![A-Za-z0-9_]))
    | ([A-Za-z_][A-Za-z0-9_]*)
    | ("[^"\\]*(?:\\.[^"\\]*)*")
    | (`[^`\\]*(?:\\.[^`\\]*)*`)
    | (//[^\r\n]*|/\*.*?\*/)
    | (->|/(?!\*)|<=|>=|!=|!~|\$(?:this|index|total)(?![A-Za-z0-9_])|[-+*^&|=<>~()\[\]{{}}.,:%])
    | ('[^'\\]*(?:\\.[^'\\]*)*')
    | (\d+L(?![A-Za-z0-9_]))
    | (\d+(?:\.\d+)?)
    | ({_DATE}T(?:{_CLOCK})?(?:Z|[+-]\d\d:\d\d)?)
    | ({_DATE})
    | (@T{_CLOCK})
    | ($)
    | (.)
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
# As far as the parser looks ahead of a token.
_LOOKAHEAD = 4
_PHRASE, _WORD, _DOUBLE, _BACKTICK, _COMMENT, _SYMBOL, _STRING, _LONG, _NUMBER = range(1, 10)
_DATETIME_LITERAL, _DATE_LITERAL, _TIME_LITERAL, _EOF, _OTHER = range(10, 15)
_KINDS = {
    _DOUBLE: QUOTED,
    _BACKTICK: QUOTED,
    _STRING: STRING,
    _LONG: LONG,
    _NUMBER: NUMBER,
    _DATETIME_LITERAL: DATETIME,
    _DATE_LITERAL: DATE,
    _TIME_LITERAL: TIME,
}
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SPACE_RUN = re.compile(rf"{_GAP}+")


@dataclass(slots=True)
class Tokens:
    """The tokens of a text, END last (several times, for looking ahead).

    ``comments`` are (index of the token it precedes, start, end). ``cut_short`` says that the rest of the
    text could not be split, since something is never closed.
    """

    text: str
    kinds: list[str]
    starts: list[int]
    ends: list[int]
    comments: list[tuple[int, int, int]]
    issues: list[Issue]
    cut_short: bool = False

    def spelling(self, index: int) -> str:
        """The token as it stands in the text."""
        return self.text[self.starts[index] : self.ends[index]]


class Lines:
    """Line and column of an offset; both count from 1, a line ends at ``\\n``, ``\\r\\n`` or ``\\r``."""

    __slots__ = ("_starts",)

    def __init__(self, text: str) -> None:
        self._starts = [0, *(m.end() for m in re.finditer(r"\r\n|\n|\r", text))]

    def position(self, offset: int) -> tuple[int, int]:
        """(line, column) of a character offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def tokenize(text: str) -> Tokens:
    """Split CQL into tokens. What is no token is passed over and stands in ``issues``; nothing is raised."""
    kinds: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    comments: list[tuple[int, int, int]] = []
    issues: list[Issue] = []
    cut_short = False
    add_kind, add_start, add_end = kinds.append, starts.append, ends.append
    keywords = KEYWORDS
    for match in _TOKEN.finditer(text):
        group = match.lastindex or 0
        start, end = match.span(group)
        if group == _WORD:
            word = match[group]
            add_kind(word if word in keywords else IDENTIFIER)
        elif group == _SYMBOL:
            add_kind(match[group])
        elif group == _COMMENT:
            comments.append((len(kinds), start, end))
            continue
        elif group == _PHRASE:
            add_kind(_SPACE_RUN.sub(" ", match[group]))
        elif group in _KINDS:
            add_kind(_KINDS[group])
        elif group == _EOF:
            break
        else:
            issues.append(_stray(text, start))
            if text[start] in "'\"`" or text.startswith("/*", start):
                # The rest of the text would be read inside out.
                cut_short = True
                break
            continue
        add_start(start)
        add_end(end)
    for _ in range(_LOOKAHEAD):
        add_kind(END)
        add_start(len(text))
        add_end(len(text))
    return Tokens(text, kinds, starts, ends, comments, issues, cut_short)


def _stray(text: str, start: int) -> Issue:
    line, column = Lines(text).position(start)
    character = text[start]
    if character in "'\"`":
        what = {"'": "string", '"': "quoted identifier", "`": "delimited identifier"}[character]
        return Issue(f"This {what} is never closed.", line, column, start, len(text), (character,))
    if character == "/":
        return Issue("This comment is never closed.", line, column, start, len(text), ("*/",))
    mend = _MENDS.get(character, "")
    shown = f"'{character}'" if character.isprintable() else f"The character U+{ord(character):04X}"
    return Issue(f"{shown} is no part of CQL.", line, column, start, start + 1, (), mend)


_MENDS = {
    "!": "Write 'not', '!=' or '!~'.",
    "@": "A date or time literal looks like @2025-01-31, @2025-01-31T12:00 or @T12:00.",
    ";": "Nothing ends a statement in CQL; leave it out.",
    "\u2018": "Write a straight quote (').",
    "\u2019": "Write a straight quote (').",
    "\u201c": 'Write a straight quote (").',
    "\u201d": 'Write a straight quote (").',
    "$": "Write $this, $index or $total.",
    "#": "CQL has no directives; comments begin with //.",
}


def unescape(spelling: str) -> str:
    """The value of a string, quoted or delimited identifier token: quotes off, escapes resolved.

    Escapes are ``\\'``, ``\\"``, ``\\```, ``\\\\``, ``\\/``, ``\\f``, ``\\n``, ``\\r``, ``\\t`` and
    ``\\uXXXX``; a backslash before anything else stands for itself, as the grammar has it.
    """
    body = spelling[1:-1]
    if "\\" not in body:
        return body
    value = _ESCAPE.sub(_resolve, body)
    # \\uD83D\\uDE00 is one character written as two; half of one is none.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _resolve(match: re.Match[str]) -> str:
    code, character = match.groups()
    if code is not None:
        return chr(int(code, 16))
    if character in _ESCAPED:
        return _ESCAPED[character]
    return character if character in "'\"`\\/" else match[0]


def escape(value: str, quote: str) -> str:
    """A value as a token between ``quote`` characters; ``unescape`` gives the value back."""
    out = value.replace("\\", "\\\\").replace(quote, "\\" + quote)
    for letter, character in _ESCAPED.items():
        out = out.replace(character, "\\" + letter)
    return f"{quote}{out}{quote}"
