"""One patient's membership in every population of a measure (QM IG "Measure conformance", 3.4).

The formulas of the standard, which :class:`GroupEvaluator` follows for either basis:

================== =======================================================================================
proportion         initial population ⊇ denominator ⊇ denominator exclusion; the numerator is drawn from the
                   denominator without its exclusions; numerator exclusion ⊆ numerator; the exceptions are
                   drawn from the denominator without exclusions and without the numerator
ratio              denominator and numerator are each drawn from their initial population, neither from the
                   other; each has its exclusion and its observations
continuous         initial population ⊇ measure population ⊇ measure population exclusion; observations of
variable           the measure population without its exclusions
cohort             the initial population alone
================== =======================================================================================

So a population's count includes those that its exclusion then takes away (a numerator of 1 with a numerator
exclusion of 1), an exclusion never counts outside its population, and an exception is never counted where
the numerator was met. A null criterion is false, or an empty list (3.4.2).

A criterion is evaluated only where some member could still be in it: who is not in the initial population
costs one definition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from measurewise.engine.errors import ContentError, EvaluationError
from measurewise.engine.measure.aggregates import observed
from measurewise.engine.measure.composition import CompositeEvaluator
from measurewise.engine.measure.definition import (
    Criteria,
    Group,
    MeasureDefinition,
    Observation,
    PopulationCode,
    Scoring,
)
from measurewise.engine.measure.definitions import Definitions
from measurewise.engine.measure.membership import Members, distinct, intersect, minus
from measurewise.engine.measure.results import (
    GroupResult,
    Observed,
    PatientResult,
    StratumResult,
    reference_of,
)
from measurewise.engine.measure.stratifiers import evaluate_stratifier

_NO_MEMBERS: Final[Members] = []
_THE_PATIENT: Final[Members] = [True]


class Evaluator:
    """A measure made ready to be evaluated for one patient after another.

    ``supplemental_data`` and ``evaluated_resources`` say whether results shall carry these; both cost time
    that a summary does not need.
    """

    __slots__ = ("_canonical", "_evaluated_resources", "_groups", "_supplemental_data", "measure")

    def __init__(
        self,
        measure: MeasureDefinition,
        *,
        supplemental_data: bool = False,
        evaluated_resources: bool = False,
    ) -> None:
        self.measure = measure
        self._canonical = measure.canonical
        self._groups = [
            _group_evaluator(group, measure.library, f"Measure {measure.name}, group {group.id or number}")
            for number, group in enumerate(measure.groups, 1)
        ]
        self._supplemental_data = measure.supplemental_data if supplemental_data else ()
        self._evaluated_resources = evaluated_resources

    def __call__(self, definitions: Definitions, subject: str) -> PatientResult:
        """The result of one patient; ``subject`` is the reference (``Patient/123``).

        Raises :class:`EvaluationError` where a criterion's value is not what the population basis asks for.
        """
        groups = tuple([evaluator(definitions) for evaluator in self._groups])
        supplemental: tuple[Any, ...] = ()
        if self._supplemental_data:
            library = self.measure.library
            supplemental = tuple(
                [
                    definitions.value(item.criteria.library or library, item.criteria.name)
                    for item in self._supplemental_data
                ]
            )
        references: tuple[str, ...] = ()
        if self._evaluated_resources:
            named = (reference_of(resource) for resource in definitions.evaluated_resources())
            references = tuple(dict.fromkeys(name for name in named if name is not None))
        return PatientResult(self._canonical, subject, groups, supplemental, references)


def evaluate_patient(
    measure: MeasureDefinition,
    definitions: Definitions,
    subject: str,
    *,
    supplemental_data: bool = False,
    evaluated_resources: bool = False,
) -> PatientResult:
    """One patient's result; :class:`Evaluator` is the same for many patients."""
    evaluator = Evaluator(
        measure, supplemental_data=supplemental_data, evaluated_resources=evaluated_resources
    )
    return evaluator(definitions, subject)


def _group_evaluator(group: Group, library: str, where: str) -> Callable[[Definitions], GroupResult]:
    if group.composite is None:
        return GroupEvaluator(group, library, where)
    if not group.composite.groups:
        raise ContentError(
            "the components of the composite have not been found.",
            where=where,
            mend="Prepare the measure with the content that holds its components.",
        )
    parts = [
        GroupEvaluator(part, library, f"{where}, component {component.measure}")
        for component, part in zip(group.composite.components, group.composite.groups, strict=True)
    ]
    return CompositeEvaluator(group, library, parts)


