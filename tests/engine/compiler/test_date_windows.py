"""When a resource must lie to change a result, as every use of a retrieve has it."""

from __future__ import annotations

from typing import Any

import pytest
from given_libraries import (
    FHIR,
    HELPERS,
    NAME,
    YEAR_2026,
    alias,
    binary,
    call,
    coded,
    compiled,
    fhir_helpers,
    function,
    if_,
    interval,
    let,
    library,
    list_type,
    named_type,
    nary,
    node,
    op,
    operand,
    parameter,
    property_of,
    query,
    ref,
    related,
    retrieve,
    text_of,
    to_interval,
    value_set,
)

from measurewise.engine.compiler.prefilter.uses import uses_of
from measurewise.engine.compiler.prefilter.windows import Window, Windows
from measurewise.engine.compiler.retrieval import Retrieval

PERIOD = parameter("Measurement Period")
START, END = op("Start", PERIOD), op("End", PERIOD)
YEAR = Window("2025-12-27", "2027-01-05")
UNTIL = Window(None, "2027-01-05")
SINCE = Window("2025-12-27", None)
ENCOUNTERS = retrieve("Encounter")
AT = to_interval(property_of("E", "period"))
DURING = binary("IncludedIn", AT, PERIOD)
OVERLAPPING = binary("Overlaps", AT, PERIOD)
BEFORE_THE_END = binary("Before", op("Start", AT), END)
FINISHED = binary("Equal", text_of("E", "status"), "finished")
NOT_NULL = op("Not", op("IsNull", property_of("E", "type")))


def in_year(source: Any = ENCOUNTERS, condition: Any = DURING, **more: Any) -> Any:
    return query(("E", source), where=condition, **more)


def window(
    expression: Any,
    elements: tuple[str, ...] = ("period",),
    kind: str = "Encounter",
    functions: Any = (),
    **definitions: Any,
) -> Window | None:
    """The window of a type's retrieves in 2026 where one definition is wanted."""
    own = library(
        {**definitions, "X": expression},
        includes=HELPERS,
        functions=functions,
        parameters=[{"name": "Measurement Period"}],
    )
    uses = uses_of([own, fhir_helpers()], (NAME, "1"), ["X"])
    asked = [Retrieval(kind, None, None)]
    return Windows(uses, asked, YEAR_2026).of(asked, elements)


# ------------------------------------------------------------------------------------ one use


@pytest.mark.parametrize(
    "of_the_list",
    [
        lambda rows: rows,
        lambda rows: op("Exists", rows),
        lambda rows: op("Not", op("Exists", rows)),
        lambda rows: node("Count", source=rows),
        lambda rows: node("Last", source=rows),
        lambda rows: node("SingletonFrom", rows),
        lambda rows: query(("L", rows), returning=property_of("L", "id")),
        lambda rows: query(("L", rows), where=NOT_NULL),
        lambda rows: if_(op("Exists", rows), rows, None),
        lambda rows: node("Distinct", rows),
    ],
)
def test_rows_that_a_query_keeps_by_their_time_may_be_used_in_any_way(of_the_list: Any) -> None:
    assert window(of_the_list(in_year())) == YEAR


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (DURING, YEAR),
        (OVERLAPPING, YEAR),
        (BEFORE_THE_END, UNTIL),
        (binary("SameOrAfter", op("End", AT), START), SINCE),
        (nary("And", FINISHED, DURING), YEAR),
        (nary("Or", DURING, BEFORE_THE_END), UNTIL),
        (nary("Or", DURING, FINISHED), None),
        (FINISHED, None),
        (op("Not", DURING), None),
        (op("IsNull", AT), None),
        (nary("Or", DURING, op("IsNull", property_of("E", "period"))), None),
        (binary("IncludedIn", AT, parameter("Another Period")), None),
        (binary("Before", op("Start", AT), op("Now")), None),
    ],
)
def test_the_window_is_what_the_condition_says_of_the_rows_time(condition: Any, expected: Any) -> None:
    assert window(in_year(condition=condition)) == expected


