"""Queries and the list operators that work with them (ELM "Queries", "List Operators").

A query becomes plain loops. What happens to each row is up to a sink: appending it, noting that there is
one and leaving the loop, or folding it into an aggregate.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from measurewise.engine import elm
from measurewise.engine.compiler.chapters.logic import chain
from measurewise.engine.compiler.chapters.properties import path
from measurewise.engine.compiler.emitter import Emitter, Names, boolean, decides, emits
from measurewise.engine.compiler.joins import conjuncts, inner_rows
from measurewise.engine.compiler.origins import FromCodeableConcept, FromCodeableConcepts
from measurewise.engine.compiler.selections import by_code
from measurewise.engine.compiler.writer import NULL, Term
from measurewise.engine.models.types import (
    ANY,
    BOOLEAN,
    INTEGER,
    DataType,
    ListType,
    NamedType,
    tuple_of,
)

Sink = Callable[[Term, bool], None]
"""Called once to emit what happens to a row; told whether it stands inside a loop it may break."""


def _source(em: Emitter, node: elm.Expression) -> Term:
    """The list or value that a query walks, evaluated once before its loops."""
    term = em.expr(node)
    return term if isinstance(term.origin, FromCodeableConcepts) else em.w.atom(term, "q")


@emits(elm.Query)
def query(em: Emitter, node: elm.Query) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#query"""
    key = ("query", em.assembly.key(node), em.names.signature())
    known = em.w.known(key)
    if known is not None:
        return known
    selected = by_code(em, node)
    term = _query(em, node) if selected is None else em.w.atom(em.expr(selected), "q")
    em.w.remember(key, term)
    return term


def _query(em: Emitter, node: elm.Query) -> Term:
    declared = em.shapes.declared(node)
    if node.aggregate is not None:
        return _aggregate(em, node, node.aggregate)
    concepts = _concept_list(em, node)
    if concepts is not None:
        return concepts
    sources = [_source(em, s.expression) for s in node.source]
    if not any(isinstance(s.type, ListType) for s in sources):
        result = em.w.variable("v", "None")
        kinds: list[Term] = []

        def take(row: Term, in_loop: bool) -> None:
            kinds.append(row)
            em.w.emit(f"{result} = {row.text}")

        rows(em, node, sources, take)
        return Term(result, kinds[0].type if kinds[0].type != ANY else declared or ANY, atomic=True)
    if len(sources) == 1 and not (node.let or node.relationship or node.where or node.return_ or node.sort):
        return sources[0]
    result = em.w.variable("r", "[]")
    found: list[Term] = []
    want = declared.element if isinstance(declared, ListType) else ANY

    def append(row: Term, in_loop: bool) -> None:
        if row.type == ANY and want != ANY:
            row = row.typed(want)
        elif em.shapes.is_element(row.type) and em.shapes.is_open(want) and want != ANY:
            row = em.shapes.coerce(row, want)
        found.append(row)
        em.w.emit(f"{result}.append({row.text})")

    rows(em, node, sources, append)
    kind = ListType(found[0].type)
    if node.return_ is not None and node.return_.distinct:
        em.w.emit(f"{result} = distinct({result})")
    elif node.return_ is None and len(node.source) > 1:
        em.w.emit(f"{result} = distinct({result})")
    if node.sort is not None:
        sort_rows(em, result, found[0], node.sort.by)
    return Term(result, kind, atomic=True, nullable=False, solid=not found[0].nullable)


