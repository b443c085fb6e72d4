"""The parser's place in the tokens: stepping, spans, errors and how it finds its footing after one.

An error is reported once, where it stands; the parser then goes on as if the missing token were there. When
it fails again without having moved, it gives the definition up (``Abandoned``) and starts over at the next
one, so that every broken definition of a library is reported and one slip does not bring ten messages.
"""

from __future__ import annotations

from measurewise.engine.cql.comments import tags_of
from measurewise.engine.cql.errors import Issue
from measurewise.engine.cql.lexer import (
    END,
    IDENTIFIER,
    LONG,
    NUMBER,
    QUOTED,
    STRING,
    Lines,
    Tokens,
    unescape,
)
from measurewise.engine.cql.tree import Comment, Identifier, Span, Tag
from measurewise.engine.cql.words import DECLARATION_WORDS, KEYWORD_IDENTIFIERS, KEYWORDS, RESERVED

NAMES = frozenset({IDENTIFIER, QUOTED})
REFERENTIAL = NAMES | KEYWORD_IDENTIFIERS
OPENERS = frozenset("([{")
CLOSERS = frozenset(")]}")

# Deep enough for any library ever seen (deepest: 25), shallow enough for the translator to recurse over the
# tree.
DEEPEST = 150
# After so many errors in one definition, more would not help its author.
MOST_ERRORS = 20

_ENCODED = {STRING: "the string {}", NUMBER: "the number {}", LONG: "the number {}", QUOTED: "the name {}"}


class Abandoned(Exception):
    """The definition cannot be read on; its error is already reported."""


