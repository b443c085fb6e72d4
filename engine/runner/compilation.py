"""From measures to one program: libraries resolved, criteria settled, definitions compiled or found
in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from measurewise.engine import elm
from measurewise.engine.compiler.cache import ProgramCache, engine_digest
from measurewise.engine.compiler.program import Program, compile_program
from measurewise.engine.content.content import Content, MeasureContent
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.notice import Notice
from measurewise.engine.content.resolution import ResolvedLibrary
from measurewise.engine.content.value_set_use import ValueSetUse, missing_value_sets, value_set_uses
from measurewise.engine.errors import ContentError
from measurewise.engine.measure.criteria import resolve_criteria
from measurewise.engine.measure.definition import Criteria, MeasureDefinition
from measurewise.engine.measure.demographics import with_demographics
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.runner.composites import composites_composed, with_components
from measurewise.engine.runner.translation import LibraryTrees
from measurewise.engine.terminology.value_sets import ValueSetIndex

MissingPolicy = Literal["error", "empty"]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The program of some measures, their definitions with criteria settled, and what was noticed."""

    program: Program
    measures: tuple[MeasureDefinition, ...]
    notices: tuple[Notice, ...]


class _Primary(msgspec.Struct):
    """A measure's own library: its name, version, statements, and the value sets that its criteria reach."""

    name: str
    version: str | None
    statements: list[str]
    uses: list[ValueSetUse]


class _Beside(msgspec.Struct):
    """What is kept with a cached program."""

    primaries: list[_Primary]
    notices: list[Notice]


def compile_measures(
    content: Content,
    measures: list[MeasureContent],
    value_sets: ValueSetIndex,
    *,
    trees: LibraryTrees,
    missing: MissingPolicy,
    cache: ProgramCache | None,
) -> Compiled:
    """One program for some measures and the components of the composites among them, sharing what they share.

    Raises NotFoundError and ContentError for content that is not there or cannot be used.
    """
    every = with_components(content, measures)
    key = _key(content, every, trees) if cache is not None else None
    if cache is not None and key is not None:
        found = cache.load(key, _Beside)
        if found is not None:
            program, beside = found
            return _settled(content, program, measures, every, beside, value_sets, missing)
    program, beside = _compile(every, trees)
    compiled = _settled(content, program, measures, every, beside, value_sets, missing)
    if cache is not None and key is not None:
        cache.store(key, program, beside)
    return compiled


def criteria_of(measure: MeasureDefinition) -> Iterable[Criteria]:
    """Every criterion of a measure: populations, observations, stratifiers, supplemental data."""
    for group in measure.groups:
        for population in group.populations:
            if population.criteria is not None:
                yield population.criteria
        for observation in group.observations:
            if observation.criteria is not None:
                yield observation.criteria
        for stratifier in group.stratifiers:
            for component in stratifier.components:
                yield component.criteria
    for item in measure.supplemental_data:
        yield item.criteria


@dataclass(frozen=True, slots=True)
class Logic:
    """The libraries of a measure, its own last, and the criteria that it names in it."""

    closure: list[ResolvedLibrary]
    libraries: list[elm.Library]
    wanted: set[str]

    @property
    def primary(self) -> elm.Library:
        """The measure's own library."""
        return self.libraries[-1]

    @property
    def identity(self) -> tuple[str, str | None]:
        """The name and version of the measure's own library."""
        return self.primary.identifier.id or "", self.primary.identifier.version


def logic_of(measure: MeasureContent, trees: LibraryTrees, notices: list[Notice]) -> Logic | None:
    """The logic of a measure; None for a composite that needs no library of its own."""
    if _has_no_logic(measure):
        return None
    closure = trees.closure(measure, notices)
    libraries = [_tree(resolved) for resolved in closure]
    name, version = libraries[-1].identifier.id or "", libraries[-1].identifier.version
    statements = [s.name for s in libraries[-1].statements]
    wanted = {c.name for c in criteria_of(_definition(measure, name, version, statements))}
    return Logic(closure, libraries, wanted)


def _compile(measures: list[MeasureContent], trees: LibraryTrees) -> tuple[Program, _Beside]:
    beside = _Beside([], [])
    libraries: dict[tuple[str | None, str | None], elm.Library] = {}
    roots: dict[tuple[str, str | None], set[str]] = {}
    for measure in measures:
        logic = logic_of(measure, trees, beside.notices)
        if logic is None:
            beside.primaries.append(_Primary("", None, [], []))
            continue
        for tree in logic.libraries:
            libraries.setdefault((tree.identifier.id, tree.identifier.version), tree)
        statements = [s.name for s in logic.primary.statements]
        uses = value_set_uses(logic.closure, logic.wanted)
        beside.primaries.append(_Primary(*logic.identity, statements, uses))
        roots.setdefault(logic.identity, set()).update(logic.wanted)
    return compile_program(libraries.values(), roots, model=trees.model), beside


def _settled(
    content: Content,
    program: Program,
    measures: list[MeasureContent],
    every: list[MeasureContent],
    beside: _Beside,
    value_sets: ValueSetIndex,
    missing: MissingPolicy,
) -> Compiled:
    notices = list(beside.notices)
    definitions = []
    for measure, primary in zip(every, beside.primaries, strict=True):
        notices += missing_value_sets(primary.uses, value_sets, missing)
        definitions.append(_definition(measure, primary.name, primary.version, primary.statements))
    whole = dict(zip(every, composites_composed(content, every, definitions), strict=True))
    return Compiled(program, tuple(whole[measure] for measure in measures), tuple(notices))


def _has_no_logic(measure: MeasureContent) -> bool:
    """Whether it is a composite that needs no library of its own; any other measure without one is refused
    where it is read."""
    return not measure.resource.get("library")


def _definition(
    measure: MeasureContent, name: str, version: str | None, statements: list[str]
) -> MeasureDefinition:
    """The measure with its criteria as its library names them, looked up in ``Name|version``."""
    if _has_no_logic(measure):
        return read_measure(measure.resource)
    names = set(statements)
    declared = with_demographics(replace(read_measure(measure.resource), library=name), names)
    read = resolve_criteria(declared, names)
    return replace(read, library=f"{name}|{version}")


def _tree(library: ResolvedLibrary) -> elm.Library:
    if library.tree is None:
        raise ContentError(
            "It has neither CQL nor ELM that can be used.",
            where=str(library.content),
            mend="Add its ELM JSON (application/elm+json) or its CQL text (text/cql).",
        )
    return library.tree


def _key(content: Content, measures: list[MeasureContent], trees: LibraryTrees) -> str | None:
    """The cache key of some measures; None where the content has a fault, which compiling will report."""
    digest = hashlib.blake2b(engine_digest(), digest_size=20)
    digest.update(trees.digest())
    seen: set[LibraryContent] = set()
    try:
        for measure in measures:
            digest.update(msgspec.json.encode(measure.resource, order="deterministic"))
            pending = [] if _has_no_logic(measure) else [content.primary_library(measure)]
            while pending:
                library = pending.pop()
                if library in seen:
                    continue
                seen.add(library)
                digest.update(f"|{library.name}|{library.version}|".encode())
                digest.update(library.digest())
                for include in trees.includes(library):
                    pending.append(content.resolve(include.name, include.version, include.namespace or None))
    except ContentError:
        return None
    return digest.hexdigest()
