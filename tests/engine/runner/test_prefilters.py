"""The prefilter of prepared measures."""

import pytest

from measurewise import cql_libraries, valuesets
from measurewise.engine import Engine, load_content, read_record
from measurewise.engine.compiler.prefilter import ANYTHING, resource_types
from measurewise.engine.measure.definition import PopulationCode
from measurewise.synthetic import bundle_json, synthetic_patient


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_content(cql_libraries.FOLDER, valuesets.FOLDER))


def records(count: int):
    return [read_record(bundle_json(synthetic_patient(number))) for number in range(count)]


def in_some_initial_population(prepared, record) -> bool:
    return any(
        count
        for measure, result in zip(prepared.measures, prepared.evaluate(record), strict=True)
        for group, found in zip(measure.groups, result.groups, strict=True)
        for population, count in zip(group.populations, found.counts, strict=True)
        if population.code is PopulationCode.INITIAL_POPULATION
    )


def test_of_each_shipped_measure_nobody_who_is_in_is_kept_out_and_somebody_else_is(engine):
    for measure in engine.content.measures:
        prepared = engine.prepare(measure.name, period="2026")
        judged = [
            (in_some_initial_population(prepared, r), prepared.prefilter.may_qualify(r)) for r in records(60)
        ]
        assert (True, False) not in judged, measure.name
        assert (False, False) in judged, measure.name


def test_measures_prepared_together_let_through_whoever_may_be_in_one_of_them(engine):
    together = engine.prepare(period="2026")
    apart = [engine.prepare(measure.name, period="2026") for measure in engine.content.measures]
    for record in records(40):
        expected = any(prepared.prefilter.may_qualify(record) for prepared in apart)
        assert together.prefilter.may_qualify(record) is expected


def test_the_requirement_is_the_same_for_every_period_and_its_check_is_not(engine):
    name = engine.content.measures[0].name
    this, other = engine.prepare(name, period="2026"), engine.prepare(name, period="1999")
    assert this.prefilter.requirement == other.prefilter.requirement
    assert "Encounter" in resource_types(this.prefilter.requirement)
    assert any(this.prefilter.may_qualify(record) for record in records(40))
    assert not any(other.prefilter.may_qualify(record) for record in records(40))


def test_libraries_with_periods_of_their_own_let_everybody_through(engine):
    name = engine.content.measures[0].name
    prepared = engine.prepare(name, period="2026", parameters={"Other.Measurement Period": None})
    assert prepared.prefilter.requirement == ANYTHING
    assert all(prepared.prefilter.may_qualify(record) for record in records(5))
