"""Looking up classes, elements, conversions and contexts by the names of CQL and ELM."""

from __future__ import annotations

import pytest

from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.models.model import load_model, load_model_info, parse_type_name
from measurewise.engine.models.types import (
    ANY,
    BOOLEAN,
    CONCEPT,
    DATETIME,
    DECIMAL,
    QUANTITY,
    STRING,
    ChoiceType,
    IntervalType,
    ListType,
    NamedType,
    tuple_of,
)

FHIR = load_model("FHIR", "4.0.1")
QICORE = load_model("QICore", "6.0.0")


def fhir(name: str) -> NamedType:
    return NamedType("FHIR", name)


def qicore(name: str) -> NamedType:
    return NamedType("QICore", name)


def test_a_class_is_found_by_name_qualified_name_label_and_identifier() -> None:
    encounter = FHIR.type("Encounter")
    assert encounter is not None
    assert encounter.primary_code_path == "type"
    assert encounter.retrievable
    assert FHIR.type("FHIR.Encounter") is encounter
    labelled = QICORE.type("QICore Condition Encounter Diagnosis")
    assert labelled is not None
    assert labelled.name == "ConditionEncounterDiagnosis"
    assert FHIR.type("Encountr") is None


def test_backbone_components_are_typed() -> None:
    assert FHIR.element_type(fhir("Encounter"), "diagnosis") == ListType(fhir("Encounter.Diagnosis"))
    assert FHIR.element_type(fhir("Encounter.Diagnosis"), "condition") == fhir("Reference")
    assert FHIR.element_type(fhir("Encounter.Diagnosis"), "condition.reference.value") == STRING
    assert FHIR.element_type(fhir("Encounter"), "status.value") == STRING
    assert FHIR.element_type(fhir("Encounter"), "nothing") is None


def test_inherited_elements_are_found() -> None:
    assert FHIR.element_type(fhir("Patient"), "id") == fhir("id")
    assert FHIR.element_type(fhir("Patient"), "contained") == ListType(fhir("Resource"))
    assert FHIR.element_type(fhir("Age"), "value") == fhir("decimal")
    assert "id" in FHIR.elements(fhir("Patient"))
    assert "birthDate" in FHIR.elements(fhir("Patient"))
    assert FHIR.is_list("Patient", "contained")
    assert FHIR.is_list("Patient", "name")
    assert not FHIR.is_list("Patient", "birthDate")
    assert not FHIR.is_list("Patient", "nothing")


def test_content_references_are_followed() -> None:
    assert FHIR.element_type(fhir("Questionnaire.Item"), "item") == ListType(fhir("Questionnaire.Item"))
    assert FHIR.element_type(fhir("Bundle.Entry"), "link") == ListType(fhir("Bundle.Link"))
    assert FHIR.element_type(fhir("Observation.Component"), "referenceRange") == ListType(
        fhir("Observation.ReferenceRange")
    )


def test_choice_elements_give_their_json_names() -> None:
    assert isinstance(FHIR.element_type(fhir("Observation"), "value"), ChoiceType)
    properties = dict(FHIR.choice_properties("Observation", "value"))
    assert len(properties) == 11
    assert properties["valueQuantity"] == fhir("Quantity")
    assert properties["valueCodeableConcept"] == fhir("CodeableConcept")
    assert properties["valueDateTime"] == fhir("dateTime")
    assert FHIR.choice_properties(fhir("Condition"), "onset")[0] == ("onsetDateTime", fhir("dateTime"))
    assert FHIR.choice_properties("Observation", "code") == ()
    assert dict(FHIR.choice_properties("MedicationRequest", "medication")) == {
        "medicationCodeableConcept": fhir("CodeableConcept"),
        "medicationReference": fhir("Reference"),
    }


def test_an_extension_may_hold_any_of_fifty_types() -> None:
    assert len(FHIR.choice_properties("Extension", "value")) == 50


def test_an_element_of_a_choice_is_the_choice_of_what_its_members_have() -> None:
    value = FHIR.element_type(fhir("Observation"), "value")
    assert value is not None
    found = FHIR.element_type(value, "value")
    assert isinstance(found, ChoiceType)
    assert set(found.choices) >= {fhir("decimal"), STRING, BOOLEAN, DATETIME}
    assert FHIR.element_type(value, "coding") == ListType(fhir("Coding"))


