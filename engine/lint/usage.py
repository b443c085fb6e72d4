"""Which definitions of some libraries are referred to, and by rule: those that nothing refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from measurewise.engine import elm
from measurewise.engine.elm.structure import walk
from measurewise.engine.lint.finding import Finding, Severity, found

_KINDS: Mapping[type[elm.Element], str] = {
    elm.ExpressionRef: "definition",
    elm.FunctionRef: "function",
    elm.ParameterRef: "parameter",
    elm.ValueSetRef: "value set",
    elm.CodeSystemRef: "code system",
    elm.CodeRef: "code",
    elm.ConceptRef: "concept",
}


class Use(NamedTuple):
    """A reference: the library it means, the kind and the name of what it means."""

    library: str
    kind: str
    name: str


def uses(library: elm.Library) -> set[Use]:
    """All that a library refers to; a definition that refers only to itself is not used by that."""
    own = library.identifier.id or ""
    libraries = {include.local_identifier: include.path.rpartition("/")[2] for include in library.includes}
    used: set[Use] = set()
    for definition in _definitions(library):
        kind = "function" if isinstance(definition, elm.FunctionDef) else "definition"
        itself = Use(own, kind, getattr(definition, "name", ""))
        for node in walk(definition):
            target = _KINDS.get(type(node))
            if target is None:
                continue
            local = getattr(node, "library_name", None)
            use = Use(libraries.get(local, local) if local else own, target, getattr(node, "name", ""))
            if use != itself:
                used.add(use)
    return used


def unused(file: str, library: elm.Library, used: set[Use]) -> Iterator[Finding]:
    """The definitions of a library that nothing in ``used`` means.

    A public definition may be a measure's criterion or serve another library, so that is information; what
    only a library's own logic can have a use for is a warning.
    """
    own = library.identifier.id or ""
    implied = {context.name for context in library.contexts}
    declared: Iterable[tuple[str, Iterable[elm.Definition]]] = (
        ("parameter", library.parameters),
        ("value set", library.value_sets),
        ("code system", library.code_systems),
        ("code", library.codes),
        ("concept", library.concepts),
    )
    for kind, definitions in declared:
        for definition in definitions:
            name = getattr(definition, "name", "")
            if Use(own, kind, name) not in used:
                rule = f"unused-{kind.replace(' ', '-')}"
                # A measure is given its parameters whether or not its logic looks at them.
                severity: Severity = "information" if kind == "parameter" else "warning"
                yield found(file, definition, rule, severity, f'The {kind} "{name}" is not used.')
    for statement in library.statements:
        kind = "function" if isinstance(statement, elm.FunctionDef) else "definition"
        if statement.name in implied or Use(own, kind, statement.name) in used:
            continue
        private = statement.access_level == "Private"
        message = f'The {kind} "{statement.name}" is not used' + (" and is private." if private else ".")
        yield found(file, statement, f"unused-{kind}", "warning" if private else "information", message)


def unused_includes(file: str, library: elm.Library) -> Iterator[Finding]:
    """The includes of a library that nothing in it refers to."""
    named = {
        getattr(node, "library_name", None)
        for definition in _definitions(library)
        for node in walk(definition)
    }
    for include in library.includes:
        if include.local_identifier not in named:
            message = f'The library "{include.local_identifier}" is included and not used.'
            yield found(file, include, "unused-include", "information", message)


def _definitions(library: elm.Library) -> Iterator[elm.Definition]:
    yield from library.parameters
    yield from library.value_sets
    yield from library.codes
    yield from library.concepts
    yield from library.statements
