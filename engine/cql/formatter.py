"""CQL text, formatted: the same tokens and comments, laid out anew (CQL 1.5.3, Appendix G).

Only white space changes, so a formatted library means what it meant; formatting it again changes nothing.
"""

from __future__ import annotations

from measurewise.engine.cql.errors import CqlError, Issue
from measurewise.engine.cql.layout import STEP, Layout
from measurewise.engine.cql.lexer import Tokens, tokenize
from measurewise.engine.cql.parser import parse_library
from measurewise.engine.cql.tree import (
    ContextDefinition,
    ExpressionDefinition,
    FunctionDefinition,
    SyntaxTree,
)


def format_library(text: str, source: str = "") -> str:
    """The text laid out anew, lines ending in ``\\n``. Raises CqlSyntaxError when it does not parse."""
    tree = parse_library(text, source)
    tokens = tokenize(text)
    try:
        return _Writer(tree, tokens).write()
    except RecursionError:
        issue = Issue("The text is nested too deeply to be formatted.", 1, 1, 0, 0)
        raise CqlError([issue], source) from None


class _Writer:
    def __init__(self, tree: SyntaxTree, tokens: Tokens) -> None:
        self.text = tokens.text
        self.tokens = tokens
        self.layout = Layout(tree, tokens)
        self.out: list[str] = []
        self.indent = 0
        # Whether nothing but indentation stands on the line being written.
        self.fresh = True
        self.boundaries = self._boundaries(tree)
        self.comments: dict[int, list[tuple[int, int]]] = {}
        for index, start, end in tokens.comments:
            self.comments.setdefault(index, []).append((start, end))

    def _boundaries(self, tree: SyntaxTree) -> dict[int, bool]:
        """First tokens of definitions, and whether an empty line always stands before them."""
        boundaries: dict[int, bool] = {}
        previous: type[object] | None = None
        library = [tree.library] if tree.library is not None else []
        for node in [*library, *tree.definitions]:
            kind = type(node)
            statement = kind in (ExpressionDefinition, FunctionDefinition, ContextDefinition)
            boundaries[self.layout.first(node)] = previous is not None and (statement or kind is not previous)
            previous = kind
        return boundaries

    def write(self) -> str:
        last = self.layout.last
        for index in range(last + 1):
            spaced = self.boundaries.get(index)
            if spaced is not None or index == last:
                self._between_definitions(index, bool(spaced))
                if index < last:
                    self._token(index)
                continue
            broken = self._inner_comments(index)
            indent = self.layout.breaks.get(index)
            if indent is not None:
                self._line(indent)
            elif broken:
                self._line(self.indent)
            elif not self.layout.tight[index]:
                self.out.append(" ")
            self._token(index)
        return "".join(self.out).rstrip("\n") + "\n" if self.out else ""

    def _token(self, index: int) -> None:
        self.out.append(self.layout.spelling(index))
        self.fresh = False

    def _line(self, indent: int) -> None:
        self.indent = indent
        if not self.fresh:
            self.out.append("\n")
            self.fresh = True
        elif self.out and self.out[-1].strip(" ") == "" and self.out[-1] != "":
            self.out.pop()
        if indent:
            self.out.append(" " * indent)

    def _between_definitions(self, index: int, spaced: bool) -> None:
        """End the line of a definition; write the comments and empty lines up to the next one."""
        after = self.tokens.ends[index - 1] if index else 0
        first = index == 0
        for start, end in self.comments.get(index, ()):
            if not first and not self.fresh and "\n" not in self._gap(after, start):
                self.out.append(" " + self._comment(start, end))
                after = end
                continue
            self._finish(after, start, spaced, first)
            spaced = first = False
            self.out.append(self._comment(start, end))
            self.fresh = False
            after = end
        self._finish(after, self.tokens.starts[index], spaced, first)
        self.indent = 0

    def _finish(self, after: int, start: int, spaced: bool, first: bool) -> None:
        if first or not self.out:
            return
        if not self.fresh:
            self.out.append("\n")
            self.fresh = True
        if spaced or self._gap(after, start).count("\n") > 1:
            self.out.append("\n")

    def _inner_comments(self, index: int) -> bool:
        """Write the comments before a token inside a definition; whether the token must begin a line."""
        found = self.comments.get(index)
        if not found:
            return False
        after = self.tokens.ends[index - 1]
        indent = self.layout.breaks.get(index, self.indent + STEP)
        broken = False
        for start, end in found:
            if broken or "\n" in self._gap(after, start):
                self._line(indent)
                self.out.append(self._comment(start, end))
                self.fresh = False
                broken = True
            else:
                self.out.append(" " + self._comment(start, end))
                broken = self.text.startswith("//", start)
            after = end
        if broken and index not in self.layout.breaks:
            self.indent = indent
        return broken

    def _gap(self, after: int, start: int) -> str:
        return self.text[after:start].replace("\r\n", "\n").replace("\r", "\n")

    def _comment(self, start: int, end: int) -> str:
        text = self.text[start:end].replace("\r\n", "\n").replace("\r", "\n")
        return "\n".join(line.rstrip() for line in text.split("\n"))
