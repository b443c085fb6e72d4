"""The official measures as the prefilter's tests need them: who is in, and who may be."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from measurewise.engine.content.content import load_content
from measurewise.engine.measure.definition import PopulationCode
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.record.record import Record
from measurewise.engine.runner.period import Period
from measurewise.engine.runner.session import Engine, Prepared

Case = dict[str, Any]

INITIAL = PopulationCode.INITIAL_POPULATION


class OfficialMeasure:
    """One measure and its prefilter, for any period and offset."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self._bound: dict[tuple[Period, int], Prepared] = {}

    def bound(self, period: Period, zone: int = 0) -> Prepared:
        key = (period, zone)
        if key not in self._bound:
            self._bound[key] = self.engine.prepare(self.name, period=period, zone=zone)
        return self._bound[key]

    def judged(self, resources: list[Any], period: Period, zone: int = 0) -> tuple[bool, bool]:
        """Whether a patient is in the initial population, and whether the prefilter lets them through."""
        prepared = self.bound(period, zone)
        record = Record(resources)
        may = prepared.prefilter.may_qualify(record)
        return in_initial_population(prepared, prepared.evaluate(record)[0]), may


def in_initial_population(prepared: Prepared, result: PatientResult) -> bool:
    return any(
        count
        for group, found in zip(prepared.measures[0].groups, result.groups, strict=True)
        for population, count in zip(group.populations, found.counts, strict=True)
        if population.code == INITIAL
    )


def official_engine(ecqm: Path) -> Engine:
    content = load_content(ecqm / "measures", ecqm / "libraries", ecqm / "valuesets.ndjson.gz")
    return Engine(content, missing_valuesets="empty")


_decoder = msgspec.json.Decoder(float_hook=Decimal)


def cases_of(ecqm: Path, name: str) -> Iterator[Case]:
    with gzip.open(ecqm / "cases" / f"{name}.ndjson.gz") as lines:
        for line in lines:
            yield _decoder.decode(line)


def period_of(case: Case) -> Period:
    stated = case["expected"][0]["period"]
    return Period(stated["start"], stated["end"])