def _concept_list(em: Emitter, node: elm.Query) -> Term | None:
    """``list X return all FHIRHelpers.ToConcept(X)``: a list of CodeableConcepts seen as Concepts."""
    if len(node.source) != 1 or node.where or node.relationship or node.let or node.sort or not node.return_:
        return None
    # Only a call makes a Concept of a row; looking further would compile nested queries twice at each level.
    if not isinstance(node.return_.expression, elm.FunctionRef):
        return None
    with em.w.captured():
        source = em.expr(node.source[0].expression)
        if source.type != ListType(NamedType("FHIR", "CodeableConcept")):
            return None
        names = em.names.with_aliases()
        names.aliases[node.source[0].alias] = Term("x", source.type.element, atomic=True)
        with em.scope(names):
            row = em.expr(node.return_.expression)
    if row.origin != FromCodeableConcept("x"):
        return None
    value = em.w.atom(em.expr(node.source[0].expression))
    return Term(
        f"concepts_of({value.text})",
        ListType(row.type),
        nullable=False,
        origin=FromCodeableConcepts(value.text),
    )


def rows(em: Emitter, node: elm.Query, sources: list[Term], sink: Sink, early: str | None = None) -> None:
    """Emit the loops of a query with ``sink`` at their heart.

    ``early`` names a variable that, once true, ends all loops.
    """
    names = em.names.with_aliases()
    pending = conjuncts(node.where)
    lets = _lets_on_rows(em, node)
    with ExitStack() as stack, em.scope(names):
        for let in node.let:
            if let.identifier not in lets:
                names.lets[let.identifier] = (let.expression, names.with_aliases())
        loops = 0
        for number, (source, term) in enumerate(zip(node.source, sources, strict=True)):
            last = number == len(sources) - 1
            later = frozenset(s.alias for s in node.source[number + 1 :])
            if isinstance(term.type, ListType):
                alias = em.w.fresh(_identifier(source.alias))
                access = None
                ready = [c for c in pending if not em.assembly.freedom.free(c) & later]
                if not last:
                    ready = [c for c in ready if not em.assembly.freedom.free(c) & lets]
                if loops or em.repeated:
                    access = inner_rows(
                        em, source.alias, source.expression, ready, lets, some=early is not None
                    )
                if access is None:
                    listed, element = _walked(em, term, alias)
                else:
                    listed = access.listed
                    element = replace(access.element, text=alias)
                    waiting = [c for c in pending if c not in ready]
                    pending = [*access.rest, *waiting]
                    ready = access.rest
                if early and loops:
                    stack.callback(_leave, em, early)
                stack.enter_context(em.w.block(f"for {alias} in {listed}"))
                stack.enter_context(em.looping())
                names.aliases[source.alias] = element
                loops += 1
                if not last:
                    for condition in ready:
                        stack.enter_context(em.w.block(f"if {em.truth(condition)}"))
                        pending.remove(condition)
            else:
                stack.enter_context(em.w.block(f"if {term.text} is not None"))
                names.aliases[source.alias] = replace(term, nullable=False)
        for let in node.let:
            if let.identifier in lets:
                names.lets[let.identifier] = (let.expression, names.with_aliases())
        for relation in node.relationship:
            stack.enter_context(em.w.block(f"if {_related(em, relation)}"))
        for condition in pending:
            stack.enter_context(em.w.block(f"if {em.truth(condition)}"))
        sink(_row(em, node), bool(loops) and isinstance(sources[-1].type, ListType))


def _lets_on_rows(em: Emitter, node: elm.Query) -> frozenset[str]:
    """The lets of a query that hang on its rows; the others have one value for all of them."""
    rows_or_lets = {source.alias for source in node.source}
    for let in node.let:
        if em.assembly.freedom.free(let.expression) & rows_or_lets:
            rows_or_lets.add(let.identifier)
    return frozenset(let.identifier for let in node.let) & rows_or_lets


def _walked(em: Emitter, term: Term, alias: str) -> tuple[str, Term]:
    """What to loop over for a list, and the row; CodeableConcepts stay JSON until a Concept is wanted."""
    assert isinstance(term.type, ListType)
    if isinstance(term.origin, FromCodeableConcepts):
        row = Term(f"concept_of({alias})", term.type.element, origin=FromCodeableConcept(alias))
        return f"({term.origin.text} or ())", row
    listed = term.text if not term.nullable else f"({term.text} or ())"
    return listed, Term(alias, term.type.element, atomic=True, nullable=not term.solid)


