"""Definitions, functions, parameters, includes, and the errors of libraries that cannot be compiled."""

from __future__ import annotations

import pytest
from given_libraries import (
    NAME,
    SYSTEM,
    YEAR_2026,
    alias,
    binary,
    boom,
    bound,
    call,
    choice_type,
    compiled,
    datetime,
    evaluated,
    function,
    if_,
    interval,
    library,
    list_type,
    message,
    named_type,
    node,
    of,
    op,
    operand,
    parameter,
    patient,
    query,
    ref,
    seen,
    traces,
)

from measurewise.engine.compiler.program import compile_program
from measurewise.engine.errors import ContentError, EvaluationError, NotFoundError
from measurewise.engine.runtime.temporal import iso
from measurewise.engine.runtime.values import Interval

INTEGER = named_type("Integer")
STRING = named_type("String")


def period_parameter(name: str = "Measurement Period", **more) -> dict:
    kind = {"type": "IntervalTypeSpecifier", "pointType": named_type("DateTime")}
    return {"name": name, "accessLevel": "Public", "parameterTypeSpecifier": kind, **more}


# ------------------------------------------------------------------------------------ definitions


def test_a_definition_is_evaluated_once_a_patient_and_only_when_asked_for():
    told: list[str] = []
    given = library(
        {
            "Costly": seen(op("Add", 1, 1), "costly"),
            "Sum": op("Add", ref("Costly"), ref("Costly")),
            "Bad": boom(),
        }
    )
    run = bound(compiled(given), messages=lambda *m: told.append(m[2]))
    first, second = patient(run), patient(run)
    assert told == []
    assert first.value(NAME, "Sum") == 4
    assert first.value(NAME, "Costly") == 2
    assert told == ["costly"]
    assert second.value(NAME, "Sum") == 4
    assert told == ["costly", "costly"]


def test_a_definition_is_found_by_its_librarys_name_with_or_without_a_version():
    run = bound(compiled(library({"X": of(7)})))
    assert patient(run).value("Given", "X") == patient(run).value("Given|1", "X") == 7
    with pytest.raises(NotFoundError, match=r"library Given: There is no definition 'Y'"):
        patient(run).value("Given", "Y")


def test_definitions_that_say_the_same_may_differ_in_name():
    given = library({"A": op("Add", 1, 2), "B": op("Add", 1, 2), "C": op("Add", ref("A"), ref("B"))})
    assert patient(bound(compiled(given))).value(NAME, "C") == 6


def test_only_what_is_reached_is_compiled():
    given = library({"Good": of(1), "Unsupported": node("Total")})
    program = compile_program([given], {(NAME, "1"): ["Good"]})
    assert patient(bound(program)).value(NAME, "Good") == 1
    with pytest.raises(ContentError):
        compiled(given)


def test_a_definition_that_reaches_itself_is_an_error_that_shows_the_circle():
    given = library({"A": ref("B"), "B": op("Not", ref("C")), "C": ref("A")})
    with pytest.raises(ContentError, match=r"library Given 1: The definition is recursive: A → B → C → A"):
        compiled(given)


def test_the_patient_is_the_record_s():
    given = evaluated(
        node("Property", path="value", source=node("Property", path="gender", source=ref("Patient")))
    )
    assert given == "female"


# ------------------------------------------------------------------------------------ functions


def test_a_function_has_its_operands_by_name():
    minus = function("minus", {"a": INTEGER, "b": INTEGER}, op("Subtract", operand("a"), operand("b")))
    assert evaluated(call("minus", 7, 3), functions=[minus]) == 4


def test_a_recursive_function_calls_itself():
    body = if_(
        binary("LessOrEqual", operand("n"), 1),
        1,
        op("Multiply", operand("n"), call("factorial", op("Subtract", operand("n"), of(1)))),
    )
    factorial = function("factorial", {"n": INTEGER}, body, resultTypeName=SYSTEM + "Integer")
    assert evaluated(call("factorial", 10), functions=[factorial]) == 3628800


def test_functions_may_call_each_other():
    def parity(name: str, other: str, at_zero: bool) -> dict:
        body = if_(
            binary("Equal", operand("n"), 0),
            at_zero,
            call(other, op("Subtract", operand("n"), of(1))),
        )
        return function(name, {"n": INTEGER}, body, resultTypeName=SYSTEM + "Boolean")

    pair = [parity("even", "odd", True), parity("odd", "even", False)]
    assert evaluated(call("even", 10), functions=pair) is True
    assert evaluated(call("even", 7), functions=pair) is False


def told_apart(*kinds: dict) -> list[dict]:
    """Overloads that give the position of the one that was called."""
    return [function("which", {"x": kind}, of(number)) for number, kind in enumerate(kinds)]


def test_an_overload_is_chosen_by_the_type_of_its_argument():
    overloads = told_apart(STRING, INTEGER, list_type(INTEGER), named_type("Boolean"))
    assert evaluated(call("which", 1), functions=overloads) == 1
    assert evaluated(call("which", "a"), functions=overloads) == 0
    assert evaluated(call("which", [1]), functions=overloads) == 2
    assert evaluated(call("which", True), functions=overloads) == 3


