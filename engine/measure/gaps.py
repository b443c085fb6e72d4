"""Gaps in care: what a result in a proportion measure says is still to be done (DEQM, "Gaps in Care").

A patient (or an episode) that counts in the denominator and is neither excluded nor excepted is *satisfied*
when it is in the numerator, or, where a lower rate is better, when it is not. A gap is open where one is not
satisfied now, prospective where it will not be by the end of a period that lies ahead, closed where all are
satisfied, and not applicable where none counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from measurewise.engine.measure.definition import Group, PopulationCode, Scoring
from measurewise.engine.measure.results import GroupResult, reference_of


class GapStatus(StrEnum):
    """http://hl7.org/fhir/us/davinci-deqm/CodeSystem/gaps-status."""

    OPEN = "open-gap"
    CLOSED = "closed-gap"
    PROSPECTIVE = "prospective-gap"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a patient stands in one group.

    ``counted`` is how many members (the patient, or episodes) count in the denominator after exclusions and
    exceptions, ``unsatisfied`` how many of them the recommended care has not reached; ``episodes`` are the
    references of the unsatisfied ones, empty on a boolean basis.
    """

    counted: int
    unsatisfied: int
    episodes: tuple[str, ...] = ()

    @property
    def applies(self) -> bool:
        """Whether the group expects anything for the patient."""
        return self.counted > 0

    @property
    def is_satisfied(self) -> bool:
        """Whether all that is expected has been done."""
        return self.counted > 0 and self.unsatisfied == 0


def has_gaps(group: Group) -> bool:
    """Whether gaps can be told of a group: of proportions, whose members are satisfied or not."""
    return group.scoring == Scoring.PROPORTION


def standing(group: Group, result: GroupResult) -> Standing:
    """How a patient with this result stands in a group of which ``has_gaps`` is true."""
    lower_is_better = group.improvement_notation == "decrease"
    if not result.members:
        counts = _counts(group, result)
        counted = int(
            counts[PopulationCode.DENOMINATOR] > 0
            and not counts[PopulationCode.DENOMINATOR_EXCLUSION]
            and not counts[PopulationCode.DENOMINATOR_EXCEPTION]
        )
        met = counts[PopulationCode.NUMERATOR] > 0 and not counts[PopulationCode.NUMERATOR_EXCLUSION]
        return Standing(counted, counted if met == lower_is_better else 0)
    members = _members(group, result)
    left_out = members[PopulationCode.DENOMINATOR_EXCLUSION] | members[PopulationCode.DENOMINATOR_EXCEPTION]
    counted_members = [name for name in members[PopulationCode.DENOMINATOR] if name not in left_out]
    numerator = members[PopulationCode.NUMERATOR].keys() - members[PopulationCode.NUMERATOR_EXCLUSION].keys()
    unsatisfied = tuple(name for name in counted_members if (name in numerator) == lower_is_better)
    return Standing(len(counted_members), len(unsatisfied), unsatisfied)


def gap_status(at_end: Standing, now: Standing | None) -> GapStatus:
    """The status at the end of a period; ``now`` is the standing as of today where that end lies ahead."""
    if not at_end.applies:
        return GapStatus.NOT_APPLICABLE
    if at_end.is_satisfied:
        return GapStatus.CLOSED
    if now is None or (now.applies and not now.is_satisfied):
        return GapStatus.OPEN
    return GapStatus.PROSPECTIVE


def _counts(group: Group, result: GroupResult) -> dict[PopulationCode, int]:
    counts = dict.fromkeys(PopulationCode, 0)
    for population, count in zip(group.populations, result.counts, strict=True):
        counts[population.code] += count
    return counts


def _members(group: Group, result: GroupResult) -> dict[PopulationCode, dict[str, None]]:
    found: dict[PopulationCode, dict[str, None]] = {code: {} for code in PopulationCode}
    for population, members in zip(group.populations, result.members, strict=True):
        found[population.code].update({_name(member): None for member in members})
    return found


def _name(member: Any) -> str:
    return member if isinstance(member, str) else reference_of(member) or str(member)