def test_a_window_reaches_back_as_far_as_the_logic() -> None:
    ten_years = binary("Subtract", START, node("Quantity", value=10, unit="years"))
    back = binary("IncludedIn", AT, interval(ten_years, END))
    assert window(in_year(condition=back)) == Window("2015-12-27", "2027-01-05")
    assert window([in_year(), in_year(condition=back)]) == Window("2015-12-27", "2027-01-05")


# ------------------------------------------------------------------------------------ several uses


@pytest.mark.parametrize(
    "other",
    [
        ENCOUNTERS,
        op("Exists", ENCOUNTERS),
        op("Not", op("Exists", in_year(condition=FINISHED))),
        in_year(node("Last", source=ENCOUNTERS)),
        in_year(
            node("First", source=query(("E", ENCOUNTERS), sort=[{"type": "ByDirection", "direction": "asc"}]))
        ),
        node("Union", in_year(), ENCOUNTERS),
        query(("E", ENCOUNTERS), returning=AT),
        query(("P", in_year()), relationship=[related("With", "E", ENCOUNTERS, FINISHED)]),
        query(("P", in_year()), relationship=[related("Without", "E", ENCOUNTERS, FINISHED)]),
    ],
)
def test_one_use_without_time_takes_the_window_away(other: Any) -> None:
    assert window([in_year(), other]) is None
    assert window(if_(op("Exists", other), in_year(), None)) is None


@pytest.mark.parametrize("kind", ["With", "Without"])
def test_rows_of_a_relationship_are_bounded_by_its_condition(kind: str) -> None:
    related_rows = query(("P", retrieve("Patient")), relationship=[related(kind, "E", ENCOUNTERS, DURING)])
    assert window(related_rows) == YEAR


def test_rows_are_bounded_by_what_comes_after_on_the_way() -> None:
    assert window(in_year(ref("All")), All=ENCOUNTERS) == YEAR
    assert window(in_year(node("Union", ref("All"), ENCOUNTERS)), All=ENCOUNTERS) == YEAR
    assert window(in_year(in_year(condition=BEFORE_THE_END), OVERLAPPING)) == YEAR
    assert window([in_year(ref("All")), node("Count", source=ref("All"))], All=ENCOUNTERS) is None
    renamed = query(("A", ref("All")), returning=alias("A"))
    assert window(in_year(renamed), All=ENCOUNTERS) == YEAR
    other_rows = query(("A", ref("All")), returning=property_of("A", "partOf"))
    assert window(in_year(other_rows), All=ENCOUNTERS) is None


def test_conditions_of_several_sources_bound_each() -> None:
    both = nary(
        "And", DURING, binary("Before", op("End", AT), op("Start", to_interval(property_of("F", "period"))))
    )
    pairs = query(("E", ENCOUNTERS), ("F", in_year()), where=both)
    assert window(pairs) == YEAR
    one_free = query(("E", ENCOUNTERS), ("F", ENCOUNTERS), where=both)
    assert window(one_free) is None


def test_functions_and_lets_are_seen_through() -> None:
    encounters = list_type(named_type(FHIR + "Encounter"))
    kept = function("Kept", {"list": encounters}, in_year(operand("list")))
    counted = function("Counted", {"list": encounters}, node("Count", source=operand("list")))
    both = function("Both", {"list": encounters}, op("Exists", call("Kept", operand("list"))))
    assert window(call("Kept", ENCOUNTERS), functions=[kept]) == YEAR
    assert window(call("Both", ENCOUNTERS), functions=[kept, both]) == YEAR
    assert window([call("Kept", ENCOUNTERS), call("Counted", ENCOUNTERS)], functions=[kept, counted]) is None
    named = query(
        ("P", retrieve("Patient")), let={"all": ENCOUNTERS}, returning=op("Exists", in_year(let("all")))
    )
    assert window(named) == YEAR


def test_logic_that_cannot_be_followed_has_no_window() -> None:
    unknown = function("Unknown", {}, None, external=True)
    assert window([in_year(), call("Unknown")], functions=[unknown]) is None
    endless = function("Endless", {}, call("Endless"))
    assert window([in_year(), call("Endless")], functions=[endless]) is None


# ------------------------------------------------------------------------------------ forms of elements


