"""What must be true of a patient who is in an initial population of some measures."""

from __future__ import annotations

from collections.abc import Sequence

from measurewise.engine.compiler.prefilter import ANYTHING, Requirement, any_of, derive
from measurewise.engine.content.content import MeasureContent
from measurewise.engine.errors import ContentError
from measurewise.engine.measure.definition import Group, MeasureDefinition, PopulationCode
from measurewise.engine.runner.translation import LibraryTrees


def initial_requirement(
    contents: Sequence[MeasureContent], measures: Sequence[MeasureDefinition], trees: LibraryTrees
) -> Requirement:
    """What holds of every patient who is in an initial population of any of some measures.

    ``measures`` are the definitions of ``contents``, in the same order, with their criteria settled.
    """
    return any_of(
        _of_measure(content, measure, trees) for content, measure in zip(contents, measures, strict=True)
    )


def _of_measure(content: MeasureContent, measure: MeasureDefinition, trees: LibraryTrees) -> Requirement:
    names: set[str] = set()
    for group in measure.groups:
        found = _criteria(group)
        if not found:
            return ANYTHING
        names |= found
    if not names:
        return ANYTHING
    closure = trees.closure(content, [])
    libraries = [library.tree for library in closure if library.tree is not None]
    if len(libraries) < len(closure):
        raise ContentError("It has neither CQL nor ELM that can be used.", where=str(content))
    own = libraries[-1].identifier
    return any_of(
        derive(libraries, (own.id or "", own.version), name, model=trees.model) for name in sorted(names)
    )


def _criteria(group: Group) -> set[str]:
    """The definitions of a group's initial populations; none where they are not all of the measure's own
    library, so that everybody may be in."""
    found: set[str] = set()
    for population in group.populations:
        if population.code != PopulationCode.INITIAL_POPULATION:
            continue
        if population.criteria is None or population.criteria.library is not None:
            return set()
        found.add(population.criteria.name)
    return found
