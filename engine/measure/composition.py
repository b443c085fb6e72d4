"""Composite measures put together and evaluated: their components found, checked, and run for a patient.

A composite brings no logic but its scoring (QM IG chapter 5). :func:`composed` gives its groups those of
their components, so that from then on it can be evaluated, summed up and reported by itself;
:class:`CompositeEvaluator` evaluates them. What the components' definitions share is evaluated once, because
all of a run's measures share one program.

Two points of the text are settled here. The weight extension has two sentences that do not agree (each weight
must be specified; one that is not is 1): where no component states a weight, each counts once, with a notice;
where only some do, that is an error, since 1 beside a 0.2 is hardly meant. A component may be a group of the
composite's own Measure (5.10), but not a composite (5.5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.composite import (
    check_component,
    component_group,
    composite_result,
    scored_components,
)
from measurewise.engine.measure.definition import (
    Component,
    Composite,
    CompositeScoring,
    Criteria,
    Group,
    MeasureDefinition,
    Notice,
    PopulationCode,
    SupplementalData,
)
from measurewise.engine.measure.definitions import Definitions
from measurewise.engine.measure.results import GroupResult
from measurewise.engine.measure.stratifiers import evaluate_stratifier


def is_composite(measure: MeasureDefinition) -> bool:
    """Whether any group of a measure is a composite."""
    return any(group.composite is not None for group in measure.groups)


def composed(measure: MeasureDefinition, components: Mapping[str, MeasureDefinition]) -> MeasureDefinition:
    """The measure with its composite groups knowing their components' groups.

    ``components`` are the measures of the components by the canonical that the composite names them with,
    each with its ``library``. The supplemental data of the components become the composite's, by name (5.9).
    Raises :class:`ContentError` for a component that does not go with the method, a group that is not there,
    weights that are not all stated, and stratifiers or supplemental data of a composite without a library.
    """
    notices: list[Notice] = []
    groups = []
    used: dict[str, MeasureDefinition] = {}
    for number, group in enumerate(measure.groups, 1):
        if group.composite is not None:
            where = f"Measure {measure.name}, group {group.id or number}"
            notices += _check_weights(group.composite, where)
            _check_stratifiers(group, measure, where)
            found = [
                _component(group, component, components[component.measure], where)
                for component in group.composite.components
            ]
            used.update(
                (component.measure, components[component.measure]) for component in group.composite.components
            )
            group = replace(group, composite=replace(group.composite, groups=tuple(found)))
        groups.append(group)
    return replace(
        measure,
        groups=tuple(groups),
        supplemental_data=_supplemental_data(measure, list(used.values())),
        notices=(*measure.notices, *notices),
    )


class CompositeEvaluator:
    """One composite group, evaluated patient by patient; ``parts`` evaluate its components."""

    __slots__ = ("_groups", "_initial", "_library", "_parts", "group")

    def __init__(
        self, group: Group, library: str, parts: Sequence[Callable[[Definitions], GroupResult]]
    ) -> None:
        self.group = group
        self._groups = group.composite.groups if group.composite is not None else ()
        self._library = library
        self._parts = parts
        self._initial = group.position(PopulationCode.INITIAL_POPULATION)

    def __call__(self, definitions: Definitions) -> GroupResult:
        """The patient's result, put together from those of the components."""
        found = [part(definitions) for part in self._parts]
        group = self.group
        result = composite_result(group, list(zip(self._groups, found, strict=True)))
        if not group.stratifiers:
            return result
        if not self._is_in_initial_population(result):
            return replace(result, strata=((),) * len(group.stratifiers))
        units: list[list[Any]] = (
            [list(members) for members in result.members]
            if result.members
            else [[True] * count for count in result.counts]
        )
        strata = tuple(
            evaluate_stratifier(stratifier, group, definitions, self._library, units, result.observations)
            for stratifier in group.stratifiers
        )
        if result.components:
            strata = tuple(
                tuple(replace(stratum, components=result.components) for stratum in of_stratifier)
                for of_stratifier in strata
            )
        return replace(result, strata=strata)

    def _is_in_initial_population(self, result: GroupResult) -> bool:
        if self._initial is not None:
            return result.counts[self._initial] > 0
        return any(
            count and population.code is PopulationCode.INITIAL_POPULATION
            for part, of_part in zip(scored_components(self.group), result.components, strict=True)
            for population, count in zip(part.populations, of_part.counts, strict=True)
        )


