"""Sex, ethnicity, race and payer of a population's members, as QRDA III wants them counted.

Values and codes stand in ``qrda/data/supplemental.json``. Every value is counted, also where nobody has it.
Who has two races or two payers counts under both, once each; who has none that the guide has a value for
counts as unknown (``nullFlavor="UNK"``), which the guide has no place for with payers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from measurewise.engine.measure.extensions import code_of

_DATA: Final = Path(__file__).parents[2] / "data" / "supplemental.json"


@dataclass(frozen=True, slots=True)
class Value:
    """One value that is counted; ``taken`` are codes that mean it, ``beginnings`` how such codes begin."""

    code: str
    display: str
    taken: frozenset[str]
    beginnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """A supplemental data element: its name, how reports call it, its templates and codes, its values.

    ``translated`` says that values stand in a ``translation`` (CMS payer groupings).
    """

    name: str
    ids: frozenset[str]
    systems: frozenset[str]
    templates: tuple[str, ...]
    code: dict[str, str]
    code_system: dict[str, str]
    translated: bool
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many members of a population have each value of an element (in its order), and how many none.

    ``stated`` is the sum over the strata that were counted: the population's count where they divide it.
    """

    counts: tuple[int, ...]
    unknown: int = 0
    stated: int = 0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The elements in the order in which they are written, and the codes that say that nothing is known."""

    elements: tuple[Element, ...]
    unknown_systems: frozenset[str]
    unknown_codes: frozenset[str]


@cache
def vocabulary() -> Vocabulary:
    """What ``qrda/data/supplemental.json`` says."""
    content = json.loads(_DATA.read_text("utf-8"))
    return Vocabulary(
        elements=tuple(_element(entry) for entry in content["elements"]),
        unknown_systems=frozenset(content["unknown"]["systems"]),
        unknown_codes=frozenset(content["unknown"]["codes"]),
    )


def element_of(stratifier: Mapping[str, Any]) -> Element | None:
    """The element that a MeasureReport's stratifier is about, by its id, its code or its code's text."""
    names = {str(stratifier.get("id", "")).lower()}
    for concept in stratifier.get("code") or ():
        names.add(str(concept.get("text", "")).lower())
        names.update(str(coding.get("code", "")).lower() for coding in concept.get("coding") or ())
    for element in vocabulary().elements:
        if names & element.ids:
            return element
    return None


def counted(
    element: Element,
    strata: Sequence[Mapping[str, Any]],
    population_codes: Iterable[str],
    unmapped: set[str],
) -> dict[str, Counted]:
    """An element's counts within each population, by FHIR population code.

    ``strata`` are the strata of a MeasureReport's stratifier: each a value (with several codings where
    members have several) and its populations. Codes that mean no value of the element are added to
    ``unmapped``.
    """
    none = len(element.values)
    sums = {code: [0] * (none + 2) for code in population_codes}
    for stratum in strata:
        places = _places(element, stratum.get("value") or {}, unmapped)
        for population in stratum.get("population") or ():
            of_population = sums.get(code_of(population.get("code")) or "")
            if of_population is not None:
                count = population.get("count") or 0
                of_population[-1] += count
                for place in places:
                    of_population[place] += count
    return {code: Counted(tuple(found[:none]), *found[none:]) for code, found in sums.items()}


def nobody(element: Element) -> Counted:
    """The counts of a population without members."""
    return Counted((0,) * len(element.values))


def _places(element: Element, value: Mapping[str, Any], unmapped: set[str]) -> list[int]:
    """Where a stratum's members are counted; the last place is for those without a value."""
    places: set[int] = set()
    others: set[str] = set()
    text = str(value.get("text", ""))
    for coding in value.get("coding") or ({"code": _code_of_text(element, text)} if text else {},):
        code, system = str(coding.get("code", "")), coding.get("system")
        place = None if system and system not in element.systems else _place(element, code)
        if place is not None:
            places.add(place)
        elif code and not _says_unknown(system, code):
            others.add(f"{system}|{code}" if system else code)
    if not places:
        unmapped |= others
    return sorted(places) or [len(element.values)]


def _code_of_text(element: Element, text: str) -> str:
    """The code of a value that is told by its name alone; the text itself where it is no name."""
    return next((one.code for one in element.values if one.display.lower() == text.lower()), text)


def _place(element: Element, code: str) -> int | None:
    for place, value in enumerate(element.values):
        if code in value.taken or (value.beginnings and code.startswith(value.beginnings)):
            return place
    return None


def _says_unknown(system: str | None, code: str) -> bool:
    known = vocabulary()
    return system in known.unknown_systems or code in known.unknown_codes


def _element(entry: dict[str, Any]) -> Element:
    return Element(
        name=entry["name"],
        ids=frozenset(entry["ids"]),
        systems=frozenset(entry["systems"]),
        templates=tuple(entry["templates"]),
        code=entry["code"],
        code_system=entry["codeSystem"],
        translated=entry.get("translated", False),
        values=tuple(
            Value(
                value["code"],
                value["displayName"],
                frozenset(value["from"]),
                tuple(value.get("beginning", ())),
            )
            for value in entry["values"]
        ),
    )
