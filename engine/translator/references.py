"""Names: aliases, lets, operands, definitions of this library and of included ones.

CQL 1.5.3 Developer's Guide, "Identifier Resolution": the nearest scope first, then the library.
"""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.types import ANY, INTEGER, ListType
from measurewise.engine.translator.context import Context, QueryScope, Typed
from measurewise.engine.translator.diagnostics import suggestion
from measurewise.engine.translator.members import declared_element, element_of, find_element
from measurewise.engine.translator.symbols import DefinitionSymbol, LibrarySymbols


def identifier(c: Context, node: tree.Identifier) -> Typed:
    """What a bare name means."""
    found = in_scope(c, node)
    if found is not None:
        return found
    definition = c.own.definition(node.name, node)
    if definition is not None:
        return reference(c, definition, None)
    if node.name in c.includes:
        raise c.fail(
            node, f'"{node.name}" is a library, not a value.', "Name one of its definitions after a dot."
        )
    if c.own.functions(node.name):
        raise c.fail(node, f'"{node.name}" is a function.', "Call it with its operands in parentheses.")
    raise c.unknown_name(node.name, node)


def in_scope(c: Context, node: tree.Identifier) -> Typed | None:
    """What a name means in the queries and the function around it."""
    name = node.name
    for scope in reversed(c.scopes):
        if not isinstance(scope, QueryScope):
            kind = scope.operands.get(name)
            if kind is not None:
                return Typed(elm.OperandRef(name=name), kind)
            continue
        if name in scope.aliases:
            return Typed(elm.AliasRef(name=name), scope.aliases[name])
        if name in scope.lets:
            return Typed(elm.QueryLetRef(name=name), scope.lets[name])
        if scope.row is not None:
            found = _of_row(c, scope, node)
            if found is not None:
                return found
    return None


def _of_row(c: Context, scope: QueryScope, node: tree.Identifier) -> Typed | None:
    if scope.row is None or (
        isinstance(scope.row, ListType) and declared_element(c, scope.row, node.name) is None
    ):
        return None
    marker = elm.AliasRef(name="")
    found = find_element(c, Typed(marker, scope.row), node.name, node)
    return None if found is None else Typed(_as_identifier(found.node), found.type)


def _as_identifier(node: elm.Expression) -> elm.Expression:
    """Properties of the row a sort stands at, as identifiers."""
    if isinstance(node, elm.Property):
        if node.scope == "":
            return elm.IdentifierRef(name=node.path)
        if node.source is not None:
            return elm.Property(path=node.path, source=_as_identifier(node.source))
    if isinstance(node, elm.FunctionRef):
        return elm.FunctionRef(
            name=node.name,
            library_name=node.library_name,
            signature=node.signature,
            operand=tuple(_as_identifier(o) for o in node.operand),
        )
    if isinstance(node, elm.Query):
        source = node.source[0]
        return elm.Query(
            source=(
                elm.AliasedQuerySource(alias=source.alias, expression=_as_identifier(source.expression)),
            ),
            where=node.where,
            return_=node.return_,
        )
    if isinstance(node, elm.SingletonFrom):
        return elm.SingletonFrom(operand=_as_identifier(node.operand))
    if isinstance(node, elm.AliasRef) and node.name == "":
        return elm.IdentifierRef(name="$this")
    return node


def reference(c: Context, definition: DefinitionSymbol, library: str | None) -> Typed:
    """The ELM reference to a definition, of this library or of the one with a local name."""
    name, kind = definition.name, definition.type
    if definition.kind == "parameter":
        return Typed(elm.ParameterRef(name=name, library_name=library), kind)
    if definition.kind == "codesystem":
        return Typed(elm.CodeSystemRef(name=name, library_name=library), kind)
    if definition.kind == "valueset":
        return Typed(elm.ValueSetRef(name=name, library_name=library, preserve=True), kind)
    if definition.kind == "code":
        return Typed(elm.CodeRef(name=name, library_name=library), kind)
    if definition.kind == "concept":
        return Typed(elm.ConceptRef(name=name, library_name=library), kind)
    if c.context_name == "Unfiltered" and definition.context not in (None, "Unfiltered"):
        # Outside a patient's context a definition of the patient's is asked of every patient.
        kind = ListType(kind)
    return Typed(elm.ExpressionRef(name=name, library_name=library), kind)


def library_named(c: Context, node: tree.Expression) -> tuple[str, LibrarySymbols] | None:
    """The included library that an expression names, where it names one and nothing hides it."""
    if not isinstance(node, tree.Identifier) or node.name not in c.includes:
        return None
    if in_scope(c, node) is not None or node.name in c.own.symbols.definitions:
        return None
    return node.name, c.includes[node.name]


def member(c: Context, node: tree.Member) -> Typed:
    """``source.name``: a definition of a library, or an element of a value."""
    library = library_named(c, node.source)
    if library is not None:
        local, symbols = library
        definition = symbols.definitions.get(node.name.name)
        if definition is None:
            raise c.fail(
                node.name,
                f'Library {symbols} has no definition "{node.name.name}".',
                suggestion(node.name.name, symbols.definitions),
            )
        if not definition.public:
            raise c.fail(
                node.name, f'"{node.name.name}" is private in library {symbols}.', "Make it public there."
            )
        return reference(c, definition, local)
    source = c.expression(node.source)
    return element_of(c, source, node.name.name, node)


def iteration(c: Context, node: tree.IterationVariable) -> Typed:
    """``$this``, ``$index`` and ``$total``."""
    for scope in reversed(c.scopes):
        if not isinstance(scope, QueryScope):
            continue
        if node.name == "$this" and scope.row is not None:
            return Typed(elm.IdentifierRef(name="$this"), scope.row)
        if scope.iteration is not None:
            if node.name == "$this":
                return Typed(elm.AliasRef(name="$this"), scope.iteration)
            if node.name == "$index":
                return Typed(elm.Iteration(), INTEGER)
            return Typed(elm.Total(), ANY)
    raise c.fail(node, f"{node.name} has no meaning outside an iteration or a sort.")


__all__ = ["identifier", "in_scope", "iteration", "library_named", "member", "reference"]
