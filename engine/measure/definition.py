"""What a FHIR R4 Measure says, as plain values (QM IG "Measure conformance" and "Composite measures").

:func:`measurewise.engine.measure.reading.read_measure` makes a :class:`MeasureDefinition` of a Measure
resource. Whatever the standard lets stand at the measure or at the group (scoring, population basis,
improvement notation, rate aggregation, composite scoring) stands here at the group.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Scoring(StrEnum):
    """http://terminology.hl7.org/CodeSystem/measure-scoring."""

    PROPORTION = "proportion"
    RATIO = "ratio"
    CONTINUOUS_VARIABLE = "continuous-variable"
    COHORT = "cohort"
    COMPOSITE = "composite"


class PopulationCode(StrEnum):
    """http://terminology.hl7.org/CodeSystem/measure-population."""

    INITIAL_POPULATION = "initial-population"
    NUMERATOR = "numerator"
    NUMERATOR_EXCLUSION = "numerator-exclusion"
    DENOMINATOR = "denominator"
    DENOMINATOR_EXCLUSION = "denominator-exclusion"
    DENOMINATOR_EXCEPTION = "denominator-exception"
    MEASURE_POPULATION = "measure-population"
    MEASURE_POPULATION_EXCLUSION = "measure-population-exclusion"
    MEASURE_OBSERVATION = "measure-observation"


class AggregateMethod(StrEnum):
    """http://hl7.org/fhir/us/cqfmeasures/CodeSystem/aggregate-method, and ``mode``."""

    SUM = "sum"
    AVERAGE = "average"
    MEDIAN = "median"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    COUNT = "count"
    MODE = "mode"


class CompositeScoring(StrEnum):
    """http://terminology.hl7.org/CodeSystem/composite-measure-scoring."""

    OPPORTUNITY = "opportunity"
    ALL_OR_NOTHING = "all-or-nothing"
    LINEAR = "linear"
    WEIGHTED = "weighted"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a measure that a person should hear of and that does not stop it: what and where."""

    what: str
    where: str


@dataclass(frozen=True, slots=True)
class Criteria:
    """A named definition or function; ``library`` is an alias or name only where the Measure qualified it."""

    name: str
    library: str | None = None


@dataclass(frozen=True, slots=True)
class Population:
    """One ``Measure.group.population`` other than an observation.

    ``criteria`` is None only for the populations of a composite, which are made from its components.
    ``concept`` is the CodeableConcept as the Measure has it. ``initial`` is, for the denominator and the
    numerator of a ratio with two initial populations, the position in ``Group.populations`` of its own.
    """

    code: PopulationCode
    criteria: Criteria | None
    id: str | None = None
    description: str | None = None
    concept: dict[str, Any] = field(default_factory=dict, compare=False)
    initial: int | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One measure observation; ``source`` is the position in ``Group.populations`` of what it observes."""

    criteria: Criteria | None
    source: int
    aggregate: AggregateMethod
    id: str | None = None
    description: str | None = None
    concept: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class StratifierComponent:
    """One expression that a stratifier divides by."""

    criteria: Criteria
    id: str | None = None
    description: str | None = None
    concept: dict[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Stratifier:
    """A stratifier: one component for plain criteria, several for ``component``s.

    ``applies_to`` holds population codes; empty means every population of the group.
    """

    components: tuple[StratifierComponent, ...]
    is_multi: bool = False
    id: str | None = None
    description: str | None = None
    concept: dict[str, Any] | None = field(default=None, compare=False)
    applies_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a composite: a measure (``url`` or ``url|version``), its group, its weight if stated."""

    measure: str
    group_id: str | None = None
    weight: Decimal | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Composite:
    """How a composite group is put together.

    ``groups`` are the components' own groups, in the order of the components, each with criteria that name
    their library; empty until the components are found (``composite.composed``).
    """

    scoring: CompositeScoring
    components: tuple[Component, ...]
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One ``Measure.group``: a rate with its own score.

    ``basis`` is ``"boolean"`` or the type that the population criteria return a list of.
    """

    scoring: Scoring
    basis: str
    populations: tuple[Population, ...]
    observations: tuple[Observation, ...] = ()
    stratifiers: tuple[Stratifier, ...] = ()
    id: str | None = None
    description: str | None = None
    concept: dict[str, Any] | None = field(default=None, compare=False)
    improvement_notation: str | None = None
    rate_aggregation: str | None = None
    composite: Composite | None = None

    def position(self, code: PopulationCode) -> int | None:
        """Where the first population of a code stands, or None."""
        for index, population in enumerate(self.populations):
            if population.code is code:
                return index
        return None


@dataclass(frozen=True, slots=True)
class SupplementalData:
    """One ``Measure.supplementalData``; ``usage`` holds ``supplemental-data``, ``risk-adjustment-factor``."""

    criteria: Criteria
    usage: tuple[str, ...]
    id: str | None = None
    description: str | None = None
    concept: dict[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class MeasureDefinition:
    """A measure. ``library`` is the name its criteria are looked up in; ``libraries`` the canonical URLs."""

    url: str
    version: str | None
    name: str
    title: str | None
    library: str
    libraries: tuple[str, ...]
    groups: tuple[Group, ...]
    supplemental_data: tuple[SupplementalData, ...] = ()
    effective_period: tuple[str | None, str | None] | None = None
    notices: tuple[Notice, ...] = ()

    @property
    def canonical(self) -> str:
        """``url|version``, as a report names the measure."""
        return f"{self.url}|{self.version}" if self.version else self.url
