"""Supplemental data that a Measure forgets to declare.

QRDA III wants payer, sex, race and ethnicity of every population (CMS QRDA III guide, Measure Data - CMS).
The official measures define them under the same four names, and nearly all declare them in
``Measure.supplementalData``; the few that do not still have the definitions in their libraries.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from measurewise.engine.measure.definition import Criteria, MeasureDefinition, SupplementalData

DEMOGRAPHICS: Final = {
    "SDE Ethnicity": "sde-ethnicity",
    "SDE Payer": "sde-payer",
    "SDE Race": "sde-race",
    "SDE Sex": "sde-sex",
}


def with_demographics(measure: MeasureDefinition, names: Collection[str]) -> MeasureDefinition:
    """The measure, with the four of its library where it declares no supplemental data at all.

    ``names`` are the names of the definitions of the measure's own library.
    """
    if measure.supplemental_data:
        return measure
    found = tuple(
        SupplementalData(Criteria(name), ("supplemental-data",), id=identity)
        for name, identity in DEMOGRAPHICS.items()
        if name in names
    )
    return replace(measure, supplemental_data=found)
