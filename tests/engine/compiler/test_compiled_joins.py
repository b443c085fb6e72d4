"""Joins made short, by equality and by time, give the rows that loops over every pair give.

The expected rows are found here by plain loops with the run-time operators on every pair.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest
from given_libraries import (
    FHIR,
    HELPERS,
    NAME,
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
    node,
    of,
    op,
    operand,
    patient,
    property_of,
    query,
    ref,
    related,
    retrieve,
    text_of,
    to_interval,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from measurewise.engine.runtime.datetime_parsing import parse_datetime
from measurewise.engine.runtime.operators import OPERATORS
from measurewise.engine.runtime.values import Interval

ZONE = -300

days = st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-31", "2026-02-01", "2026-02-28", "2025-12-31"])
clocks = st.sampled_from(["T00:00:00", "T23:59:59.999", "T12:00", "T12:30:15.5", "T05:00:00"])
offsets = st.sampled_from(["Z", "-05:00", "+14:00", "-12:00", ""])
partial = st.sampled_from(["2026", "2026-01", "2026-02", "2025-12"])
moments = st.one_of(
    st.tuples(days, clocks, offsets).map("".join), days, partial, st.sampled_from(["no date", "2026-02-30"])
)
any_period = st.fixed_dictionaries({}, optional={"start": moments, "end": moments})


def in_order(stated: dict[str, Any]) -> bool:
    """Whether a Period may start before it ends (FHIR R4, Period, "per-1")."""
    start, end = read(stated.get("start")), read(stated.get("end"))
    return start is None or end is None or (start.lo <= end.hi and start.local <= end.hi)


def read(value: Any) -> Any:
    return parse_datetime(value, ZONE) if isinstance(value, str) else None


periods = any_period.filter(in_order)
names = st.sampled_from(["a", "b", "c", "d"])

encounters = st.lists(
    st.fixed_dictionaries({"id": names}, optional={"period": periods}).map(
        lambda e: {"resourceType": "Encounter", **e}
    ),
    max_size=9,
)
observations = st.lists(
    st.fixed_dictionaries(
        {"id": names},
        optional={
            "issued": moments,
            "encounter": st.fixed_dictionaries({}, optional={"reference": names}),
            "status": st.sampled_from(["final", "amended"]),
        },
    ).map(lambda o: {"resourceType": "Observation", **o}),
    max_size=9,
)


def period(resource: dict[str, Any], start_unknown: bool = True) -> Interval | None:
    stated = resource.get("period")
    if stated is None:
        return None
    start = stated.get("start")
    closed = not (start_unknown and start is None)
    return Interval(read(start), read(stated.get("end")), closed, True, "DateTime")


def issued(resource: dict[str, Any]) -> Any:
    return read(resource.get("issued"))


def reference(resource: dict[str, Any]) -> Any:
    return (resource.get("encounter") or {}).get("reference")


ENCOUNTER_PERIOD = to_interval(property_of("E", "period"))
ISSUED = text_of("O", "issued")

POINT_PHRASES = ["In", "IncludedIn", "Before", "After", "SameOrBefore", "SameOrAfter"]
SPAN_PHRASES = [
    "Overlaps",
    "OverlapsBefore",
    "OverlapsAfter",
    "IncludedIn",
    "Includes",
    "ProperIncludedIn",
    "Before",
    "After",
    "SameOrBefore",
    "SameOrAfter",
    "Starts",
    "Ends",
    "SameAs",
]
PRECISIONS = {None: None, "Day": 2, "Month": 1, "Year": 0, "Minute": 4}


def rows(expression: dict[str, Any], *resources: Any, start_unknown: bool = True) -> list[Any]:
    key = (repr(expression), start_unknown)
    if key not in _RUNS:
        given = library({"X": expression}, includes=HELPERS)
        _RUNS[key] = bound(compiled(given, fhir_helpers(start_unknown=start_unknown)), zone=ZONE)
    found: list[Any] = patient(_RUNS[key], *resources).value(NAME, "X")
    return found


_RUNS: dict[Any, Any] = {}


def phrase(kind: str, a: Any, b: Any, precision: str | None) -> dict[str, Any]:
    return binary(kind, a, b, **({"precision": precision} if precision else {}))


def pairs(found: list[Any]) -> list[tuple[int, int]]:
    return [(id(pair["E"]), id(pair["O"])) for pair in found]


@pytest.mark.parametrize("precision", list(PRECISIONS))
@pytest.mark.parametrize("kind", POINT_PHRASES)
@settings(max_examples=30, deadline=None)
@given(encounters=encounters, observations=observations)
def test_a_point_and_a_period_join_by_time_as_by_pairs(kind, precision, encounters, observations):
    compare = OPERATORS[kind]
    such_that = phrase(kind, ISSUED, ENCOUNTER_PERIOD, precision)
    fits = [
        (e, o)
        for e in encounters
        for o in observations
        if _true(compare, issued(o), period(e), PRECISIONS[precision])
    ]
    with_ = query(
        ("E", retrieve("Encounter")),
        relationship=[related("With", "O", retrieve("Observation"), such_that)],
    )
    without = query(
        ("O", retrieve("Observation")),
        relationship=[related("Without", "E", retrieve("Encounter"), such_that)],
    )
    inside = [e for e in encounters if any(e is f for f, _ in fits)]
    outside = [o for o in observations if not any(o is f for _, f in fits)]
    assert list(map(id, rows(with_, *encounters, *observations))) == list(map(id, inside))
    assert list(map(id, rows(without, *encounters, *observations))) == list(map(id, outside))


@pytest.mark.parametrize("precision", [None, "Day", "Month"])
@pytest.mark.parametrize("kind", SPAN_PHRASES)
@settings(max_examples=30, deadline=None)
@given(encounters=encounters, start_unknown=st.booleans())
def test_two_periods_join_by_time_as_by_pairs(kind, precision, encounters, start_unknown):
    compare = OPERATORS[kind]
    such_that = phrase(kind, to_interval(property_of("F", "period")), ENCOUNTER_PERIOD, precision)
    expected = [
        e
        for e in encounters
        if any(
            _true(compare, period(f, start_unknown), period(e, start_unknown), PRECISIONS[precision])
            for f in encounters
        )
    ]
    found = rows(
        query(
            ("E", retrieve("Encounter")),
            relationship=[related("With", "F", retrieve("Encounter"), such_that)],
        ),
        *encounters,
        start_unknown=start_unknown,
    )
    assert list(map(id, found)) == list(map(id, expected))


def met(kind: str, precision: str | None, *encounters: dict[str, Any]) -> list[Any]:
    """The ids of the encounters whose period the period of some other meets."""
    such_that = phrase(kind, to_interval(property_of("F", "period")), ENCOUNTER_PERIOD, precision)
    joined = query(
        ("E", retrieve("Encounter")),
        relationship=[related("With", "F", retrieve("Encounter"), such_that)],
    )
    return [e["id"] for e in rows(joined, *encounters)]


def span(name: str, start: str, end: str) -> dict[str, Any]:
    return {"resourceType": "Encounter", "id": name, "period": {"start": start, "end": end}}


@pytest.mark.parametrize("precision", [None, "Day"])
def test_periods_meet_within_a_year(precision):
    first = span("first", "2026-01-30T00:00:00.000Z", "2026-01-31T23:59:59.999Z")
    second = span("second", "2026-02-01T00:00:00.000Z", "2026-02-02T00:00:00.000Z")
    assert met("MeetsBefore", precision, first, second) == ["second"]
    assert met("MeetsAfter", precision, first, second) == ["first"]
    assert met("Meets", precision, first, second) == ["first", "second"]


@pytest.mark.parametrize("precision", [None, "Day", "Month"])
def test_periods_meet_across_the_turn_of_a_year(precision):
    first = span("first", "2025-12-30T00:00:00.000Z", "2025-12-31T23:59:59.999-05:00")
    second = span("second", "2026-01-01T00:00:00.000-05:00", "2026-01-02T00:00:00.000Z")
    assert met("Meets", precision, first, second) == ["first", "second"]


def test_a_period_the_wrong_way_round_joins_as_its_bounds_compare():
    reversed_ = span("reversed", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z")
    assert OPERATORS["SameAs"](period(reversed_), period(reversed_)) is True
    assert met("SameAs", None, reversed_) == ["reversed"]


@settings(max_examples=150, deadline=None)
@given(encounters=encounters, observations=observations)
def test_a_join_by_equality_gives_the_pairs_of_the_loops_in_their_order(encounters, observations):
    same = binary("Equal", text_of("E", "id"), text_of(property_of("O", "encounter"), "reference"))
    expected = [(e, o) for e in encounters for o in observations if e["id"] == reference(o)]
    found = rows(
        query(
            ("E", retrieve("Encounter")),
            ("O", retrieve("Observation")),
            where=same,
            returning=_pair(),
            distinct=False,
        ),
        *encounters,
        *observations,
    )
    assert pairs(found) == [(id(e), id(o)) for e, o in expected]


@settings(max_examples=150, deadline=None)
@given(encounters=encounters, observations=observations)
def test_conditions_on_one_row_on_both_by_equality_and_by_time_all_hold(encounters, observations):
    conditions = [
        binary("Equal", text_of("O", "status"), "final"),
        binary("Equal", text_of("E", "id"), text_of(property_of("O", "encounter"), "reference")),
        phrase("IncludedIn", ISSUED, ENCOUNTER_PERIOD, "Day"),
    ]
    where = binary("And", conditions[0], binary("And", conditions[1], conditions[2]))
    included = OPERATORS["IncludedIn"]
    expected = [
        (e, o)
        for e in encounters
        for o in observations
        if o.get("status") == "final" and e["id"] == reference(o) and _true(included, issued(o), period(e), 2)
    ]
    multi = query(
        ("E", retrieve("Encounter")),
        ("O", retrieve("Observation")),
        where=where,
        returning=_pair(),
        distinct=False,
    )
    with_ = query(
        ("E", retrieve("Encounter")), relationship=[related("With", "O", retrieve("Observation"), where)]
    )
    assert pairs(rows(multi, *encounters, *observations)) == [(id(e), id(o)) for e, o in expected]
    kept = [e for e in encounters if any(e is f for f, _ in expected)]
    assert list(map(id, rows(with_, *encounters, *observations))) == list(map(id, kept))


@settings(max_examples=100, deadline=None)
@given(encounters=encounters, observations=observations)
def test_two_phrases_on_one_time_narrow_together(encounters, observations):
    after = phrase("SameOrAfter", ISSUED, op("Start", ENCOUNTER_PERIOD), None)
    before = phrase("Before", ISSUED, op("End", ENCOUNTER_PERIOD), None)
    same_or_after, earlier = OPERATORS["SameOrAfter"], OPERATORS["Before"]
    start, end = OPERATORS["Start"], OPERATORS["End"]
    expected = [
        e
        for e in encounters
        if any(
            _true(same_or_after, issued(o), start(period(e))) and _true(earlier, issued(o), end(period(e)))
            for o in observations
        )
    ]
    found = rows(
        query(
            ("E", retrieve("Encounter")),
            relationship=[related("With", "O", retrieve("Observation"), binary("And", after, before))],
        ),
        *encounters,
        *observations,
    )
    assert list(map(id, found)) == list(map(id, expected))


@settings(max_examples=100, deadline=None)
@given(encounters=encounters, observations=observations)
def test_a_join_with_a_list_that_is_restricted_first_is_that_of_its_rows(encounters, observations):
    finals = query(("S", retrieve("Observation")), where=binary("Equal", text_of("S", "status"), "final"))
    same = binary("Equal", text_of("E", "id"), text_of(property_of("O", "encounter"), "reference"))
    found = rows(
        query(("E", retrieve("Encounter")), relationship=[related("Without", "O", finals, same)]),
        *encounters,
        *observations,
    )
    expected = [
        e
        for e in encounters
        if not any(o.get("status") == "final" and reference(o) == e["id"] for o in observations)
    ]
    assert list(map(id, found)) == list(map(id, expected))


@settings(max_examples=100, deadline=None)
@given(observations=observations, numbers=st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=6))
def test_integers_join_by_equality_and_null_equals_nothing(observations, numbers):
    others = [1, None, 2, 2]
    found = rows(
        query(
            ("A", of(numbers) if numbers else of([None])),
            ("B", of(others)),
            where=binary("Equal", alias("A"), alias("B")),
            returning=alias("A"),
            distinct=False,
        )
    )
    expected = [a for a in (numbers or [None]) for b in others if a is not None and a == b]
    assert found == expected


def _pair() -> dict[str, Any]:
    return node("Tuple", element=[{"name": n, "value": alias(n)} for n in ("E", "O")])


def _true(compare: Any, *operands: Any) -> bool:
    return compare(*operands) is True


def visits(number: int) -> list[dict[str, Any]]:
    """A visit of an hour on each of some days."""
    return [
        span(
            f"v{n}",
            f"2026-{n // 28 + 1:02}-{n % 28 + 1:02}T08:00:00Z",
            f"2026-{n // 28 + 1:02}-{n % 28 + 1:02}T09:00:00Z",
        )
        for n in range(number)
    ]


@settings(max_examples=100, deadline=None)
@given(
    encounters=st.lists(encounters, min_size=2, max_size=3).map(lambda many: [e for es in many for e in es])
)
def test_one_of_several_phrases_on_different_times_joins_as_by_pairs(encounters):
    other = to_interval(property_of("F", "period"))
    overlapping = phrase("Overlaps", other, ENCOUNTER_PERIOD, "Day")
    starting = binary(
        "And",
        phrase("In", op("Start", other), ENCOUNTER_PERIOD, None),
        op("Not", op("IsNull", text_of("F", "id"))),
    )
    ending = phrase("SameAs", op("End", other), op("End", ENCOUNTER_PERIOD), "Month")
    fits = [
        any(
            _true(OPERATORS["Overlaps"], period(f), period(e), 2)
            or _true(OPERATORS["In"], OPERATORS["Start"](period(f)), period(e), None)
            or _true(OPERATORS["SameAs"], OPERATORS["End"](period(f)), OPERATORS["End"](period(e)), 1)
            for f in encounters
        )
        for e in encounters
    ]
    either = binary("Or", binary("Or", overlapping, starting), ending)
    found = rows(
        query(
            ("E", retrieve("Encounter")), relationship=[related("With", "F", retrieve("Encounter"), either)]
        ),
        *encounters,
    )
    assert list(map(id, found)) == [id(e) for e, fit in zip(encounters, fits, strict=True) if fit]


@settings(max_examples=100, deadline=None)
@given(encounters=encounters, observations=observations)
def test_what_a_small_function_says_of_a_row_joins_as_by_pairs(encounters, observations):
    same = binary(
        "Equal",
        text_of(operand("visit"), "id"),
        text_of(property_of(operand("seen"), "encounter"), "reference"),
    )
    during = phrase(
        "IncludedIn",
        text_of(operand("seen"), "issued"),
        to_interval(property_of(operand("visit"), "period")),
        "Day",
    )
    kinds = {"seen": named_type(FHIR + "Observation"), "visit": named_type(FHIR + "Encounter")}
    found = {}
    for name, body in (("at", same), ("during", during)):
        joined = query(
            ("E", retrieve("Encounter")),
            relationship=[related("With", "O", retrieve("Observation"), call(name, alias("O"), alias("E")))],
        )
        given_ = library({"X": joined}, functions=[function(name, kinds, body)], includes=HELPERS)
        run = _RUNS.get(name)
        if run is None:
            run = _RUNS[name] = bound(compiled(given_, fhir_helpers()), zone=ZONE)
        found[name] = list(map(id, patient(run, *encounters, *observations).value(NAME, "X")))
    included = OPERATORS["IncludedIn"]
    assert found["at"] == [id(e) for e in encounters if any(reference(o) == e["id"] for o in observations)]
    assert found["during"] == [
        id(e) for e in encounters if any(_true(included, issued(o), period(e), 2) for o in observations)
    ]


@settings(max_examples=100, deadline=None)
@given(encounters=encounters, observations=observations)
def test_a_function_that_walks_a_list_it_is_given_finds_what_pairs_find(encounters, observations):
    """``AnyTrue`` over what each row of the list gives, as measures ask whether an order fell on a visit."""
    visit = to_interval(property_of("Visit", "period"))
    fell = phrase("In", text_of(operand("seen"), "issued"), visit, "Day")
    final = binary("Equal", text_of(operand("seen"), "status"), "final")
    body = node(
        "AnyTrue",
        source=query(
            ("Visit", operand("visits")),
            returning=if_(op("IsNull", operand("seen")), False, binary("And", fell, final)),
        ),
    )
    kinds = {
        "seen": named_type(FHIR + "Observation"),
        "visits": list_type(named_type(FHIR + "Encounter")),
    }
    if "walk" not in _RUNS:
        fitting = query(("O", retrieve("Observation")), where=call("fell", alias("O"), ref("Visits")))
        given_ = library(
            {
                "Visits": query(
                    ("V", retrieve("Encounter")), where=op("Not", op("IsNull", property_of("V", "period")))
                ),
                "X": fitting,
            },
            functions=[function("fell", kinds, body)],
            includes=HELPERS,
        )
        _RUNS["walk"] = bound(compiled(given_, fhir_helpers()), zone=ZONE)
    found = patient(_RUNS["walk"], *encounters, *observations).value(NAME, "X")
    inside = OPERATORS["In"]
    expected = [
        id(o)
        for o in observations
        if o.get("status") == "final"
        and any("period" in e and _true(inside, issued(o), period(e), 2) for e in encounters)
    ]
    assert list(map(id, found)) == expected


@pytest.mark.parametrize(
    "such_that",
    [
        pytest.param(
            binary(
                "Or",
                phrase("Overlaps", to_interval(property_of("F", "period")), ENCOUNTER_PERIOD, None),
                phrase(
                    "SameAs",
                    op("End", to_interval(property_of("F", "period"))),
                    op("End", ENCOUNTER_PERIOD),
                    None,
                ),
            ),
            id="either of two times",
        ),
        pytest.param(call("like", alias("E"), alias("F")), id="a small function"),
    ],
)
def test_joins_look_at_rows_in_proportion_to_the_record(such_that):
    like = binary("Equal", text_of(operand("a"), "id"), text_of(operand("b"), "id"))
    kind = named_type(FHIR + "Encounter")
    joined = query(
        ("E", retrieve("Encounter")), relationship=[related("With", "F", retrieve("Encounter"), such_that)]
    )
    given_ = library(
        {"X": joined}, functions=[function("like", {"a": kind, "b": kind}, like)], includes=HELPERS
    )
    run = bound(compiled(given_, fhir_helpers()), zone=ZONE)
    lines = []
    for number in (50, 200):
        evaluation = patient(run, *visits(number))
        lines.append(lines_run(lambda: evaluation.value(NAME, "X")))  # noqa: B023  called at once
        assert len(evaluation.value(NAME, "X")) == number
    assert lines[1] < lines[0] * 4 * 1.2


def lines_run(work: Any) -> int:
    """How many lines of Python some work runs."""
    count = 0

    def line(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    sys.settrace(line)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


@settings(max_examples=100, deadline=None)
@given(encounters=encounters, observations=observations)
def test_a_let_that_hangs_on_no_row_joins_as_what_it_says(encounters, observations):
    first = node(
        "First",
        source=query(("S", retrieve("Encounter")), where=op("Not", op("IsNull", property_of("S", "period")))),
    )
    inner = query(
        ("O", retrieve("Observation")),
        let={
            "first": first,
            "span": to_interval(property_of(node("QueryLetRef", name="first"), "period")),
            "own": text_of("O", "status"),
        },
        where=binary(
            "And",
            phrase("In", ISSUED, node("QueryLetRef", name="span"), "Day"),
            binary("Equal", node("QueryLetRef", name="own"), "final"),
        ),
    )
    found = rows(
        query(
            ("E", retrieve("Encounter")),
            returning=node("Count", source=inner),
            distinct=False,
        ),
        *encounters,
        *observations,
    )
    timed = [e for e in encounters if "period" in e]
    expected = [
        o
        for o in observations
        if timed and o.get("status") == "final" and _true(OPERATORS["In"], issued(o), period(timed[0]), 2)
    ]
    assert found == [len(expected)] * len(encounters)


def test_a_branch_that_is_not_taken_raises_nothing_though_its_time_is_looked_up_before():
    start, end = op("Start", ENCOUNTER_PERIOD), op("End", ENCOUNTER_PERIOD)
    inner = to_interval(property_of("F", "period"))
    inside = phrase("Includes", interval(start, end), op("Start", inner), None)
    around = phrase("In", end, interval(op("Start", inner), op("End", inner)), None)
    for of_branch in (inside, around):
        whole = [
            phrase("SameOrBefore", op("Start", span_), op("End", span_), None)
            for span_ in (ENCOUNTER_PERIOD, inner)
        ]
        such_that = if_(whole[0], if_(whole[1], of_branch, False), False)
        joined = query(
            ("E", retrieve("Encounter")),
            relationship=[related("With", "F", retrieve("Encounter"), such_that)],
        )
        right = visits(6)
        wrong = span("wrong", "2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z")
        assert [e["id"] for e in rows(joined, wrong, *right)] == [e["id"] for e in right]


def test_a_function_that_calls_itself_is_refused_or_compiled_but_never_written_out_without_end():
    kinds = {"a": named_type(FHIR + "Encounter"), "b": named_type(FHIR + "Encounter")}
    again = binary("And", call("like", operand("b"), operand("a")), call("like", operand("a"), operand("b")))
    joined = query(
        ("E", retrieve("Encounter")),
        relationship=[related("With", "F", retrieve("Encounter"), call("like", alias("E"), alias("F")))],
    )
    given_ = library({"X": joined}, functions=[function("like", kinds, again)], includes=HELPERS)
    run = bound(compiled(given_, fhir_helpers()), zone=ZONE)
    with pytest.raises(RecursionError):
        patient(run, *visits(6)).value(NAME, "X")
