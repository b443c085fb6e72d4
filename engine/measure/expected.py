"""A result held against a test case's expected MeasureReport.

The test cases that go with published measures (QM IG, "CQM Test Case") state what they expect in a
MeasureReport whose conventions are not those of a report for exchange:

* an individual observation is a population of its own, whose id is that of the Measure's observation with
  ``_1``, ``_2`` ... behind it and whose ``count`` is the observed value; their order is that of the case's
  author, so they are compared as a bag;
* ids may be missing or foreign; populations then go by code and order, groups by order;
* of a stratifier, the stratum ``true`` (or a lone stratum of any name) counts who is in population and
  stratum. A stratum ``false`` beside it counts, on a boolean basis, who is *not* in both: 1 where ``true``
  has 0. That complement, or the standard's own reading (in the population, not in the stratum), is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from measurewise.engine.measure.coded import CodedValue
from measurewise.engine.measure.definition import Group, MeasureDefinition, Stratifier
from measurewise.engine.measure.extensions import code_of
from measurewise.engine.measure.results import GroupResult, PatientResult, StratumResult
from measurewise.engine.measure.scoring import as_decimal

Aspect = Literal["group", "population", "observation", "stratifier"]
_OBSERVATION_CODES = ("measure-observation", "measure-population-observation")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where expectation and result differ; ``where`` reads ``group/population`` or longer."""

    aspect: Aspect
    where: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, got {self.actual}"


def differences(
    expected: Mapping[str, Any], measure: MeasureDefinition, result: PatientResult
) -> list[Difference]:
    """Everything in which a patient's result differs from an expected MeasureReport; empty when it passes."""
    found: list[Difference] = []
    groups = expected.get("group") or ()
    used: set[int] = set()
    for order, group in enumerate(groups):
        position = _group_position(group, order, measure, used)
        if position is None:
            found.append(Difference("group", group.get("id") or f"group {order + 1}", "a group", "none"))
            continue
        used.add(position)
        found += _group_differences(
            group,
            measure.groups[position],
            result.groups[position],
            measure.groups[position].id or str(position + 1),
        )
    for position, definition in enumerate(measure.groups):
        if position not in used:
            found.append(Difference("group", definition.id or f"group {position + 1}", "none", "a group"))
    return found


def _group_position(
    group: Mapping[str, Any], order: int, measure: MeasureDefinition, used: set[int]
) -> int | None:
    ids = [definition.id for definition in measure.groups]
    identity = group.get("id")
    if identity is not None and identity in ids:
        return ids.index(identity)
    if order < len(ids) and order not in used:
        return order
    return None


def _group_differences(
    expected: Mapping[str, Any], group: Group, result: GroupResult, where: str
) -> list[Difference]:
    found: list[Difference] = []
    matched = _match(expected.get("population") or (), group)
    for position, count in matched.populations:
        actual = result.counts[position]
        if actual != count:
            name = group.populations[position].id or group.populations[position].code
            found.append(Difference("population", f"{where}/{name}", count, actual))
    for name in matched.unknown:
        found.append(Difference("population", f"{where}/{name}", "a population", "none"))
    listed = {position for position, _ in matched.populations}
    for position, population in enumerate(group.populations):
        if position not in listed and result.counts[position]:
            name = population.id or population.code
            found.append(Difference("population", f"{where}/{name}", None, result.counts[position]))
    for position, observation in enumerate(group.observations):
        wanted = sorted(matched.observations.get(position, ()))
        values = [item.value for item in result.observations[position]] if result.observations else []
        got = sorted(Fraction(value) for value in values if value is not None)
        if wanted != got or None in values:
            name = observation.id or f"observation {position + 1}"
            shown = [None if value is None else as_decimal(value) for value in values]
            found.append(Difference("observation", f"{where}/{name}", [as_decimal(v) for v in wanted], shown))
    found += _stratifier_differences(expected.get("stratifier") or (), group, result, where)
    return found


@dataclass(slots=True)
class _Matched:
    """An expected group's populations, by position in the definition."""

    populations: list[tuple[int, int]]
    observations: dict[int, list[Fraction]]
    unknown: list[str]


def _match(items: Sequence[Mapping[str, Any]], group: Group) -> _Matched:
    matched = _Matched([], {}, [])
    by_id = {population.id: index for index, population in enumerate(group.populations) if population.id}
    unmatched: list[tuple[str | None, Mapping[str, Any]]] = []
    for item in items:
        identity, code = item.get("id"), code_of(item.get("code"))
        if code in _OBSERVATION_CODES:
            position = _observation_position(identity, group)
            if position is None:
                unmatched.append((code, item))
            else:
                matched.observations.setdefault(position, []).append(_exact(item.get("count")))
        elif identity in by_id:
            matched.populations.append((by_id[identity], int(item.get("count") or 0)))
        else:
            unmatched.append((code, item))
    _match_by_code(unmatched, group, matched)
    return matched


