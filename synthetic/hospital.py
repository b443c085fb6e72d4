"""Stays in hospital in the measurement year, and the first visit after them."""

from __future__ import annotations

from datetime import datetime, timedelta

from measurewise.synthetic import vocabulary as v
from measurewise.synthetic.chart import Chart
from measurewise.synthetic.stories import Hospital


def tell(chart: Chart, story: Hospital) -> None:
    """Write the stays and visits of the story."""
    if story is Hospital.NONE:
        return
    chance = chart.chance
    reason = chance.one(v.REASONS_FOR_STAY)
    if story in {Hospital.SEEN_TOO_LATE, Hospital.NOT_SEEN, Hospital.DIED, Hospital.STILL_IN}:
        # After the last day on which the other stories have visits.
        begun = chart.moment(12, chance.whole(3, 9))
    else:
        begun = chart.day_of_year(30, 250)
    if story is Hospital.STILL_IN:
        chart.stay(begun, None, reason=reason)
        return
    days = chance.whole(8, 16) if story is Hospital.SEEN_AFTER_LONG_STAY else chance.whole(2, 6)
    ended = (begun + timedelta(days=days)).replace(hour=chance.whole(9, 11))
    disposition = {
        Hospital.DIED: v.EXPIRED,
        Hospital.NURSING_FACILITY: v.SKILLED_NURSING,
        Hospital.TRANSFERRED: v.OTHER_HOSPITAL,
    }.get(story, v.HOME if chance.happens(0.8) else None)
    stay = chart.stay(begun, ended, disposition=disposition, reason=reason)
    chart.condition(reason, chart.told(begun), abatement=chart.told(ended), encounter=stay)
    if story is Hospital.DIED:
        chart.died = ended
        return
    if story is Hospital.TRANSFERRED:
        again = ended + timedelta(hours=3)
        ended = again + timedelta(days=chance.whole(2, 5))
        chart.stay(again, ended, disposition=v.HOME, reason=reason)
    _see_again(chart, story, ended)


def _see_again(chart: Chart, story: Hospital, ended: datetime) -> None:
    chance = chart.chance
    match story:
        case Hospital.NOT_SEEN:
            return
        case Hospital.SEEN_SAME_DAY:
            seen = ended + timedelta(hours=4)
        case Hospital.SEEN_LATE:
            seen = ended + timedelta(days=chance.whole(30, 80))
        case Hospital.SEEN_TOO_LATE:
            seen = ended + timedelta(days=chance.whole(95, 130))
        case _:
            seen = ended + timedelta(days=chance.whole(2, 14))
    chart.visit(seen, kind=chance.one((v.AMBULATORY, v.AMBULATORY, v.VIRTUAL, v.HOME_HEALTH)))
