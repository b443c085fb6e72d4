"""The score of a group (QM IG 3.4.3 to 3.4.6), exact.

==================== ==================================================================================
proportion           (numerator - numerator exclusion)
                     / (denominator - denominator exclusion - denominator exception)
ratio                numerator without its exclusion / denominator without its exclusion, each the
                     aggregate of its observation where it has one
continuous variable  the aggregate of the observation
cohort               none
composite            as the populations it is combined into; weighted: the weighted average of the scores
                     of its components (``composite.py``), so none of counts alone
==================== ==================================================================================

A score that would divide by nothing is None; a report then says that it does not apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Final

from measurewise.engine.measure.aggregates import Aggregate, Number
from measurewise.engine.measure.composite import scored_components, weighted_score
from measurewise.engine.measure.definition import CompositeScoring, Group, PopulationCode, Scoring
from measurewise.engine.measure.results import GroupResult, Observed, StratumResult

_CONTEXT: Final = Context(prec=60, rounding=ROUND_HALF_UP)
_PLACES: Final = Decimal("1E-8")


def group_score(group: Group, result: GroupResult | StratumResult) -> Number | None:
    """The score of one patient's result (or of its part in a stratum), as an individual report states it."""
    parts = scored_components(group)
    if parts:
        return weighted_score(
            group,
            [(part, group_score(part, found)) for part, found in zip(parts, result.components, strict=True)],
        )
    return score(group, result.counts, aggregates_of(group, result.observations))


def aggregates_of(group: Group, observations: Sequence[Sequence[Observed]]) -> tuple[Aggregate, ...]:
    """The aggregate of each observation of a group, over some values aligned with ``group.observations``."""
    if not observations:
        return tuple(Aggregate(observation.aggregate) for observation in group.observations)
    return tuple(
        Aggregate(observation.aggregate).add_all(values)
        for observation, values in zip(group.observations, observations, strict=True)
    )


def score(group: Group, counts: Sequence[int | None], aggregates: Sequence[Aggregate]) -> Number | None:
    """The score of counts and aggregates, aligned with ``group.populations`` and ``group.observations``."""
    scoring = group.scoring
    if scoring is Scoring.PROPORTION or _is_counted_composite(group):
        return _proportion(group, counts)
    if scoring is Scoring.RATIO:
        return _ratio(group, counts, aggregates)
    if aggregates and (scoring is Scoring.CONTINUOUS_VARIABLE or scoring is Scoring.COMPOSITE):
        return aggregates[0].result()
    return None


def score_unit(group: Group, aggregates: Sequence[Aggregate]) -> str | None:
    """The UCUM unit of a continuous-variable score, None of a number without one and of other scorings."""
    if group.scoring is not Scoring.CONTINUOUS_VARIABLE or not aggregates:
        return None
    only = aggregates[0]
    return None if only.unit in (None, "1") or only.method == "count" else only.unit


def as_decimal(number: Number) -> Decimal:
    """A number with at most eight decimal places, half up, without trailing zeros (a CQL Decimal's scale)."""
    if isinstance(number, int):
        return Decimal(number)
    exact = _CONTEXT.divide(Decimal(number.numerator), Decimal(number.denominator))
    rounded = exact.quantize(_PLACES, context=_CONTEXT)
    whole = rounded.to_integral_value()
    return whole if whole == rounded else rounded.normalize(_CONTEXT)


def _is_counted_composite(group: Group) -> bool:
    return group.composite is not None and group.composite.scoring in (
        CompositeScoring.ALL_OR_NOTHING,
        CompositeScoring.OPPORTUNITY,
    )


def _count(group: Group, counts: Sequence[int | None], code: PopulationCode) -> int:
    position = group.position(code)
    return 0 if position is None else counts[position] or 0


def _quotient(numerator: Number, denominator: Number) -> Number | None:
    return None if denominator == 0 else Fraction(numerator) / denominator


def _proportion(group: Group, counts: Sequence[int | None]) -> Number | None:
    return _quotient(
        _count(group, counts, PopulationCode.NUMERATOR)
        - _count(group, counts, PopulationCode.NUMERATOR_EXCLUSION),
        _count(group, counts, PopulationCode.DENOMINATOR)
        - _count(group, counts, PopulationCode.DENOMINATOR_EXCLUSION)
        - _count(group, counts, PopulationCode.DENOMINATOR_EXCEPTION),
    )


def _ratio(group: Group, counts: Sequence[int | None], aggregates: Sequence[Aggregate]) -> Number | None:
    sides: list[Number | None] = []
    for code, exclusion in (
        (PopulationCode.NUMERATOR, PopulationCode.NUMERATOR_EXCLUSION),
        (PopulationCode.DENOMINATOR, PopulationCode.DENOMINATOR_EXCLUSION),
    ):
        position = group.position(code)
        of_side = [
            aggregate
            for observation, aggregate in zip(group.observations, aggregates, strict=True)
            if observation.source == position
        ]
        sides.append(
            of_side[0].result() if of_side else _count(group, counts, code) - _count(group, counts, exclusion)
        )
    numerator, denominator = sides
    if numerator is None or denominator is None:
        return None
    return _quotient(numerator, denominator)
