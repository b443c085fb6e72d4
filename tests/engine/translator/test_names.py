"""Names: scopes, forward references, includes, access, contexts, overloads, fluent functions."""

from __future__ import annotations

import pytest
from libraries import Texts
from rendering import elm_of, render, translated

from measurewise.engine.translator import SignatureLevel, Translator

COMMON = Texts(
    {
        ("Common", "1.0.0"): """library org.example.Common version '1.0.0'
codesystem "S": 'urn:s'
code "C": 'c' from "S"
valueset "V": 'urn:v'
parameter "N" Integer default 1
define "One": 1
define function Twice(n Integer): n * 2
define fluent function plus(n Integer, m Integer): n + m
"""
    }
)
INCLUDE = "include org.example.Common version '1.0.0' called C"
QICORE = "using QICore version '6.0.0'\ninclude FHIRHelpers version '1.0.0'\n"
NO_LIBRARIES = Texts({})


def test_a_definition_may_stand_after_its_use():
    translation = translated("library T\ndefine A: B + 1\ndefine B: 2\n")
    assert [s.name for s in translation.library.statements] == ["A", "B"]
    assert render(translation.library.statements[0].expression) == "Add(ExpressionRef(B), 1)"


def test_an_alias_hides_a_definition():
    assert elm_of("({1}) One return One", "define One: 'a'").startswith("Query(")
    assert "AliasRef(One)" in elm_of("({1}) One return One + 1", "define One: 'a'")


def test_an_operand_hides_a_definition():
    (function,) = [
        s
        for s in translated(
            "library T\ndefine n: 'a'\ndefine function F(n Integer): n + 1\n"
        ).library.statements
        if s.name == "F"
    ]
    assert render(function.expression) == "Add(OperandRef(n), 1)"


def test_a_let_is_known_after_it_and_an_inner_query_sees_the_outer_alias():
    found = elm_of("({1}) X let Y: X + 1 where exists (({2}) Z where Z = Y and Z = X) return Y")
    assert "let: LetClause(identifier: Y, expression: Add(AliasRef(X), 1))" in found
    assert "And(Equal(AliasRef(Z), QueryLetRef(Y)), Equal(AliasRef(Z), AliasRef(X)))" in found


def test_what_an_included_library_defines_is_named_after_its_local_name():
    found = {
        wanted: elm_of(wanted, INCLUDE, COMMON)
        for wanted in ('C."One"', 'C."N"', 'C."C"', 'C."V"', 'C."S"', "C.Twice(2)", "(1).plus(2)")
    }
    assert found == {
        'C."One"': "ExpressionRef(One, library_name: C)",
        'C."N"': "ParameterRef(N, library_name: C)",
        'C."C"': "CodeRef(C, library_name: C)",
        'C."V"': "ValueSetRef(V, library_name: C, preserve: True)",
        'C."S"': "CodeSystemRef(S, library_name: C)",
        "C.Twice(2)": "FunctionRef(Twice, library_name: C, 2)",
        "(1).plus(2)": "FunctionRef(plus, library_name: C, 1, 2)",
    }


def test_an_include_keeps_its_namespace_in_the_path():
    (include,) = translated(f"library T\n{INCLUDE}\n", COMMON).library.includes
    assert (include.local_identifier, include.path, include.version) == ("C", "org.example/Common", "1.0.0")


def test_an_include_without_a_version_takes_what_there_is():
    source = Texts({("Any", None): "library Any version '7'\ndefine A: 1\n"})
    translation = translated("library T\ninclude Any\ndefine B: Any.A\n", source)
    assert translation.library.includes[0].version == "7"


def test_the_library_that_is_nearest_in_operand_types_gives_the_overload():
    before = (
        "define function F(x Integer): 1\ndefine function F(x Decimal): 2.0\ndefine function F(x String): 'a'"
    )
    for argument, result in (("1", "Integer"), ("1.0", "Decimal"), ("'a'", "String")):
        translation = translated(f"library T\n{before}\ndefine A: F({argument})\n", result_types=True)
        wanted = translation.library.statements[-1]
        assert wanted.result_type_name == f"{{urn:hl7-org:elm-types:r1}}{result}"
        assert render(wanted.expression.signature) != "()"


