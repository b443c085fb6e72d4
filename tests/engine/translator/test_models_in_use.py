"""Libraries over FHIR and QI-Core: retrieves, elements in terms of FHIR, ages."""

from __future__ import annotations

import re

import pytest
from libraries import Texts
from rendering import elm_of, render, translated

from measurewise.engine.models.model import load_model_info
from measurewise.engine.translator import Translator

TERMS = 'codesystem "S": \'urn:s\'\nvalueset "V": \'urn:v\'\ncode "C": \'c\' from "S"\ncontext Patient'
QICORE = f"using QICore version '6.0.0'\ninclude FHIRHelpers version '1.0.0'\n{TERMS}"
FHIR = f"using FHIR version '4.0.1'\ninclude FHIRHelpers version '1.0.0'\n{TERMS}"
NONE = Texts({})


def over(library: str, expression: str) -> str:
    """The ELM of an expression, its templates without their long URLs."""
    return re.sub(
        r"http://hl7.org/fhir/(us/qicore/)?StructureDefinition/", "", elm_of(expression, library, NONE)
    )


@pytest.mark.parametrize(
    ("retrieve", "expected"),
    [
        ("[Encounter]", "Retrieve(data_type: Encounter, template_id: qicore-encounter)"),
        (
            '[Encounter: "V"]',
            "Retrieve(data_type: Encounter, template_id: qicore-encounter, code_property: type, "
            "code_comparator: in, codes: ValueSetRef(V, preserve: True))",
        ),
        (
            '[SimpleObservation: "C"]',
            "Retrieve(data_type: Observation, template_id: qicore-simple-observation, code_property: code, "
            "code_comparator: ~, codes: ToList(CodeRef(C)))",
        ),
        (
            '[Encounter: class in {"C"}]',
            "Retrieve(data_type: Encounter, template_id: qicore-encounter, code_property: class, "
            "code_comparator: in, codes: List(element: CodeRef(C)))",
        ),
    ],
)
def test_a_retrieve_names_class_profile_and_codes(retrieve: str, expected: str):
    assert over(QICORE, retrieve) == expected


def test_a_negation_is_retrieved_by_its_code_and_by_the_value_set_itself():
    found = over(QICORE, '[ServiceNotRequested: "V"]')
    assert re.findall(r"code_comparator: (\S+),", found) == ["in", "~"]


def test_a_medication_is_found_by_its_code_and_through_its_reference():
    found = over(QICORE, '[MedicationRequest: "V"]')
    assert found.startswith("Union(Query(source: AliasedQuerySource(alias: MR,")
    assert "InValueSet(code: FunctionRef(ToConcept, library_name: FHIRHelpers" in found
    assert found.endswith(
        "code_property: medication, code_comparator: in, codes: ValueSetRef(V, preserve: True)))"
    )


def test_an_explicit_path_is_retrieved_as_it_is():
    assert over(QICORE, '[MedicationRequest: medication in "V"]').startswith("Retrieve(")


def test_a_class_of_fhir_is_retrieved_with_its_structure_definition():
    assert over(FHIR, '[Encounter: "V"]').startswith("Retrieve(data_type: Encounter, template_id: Encounter")


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ("id", "Property(path: value, source: Property(path: id, scope: E))"),
        ("status", "Property(path: value, source: Property(path: status, scope: E))"),
        ("period", "FunctionRef(ToInterval, library_name: FHIRHelpers, Property(path: period, scope: E))"),
        (
            "type",
            "Query(source: AliasedQuerySource(alias: $this, expression: Property(path: type, scope: E)), "
            "return_: ReturnClause(expression: FunctionRef(ToConcept, library_name: FHIRHelpers, "
            "AliasRef($this)), distinct: False))",
        ),
    ],
)
def test_an_element_of_a_profile_is_reached_in_fhir(element: str, expected: str):
    found = over(QICORE, f"[Encounter] E return E.{element}")
    assert found.endswith(f"return_: ReturnClause(expression: {expected}))")


def test_an_extension_is_found_by_its_url():
    found = over(QICORE, "[ProcedureNotDone] X return X.recorded")
    assert "Property(path: extension, source: AliasRef(X))" in found
    assert "Property(path: url, scope: $this)), 'qicore-recorded')" in found
    assert found.count("SingletonFrom(") == 1
    assert "Property(path: value.value, source: AliasRef($this))" in found


