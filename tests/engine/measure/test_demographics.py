"""Payer, sex, race and ethnicity of measures that do not declare them."""

from __future__ import annotations

from given_measures import criteria, group, measure, population

from measurewise.engine.measure.demographics import with_demographics
from measurewise.engine.measure.reading import read_measure

NAMES = {"SDE Ethnicity", "SDE Payer", "SDE Race", "SDE Sex", "Initial Population"}


def test_definitions_under_the_usual_names_are_taken_where_none_is_declared() -> None:
    silent = read_measure(measure(group("cohort", population("initial-population"))))
    assert [item.id for item in with_demographics(silent, NAMES).supplemental_data] == [
        "sde-ethnicity",
        "sde-payer",
        "sde-race",
        "sde-sex",
    ]
    (only,) = with_demographics(silent, {"SDE Sex"}).supplemental_data
    assert (only.criteria.name, only.usage) == ("SDE Sex", ("supplemental-data",))
    assert with_demographics(silent, {"Initial Population"}) == silent


def test_what_a_measure_declares_is_left_as_it_is() -> None:
    declared = [{"id": "mine", "criteria": criteria("SDE Sex")}]
    speaking = read_measure(
        measure(group("cohort", population("initial-population")), supplementalData=declared)
    )
    assert with_demographics(speaking, NAMES) == speaking