def test_signatures_are_written_as_asked():
    text = "library T\ndefine A: 1 + 2.0\ndefine B: true and false\n"
    counts = {}
    for level in SignatureLevel:
        statements = translated(text, signature_level=level).library.statements
        counts[level.value] = [len(s.expression.signature) for s in statements]
    assert counts == {"None": [0, 0], "Differing": [2, 0], "Overloads": [2, 0], "All": [2, 2]}


def test_a_context_defines_its_subject_once():
    text = f"library T\n{QICORE}context Patient\ndefine A: Patient.birthDate\ncontext Patient\ndefine B: 1\n"
    statements = translated(text, NO_LIBRARIES).library.statements
    assert [(s.name, s.context) for s in statements] == [
        ("Patient", "Patient"),
        ("A", "Patient"),
        ("B", "Patient"),
    ]
    assert render(statements[0].expression).startswith("SingletonFrom(Retrieve(data_type: Patient")


def test_outside_a_patients_context_a_patients_definition_is_a_list():
    text = (
        f"library T\n{QICORE}context Patient\ndefine A: true\ncontext Unfiltered\ndefine B: Count(A)\n"
        "context Practitioner\ndefine D: Practitioner.active\n"
    )
    statements = translated(text, NO_LIBRARIES).library.statements
    assert [(s.name, s.context) for s in statements if s.name in "BD"] == [
        ("B", "Unfiltered"),
        ("D", "Practitioner"),
    ]


def test_private_definitions_say_so():
    (statement,) = translated("library T\ndefine private A: 1\n").library.statements
    assert statement.access_level == "Private"


def test_an_external_function_has_its_declared_type():
    text = "library T\ndefine function F(n Integer) returns String: external\ndefine A: F(1) & 'a'\n"
    function = translated(text).library.statements[0]
    assert function.external
    assert function.expression is None


def test_a_qualified_library_name_is_namespace_and_id():
    identifier = translated("library org.example.T version '1'\n").library.identifier
    assert (identifier.system, identifier.id, identifier.version) == ("org.example", "T", "1")


def test_terminology_keeps_names_identifiers_and_versions():
    library = translated(
        "library T\ncodesystem \"S\": 'urn:s' version '2'\nvalueset \"V\": 'urn:v' version '3' "
        'codesystems { "S" }\n'
        'code "C": \'c\' from "S" display \'see\'\nconcept "K": { "C" } display \'kay\'\n'
    ).library
    assert render(library.code_systems[0]) == "CodeSystemDef(S, id: urn:s, version: 2)"
    assert render(library.value_sets[0]) == (
        "ValueSetDef(V, id: urn:v, version: 3, code_system: CodeSystemRef(S))"
    )
    assert render(library.codes[0]) == "CodeDef(C, id: c, display: see, code_system: CodeSystemRef(S))"
    assert render(library.concepts[0]) == "ConceptDef(K, display: kay, code: CodeRef(C))"


@pytest.mark.parametrize("name", ["Quantity", "Ratio"])
def test_a_plain_type_name_is_that_of_the_model_before_that_of_system(name: str):
    using = "library T using FHIR version '4.0.1'"
    translation = Translator().translate(
        f"{using} define function F(x {name}): x define function G(x System.{name}): x"
    )
    assert not translation.errors
    operands = [translation.symbols.functions[f][0].operands[0] for f in ("F", "G")]
    assert [str(kind) for kind in operands] == [f"FHIR.{name}", f"System.{name}"]


def test_a_cast_to_the_type_of_the_wrong_model_says_how_to_write_the_right_one():
    text = "library T using FHIR version '4.0.1' define X: (4 'mg' + 3 'g') as Quantity"
    (error,) = Translator().translate(text).errors
    assert error.mend == "Write 'System.Quantity' for the type of System."
    assert not Translator().translate(text.replace("as Quantity", "as System.Quantity")).errors
    assert not Translator().translate(text.replace("using FHIR version '4.0.1' ", "")).errors
