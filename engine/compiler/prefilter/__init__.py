"""Prefilters: what must be true of a patient who is in a population, derived from the population's logic.

>>> requirement = derive(libraries, ("MyMeasure", "1.0.0"), "Initial Population")   # once
>>> prefilter = Prefilter(requirement, period, value_sets)                          # once a period
>>> prefilter.may_qualify(record)                                                   # once a patient

What is derived may let too many through, never too few. See ``docs/prefilter.md``.
"""

from __future__ import annotations

from collections.abc import Iterable

from measurewise.engine import elm
from measurewise.engine.compiler.assembly import Assembly
from measurewise.engine.compiler.prefilter.check import Prefilter
from measurewise.engine.compiler.prefilter.derivation import Derivation
from measurewise.engine.compiler.prefilter.rendering import explain
from measurewise.engine.compiler.prefilter.requirements import (
    ANYTHING,
    NOTHING,
    Requirement,
    all_of,
    any_of,
    resource_types,
    value_sets,
)
from measurewise.engine.compiler.prefilter.serialization import as_json, from_json
from measurewise.engine.models.model import Model


def derive(
    libraries: Iterable[elm.Library],
    library: tuple[str, str | None],
    definition: str,
    *,
    model: Model | None = None,
) -> Requirement:
    """What must be true of a patient for whom a definition is true, or gives a list that is not empty.

    ``libraries`` is a closed set (every include is in it), ``library`` the name and version of the one with
    the definition. Raises NotFoundError and ContentError for what is not there.
    """
    assembly = Assembly(libraries, model)
    return Derivation(assembly).population(assembly.unit(*library), definition)


__all__ = [
    "ANYTHING",
    "NOTHING",
    "Prefilter",
    "Requirement",
    "all_of",
    "any_of",
    "as_json",
    "derive",
    "explain",
    "from_json",
    "resource_types",
    "value_sets",
]