def _leave(em: Emitter, early: str) -> None:
    with em.w.block(f"if {early}"):
        em.w.emit("break")


def _identifier(alias: str) -> str:
    kept = "".join(c if c.isalnum() and c.isascii() else "_" for c in alias)
    return (kept if kept[:1].isalpha() else f"a{kept}") + "_"


def _row(em: Emitter, node: elm.Query) -> Term:
    if node.return_ is not None:
        return em.expr(node.return_.expression)
    if len(node.source) == 1:
        return em.names.aliases[node.source[0].alias]
    types: dict[str, DataType] = {}
    items = []
    for source in node.source:
        term = em.names.aliases[source.alias]
        types[source.alias] = term.type
        items.append(f"{source.alias!r}: {term.text}")
    return Term("Tuple({" + ", ".join(items) + "})", tuple_of(types), nullable=False)


def _related(em: Emitter, relation: elm.RelationshipClause) -> str:
    """A flag: whether some related row fits (with), or none does (without)."""
    flag = em.w.variable("w", "False")
    names = em.names.with_aliases()
    free = em.assembly.freedom.free
    conditions = conjuncts(relation.such_that)
    lets = frozenset(em.names.lets)
    with em.scope(names), ExitStack() as stack:
        # What does not hang on the related row is asked once, before any of them is looked at.
        for condition in [c for c in conditions if relation.alias not in free(c) and not free(c) & lets]:
            conditions.remove(condition)
            stack.enter_context(em.w.block(f"if {em.truth(condition)}"))
        access = inner_rows(em, relation.alias, relation.expression, conditions, lets, some=True)
        alias = em.w.fresh(_identifier(relation.alias))
        if access is not None:
            listed, conditions = access.listed, access.rest
            element = replace(access.element, text=alias)
        else:
            source = _source(em, relation.expression)
            if not isinstance(source.type, ListType):
                with em.w.block(f"if {source.text} is not None"):
                    names.aliases[relation.alias] = replace(source, nullable=False)
                    holds = [em.truth(condition) for condition in conditions]
                    em.w.emit(f"{flag} = {' and '.join(f'bool({h})' for h in holds) or 'True'}")
                return flag if isinstance(relation, elm.With) else f"not {flag}"
            listed, element = _walked(em, source, alias)
        stack.enter_context(em.w.block(f"for {alias} in {listed}"))
        stack.enter_context(em.looping())
        names.aliases[relation.alias] = element
        for condition in conditions:
            stack.enter_context(em.w.block(f"if {em.truth(condition)}"))
        em.w.emit(f"{flag} = True")
        em.w.emit("break")
    return flag if isinstance(relation, elm.With) else f"not {flag}"


def _aggregate(em: Emitter, node: elm.Query, clause: elm.AggregateClause) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#aggregateclause"""
    start = em.expr(clause.starting) if clause.starting is not None else NULL
    declared = em.shapes.declared(node) or em.shapes.declared(clause)
    kind = declared or (start.type if start.type != ANY else ANY)
    sources = [em.w.atom(em.expr(s.expression), "q") for s in node.source]
    running = em.w.variable("g", start.text)
    if clause.distinct:
        gathered = em.w.variable("r", "[]")
        shape: list[Term] = []

        def gather(row: Term, in_loop: bool) -> None:
            pieces = [em.names.aliases[s.alias] for s in node.source]
            shape.extend(pieces)
            em.w.emit(f"{gathered}.append([{', '.join(p.text for p in pieces)}])")

        rows(em, replace(node, aggregate=None), sources, gather)
        names = em.names.with_aliases()
        row_name = em.w.fresh("row")
        with em.scope(names), em.looping(), em.w.block(f"for {row_name} in distinct({gathered})"):
            for index, source in enumerate(node.source):
                names.aliases[source.alias] = Term(f"{row_name}[{index}]", shape[index].type, atomic=True)
            for let in node.let:
                names.lets[let.identifier] = (let.expression, names.with_aliases())
            names.aliases[clause.identifier] = Term(running, kind, atomic=True)
            em.w.emit(f"{running} = {em.expr(clause.expression).text}")
        return Term(running, kind, atomic=True)

    def fold(row: Term, in_loop: bool) -> None:
        em.names.aliases[clause.identifier] = Term(running, kind, atomic=True)
        em.w.emit(f"{running} = {em.expr(clause.expression).text}")

    rows(em, node, sources, fold)
    return Term(running, kind, atomic=True)


