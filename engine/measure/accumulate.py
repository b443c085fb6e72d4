"""Many patients' results summed up: streaming, mergeable in any order, of a size that patients do not change.

A worker accumulates its share of the patients in a :class:`SummaryAccumulator` of its own; the shares are
merged. Merging is associative and commutative and an empty accumulator is neutral, so how patients were dealt
out never shows. Everything inside is plain data and pickles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.aggregates import Aggregate, Number
from measurewise.engine.measure.coded import CodedValue, category
from measurewise.engine.measure.composite import scored_components, weighted_score
from measurewise.engine.measure.definition import Group, MeasureDefinition, PopulationCode
from measurewise.engine.measure.results import GroupResult, Observed, PatientResult
from measurewise.engine.measure.scoring import score

MOST_CATEGORIES: Final = 10_000
"""A supplemental datum with more distinct values than this is no category, and is not counted by."""

ByCategory = dict[tuple[CodedValue, ...], list[int]]


@dataclass(slots=True)
class StratumTotals:
    """One stratum's sums; ``counts`` has None where the stratifier does not apply.

    ``components`` are the sums of a weighted composite's components within the stratum.
    """

    counts: list[int | None]
    aggregates: list[Aggregate]
    components: list[GroupTotals] = field(default_factory=list)

    def score(self, group: Group) -> Number | None:
        """The group's score over those in the stratum."""
        return _score(group, self.counts, self.aggregates, self.components)


@dataclass(slots=True)
class GroupTotals:
    """One group's sums.

    ``counts`` and ``aggregates`` are aligned with the group's populations and observations; ``patients`` is
    how many patients have a member in an initial population. ``strata`` has for each stratifier its strata
    by value. ``supplemental_data`` has for each supplemental datum and combination of values how many members
    of each population have it (what QRDA III states for payer, sex, race and ethnicity); each member is in
    one combination, so a datum's counts add up to those of the populations. None stands for a datum of more
    than ``MOST_CATEGORIES`` combinations. ``components`` are the sums of a weighted composite's components.
    """

    counts: list[int]
    aggregates: list[Aggregate]
    patients: int = 0
    strata: list[dict[tuple[CodedValue, ...], StratumTotals]] = field(default_factory=list)
    supplemental_data: list[ByCategory | None] = field(default_factory=list)
    components: list[GroupTotals] = field(default_factory=list)

    def score(self, group: Group) -> Number | None:
        """The group's score over all patients."""
        return _score(group, self.counts, self.aggregates, self.components)


class SummaryAccumulator:
    """The running sums of one measure."""

    __slots__ = ("groups", "measure", "patients")

    def __init__(self, measure: MeasureDefinition) -> None:
        self.measure = measure
        self.patients = 0
        self.groups = [_empty_totals(group, len(measure.supplemental_data)) for group in measure.groups]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SummaryAccumulator)
            and self.measure == other.measure
            and self.patients == other.patients
            and self.groups == other.groups
        )

    __hash__ = None  # type: ignore[assignment]

    def add(self, result: PatientResult) -> None:
        """Count one patient in. Raises :class:`ContentError` for a result of another measure."""
        self._check(result.measure)
        of_patient = [category(value) for value in result.supplemental_data]
        self.patients += 1
        for group, totals, found in zip(self.measure.groups, self.groups, result.groups, strict=True):
            _add_group(group, totals, found, of_patient)

    def add_all(self, results: Iterable[PatientResult]) -> SummaryAccumulator:
        """Count some patients in, and give the accumulator itself."""
        for result in results:
            self.add(result)
        return self

    def merge(self, other: SummaryAccumulator) -> None:
        """Count in what another accumulator of the same measure has counted; the other stays as it is."""
        self._check(other.measure.canonical)
        self.patients += other.patients
        for group, mine, theirs in zip(self.measure.groups, self.groups, other.groups, strict=True):
            _merge_group(group, mine, theirs)

    def scores(self) -> tuple[Number | None, ...]:
        """The score of each group."""
        return tuple(
            totals.score(group) for group, totals in zip(self.measure.groups, self.groups, strict=True)
        )

    def _check(self, measure: str) -> None:
        if measure != self.measure.canonical:
            raise ContentError(
                f"a result of {measure} cannot be counted into a summary of {self.measure.canonical}.",
                mend="Keep one accumulator a measure.",
            )


def _empty_totals(group: Group, supplemental_data: int = 0) -> GroupTotals:
    return GroupTotals(
        counts=[0] * len(group.populations),
        aggregates=[Aggregate(observation.aggregate) for observation in group.observations],
        strata=[{} for _ in group.stratifiers],
        supplemental_data=[{} for _ in range(supplemental_data)],
        components=[_empty_totals(part) for part in scored_components(group)],
    )


