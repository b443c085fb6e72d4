"""What fills every record beside the stories: earlier years, small complaints, measurements, vaccines."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from measurewise.synthetic import vocabulary as v
from measurewise.synthetic.chart import QICORE, Chart, Json, quantity


def tell(chart: Chart, *, visits_this_year: bool) -> None:
    """Write visits of earlier years and, where the stories allow, of the measurement year."""
    chance = chart.chance
    for years_ago in (3, 2, 1):
        for _ in range(chance.whole(0, 2)):
            seen = chart.moment(chance.whole(1, 12), chance.whole(1, 28), year=chart.year - years_ago)
            _visit(chart, seen)
    if visits_this_year:
        for _ in range(chance.whole(0, 3)):
            _visit(chart, chart.day_of_year(15, 330))
        if chance.happens(0.1):
            _emergency(chart, chart.day_of_year(15, 330))
        if chance.happens(0.1):
            status = chance.one(("cancelled", "planned", "entered-in-error"))
            chart.visit(chart.day_of_year(15, 330), status=status)
    if chance.happens(0.3):
        _vaccinate(chart)


def _visit(chart: Chart, seen: datetime) -> None:
    chance = chart.chance
    coded = chance.one(v.members("outpatient-visit")) if chance.happens(0.3) else None
    encounter = chart.visit(seen, 5 * chance.whole(2, 9), coded=coded)
    if chance.happens(0.6):
        _complain(chart, seen, encounter)
    if chance.happens(0.5):
        _weigh(chart, seen)
    if chance.happens(0.4):
        _draw_blood(chart, seen)


def _complain(chart: Chart, seen: datetime, encounter: str) -> None:
    chance = chart.chance
    complaint = chance.one(v.COMMON_CONDITIONS)
    if chance.happens(0.4):
        chart.condition(complaint, chart.told_roughly(seen.date()))
    else:
        over = (seen + timedelta(days=chance.whole(5, 30))).date().isoformat()
        chart.condition(complaint, seen.date().isoformat(), abatement=over, encounter=encounter)


def _weigh(chart: Chart, seen: datetime) -> None:
    chance = chart.chance
    height = chance.measurement(Decimal("148.0"), Decimal("192.0"), Decimal("0.5"))
    weight = chance.measurement(Decimal("46.0"), Decimal("128.0"), Decimal("0.1"))
    chart.vital_sign(v.BODY_HEIGHT, seen, quantity(height, "cm"), "body-height")
    if chance.happens(0.2):
        # As weighed in pounds, to two digits, trailing zero and all.
        pounds = (weight / Decimal("0.45359237")).quantize(Decimal("0.01"))
        chart.vital_sign(v.BODY_WEIGHT, seen, quantity(pounds, "[lb_av]", shown="lb"), "body-weight")
    else:
        chart.vital_sign(v.BODY_WEIGHT, seen, quantity(weight, "kg"), "body-weight")
    index = (weight * 10000 / (height * height)).quantize(Decimal("0.1"))
    chart.vital_sign(v.BODY_MASS_INDEX, seen, quantity(index, "kg/m2"), "bmi")
    rate = Decimal(chance.whole(52, 104))
    chart.vital_sign(v.HEART_RATE, seen, quantity(rate, "/min", shown="beats/minute"), "heart-rate")


def _draw_blood(chart: Chart, seen: datetime) -> None:
    chance = chart.chance
    creatinine = chance.measurement(Decimal("0.55"), Decimal("1.60"), Decimal("0.01"))
    chart.laboratory(v.CREATININE, seen, quantity(creatinine, "mg/dL"))
    cholesterol = Decimal(chance.whole(58, 190))
    chart.laboratory(v.LDL_CHOLESTEROL, seen, quantity(cholesterol, "mg/dL"))
    filtration = quantity(Decimal(chance.whole(25, 60)), "mL/min/{1.73_m2}")
    if filtration["value"] == 60:
        filtration["comparator"] = ">"
    chart.laboratory(v.GLOMERULAR_FILTRATION, seen, filtration)


def _emergency(chart: Chart, seen: datetime) -> None:
    chart.visit(seen.replace(hour=23), 240, kind=v.EMERGENCY)


def _vaccinate(chart: Chart) -> None:
    given: Json = {
        "status": "completed",
        "vaccineCode": v.concept(v.INFLUENZA_VACCINE),
        "patient": chart.subject(),
        "occurrenceDateTime": f"{chart.year}-10-{chart.chance.whole(1, 28):02d}",
        "primarySource": True,
    }
    chart.add("Immunization", f"{QICORE}immunization", given)
