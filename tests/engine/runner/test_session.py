"""Periods, and measures made ready to run."""

import pytest

from measurewise import cql_libraries, valuesets
from measurewise.engine import (
    ContentError,
    Engine,
    EvaluationError,
    NotFoundError,
    Period,
    load_content,
    read_record,
)
from measurewise.engine.runner.period import offset_minutes
from measurewise.engine.runtime.temporal import iso
from measurewise.synthetic import bundle_json, synthetic_patient


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_content(cql_libraries.FOLDER, valuesets.FOLDER))


def test_a_year_is_a_period_and_both_ends_are_whole_days():
    period = Period.parse("2026")
    assert (period.start, period.end) == ("2026-01-01", "2026-12-31")
    interval = period.interval(-300)
    assert iso(interval.low) == "2026-01-01T00:00:00.000-05:00"
    assert iso(interval.high) == "2026-12-31T23:59:59.999-05:00"
    assert Period.parse(" 2026-07-01/2027-06-30 ") == Period("2026-07-01", "2027-06-30")


@pytest.mark.parametrize("text", ["", "26", "2026-01-01", "2026-12-31/2026-01-01", "now/then"])
def test_what_is_no_period_is_refused(text):
    with pytest.raises(ContentError):
        Period.parse(text)


@pytest.mark.parametrize(
    ("text", "minutes"), [("Z", 0), ("+00:00", 0), ("-05:00", -300), ("+05:45", 345), ("+14:00", 840)]
)
def test_offsets_are_minutes(text, minutes):
    assert offset_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "5", "+5:00", "+14:01", "+00:60", "EST"])
def test_what_is_no_offset_is_refused(text):
    with pytest.raises(ContentError, match="is no offset from UTC"):
        offset_minutes(text)


def test_evaluate_gives_each_measure_its_result_and_report_its_individual_report(engine):
    prepared = engine.prepare(period="2026")
    results = prepared.evaluate(read_record(bundle_json(synthetic_patient(0))))
    assert [result.measure for result in results] == [measure.canonical for measure in prepared.measures]
    report = prepared.report(results[1], reporter="Organization/1", date="2027-02-01T00:00:00Z")
    assert report["measure"] == prepared.measures[1].canonical
    assert (report["type"], report["date"]) == ("individual", "2027-02-01T00:00:00Z")
    assert report["reporter"] == {"reference": "Organization/1"}
    assert report["period"] == {"start": "2026-01-01", "end": "2026-12-31"}


def test_each_measure_tells_the_resources_that_it_looked_at_itself(engine):
    together = engine.prepare(period="2026", evaluated_resources=True)
    told = set()
    for number in range(8):
        record = read_record(bundle_json(synthetic_patient(number)))
        results = together.evaluate(record)
        for measure, result in zip(together.measures, results, strict=True):
            (alone,) = engine.prepare(measure.name, period="2026", evaluated_resources=True).evaluate(record)
            assert result.evaluated_resources == alone.evaluated_resources
        assert [one.evaluated_resources for one in together.attempt(record)] == [
            one.evaluated_resources for one in results
        ]
        told.add(len({result.evaluated_resources for result in results}))
    assert max(told) > 1


def test_one_measure_that_fails_spares_the_others(engine, monkeypatch):
    prepared = engine.prepare(period="2026")
    record = read_record(bundle_json(synthetic_patient(0)))
    whole = prepared.evaluate(record)

    def failing(*_: object) -> None:
        raise ArithmeticError("on purpose")

    evaluators = [failing, *prepared._evaluators[1:]]
    monkeypatch.setattr(prepared, "_evaluators", evaluators)
    first, *others = prepared.attempt(record)
    assert isinstance(first, EvaluationError)
    assert isinstance(first.__cause__, ArithmeticError)
    assert first.where == f"Patient/synthetic-1-000001, measure {prepared.measures[0].name}"
    assert "the logic stumbled (ArithmeticError: on purpose)" in first.what
    assert others == whole[1:]
    with pytest.raises(EvaluationError, match="on purpose"):
        prepared.evaluate(record)


def test_measures_that_are_not_there_are_refused(engine):
    with pytest.raises(NotFoundError, match='no measure "Nothing"'):
        engine.prepare("Nothing", period="2026")


def test_remarks_tell_of_value_sets_taken_as_empty_once():
    engine = Engine(load_content(cql_libraries.FOLDER), missing_valuesets="empty")
    remarks = engine.prepare("DiabetesGlycemicControl", period="2026").remarks()
    about = [sentence for sentence in remarks if "ValueSet/diabetes-mellitus" in sentence]
    assert len(about) == 1
    assert "it is taken as empty" in about[0]
