"""Timing phrases (cql.g4 ``intervalOperatorPhrase``; CQL 1.5.3 Author's Guide, "Timing and Interval
Operators")."""

from __future__ import annotations

from measurewise.engine.cql.terms import TermParser
from measurewise.engine.cql.tree import (
    BeforeOrAfterPhrase,
    EndsPhrase,
    IncludedInPhrase,
    IncludesPhrase,
    MeetsPhrase,
    OverlapsPhrase,
    QuantityOffset,
    SamePhrase,
    Span,
    StartsPhrase,
    TimingPhrase,
    WithinPhrase,
)
from measurewise.engine.cql.words import PRECISIONS, UNIT_WORDS

_POSITIONS = frozenset({"starts", "ends", "occurs"})
_OFFSETS = frozenset({"NUMBER", "less than", "more than"})
_RELATIONS = frozenset({"before", "after", "on or"})


class TimingParser(TermParser):
    """Reads the phrase between the operands of a timing expression."""

    # Token kinds with which an expression can begin.
    beginners: frozenset[str] = frozenset()

    def offset_ahead(self) -> bool:
        """Whether a number here begins the offset of a timing phrase, as in ``3 days or more before``."""
        i = self.i + 1
        if self.kinds[i] in UNIT_WORDS or self.kinds[i] == "STRING":
            i += 1
        return self.kinds[i] in _RELATIONS or (
            self.kinds[i] == "or" and self.text[self.starts[i + 1] : self.ends[i + 1]] in ("more", "less")
        )

    def timing_phrase(self) -> TimingPhrase:
        """The phrase at the current token, which is one that can begin it."""
        start = self.starts[self.i]
        kind = self.kinds[self.i]
        if kind in ("meets", "overlaps"):
            return self._touching(start, kind)
        position = None
        if kind in _POSITIONS:
            position = kind
            self.i += 1
            kind = self.kinds[self.i]
        if kind == "same":
            return self._same(start, position)
        if kind in _OFFSETS or kind in _RELATIONS:
            return self._before_or_after(start, position)
        if position in ("starts", "ends") and kind not in ("properly", "during", "included in", "within"):
            precision = self.precision_of()
            span = self.span(start)
            return StartsPhrase(span, precision) if position == "starts" else EndsPhrase(span, precision)
        return self._within_or_including(start, position)

    def precision_of(self) -> str | None:
        """``day of``, if it is there."""
        kind = self.kinds[self.i]
        if kind in PRECISIONS and self.kinds[self.i + 1] == "of":
            self.i += 2
            return kind
        return None

    def _boundary(self) -> str | None:
        kind = self.kinds[self.i]
        # "before start of X" is an operand; "before start X" compares with the start of X.
        if kind in ("start", "end") and self.kinds[self.i + 1] in self.beginners:
            self.i += 1
            return kind
        return None

    def _touching(self, start: int, kind: str) -> TimingPhrase:
        self.i += 1
        side = self.kinds[self.i] if self.kinds[self.i] in ("before", "after") else None
        if side is not None:
            self.i += 1
        precision = self.precision_of()
        span = self.span(start)
        return (
            MeetsPhrase(span, side, precision) if kind == "meets" else OverlapsPhrase(span, side, precision)
        )

    def _same(self, start: int, position: str | None) -> TimingPhrase:
        self.i += 1
        precision = None
        if self.kinds[self.i] in PRECISIONS:
            precision = self.kinds[self.i]
            self.i += 1
        relation = "as"
        if self.kinds[self.i] == "or" and self.kinds[self.i + 1] in ("before", "after"):
            relation = f"or {self.kinds[self.i + 1]}"
            self.i += 2
        elif self.kinds[self.i] == "as":
            self.i += 1
        else:
            words = ("'as'", "'or before'", "'or after'")
            self.missing(words if precision else ("a precision such as 'day'", *words))
        boundary = self._boundary()
        return SamePhrase(self.span(start), position, precision, relation, boundary)

    def _within_or_including(self, start: int, position: str | None) -> TimingPhrase:
        properly = self.accept("properly")
        kind = self.kinds[self.i]
        if kind == "includes" and position is None:
            self.i += 1
            precision = self.precision_of()
            boundary = self._boundary()
            return IncludesPhrase(self.span(start), properly, precision, boundary)
        if kind in ("during", "included in"):
            self.i += 1
            precision = self.precision_of()
            return IncludedInPhrase(self.span(start), position, properly, precision, kind)
        if kind == "within":
            self.i += 1
            quantity = self.quantity()
            self.expect("of")
            boundary = self._boundary()
            return WithinPhrase(self.span(start), position, properly, quantity, boundary)
        expected = ["'during'", "'included in'", "'within'"]
        if position is None:
            expected = ["'between'", "'includes'", *expected]
        elif not properly:
            expected = ["'same'", "'before'", "'after'", *expected]
        self.missing(tuple(expected))
        return IncludedInPhrase(self.span(start), position, properly, None)

    def _before_or_after(self, start: int, position: str | None) -> TimingPhrase:
        offset = self._offset() if self.kinds[self.i] in _OFFSETS else None
        inclusive = self.accept("on or")
        relation = self.kinds[self.i]
        if relation in ("before", "after"):
            self.i += 1
        else:
            self.missing(("'before'", "'after'"))
            relation = "before"
        if not inclusive and self.kinds[self.i] == "or" and self._word(self.i + 1) == "on":
            inclusive = True
            self.i += 2
        precision = self.precision_of()
        boundary = self._boundary()
        return BeforeOrAfterPhrase(
            self.span(start), position, offset, relation, inclusive, precision, boundary
        )

    def _offset(self) -> QuantityOffset:
        start = self.starts[self.i]
        kind = self.kinds[self.i]
        if kind in ("less than", "more than"):
            self.i += 1
            quantity = self.quantity()
            return QuantityOffset(self.span(start), quantity, kind)
        quantity = self.quantity()
        qualifier = None
        if self.kinds[self.i] == "or":
            word = self._word(self.i + 1)
            if word in ("more", "less"):
                qualifier = f"or {word}"
                self.i += 2
        return QuantityOffset(Span(start, self.ends[self.i - 1]), quantity, qualifier)

    def _word(self, index: int) -> str:
        return self.text[self.starts[index] : self.ends[index]]