class Cursor:
    """Tokens and a position in them."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.text = tokens.text
        self.kinds = tokens.kinds
        self.starts = tokens.starts
        self.ends = tokens.ends
        self.i = 0
        self.issues: list[Issue] = list(tokens.issues)
        self.lines = Lines(tokens.text)
        self.depth = 0
        # How many errors were reported when this definition began.
        self.reported_before = len(self.issues)
        self._failed_at = -1
        self._comments: dict[int, list[tuple[int, int]]] = {}
        for index, start, end in tokens.comments:
            self._comments.setdefault(index, []).append((start, end))

    # --- stepping -------------------------------------------------------------------------------------------

    def span(self, start: int) -> Span:
        """From a start offset to the end of the token just passed."""
        return Span(start, self.ends[self.i - 1] if self.i else start)

    def spelling(self) -> str:
        """The current token as written."""
        return self.text[self.starts[self.i] : self.ends[self.i]]

    def following(self) -> str:
        """The kind of the token after the current one."""
        return self.kinds[self.i + 1]

    def enter(self) -> None:
        """Count one level of nesting; the caller takes ``depth`` down again."""
        self.depth += 1
        if self.depth > DEEPEST:
            mend = "Define parts of it by name."
            self.report(f"This is nested more than {DEEPEST} levels deep.", (), mend)
            raise Abandoned

    def accept(self, kind: str) -> bool:
        """Pass a token of this kind, if it is the current one."""
        if self.kinds[self.i] == kind:
            self.i += 1
            return True
        return False

    def expect(self, kind: str, mend: str = "") -> None:
        """Pass a token of this kind; report it as missing otherwise and go on as if it stood there."""
        if self.kinds[self.i] == kind:
            self.i += 1
            return
        self.missing((f"'{kind}'",), mend)
        if kind in CLOSERS:
            self._skip_past(kind)

    def expect_close(self, closer: str) -> None:
        """Pass the bracket that closes a list with commas between."""
        if self.kinds[self.i] == closer:
            self.i += 1
            return
        self.missing(("','", f"'{closer}'"))
        self._skip_past(closer)

    def expect_string(self, what: str) -> str:
        """Pass a string token; its value. ``what`` names it in the error."""
        if self.kinds[self.i] == STRING:
            value = unescape(self.spelling())
            self.i += 1
            return value
        mend = ""
        if self.kinds[self.i] == QUOTED:
            mend = "Strings stand in single quotes, names in double quotes."
        self.missing((what,), mend)
        if self.kinds[self.i] == QUOTED:
            self.i += 1
        return ""

    def identifier(self, what: str, kinds: frozenset[str] = NAMES) -> Identifier:
        """Pass a name; ``kinds`` are the token kinds that may be one here, ``what`` names it in the error."""
        i = self.i
        kind = self.kinds[i]
        if kind in kinds:
            self.i = i + 1
            start, end = self.starts[i], self.ends[i]
            if kind != QUOTED:
                return Identifier(Span(start, end), self.text[start:end])
            spelling = self.text[start:end]
            return Identifier(Span(start, end), unescape(spelling), spelling[0])
        start = self.starts[i]
        if kind in KEYWORDS and not self.starts_definition(i):
            word = self.spelling()
            mend = f"'{word}' is a reserved word; write it in double quotes to use it as a name."
            self.missing((what,), mend)
            self.i += 1
            return Identifier(self.span(start), word)
        mend = "Names stand in double quotes, strings in single quotes." if kind == STRING else ""
        self.missing((what,), mend)
        if kind == STRING:
            self.i += 1
            return Identifier(self.span(start), unescape(self.text[start : self.ends[i]]), '"')
        return Identifier(Span(start, start), "")

    # --- errors ---------------------------------------------------------------------------------------------

    def missing(self, expected: tuple[str, ...], mend: str = "") -> None:
        """Report that one of ``expected`` should stand here; a second report at one place abandons."""
        choice = expected[0] if len(expected) == 1 else f"{', '.join(expected[:-1])} or {expected[-1]}"
        self.report(f"Expected {choice}, found {self.found()}.", expected, mend)

    def report(self, message: str, expected: tuple[str, ...] = (), mend: str = "") -> None:
        """Report an error at the current token; a second report at one place abandons."""
        i = self.i
        if i == self._failed_at:
            raise Abandoned
        self._failed_at = i
        if len(self.issues) - self.reported_before >= MOST_ERRORS:
            raise Abandoned
        if self._explained(i):
            return
        if self.kinds[i] == END:
            # Where the text stops, not the blank lines after it.
            start = end = self.ends[i - 1] if i else 0
        else:
            start, end = self.starts[i], self.ends[i]
        self.report_at(start, end, message, expected, mend)

    def _explained(self, i: int) -> bool:
        # A character that is no part of CQL, already reported, is why nothing useful stands here.
        before = self.ends[i - 1] if i else 0
        if self.kinds[i] == END and self.tokens.cut_short:
            return True
        return any(before <= issue.offset <= self.starts[i] for issue in self.tokens.issues)

    def report_at(
        self, start: int, end: int, message: str, expected: tuple[str, ...] = (), mend: str = ""
    ) -> None:
        """Report an error at offsets."""
        line, column = self.lines.position(start)
        self.issues.append(Issue(message, line, column, start, end, expected, mend))

    def found(self) -> str:
        """The current token, for a message."""
        kind = self.kinds[self.i]
        if kind == END:
            return "the end of the text"
        spelling = self.spelling()
        if len(spelling) > 40:
            spelling = f"{spelling[:36]}...{spelling[-1]}"
        return _ENCODED.get(kind, "'{}'").format(spelling)

    # --- finding the footing --------------------------------------------------------------------------------

    def on_new_line(self, index: int) -> bool:
        """Whether a token is the first of its line."""
        if index == 0:
            return True
        between = self.text[self.ends[index - 1] : self.starts[index]]
        return "\n" in between or "\r" in between

    def starts_definition(self, index: int) -> bool:
        """Whether a definition seems to begin at a token; the words that begin one can be names, too."""
        kinds = self.kinds
        kind = kinds[index]
        if kind not in DECLARATION_WORDS:
            return (
                kind in ("public", "private")
                and kinds[index + 1] in DECLARATION_WORDS
                and self.on_new_line(index)
            )
        following = kinds[index + 1]
        if kind == "define":
            return (
                following in NAMES
                or following in ("function", "fluent", "public", "private")
                or (self.on_new_line(index) and following in RESERVED | {STRING, ":"})
            )
        return (following in NAMES or following == STRING) and self.on_new_line(index)

    def may_start_definition(self, index: int) -> bool:
        """Whether a definition begins at a token where what stands before it is complete.

        No expression and no type goes on with a word that declares something, so that, unlike
        ``starts_definition``, nothing has to stand in a line of its own.
        """
        kind = self.kinds[index]
        if kind in ("public", "private"):
            return self.kinds[index + 1] in DECLARATION_WORDS
        return kind in DECLARATION_WORDS

    def next_definition(self) -> None:
        """Move on to where the next definition begins, at least by one token."""
        self.i = min(self.i + 1, len(self.kinds) - 1)
        while self.kinds[self.i] != END and not self.starts_definition(self.i):
            self.i += 1

    def _skip_past(self, closer: str) -> None:
        """After a missing closer: move past the one that closes here, if there is one in this definition."""
        depth = 0
        for index in range(self.i, len(self.kinds)):
            kind = self.kinds[index]
            if kind == END or self.starts_definition(index):
                return
            if kind in OPENERS:
                depth += 1
            elif kind in CLOSERS:
                if depth == 0:
                    if kind == closer:
                        self.i = index + 1
                    return
                depth -= 1

    def past_bracket(self, index: int) -> int:
        """The index after the bracket that closes the one at ``index``; END's when nothing does."""
        depth = 0
        kinds = self.kinds
        last = len(kinds) - 1
        while index < last:
            kind = kinds[index]
            if kind in OPENERS:
                depth += 1
            elif kind in CLOSERS:
                # Interval[1, 5) closes with another kind of bracket than it opened with.
                depth -= 1
                if depth == 0:
                    return index + 1
            index += 1
        return last

    # --- comments -------------------------------------------------------------------------------------------

    def comments_before(self, index: int) -> tuple[tuple[Comment, ...], tuple[Tag, ...]]:
        """The comments right before a token and their tags; not one that ends the previous token's line."""
        found = self._comments.get(index)
        if not found:
            return (), ()
        after = self.ends[index - 1] if index else 0
        own = [
            Comment(Span(start, end), self.text[start:end])
            for start, end in found
            if index == 0 or "\n" in self.text[after:start] or "\r" in self.text[after:start]
        ]
        return tuple(own), tuple(tag for comment in own for tag in tags_of(comment))