# -------------------------------------------------------------------------- sort


def sort_rows(em: Emitter, variable: str, row: Term, items: tuple[elm.SortByItem, ...]) -> None:
    """Sort the list in ``variable`` by ELM sort items, the weightiest first."""
    keys = []
    for item in items:
        descending = item.direction in ("desc", "descending")
        if isinstance(item, elm.ByDirection):
            keys.append(f"(None, {descending})")
            continue
        function = em.w.fresh("key")
        argument = em.w.fresh("x")
        this = Term(argument, row.type, atomic=True, nullable=True)
        names = em.names.with_aliases(row=this)
        names.aliases["$this"] = this
        with em.scope(names), em.looping(), em.w.block(f"def {function}({argument})"):
            if isinstance(item, elm.ByColumn):
                key = path(em, this, item.path, em.shapes.declared(item))
            else:
                assert isinstance(item, elm.ByExpression)
                key = em.expr(item.expression)
            em.w.emit(f"return {key.text}")
        keys.append(f"({function}, {descending})")
    listed = ", ".join(keys) + ("," if len(keys) == 1 else "")
    em.w.emit(f"{variable} = sort_by({variable}, ({listed}))")


@emits(elm.Sort)
def sort(em: Emitter, node: elm.Sort) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#sort"""
    source = em.expr(node.source)
    variable = em.w.variable("r", source.text)
    element = source.type.element if isinstance(source.type, ListType) else ANY
    sort_rows(em, variable, Term("x", element), node.by)
    return Term(variable, source.type, atomic=True, nullable=source.nullable, solid=source.solid)


# ------------------------------------------------------------------------ exists


@emits(elm.Exists)
def exists(em: Emitter, node: elm.Exists) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#exists"""
    return boolean(exists_true(em, node), two_valued=True)


@decides(elm.Exists)
def exists_true(em: Emitter, node: elm.Exists) -> str:
    """https://cql.hl7.org/04-logicalspecification.html#exists"""
    return _some(em, node.operand)


def _some(em: Emitter, node: elm.Expression) -> str:
    operand = node
    while isinstance(operand, elm.As) and isinstance(operand.operand, elm.Union | elm.As | elm.Query):
        operand = operand.operand
    if isinstance(operand, elm.Union) and isinstance(em.declared(operand, ListType(ANY)), ListType):
        return chain(em, operand.operand, "or", lambda part: _some(em, part))
    if isinstance(operand, elm.Query) and operand.aggregate is None:
        sources = [_source(em, s.expression) for s in operand.source]
        if any(isinstance(s.type, ListType) for s in sources):
            flag = em.w.variable("x", "False")

            def found(row: Term, in_loop: bool) -> None:
                with ExitStack() as stack:
                    if row.nullable:
                        stack.enter_context(em.w.block(f"if {row.text} is not None"))
                    em.w.emit(f"{flag} = True")
                    if in_loop:
                        em.w.emit("break")

            rows(em, operand, sources, found, flag)
            return flag
    term = em.expr(node)
    if not isinstance(term.type, ListType):
        return f"({term.text} is not None)" if term.type != ANY else f"exists({term.text})"
    if term.solid:
        return f"bool({term.text})"
    return f"exists({term.text})"


# ------------------------------------------------------------------- single rows


