"""Logic made at random: resources outside the window that it is found to have change no value of it."""

from __future__ import annotations

from typing import Any

import pytest
from date_search import found
from given_libraries import FHIR as FHIR_TYPE
from given_libraries import (
    HELPERS,
    NAME,
    YEAR_2026,
    alias,
    binary,
    bound,
    call,
    compiled,
    fhir_helpers,
    function,
    if_,
    interval,
    library,
    list_type,
    named_type,
    nary,
    node,
    op,
    operand,
    parameter,
    patient,
    property_of,
    query,
    ref,
    related,
    retrieve,
    text_of,
    to_interval,
)
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from measurewise.engine.compiler.prefilter.uses import uses_of
from measurewise.engine.compiler.prefilter.windows import Windows
from measurewise.fhir_server_adapter.search_plan import TypeSearch

PERIOD = parameter("Measurement Period")
START, END = op("Start", PERIOD), op("End", PERIOD)
TWO_YEARS_BACK = binary("Subtract", START, node("Quantity", value=2, unit="years"))
SPANS = [PERIOD, interval(TWO_YEARS_BACK, END), interval(TWO_YEARS_BACK, END, high_closed=False)]
ENCOUNTERS = list_type(named_type(FHIR_TYPE + "Encounter"))
OVER_PERIODS = ("IncludedIn", "Overlaps", "Includes", "SameAs", "Starts", "Ends", "Before", "After")
OVER_MOMENTS = ("Before", "SameOrBefore", "After", "SameOrAfter", "SameAs", "Equal")


def at(name: str) -> Any:
    return to_interval(property_of(name, "period"))


@st.composite
def conditions(draw: Any, name: str, depth: int = 2) -> Any:
    """A condition on an Encounter by its alias, mostly on its time."""
    kind = draw(st.integers(0, 9 if depth else 5))
    precision = draw(st.sampled_from([{}, {"precision": "Day"}, {"precision": "Month"}]))
    if kind <= 1:
        return binary(
            draw(st.sampled_from(OVER_PERIODS)), at(name), draw(st.sampled_from(SPANS)), **precision
        )
    if kind <= 3:
        relation = draw(st.sampled_from(OVER_MOMENTS))
        moment = op(draw(st.sampled_from(["Start", "End"])), at(name))
        more = {} if relation == "Equal" else precision
        return binary(relation, moment, draw(st.sampled_from([START, END, TWO_YEARS_BACK])), **more)
    if kind == 4:
        return binary("Equal", text_of(name, "status"), "finished")
    if kind == 5:
        return op("IsNull", draw(st.sampled_from([at(name), op("End", at(name))])))
    if kind == 6:
        return op("Not", draw(conditions(name, depth - 1)))
    if kind == 9:
        inner = f"{name}{depth}"
        met = nary(
            "And",
            draw(conditions(inner, depth - 1)),
            binary("Before", op("Start", at(inner)), op("Start", at(name))),
        )
        return op("Exists", query((inner, draw(lists(depth - 1))), where=met))
    return nary(
        "And" if kind == 7 else "Or", draw(conditions(name, depth - 1)), draw(conditions(name, depth - 1))
    )


@st.composite
def lists(draw: Any, depth: int = 3) -> Any:
    """A list of Encounters."""
    kind = draw(st.integers(0, 9 if depth else 1))
    if kind <= 1:
        return retrieve("Encounter")
    if kind <= 4:
        return query(("E", draw(lists(depth - 1))), where=draw(conditions("E")))
    if kind == 5:
        return node(
            draw(st.sampled_from(["Union", "Intersect", "Except"])),
            draw(lists(depth - 1)),
            draw(lists(depth - 1)),
        )
    if kind == 6:
        clause = related(
            draw(st.sampled_from(["With", "Without"])), "R", draw(lists(depth - 1)), draw(conditions("R"))
        )
        return query(("E", draw(lists(depth - 1))), relationship=[clause], where=draw(conditions("E")))
    if kind == 7:
        return call("Kept", draw(lists(depth - 1)))
    if kind == 8:
        return if_(op("Exists", draw(lists(depth - 1))), draw(lists(depth - 1)), draw(lists(depth - 1)))
    return query(("E", draw(lists(depth - 1))), returning=alias("E"))


