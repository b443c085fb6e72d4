"""Unary and binary operators, conditionals, and membership.

CQL 1.5.3 CQL Reference, "Logical", "Arithmetic", "Comparison", "Nullological", "List" and "Interval"
operators; which ELM each becomes is told in the Developer's Guide, "Operator Mapping".
"""

from __future__ import annotations

from decimal import Decimal
from itertools import takewhile

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.types import (
    ANY,
    BOOLEAN,
    CODE,
    CODESYSTEM,
    CONCEPT,
    DECIMAL,
    INTEGER,
    QUANTITY,
    STRING,
    VALUESET,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
)
from measurewise.engine.translator.context import Context, Typed
from measurewise.engine.translator.data_types import alternatives, choice
from measurewise.engine.translator.options import SignatureLevel

_BINARY = {
    "^": "Power",
    "*": "Multiply",
    "/": "Divide",
    "div": "TruncatedDivide",
    "mod": "Modulo",
    "-": "Subtract",
    "intersect": "Intersect",
    "except": "Except",
    "<=": "LessOrEqual",
    "<": "Less",
    ">": "Greater",
    ">=": "GreaterOrEqual",
    "=": "Equal",
    "~": "Equivalent",
    "and": "And",
    "or": "Or",
    "xor": "Xor",
    "implies": "Implies",
}
_LONGEST_CHAIN = 150
"""How long a chain of operators may be before it is too deep a tree for those that walk it."""
_MOST_UNIONS = 600
"""As ``_LONGEST_CHAIN``, for unions, which are grouped by pairs."""
_UNARY = {
    "not": "Not",
    "exists": "Exists",
    "distinct": "Distinct",
    "flatten": "Flatten",
    "start of": "Start",
    "end of": "End",
    "width of": "Width",
    "successor of": "Successor",
    "predecessor of": "Predecessor",
    "singleton from": "SingletonFrom",
    "point from": "PointFrom",
}


def unary(c: Context, node: tree.Unary) -> Typed:
    """An operator before its operand."""
    if node.operator == "+":
        return c.expression(node.operand)
    if node.operator == "-" and isinstance(node.operand, tree.Ratio):
        # The sign belongs to the numerator, as in "-0.1 'mg':0.1 'mg'" (CQL Reference, "ToString").
        value = c.expression(node.operand)
        if isinstance(value.node, elm.Ratio) and (top := value.node.numerator).value is not None:
            negated = elm.Quantity(value=-top.value, unit=top.unit)
            return Typed(elm.Ratio(numerator=negated, denominator=value.node.denominator), value.type)
    if node.operator == "-":
        before, c.negated = c.negated, isinstance(node.operand, tree.Literal)
        try:
            operand = c.expression(node.operand)
        finally:
            c.negated = before
        return c.call("Negate", (operand,), node)
    return c.call(_UNARY[node.operator], (c.expression(node.operand),), node)


def binary(c: Context, node: tree.Binary) -> Typed:
    """An operator between operands."""
    # Long chains (a or b or c ...) are deep trees on the left: go down them without recursing.
    chain: list[tree.Binary] = [node]
    while isinstance(chain[-1].left, tree.Binary):
        chain.append(chain[-1].left)
    unions = all(item.operator in ("union", "|") for item in chain)
    if len(chain) > (_MOST_UNIONS if unions else _LONGEST_CHAIN):
        return _long_chain(c, node, chain)
    value = c.expression(chain[-1].left)
    for item in reversed(chain):
        value = _binary(c, item, value, c.expression(item.right))
        if item is not node:
            c.mark(value.node, item, value.type)
    return value


def _long_chain(c: Context, node: tree.Binary, chain: list[tree.Binary]) -> Typed:
    """A chain too long for a tree that is as deep: of 'and' or 'or', which may be grouped at will."""
    same = list(takewhile(lambda item: item.operator == node.operator, chain))
    if len(same) <= _LONGEST_CHAIN or node.operator not in ("and", "or"):
        raise c.fail(node, f"This is a chain of {len(chain)} operators.", "Define parts of it by name.")
    values = [c.expression(same[-1].left), *(c.expression(item.right) for item in reversed(same))]
    while len(values) > 1:
        pairs = [values[i : i + 2] for i in range(0, len(values), 2)]
        values = [pair[0] if len(pair) == 1 else _binary(c, node, *pair) for pair in pairs]
    return values[0]


