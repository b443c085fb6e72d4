"""The sums of a summary as JSON: how a worker hands on what it has counted, without the patients.

Numbers stay exact (a fraction, or an integer that JSON readers may not take, is a text: ``"1/3"``). The
definition of the measure is not written: whoever reads the sums holds it, as with patients' results
(``result_json``).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final, cast

import msgspec

from measurewise.engine.errors import ContentError
from measurewise.engine.measure.accumulate import ByCategory, GroupTotals, StratumTotals, SummaryAccumulator
from measurewise.engine.measure.aggregates import Aggregate, Number
from measurewise.engine.measure.coded import CodedValue
from measurewise.engine.measure.composite import scored_components
from measurewise.engine.measure.definition import Group, MeasureDefinition

_LARGEST: Final = 2**53
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def to_summary_json(summary: SummaryAccumulator) -> bytes:
    """The sums as JSON."""
    return _encode(
        {
            "measure": summary.measure.canonical,
            "patients": summary.patients,
            "groups": [_group(totals) for totals in summary.groups],
        }
    )


def from_summary_json(measure: MeasureDefinition, data: bytes) -> SummaryAccumulator:
    """The sums that ``to_summary_json`` wrote of the same measure.

    Raises ContentError for sums of another measure; msgspec.MsgspecError, KeyError, TypeError, ValueError for
    what it has not written.
    """
    parsed = cast("dict[str, Any]", _decode(data))
    if parsed["measure"] != measure.canonical:
        raise ContentError(f"these are the sums of {parsed['measure']}, not of {measure.canonical}.")
    summary = SummaryAccumulator(measure)
    summary.patients = parsed["patients"]
    summary.groups = [
        _read_group(group, written) for group, written in zip(measure.groups, parsed["groups"], strict=True)
    ]
    return summary


def _group(totals: GroupTotals) -> dict[str, Any]:
    return {
        "counts": totals.counts,
        "aggregates": [_aggregate(aggregate) for aggregate in totals.aggregates],
        "patients": totals.patients,
        "strata": [
            [[_coded(values), _stratum(sums)] for values, sums in by_value.items()]
            for by_value in totals.strata
        ],
        "supplementalData": [
            None if sums is None else [[_coded(values), counts] for values, counts in sums.items()]
            for sums in totals.supplemental_data
        ],
        "components": [_group(part) for part in totals.components],
    }


def _read_group(group: Group, written: dict[str, Any]) -> GroupTotals:
    return GroupTotals(
        written["counts"],
        _read_aggregates(group, written["aggregates"]),
        written["patients"],
        [
            {_read_coded(values): _read_stratum(group, sums) for values, sums in by_value}
            for by_value in written["strata"]
        ],
        [_read_categories(sums) for sums in written["supplementalData"]],
        _read_components(group, written["components"]),
    )


def _stratum(sums: StratumTotals) -> dict[str, Any]:
    return {
        "counts": sums.counts,
        "aggregates": [_aggregate(aggregate) for aggregate in sums.aggregates],
        "components": [_group(part) for part in sums.components],
    }


def _read_stratum(group: Group, written: dict[str, Any]) -> StratumTotals:
    return StratumTotals(
        written["counts"],
        _read_aggregates(group, written["aggregates"]),
        _read_components(group, written["components"]),
    )


def _read_components(group: Group, written: list[dict[str, Any]]) -> list[GroupTotals]:
    return [_read_group(part, sums) for part, sums in zip(scored_components(group), written, strict=True)]


def _read_categories(written: list[Any] | None) -> ByCategory | None:
    return None if written is None else {_read_coded(values): counts for values, counts in written}


def _aggregate(aggregate: Aggregate) -> list[Any]:
    occurrences = [[_number(value), times] for value, times in aggregate.occurrences.items()]
    extreme = None if aggregate.extreme is None else _number(aggregate.extreme)
    return [aggregate.unit, aggregate.count, _number(aggregate.total), extreme, occurrences]


def _read_aggregates(group: Group, written: list[Any]) -> list[Aggregate]:
    return [
        Aggregate(
            observation.aggregate,
            unit,
            count,
            _read_number(total),
            None if extreme is None else _read_number(extreme),
            {_read_number(value): times for value, times in occurrences},
        )
        for observation, (unit, count, total, extreme, occurrences) in zip(
            group.observations, written, strict=True
        )
    ]


def _coded(values: tuple[CodedValue, ...]) -> list[tuple[str, str, str]]:
    return [(value.text, value.code, value.system) for value in values]


def _read_coded(written: list[Any]) -> tuple[CodedValue, ...]:
    return tuple(CodedValue(*value) for value in written)


def _number(value: Number) -> int | str:
    return value if isinstance(value, int) and abs(value) <= _LARGEST else str(value)


def _read_number(value: int | str) -> Number:
    if isinstance(value, int):
        return value
    exact = Fraction(value)
    return exact.numerator if exact.denominator == 1 else exact