def _match_by_code(
    unmatched: Sequence[tuple[str | None, Mapping[str, Any]]], group: Group, matched: _Matched
) -> None:
    """Those without an id that the Measure knows, by code, in order."""
    taken = {position for position, _ in matched.populations}
    for code, item in unmatched:
        if code in _OBSERVATION_CODES:
            if len(group.observations) == 1:
                matched.observations.setdefault(0, []).append(_exact(item.get("count")))
            else:
                matched.unknown.append(str(item.get("id") or code))
            continue
        free = [
            index
            for index, population in enumerate(group.populations)
            if population.code == code and index not in taken
        ]
        if free:
            taken.add(free[0])
            matched.populations.append((free[0], int(item.get("count") or 0)))
        else:
            matched.unknown.append(str(item.get("id") or code))


def _observation_position(identity: str | None, group: Group) -> int | None:
    """The observation whose id this is, or this is with a number behind it."""
    if identity is None:
        return None
    ids = [observation.id for observation in group.observations]
    if identity in ids:
        return ids.index(identity)
    stem, _, number = identity.rpartition("_")
    return ids.index(stem) if number.isdigit() and stem in ids else None


def _exact(count: Any) -> Fraction:
    return Fraction(0) if count is None else Fraction(Decimal(str(count)))


def _stratifier_differences(
    expected: Sequence[Mapping[str, Any]], group: Group, result: GroupResult, where: str
) -> list[Difference]:
    found: list[Difference] = []
    ids = [stratifier.id for stratifier in group.stratifiers]
    for order, item in enumerate(expected):
        identity = item.get("id")
        position = ids.index(identity) if identity in ids else order
        if position >= len(ids):
            found.append(Difference("stratifier", f"{where}/{identity or order + 1}", "a stratifier", "none"))
            continue
        strata = result.strata[position] if result.strata else ()
        place = f"{where}/{ids[position] or position + 1}"
        for stratum in item.get("stratum") or ():
            found += _stratum_differences(stratum, group, group.stratifiers[position], strata, place)
    return found


def _stratum_differences(
    expected: Mapping[str, Any],
    group: Group,
    stratifier: Stratifier,
    strata: Sequence[StratumResult],
    where: str,
) -> list[Difference]:
    values = _stratum_values(expected, stratifier)
    criterion = not any(stratum.values == values for stratum in strata) and not stratifier.is_multi
    text = values[0].text if len(values) == 1 else ""
    if criterion and text != "false":
        values = (CodedValue("true"),)
    actual = _counts_of(values, group, strata)
    complement = (
        [1 - (count or 0) for count in _counts_of((CodedValue("true"),), group, strata)]
        if text == "false" and group.basis == "boolean"
        else actual
    )
    matched = _match(expected.get("population") or (), group)
    name = text or "+".join(value.text or value.code for value in values)
    standard = _count_differences(matched, group, actual, f"{where}/{name}")
    if not standard:
        return []
    return _count_differences(matched, group, complement, f"{where}/{name}")


def _stratum_values(expected: Mapping[str, Any], stratifier: Stratifier) -> tuple[CodedValue, ...]:
    parts = expected.get("component") if stratifier.is_multi else (expected,)
    return tuple(_coded(part.get("value") or {}) for part in parts or ())


def _coded(concept: Mapping[str, Any]) -> CodedValue:
    for coding in concept.get("coding") or ():
        if coding.get("code"):
            return CodedValue("", coding["code"], coding.get("system") or "")
    return CodedValue(str(concept.get("text") or ""))


def _counts_of(
    values: tuple[CodedValue, ...], group: Group, strata: Sequence[StratumResult]
) -> list[int | None]:
    for stratum in strata:
        if stratum.values == values:
            return list(stratum.counts)
    return [0] * len(group.populations)


def _count_differences(
    matched: _Matched, group: Group, actual: Sequence[int | None], where: str
) -> list[Difference]:
    found = [
        Difference(
            "stratifier",
            f"{where}/{group.populations[position].id or group.populations[position].code}",
            count,
            actual[position],
        )
        for position, count in matched.populations
        if (actual[position] or 0) != count
    ]
    found += [Difference("stratifier", f"{where}/{name}", "a population", "none") for name in matched.unknown]
    return found