def _binary(c: Context, node: tree.Binary, left: Typed, right: Typed) -> Typed:
    operator = node.operator
    if operator == "+":
        text = STRING in alternatives(left.type) or STRING in alternatives(right.type)
        numbers = {INTEGER, DECIMAL, QUANTITY}
        mixed = numbers & {*alternatives(left.type), *alternatives(right.type)}
        return c.call("Concatenate" if text and not mixed else "Add", (left, right), node)
    if operator == "&":
        return _joined(c, node, left, right)
    if operator in ("union", "|"):
        return union(c, node, left, right)
    if operator in ("!=", "!~"):
        equal = c.call("Equal" if operator == "!=" else "Equivalent", (left, right), node)
        return Typed(elm.Not(operand=equal.node), BOOLEAN)
    if operator in ("intersect", "except"):
        return _set_operation(c, node, left, right)
    if operator in ("=", "~"):
        _warn_always_null(c, node, left, right)
    return c.call(_BINARY[operator], (left, right), node)


def _warn_always_null(c: Context, node: tree.Binary, left: Typed, right: Typed) -> None:
    if node.operator == "=" and (isinstance(left.node, elm.Null) or isinstance(right.node, elm.Null)):
        c.diagnostics.warn(
            node, "A comparison with null is always null.", "Write 'is null' or 'is not null'."
        )


def _joined(c: Context, node: tree.Binary, left: Typed, right: Typed) -> Typed:
    parts = []
    for value, at in ((left, node.left), (right, node.right)):
        text = c.convert(value, STRING, at, "An operand of '&'")
        empty = elm.Literal(value_type=c.types.qualified_name(STRING), value="")
        parts.append(elm.Coalesce(operand=(text, empty)))
    return Typed(elm.Concatenate(operand=tuple(parts)), STRING)


def union(c: Context, node: tree.Node, left: Typed, right: Typed) -> Typed:
    """``union``: lists of different types become a list of their choice.

    In a chain every two operands are united first, so that the tree is half as deep.
    """
    before = c.unions.get(left.node)
    if before is not None and isinstance(left.node, elm.Union) and not isinstance(right.node, elm.Union):
        first, second = before
        if isinstance(left.node.operand[0], elm.Union) and not isinstance(second.node, elm.Union):
            pair = _union(c, node, second, right)
            c.mark(pair.node, node, pair.type)
            return _remembered(c, first, pair, _union(c, node, first, pair))
    return _remembered(c, left, right, _union(c, node, left, right))


def _remembered(c: Context, left: Typed, right: Typed, whole: Typed) -> Typed:
    c.unions[whole.node] = (left, right)
    return whole


def _union(c: Context, node: tree.Node, left: Typed, right: Typed) -> Typed:
    a, b = left.type, right.type
    if (
        isinstance(a, ListType)
        and isinstance(b, ListType)
        and ANY not in (a.element, b.element)
        and not c.types.is_class_subtype(a, b)
        and not c.types.is_class_subtype(b, a)
    ):
        kind = ListType(choice((a.element, b.element)))
        operands = tuple(_as_list(c, value, kind) for value in (left, right))
        return Typed(elm.Union(operand=operands), kind)
    return c.call("Union", (left, right), node)


def _as_list(c: Context, value: Typed, kind: ListType) -> elm.Expression:
    return elm.As(operand=value.node, as_type_specifier=c.types.specifier(kind))


def _set_operation(c: Context, node: tree.Binary, left: Typed, right: Typed) -> Typed:
    operator = _BINARY[node.operator]
    if (
        isinstance(left.type, ListType)
        and isinstance(right.type, ListType)
        and c.conversions.find(left.type, right.type) is None
        and c.conversions.find(right.type, left.type) is None
    ):
        kind = ListType(choice((left.type.element, right.type.element)))
        specifier = c.types.specifier(kind)
        operands = tuple(elm.As(operand=v.node, as_type_specifier=specifier) for v in (left, right))
        result = left.type if operator == "Except" else kind
        return Typed(getattr(elm, operator)(operand=operands), result)
    return c.call(operator, (left, right), node)


def truth_test(c: Context, node: tree.TruthTest) -> Typed:
    """``is [not] null|true|false``."""
    operand = c.expression(node.operand)
    operator = {"null": "IsNull", "true": "IsTrue", "false": "IsFalse"}[node.value]
    value = c.call(operator, (operand,), node)
    return Typed(elm.Not(operand=value.node), BOOLEAN) if node.negated else value


def between(c: Context, node: tree.Between) -> Typed:
    """``between low and high``: of a point two comparisons, of an interval inclusion."""
    operand, low, high = (c.expression(e) for e in (node.operand, node.low, node.high))
    if isinstance(operand.type, IntervalType):
        point = c.common_type(low.type, high.type)
        bounds = elm.Interval(low=c.as_common(low, point, node.low), high=c.as_common(high, point, node.high))
        operator = "ProperIncludedIn" if node.properly else "IncludedIn"
        return c.call(operator, (operand, Typed(bounds, IntervalType(point))), node)
    above = c.call("Greater" if node.properly else "GreaterOrEqual", (operand, low), node)
    below = c.call("Less" if node.properly else "LessOrEqual", (operand, high), node)
    return c.call("And", (above, below), node)