def test_an_exact_overload_comes_before_a_choice_and_a_signature_before_all():
    overloads = told_apart(choice_type(INTEGER, STRING), INTEGER)
    assert evaluated(call("which", 1), functions=overloads) == 1
    assert evaluated(call("which", "a"), functions=overloads) == 0
    signed = call("which", 1, signature=[choice_type(INTEGER, STRING)])
    assert evaluated(signed, functions=overloads) == 0


def test_overloads_may_differ_in_how_many_operands_they_have():
    one = function("sum", {"a": INTEGER}, operand("a"))
    two = function("sum", {"a": INTEGER, "b": INTEGER}, op("Add", operand("a"), operand("b")))
    assert evaluated(call("sum", 1), functions=[one, two]) == 1
    assert evaluated(call("sum", 1, 2), functions=[one, two]) == 3


def test_a_call_that_no_overload_fits_is_an_error():
    with pytest.raises(ContentError, match=r"Given 1 has no function which\(System.Decimal\)"):
        evaluated(
            call("which", node("Literal", valueType=SYSTEM + "Decimal", value="1.5")),
            functions=told_apart(STRING, INTEGER),
        )
    with pytest.raises(ContentError, match="Given 1 has no function which of 2 operands"):
        evaluated(call("which", 1, 2), functions=told_apart(STRING))


def test_a_function_of_a_choice_knows_which_type_it_was_given():
    kind = function(
        "kind",
        {"x": choice_type(INTEGER, STRING)},
        if_(node("Is", operand("x"), isType=SYSTEM + "Integer"), "number", "text"),
    )
    assert evaluated(call("kind", 1), functions=[kind]) == "number"
    assert evaluated(call("kind", "a"), functions=[kind]) == "text"


def test_an_external_function_raises_when_it_is_called_not_before():
    outside = function("outside", {"x": INTEGER}, None, external=True)
    careful = if_(
        binary("Equal", node("Property", path="id", source=ref("Patient")), "nobody"), call("outside", 1), 2
    )
    assert evaluated(careful, functions=[outside]) == 2
    with pytest.raises(EvaluationError, match="outside"):
        evaluated(call("outside", 1), functions=[outside])


def test_functions_can_be_called_from_python():
    minus = function("minus", {"a": INTEGER, "b": INTEGER}, op("Subtract", operand("a"), operand("b")))
    run = bound(compiled(library({"X": of(1)}, functions=[minus])))
    assert patient(run).call(NAME, "minus", 7, 3) == 4
    with pytest.raises(NotFoundError, match="no function 'minus' of 1 operands"):
        patient(run).call(NAME, "minus", 7)


# -------------------------------------------------------------------------------- parameters, constants


def test_a_parameter_has_the_value_of_the_run():
    given = library({"X": op("Start", parameter("Measurement Period"))}, parameters=[period_parameter()])
    run = bound(compiled(given), parameters={"Measurement Period": YEAR_2026})
    assert iso(patient(run).value(NAME, "X")) == "2026-01-01T00:00:00.000+00:00"


def test_a_parameter_without_a_value_is_null():
    none = library({"X": parameter("Measurement Period")}, parameters=[period_parameter()])
    assert patient(bound(compiled(none))).value(NAME, "X") is None


def test_a_parameter_without_a_value_has_its_default():
    default = interval(datetime(2025, 1, 1), datetime(2025, 12, 31))
    some = library({"X": parameter("Measurement Period")}, parameters=[period_parameter(default=default)])
    found = patient(bound(compiled(some))).value(NAME, "X")
    assert iso(found.low) == "2025-01-01"
    given = Interval(YEAR_2026.low, None, True, True, "DateTime")
    run = bound(compiled(some), parameters={"Measurement Period": given})
    assert patient(run).value(NAME, "X") == given


def test_a_parameter_may_be_given_as_null_although_it_has_a_default():
    with_default = {
        "name": "N",
        "accessLevel": "Public",
        "parameterType": SYSTEM + "Integer",
        "default": of(5),
    }
    given = library({"X": parameter("N")}, parameters=[with_default])
    assert patient(bound(compiled(given))).value(NAME, "X") == 5
    assert patient(bound(compiled(given), parameters={"N": None})).value(NAME, "X") is None


def test_a_default_may_hang_on_another_parameter():
    first = {"name": "A", "accessLevel": "Public", "default": of(20)}
    second = {"name": "B", "accessLevel": "Public", "default": op("Add", parameter("A"), of(1))}
    for order in ([first, second], [second, first]):
        given = library({"X": parameter("B")}, parameters=order)
        assert patient(bound(compiled(given))).value(NAME, "X") == 21
        assert patient(bound(compiled(given), parameters={"A": 1})).value(NAME, "X") == 2


