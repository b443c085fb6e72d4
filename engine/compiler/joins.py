"""Loops inside loops, made short: what a join's condition says of a row alone, by equality, and by time.

Where a query walks one list for each row of another, its conditions are taken apart at their ``and``:

* a condition on the inner row alone filters the inner list once for the patient;
* ``inner = outer`` on strings or integers becomes a look-up in a table;
* a timing phrase between inner and outer becomes a look-up in a :class:`TimeIndex`.

The first two decide; the last only narrows, and the phrase is still tested on each row that comes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from measurewise.engine import elm
from measurewise.engine.compiler.chapters.timing import precision_number
from measurewise.engine.compiler.emitter import Emitter
from measurewise.engine.compiler.writer import Term
from measurewise.engine.models.types import (
    DATE,
    DATETIME,
    INTEGER,
    STRING,
    DataType,
    IntervalType,
    ListType,
)

SHARING = (
    elm.In,
    elm.IncludedIn,
    elm.ProperIn,
    elm.ProperIncludedIn,
    elm.Includes,
    elm.Contains,
    elm.ProperIncludes,
    elm.ProperContains,
    elm.Overlaps,
    elm.OverlapsBefore,
    elm.OverlapsAfter,
    elm.SameAs,
    elm.Starts,
    elm.Ends,
    elm.Meets,
    elm.MeetsBefore,
    elm.MeetsAfter,
)
"""Phrases true only of times that share a moment, or nearly."""

BEFORE = (elm.Before, elm.SameOrBefore, elm.Less, elm.LessOrEqual)
AFTER = (elm.After, elm.SameOrAfter, elm.Greater, elm.GreaterOrEqual)


def conjuncts(node: elm.Expression | None) -> list[elm.Expression]:
    """The parts of a condition that must all be true."""
    if node is None:
        return []
    if isinstance(node, elm.And):
        return [part for operand in node.operand for part in conjuncts(operand)]
    return [node]


@dataclass
class Access:
    """How the rows of an inner list are reached.

    ``listed`` is the text of what to loop over; ``rest`` the conditions still to be tested on each row.
    """

    listed: str
    element: Term
    rest: list[elm.Expression] = field(default_factory=list)


@dataclass
class _Timed:
    """Timing phrases on one time of the inner row."""

    key: elm.Expression
    windows: list[tuple[str, elm.Expression, int | None]] = field(default_factory=list)

    def weight(self) -> int:
        """How much the phrases narrow: 2 with both ends, else 1."""
        kinds = {kind for kind, _, _ in self.windows}
        return 2 if "window_at" in kinds or len(kinds) > 1 else 1


def inner_rows(
    em: Emitter,
    alias: str,
    source: elm.Expression,
    conditions: Sequence[elm.Expression],
    lets: frozenset[str],
    *,
    some: bool = False,
) -> Access | None:
    """How to walk a closed list inside a loop; None when it cannot be made shorter.

    ``lets`` are names whose conditions must stay where they are; ``some`` says that the walk ends at the
    first row that fits, whichever it is.
    """
    freedom = em.assembly.freedom
    if not em.repeated or not freedom.closed(source):
        return None
    alone: list[elm.Expression] = []
    joint: list[elm.Expression] = []
    rest: list[elm.Expression] = []
    for condition in conditions:
        free = freedom.free(condition)
        if free & lets:
            rest.append(condition)
        elif free == {alias}:
            alone.append(condition)
        elif alias in free:
            joint.append(condition)
        else:
            rest.append(condition)
    listed = source
    if alone:
        listed = em.assembly.sharing.kept(
            elm.Query(source=(elm.AliasedQuerySource(alias=alias, expression=source),), where=all_of(alone))
        )
    rows = _closed_list(em, listed)
    if rows is None or not isinstance(rows.type, ListType):
        return None
    element = Term("x", rows.type.element, atomic=True, nullable=not rows.solid)
    for condition in joint:
        found = _equality(em, alias, condition, listed, element)
        if found is not None:
            others = [c for c in joint if c is not condition]
            return Access(found, element, others + rest)
    timed = _timed(em, alias, joint, element)
    if timed is not None:
        index = em.assembly.sharing.time_index(em.unit, listed, alias, timed.key, em.where)
        windows = []
        for kind, outer, precision in timed.windows:
            value = em.expr(outer)
            windows.append(
                f"{kind}({value.text}, {precision})" if precision is not None else f"{kind}({value.text})"
            )
        if len(timed.windows) == 1 and windows[0].startswith("window_at("):
            return Access(f"{index}.{'some_' * some}around({windows[0][10:]}", element, joint + rest)
        return Access(f"{index}.{'some_' * some}within({', '.join(windows)})", element, joint + rest)
    if not alone:
        return None
    text = rows.text if not rows.nullable else f"({rows.text} or ())"
    return Access(text, element, joint + rest)


def all_of(conditions: Sequence[elm.Expression]) -> elm.Expression:
    """The condition that all of some conditions are."""
    whole = conditions[0]
    for condition in conditions[1:]:
        whole = elm.And(operand=(whole, condition))
    return whole


def _closed_list(em: Emitter, node: elm.Expression) -> Term | None:
    if isinstance(node, elm.Query | elm.FunctionRef):
        return em.assembly.sharing.lifted(em.unit, node, em.where)
    return em.expr(node)


def _sides(
    em: Emitter, alias: str, node: elm.BinaryExpression
) -> tuple[elm.Expression, elm.Expression, bool] | None:
    """The operand on the inner row alone, the one without it, and whether the inner one stands first."""
    if len(node.operand) != 2:
        return None
    first, second = node.operand
    free = em.assembly.freedom.free
    if free(first) == {alias} and alias not in free(second):
        return first, second, True
    if free(second) == {alias} and alias not in free(first):
        return second, first, False
    return None


def _type_on_row(em: Emitter, alias: str, node: elm.Expression, element: Term) -> DataType:
    names = em.names.with_aliases()
    names.aliases[alias] = element
    with em.scope(names), em.w.captured():
        return em.expr(node).type


def _equality(
    em: Emitter, alias: str, condition: elm.Expression, listed: elm.Expression, element: Term
) -> str | None:
    if not isinstance(condition, elm.Equal):
        return None
    sides = _sides(em, alias, condition)
    if sides is None:
        return None
    key, outer, _ = sides
    with em.w.captured():
        wanted = em.expr(outer).type
    if wanted not in (STRING, INTEGER) or _type_on_row(em, alias, key, element) != wanted:
        return None
    table = em.assembly.sharing.equality_table(em.unit, listed, alias, key, em.where)
    return f"{table}.get({em.expr(outer).text}, ())"


def _timed(em: Emitter, alias: str, joint: Sequence[elm.Expression], element: Term) -> _Timed | None:
    found: dict[object, _Timed] = {}
    for condition in joint:
        if not isinstance(condition, (*SHARING, *BEFORE, *AFTER)):
            continue
        sides = _sides(em, alias, condition)
        if sides is None:
            continue
        key, outer, first = sides
        if not _is_time(_type_on_row(em, alias, key, element)):
            continue
        with em.w.captured():
            if not _is_time(em.expr(outer).type):
                continue
        if isinstance(condition, SHARING):
            kind = "window_at"
        elif isinstance(condition, BEFORE) == first:
            kind = "window_before"
        else:
            kind = "window_after"
        precision = precision_number(getattr(condition, "precision", None))
        same = em.assembly.key(key)
        found.setdefault(same, _Timed(key)).windows.append((kind, outer, precision))
    return max(found.values(), key=_Timed.weight, default=None)


def _is_time(kind: DataType) -> bool:
    return kind in (DATE, DATETIME) or (isinstance(kind, IntervalType) and kind.point in (DATE, DATETIME))
