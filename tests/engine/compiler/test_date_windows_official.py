"""Date windows over the official measures: what a search by date leaves out changes no result."""

from __future__ import annotations

import copy
import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from date_search import left_out, whole_server
from official_measures import OfficialMeasure, cases_of, official_engine, period_of

from measurewise.engine.errors import MeasurewiseError
from measurewise.engine.record.record import Record
from measurewise.engine.runner.session import Prepared
from measurewise.fhir_server_adapter.search_plan import SearchPlan, search_plan

Json = dict[str, Any]

SERVER_ZONES = (0, -720, 840)
CHANGED = 8
"""How many changed copies there are of each case."""
APART = (-1500, -400, -40, -6, -2, -1, 0, 1, 2, 6, 40, 400)
"""Days from an edge to the days where changed dates lie."""
NOT_YET = object()
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2}(T.*)?)?)?")


@pytest.mark.deck
def test_what_searches_by_date_leave_out_changes_no_result(ecqm_dir: Path, record_property: Any) -> None:
    engine = official_engine(ecqm_dir)
    capabilities = whole_server()
    chance = random.Random(4)  # noqa: S311
    types: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for content in engine.content.measures:
        official = OfficialMeasure(engine, content.name)
        plans: dict[Any, SearchPlan] = {}
        whole: dict[Any, SearchPlan] = {}
        for case in cases_of(ecqm_dir, content.name):
            period = period_of(case)
            prepared = official.bound(period)
            if period not in plans:
                plans[period] = planned(prepared, capabilities, engine.value_sets)
                whole[period] = planned(prepared, capabilities, engine.value_sets, by_date=False)
                if len(plans) == 1:
                    types.update(search.resource_type for search in plans[period].searches if search.dates)
                    counts["measures"] += any(search.dates for search in plans[period].searches)
            plan = plans[period]
            edges = days_of(plan, period.start, period.end)
            for copied, resources in enumerate(variants(case["resources"], edges, chance)):
                counts["records"] += 1
                whole_record: Any = NOT_YET
                for zone in SERVER_ZONES:
                    gone = set(map(id, left_out(plan.searches, resources, zone)))
                    by_codes = len(left_out(whole[period].searches, resources, zone))
                    counts["resources"] += len(resources)
                    counts["left out"] += len(gone)
                    counts["by codes"] += by_codes
                    if len(gone) == by_codes:
                        continue
                    whole_record = outcome(prepared, resources) if whole_record is NOT_YET else whole_record
                    if whole_record is None:
                        continue
                    counts["compared"] += 1
                    if outcome(prepared, [r for r in resources if id(r) not in gone]) != whole_record:
                        wrong.append(f"{content.name} {case['id']} copy {copied}, server at {zone} minutes")
    tally = (
        f"windows in {counts['measures']} of 43 measures ({dict(types)}), {counts['records']:,} records; "
        f"{counts['resources']:,} resources, "
        f"{counts['by codes']:,} left out by codes alone, {counts['left out']:,} by codes and dates; "
        f"{counts['compared']:,} results compared, {len(wrong)} differ"
    )
    print(tally)
    record_property("date windows", tally)
    assert wrong == []
    assert types["Encounter"] >= 20
    assert types["Observation"] >= 10
    assert counts["compared"] > 1000


def planned(prepared: Prepared, capabilities: Any, value_sets: Any, by_date: bool = True) -> SearchPlan:
    """The searches for a measure."""
    windows = prepared.windows if by_date else None
    return search_plan(prepared.program.tables.retrievals, capabilities, value_sets, windows=windows)


def outcome(prepared: Prepared, resources: list[Json]) -> Any:
    """All that a patient comes to; None where they cannot be evaluated."""
    try:
        results = prepared.evaluate(Record(resources))
    except MeasurewiseError:
        return None
    return [(result.groups, result.supplemental_data) for result in results]