def test_libraries_may_be_given_different_values_of_a_parameter_of_one_name():
    number = {"name": "N", "accessLevel": "Public", "parameterType": SYSTEM + "Integer"}
    other = library({"Y": parameter("N")}, name="Other", parameters=[number])
    given = library(
        {"X": op("Add", op("Multiply", parameter("N"), of(10)), ref("Y", "O"))},
        parameters=[number],
        includes={"O": ("Other", "1")},
    )
    program = compiled(given, other)
    assert patient(bound(program, parameters={"N": 1, "Other.N": 2})).value(NAME, "X") == 12
    assert patient(bound(program, parameters={"N": 3})).value(NAME, "X") == 33


def test_what_hangs_on_parameters_alone_is_computed_once_a_run():
    lookback = op(
        "Subtract", op("Start", parameter("Measurement Period")), node("Quantity", value=2, unit="years")
    )
    given = library(
        {
            "Lookback": lookback,
            "Again": binary("Equal", ref("Lookback"), op("Start", parameter("Measurement Period"))),
        },
        parameters=[period_parameter()],
    )
    run = bound(compiled(given), parameters={"Measurement Period": YEAR_2026})
    a, b = patient(run).value(NAME, "Lookback"), patient(run).value(NAME, "Lookback")
    assert iso(a) == "2024-01-01T00:00:00.000+00:00"
    assert a is b
    assert patient(run).value(NAME, "Again") is False


def test_arithmetic_that_overflows_raises_for_the_patient_not_for_the_run():
    too_late = op("Add", datetime(9999, 12, 31), node("Quantity", value=5, unit="years"))
    given = library({"Bad": too_late, "Good": of(1)})
    run = bound(compiled(given))
    assert patient(run).value(NAME, "Good") == 1
    with pytest.raises(EvaluationError):
        patient(run).value(NAME, "Bad")


def test_now_is_the_moment_of_the_run():
    assert iso(evaluated(node("Now"))) == "2026-12-31T23:59:59.999+00:00"
    assert iso(evaluated(node("Today"))) == "2026-12-31"


# ------------------------------------------------------------------------------------ includes


def test_two_versions_of_an_include_live_side_by_side():
    old = library({"N": of(1)}, name="Shared", version="1.0.0")
    new = library({"N": of(2)}, name="Shared", version="2.0.0")
    user = library({"M": ref("N", "S")}, name="User", includes={"S": ("Shared", "1.0.0")})
    given = library(
        {"X": op("Add", op("Multiply", ref("N", "S"), of(10)), ref("M", "U"))},
        includes={"S": ("Shared", "2.0.0"), "U": ("User", "1")},
    )
    run = bound(compiled(given, old, new, user))
    assert patient(run).value(NAME, "X") == 21


def test_functions_of_an_include_see_their_own_library():
    shared = library(
        {"Base": of(100)},
        name="Shared",
        functions=[function("up", {"n": INTEGER}, op("Add", operand("n"), ref("Base")))],
    )
    given = library(
        {"Base": of(1), "X": call("up", ref("Base"), library="S")}, includes={"S": ("Shared", "1")}
    )
    assert patient(bound(compiled(given, shared))).value(NAME, "X") == 101


def test_an_include_that_is_not_there_is_named_with_what_is_there():
    shared = library({"N": of(1)}, name="Shared", version="1.0.0")
    given = library({"X": of(1)}, includes={"S": ("Shared", "3.0.0")})
    with pytest.raises(
        ContentError, match=r"library Given 1: It includes Shared version 3.0.0; there is Shared 1.0.0"
    ):
        compiled(given, shared)
    with pytest.raises(ContentError, match=r"there is no version of it"):
        compiled(given)


def test_a_reference_to_a_library_that_is_not_included_is_an_error():
    with pytest.raises(ContentError, match="uses the library 'Nowhere' at 3:5-3:9, not included"):
        compiled(library({"X": ref("N", "Nowhere") | {"locator": "3:5-3:9"}}))


# ------------------------------------------------------------------------------------ errors


def test_a_node_that_cannot_be_compiled_is_named_with_library_definition_and_line():
    with pytest.raises(
        ContentError, match=r"library Given 1, definition 'X': Total at 12:3-12:9 cannot be compiled"
    ):
        compiled(library({"X": node("Total", locator="12:3-12:9")}))


def test_a_name_that_means_nothing_is_named():
    with pytest.raises(ContentError, match="there is no alias Nobody"):
        evaluated(alias("Nobody"))
    with pytest.raises(NotFoundError, match="There is no definition 'Nothing'"):
        evaluated(ref("Nothing"))
    with pytest.raises(NotFoundError, match="There is no parameter 'Nothing'"):
        evaluated(parameter("Nothing"))


def test_a_message_of_severity_error_raises_with_its_text():
    with pytest.raises(EvaluationError, match="dose of 4 is not possible"):
        evaluated(message(1, "Error", "dose of 4 is not possible"))
    assert evaluated(message(1, "Error", "never", condition=False)) == 1


def test_other_messages_are_told_and_give_their_source():
    given = query(("N", of([1, 2])), returning=seen(alias("N"), "row"))
    assert traces(given) == ([1, 2], ["row", "row"])
