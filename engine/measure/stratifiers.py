"""One patient's strata (QM IG 3.16, FHIR R4 ``Measure.group.stratifier``).

What an expression yields says which kind of stratifier it is:

* a Boolean: the patient is in the stratum ``true`` or ``false``;
* on a resource basis, a list of members: each member of the group is in ``true`` or ``false`` as it is in
  the list;
* any other value: one stratum a distinct value; a list of such values puts the patient into several;
* null: the stratum ``unknown``;
* a function, on a resource basis: the same, asked of each member.

A stratifier with components has a stratum for each combination of its components' values. A stratum counts
the members that are in the population *and* in the stratum.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

from measurewise.engine.measure.coded import FALSE, TRUE, UNKNOWN, CodedValue, coded_value, coded_values
from measurewise.engine.measure.definition import Group, PopulationCode, Stratifier
from measurewise.engine.measure.definitions import Definitions
from measurewise.engine.measure.membership import MemberIndex, Members, distinct
from measurewise.engine.measure.results import Observed, StratumResult

_Values = tuple[CodedValue, ...]


def evaluate_stratifier(
    stratifier: Stratifier,
    group: Group,
    definitions: Definitions,
    library: str,
    units: list[Members],
    observations: tuple[tuple[Observed, ...], ...],
) -> tuple[StratumResult, ...]:
    """The strata that some member of the patient falls into, ordered by value.

    ``units`` is aligned with ``group.populations``; on a boolean basis each is ``[True]`` or ``[]``.
    """
    if group.basis == "boolean":
        return _patient_strata(stratifier, group, definitions, library, units, observations)
    everyone = distinct(
        [
            member
            for population, members in zip(group.populations, units, strict=True)
            if population.code is PopulationCode.INITIAL_POPULATION
            for member in members
        ]
    )
    valuers = [
        _valuer(everyone, definitions, component.criteria.library or library, component.criteria.name)
        for component in stratifier.components
    ]
    strata: dict[_Values, Members] = {}
    for member in everyone:
        for values in product(*[valuer(member) for valuer in valuers]):
            strata.setdefault(values, []).append(member)
    return tuple(
        _stratum(stratifier, group, values, members, units, observations)
        for values, members in sorted(strata.items(), key=lambda entry: entry[0])
    )


def applies(stratifier: Stratifier, code: PopulationCode) -> bool:
    """Whether a stratifier divides the populations of a code (``cqfm-appliesTo``)."""
    return not stratifier.applies_to or code in stratifier.applies_to


def _patient_strata(
    stratifier: Stratifier,
    group: Group,
    definitions: Definitions,
    library: str,
    units: list[Members],
    observations: tuple[tuple[Observed, ...], ...],
) -> tuple[StratumResult, ...]:
    """The strata on a boolean basis: the patient is in all of them, with everything that was counted."""
    of_components: list[_Values] = []
    for component in stratifier.components:
        home, name = component.criteria.library or library, component.criteria.name
        known = definitions.has(home, name)
        of_components.append(
            _values(definitions.value(home, name) if known else definitions.call(home, name))
        )
    counts = tuple(
        [
            len(members) if applies(stratifier, population.code) else None
            for population, members in zip(group.populations, units, strict=True)
        ]
    )
    seen = _observations_within(stratifier, group, None, observations) if observations else ()
    if len(of_components) == 1 and len(of_components[0]) == 1:
        return (StratumResult(of_components[0], counts, seen),)
    return tuple(StratumResult(values, counts, seen) for values in sorted(product(*of_components)))


def _stratum(
    stratifier: Stratifier,
    group: Group,
    values: _Values,
    members: Members,
    units: list[Members],
    observations: tuple[tuple[Observed, ...], ...],
) -> StratumResult:
    index = MemberIndex(members)
    return StratumResult(
        values=values,
        counts=tuple(
            [
                sum([member in index for member in of_population])
                if applies(stratifier, population.code)
                else None
                for population, of_population in zip(group.populations, units, strict=True)
            ]
        ),
        observations=_observations_within(stratifier, group, index, observations),
    )


def _observations_within(
    stratifier: Stratifier,
    group: Group,
    index: MemberIndex | None,
    observations: tuple[tuple[Observed, ...], ...],
) -> tuple[tuple[Observed, ...], ...]:
    """The observations of a stratum's members (all of them for None), where the stratifier applies."""
    return tuple(
        tuple(item for item in seen if index is None or item.member in index)
        if applies(stratifier, PopulationCode.MEASURE_OBSERVATION)
        or applies(stratifier, group.populations[observation.source].code)
        else ()
        for observation, seen in zip(group.observations, observations, strict=True)
    )


def _valuer(members: Members, definitions: Definitions, library: str, name: str) -> Callable[[Any], _Values]:
    """A function from a member to the values that one component of the stratifier has for it."""
    if not definitions.has(library, name):
        return lambda member: _values(definitions.call(library, name, member))
    value = definitions.value(library, name)
    if type(value) is list and _are_like(value, members):
        index = MemberIndex(value)
        return lambda member: (TRUE,) if member in index else (FALSE,)
    fixed = _values(value)
    return lambda _: fixed


def _values(value: Any) -> _Values:
    if value is None:
        return (UNKNOWN,)
    if type(value) is bool:
        return (TRUE,) if value else (FALSE,)
    if type(value) is list:
        return coded_values(value) or (UNKNOWN,)
    return (coded_value(value),)


def _are_like(elements: list[Any], members: Members) -> bool:
    """Whether a list holds members of the group (or nothing), rather than values to divide them by."""
    kinds = {_kind(element) for element in elements if element is not None}
    return kinds <= {_kind(member) for member in members}


def _kind(element: Any) -> Any:
    return element.get("resourceType", dict) if isinstance(element, dict) else type(element)
