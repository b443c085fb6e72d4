"""FHIRPath's functions as methods of CQL values: ``.where(...)``, ``.exists()``, ``.first()``.

FHIRPath 2.0, "Functions"; CQL 1.5.3 Developer's Guide, "FHIRPath Function Translation". A fluent function of
a library with the same name comes first.
"""

from __future__ import annotations

from collections.abc import Callable

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.types import BOOLEAN, INTEGER, STRING, DataType, ListType, NamedType
from measurewise.engine.translator.context import Context, QueryScope, Typed
from measurewise.engine.translator.operations import union
from measurewise.engine.translator.targets import THIS
from measurewise.engine.translator.type_specifiers import resolve_named

_OPERATORS: dict[str, tuple[str, int]] = {
    "not": ("Not", 0),
    "first": ("First", 0),
    "last": ("Last", 0),
    "single": ("SingletonFrom", 0),
    "count": ("Count", 0),
    "distinct": ("Distinct", 0),
    "allTrue": ("AllTrue", 0),
    "anyTrue": ("AnyTrue", 0),
    "subsetOf": ("IncludedIn", 1),
    "supersetOf": ("Includes", 1),
    "intersect": ("Intersect", 1),
    "exclude": ("Except", 1),
    "contains": ("Contains", 1),
    "startsWith": ("StartsWith", 1),
    "endsWith": ("EndsWith", 1),
    "upper": ("Upper", 0),
    "lower": ("Lower", 0),
    "toChars": ("ToChars", 0),
    "length": ("Length", 0),
    "substring": ("Substring", 1),
    "matches": ("Matches", 1),
    "replaceMatches": ("ReplaceMatches", 2),
    "abs": ("Abs", 0),
    "ceiling": ("Ceiling", 0),
    "floor": ("Floor", 0),
    "truncate": ("Truncate", 0),
    "round": ("Round", 0),
    "ln": ("Ln", 0),
    "exp": ("Exp", 0),
    "log": ("Log", 1),
    "power": ("Power", 1),
    "toBoolean": ("ToBoolean", 0),
    "toInteger": ("ToInteger", 0),
    "toLong": ("ToLong", 0),
    "toDecimal": ("ToDecimal", 0),
    "toString": ("ToString", 0),
    "toDate": ("ToDate", 0),
    "toDateTime": ("ToDateTime", 0),
    "toTime": ("ToTime", 0),
    "toQuantity": ("ToQuantity", 0),
    "convertsToBoolean": ("ConvertsToBoolean", 0),
    "convertsToInteger": ("ConvertsToInteger", 0),
    "convertsToLong": ("ConvertsToLong", 0),
    "convertsToDecimal": ("ConvertsToDecimal", 0),
    "convertsToString": ("ConvertsToString", 0),
    "convertsToDate": ("ConvertsToDate", 0),
    "convertsToDateTime": ("ConvertsToDateTime", 0),
    "convertsToTime": ("ConvertsToTime", 0),
    "convertsToQuantity": ("ConvertsToQuantity", 0),
    "children": ("Children", 0),
    "descendants": ("Descendents", 0),
    "descendents": ("Descendents", 0),
    "lowBoundary": ("LowBoundary", 1),
    "highBoundary": ("HighBoundary", 1),
    "precision": ("Precision", 0),
}


def fhirpath_function(
    c: Context, node: tree.MethodCall, source: Typed, hidden: Callable[[], bool]
) -> Typed | None:
    """The value of a FHIRPath function, or None where there is none of this name.

    ``hidden`` says whether a library defines a fluent function of that name.
    """
    name = node.name.name
    handler = _HANDLERS.get(name)
    if handler is None and name not in _OPERATORS:
        return None
    if hidden():
        return None
    if handler is not None:
        return handler(c, node, source)
    operator, arity = _OPERATORS[name]
    extra = 1 if name in ("substring", "round") else 0
    if not arity <= len(node.arguments) <= arity + extra:
        return None
    operands = [source, *(c.expression(argument) for argument in node.arguments)]
    return c.call(operator, operands, node)


def _iterated(
    c: Context, node: tree.MethodCall, source: Typed
) -> tuple[Typed, QueryScope, elm.AliasedQuerySource]:
    kind = source.type.element if isinstance(source.type, ListType) else source.type
    if len(node.arguments) != 1:
        raise c.fail(node, f"{node.name.name} takes 1 operand, not {len(node.arguments)}.")
    scope = QueryScope(iteration=kind)
    with c.scope(scope):
        value = c.expression(node.arguments[0])
    return value, scope, elm.AliasedQuerySource(alias=THIS, expression=source.node)


