"""Patients' results of a measure of a proportion and a median."""

from __future__ import annotations

from given_measures import (
    PROPORTION,
    GivenDefinitions,
    criteria,
    encounter,
    group,
    measure,
    observation,
    population,
)
from hypothesis import strategies as st

from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.populations import Evaluator
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.runtime.values import Code

MEASURE = read_measure(
    measure(
        group("proportion", *PROPORTION, stratifier=[{"id": "s", "criteria": criteria("Old")}]),
        group(
            "continuous-variable",
            population("initial-population", "Stays", id="ip2"),
            population("measure-population", "Stays", id="mp"),
            observation("o", "Days", "mp", "median"),
            id="group-2",
            basis="Encounter",
        ),
        supplementalData=[{"id": "sde-sex", "criteria": criteria("Sex")}],
    )
)
EVALUATE = Evaluator(MEASURE, supplemental_data=True)


def patient(flags: tuple[bool, ...], days: list[int], sex: str | None = "F") -> PatientResult:
    names = [item["criteria"]["expression"].replace(" ", "_") for item in PROPORTION]
    definitions = GivenDefinitions(
        **dict(zip(names, flags, strict=False)),
        Old=flags[-1],
        Stays=[encounter(str(number), length=length) for number, length in enumerate(days)],
        Days=lambda e: e["length"],
        Sex=None if sex is None else Code(sex, "urn:sex"),
    )
    return EVALUATE(definitions, "Patient/1")


patients = st.builds(
    patient,
    st.tuples(*[st.booleans()] * 7),
    st.lists(st.integers(0, 5), max_size=3),
    st.sampled_from(["F", "M", None]),
)
groups_of_patients = st.lists(patients, max_size=4)


def accumulated(results: list[PatientResult]) -> SummaryAccumulator:
    return SummaryAccumulator(MEASURE).add_all(results)
