"""How errors speak of operators and operands: in the author's words, with the place of each operand."""

from __future__ import annotations

from collections.abc import Sequence

from measurewise.engine.cql import tree
from measurewise.engine.models.types import DataType
from measurewise.engine.translator.operators import Signature

_SPELLED = {
    "Add": "+",
    "Subtract": "-",
    "Multiply": "*",
    "Divide": "/",
    "TruncatedDivide": "div",
    "Modulo": "mod",
    "Power": "^",
    "Negate": "-",
    "Concatenate": "+",
    "Equal": "=",
    "Equivalent": "~",
    "Less": "<",
    "LessOrEqual": "<=",
    "Greater": ">",
    "GreaterOrEqual": ">=",
    "And": "and",
    "Or": "or",
    "Xor": "xor",
    "Implies": "implies",
    "Not": "not",
    "Exists": "exists",
    "Distinct": "distinct",
    "Flatten": "flatten",
    "Union": "union",
    "Intersect": "intersect",
    "Except": "except",
    "In": "in",
    "ProperIn": "properly during",
    "Contains": "contains",
    "ProperContains": "properly includes",
    "Includes": "includes",
    "ProperIncludes": "properly includes",
    "IncludedIn": "during",
    "ProperIncludedIn": "properly during",
    "InValueSet": "in",
    "AnyInValueSet": "in",
    "InCodeSystem": "in",
    "AnyInCodeSystem": "in",
    "Start": "start of",
    "End": "end of",
    "Width": "width of",
    "PointFrom": "point from",
    "SingletonFrom": "singleton from",
    "Successor": "successor of",
    "Predecessor": "predecessor of",
    "Before": "before",
    "After": "after",
    "SameAs": "same as",
    "SameOrBefore": "same or before",
    "SameOrAfter": "same or after",
    "Overlaps": "overlaps",
    "OverlapsBefore": "overlaps before",
    "OverlapsAfter": "overlaps after",
    "Meets": "meets",
    "MeetsBefore": "meets before",
    "MeetsAfter": "meets after",
    "Starts": "starts",
    "Ends": "ends",
    "DateFrom": "date from",
    "TimeFrom": "time from",
    "TimezoneOffsetFrom": "timezoneoffset from",
    "Collapse": "collapse",
    "Expand": "expand",
}
_LONGEST = 40


def spelled(operator: str, at: tree.Node) -> str:
    """An operator as the author wrote it: a symbol or words in quotes, a function by its name."""
    if isinstance(at, tree.FunctionCall | tree.MethodCall):
        return at.name.name
    if isinstance(at, tree.ComponentFrom):
        return f"'{at.component} from'"
    if isinstance(at, tree.DurationBetween | tree.DurationOf):
        return f"'{at.precision}s between'"
    word = _SPELLED.get(operator)
    return operator if word is None else f"'{word}'"


def operand_nodes(at: tree.Node, count: int) -> tuple[tree.Expression, ...]:
    """The operands in the text, where there are as many as the operator has; else none."""
    found: tuple[tree.Expression, ...] = ()
    if isinstance(at, tree.Binary | tree.Membership | tree.Timing):
        found = (at.left, at.right)
    elif isinstance(at, tree.DurationBetween):
        found = (at.low, at.high)
    elif isinstance(at, tree.FunctionCall):
        found = at.arguments
    elif isinstance(at, tree.MethodCall):
        found = (at.source, *at.arguments)
    elif isinstance(at, tree.Unary | tree.ComponentFrom | tree.DurationOf):
        found = (at.operand,)
    return found if len(found) == count else ()


def shown_operand(syntax: tree.SyntaxTree, kind: str, node: tree.Expression) -> str:
    """``Integer (1 at 3:5)``."""
    text = " ".join(syntax.text_of(node).split())
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 3]}..."
    line, column = syntax.lines.position(node.span.start)
    return f"{kind} ({text} at {line}:{column}{_origin(syntax, node)})"


def _origin(syntax: tree.SyntaxTree, node: tree.Expression) -> str:
    if not isinstance(node, tree.Identifier):
        return ""
    for definition in syntax.definitions:
        name = getattr(definition, "name", None)
        if isinstance(name, tree.Identifier) and name.name == node.name:
            line, column = syntax.lines.position(definition.span.start)
            return f", defined at {line}:{column}"
    return ""


def nearest(signatures: Sequence[Signature], given: Sequence[DataType]) -> list[Signature]:
    """The overloads that share most operands with what was given."""
    scored = [(sum(a == b for a, b in zip(s.operands, given, strict=True)), s) for s in signatures]
    most = max((score for score, _ in scored), default=0)
    return [s for score, s in scored if score == most]
