"""The algebra of composite measures: component results combined (QM IG chapter 5, "Composite Measures").

All-or-nothing, opportunity and linear are individual-based: a patient's component results are combined into
a :class:`GroupResult` of the composite, which then is accumulated, scored and reported like any other.
Weighted is component-based: a patient's result carries those of the components, which are summed up, and the
components' scores over all patients are averaged by weight. ``composition.py`` finds the components and
evaluates them.

Three points of the text are settled here. The criteria that the formulas combine are taken as the components'
populations, that is with the dependencies between them applied (3.10). The snippet of the linear method
leaves the numerator out of "Is In Component Numerator", which would make it equal to the denominator; its
prose counts numerators, and so does this. A component whose improvement notation is not the composite's is
turned round: its members fulfil it by not being in the numerator, and its score is one minus itself (5.5).

A component on a resource basis counts, in a boolean composite, for the patient by having any member (5.6).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.aggregates import Number
from measurewise.engine.measure.definition import (
    Component,
    CompositeScoring,
    Group,
    MeasureDefinition,
    PopulationCode,
    Scoring,
)
from measurewise.engine.measure.membership import Members, distinct, intersect, minus
from measurewise.engine.measure.results import GroupResult, Observed

_PATIENT = [True]


def component_group(component: Component, measure: MeasureDefinition) -> int:
    """Which group of a component's measure the composite uses, by position.

    Raises :class:`ContentError` where the group it names is not there, or it names none of several (5.8).
    """
    if component.group_id is None:
        if len(measure.groups) == 1:
            return 0
        raise ContentError(
            f"the component {component.measure} has {len(measure.groups)} groups.",
            mend="Name one with the cqfm-groupId extension of the relatedArtifact (QM IG 5.8).",
        )
    for index, group in enumerate(measure.groups):
        if group.id == component.group_id:
            return index
    raise ContentError(
        f"the component {component.measure} has no group {component.group_id!r}.",
        mend="Correct the cqfm-groupId extension of the relatedArtifact.",
    )


def check_component(composite: Group, component: Group) -> None:
    """Raises :class:`ContentError` where a component's scoring or basis does not go with the method
    (5.5, 5.6)."""
    method = _method(composite)
    if method is CompositeScoring.WEIGHTED:
        if component.scoring is Scoring.COHORT:
            raise ContentError(
                "a cohort component has no score to weigh.",
                mend="Take proportion, ratio and continuous-variable components (QM IG 5.5).",
            )
        return
    if component.scoring not in (Scoring.PROPORTION, Scoring.RATIO):
        raise ContentError(
            f"a {component.scoring} component has no numerator to combine.",
            mend="Individual-based composites take proportion and ratio components (QM IG 5.5).",
        )
    if composite.basis not in ("boolean", component.basis):
        raise ContentError(
            f"a composite on the basis {composite.basis} has a component on the basis {component.basis}.",
            mend="Give all components of an individual-based composite one basis (QM IG 5.6).",
        )


def composite_result(composite: Group, parts: Sequence[tuple[Group, GroupResult]]) -> GroupResult:
    """One patient's composite result from its component results, in the order of the components.

    The components are such as :func:`check_component` lets pass.
    """
    method = _method(composite)
    if method is CompositeScoring.WEIGHTED:
        return GroupResult(counts=(), components=tuple(result for _, result in parts))
    memberships = [_Membership(composite, group, result) for group, result in parts]
    if method is CompositeScoring.ALL_OR_NOTHING:
        return _all_or_nothing(composite, memberships)
    if method is CompositeScoring.OPPORTUNITY:
        return _opportunity(composite, memberships)
    return _linear(composite, memberships)


def weighted_score(composite: Group, parts: Sequence[tuple[Group, Number | None]]) -> Number | None:
    """The weighted average of component scores, in the order of the components.

    A component without a score (nobody in its denominator) leaves the average, with its weight. A component
    that states no weight counts once, as in the component-level linear combination. None where no weight is
    left.
    """
    if composite.composite is None or composite.composite.scoring is not CompositeScoring.WEIGHTED:
        raise ContentError("the group is not a weighted composite.")
    total = Fraction(0)
    weights = Fraction(0)
    for component, (group, component_score) in zip(composite.composite.components, parts, strict=True):
        if component_score is None:
            continue
        weight = Fraction(1) if component.weight is None else Fraction(component.weight)
        turned = _is_turned(composite, group) and group.scoring is not Scoring.CONTINUOUS_VARIABLE
        total += weight * (1 - component_score if turned else component_score)
        weights += weight
    return total / weights if weights else None


def scored_components(group: Group) -> tuple[Group, ...]:
    """The groups whose scores make up a group's own: those of a weighted composite, none for any other."""
    how = group.composite
    return how.groups if how is not None and how.scoring is CompositeScoring.WEIGHTED else ()


def _method(composite: Group) -> CompositeScoring:
    if composite.composite is None:
        raise ContentError("the group is not a composite.", mend="Give the group that has scoring composite.")
    return composite.composite.scoring


