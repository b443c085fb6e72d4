"""Loops inside loops, made short: what a join's condition says of a row alone, by equality, and by time.

Where a query walks one list for each row of another, its conditions are taken apart at their ``and``:

* a condition on the inner row alone filters the inner list once for the patient;
* ``inner = outer`` on strings or integers becomes a look-up in a table;
* a timing phrase between inner and outer becomes a look-up in a :class:`TimeIndex`, and several of which one
  must be true become several look-ups.

The first two decide; the last only narrows, and the condition is still tested on each row that comes through.
Small functions are looked into for what they say of a row (``inlining.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
)
"""Phrases true only of times that share a moment."""

NEAR = (elm.Meets, elm.MeetsBefore, elm.MeetsAfter)
"""Phrases true only of times that lie next to each other."""

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


@dataclass(frozen=True)
class _Window:
    """What one phrase says: the kind of window, the time of the outer row, the precision.

    ``branch`` tells that the phrase stands in a branch, whose time may raise where the branch is not taken.
    """

    kind: str
    outer: elm.Expression
    precision: int | None
    branch: bool = False


@dataclass
class _Timed:
    """Timing phrases on one time of the inner row, all of which must be true."""

    key: elm.Expression
    windows: list[_Window] = field(default_factory=list)

    def weight(self) -> int:
        """How much the phrases narrow: 2 with both ends, else 1."""
        kinds = {window.kind for window in self.windows}
        return 2 if kinds & {"window_at", "window_near"} or len(kinds) > 1 else 1


_Ways = list[_Timed]
"""Of these, one must be true."""


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
        said = _said(em, alias, condition, element)
        for part in said:
            found = _equality(em, alias, part, listed, element)
            if found is not None:
                others = [p for p in said if p is not part] + [c for c in joint if c is not condition]
                return Access(found, element, others + rest)
    ways = _timed(em, alias, joint, element)
    if ways is not None:
        return Access(_look_up(em, alias, listed, ways, some), element, joint + rest)
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


def _said(em: Emitter, alias: str, condition: elm.Expression, element: Term) -> list[elm.Expression]:
    """The parts of a condition, which may be what a small function says."""
    if isinstance(condition, elm.FunctionRef):
        written = em.assembly.inlining.of(em, condition, (alias, element))
        if written is not None:
            return [p for part in conjuncts(written) for p in _said(em, alias, part, element)]
    return [condition]


def _look_up(em: Emitter, alias: str, listed: elm.Expression, ways: _Ways, some: bool) -> str:
    """Text of the rows that are found by time."""
    texts = []
    for way in ways:
        index = em.assembly.sharing.time_index(em.unit, listed, alias, way.key, em.where)
        windows = []
        for window in way.windows:
            value = _time_in_branch(em, window.outer) if window.branch else em.atom(window.outer).text
            after = "" if window.precision is None else f", {window.precision}"
            windows.append(f"{window.kind}({value}{after})")
        texts.append((index, list(dict.fromkeys(windows))))
    if not texts:
        return "()"
    if len(texts) > 1:
        listing = ", ".join(f"({index}, ({', '.join(windows)},))" for index, windows in texts)
        return f"rows_of_either({listing})"
    index, windows = texts[0]
    if len(windows) == 1 and windows[0].startswith("window_at("):
        return f"{index}.{'some_' * some}around({windows[0][10:]}"
    return f"{index}.{'some_' * some}within({', '.join(windows)})"


def _time_in_branch(em: Emitter, outer: elm.Expression) -> str:
    """The name of a time that is worked out before it is known to be needed; an error makes it any time."""
    name = em.w.fresh("t")
    with em.w.block("try"):
        em.w.emit(f"{name} = {em.expr(outer).text}")
    with em.w.block("except EvaluationError"):
        em.w.emit(f"{name} = ...")
    return name


def _timed(em: Emitter, alias: str, joint: Sequence[elm.Expression], element: Term) -> _Ways | None:
    """The best that conditions which must all be true say of the times of the inner row."""
    found: dict[object, _Timed] = {}
    others: list[_Ways] = []
    for condition in joint:
        ways = _ways(em, alias, condition, element)
        if ways is None:
            continue
        if len(ways) == 1:
            same = em.assembly.key(ways[0].key)
            found.setdefault(same, _Timed(ways[0].key)).windows.extend(ways[0].windows)
        else:
            others.append(ways)
    best = max(found.values(), key=_Timed.weight, default=None)
    if best is not None and (best.weight() == 2 or not others):
        return [best]
    return min(others, key=len, default=None)


def _ways(em: Emitter, alias: str, condition: elm.Expression, element: Term) -> _Ways | None:
    """What a condition says of the times of the inner row where it is true; None where it says nothing.

    No ways at all mean a condition that is never true.
    """
    if isinstance(condition, (*SHARING, *NEAR, *BEFORE, *AFTER)):
        phrase = _phrase(em, alias, condition, element)
        return None if phrase is None else [phrase]
    if isinstance(condition, elm.And):
        return _timed(em, alias, conjuncts(condition), element)
    if isinstance(condition, elm.Or):
        return _either([_ways(em, alias, part, element) for part in condition.operand], em)
    if isinstance(condition, elm.If):
        first = _timed(em, alias, [condition.condition, condition.then], element)
        return _either([_branch(first), _branch(_ways(em, alias, condition.else_, element))], em)
    if isinstance(condition, elm.Case) and condition.comparand is None:
        branches = [_timed(em, alias, [item.when, item.then], element) for item in condition.case_item]
        branches.append(_ways(em, alias, condition.else_, element))
        return _either([_branch(branch) for branch in branches], em)
    if isinstance(condition, elm.IsTrue):
        return _ways(em, alias, condition.operand, element)
    if isinstance(condition, elm.FunctionRef):
        written = em.assembly.inlining.of(em, condition, (alias, element))
        return None if written is None else _ways(em, alias, written, element)
    if isinstance(condition, elm.Null) or (isinstance(condition, elm.Literal) and condition.value == "false"):
        return []
    return None


def _branch(ways: _Ways | None) -> _Ways | None:
    if ways is None:
        return None
    return [_Timed(way.key, [replace(window, branch=True) for window in way.windows]) for way in ways]


MOST_WAYS = 6
"""With more, looking each of them up is no gain."""


def _either(parts: Sequence[_Ways | None], em: Emitter) -> _Ways | None:
    together: dict[object, _Timed] = {}
    for part in parts:
        if part is None:
            return None
        for way in part:
            key = em.assembly.key
            told = (key(way.key), tuple((w.kind, key(w.outer), w.precision, w.branch) for w in way.windows))
            together[told] = way
    ways = list(together.values())
    if len(ways) > MOST_WAYS or (len(ways) > 1 and any(way.weight() < 2 for way in ways)):
        return None
    return ways


def _phrase(em: Emitter, alias: str, condition: elm.BinaryExpression, element: Term) -> _Timed | None:
    sides = _sides(em, alias, condition)
    if sides is None:
        return None
    key, outer, first = sides
    if not _is_time(_type_on_row(em, alias, key, element)):
        return None
    with em.w.captured():
        if not _is_time(em.expr(outer).type):
            return None
    if isinstance(condition, SHARING):
        kind = "window_at"
    elif isinstance(condition, NEAR):
        kind = "window_near"
    elif isinstance(condition, BEFORE) == first:
        kind = "window_before"
    else:
        kind = "window_after"
    return _Timed(key, [_Window(kind, outer, precision_number(getattr(condition, "precision", None)))])


def _is_time(kind: DataType) -> bool:
    return kind in (DATE, DATETIME) or (isinstance(kind, IntervalType) and kind.point in (DATE, DATETIME))
