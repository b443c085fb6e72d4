"""Calls: functions of this library and of others, fluent functions, and System functions.

CQL 1.5.3 Author's Guide, "Using Functions", "Fluent Functions"; Developer's Guide, "Function Resolution".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.types import ANY, DATETIME, INTEGER, QUANTITY, TIME, DataType, ListType
from measurewise.engine.translator.context import Context, Typed
from measurewise.engine.translator.conversions import Conversion, implicit_cast
from measurewise.engine.translator.data_types import canonical
from measurewise.engine.translator.diagnostics import Abandoned, suggestion
from measurewise.engine.translator.fhirpath import fhirpath_function
from measurewise.engine.translator.members import element_of
from measurewise.engine.translator.operators import operator_names
from measurewise.engine.translator.options import SignatureLevel
from measurewise.engine.translator.overloads import preferred, resolve_function
from measurewise.engine.translator.references import library_named
from measurewise.engine.translator.symbols import FunctionSymbol, LibrarySymbols

_NO_FUNCTIONS = frozenset(
    {
        "CalculateAge",
        "CalculateAgeAt",
        "DateTimeComponentFrom",
        "DifferenceBetween",
        "DurationBetween",
        "Slice",
        "Times",
    }
)
"""Operators that cannot be called by name: they need a precision, or are none of CQL 1.5."""

SYSTEM_FUNCTIONS = frozenset(operator_names()) - _NO_FUNCTIONS
_SPECIAL = ("Skip", "Take", "Tail")
_AGE = re.compile(r"(Calculate)?AgeIn(Years|Months|Weeks|Days|Hours|Minutes|Seconds)(At)?")


_DIGITS: dict[DataType, int] = {DATETIME: 17, TIME: 9}
"""Digits of a value of the greatest precision; a Date and the fraction of a Decimal have 8."""


def function_call(c: Context, node: tree.FunctionCall) -> Typed:
    """``Name(operand, ...)``: of this library, else of System."""
    name = node.name.name
    operands = [_argument(c, argument) for argument in node.arguments]
    own = c.own.functions(name)
    if own:
        found = _resolve(c, own, operands, node.name)
        if found is not None:
            return _reference(c, node, found, operands, None, own)
    system = system_function(c, node, name, operands)
    if system is not None:
        return system
    if own:
        raise _no_overload(c, node.name, name, own, operands, None)
    known = [*c.own.symbols.functions, *SYSTEM_FUNCTIONS, *_SPECIAL]
    raise c.fail(node.name, f'There is no function "{name}".', suggestion(name, known))


def _argument(c: Context, node: tree.Expression) -> Typed:
    c.argument = isinstance(node, tree.Literal)
    try:
        return c.expression(node)
    finally:
        c.argument = False


def method_call(c: Context, node: tree.MethodCall) -> Typed:
    """``Library.Name(operand)``, or a fluent function of a value."""
    name = node.name.name
    library = library_named(c, node.source)
    if library is not None:
        return _library_call(c, node, *library)
    source = c.expression(node.source)
    special = fhirpath_function(c, node, source, lambda: _fluent_exists(c, name))
    if special is not None:
        return special
    operands = [source, *(c.expression(argument) for argument in node.arguments)]
    found = _fluent(c, node, name, operands)
    if found is not None:
        return found
    candidates = _fluent_candidates(c, name)
    if not candidates and c.own.lacks_library():
        raise Abandoned
    if not candidates:
        known = [
            f
            for symbols in (c.own.symbols, *c.includes.values())
            for f, overloads in symbols.functions.items()
            if any(o.fluent for o in overloads)
        ]
        raise c.fail(node.name, f'There is no fluent function "{name}".', suggestion(name, known))
    raise _no_overload(c, node.name, name, [f for _, f in candidates], operands, None)


def _fluent_exists(c: Context, name: str) -> bool:
    return bool(_fluent_candidates(c, name))


def _fluent_candidates(c: Context, name: str) -> list[tuple[str | None, FunctionSymbol]]:
    candidates: list[tuple[str | None, FunctionSymbol]] = [
        (None, f) for f in c.own.functions(name) if f.fluent
    ]
    for local, symbols in c.includes.items():
        candidates += [(local, f) for f in symbols.fluent(name)]
    return candidates


def _fluent(c: Context, node: tree.MethodCall, name: str, operands: Sequence[Typed]) -> Typed | None:
    given = tuple(o.type for o in operands)
    candidates = [x for x in _fluent_candidates(c, name) if len(x[1].operands) == len(given)]
    best = resolve_function(c.conversions, candidates, lambda x: _operands(x[1]), given)
    if not best:
        return None
    best = preferred(best, lambda x: _operands(x[0][1]))
    # A function of this library hides an equal one of a library that it includes.
    best = [found for found in best if found[0][0] is None] or best
    if len(best) > 1:
        offers = [(f, local and str(c.includes[local])) for (local, f), _ in best[:2]]
        raise _ambiguous(c, node.name, name, operands, offers)
    (local, function), conversions = best[0]
    overloads = c.own.functions(name) if local is None else c.includes[local].functions[name]
    return _call(c, node, function, conversions, operands, local, overloads)


def _library_call(c: Context, node: tree.MethodCall, local: str, symbols: LibrarySymbols) -> Typed:
    name = node.name.name
    overloads = symbols.functions.get(name, [])
    if not overloads:
        raise c.fail(
            node.name,
            f'Library {symbols} has no function "{name}".',
            suggestion(name, symbols.functions),
        )
    public = [f for f in overloads if f.public]
    if not public:
        raise c.fail(node.name, f'"{name}" is private in library {symbols}.', "Make it public there.")
    operands = [c.expression(argument) for argument in node.arguments]
    found = _resolve(c, public, operands, node.name)
    if found is None:
        raise _no_overload(c, node.name, name, public, operands, symbols)
    return _reference(c, node, found, operands, local, overloads)


_Found = tuple[FunctionSymbol, tuple[Conversion, ...]]


def _operands(function: FunctionSymbol) -> tuple[DataType, ...]:
    return function.operands


def _resolve(
    c: Context, functions: Sequence[FunctionSymbol], operands: Sequence[Typed], at: tree.Identifier
) -> _Found | None:
    given = tuple(o.type for o in operands)
    fitting = [f for f in functions if len(f.operands) == len(given)]
    best = resolve_function(c.conversions, fitting, _operands, given)
    best = preferred(best, lambda found: _operands(found[0]))
    if len(best) > 1:
        raise _ambiguous(c, at, at.name, operands, [(f, None) for f, _ in best[:2]])
    return best[0] if best else None


def _ambiguous(
    c: Context,
    at: tree.Node,
    name: str,
    operands: Sequence[Typed],
    offers: Sequence[tuple[FunctionSymbol, str | None]],
) -> Exception:
    given = ", ".join(c.show(o.type) for o in operands)
    both = " and ".join(
        f"{name}({', '.join(map(c.show, f.operands))})" + (f" of library {library}" if library else "")
        for f, library in offers
    )
    return c.fail(
        at,
        f'"{name}" with ({given}) is ambiguous: {both} fit equally well.',
        "Say the type of an operand with 'as', or call the function by its library.",
    )


def _reference(
    c: Context,
    node: tree.FunctionCall | tree.MethodCall,
    found: _Found,
    operands: Sequence[Typed],
    local: str | None,
    overloads: Sequence[FunctionSymbol],
) -> Typed:
    function, conversions = found
    return _call(c, node, function, conversions, operands, local, overloads)


def _call(
    c: Context,
    node: tree.Node,
    function: FunctionSymbol,
    conversions: Sequence[Conversion],
    operands: Sequence[Typed],
    local: str | None,
    overloads: Sequence[FunctionSymbol],
) -> Typed:
    nodes = tuple(
        o.node if way.apply is None else way.apply(o.node)
        for o, way in zip(operands, conversions, strict=True)
    )
    level = c.options.signature_level
    signature: tuple[elm.TypeSpecifier, ...] = ()
    if level is SignatureLevel.ALL or (level is SignatureLevel.OVERLOADS and len(overloads) > 1):
        signature = tuple(c.types.specifier(kind) for kind in function.operands)
    elif level is SignatureLevel.DIFFERING and function.operands != tuple(o.type for o in operands):
        signature = tuple(c.types.specifier(kind) for kind in function.operands)
    result = c.own.function_result(function, node) if local is None else function.result
    value = elm.FunctionRef(name=function.name, library_name=local, operand=nodes, signature=signature)
    return Typed(value, canonical(result))


def _no_overload(
    c: Context,
    at: tree.Node,
    name: str,
    overloads: Sequence[FunctionSymbol],
    operands: Sequence[Typed],
    library: LibrarySymbols | None,
) -> Exception:
    given = ", ".join(c.show(o.type) for o in operands)
    offered = " or ".join(f"({', '.join(map(c.show, f.operands))})" for f in overloads[:6])
    where = "" if library is None else f" of library {library}"
    mend = f"It takes {offered}."
    if len(overloads) == 1 and len(overloads[0].operands) == len(operands):
        wanted = zip(operands, overloads[0].operands, strict=True)
        unfit = [(o.type, kind) for o, kind in wanted if c.conversions.find(o.type, kind) is None]
        hint = c.conversion_hint(*unfit[0]) if len(unfit) == 1 else ""
        mend = f"{mend} {hint}".strip()
    return c.fail(at, f'"{name}"{where} cannot be called with ({given}).', mend)


# --- System functions ---------------------------------------------------------------------------------------


def system_function(c: Context, node: tree.Node, name: str, operands: Sequence[Typed]) -> Typed | None:
    """A function of the System library, or None where it has none of this name."""
    if name in SYSTEM_FUNCTIONS:
        return _system_operator(c, node, name, operands)
    if name in _SPECIAL:
        return _slice(c, node, name, operands)
    age = _AGE.fullmatch(name)
    if age is not None:
        return _age(c, node, name, age, operands)
    return None


def _system_operator(c: Context, node: tree.Node, name: str, operands: Sequence[Typed]) -> Typed:
    if name in ("Collapse", "Expand") and len(operands) == 1:
        operands = (*operands, Typed(elm.Null(), QUANTITY))
    if name in ("LowBoundary", "HighBoundary") and len(operands) == 1:
        # The greatest precision of the type.
        digits = _DIGITS.get(canonical(operands[0].type), 8)
        literal = elm.Literal(value_type=c.types.qualified_name(INTEGER), value=str(digits))
        operands = (*operands, Typed(literal, INTEGER))
    return c.call(name, operands, node)


def _slice(c: Context, node: tree.Node, name: str, operands: Sequence[Typed]) -> Typed:
    wanted = 1 if name == "Tail" else 2
    if len(operands) != wanted:
        raise c.fail(node, f"{name} takes {wanted} operand{'s' if wanted > 1 else ''}, not {len(operands)}.")
    source = operands[0]
    if not isinstance(source.type, ListType) and source.type != ANY:
        raise c.fail(node, f"{name} cannot be applied to ({c.show(source.type)}).", "It takes a list.")
    integer = c.types.qualified_name(INTEGER)
    start: elm.Expression = elm.Literal(value_type=integer, value="1" if name == "Tail" else "0")
    end: elm.Expression = elm.Null()
    zero = elm.Literal(value_type=integer, value="0")
    if name == "Skip":
        start = c.convert(operands[1], INTEGER, node, "The number of elements")
        if not isinstance(start, elm.Literal):
            # Slice counts a negative index from the end, Skip gives an empty list for it.
            below = elm.Less(operand=(start, zero), signature=_two(c))
            end = elm.If(condition=below, then=zero, else_=implicit_cast(c.types, elm.Null(), INTEGER))
    elif name == "Take":
        count = c.convert(operands[1], INTEGER, node, "The number of elements")
        if isinstance(count, elm.Literal):
            end = elm.Coalesce(operand=(count, zero))
        else:
            above = elm.Greater(operand=(count, zero), signature=_two(c))
            end = elm.If(condition=above, then=count, else_=zero)
    kind = source.type if isinstance(source.type, ListType) else ListType(ANY)
    return Typed(elm.Slice(source=source.node, start_index=start, end_index=end), kind)


def _two(c: Context) -> tuple[elm.TypeSpecifier, ...]:
    written = c.options.signature_level in (SignatureLevel.ALL, SignatureLevel.OVERLOADS)
    return (c.types.specifier(INTEGER),) * 2 if written else ()


def _age(c: Context, node: tree.Node, name: str, match: re.Match[str], operands: Sequence[Typed]) -> Typed:
    calculate, unit, at = match.groups()
    wanted = (1 if calculate else 0) + (1 if at else 0)
    if len(operands) != wanted:
        raise c.fail(node, f"{name} takes {wanted} operands, not {len(operands)}.")
    given = list(operands)
    if not calculate:
        given.insert(0, _birth_date(c, node, name))
    operator = "CalculateAgeAt" if at else "CalculateAge"
    return c.call(operator, given, node, precision=unit.removesuffix("s"))


def _birth_date(c: Context, node: tree.Node, name: str) -> Typed:
    for model in c.usings.values():
        for context in model.contexts.values():
            path = context.birth_date_element
            if path is None or c.context_name != context.name:
                continue
            patient = Typed(elm.ExpressionRef(name=context.name), context.type)
            c.mark(patient.node, node, context.type)
            if "." not in path:
                return element_of(c, patient, path, node)
            kind = model.element_type(context.type, path)
            if kind is not None:
                return Typed(elm.Property(path=path, source=patient.node), canonical(kind))
    raise c.fail(
        node,
        f"{name} needs a patient.",
        "Write 'context Patient' before it, and a 'using' of a model with patients.",
    )