def days_of(plan: SearchPlan, start: str, end: str) -> list[str]:
    """Days at, around and far from both ends of the period and of every window."""
    edges = {start[:10], end[:10]} | {value[2:] for search in plan.searches for _, value in search.dates}
    return sorted(str(date.fromisoformat(edge) + timedelta(days)) for edge in edges for days in APART)


# ------------------------------------------------------------------------------------ changed records


def variants(resources: list[Json], edges: list[str], chance: random.Random) -> Iterator[list[Json]]:
    """A record as it is, and with dates changed."""
    yield resources
    for _ in range(CHANGED):
        changed = copy.deepcopy(resources)
        for _ in range(chance.randint(1, 6)):
            chance.choice([move, move, move, blur, rezone, open_end, as_period])(changed, edges, chance)
        for resource in changed:
            put_in_order(resource)
        yield changed


def move(resources: list[Json], edges: list[str], chance: random.Random) -> None:
    """A date at an edge."""
    for holder, key in one_of(dates(resources), chance):
        holder[key] = chance.choice(edges) + holder[key][10:]


def blur(resources: list[Json], edges: list[str], chance: random.Random) -> None:
    """A date to the year, month or day."""
    for holder, key in one_of(dates(resources), chance):
        holder[key] = holder[key][: chance.choice([4, 7, 10])]


def rezone(resources: list[Json], edges: list[str], chance: random.Random) -> None:
    """A moment at an edge of a day, with any offset or none."""
    for holder, key in one_of(dates(resources), chance):
        if len(holder[key]) > 10:
            clock = chance.choice(["T00:00:00", "T23:59:59", "T12:00:00.000"])
            offset = chance.choice(["Z", "+00:00", "-12:00", "+14:00", "-05:00", ""])
            holder[key] = holder[key][:10] + clock + offset


def open_end(resources: list[Json], edges: list[str], chance: random.Random) -> None:
    """A Period without its start or end."""
    found = [h for h, k in dates(resources) if {"start", "end"} <= h.keys()]
    for period in [chance.choice(found)] if found else []:
        del period[chance.choice(["start", "end"])]


def as_period(resources: list[Json], edges: list[str], chance: random.Random) -> None:
    """A choice element in another of its forms."""
    found = [
        (r, key) for r in resources for key in r if re.fullmatch("(effective|performed|onset)DateTime", key)
    ]
    for resource, key in [chance.choice(found)] if found else []:
        text = resource.pop(key)
        other = chance.choice(["Period", "Period", "Timing" if key.startswith("eff") else "String"])
        bounds = {"start": text, "end": chance.choice([text, chance.choice(edges)])}
        resource[key.removesuffix("DateTime") + other] = {
            "Period": bounds,
            "Timing": {"event": [text]},
            "String": "some years ago",
        }[other]


def put_in_order(value: Any) -> None:
    """No Period ends before it starts (https://hl7.org/fhir/R4/datatypes.html#Period, per-1)."""
    if isinstance(value, list):
        for item in value:
            put_in_order(item)
    elif isinstance(value, dict):
        start, end = value.get("start"), value.get("end")
        if isinstance(start, str) and isinstance(end, str) and start[:10] >= end[:10]:
            value["end"] = start
        for item in value.values():
            put_in_order(item)


def dates(resources: list[Json]) -> list[tuple[Json, str]]:
    """Every date of a record that is no Patient's, as its holder and key."""
    found: list[tuple[Json, str]] = []
    pending: list[Any] = [r for r in resources if r["resourceType"] != "Patient"]
    while pending:
        holder = pending.pop()
        if isinstance(holder, list):
            pending += holder
        elif isinstance(holder, dict):
            found += [(holder, k) for k, v in holder.items() if isinstance(v, str) and DATE.fullmatch(v)]
            pending += [v for k, v in holder.items() if k not in ("meta", "text")]
    return found


def one_of(places: list[tuple[Json, str]], chance: random.Random) -> list[tuple[Json, str]]:
    return [chance.choice(places)] if places else []