class GroupEvaluator:
    """One group of a measure, evaluated patient by patient.

    Units are what is counted: on a boolean basis ``[True]`` for the patient or ``[]``, else the members.
    """

    __slots__ = ("_at", "_boolean", "_criteria", "_initial", "_library", "_nobody", "_run", "_where", "group")

    def __init__(self, group: Group, library: str, where: str) -> None:
        self.group = group
        self._library = library
        self._where = where
        self._boolean = group.basis == "boolean"
        self._criteria = [population.criteria for population in group.populations]
        self._at = {code: group.position(code) for code in PopulationCode}
        self._initial = [
            index
            for index, population in enumerate(group.populations)
            if population.code is PopulationCode.INITIAL_POPULATION
        ]
        runs: dict[Scoring, Callable[[Definitions, list[Members]], list[Members]]] = {
            Scoring.PROPORTION: self._proportion,
            Scoring.RATIO: self._ratio,
            Scoring.CONTINUOUS_VARIABLE: self._continuous_variable,
        }
        self._run = runs.get(group.scoring)
        empty: tuple[Any, ...] = ()
        self._nobody = GroupResult(
            counts=(0,) * len(group.populations),
            members=() if self._boolean else (empty,) * len(group.populations),
            observations=(empty,) * len(group.observations),
            strata=(empty,) * len(group.stratifiers),
        )

    def __call__(self, definitions: Definitions) -> GroupResult:
        """The patient's counts, members, observations and strata in this group."""
        units: list[Members] = [_NO_MEMBERS] * len(self._criteria)
        anybody = False
        for index in self._initial:
            units[index] = found = self._units(definitions, index)
            if found:
                anybody = True
        if not anybody:
            return self._nobody
        included = units if self._run is None else self._run(definitions, units)
        group = self.group
        observations: tuple[tuple[Observed, ...], ...] = ()
        if group.observations:
            observations = tuple(
                [self._observe(definitions, item, included[item.source]) for item in group.observations]
            )
        strata: tuple[tuple[StratumResult, ...], ...] = ()
        if group.stratifiers:
            strata = tuple(
                [
                    evaluate_stratifier(item, group, definitions, self._library, units, observations)
                    for item in group.stratifiers
                ]
            )
        return GroupResult(
            tuple([len(members) for members in units]),
            () if self._boolean else tuple([tuple(members) for members in units]),
            observations,
            strata,
        )

    def _proportion(self, definitions: Definitions, units: list[Members]) -> list[Members]:
        denominator = self._within(
            definitions,
            units,
            PopulationCode.DENOMINATOR,
            self._initial_of(units, PopulationCode.DENOMINATOR),
        )
        excluded = self._within(definitions, units, PopulationCode.DENOMINATOR_EXCLUSION, denominator)
        eligible = minus(denominator, excluded)
        numerator = self._within(definitions, units, PopulationCode.NUMERATOR, eligible)
        self._within(definitions, units, PopulationCode.NUMERATOR_EXCLUSION, numerator)
        self._within(definitions, units, PopulationCode.DENOMINATOR_EXCEPTION, minus(eligible, numerator))
        return units

    def _ratio(self, definitions: Definitions, units: list[Members]) -> list[Members]:
        included = list(units)
        for code, exclusion in (
            (PopulationCode.DENOMINATOR, PopulationCode.DENOMINATOR_EXCLUSION),
            (PopulationCode.NUMERATOR, PopulationCode.NUMERATOR_EXCLUSION),
        ):
            population = self._within(definitions, units, code, self._initial_of(units, code))
            excluded = self._within(definitions, units, exclusion, population)
            position = self._at[code]
            if position is not None:
                included[position] = minus(population, excluded)
        return included

    def _continuous_variable(self, definitions: Definitions, units: list[Members]) -> list[Members]:
        code = PopulationCode.MEASURE_POPULATION
        population = self._within(definitions, units, code, units[self._initial[0]])
        excluded = self._within(definitions, units, PopulationCode.MEASURE_POPULATION_EXCLUSION, population)
        included = list(units)
        position = self._at[code]
        if position is not None:
            included[position] = minus(population, excluded)
        return included

    def _initial_of(self, units: list[Members], code: PopulationCode) -> Members:
        position = self._at[code]
        initial = None if position is None else self.group.populations[position].initial
        return units[self._initial[0] if initial is None else initial]

    def _within(
        self, definitions: Definitions, units: list[Members], code: PopulationCode, base: Members
    ) -> Members:
        """The members of ``base`` that meet the population's criterion, also noted in ``units``."""
        index = self._at[code]
        if index is None or not base:
            return _NO_MEMBERS
        found = self._units(definitions, index)
        units[index] = result = found if self._boolean else intersect(base, found)
        return result

    def _units(self, definitions: Definitions, index: int) -> Members:
        criteria = self._criteria[index]
        if criteria is None:
            raise EvaluationError(
                "a composite has no criteria of its own.",
                where=self._where,
                mend="Evaluate its components and combine their results.",
            )
        value = definitions.value(criteria.library or self._library, criteria.name)
        if self._boolean:
            if value is True:
                return _THE_PATIENT
            if value is False or value is None:
                return _NO_MEMBERS
            raise EvaluationError(
                f"{criteria.name!r} yielded a {type(value).__name__}, and the population basis is boolean.",
                where=self._where,
                mend="Set cqfm-populationBasis to the type the criteria return, or return a Boolean.",
            )
        if value is None:
            return _NO_MEMBERS
        if type(value) is list:
            return distinct(value)
        if type(value) is bool:
            raise EvaluationError(
                f"{criteria.name!r} yielded a Boolean, and the population basis is {self.group.basis}.",
                where=self._where,
                mend="Set cqfm-populationBasis to boolean, or let the criteria return a list.",
            )
        return [value]

    def _observe(
        self, definitions: Definitions, observation: Observation, members: Members
    ) -> tuple[Observed, ...]:
        criteria = observation.criteria
        if criteria is None or not members:
            return ()
        where = f"{self._where}, observation {observation.id or criteria.name}"
        library = criteria.library or self._library
        if self._boolean:
            return (observed(None, _patient_value(definitions, library, criteria), where),)
        return tuple(
            [observed(member, definitions.call(library, criteria.name, member), where) for member in members]
        )


def _patient_value(definitions: Definitions, library: str, criteria: Criteria) -> Any:
    """A patient-based observation: a function of no parameters (QM IG 3.12, 3.13) or a plain definition."""
    if definitions.has(library, criteria.name):
        return definitions.value(library, criteria.name)
    return definitions.call(library, criteria.name)
