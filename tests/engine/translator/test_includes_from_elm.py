"""Including a library that there is only ELM of."""

from __future__ import annotations

from rendering import elm_of, translated

from measurewise.engine import elm
from measurewise.engine.translator import Translator

COMMON = """library Common version '1.0.0'
using FHIR version '4.0.1'
codesystem "S": 'urn:s'
valueset "V": 'urn:v'
code "C": 'c' from "S"
concept "K": { "C" }
parameter "P" Interval<DateTime>
define "Two": 2
define private "Hidden": 3
define function Half(n Decimal): n / 2
define fluent function state(e FHIR.Encounter): e.status
define function Either(x Choice<Integer, List<String>>): x
define "Pairs": { Tuple { a: 1, b: 'x' } }
"""


class FromElm:
    """Gives the ELM of the library, as a package without CQL would."""

    def __init__(self, **options: bool) -> None:
        self._library = translated(COMMON, **options).library

    def resolve_include(self, name: str, version: str | None, namespace: str | None) -> elm.Library:
        return self._library


def test_types_are_read_from_elm_with_result_types():
    source = FromElm(result_types=True)
    include = "include Common version '1.0.0'"
    assert elm_of("Common.Two + 1.0", include, source) == (
        "Add(ToDecimal(ExpressionRef(Two, library_name: Common)), 1.0)"
    )
    assert (
        elm_of("Common.Half(1)", include, source) == "FunctionRef(Half, library_name: Common, ToDecimal(1))"
    )
    assert elm_of('Common."C" in Common."V"', include, source).startswith("InValueSet(code: CodeRef(C")
    assert elm_of("start of Common.P", include, source) == "Start(ParameterRef(P, library_name: Common))"
    assert elm_of("First(Common.Pairs).b & 'y'", include, source).startswith("Concatenate(Coalesce(Property(")
    assert elm_of(
        "[Encounter] E return E.state()", f"using FHIR version '4.0.1'\n{include}", source
    ).endswith("return_: ReturnClause(expression: FunctionRef(state, library_name: Common, AliasRef(E))))")


def test_what_is_private_in_the_elm_stays_private():
    text = "library T\ninclude Common\ndefine A: Common.Hidden\n"
    (error,) = Translator(FromElm(result_types=True)).translate(text).errors
    assert "private" in error.message


def test_elm_that_does_not_tell_its_types_is_an_error_that_says_so():
    (error,) = Translator(FromElm()).translate("library T\ninclude Common\n").errors
    assert str(error) == (
        '2:1: The ELM of library Common does not say the type of "Two". '
        "Add the library's CQL, or ELM translated with result types."
    )
