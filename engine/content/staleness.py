"""Telling ELM that was translated from an older text than the CQL beside it.

Published packages do hold such pairs. What is compared is what a text declares without being parsed: library
and version, includes and their versions, value sets and their identifiers, the names of definitions and the
number of each function's overloads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from measurewise.engine import elm
from measurewise.engine.content.cql_outline import CqlOutline, Include
from measurewise.engine.content.library import LibraryContent, included

_SHOWN = 3


def staleness(library: LibraryContent) -> str | None:
    """How the ELM differs from the CQL beside it, as one clause; None where it does not or one is missing."""
    tree, declared = library.tree(), library.outline
    if tree is None or declared is None:
        return None
    found = list(_differences(declared, tree))
    if not found:
        return None
    rest = len(found) - _SHOWN
    return "; ".join(found[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def _differences(cql: CqlOutline, tree: elm.Library) -> Iterator[str]:
    identifier = tree.identifier
    in_cql, in_elm = (cql.name, cql.version), (identifier.id, identifier.version)
    if cql.name is not None and in_cql != in_elm and (cql.name.rpartition(".")[2], cql.version) != in_elm:
        yield f"the CQL is {_titled(*in_cql)}, the ELM {_titled(*in_elm)}"
    yield from _include_differences(cql.includes, [included(definition) for definition in tree.includes])
    yield from _value_set_differences(cql, tree)
    functions = Counter(s.name for s in tree.statements if isinstance(s, elm.FunctionDef))
    # A context statement makes a definition of its own name, which the text does not show.
    contexts = {context.name for context in tree.contexts} - cql.expressions
    expressions = {s.name for s in tree.statements if not isinstance(s, elm.FunctionDef)} - contexts
    yield from _name_differences("definition", cql.expressions, expressions)
    yield from _name_differences("function", set(cql.functions), set(functions))
    for name in sorted(set(cql.functions) & set(functions)):
        if cql.functions[name] != functions[name]:
            yield f'the CQL has {cql.functions[name]} functions "{name}", the ELM {functions[name]}'


def _include_differences(cql: Iterable[Include], tree: Iterable[Include]) -> Iterator[str]:
    in_cql = {include.alias: include for include in cql}
    in_elm = {include.alias: include for include in tree}
    for alias in sorted(in_cql.keys() | in_elm.keys()):
        ours, theirs = in_cql.get(alias), in_elm.get(alias)
        if ours is None or theirs is None:
            which, other = ("CQL", "ELM") if theirs is None else ("ELM", "CQL")
            yield f"the {which} includes {alias}, the {other} does not"
        elif ours.version != theirs.version or theirs.name not in (
            ours.name,
            f"{ours.namespace}.{ours.name}",
        ):
            in_text, in_tree = _titled(ours.name, ours.version), _titled(theirs.name, theirs.version)
            yield f"the CQL includes {in_text}, the ELM {in_tree}"


def _value_set_differences(cql: CqlOutline, tree: elm.Library) -> Iterator[str]:
    in_elm = {definition.name: definition.id for definition in tree.value_sets}
    yield from _name_differences("value set", set(cql.value_sets), set(in_elm))
    for name, url in cql.value_sets.items():
        if name in in_elm and in_elm[name] != url:
            yield f'value set "{name}" is {url} in the CQL, {in_elm[name]} in the ELM'


def _name_differences(what: str, cql: set[str], tree: set[str]) -> Iterator[str]:
    for name in sorted(cql - tree):
        yield f'the CQL has the {what} "{name}", the ELM does not'
    for name in sorted(tree - cql):
        yield f'the ELM has the {what} "{name}", the CQL does not'


def _titled(name: str | None, version: str | None) -> str:
    return f"{name or '(unnamed)'} version {version or '(none)'}"