def effective(condition: Any) -> Any:
    return query(("O", retrieve("Observation")), where=condition)


TIME = property_of("O", "effective")
AS_PERIOD = to_interval(node("As", TIME, asType=FHIR + "Period"))
FORMS = ("effectiveDateTime", "effectivePeriod", "effectiveInstant")


def observed(condition: Any, forms: tuple[str, ...] = FORMS) -> Window | None:
    return window(effective(condition), forms, "Observation")


def test_every_form_that_can_count_must_be_one_that_a_search_by_date_finds() -> None:
    moment = binary("In", property_of(node("As", TIME, asType=FHIR + "dateTime"), "value"), PERIOD)
    span = binary("Overlaps", AS_PERIOD, PERIOD)
    assert observed(moment) == YEAR
    assert observed(span) == YEAR
    assert observed(nary("Or", moment, span)) == YEAR
    assert observed(nary("Or", moment, span), ("effectivePeriod",)) is None
    repeated = op("Is", TIME, isType=FHIR + "Timing")
    assert observed(nary("Or", moment, repeated)) is None
    assert observed(nary("Or", moment, op("IsNull", TIME))) is None


def test_time_of_another_element_is_no_window() -> None:
    issued = binary("In", text_of("O", "issued"), PERIOD)
    assert observed(issued) is None
    assert observed(issued, ("issued",)) == YEAR


def test_retrieves_that_the_logic_was_not_seen_to_use_have_no_window() -> None:
    own = library({"X": in_year()}, includes=HELPERS, parameters=[{"name": "Measurement Period"}])
    seen, other = Retrieval("Encounter", None, None), Retrieval("Encounter", "a-profile", None)
    windows = Windows(uses_of([own, fhir_helpers()], (NAME, "1"), ["X"]), [seen, other], YEAR_2026)
    assert windows.of([seen], ("period",)) == YEAR
    assert windows.of([seen, other], ("period",)) is None
    assert Windows(None, [seen], YEAR_2026).of([seen], ("period",)) is None


# ------------------------------------------------------------------------------------ codes


def test_retrieves_of_one_type_are_told_apart_by_their_codes() -> None:
    sets = {"Office": "http://example.org/office", "Home": "http://example.org/home"}
    office, home = coded("Encounter", "Office", "type"), coded("Encounter", "Home", "type")
    own = library(
        {"X": [in_year(office), home]},
        includes=HELPERS,
        parameters=[{"name": "Measurement Period"}],
        value_sets=sets,
    )
    libraries = [own, fhir_helpers()]
    retrievals = list(compiled(*libraries, root=(NAME, "1")).tables.retrievals)
    windows = Windows(uses_of(libraries, (NAME, "1"), ["X"]), retrievals, YEAR_2026)
    found = {
        retrieval.code_filter.value_set: windows.of([retrieval], ("period",))
        for retrieval in retrievals
        if retrieval.code_filter is not None
    }
    assert found == {sets["Office"]: YEAR, sets["Home"]: None}
    assert windows.of([r for r in retrievals if r.code_filter is not None], ("period",)) is None


def test_codes_that_a_function_is_given_count_for_every_retrieve_of_the_type() -> None:
    codes = named_type("ValueSet")
    given = retrieve("Encounter", codes=operand("codes"), codeProperty="type", codeComparator="in")
    own = library(
        {"X": [in_year(coded("Encounter", "Office", "type")), call("Of", value_set("Office"))]},
        includes=HELPERS,
        functions=[function("Of", {"codes": codes}, op("Exists", given))],
        parameters=[{"name": "Measurement Period"}],
        value_sets={"Office": "http://example.org/office"},
    )
    libraries = [own, fhir_helpers()]
    retrievals = list(compiled(*libraries, root=(NAME, "1")).tables.retrievals)
    windows = Windows(uses_of(libraries, (NAME, "1"), ["X"]), retrievals, YEAR_2026)
    encounters = [retrieval for retrieval in retrievals if retrieval.resource_type == "Encounter"]
    assert len(encounters) == 2
    assert [windows.of([retrieval], ("period",)) for retrieval in encounters] == [None, None]
