"""Diabetes in the measurement year, told as records tell it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from measurewise.synthetic import vocabulary as v
from measurewise.synthetic.chart import Chart, quantity
from measurewise.synthetic.stories import Diabetes

A1C = "hemoglobin-a1c"
STEP = Decimal("0.1")
PATIENT_REASON = "patient-reason"


def tell(chart: Chart, story: Diabetes) -> None:
    """Write the conditions, visits, tests and refusals of the story."""
    if story is Diabetes.NONE:
        return
    _diagnose(chart, story)
    if story is Diabetes.NO_VISIT:
        _visit(chart, chart.moment(6, 3, year=chart.year - 1))
        _result(chart, chart.day_of_year(60, 300), _controlled(chart))
        return
    # Hours before noon: the day stays the same when the moment is told in UTC.
    seen = chart.day_of_year(40, 180).replace(hour=chart.chance.whole(8, 11))
    encounter = _visit(chart, seen)
    TELLERS.get(story, _tested)(chart, seen, encounter)


def _diagnose(chart: Chart, story: Diabetes) -> None:
    kinds = v.members("diabetes-mellitus")
    first_letter = "E10" if story is Diabetes.TOO_YOUNG or chart.chance.happens(0.1) else "E11"
    kind = chart.chance.one([each for each in kinds if each["code"].startswith(first_letter)])
    years_ago = chart.chance.whole(1, 6) if story is Diabetes.TOO_YOUNG else chart.chance.whole(3, 18)
    onset = date(chart.year - years_ago, chart.chance.whole(1, 12), chart.chance.whole(1, 28))
    if story is Diabetes.RESOLVED:
        chart.condition(kind, f"{chart.year - 9}-02", abatement=f"{chart.year - 1}-05-20")
    elif story is Diabetes.REFUTED:
        verification = chart.chance.one(("refuted", "entered-in-error"))
        chart.condition(kind, onset.isoformat(), verification=verification)
    else:
        chart.condition(kind, chart.told_roughly(onset))
    if chart.chance.happens(0.7):
        chart.medication_order(v.METFORMIN, chart.day_of_year(40, 300))


def _visit(chart: Chart, start: datetime) -> str:
    if chart.chance.happens(0.4):
        kind = chart.chance.one((v.AMBULATORY, v.VIRTUAL))
        return chart.visit(start, kind=kind, coded=chart.chance.one(v.members("outpatient-visit")))
    return chart.visit(start, kind=chart.chance.one((v.AMBULATORY, v.AMBULATORY, v.HOME_HEALTH, v.VIRTUAL)))


def _controlled(chart: Chart) -> Decimal:
    return chart.chance.measurement(Decimal("5.6"), Decimal("7.9"), STEP)


def _uncontrolled(chart: Chart) -> Decimal:
    return chart.chance.measurement(Decimal("8.0"), Decimal("12.6"), STEP)


def _result(chart: Chart, taken: datetime, value: Decimal | None, *, status: str = "final") -> None:
    test = chart.chance.one(v.members(A1C))
    chart.laboratory(test, taken, None if value is None else quantity(value, "%"), status=status)


def _tested(chart: Chart, seen: datetime, _encounter: str) -> None:
    value = _controlled(chart) if chart.chance.happens(0.6) else _uncontrolled(chart)
    _result(chart, seen, value)


def _tested_low(chart: Chart, seen: datetime, _encounter: str) -> None:
    _result(chart, seen, _controlled(chart))
    if chart.chance.happens(0.5):
        _result(chart, seen + timedelta(days=91), _controlled(chart))


def _tested_high(chart: Chart, seen: datetime, _encounter: str) -> None:
    if chart.chance.happens(0.5):
        _result(chart, seen, _controlled(chart))
    _result(chart, seen + timedelta(days=91), _uncontrolled(chart))


def _tested_high_then_low(chart: Chart, seen: datetime, _encounter: str) -> None:
    _result(chart, seen, _uncontrolled(chart))
    _result(chart, seen + timedelta(days=98), _controlled(chart))


def _tested_twice_in_a_day(chart: Chart, seen: datetime, _encounter: str) -> None:
    _result(chart, seen, _uncontrolled(chart))
    _result(chart, seen + timedelta(hours=1), _controlled(chart))


def _tested_without_result(chart: Chart, seen: datetime, _encounter: str) -> None:
    _result(chart, seen, _controlled(chart), status=chart.chance.one(("preliminary", "entered-in-error")))
    _result(chart, seen + timedelta(days=30), None)


def _untested(chart: Chart, _seen: datetime, _encounter: str) -> None:
    if chart.chance.happens(0.5):
        _result(chart, chart.moment(5, 14, year=chart.year - 1), _controlled(chart))


def _refused_order(chart: Chart, seen: datetime, _encounter: str) -> None:
    chart.service_not_ordered(A1C, seen, _reason(chart), coded=True)


def _refused_value_set(chart: Chart, seen: datetime, _encounter: str) -> None:
    chart.service_not_ordered(A1C, seen, _reason(chart), coded=False)


def _refused_observation(chart: Chart, seen: datetime, _encounter: str) -> None:
    chart.observation_cancelled(chart.chance.one(v.members(A1C)), seen, _reason(chart))


def _refused_then_tested(chart: Chart, seen: datetime, _encounter: str) -> None:
    chart.service_not_ordered(A1C, seen, _reason(chart), coded=True)
    _result(chart, seen + timedelta(days=60), _controlled(chart))


def _in_hospice(chart: Chart, seen: datetime, _encounter: str) -> None:
    _result(chart, seen, _uncontrolled(chart))
    service = chart.chance.one(v.members("hospice-services"))
    begun = seen + timedelta(days=60)
    form = chart.chance.whole(1, 4)
    if form == 1:
        chart.visit(begun, 60 * 24 * 20, kind=v.HOME_HEALTH, coded=service)
    elif form == 2:
        chart.stay(begun, begun + timedelta(days=4), disposition=v.HOSPICE)
    elif form == 3:
        chart.procedure(service, begun, begun + timedelta(days=30) if chart.chance.happens(0.5) else None)
    else:
        chart.service_order(service, begun)


def _in_palliative_care(chart: Chart, seen: datetime, encounter: str) -> None:
    _result(chart, seen, _uncontrolled(chart))
    (palliative,) = v.members("palliative-care-encounter")
    chart.condition(palliative, chart.told(seen), encounter=encounter)


def _pregnant(chart: Chart, seen: datetime, encounter: str) -> None:
    _result(chart, seen, _controlled(chart))
    pregnancy = chart.chance.one(v.members("pregnancy"))
    if chart.chance.happens(0.5):
        due = (seen + timedelta(days=200)).date().isoformat()
        chart.condition(pregnancy, (seen - timedelta(days=40)).date().isoformat(), abatement=due)
    else:
        chart.condition(pregnancy, chart.told(seen), encounter=encounter)


def _reason(chart: Chart) -> v.Coding:
    return chart.chance.one(v.members(PATIENT_REASON))


TELLERS = {
    Diabetes.CONTROLLED: _tested_low,
    Diabetes.UNCONTROLLED: _tested_high,
    Diabetes.CONTROLLED_AFTER_UNCONTROLLED: _tested_high_then_low,
    Diabetes.TWO_RESULTS_IN_A_DAY: _tested_twice_in_a_day,
    Diabetes.RESULT_NOT_FINAL: _tested_without_result,
    Diabetes.UNTESTED: _untested,
    Diabetes.REFUSED_ORDER: _refused_order,
    Diabetes.REFUSED_VALUE_SET: _refused_value_set,
    Diabetes.REFUSED_OBSERVATION: _refused_observation,
    Diabetes.REFUSED_THEN_TESTED: _refused_then_tested,
    Diabetes.HOSPICE: _in_hospice,
    Diabetes.PALLIATIVE: _in_palliative_care,
    Diabetes.PREGNANT: _pregnant,
}
