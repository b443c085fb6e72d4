"""Blood pressure at visits in the measurement year, and what was done about a high one."""

from __future__ import annotations

from datetime import datetime, timedelta

from measurewise.synthetic import vocabulary as v
from measurewise.synthetic.chart import Chart
from measurewise.synthetic.stories import BloodPressure

MEDICATIONS = "antihypertensive-medications"


def tell(chart: Chart, story: BloodPressure) -> None:
    """Write the visits, readings and orders of the story."""
    seen = chart.day_of_year(60, 290)
    if story is BloodPressure.NO_READING:
        # Half of these have a reading that lacks its diastolic value, in a visit of last year's.
        if chart.chance.happens(0.5):
            before = chart.moment(9, 10, year=chart.year - 1)
            encounter = chart.visit(before)
            chart.blood_pressure(before + timedelta(minutes=10), 150, None, encounter=encounter)
        return
    if story is BloodPressure.READ_BETWEEN_VISITS:
        chart.blood_pressure(seen, *_high(chart))
        return
    encounter = chart.visit(seen, kind=chart.chance.one((v.AMBULATORY, v.AMBULATORY, v.HOME_HEALTH)))
    taken = seen + timedelta(minutes=10)
    if story is BloodPressure.NORMAL:
        chart.blood_pressure(taken, *_normal(chart), encounter=encounter)
        return
    if story is BloodPressure.LAST_READING_NORMAL:
        chart.blood_pressure(taken, *_high(chart), encounter=encounter)
        chart.blood_pressure(taken + timedelta(minutes=12), *_normal(chart), encounter=encounter)
        return
    severe = story in {BloodPressure.SEVERE_TREATED, BloodPressure.SEVERE_IGNORED}
    if chart.chance.happens(0.3):
        chart.blood_pressure(taken, *_normal(chart), encounter=encounter)
        taken += timedelta(minutes=10)
    chart.blood_pressure(taken, *(_severe(chart) if severe else _high(chart)), encounter=encounter)
    _follow_up(chart, story, seen)


def _follow_up(chart: Chart, story: BloodPressure, seen: datetime) -> None:
    chance = chart.chance
    at_the_end = seen + timedelta(minutes=25)
    medication = chance.one(v.members(MEDICATIONS))
    match story:
        case BloodPressure.HIGH_TREATED | BloodPressure.SEVERE_TREATED:
            chart.medication_order(medication, at_the_end)
        case BloodPressure.HIGH_TREATED_BY_REFERENCE:
            chart.medication_order(medication, at_the_end, by_reference=True)
        case BloodPressure.HIGH_LIFESTYLE:
            chart.service_order(chance.one(v.members("lifestyle-services")), at_the_end)
        case BloodPressure.HIGH_RECHECKED:
            again = seen + timedelta(days=chance.whole(5, 27))
            chart.blood_pressure(again + timedelta(minutes=5), *_normal(chart), encounter=chart.visit(again))
        case BloodPressure.HIGH_REFUSED:
            reason = chance.one(v.members("patient-reason"))
            chart.medication_not_ordered(MEDICATIONS, at_the_end, reason, coded=chance.happens(0.5))
        case BloodPressure.HIGH_CONTRAINDICATED:
            reason = chance.one(v.members("medical-reason"))
            chart.medication_not_ordered(MEDICATIONS, at_the_end, reason, coded=chance.happens(0.5))
        case BloodPressure.HIGH_RENAL_DISEASE:
            disease = chance.one(v.members("end-stage-renal-disease"))
            chart.condition(disease, f"{chart.year - chance.whole(2, 5)}-{chance.whole(1, 12):02d}")
        case _:
            # Nothing was done; an order before the visit is none at it.
            if chance.happens(0.4):
                chart.medication_order(medication, seen - timedelta(days=200))


def _normal(chart: Chart) -> tuple[int, int]:
    return chart.chance.whole(104, 138), chart.chance.whole(62, 88)


def _high(chart: Chart) -> tuple[int, int]:
    if chart.chance.happens(0.3):
        return chart.chance.whole(122, 139), chart.chance.whole(90, 98)
    return chart.chance.whole(140, 158), chart.chance.whole(74, 98)


def _severe(chart: Chart) -> tuple[int, int]:
    return chart.chance.whole(160, 194), chart.chance.whole(84, 112)
