"""What every use of the retrieves of some measures asks of the resources."""

from __future__ import annotations

from collections.abc import Sequence

from measurewise.engine.compiler.prefilter.requirements import Requirement
from measurewise.engine.compiler.prefilter.uses import Asked, uses_of
from measurewise.engine.content.content import Content, MeasureContent
from measurewise.engine.runner.compilation import logic_of
from measurewise.engine.runner.composites import with_components
from measurewise.engine.runner.translation import LibraryTrees


def retrieve_uses(
    content: Content, measures: Sequence[MeasureContent], trees: LibraryTrees
) -> dict[Asked, tuple[Requirement, ...]] | None:
    """What each use of a retrieve asks of its rows, for the criteria of some measures and their components;
    None where their logic could not be followed."""
    found: dict[Asked, dict[Requirement, None]] = {}
    for measure in with_components(content, measures):
        logic = logic_of(measure, trees, [])
        if logic is None:
            continue
        uses = uses_of(logic.libraries, logic.identity, sorted(logic.wanted), model=trees.model)
        if uses is None:
            return None
        for asked, wanted in uses.items():
            found.setdefault(asked, {}).update(dict.fromkeys(wanted))
    return {asked: tuple(wanted) for asked, wanted in found.items()}