def _component(composite: Group, component: Component, measure: MeasureDefinition, where: str) -> Group:
    """A component's group as the composite needs it."""
    try:
        group = measure.groups[component_group(component, measure)]
        if group.composite is not None:
            raise ContentError(
                "a component is a composite itself.",
                mend="Name the measures that it is composed of (QM IG 5.5).",
            )
        check_component(composite, group)
    except ContentError as error:
        raise ContentError(
            error.what, where=f"{where}, component {component.measure}", mend=error.mend
        ) from None
    weighted = composite.composite is not None and composite.composite.scoring is CompositeScoring.WEIGHTED
    return replace(
        group,
        populations=tuple(
            replace(item, criteria=_at_home(item.criteria, measure)) for item in group.populations
        ),
        observations=tuple(
            replace(item, criteria=_at_home(item.criteria, measure)) for item in group.observations
        )
        if weighted
        else (),
        stratifiers=(),
    )


def _at_home(criteria: Criteria | None, measure: MeasureDefinition) -> Criteria | None:
    """The criteria with the library that they stand in, for use by another measure."""
    if criteria is None or criteria.library is not None:
        return criteria
    return replace(criteria, library=measure.library)


def _check_weights(composite: Composite, where: str) -> list[Notice]:
    if composite.scoring is not CompositeScoring.WEIGHTED:
        return []
    weights = [component.weight for component in composite.components]
    missing = [component.measure for component in composite.components if component.weight is None]
    if len(missing) == len(weights):
        return [Notice("no component states a weight; each counts once (QM IG 5.4)", where)]
    if missing:
        raise ContentError(
            f"the composite is weighted, and {len(missing)} of its {len(weights)} components have no weight: "
            f"{', '.join(missing)}.",
            where=where,
            mend="Add a cqfm-weight extension to the relatedArtifact of each component.",
        )
    if any(weight is not None and (not weight.is_finite() or weight < 0) for weight in weights) or not any(
        weights
    ):
        raise ContentError(
            f"the weights {', '.join(map(str, weights))} give no average.",
            where=where,
            mend="Correct the cqfm-weight extensions: none below zero, and not all of them zero.",
        )
    return []


def _check_stratifiers(group: Group, measure: MeasureDefinition, where: str) -> None:
    if not group.stratifiers:
        return
    if not measure.libraries:
        raise ContentError(
            "the composite has stratifiers, and the Measure names no library that defines them.",
            where=where,
            mend="Set Measure.library to the library that holds the stratifiers' criteria.",
        )
    method = group.composite.scoring if group.composite is not None else None
    if group.basis != "boolean" and method in (CompositeScoring.OPPORTUNITY, CompositeScoring.WEIGHTED):
        raise ContentError(
            f"a composite scored as {method} has no members of the basis {group.basis} to stratify.",
            where=where,
            mend="Give the composite the population basis boolean, or take its stratifiers out.",
        )


def _supplemental_data(
    measure: MeasureDefinition, components: Sequence[MeasureDefinition]
) -> tuple[SupplementalData, ...]:
    if measure.supplemental_data and not measure.libraries:
        raise ContentError(
            "the Measure has supplemental data, and names no library that defines them.",
            where=f"Measure {measure.name}",
            mend="Set Measure.library to the library that holds their criteria.",
        )
    by_name = {item.criteria.name: item for item in measure.supplemental_data}
    for component in components:
        for item in component.supplemental_data:
            criteria = replace(item.criteria, library=item.criteria.library or component.library)
            by_name.setdefault(criteria.name, replace(item, criteria=criteria))
    return tuple(by_name.values())