def _where(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    condition, _, aliased = _iterated(c, node, source)
    where = c.convert(condition, BOOLEAN, node.arguments[0], "The criteria of 'where'")
    return Typed(elm.Query(source=(aliased,), where=where), source.type)


def _select(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    value, _, aliased = _iterated(c, node, source)
    result = elm.Query(source=(aliased,), return_=elm.ReturnClause(expression=value.node, distinct=False))
    if not isinstance(source.type, ListType):
        return Typed(result, value.type)
    if isinstance(value.type, ListType):
        return Typed(elm.Flatten(operand=result), value.type)
    return Typed(result, ListType(value.type))


def _all(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    value, _, aliased = _iterated(c, node, source)
    condition = c.convert(value, BOOLEAN, node.arguments[0], "The criteria of 'all'")
    query = elm.Query(source=(aliased,), return_=elm.ReturnClause(expression=condition, distinct=False))
    return Typed(elm.AllTrue(source=query), BOOLEAN)


def _exists(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    if node.arguments:
        source = _where(c, node, source)
    if not isinstance(source.type, ListType):
        return Typed(elm.Not(operand=elm.IsNull(operand=source.node)), BOOLEAN)
    return c.call("Exists", (source,), node)


def _empty(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    if not isinstance(source.type, ListType):
        return Typed(elm.IsNull(operand=source.node), BOOLEAN)
    return Typed(elm.Not(operand=c.call("Exists", (source,), node).node), BOOLEAN)


def _named(c: Context, node: tree.MethodCall) -> NamedType:
    if len(node.arguments) != 1:
        raise c.fail(node, f"{node.name.name} takes a type.")
    parts: list[tree.Identifier] = []
    at = node.arguments[0]
    while isinstance(at, tree.Member):
        parts.insert(0, at.name)
        at = at.source
    if not isinstance(at, tree.Identifier):
        raise c.fail(node, f"{node.name.name} takes a type.")
    return resolve_named(c, tree.NamedType(node.arguments[0].span, (at, *parts)))


def _of_type(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    kind = _named(c, node)
    specifier = c.types.specifier(kind)
    if not isinstance(source.type, ListType):
        return Typed(elm.As(operand=source.node, as_type_specifier=specifier), kind)
    this = elm.AliasRef(name=THIS)
    query = elm.Query(
        source=(elm.AliasedQuerySource(alias=THIS, expression=source.node),),
        where=elm.Is(operand=this, is_type_specifier=specifier),
        return_=elm.ReturnClause(
            expression=elm.As(operand=elm.AliasRef(name=THIS), as_type_specifier=specifier), distinct=False
        ),
    )
    return Typed(query, ListType(kind))


def _is(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    return Typed(elm.Is(operand=source.node, is_type_specifier=c.types.specifier(_named(c, node))), BOOLEAN)


def _slice(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    integer = c.types.qualified_name(INTEGER)
    name = node.name.name
    start: elm.Expression = elm.Literal(value_type=integer, value="1" if name == "tail" else "0")
    end: elm.Expression = elm.Null()
    if name != "tail":
        if len(node.arguments) != 1:
            raise c.fail(node, f"{name} takes 1 operand, not {len(node.arguments)}.")
        count = c.convert(c.expression(node.arguments[0]), INTEGER, node, "The number of elements")
        if name == "skip":
            start = count
        else:
            end = elm.Coalesce(operand=(count, elm.Literal(value_type=integer, value="0")))
    return Typed(elm.Slice(source=source.node, start_index=start, end_index=end), source.type)


def _union(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    if len(node.arguments) != 1:
        raise c.fail(node, f"{node.name.name} takes 1 operand, not {len(node.arguments)}.")
    return union(c, node, source, c.expression(node.arguments[0]))


def _index_of(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    if len(node.arguments) != 1:
        raise c.fail(node, f"{node.name.name} takes 1 operand, not {len(node.arguments)}.")
    argument = c.expression(node.arguments[0])
    if source.type == STRING:
        return c.call("PositionOf", (argument, source), node)
    return c.call("IndexOf", (source, argument), node)


def _iif(c: Context, node: tree.MethodCall, source: Typed) -> Typed:
    if not 2 <= len(node.arguments) <= 3:
        raise c.fail(node, f"iif takes 2 or 3 operands, not {len(node.arguments)}.")
    condition = c.boolean(node.arguments[0], "The condition of 'iif'")
    then = c.expression(node.arguments[1])
    otherwise = Typed(elm.Null(), then.type)
    if len(node.arguments) == 3:
        otherwise = c.expression(node.arguments[2])
    kind: DataType = c.common_type(then.type, otherwise.type)
    value = elm.If(
        condition=condition, then=c.as_common(then, kind, node), else_=c.as_common(otherwise, kind, node)
    )
    return Typed(value, kind)


_HANDLERS: dict[str, Callable[[Context, tree.MethodCall, Typed], Typed]] = {
    "where": _where,
    "select": _select,
    "all": _all,
    "exists": _exists,
    "empty": _empty,
    "ofType": _of_type,
    "as": _of_type,
    "is": _is,
    "skip": _slice,
    "take": _slice,
    "tail": _slice,
    "union": _union,
    "combine": _union,
    "indexOf": _index_of,
    "iif": _iif,
}
