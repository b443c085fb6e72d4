"""Implicit conversions, generic overloads, choices, and the promotions that are off by default."""

from __future__ import annotations

import pytest
from libraries import Texts
from rendering import elm_of

from measurewise.engine.translator import Translator, TranslatorOptions

CODES = 'codesystem "S": \'urn:s\'\ncode "C": \'c\' from "S"\nvalueset "V": \'urn:v\''
FHIR = "using FHIR version '4.0.1'\ninclude FHIRHelpers version '1.0.0'\n" + CODES + "\ncontext Patient"
NONE = Texts({})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2.0", "Add(ToDecimal(1), 2.0)"),
        ("1 + 2L", "Add(ToLong(1), 2)"),
        ("1 / 2", "Divide(ToDecimal(1), ToDecimal(2))"),
        ("2 * 3 'mg'", "Multiply(ToQuantity(2), 3 mg)"),
        ("'a' + 'b'", "Concatenate('a', 'b')"),
        ("'a' & null", "Concatenate(Coalesce('a', ''), Coalesce(As(null, as_type: String), ''))"),
        ("null + 1", "Add(As(null, as_type: Integer), 1)"),
        ("1 = null", "Equal(1, As(null, as_type: Integer))"),
        ("1 != 2", "Not(Equal(1, 2))"),
        ("1 !~ 2", "Not(Equivalent(1, 2))"),
        ("1 in {1.0}", "In(ToDecimal(1), List(element: 1.0))"),
        ("{1, 2.0, null}", "List(element: ToDecimal(1), 2.0, As(null, as_type: Decimal))"),
        ("{1} union {2}", "Union(List(element: 1), List(element: 2))"),
        ("if true then 1 else 2.0", "If(condition: true, then: ToDecimal(1), else_: 2.0)"),
        ("Interval[1, 2.0]", "Interval(low: ToDecimal(1), high: 2.0)"),
        ("Interval[null, 5)", "Interval(low: As(null, as_type: Integer), high: 5, high_closed: False)"),
        ("Coalesce(1, 2.0)", "Coalesce(ToDecimal(1), 2.0)"),
        ("Now() > Today()", "Greater(Now(), ToDateTime(Today()))"),
        ("ToString(1)", "ToString(1)"),
        ("convert 5 'mg' to 'g'", "ConvertQuantity(5 mg, 'g')"),
        ("convert 5 'd' to hours", "ConvertQuantity(5 d, 'h')"),
        ("5 as Integer", "As(5, as_type_specifier: Integer)"),
        ("cast 5 as Integer", "As(5, as_type_specifier: Integer, strict: True)"),
        ("maximum DateTime", "MaxValue(value_type: DateTime)"),
        ("Tail({1})", "Slice(source: List(element: 1), start_index: 1, end_index: null)"),
        ("Skip({1}, 2)", "Slice(source: List(element: 1), start_index: 2, end_index: null)"),
        ("Take({1}, 2)", "Slice(source: List(element: 1), start_index: 0, end_index: Coalesce(2, 0))"),
    ],
)
def test_operands_are_brought_to_the_types_that_the_operator_takes(expression: str, expected: str):
    assert elm_of(expression) == expected


def test_branches_of_different_types_become_a_choice():
    assert elm_of("if true then 1 else 'a'") == (
        "If(condition: true, then: As(1, as_type_specifier: Choice<Integer, String>), "
        "else_: As('a', as_type_specifier: Choice<Integer, String>))"
    )


def test_lists_of_different_types_unite_to_a_list_of_their_choice():
    assert elm_of("{1} union {'a'}") == (
        "Union(As(List(element: 1), as_type_specifier: List<Choice<Integer, String>>), "
        "As(List(element: 'a'), as_type_specifier: List<Choice<Integer, String>>))"
    )


def test_a_choice_is_cast_to_what_is_wanted():
    function = "define function F(x Choice<Integer, String>): x"
    assert elm_of("F(1) + 2", function) == (
        "Add(As(FunctionRef(F, As(1, as_type_specifier: Choice<Integer, String>)), as_type: Integer), 2)"
    )


def test_a_choice_with_a_convertible_member_is_cast_and_converted():
    function = "parameter T DateTime\ndefine function F(x Choice<Date, String>): x"
    assert elm_of("T after F(Today())", function) == (
        "After(ParameterRef(T), ToDateTime(As(FunctionRef(F, "
        "As(Today(), as_type_specifier: Choice<Date, String>)), as_type: Date)))"
    )


def test_an_interval_is_converted_by_its_boundaries():
    assert elm_of("P overlaps Interval[Now(), Now()]", "parameter P Interval<Date>") == (
        "Overlaps(Interval(low: ToDateTime(Property(path: low, source: ParameterRef(P))), "
        "low_closed_expression: Property(path: lowClosed, source: ParameterRef(P)), "
        "high: ToDateTime(Property(path: high, source: ParameterRef(P))), "
        "high_closed_expression: Property(path: highClosed, source: ParameterRef(P))), "
        "Interval(low: Now(), high: Now()))"
    )


def test_a_code_is_a_concept_where_one_is_wanted():
    assert elm_of('Concept { codes: { "C" } } ~ "C"', CODES).endswith("ToConcept(CodeRef(C)))")


def test_membership_names_the_value_set():
    assert elm_of('"C" in "V"', CODES) == (
        "InValueSet(code: CodeRef(C), valueset: ValueSetRef(V, preserve: True))"
    )
    assert elm_of('{"C"} in "V"', CODES).startswith("AnyInValueSet(codes: List(element: CodeRef(C))")
    assert elm_of('"C" in "S"', CODES) == ("InCodeSystem(code: CodeRef(C), codesystem: CodeSystemRef(S))")


def test_elements_of_fhir_convert_by_fhirhelpers():
    query = elm_of(
        "[Encounter] E where E.period overlaps Interval[Now(), Now()] and E.status = 'finished'", FHIR, NONE
    )
    assert "FunctionRef(ToInterval, library_name: FHIRHelpers, Property(path: period, scope: E))" in query
    assert "FunctionRef(ToString, library_name: FHIRHelpers, Property(path: status, scope: E))" in query


def test_a_list_of_fhir_concepts_converts_element_by_element():
    query = elm_of('[Encounter] E where E.type in "V"', FHIR, NONE)
    assert (
        "AnyInValueSet(codes: Query(source: AliasedQuerySource(alias: X, expression: "
        "Property(path: type, scope: E)), return_: ReturnClause(expression: "
        "FunctionRef(ToConcept, library_name: FHIRHelpers, AliasRef(X)), distinct: False))"
    ) in query


@pytest.mark.parametrize(
    ("expression", "option", "expected"),
    [
        ("exists 5", "list_promotion", "Exists(ToList(5))"),
        ("Abs({1})", "list_demotion", "Abs(SingletonFrom(List(element: 1)))"),
        ("Abs(Interval[1, 1])", "interval_demotion", "Abs(PointFrom(Interval(low: 1, high: 1)))"),
        (
            "Interval[1, 2] overlaps 1",
            "interval_promotion",
            "Overlaps(Interval(low: 1, high: 2), If(condition: IsNull(1), "
            "then: As(null, as_type_specifier: Interval<Integer>), else_: Interval(low: 1, high: 1)))",
        ),
    ],
)
def test_promotion_and_demotion_only_when_switched_on(expression: str, option: str, expected: str):
    assert elm_of(expression, **{option: True}) == expected
    text = f"library T\ndefine A: {expression}\n"
    assert Translator(options=TranslatorOptions()).translate(text).errors