@emits(elm.First, elm.Last)
def first_or_last(em: Emitter, node: elm.First | elm.Last) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#first"""
    term = em.w.atom(em.expr(node.source))
    element = term.type.element if isinstance(term.type, ListType) else em.declared(node)
    index = "0" if isinstance(node, elm.First) else "-1"
    return Term(f"({term.text}[{index}] if {term.text} else None)", element)


@emits(elm.SingletonFrom)
def singleton_from(em: Emitter, node: elm.SingletonFrom) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#singletonfrom"""
    term = em.expr(node.operand)
    element = term.type.element if isinstance(term.type, ListType) else em.declared(node)
    return Term(f"singleton_from({term.text})", element)


@emits(elm.Distinct)
def distinct(em: Emitter, node: elm.Distinct) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#distinct"""
    term = em.expr(node.operand)
    return Term(f"distinct({term.text})", term.type, nullable=term.nullable, solid=term.solid)


@emits(elm.Length)
def length(em: Emitter, node: elm.Length) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#length"""
    term = em.expr(node.operand)
    if isinstance(term.type, ListType):
        return Term(f"list_length({term.text})", INTEGER, nullable=False)
    return Term(f"length({term.text})", INTEGER)


@emits(elm.Flatten)
def flatten(em: Emitter, node: elm.Flatten) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#flatten"""
    term = em.expr(node.operand)
    kind = term.type
    if isinstance(kind, ListType) and isinstance(kind.element, ListType):
        kind = kind.element
    return Term(f"flatten({term.text})", kind, nullable=term.nullable)


@emits(elm.Count)
def count(em: Emitter, node: elm.Count) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#count"""
    term = em.expr(node.source)
    if node.path is None and term.solid:
        text = term.text if not term.nullable else f"({term.text} or ())"
        return Term(f"len({text})", INTEGER, nullable=False)
    return Term(f"count({_pathed(em, term, node.path)})", INTEGER, nullable=False)


def _pathed(em: Emitter, term: Term, dotted: str | None) -> str:
    if dotted is None or not isinstance(term.type, ListType):
        return term.text
    with em.w.captured():
        inner = path(em, Term("x", term.type.element, atomic=True, nullable=True), dotted, None)
    return f"[{inner.text} for x in ({term.text} or ())]"


AGGREGATES = {
    elm.Sum: "sum_",
    elm.Product: "product",
    elm.Min: "min_",
    elm.Max: "max_",
    elm.Avg: "avg",
    elm.Median: "median",
    elm.Mode: "mode",
    elm.Variance: "variance",
    elm.PopulationVariance: "population_variance",
    elm.StdDev: "std_dev",
    elm.PopulationStdDev: "population_std_dev",
    elm.GeometricMean: "geometric_mean",
    elm.AllTrue: "all_true",
    elm.AnyTrue: "any_true",
}


@emits(*AGGREGATES)
def aggregate_operator(em: Emitter, node: elm.AggregateExpression) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#sum"""
    if isinstance(node, elm.AnyTrue):
        some = _some_true(em, node)
        if some is not None:
            return some
    term = em.expr(node.source)
    element = term.type.element if isinstance(term.type, ListType) else ANY
    kind = em.declared(node, element)
    if isinstance(node, elm.AllTrue | elm.AnyTrue):
        kind = BOOLEAN
    return Term(f"{AGGREGATES[type(node)]}({_pathed(em, term, node.path)})", kind)


def _some_true(em: Emitter, node: elm.AnyTrue) -> Term | None:
    """``AnyTrue(list X return C)`` is ``exists (list X where C)``: it need not look at all rows, nor keep
    what they gave."""
    source = node.source
    if (
        node.path is not None
        or not isinstance(source, elm.Query)
        or source.return_ is None
        or source.aggregate
    ):
        return None
    asked = source.return_.expression
    rows_told = elm.Literal(value_type="{urn:hl7-org:elm-types:r1}Boolean", value="true")
    query = replace(
        source,
        where=asked if source.where is None else elm.And(operand=(source.where, asked)),
        return_=elm.ReturnClause(expression=rows_told, distinct=False),
        sort=None,
    )
    told = em.assembly.sharing.kept(elm.Exists(operand=query))
    return boolean(exists_true(em, told), two_valued=True)