def _empty_stratum(group: Group, applicable: Iterable[bool]) -> StratumTotals:
    return StratumTotals(
        [0 if applies else None for applies in applicable],
        [Aggregate(observation.aggregate) for observation in group.observations],
        [_empty_totals(part) for part in scored_components(group)],
    )


def _score(
    group: Group, counts: Sequence[int | None], aggregates: list[Aggregate], components: list[GroupTotals]
) -> Number | None:
    parts = scored_components(group)
    if parts:
        return weighted_score(
            group, [(part, totals.score(part)) for part, totals in zip(parts, components, strict=True)]
        )
    return score(group, counts, aggregates)


def _add_group(
    group: Group, totals: GroupTotals, found: GroupResult, of_patient: list[tuple[CodedValue, ...]]
) -> bool:
    """Whether the patient is in an initial population."""
    counts = totals.counts
    in_initial = False
    for index, count in enumerate(found.counts):
        if count:
            counts[index] += count
            in_initial = in_initial or group.populations[index].code is PopulationCode.INITIAL_POPULATION
    if found.components:
        in_initial = _add_components(group, totals.components, found.components)
    totals.patients += in_initial
    _add_observations(totals.aggregates, found.observations)
    for by_value, strata in zip(totals.strata, found.strata, strict=False):
        for stratum in strata:
            sums = by_value.get(stratum.values)
            if sums is None:
                sums = by_value[stratum.values] = _empty_stratum(
                    group, [count is not None for count in stratum.counts]
                )
            sums.counts = _sum_counts(sums.counts, stratum.counts)
            _add_observations(sums.aggregates, stratum.observations)
            if stratum.components:
                _add_components(group, sums.components, stratum.components)
    if in_initial:
        for place, values in enumerate(of_patient[: len(totals.supplemental_data)]):
            totals.supplemental_data[place] = _counted(totals.supplemental_data[place], values, found.counts)
    return in_initial


def _counted(
    sums: ByCategory | None, values: tuple[CodedValue, ...], counts: Sequence[int]
) -> ByCategory | None:
    """A datum's sums with some more members in a category; they may be the ones that were given."""
    if sums is None:
        return None
    known = sums.get(values)
    if known is None:
        if len(sums) == MOST_CATEGORIES:
            return None
        sums[values] = list(counts)
    else:
        for index, count in enumerate(counts):
            known[index] += count
    return sums


def _add_components(group: Group, sums: list[GroupTotals], found: tuple[GroupResult, ...]) -> bool:
    """Whether the patient is in an initial population of some component."""
    in_initial = [
        _add_group(part, totals, result, [])
        for part, totals, result in zip(scored_components(group), sums, found, strict=True)
    ]
    return any(in_initial)


def _add_observations(aggregates: list[Aggregate], observations: tuple[tuple[Observed, ...], ...]) -> None:
    for aggregate, values in zip(aggregates, observations, strict=False):
        aggregate.add_all(values)


def _sum_counts(mine: list[int | None], theirs: Iterable[int | None]) -> list[int | None]:
    return [a if b is None else b + (a or 0) for a, b in zip(mine, theirs, strict=True)]


def _merge_group(group: Group, mine: GroupTotals, theirs: GroupTotals) -> None:
    mine.counts = [a + b for a, b in zip(mine.counts, theirs.counts, strict=True)]
    mine.patients += theirs.patients
    _merge_aggregates(mine.aggregates, theirs.aggregates)
    _merge_components(group, mine.components, theirs.components)
    for my_strata, their_strata in zip(mine.strata, theirs.strata, strict=True):
        for values, sums in their_strata.items():
            known = my_strata.get(values)
            if known is None:
                known = my_strata[values] = _empty_stratum(
                    group, [count is not None for count in sums.counts]
                )
            known.counts = _sum_counts(known.counts, sums.counts)
            _merge_aggregates(known.aggregates, sums.aggregates)
            _merge_components(group, known.components, sums.components)
    for place, their_sums in enumerate(theirs.supplemental_data):
        by_category = mine.supplemental_data[place] if their_sums is not None else None
        for category_values, per_population in (their_sums or {}).items():
            by_category = _counted(by_category, category_values, per_population)
        mine.supplemental_data[place] = by_category


def _merge_components(group: Group, mine: list[GroupTotals], theirs: list[GroupTotals]) -> None:
    for part, totals, others in zip(scored_components(group), mine, theirs, strict=True):
        _merge_group(part, totals, others)


def _merge_aggregates(mine: list[Aggregate], theirs: list[Aggregate]) -> None:
    for aggregate, other in zip(mine, theirs, strict=True):
        aggregate.merge(other)
