"""The measures that the tests evaluate, and what each patient comes to in them."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from measurewise import cql_libraries, valuesets
from measurewise.engine import Engine, PatientResult, Prepared, ProgramCache, load_content
from measurewise.engine.record.record import Record
from measurewise.fhir_server_adapter.capabilities import Capabilities
from measurewise.fhir_server_adapter.search_plan import SearchPlan, search_plan
from measurewise.fhir_server_adapter.sources import PatientSource

Counts = dict[str, list[Any]]
"""By patient id: for each measure and group the population counts and the observations."""


SHIPPED = ("DiabetesGlycemicControl", "HighBloodPressureFollowUp", "HospitalFollowUpInterval")
OFFICIAL = ("CMS165FHIRControllingHighBloodPressure", "CMS69FHIRPCSBMIScreenAndFollowUp")


class Measures:
    """The three measures that ship and two official ones, over one record."""

    def __init__(self, ecqm: Path) -> None:
        content = load_content(
            cql_libraries.FOLDER,
            valuesets.FOLDER,
            ecqm / "measures",
            ecqm / "libraries",
            ecqm / "valuesets.ndjson.gz",
        )
        self._engine = Engine(content, missing_valuesets="empty", cache=ProgramCache.default())
        self.prepared: Prepared = self._engine.prepare(*SHIPPED, *OFFICIAL, period="2026")
        # as the runner of the engine does: walks of the collector over what stays cost more than evaluation
        gc.collect()
        gc.freeze()

    @property
    def count(self) -> int:
        """How many measures there are."""
        return len(self.prepared.measures)

    def evaluated(self, record: Record) -> list[Any]:
        """What a patient comes to in each group of each measure."""
        return [
            (group.counts, group.observations)
            for result in map(PatientResult.compact, self.prepared.evaluate(record))
            for group in result.groups
        ]

    def reached(self, counts: Counts) -> list[int]:
        """For each group of each measure, how many patients are in a population of it."""
        return [sum(any(group[0]) for group in groups) for groups in zip(*counts.values(), strict=True)]

    def plan(self, capabilities: Capabilities) -> SearchPlan:
        """The searches for all that the measures retrieve."""
        retrievals = self.prepared.program.tables.retrievals
        return search_plan(retrievals, capabilities, self._engine.value_sets)

    async def counted(self, source: PatientSource) -> Counts:
        """Every patient of a source, evaluated as they come."""
        gc.disable()
        try:
            return {pulled.patient_id: self.evaluated(pulled.record()) async for pulled in source.patients()}
        finally:
            gc.enable()