def membership(c: Context, node: tree.Membership) -> Typed:
    """``in`` and ``contains``, of intervals, lists, value sets and code systems."""
    left = c.expression(node.left)
    coded = left.type in (CODE, CONCEPT, ListType(CODE), ListType(CONCEPT))
    right = c.terminology(node.right, "value set") if coded else c.expression(node.right)
    if node.operator == "in":
        return is_in(c, node, left, right, node.precision)
    if left.type == VALUESET or left.type == CODESYSTEM:
        return is_in(c, node, right, left, node.precision)
    return c.call("Contains", (left, right), node, **precision(node.precision))


def precision(word: str | None) -> dict[str, str]:
    """The precision attribute of an ELM node, where the author named one."""
    return {} if word is None else {"precision": word.capitalize()}


def is_in(c: Context, node: tree.Node, left: Typed, right: Typed, word: str | None = None) -> Typed:
    """``left in right``."""
    if right.type in (VALUESET, CODESYSTEM):
        return in_terminology(c, node, left, right)
    return c.call("In", (left, right), node, **precision(word))


def in_terminology(c: Context, node: tree.Node, left: Typed, right: Typed) -> Typed:
    """Membership of a code, or of one of several codes, in a value set or code system."""
    many = isinstance(left.type, ListType) or (
        isinstance(left.type, ChoiceType)
        and not any(k in (STRING, CODE, CONCEPT) for k in left.type.choices)
        and any(isinstance(k, ListType) for k in left.type.choices)
    )
    operator = ("Any" if many else "") + ("InValueSet" if right.type == VALUESET else "InCodeSystem")
    value = c.call(operator, (left, right), node)
    membership_node = value.node
    if isinstance(right.node, elm.ValueSetRef | elm.CodeSystemRef):
        signature = getattr(membership_node, "signature", ())
        if signature and c.options.signature_level is SignatureLevel.OVERLOADS:
            object.__setattr__(membership_node, "signature", signature[:1])
    return value


def indexer(c: Context, node: tree.Indexer) -> Typed:
    """``source[index]``."""
    return c.call("Indexer", (c.expression(node.source), c.expression(node.index)), node)


def conditional(c: Context, node: tree.If) -> Typed:
    """``if then else``."""
    condition = c.boolean(node.condition, "The condition of 'if'")
    then, otherwise = c.expression(node.then), c.expression(node.otherwise)
    kind = c.common_type(then.type, otherwise.type)
    value = elm.If(
        condition=condition,
        then=c.as_common(then, kind, node.then),
        else_=c.as_common(otherwise, kind, node.otherwise),
    )
    return Typed(value, kind)


def case(c: Context, node: tree.Case) -> Typed:
    """``case when then else end``, with or without a comparand."""
    comparand = None if node.comparand is None else c.expression(node.comparand)
    whens: list[elm.Expression] = []
    thens: list[Typed] = []
    kind: DataType = ANY
    comparand_type = ANY if comparand is None else comparand.type
    for item in node.items:
        if comparand is None:
            whens.append(c.boolean(item.when, "The condition of 'when'"))
        else:
            when = c.expression(item.when)
            whens.append(c.convert(when, comparand_type, item.when, "What a case is compared with"))
        then = c.expression(item.then)
        thens.append(then)
        kind = c.common_type(kind, then.type)
    otherwise = c.expression(node.otherwise)
    kind = c.common_type(kind, otherwise.type)
    items = []
    for item, when_node, then in zip(node.items, whens, thens, strict=True):
        case_item = elm.CaseItem(when=when_node, then=c.as_common(then, kind, item.then))
        c.mark(case_item, item)
        items.append(case_item)
    value = elm.Case(
        comparand=None if comparand is None else comparand.node,
        case_item=tuple(items),
        else_=c.as_common(otherwise, kind, node.otherwise),
    )
    return Typed(value, kind)


def set_aggregate(c: Context, node: tree.SetAggregate) -> Typed:
    """``expand`` and ``collapse``, with the size of a step."""
    operand = c.expression(node.operand)
    if isinstance(node.per, str):
        per = Typed(elm.Quantity(value=Decimal("1.0"), unit=node.per), QUANTITY)
    elif node.per is not None:
        per = c.expression(node.per)
    else:
        # No size: a null of its type, which says itself what it is.
        per = Typed(elm.Null(), QUANTITY)
        if c.options.result_types:
            object.__setattr__(per.node, "result_type_name", c.types.qualified_name(QUANTITY))
    return c.call(node.operator.capitalize(), (operand, per), node)
