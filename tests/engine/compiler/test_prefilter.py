"""What is derived from a population's logic: never more than must be true, and as much as is plain to see."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from given_libraries import (
    FHIR,
    HELPERS,
    NAME,
    PATIENT,
    YEAR_2026,
    ValueSets,
    alias,
    binary,
    call,
    case,
    code,
    coded,
    datetime,
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
    of,
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
)

from measurewise.engine.compiler.prefilter import (
    ANYTHING,
    NOTHING,
    Prefilter,
    Requirement,
    all_of,
    any_of,
    as_json,
    derive,
    explain,
    from_json,
    resource_types,
    value_sets,
)
from measurewise.engine.compiler.prefilter.requirements import (
    AgeBetween,
    AnyOf,
    ElementIn,
    HasResource,
    Present,
)
from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.record.record import Record

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
OFFICE, HOME, DIABETES = (SNOMED, "office"), (SNOMED, "home"), (SNOMED, "diabetes")

PERIOD = parameter("Measurement Period")
AT_END = op("DateFrom", op("End", PERIOD))
AT_START = op("DateFrom", op("Start", PERIOD))


BORN = text_of(ref("Patient"), "birthDate")


def age_at(moment: Any) -> dict:
    return binary("CalculateAgeAt", BORN, moment, precision="Year")


def numbers(low: int, high: int, **closed: bool) -> dict:
    return interval(low, high, **closed)


VISITS = coded("Encounter", "Office", "type")
DURING = binary("IncludedIn", to_interval(property_of("E", "period")), PERIOD, precision="Day")
FINISHED = binary("Equal", text_of("E", "status"), "finished")
VISITS_DURING = query(("E", VISITS), where=binary("And", FINISHED, DURING))


def derived(expression: Any, **more: Any) -> Requirement:
    definitions = more.pop("definitions", {})
    kind = {"type": "IntervalTypeSpecifier", "pointType": named_type("DateTime")}
    given = library(
        {**definitions, "Initial Population": expression},
        includes=HELPERS,
        value_sets={"Office": "office", "Home": "home", "Diabetes": "diabetes"},
        codes={"office": OFFICE, "diabetes": DIABETES},
        parameters=[
            {"name": "Measurement Period", "accessLevel": "Public", "parameterTypeSpecifier": kind},
            {"name": "Other", "accessLevel": "Public", "parameterTypeSpecifier": kind},
        ],
        **more,
    )
    return derive([given, fhir_helpers()], (NAME, "1"), "Initial Population")


SETS = ValueSets(office={OFFICE}, home={HOME}, diabetes={DIABETES})


def lets_through(requirement: Requirement, *resources: dict, **of_patient: Any) -> bool:
    record = Record([{**PATIENT, **of_patient}, *resources])
    return Prefilter(requirement, YEAR_2026, SETS).may_qualify(record)


def concept(*codes: tuple[str, str]) -> dict:
    return {"coding": [{"system": s, "code": c} for s, c in codes]}


def visit(kind=OFFICE, start="2026-03-01", end="2026-03-01", **more) -> dict:
    found = {"resourceType": "Encounter", "id": "e", "status": "finished", "type": [concept(kind)]}
    return found | {"period": {"start": start, "end": end}} | more


# ------------------------------------------------------------------------------------ ages


@pytest.mark.parametrize(
    ("test", "low", "high"),
    [
        (binary("GreaterOrEqual", age_at(AT_END), 18), 18, None),
        (binary("Greater", age_at(AT_END), 18), 19, None),
        (binary("Less", age_at(AT_END), 18), None, 17),
        (binary("LessOrEqual", age_at(AT_END), 18), None, 18),
        (binary("Equal", age_at(AT_END), 2), 2, 2),
        (binary("In", age_at(AT_END), numbers(18, 75)), 18, 75),
        (binary("In", age_at(AT_END), numbers(18, 75, low_closed=False, high_closed=False)), 19, 74),
        (binary("LessOrEqual", 18, age_at(AT_END)), 18, None),
        (binary("Less", 18, age_at(AT_END)), 19, None),
        (binary("Greater", 18, age_at(AT_END)), None, 17),
    ],
)
def test_comparisons_of_the_age_bound_it(test, low, high):
    found = derived(test)
    assert isinstance(found, AgeBetween)
    assert (found.low, found.high, str(found.at)) == (low, high, "end of the measurement period")


def test_an_age_may_be_asked_at_a_time_before_or_after_the_period():
    later = binary(
        "GreaterOrEqual", age_at(op("Add", AT_START, node("Quantity", value=6, unit="months"))), 18
    )
    assert explain(derived(later)) == "age 18 or more at the start of the measurement period + 6 months"
    days_end = op("ToDateTime", node("Date", year=of(2026), month=of(9), day=of(30)))
    fixed = binary("GreaterOrEqual", age_at(days_end), 18)
    assert explain(derived(fixed)) == "age 18 or more at the 2026-09-30"


@pytest.mark.parametrize(
    ("birth", "may_be"),
    [
        ("2008-12-31", True),
        ("2009-02-15", False),
        ("2008-12-20", True),
        ("1951-01-20", True),
        ("1950-06-30", False),
        ("1950-12-31", True),
        ("2009", False),
        ("2008", True),
        ("1950-12", True),
        ("1940-12", False),
        ("no date", True),
        (20081231, True),
    ],
)
def test_a_birth_date_is_let_through_unless_it_is_surely_out_of_bounds(birth, may_be):
    test = derived(binary("In", age_at(AT_END), numbers(18, 75)))
    assert lets_through(test, birthDate=birth) is may_be


def test_who_has_no_birth_date_has_no_age():
    test = Prefilter(derived(binary("GreaterOrEqual", age_at(AT_END), 0)), YEAR_2026, SETS)
    assert test.may_qualify(Record([{"resourceType": "Patient", "id": "p"}])) is False


@pytest.mark.parametrize(
    "test",
    [
        binary(
            "GreaterOrEqual",
            binary("CalculateAgeAt", text_of(ref("Patient"), "birthDate"), AT_END, precision="Month"),
            18,
        ),
        binary(
            "GreaterOrEqual", op("CalculateAge", text_of(ref("Patient"), "birthDate"), precision="Year"), 18
        ),
        binary("GreaterOrEqual", age_at(op("Start", parameter("Other"))), 18),
        op("Not", binary("GreaterOrEqual", age_at(AT_END), 18)),
        binary("Implies", binary("GreaterOrEqual", age_at(AT_END), 18), of(False)),
    ],
)
def test_an_age_that_is_not_understood_bounds_nothing(test):
    assert lets_through(derived(test), birthDate="2026-01-01")
    assert lets_through(derived(test), birthDate="1900-01-01")


# ------------------------------------------------------------------------------------ logic


def test_and_asks_for_all_or_for_any():
    adult = binary("GreaterOrEqual", age_at(AT_END), 18)
    visited = op("Exists", VISITS)
    both, either = derived(binary("And", adult, visited)), derived(binary("Or", adult, visited))
    assert both == all_of([derived(adult), derived(visited)])
    assert either == any_of([derived(adult), derived(visited)])
    assert not lets_through(both)
    assert lets_through(either)
    assert not lets_through(either, birthDate="2020-01-01")


@pytest.mark.parametrize(
    "unknown",
    [
        op("Not", op("Exists", VISITS)),
        op("IsNull", node("First", source=VISITS)),
        op("IsFalse", op("Exists", VISITS)),
        binary("Xor", op("Exists", VISITS), of(True)),
        binary("Equal", node("Count", source=VISITS), 0),
        binary("GreaterOrEqual", node("Count", source=VISITS), 0),
        binary("Less", node("Count", source=VISITS), 3),
        node("AllTrue", source=of([True])),
        of(True),
        op("Not", op("IsNull", VISITS)),
        op("Exists", node("List", element=[node("First", source=VISITS)])),
        binary("Equivalent", node("First", source=VISITS), None),
    ],
)
def test_what_says_nothing_for_sure_lets_everybody_through(unknown):
    assert derived(unknown) == ANYTHING
    assert derived(binary("Or", unknown, op("Exists", VISITS))) == ANYTHING
    assert derived(binary("And", unknown, op("Exists", VISITS))) == derived(op("Exists", VISITS))


def test_what_can_never_be_true_lets_nobody_through():
    for never in (of(False), of(None), op("Exists", of([])), op("Not", op("IsNull", of(None)))):
        assert derived(never) == NOTHING
    assert not lets_through(NOTHING)
    assert derived(binary("Or", of(False), op("Exists", VISITS))) == derived(op("Exists", VISITS))


@pytest.mark.parametrize(
    "expression",
    [
        op("Exists", VISITS),
        VISITS,
        op("IsTrue", op("Exists", VISITS)),
        op("Not", op("Not", op("Exists", VISITS))),
        op("Not", op("IsNull", node("First", source=VISITS))),
        op("Not", op("IsNull", op("SingletonFrom", VISITS))),
        binary("GreaterOrEqual", node("Count", source=VISITS), 2),
        binary("Greater", node("Count", source=VISITS), 0),
        binary("Less", 0, node("Count", source=VISITS)),
        binary("Equal", node("Count", source=VISITS), 1),
        op("Distinct", VISITS),
        query(("E", VISITS), sort=[{"type": "ByColumn", "direction": "asc", "path": "id"}]),
        query(("E", VISITS), returning=text_of("E", "id")),
        query(("E", VISITS), relationship=[related("Without", "F", VISITS, of(True))]),
        binary("Except", VISITS, coded("Encounter", "Home", "type")),
        if_(op("Exists", VISITS), of(True), of(False)),
        case((op("Exists", VISITS), of(True)), otherwise=False),
        nary("Coalesce", op("Exists", VISITS), of(False)),
        node("As", VISITS, asTypeSpecifier=list_type(named_type(FHIR + "Encounter"))),
        nary("Union", VISITS, VISITS),
        binary("Equal", text_of(node("First", source=VISITS), "status"), "finished"),
        node("AnyTrue", source=query(("E", VISITS), returning=FINISHED)),
        op("Flatten", query(("E", VISITS), returning=property_of("E", "type"))),
        op("ToList", node("Last", source=VISITS)),
    ],
)
def test_many_ways_to_ask_for_something_of_a_list(expression):
    found = derived(expression)
    assert isinstance(found, HasResource)
    assert found.resource_type == "Encounter"
    assert not lets_through(found)
    assert not lets_through(found, visit(HOME))
    assert lets_through(found, visit())


def test_an_intersection_needs_both_lists_and_a_union_either():
    home = coded("Encounter", "Home", "type")
    both, either = derived(binary("Intersect", VISITS, home)), derived(nary("Union", VISITS, home))
    assert not lets_through(both, visit())
    assert lets_through(both, visit(), visit(HOME))
    assert lets_through(either, visit(HOME))
    assert [use.name for use in value_sets(either)] == ["Office", "Home"]
    assert isinstance(either, HasResource), "what differs in codes alone is one"


# ------------------------------------------------------------------------------------ retrieves and rows


def test_codes_come_from_value_sets_or_from_the_text():
    by_code = retrieve(
        "Encounter", codes=op("ToList", code("office")), codeProperty="type", codeComparator="~"
    )
    for expression in (VISITS, by_code):
        assert lets_through(derived(expression), visit())
        assert not lets_through(derived(expression), visit(("http://other", "office")))
        assert not lets_through(derived(expression), visit(HOME))


def test_a_negated_retrieve_asks_for_the_type_alone():
    assert derived(coded("ServiceRequest", "Office", comparator="~")) == HasResource("ServiceRequest")


def test_where_with_and_let_narrow_the_rows_and_ask_of_the_patient():
    adult = binary("GreaterOrEqual", age_at(AT_START), 18)
    rows = query(
        ("E", VISITS),
        let={"When": to_interval(property_of("E", "period"))},
        relationship=[
            related(
                "With",
                "D",
                coded("Condition", "Diabetes"),
                binary("Equal", text_of("D", "id"), text_of("E", "id")),
            )
        ],
        where=nary("And", binary("IncludedIn", let("When"), PERIOD), binary("And", FINISHED, adult)),
    )
    found = derived(rows)
    assert set(resource_types(found)) == {"Encounter", "Condition"}
    diagnosis = {"resourceType": "Condition", "id": "d", "code": concept(DIABETES)}
    assert lets_through(found, visit(), diagnosis)
    assert not lets_through(found, visit())
    assert not lets_through(found, visit(start="2020-01-01", end="2020-01-01"), diagnosis)
    assert not lets_through(found, visit(status="planned"), diagnosis)
    assert not lets_through(found, visit(), diagnosis, birthDate="2015-01-01")


def test_an_or_between_a_row_and_the_patient_narrows_neither():
    adult = binary("GreaterOrEqual", age_at(AT_START), 18)
    found = derived(query(("E", VISITS), where=binary("Or", FINISHED, adult)))
    assert lets_through(found, visit(status="planned"), birthDate="2020-01-01")


def test_an_or_between_conditions_on_a_row_is_one_condition():
    planned = binary("Equal", text_of("E", "status"), "planned")
    found = derived(query(("E", VISITS), where=binary("Or", FINISHED, planned)))
    assert lets_through(found, visit(status="planned"))
    assert not lets_through(found, visit(status="arrived"))


def test_several_sources_are_all_needed_and_the_returned_one_keeps_its_conditions():
    rows = query(
        ("E", VISITS),
        ("D", coded("Condition", "Diabetes")),
        where=binary("And", DURING, binary("Equal", text_of("E", "id"), text_of("D", "id"))),
        returning=alias("E"),
    )
    finished = query(("E", rows), where=FINISHED)
    found = derived(finished)
    diagnosis = {"resourceType": "Condition", "id": "d", "code": concept(DIABETES)}
    assert lets_through(found, visit(), diagnosis)
    assert not lets_through(found, visit())
    assert not lets_through(found, visit(status="planned"), diagnosis)
    assert not lets_through(found, visit(end="2031-01-01"), diagnosis)


def test_a_coded_element_narrows_however_it_is_asked():
    concepts = query(
        ("$this", property_of("E", "type")),
        returning=call("ToConcept", alias("$this"), library="FHIRHelpers"),
        distinct=False,
    )
    is_office = binary("Equivalent", alias("T"), op("ToConcept", code("office")))
    some = op("Exists", query(("T", concepts), where=is_office))
    any_member = node("AnyInValueSet", codes=concepts, valueset=node("ValueSetRef", name="Office"))
    for where in (some, any_member):
        found = derived(query(("E", retrieve("Encounter")), where=where))
        assert lets_through(found, visit())
        assert not lets_through(found, visit(HOME))


def test_functions_and_definitions_are_seen_through():
    finished = function(
        "finished",
        {"encounters": list_type(named_type(FHIR + "Encounter"))},
        query(("E", operand("encounters")), where=FINISHED),
    )
    found = derived(
        op("Exists", query(("E", call("finished", ref("Visits"))), where=DURING)),
        functions=[finished],
        definitions={"Visits": VISITS},
    )
    assert found == derived(op("Exists", VISITS_DURING))


def test_overloads_that_cannot_be_told_apart_are_alternatives():
    kind = list_type(named_type(FHIR + "Encounter"))
    narrow = function("some", {"e": kind}, query(("E", operand("e")), where=FINISHED))
    other = list_type(named_type(FHIR + "Condition"))
    wide = function("some", {"e": other}, query(("E", operand("e"))))
    found = derived(call("some", VISITS), functions=[narrow, wide])
    assert lets_through(found, visit(status="planned"))


def test_a_function_that_calls_itself_and_one_that_is_external_are_not_understood():
    itself = function("itself", {"e": named_type("Integer")}, call("itself", operand("e")))
    outside = function("outside", {"e": named_type("Integer")}, None, external=True)
    for name in ("itself", "outside"):
        assert derived(call(name, 1), functions=[itself, outside]) == ANYTHING


def test_a_definition_of_another_context_is_not_understood():
    given = library({"X": VISITS}, value_sets={"Office": "office"})
    unfiltered = [
        type(s)(name=s.name, context="Unfiltered", expression=s.expression) if s.name == "X" else s
        for s in given.statements
    ]
    assert derive([replace(given, statements=tuple(unfiltered))], (NAME, "1"), "X") == ANYTHING


def test_a_row_that_a_cast_may_make_null_is_no_longer_known():
    both = nary("Union", VISITS, coded("Condition", "Diabetes"))
    cast = query(("R", both), returning=node("As", alias("R"), asType=FHIR + "Encounter"), distinct=False)
    absent = op("IsNull", property_of("E", "period"))
    found = derived(query(("E", cast), where=absent))
    # The null that the Condition becomes has no period.
    assert lets_through(found, {"resourceType": "Condition", "id": "c", "code": concept(DIABETES)})


# ------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("start", "end", "may_be"),
    [
        ("2026-03-01", "2026-03-02", True),
        ("2025-06-01", "2025-06-02", False),
        ("2027-06-01", "2027-06-02", False),
        ("2025-06-01", "2026-06-02", False),
        # A few days around the ends may be the same day somewhere.
        ("2025-12-31T20:00:00-05:00", "2026-03-01", True),
        ("2026-12-31", "2027-01-01T10:00:00+14:00", True),
        # What is not known may be anything.
        ("2026", "2026", True),
        ("2024", "2026-03-01", False),
        ("2025", "2026-03-01", True),
        ("2025-12", "2026-03-01", True),
        (None, "2026-03-01", True),
        ("2026-03-01", None, True),
        ("soon", "later", True),
    ],
)
def test_a_period_during_the_measurement_period(start, end, may_be):
    period = {k: v for k, v in (("start", start), ("end", end)) if v is not None}
    assert lets_through(derived(VISITS_DURING), visit() | {"period": period}) is may_be


def test_without_a_period_nothing_is_during():
    without = visit()
    del without["period"]
    assert not lets_through(derived(VISITS_DURING), without)


@pytest.mark.parametrize(
    ("phrase", "early", "within", "late"),
    [
        ("IncludedIn", False, True, False),
        ("Overlaps", False, True, False),
        ("Before", True, False, False),
        ("SameOrBefore", True, False, False),
        ("After", False, False, True),
        ("SameOrAfter", False, False, True),
        ("Starts", False, False, False),
    ],
)
def test_each_timing_phrase_bounds_what_it_compares(phrase, early, within, late):
    test = binary(phrase, to_interval(property_of("E", "period")), PERIOD)
    found = derived(query(("E", VISITS), where=test))
    assert lets_through(found, visit(start="2025-06-01", end="2025-06-02")) is early
    assert lets_through(found, visit(start="2026-06-01", end="2026-06-02")) is within
    assert lets_through(found, visit(start="2027-06-01", end="2027-06-02")) is late


def test_coarse_comparisons_do_not_tell_apart_what_their_unit_joins():
    start = op("Start", to_interval(property_of("E", "period")))
    same_month = query(("E", VISITS), where=binary("SameAs", start, op("Start", PERIOD), precision="Month"))
    same_year = query(("E", VISITS), where=binary("SameAs", start, op("Start", PERIOD), precision="Year"))
    assert lets_through(derived(same_month), visit(start="2026-01-31", end="2026-01-31"))
    assert not lets_through(derived(same_month), visit(start="2026-04-01", end="2026-04-01"))
    assert lets_through(derived(same_year), visit(start="2026-12-31", end="2026-12-31"))


def test_a_window_may_lie_around_the_period():
    window = interval(
        op("Subtract", op("Start", PERIOD), node("Quantity", value=2, unit="years")), op("End", PERIOD)
    )
    test = binary("In", op("Start", to_interval(property_of("E", "period"))), window)
    found = derived(query(("E", VISITS), where=test))
    assert lets_through(found, visit(start="2024-02-01"))
    assert not lets_through(found, visit(start="2023-02-01"))


def effective_interval() -> dict:
    """``toInterval`` over a choice of dateTime and Period, as QICoreCommon writes it."""
    x = property_of("O", "effective")
    as_moment = node("As", x, asType=FHIR + "dateTime")
    as_period = node("As", x, asType=FHIR + "Period")
    return case(
        (
            node("Is", x, isType=FHIR + "dateTime"),
            interval(property_of(as_moment, "value"), property_of(as_moment, "value")),
        ),
        (node("Is", x, isType=FHIR + "Period"), to_interval(as_period)),
    )


@pytest.mark.parametrize(
    ("element", "may_be"),
    [
        ({"effectiveDateTime": "2026-05-01"}, True),
        ({"effectiveDateTime": "2020-05-01"}, False),
        ({"effectivePeriod": {"start": "2020-05-01", "end": "2026-05-01"}}, True),
        ({"effectivePeriod": {"start": "2020-05-01", "end": "2021-05-01"}}, False),
        ({"effectivePeriod": {"start": "2020-05-01"}}, True),
        ({"effectiveDateTime": "some day"}, True),
        # Neither form the case asks for.
        ({"effectiveInstant": "2026-05-01T00:00:00Z"}, False),
        ({}, False),
    ],
)
def test_a_choice_element_is_bounded_in_each_of_its_forms(element, may_be):
    found = derived(
        query(("O", retrieve("Observation")), where=binary("Overlaps", effective_interval(), PERIOD))
    )
    assert lets_through(found, {"resourceType": "Observation", "id": "o", **element}) is may_be


def test_an_age_at_a_time_of_the_row_is_asked_of_each_row():
    at_start = op("DateFrom", op("Start", to_interval(property_of("E", "period"))))
    found = derived(query(("E", VISITS), where=binary("GreaterOrEqual", age_at(at_start), 18)))
    assert lets_through(found, visit(start="2026-03-01"), birthDate="2008-02-01")
    assert not lets_through(found, visit(start="2020-03-01"), birthDate="2008-02-01")
    assert lets_through(found, visit(start="2020-03-01"), visit(start="2026-03-01"), birthDate="2008-02-01")
    assert lets_through(found, visit(start=None), birthDate="2020-02-01")


def test_an_interval_whose_bound_may_be_missing_is_open_there():
    # Interval[onset, null] reaches from the beginning of time where there is no onset.
    onset = property_of(node("As", property_of("C", "onset"), asType=FHIR + "dateTime"), "value")
    prevalence = interval(onset, None)
    found = derived(query(("C", retrieve("Condition")), where=binary("Overlaps", prevalence, PERIOD)))
    condition = {"resourceType": "Condition", "id": "c"}
    assert lets_through(found, condition)
    assert lets_through(found, condition | {"onsetDateTime": "2026-02-01"})
    assert lets_through(found, condition | {"onsetString": "in childhood"})
    assert not lets_through(found, condition | {"onsetDateTime": "2029-02-01"})


def test_null_may_be_an_element_of_a_list_but_not_a_point_of_an_interval():
    authored = text_of("R", "authoredOn")
    times = query(("O", retrieve("Observation")), returning=text_of("O", "issued"))
    request = {"resourceType": "ServiceRequest", "id": "r"}
    observation = {"resourceType": "Observation", "id": "o"}
    among = derived(query(("R", retrieve("ServiceRequest")), where=binary("In", authored, times)))
    assert lets_through(among, request, observation)
    during = derived(query(("R", retrieve("ServiceRequest")), where=binary("In", authored, PERIOD)))
    assert not lets_through(during, request)


def test_another_parameter_than_the_measurement_period_bounds_nothing():
    test = binary("IncludedIn", to_interval(property_of("E", "period")), parameter("Other"))
    assert lets_through(
        derived(query(("E", VISITS), where=test)), visit(start="1999-01-01", end="1999-01-02")
    )


# ------------------------------------------------------------------------------------ records


@pytest.mark.parametrize(
    "spoilt",
    [
        {"type": "office"},
        {"type": [None]},
        {"type": [{"coding": ["office"]}]},
        {"type": [{"coding": [{"code": ["office"]}]}]},
        {"period": "2026"},
        {"status": ["finished"]},
    ],
)
def test_a_record_that_cannot_be_read_is_let_through(spoilt):
    assert lets_through(derived(VISITS_DURING), visit() | spoilt)


# ------------------------------------------------------------------------------------ plain data


def diabetics() -> Requirement:
    adults = binary("In", age_at(AT_END), numbers(18, 75))
    diagnosis = op("Exists", coded("Condition", "Diabetes"))
    return derived(nary("And", adults, binary("And", op("Exists", VISITS_DURING), diagnosis)))


def test_a_requirement_reads_as_text():
    assert explain(diabetics()).splitlines() == [
        "all of",
        "  age 18 to 75 at the end of the measurement period",
        "  an Encounter with",
        "    all of",
        '      type in "Office"',
        "      status finished",
        "      period",
        "      period.start not before the start of the measurement period",
        "      period.end not after the end of the measurement period",
        "  a Condition with",
        '    code in "Diabetes"',
    ]
    assert explain(NOTHING) == "nobody"
    assert explain(ANYTHING) == "anything"


def test_a_requirement_goes_through_json():
    requirement = diabetics()
    document = as_json(requirement)
    assert from_json(document) == requirement
    assert document["type"] == "AllOf"
    assert from_json(json.loads(json.dumps(document))) == requirement
    with pytest.raises(ContentError, match="This is no requirement"):
        from_json({"type": "Cheese"})


def test_a_requirement_tells_what_it_looks_at():
    assert resource_types(diabetics()) == ("Encounter", "Condition")
    assert [(use.url, use.name) for use in value_sets(diabetics())] == [
        ("office", "Office"),
        ("diabetes", "Diabetes"),
    ]


def test_combining_requirements_leaves_out_what_is_said_already():
    adult, visited = HasResource("Patient", Present(("gender",))), HasResource("Encounter")
    finished = HasResource("Encounter", ElementIn("status", ("finished",)))
    assert all_of([adult, ANYTHING, adult]) == adult
    assert all_of([visited, finished]) == finished
    assert any_of([visited, finished]) == visited
    assert any_of([adult, all_of([adult, visited])]) == adult
    assert all_of([adult, NOTHING]) == NOTHING
    assert any_of([NOTHING, adult]) == adult
    assert any_of([adult, ANYTHING]) == ANYTHING
    assert any_of([all_of([adult, finished]), all_of([adult, HasResource("Condition")])]) == all_of(
        [adult, AnyOf((finished, HasResource("Condition")))]
    )


def test_a_definition_that_is_not_there_is_named():
    with pytest.raises(NotFoundError, match="There is no definition 'Nobody'"):
        derive([library({"X": of(True)})], (NAME, "1"), "Nobody")
    with pytest.raises(NotFoundError, match="There is no library Other"):
        derive([library({"X": of(True)})], ("Other", None), "X")


def test_datetime_selectors_are_fixed_days():
    test = binary(
        "In",
        op("Start", to_interval(property_of("E", "period"))),
        interval(datetime(2024, 1, 1), datetime(2024, 12, 31)),
    )
    found = derived(query(("E", VISITS), where=test))
    assert lets_through(found, visit(start="2024-06-01"))
    assert not lets_through(found, visit(start="2026-06-01"))
