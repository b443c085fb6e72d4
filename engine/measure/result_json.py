"""Patients' results as JSON: how they are kept, and handed from one worker to another.

Observations stay exact (a fraction is ``[numerator, denominator]``). Supplemental data are kept as the
categories that summaries count by, so an individual report with their full values needs the patient again.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import msgspec

from measurewise.engine.measure.coded import CodedValue, category
from measurewise.engine.measure.results import (
    GroupResult,
    Observed,
    ObservedValue,
    PatientResult,
    StratumResult,
    reference_of,
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def to_result_json(result: PatientResult) -> bytes:
    """The result as JSON; members that are no resources become their text."""
    return _encode(
        {
            "measure": result.measure,
            "subject": result.subject,
            "groups": [_group(group) for group in result.groups],
            "supplementalData": [
                [_coded(value) for value in category(values)] for values in result.supplemental_data
            ],
            "evaluatedResources": result.evaluated_resources,
        }
    )


def from_result_json(data: bytes) -> PatientResult:
    """The result that ``to_result_json`` wrote, compact. Raises msgspec.MsgspecError, KeyError, TypeError."""
    parsed = cast("dict[str, Any]", _decode(data))
    return PatientResult(
        parsed["measure"],
        parsed["subject"],
        tuple(_read_group(group) for group in parsed["groups"]),
        tuple(tuple(CodedValue(*value) for value in values) for values in parsed["supplementalData"]),
        tuple(parsed["evaluatedResources"]),
    )


def _group(group: GroupResult) -> dict[str, Any]:
    written: dict[str, Any] = {"counts": group.counts}
    if group.members:
        written["members"] = [[_member(member) for member in members] for members in group.members]
    if group.observations:
        written["observations"] = _observations(group.observations)
    if group.strata:
        written["strata"] = [[_stratum(stratum) for stratum in strata] for strata in group.strata]
    if group.components:
        written["components"] = [_group(part) for part in group.components]
    return written


def _read_group(written: dict[str, Any]) -> GroupResult:
    return GroupResult(
        tuple(written["counts"]),
        tuple(tuple(members) for members in written.get("members", ())),
        _read_observations(written.get("observations", ())),
        tuple(tuple(_read_stratum(stratum) for stratum in strata) for strata in written.get("strata", ())),
        tuple(_read_group(part) for part in written.get("components", ())),
    )


def _stratum(stratum: StratumResult) -> dict[str, Any]:
    return {
        "values": [_coded(value) for value in stratum.values],
        "counts": stratum.counts,
        "observations": _observations(stratum.observations),
        "components": [_group(part) for part in stratum.components],
    }


def _read_stratum(written: dict[str, Any]) -> StratumResult:
    return StratumResult(
        tuple(CodedValue(*value) for value in written["values"]),
        tuple(written["counts"]),
        _read_observations(written["observations"]),
        tuple(_read_group(part) for part in written["components"]),
    )


def _observations(observations: tuple[tuple[Observed, ...], ...]) -> list[list[list[Any]]]:
    return [
        [[_member(observed.member), _number(observed.value), observed.unit] for observed in values]
        for values in observations
    ]


def _read_observations(written: Any) -> tuple[tuple[Observed, ...], ...]:
    return tuple(
        tuple(Observed(member, _read_number(value), unit) for member, value, unit in values)
        for values in written
    )


def _member(member: Any) -> str | None:
    if member is None or isinstance(member, str):
        return member
    return reference_of(member) or str(member)


def _number(value: ObservedValue) -> Any:
    return [value.numerator, value.denominator] if isinstance(value, Fraction) else value


def _read_number(value: Any) -> ObservedValue:
    return Fraction(*value) if isinstance(value, list) else value


def _coded(value: CodedValue) -> tuple[str, str, str]:
    return value.text, value.code, value.system
