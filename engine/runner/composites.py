"""The components of composite measures, found in the content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from measurewise.engine.content.content import Content, MeasureContent
from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.measure.composite import component_group
from measurewise.engine.measure.composition import composed, is_composite
from measurewise.engine.measure.definition import Group, MeasureDefinition
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.terminology.canonical import split_canonical, version_key


def with_components(content: Content, measures: Sequence[MeasureContent]) -> list[MeasureContent]:
    """Some measures and, after them, those that they are composed of; each once.

    Raises NotFoundError for a component that the content does not hold, ContentError for composites that are
    composed of each other.
    """
    search = _Search(content)
    for measure in measures:
        search.enter(measure)
    return list(dict.fromkeys([*measures, *search.components]))


def composites_composed(
    content: Content, measures: Sequence[MeasureContent], definitions: Sequence[MeasureDefinition]
) -> list[MeasureDefinition]:
    """The definitions, aligned with what :func:`with_components` gave, with the composites put together.

    Raises ContentError where components and composite do not go together (``composition.composed``).
    """
    by_measure: Mapping[MeasureContent, MeasureDefinition] = dict(zip(measures, definitions, strict=True))
    return [
        composed(
            definition,
            {
                component.measure: by_measure[_component(content, measure, component.measure)]
                for group in definition.groups
                if group.composite is not None
                for component in group.composite.components
            },
        )
        if is_composite(definition)
        else definition
        for measure, definition in by_measure.items()
    ]


class _Search:
    """A walk from composites to their components, group by group: a component may be a group of the
    composite's own Measure, and still not the composite itself."""

    def __init__(self, content: Content) -> None:
        self.components: list[MeasureContent] = []
        self._content = content
        self._definitions: dict[MeasureContent, MeasureDefinition] = {}
        self._path: list[tuple[MeasureContent, int]] = []

    def enter(self, measure: MeasureContent) -> None:
        """Follow every composite group of a measure."""
        for position, group in enumerate(self._definition(measure).groups):
            if group.composite is not None:
                self._follow(measure, position, group)

    def _follow(self, measure: MeasureContent, position: int, group: Group) -> None:
        here = (measure, position)
        if here in self._path:
            circle = [*self._path[self._path.index(here) :], here]
            raise ContentError(
                f"composite measures are composed of each other in a circle: "
                f"{' -> '.join(str(of) for of, _ in circle)}.",
                where=measure.source,
                mend="Take one of them out of the other's relatedArtifacts.",
            )
        self._path.append(here)
        for component in group.composite.components if group.composite is not None else ():
            found = _component(self._content, measure, component.measure)
            definition = self._definition(found)
            try:
                at = component_group(component, definition)
            except ContentError as error:
                raise ContentError(
                    f"measure {measure}: {error.what}", where=measure.source, mend=error.mend
                ) from None
            self.components.append(found)
            if definition.groups[at].composite is not None:
                self._follow(found, at, definition.groups[at])
        self._path.pop()

    def _definition(self, measure: MeasureContent) -> MeasureDefinition:
        known = self._definitions.get(measure)
        if known is None:
            known = self._definitions[measure] = read_measure(measure.resource)
        return known


def _component(content: Content, composite: MeasureContent, canonical: str) -> MeasureContent:
    """The measure that a canonical means: of the version it names, else the highest there is."""
    url, version = split_canonical(canonical)
    there = [measure for measure in content.measures if measure.url == url]
    found = [measure for measure in there if version in (None, measure.version)]
    if found:
        return max(found, key=lambda measure: version_key(measure.version))
    versions = ", ".join(str(measure.version) for measure in there)
    raise NotFoundError(
        f"measure {composite} is composed of {canonical}, but "
        + (f"there is version {versions}." if there else "there is no such measure."),
        where=composite.source,
        mend="Add that version of the measure to the content." if there else "Add it to the content.",
    )