def test_the_elements_of_a_list_are_gathered_without_the_missing_ones():
    assert over(QICORE, "([Encounter]).location") == (
        "Flatten(Query(source: AliasedQuerySource(alias: $this, expression: "
        "Retrieve(data_type: Encounter, template_id: qicore-encounter)), "
        "where: Not(IsNull(Property(path: location, source: AliasRef($this)))), "
        "return_: ReturnClause(expression: Property(path: location, source: AliasRef($this)), "
        "distinct: False)))"
    )


def test_a_sort_names_elements_of_the_row():
    found = over(QICORE, "[Encounter] E sort by start of period, id desc")
    assert (
        "by: ByExpression(direction: asc, expression: Start(FunctionRef(ToInterval, "
        "library_name: FHIRHelpers, IdentifierRef(period)))), "
        "ByExpression(direction: desc, expression: Property(path: value, source: IdentifierRef(id)))"
    ) in found
    assert "ByColumn(direction: desc, path: status)" in over(FHIR, "[Encounter] E sort by status desc")


def test_age_is_counted_from_the_birth_date_of_the_model():
    assert over(QICORE, "AgeInYears()") == (
        "CalculateAge(Property(path: value, source: Property(path: birthDate, "
        "source: ExpressionRef(Patient))), precision: Year)"
    )
    assert over(FHIR, "AgeInMonthsAt(Today())") == (
        "CalculateAgeAt(Property(path: birthDate.value, source: ExpressionRef(Patient)), Today(), "
        "precision: Month)"
    )


def test_of_several_models_the_first_gives_a_bare_name():
    both = QICORE.replace("include", "using USCore version '6.1.0'\ninclude", 1)
    assert over(both, "[AllergyIntolerance]").endswith("template_id: qicore-allergyintolerance)")
    assert "us-core-allergyintolerance" in over(both, "[USCore.AllergyIntolerance]")


def test_a_model_called_otherwise_goes_by_its_local_name():
    library = translated("library T\nusing FHIR version '4.0.1' called F\ndefine A: [F.Encounter]\n").library
    assert (library.usings[1].local_identifier, library.usings[1].name) == ("F", "FHIR")
    assert render(library.statements[0].expression).startswith("Retrieve(data_type: Encounter")


def test_a_model_may_come_from_a_model_info_file():
    info = b"""<modelInfo xmlns="urn:hl7-org:elm-modelinfo:r1"
        xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="Ward" version="1" url="urn:ward">
      <requiredModelInfo name="System" version="1.0.0"/>
      <typeInfo xsi:type="ClassInfo" name="Bed" identifier="urn:bed" retrievable="true"
          primaryCodePath="kind">
        <element name="kind" elementType="System.Code"/>
        <element name="places" elementType="System.Integer"/>
      </typeInfo>
    </modelInfo>"""
    translator = Translator(model_infos=[load_model_info(info)])
    translation = translator.translate(
        "library T\nusing Ward version '1'\ncodesystem \"S\": 's'\ncode \"C\": 'c' from \"S\"\n"
        'define A: [Bed: "C"] B where B.places > 1\n'
    )
    assert not translation.errors
    assert render(translation.library.statements[0].expression) == (
        "Query(source: AliasedQuerySource(alias: B, expression: Retrieve(data_type: Bed, "
        "template_id: urn:bed, code_property: kind, code_comparator: ~, codes: ToList(CodeRef(C)))), "
        "where: Greater(Property(path: places, scope: B), 1))"
    )


def test_annotations_cut_the_text_up_by_node():
    text = "library T\n/*\n@description: Adds\n*/\ndefine A: 1 + 2\n"
    (statement,) = translated(text, annotations=True).library.statements
    (annotation,) = statement.annotation
    assert annotation["t"] == [{"name": "description", "value": "Adds"}]

    def words(part) -> str:
        return "".join(part.get("value", [])) + "".join(map(words, part.get("s", [])))

    assert words(annotation["s"]) == text.removeprefix("library T\n").rstrip("\n")
    assert annotation["s"]["r"] == statement.local_id

    def numbers(part) -> list[str]:
        own = [part["r"]] if "r" in part else []
        return own + [n for s in part.get("s", []) for n in numbers(s)]

    assert statement.expression.local_id in numbers(annotation["s"])
    assert {o.local_id for o in statement.expression.operand} <= set(numbers(annotation["s"]))