def _is_turned(composite: Group, component: Group) -> bool:
    mine, theirs = composite.improvement_notation, component.improvement_notation
    return mine is not None and theirs is not None and mine != theirs


class _Membership:
    """One component's populations on the composite's basis."""

    def __init__(self, composite: Group, group: Group, result: GroupResult) -> None:
        self._boolean = composite.basis == "boolean"
        self._group = group
        self._result = result
        self.initial = self._of(PopulationCode.INITIAL_POPULATION)
        self.denominator = self._of(PopulationCode.DENOMINATOR)
        self.denominator_exclusion = self._of(PopulationCode.DENOMINATOR_EXCLUSION)
        self.denominator_exception = self._of(PopulationCode.DENOMINATOR_EXCEPTION)
        self.numerator_exclusion = self._of(PopulationCode.NUMERATOR_EXCLUSION)
        self.numerator = self._of(PopulationCode.NUMERATOR)
        self.in_denominator = minus(
            minus(self.denominator, self.denominator_exclusion), self.denominator_exception
        )
        numerator = intersect(minus(self.numerator, self.numerator_exclusion), self.in_denominator)
        if _is_turned(composite, group):
            self.fulfilled = minus(self.in_denominator, numerator)
            self.numerator = self.fulfilled
            self.numerator_exclusion = []
        else:
            self.fulfilled = numerator

    def _of(self, code: PopulationCode) -> Members:
        members: Members = []
        for index, population in enumerate(self._group.populations):
            if population.code is code:
                if self._group.basis == "boolean":
                    members = members or (_PATIENT if self._result.counts[index] else [])
                else:
                    members = members + list(self._result.members[index])
        if self._boolean:
            return _PATIENT if members else []
        return distinct(members)


def _union(lists: Sequence[Members]) -> Members:
    return distinct([member for members in lists for member in members])


def _counted(composite: Group, by_code: dict[PopulationCode, Members]) -> GroupResult:
    members = [by_code[population.code] for population in composite.populations]
    return GroupResult(
        counts=tuple(len(of_population) for of_population in members),
        members=() if composite.basis == "boolean" else tuple(tuple(m) for m in members),
    )


def _all_or_nothing(composite: Group, parts: Sequence[_Membership]) -> GroupResult:
    denominator = _union([part.denominator for part in parts])
    excluded = _union([part.denominator_exclusion for part in parts])
    failed = _union([minus(part.in_denominator, part.fulfilled) for part in parts])
    eligible = minus(denominator, excluded)
    numerator = minus(eligible, failed)
    exceptions = intersect(minus(eligible, numerator), _union([part.denominator_exception for part in parts]))
    return _counted(
        composite,
        {
            PopulationCode.INITIAL_POPULATION: _union([part.initial for part in parts]),
            PopulationCode.DENOMINATOR: denominator,
            PopulationCode.DENOMINATOR_EXCLUSION: excluded,
            PopulationCode.NUMERATOR: numerator,
            PopulationCode.NUMERATOR_EXCLUSION: [],
            PopulationCode.DENOMINATOR_EXCEPTION: exceptions,
        },
    )


def _opportunity(composite: Group, parts: Sequence[_Membership]) -> GroupResult:
    def cases(of: str) -> int:
        return sum(len(getattr(part, of)) for part in parts)

    counts = {
        PopulationCode.INITIAL_POPULATION: cases("initial"),
        PopulationCode.DENOMINATOR: cases("denominator"),
        PopulationCode.DENOMINATOR_EXCLUSION: cases("denominator_exclusion"),
        PopulationCode.NUMERATOR: cases("numerator"),
        PopulationCode.NUMERATOR_EXCLUSION: cases("numerator_exclusion"),
        PopulationCode.DENOMINATOR_EXCEPTION: cases("denominator_exception"),
    }
    return GroupResult(counts=tuple(counts[population.code] for population in composite.populations))


def _linear(composite: Group, parts: Sequence[_Membership]) -> GroupResult:
    initial = _union([part.initial for part in parts])
    population = _union([part.denominator for part in parts])
    excluded = population
    for part in parts:
        excluded = intersect(excluded, part.denominator_exclusion)
    observations: list[Observed] = []
    for member in minus(population, excluded):
        of_member: list[Any] = [member]
        opportunities = sum(len(intersect(of_member, part.in_denominator)) for part in parts)
        fulfilled = sum(len(intersect(of_member, part.fulfilled)) for part in parts)
        value = None if opportunities == 0 else Fraction(fulfilled, opportunities)
        observations.append(Observed(None if composite.basis == "boolean" else member, value))
    result = _counted(
        composite,
        {
            PopulationCode.INITIAL_POPULATION: initial,
            PopulationCode.MEASURE_POPULATION: population,
            PopulationCode.MEASURE_POPULATION_EXCLUSION: excluded,
        },
    )
    return GroupResult(result.counts, result.members, (tuple(observations),))