def test_intervals_and_tuples_have_elements() -> None:
    assert FHIR.element_type(IntervalType(DATETIME), "low") == DATETIME
    assert FHIR.element_type(IntervalType(DATETIME), "highClosed") == BOOLEAN
    assert FHIR.element_type(IntervalType(DATETIME), "middle") is None
    assert FHIR.element_type(tuple_of({"a": fhir("Patient")}), "a.birthDate.value") == NamedType(
        "System", "Date"
    )
    assert FHIR.element_type(ListType(fhir("Patient")), "name") is None


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("dateTime", "DateTime"),
        ("date", "Date"),
        ("instant", "DateTime"),
        ("time", "Time"),
        ("boolean", "Boolean"),
        ("decimal", "Decimal"),
        ("integer", "Integer"),
        ("positiveInt", "Integer"),
        ("string", "String"),
        ("code", "String"),
        ("id", "String"),
        ("canonical", "String"),
        ("EncounterStatus", "String"),
        ("ObservationStatus", "String"),
        ("AdministrativeGender", "String"),
    ],
)
def test_fhir_primitives_and_enumerations_wrap_a_system_value(name: str, system: str) -> None:
    assert FHIR.primitive_value_type(name) == NamedType("System", system)


@pytest.mark.parametrize(
    "name", ["Quantity", "Extension", "Observation", "Element", "Identifier", "Nothing", "Age"]
)
def test_other_classes_are_no_primitives(name: str) -> None:
    assert FHIR.primitive_value_type(name) is None


def test_conversions_are_found_up_the_bases() -> None:
    assert FHIR.conversion(fhir("CodeableConcept"), CONCEPT) == "FHIRHelpers.ToConcept"
    assert FHIR.conversion(fhir("Period"), IntervalType(DATETIME)) == "FHIRHelpers.ToInterval"
    assert FHIR.conversion(fhir("Age"), QUANTITY) == "FHIRHelpers.ToQuantity"
    assert FHIR.conversion(fhir("EncounterStatus"), STRING) == "FHIRHelpers.ToString"
    assert FHIR.conversion(fhir("Patient"), STRING) is None
    assert [c.target for c in FHIR.conversions_from(fhir("Range"))] == [IntervalType(QUANTITY)]


def test_contexts_and_model_attributes_are_kept() -> None:
    patient = FHIR.contexts["Patient"]
    assert (patient.type, patient.key_elements, patient.birth_date_element) == (
        fhir("Patient"),
        ("id",),
        "birthDate.value",
    )
    assert FHIR.patient_class_name == "FHIR.Patient"
    assert FHIR.patient_birth_date_property == "birthDate.value"
    assert QICORE.target_url == "http://hl7.org/fhir"
    assert QICORE.target_qualifier == "qicore"
    assert QICORE.required == (("System", "1.0.0"),)


def test_related_contexts_and_searches_are_kept() -> None:
    condition = FHIR.type("Condition")
    assert condition is not None
    assert ("Patient", ("patient",)) in [(r.context, r.key_elements) for r in condition.relationships]
    search = condition.search("encounter")
    assert search is not None
    assert search.type == fhir("Encounter")
    assert condition.search("nothing") is None


def test_qicore_elements_tell_how_the_target_is_reached() -> None:
    observation = qicore("USCoreBloodPressureProfile")
    value = QICORE.element(observation, "code")
    assert value is not None
    assert value.target == "FHIRHelpers.ToConcept(%value)"
    birth_date = QICORE.element(qicore("Patient"), "birthDate")
    assert birth_date is not None
    assert (birth_date.type, birth_date.target) == (NamedType("System", "Date"), "%value.value")
    info = QICORE.type("ObservationCancelled")
    assert info is not None
    assert info.target == "Observation"


def test_subtypes_cross_models() -> None:
    assert QICORE.is_subtype(qicore("EncounterStatus"), STRING)
    assert QICORE.is_subtype(qicore("Encounter"), ANY)
    assert QICORE.is_subtype(qicore("Patient.Address"), qicore("Address"))
    assert not QICORE.is_subtype(STRING, qicore("EncounterStatus"))
    assert FHIR.base_type("Encounter") == fhir("DomainResource")
    assert FHIR.base_type(fhir("Element")) == ANY
    assert FHIR.base_type(ANY) is None


def test_an_element_without_type_is_any() -> None:
    assert QICORE.element_type(qicore("QuestionnaireResponse.Item"), "itemMedia") == ANY


def test_elm_type_names_are_read() -> None:
    assert parse_type_name("{http://hl7.org/fhir}Encounter") == fhir("Encounter")
    assert parse_type_name("{http://hl7.org/fhir}Encounter.Diagnosis") == fhir("Encounter.Diagnosis")
    assert parse_type_name("{urn:hl7-org:elm-types:r1}Integer") == NamedType("System", "Integer")
    assert parse_type_name("FHIR.Patient") == fhir("Patient")
    with pytest.raises(ContentError, match=r"No model has the URI http://example\.org"):
        parse_type_name("{http://example.org}Thing")
    with pytest.raises(ContentError, match="no type name"):
        parse_type_name("{http://example.org")


