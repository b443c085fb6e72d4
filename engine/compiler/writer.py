"""Writing one Python function: lines, indentation, temporaries, and values that are already at hand.

A compiled expression is a :class:`Term`, Python text that may be evaluated once wherever it is put. A term
that is needed twice becomes a local variable through :meth:`Writer.atom`, which also numbers values: two
terms with one text are one variable as long as the first is in scope. Text names only local variables that
are assigned once a pass, so equal text means equal value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from measurewise.engine.models.types import ANY, DataType


@dataclass(frozen=True, slots=True)
class Term:
    """A compiled expression.

    ``text`` is a Python expression; ``atomic`` says it is a name or constant and free to repeat;
    ``nullable`` says whether it can be None; ``two_valued`` that a Boolean is True or False, never None;
    ``solid`` that no element of a list is None.
    ``origin`` remembers the FHIR JSON a value was converted from, so that an operator which can work on the
    JSON itself need not make the converted value. ``folded`` holds a value known at compile time.
    """

    text: str
    type: DataType = ANY
    atomic: bool = False
    nullable: bool = True
    two_valued: bool = False
    solid: bool = False
    origin: Any = None
    folded: Any = ...

    def __str__(self) -> str:
        return self.text

    def typed(self, type: DataType) -> Term:
        """The same text under another static type."""
        return replace(self, type=type)


_VARIABLE = re.compile(r"\b[a-z]\d+\b")
_ASSIGNED = re.compile(r"([qt]\d+) = ")

NULL = Term("None", ANY, atomic=True, folded=None)


def identifier(name: str) -> str:
    """A CQL name as part of a Python name."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:60]


@dataclass
class _Scope:
    known: dict[Any, Term] = field(default_factory=dict)


class Writer:
    """Collects the body of one function."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, str]] = []
        self._depth = 1
        self._names = 0
        self._scopes: list[_Scope] = [_Scope()]

    # ------------------------------------------------------------------ text

    def emit(self, line: str) -> None:
        """Add a line at the present depth."""
        self._lines.append((self._depth, line))

    def fresh(self, stem: str = "t") -> str:
        """A new local name."""
        self._names += 1
        return f"{stem}{self._names}"

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """An indented block under ``header`` (without its colon); what it learns is forgotten at its end."""
        self.emit(header + ":")
        self._depth += 1
        self._scopes.append(_Scope())
        mark = len(self._lines)
        yield
        if len(self._lines) == mark:
            self.emit("pass")
        self._scopes.pop()
        self._depth -= 1

    @contextmanager
    def captured(self) -> Iterator[list[tuple[int, str]]]:
        """Lines emitted inside go to the list this yields instead of the function (see :meth:`replay`)."""
        outer, self._lines = self._lines, []
        inner = self._lines
        self._scopes.append(_Scope())
        yield inner
        self._scopes.pop()
        self._lines = outer

    def replay(self, lines: list[tuple[int, str]]) -> None:
        """Emit captured lines, which were captured one level further out than they are put now."""
        for depth, text in lines:
            self._lines.append((depth + 1, text))

    def drop_pass(self) -> None:
        """Take back the ``pass`` of a block just written empty, for lines that follow inside it."""
        self._lines.pop()

    def emit_inside(self, line: str) -> None:
        """Add a line one level deeper than the present depth."""
        self._lines.append((self._depth + 1, line))

    def text(self, indent: str = "    ") -> str:
        """The body, ready to stand under a ``def`` line."""
        self._drop_unused()
        return "\n".join(indent * depth + line for depth, line in self._lines)

    def _drop_unused(self) -> None:
        """Take back variables that nothing came to use: lists, mostly, that are walked by way of an index."""
        while True:
            used = Counter(name for _, line in self._lines for name in _VARIABLE.findall(line))
            unused = [
                at
                for at, (_, line) in enumerate(self._lines)
                if (made := _ASSIGNED.match(line)) is not None and used[made[1]] == 1
            ]
            if not unused:
                return
            for at in reversed(unused):
                depth = self._lines[at][0]
                after = self._lines[at + 1][0] if at + 1 < len(self._lines) else 0
                alone = at > 0 and self._lines[at - 1][0] < depth and after < depth
                if alone:
                    self._lines[at] = (depth, "pass")
                else:
                    del self._lines[at]

    # ---------------------------------------------------------------- values

    def atom(self, term: Term, stem: str = "t") -> Term:
        """The term as a name or constant: a variable already holding this text, or a new one."""
        if term.atomic:
            return term
        known = self.known(term.text)
        if known is not None:
            return replace(known, type=term.type, origin=term.origin or known.origin)
        name = self.fresh(stem)
        self.emit(f"{name} = {term.text}")
        atom = replace(term, text=name, atomic=True)
        self.remember(term.text, atom)
        return atom

    def known(self, key: Any) -> Term | None:
        """What an enclosing scope holds under ``key``."""
        for scope in reversed(self._scopes):
            found = scope.known.get(key)
            if found is not None:
                return found
        return None

    def remember(self, key: Any, term: Term) -> None:
        """Let later code in this scope use ``term`` for ``key``."""
        self._scopes[-1].known[key] = term

    def variable(self, stem: str, value: str) -> str:
        """A new variable that later lines may assign again (never value-numbered)."""
        name = self.fresh(stem)
        self.emit(f"{name} = {value}")
        return name

    def assume(self, test: str) -> None:
        """Let the present scope know that the test in this text has been made and was true."""
        self.remember(("fact", test), Term(test))

    def holds(self, test: str) -> bool:
        """Whether an enclosing block was entered because this test was true."""
        return self.known(("fact", test)) is not None