@st.composite
def wanted(draw: Any) -> Any:
    """What is asked of one or two lists."""

    def one() -> Any:
        source = draw(st.one_of(st.just(retrieve("Encounter")), lists(), st.just(ref("Defined"))))
        span = draw(st.sampled_from(SPANS))
        met = binary(draw(st.sampled_from(["IncludedIn", "Overlaps"])), at("E"), span)
        if not draw(st.integers(0, 2)):
            met = nary(draw(st.sampled_from(["And", "And", "Or"])), met, draw(conditions("E")))
        rows = query(("E", source), where=met)
        kind = draw(st.integers(0, 3))
        if kind == 0:
            return op("Not", op("Exists", rows))
        if kind == 1:
            return text_of(node("Last", source=rows), "id")
        if kind == 2:
            return query(("E", rows), where=draw(conditions("E")), returning=text_of("E", "id"))
        return node("Count", source=rows)

    return node("List", element=[one(), *([one()] if draw(st.booleans()) else [])])


DAYS = [
    f"{year}-{day}"
    for year in (2021, 2024, 2025, 2026, 2027)
    for day in ("01-01", "01-04", "06-15", "12-28", "12-31")
]


@st.composite
def encounters(draw: Any) -> Any:
    """An Encounter with a Period of days or moments, open at an end or whole, or without one."""
    first = draw(st.integers(0, len(DAYS) - 1))
    last = min(first + draw(st.sampled_from([0, 0, 0, 1, 1, 5])), len(DAYS) - 1)
    start, end = DAYS[first], DAYS[last]
    clock = draw(st.sampled_from([None, "T00:00:00Z", "T23:59:59+14:00", "T12:00:00-12:00"]))
    period = {"start": start + (clock or ""), "end": end + (clock or "")}
    for missing in draw(st.sampled_from([[], [], [], [], ["start"], ["end"], ["start", "end"]])):
        del period[missing]
    encounter = {"resourceType": "Encounter", "status": draw(st.sampled_from(["finished", "planned"]))}
    return {**encounter, "period": period} if period else encounter


@pytest.mark.parametrize("start_unknown", [True, False])
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    expression=wanted(),
    defined=lists(),
    kept=conditions("K"),
    resources=st.lists(encounters(), min_size=1, max_size=4),
    server=st.sampled_from([0, -720, 840]),
)
def test_resources_outside_the_window_change_no_value(
    start_unknown: bool, expression: Any, defined: Any, kept: Any, resources: Any, server: int
) -> None:
    own = library(
        {"Defined": defined, "X": expression},
        includes=HELPERS,
        functions=[function("Kept", {"list": ENCOUNTERS}, query(("K", operand("list")), where=kept))],
        parameters=[{"name": "Measurement Period"}],
    )
    libraries = [own, fhir_helpers(start_unknown=start_unknown)]
    program = compiled(*libraries, root=(NAME, "1"))
    retrievals = list(program.tables.retrievals)
    asked = [retrieval for retrieval in retrievals if retrieval.resource_type == "Encounter"]
    window = Windows(uses_of(libraries, (NAME, "1"), ["X"]), retrievals, YEAR_2026).of(asked, ("period",))
    event("no window" if window is None else "window")
    if window is None:
        return
    dates = [("date", f"{prefix}{day}") for prefix, day in (("ge", window.first), ("le", window.last)) if day]
    search = TypeSearch("Encounter", "patient", dates=tuple(dates))
    all_of_them = [{**resource, "id": str(number)} for number, resource in enumerate(resources)]
    some = [resource for resource in all_of_them if found(search, resource, server)]
    if len(some) < len(all_of_them):
        event("left out")
    run = bound(program, parameters={"Measurement Period": YEAR_2026})
    assert patient(run, *some).value(NAME, "X") == patient(run, *all_of_them).value(NAME, "X")