def test_a_model_that_does_not_ship_is_a_clear_error() -> None:
    with pytest.raises(NotFoundError, match=r"No model info for FHIR 3\.0\.0\. .*FHIR 4\.0\.1"):
        load_model("FHIR", "3.0.0")
    with pytest.raises(NotFoundError, match=r"No model info for QDM"):
        load_model("QDM")
    assert load_model("QICore").version == "6.0.0"


DERIVED = b"""<?xml version="1.0"?>
<modelInfo xmlns="urn:hl7-org:elm-modelinfo:r1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    name="Clinic" version="1.0.0" url="http://example.org/clinic" caseSensitive="true"
    defaultContext="Patient">
  <requiredModelInfo name="System" version="1.0.0"/>
  <requiredModelInfo name="FHIR" version="4.0.1"/>
  <typeInfo xsi:type="ProfileInfo" namespace="Clinic" name="Visit" baseType="FHIR.Encounter"
      retrievable="true" primaryCodePath="class" primaryValueSetPath="classSet">
    <element name="room" elementType="System.String" prohibited="true"/>
    <element name="scores" oneBased="true">
      <elementTypeSpecifier xsi:type="ListTypeSpecifier">
        <elementTypeSpecifier xsi:type="ChoiceTypeSpecifier">
          <choice xsi:type="NamedTypeSpecifier" modelName="System" name="Decimal"/>
          <choice xsi:type="IntervalTypeSpecifier" pointType="System.Decimal"/>
        </elementTypeSpecifier>
      </elementTypeSpecifier>
    </element>
    <element name="parts" elementType="Visit.Part"/>
    <targetContextRelationship context="Patient" relatedKeyElement="a;b"/>
  </typeInfo>
  <typeInfo xsi:type="ClassInfo" name="Clinic.Visit.Part" baseType="System.Any">
    <element name="whole" elementType="list&lt;Visit&gt;"/>
  </typeInfo>
  <conversionInfo functionName="ClinicHelpers.ToText">
    <fromTypeSpecifier xsi:type="NamedTypeSpecifier" name="Visit"/>
    <toTypeSpecifier xsi:type="NamedTypeSpecifier" modelName="System" name="String"/>
  </conversionInfo>
</modelInfo>"""


def test_a_derived_model_loads_at_run_time() -> None:
    clinic = load_model_info(DERIVED)
    visit = NamedType("Clinic", "Visit")
    info = clinic.type("Visit")
    assert info is not None
    assert (info.kind, info.primary_value_set_path) == ("profile", "classSet")
    assert info.target_relationships[0].key_elements == ("a", "b")
    assert clinic.element_type(visit, "period") == fhir("Period")
    assert clinic.element_type(visit, "scores") == ListType(ChoiceType((DECIMAL, IntervalType(DECIMAL))))
    assert clinic.element_type(visit, "parts.whole") == ListType(visit)
    room, scores = clinic.element(visit, "room"), clinic.element(visit, "scores")
    assert room is not None
    assert room.prohibited
    assert scores is not None
    assert scores.one_based
    assert clinic.is_subtype(visit, fhir("DomainResource"))
    assert clinic.conversion(visit, STRING) == "ClinicHelpers.ToText"
    assert clinic.case_sensitive
    assert clinic.default_context == "Patient"
    assert parse_type_name("{http://example.org/clinic}Visit", [clinic]) == visit


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (b"<modelInfo", "not well-formed"),
        (b"<modelInfo/>", "Not a model info"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><modelInfo/>', "document type"),
        (b'<modelInfo xmlns="urn:hl7-org:elm-modelinfo:r1" name="X"/>', "lacks its name or url"),
        (DERIVED.replace(b'version="4.0.1"', b'version="9"'), r"No model info for FHIR 9"),
        (DERIVED.replace(b'"Visit.Part"', b'"list&lt;Visit"'), "is no type name"),
        (DERIVED.replace(b'name="scores"', b'name="room"'), "repeated element 'room'"),
        (DERIVED.replace(b'"Clinic.Visit.Part"', b'"Visit"'), "defines the type Visit twice"),
    ],
)
def test_unusable_model_info_is_a_clear_error(xml: bytes, message: str) -> None:
    with pytest.raises(ContentError, match=message):
        load_model_info(xml)


def test_a_missing_file_is_a_clear_error() -> None:
    with pytest.raises(ContentError, match=r"nowhere\.xml: The model info cannot be read"):
        load_model_info("nowhere.xml")