@emits(elm.Aggregate)
def aggregate(em: Emitter, node: elm.Aggregate) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#aggregate"""
    source = em.w.atom(em.expr(node.source))
    start = em.expr(node.initial_value) if node.initial_value is not None else NULL
    kind = em.declared(node, start.type)
    running = em.w.variable("g", start.text)
    element = source.type.element if isinstance(source.type, ListType) else ANY
    item, index = em.w.fresh("x"), em.w.fresh("i")
    names = em.names.with_aliases(
        iteration=Term(item, element, atomic=True),
        index=Term(index, INTEGER, atomic=True, nullable=False),
        total=Term(running, kind, atomic=True),
    )
    with em.scope(names), em.looping(), em.w.block(f"for {index}, {item} in enumerate({source.text} or ())"):
        em.w.emit(f"{running} = {em.expr(node.iteration).text}")
    return Term(running, kind, atomic=True)


# ------------------------------------------------------------- iteration operators


def _iteration_names(em: Emitter, scope: str | None, item: Term, index: str) -> Names:
    names = em.names.with_aliases(iteration=item, index=Term(index, INTEGER, atomic=True, nullable=False))
    if scope:
        names.aliases[scope] = item
    names.aliases["$this"] = item
    return names


@emits(elm.Filter)
def filter_(em: Emitter, node: elm.Filter) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#filter"""
    source = em.w.atom(em.expr(node.source))
    element = source.type.element if isinstance(source.type, ListType) else ANY
    result = em.w.variable("r", "[]")
    item, index = em.w.fresh("x"), em.w.fresh("i")
    names = _iteration_names(em, node.scope, Term(item, element, atomic=True), index)
    with em.scope(names), em.looping(), em.w.block(f"for {index}, {item} in enumerate({source.text} or ())"):
        condition = em.truth(node.condition)
        with em.w.block(f"if {condition}"):
            em.w.emit(f"{result}.append({item})")
    return Term(f"({result} if {source.text} is not None else None)", source.type, solid=source.solid)


@emits(elm.ForEach)
def for_each(em: Emitter, node: elm.ForEach) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#foreach"""
    source = em.w.atom(em.expr(node.source))
    element = source.type.element if isinstance(source.type, ListType) else ANY
    result = em.w.variable("r", "[]")
    item, index = em.w.fresh("x"), em.w.fresh("i")
    names = _iteration_names(em, node.scope, Term(item, element, atomic=True), index)
    with em.scope(names), em.looping(), em.w.block(f"for {index}, {item} in enumerate({source.text} or ())"):
        value = em.expr(node.element)
        em.w.emit(f"{result}.append({value.text})")
    return Term(f"({result} if {source.text} is not None else None)", ListType(value.type))


@emits(elm.Repeat)
def repeat(em: Emitter, node: elm.Repeat) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#repeat"""
    source = em.w.atom(em.expr(node.source))
    element = source.type.element if isinstance(source.type, ListType) else ANY
    function, item, index = em.w.fresh("more"), em.w.fresh("x"), em.w.fresh("i")
    names = _iteration_names(em, node.scope, Term(item, element, atomic=True), index)
    with em.scope(names), em.looping(), em.w.block(f"def {function}({item}, {index}=0)"):
        em.w.emit(f"return {em.expr(node.element).text}")
    return Term(f"repeat({source.text}, {function})", source.type)


@emits(elm.Children, elm.Descendants, elm.Descendents)
def children(em: Emitter, node: elm.Children) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html#children"""
    name = "children" if type(node) is elm.Children else "descendants"
    return Term(f"{name}({em.expr(node.source).text})", ListType(ANY))
