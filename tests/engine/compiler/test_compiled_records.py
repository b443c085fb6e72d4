"""Retrieves and elements: FHIR JSON as the compiler reads it."""

from __future__ import annotations

import pytest
from given_libraries import (
    FHIR,
    HELPERS,
    NAME,
    PATIENT,
    SYSTEM,
    Everything,
    ValueSets,
    alias,
    binary,
    bound,
    call,
    case,
    code,
    coded,
    compiled,
    datetime,
    evaluated,
    fhir_helpers,
    function,
    interval,
    library,
    named_type,
    node,
    of,
    op,
    operand,
    patient,
    period_of,
    property_of,
    query,
    ref,
    related,
    retrieve,
    text_of,
    value_set,
)

from measurewise.engine.record.profiles import Matching, profile_table
from measurewise.engine.record.record import Record, record_of_bundle
from measurewise.engine.runtime.temporal import iso

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
QICORE = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
NOT_DONE = QICORE + "qicore-notDoneValueSet"


def concept(*codes: tuple[str | None, str]) -> dict:
    codings = [{"code": c} | ({"system": s} if s else {}) for s, c in codes]
    return {"coding": codings}


def observation(name: str, *codes: tuple[str | None, str], **more) -> dict:
    return {"resourceType": "Observation", "id": name, "code": concept(*codes), **more}


def ids(resources: list[dict]) -> list[str]:
    return [resource["id"] for resource in resources]


WEIGHT, HEIGHT = (LOINC, "29463-7"), (LOINC, "8302-2")


# ------------------------------------------------------------------------------------ retrieves by code


def test_a_retrieve_gives_the_resources_of_its_type_in_the_order_of_the_record():
    records = [observation("b"), observation("a"), {"resourceType": "Encounter", "id": "e"}]
    assert ids(evaluated(retrieve("Observation"), *records)) == ["b", "a"]
    assert evaluated(retrieve("Procedure"), *records) == []


def test_a_code_is_in_a_value_set_by_its_system_too():
    found = evaluated(
        coded("Observation", "Weight"),
        observation("right", WEIGHT),
        observation("other-system", (SNOMED, WEIGHT[1])),
        observation("no-system", (None, WEIGHT[1])),
        observation("second-coding", (SNOMED, "1"), WEIGHT),
        observation("none"),
        value_sets={"Weight": "weight"},
        members={"weight": {WEIGHT}},
    )
    assert ids(found) == ["right", "second-coding"]


def test_a_resource_that_fits_twice_is_there_once():
    found = evaluated(
        coded("Observation", "Size"),
        observation("both", WEIGHT, HEIGHT),
        value_sets={"Size": "size"},
        members={"size": {WEIGHT, HEIGHT}},
    )
    assert ids(found) == ["both"]


def test_retrieves_by_several_value_sets_share_one_walk_and_stay_apart():
    both = node("Tuple", element=[{"name": n, "value": coded("Observation", n)} for n in ("A", "B")])
    found = evaluated(
        both,
        observation("a", WEIGHT),
        observation("b", HEIGHT),
        observation("c", WEIGHT, HEIGHT),
        value_sets={"A": "a", "B": "b"},
        members={"a": {WEIGHT}, "b": {HEIGHT}},
    )
    assert (ids(found["A"]), ids(found["B"])) == (["a", "c"], ["b", "c"])


@pytest.mark.parametrize("comparator", ["~", "in"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_retrieve_by_one_code_of_the_text(comparator, listed):
    codes = op("ToList", code("weight")) if listed else code("weight")
    found = evaluated(
        retrieve("Observation", codes=codes, codeProperty="code", codeComparator=comparator),
        observation("a", WEIGHT),
        observation("b", HEIGHT),
        codes={"weight": WEIGHT},
    )
    assert ids(found) == ["a"]


def test_a_retrieve_by_codes_that_are_known_only_at_run_time():
    codes = query(("O", retrieve("Observation")), returning=call("code", alias("O")), distinct=False)
    reading = function(
        "code",
        {"o": named_type(FHIR + "Observation")},
        node("Code", code="29463-7", system={"name": LOINC}),
    )
    found = evaluated(
        retrieve("Condition", codes=codes, codeProperty="code", codeComparator="~"),
        observation("any"),
        {"resourceType": "Condition", "id": "c", "code": concept(WEIGHT)},
        {"resourceType": "Condition", "id": "d", "code": concept(HEIGHT)},
        functions=[reading],
        codes={"weight": WEIGHT},
    )
    assert ids(found) == ["c"]


def test_codes_of_a_choice_element_and_of_a_list_element():
    medication = coded("MedicationRequest", "Drug", "medication")
    found = evaluated(
        medication,
        {"resourceType": "MedicationRequest", "id": "a", "medicationCodeableConcept": concept(WEIGHT)},
        {
            "resourceType": "MedicationRequest",
            "id": "b",
            "medicationReference": {"reference": "Medication/m"},
        },
        value_sets={"Drug": "drug"},
        members={"drug": {WEIGHT}},
    )
    assert ids(found) == ["a"]
    found = evaluated(
        coded("Encounter", "Visit", "type"),
        {"resourceType": "Encounter", "id": "a", "type": [concept(HEIGHT), concept(WEIGHT)]},
        {"resourceType": "Encounter", "id": "b", "type": []},
        value_sets={"Visit": "visit"},
        members={"visit": {WEIGHT}},
    )
    assert ids(found) == ["a"]


def test_a_negated_retrieve_finds_resources_that_name_the_value_set():
    def not_done(name: str, url: str, **holder) -> dict:
        extension = [{"url": NOT_DONE, "valueCanonical": url}]
        return {
            "resourceType": "ServiceRequest",
            "id": name,
            "code": {"extension": extension} | holder,
        }

    inside = {"resourceType": "ServiceRequest", "id": "coding", "code": {}}
    inside["code"]["coding"] = [{"extension": [{"url": NOT_DONE, "valueCanonical": "tests|2026"}]}]
    found = evaluated(
        coded("ServiceRequest", "Tests", comparator="~"),
        not_done("whole", "tests"),
        not_done("other", "drugs"),
        inside,
        {"resourceType": "ServiceRequest", "id": "done", "code": concept(WEIGHT)},
        value_sets={"Tests": "tests"},
        members={"tests": {WEIGHT}},
    )
    assert ids(found) == ["whole", "coding"]


# ------------------------------------------------------------------------------------ selections by code


def wants(path: str, wanted: dict) -> dict:
    """``exists (E.<path> T where T ~ wanted)`` as translators write it."""
    concepts = query(
        ("$this", property_of("E", path)),
        returning=call("ToConcept", alias("$this"), library="FHIRHelpers"),
        distinct=False,
    )
    return op(
        "Exists", query(("T", concepts), where=binary("Equivalent", alias("T"), op("ToConcept", wanted)))
    )


def with_helpers(expression: dict, *resources: dict, codes=None, members=None, value_sets=None):
    given = library(
        {"X": expression},
        includes=HELPERS,
        codes=codes,
        value_sets=value_sets,
    )
    run = bound(compiled(given, fhir_helpers()), value_sets=ValueSets(**(members or {})))
    return patient(run, *resources).value(NAME, "X")


VISITS = [
    {
        "resourceType": "Encounter",
        "id": "a",
        "status": "finished",
        "type": [concept(WEIGHT), concept(HEIGHT)],
    },
    {"resourceType": "Encounter", "id": "b", "status": "planned", "type": [concept(WEIGHT)]},
    {"resourceType": "Encounter", "id": "c", "status": "finished", "type": [concept(HEIGHT)]},
    {"resourceType": "Encounter", "id": "d", "status": "finished"},
]


def test_a_selection_by_code_is_the_plain_query():
    by_code = query(("E", retrieve("Encounter")), where=wants("type", code("weight")))
    assert ids(with_helpers(by_code, *VISITS, codes={"weight": WEIGHT})) == ["a", "b"]
    finished = binary("Equal", text_of("E", "status"), "finished")
    both = query(("E", retrieve("Encounter")), where=binary("And", finished, wants("type", code("weight"))))
    assert ids(with_helpers(both, *VISITS, codes={"weight": WEIGHT})) == ["a"]
    # The same under an or cannot be answered by the index.
    either = query(
        ("E", retrieve("Encounter")),
        where=binary("Or", binary("Equal", text_of("E", "id"), "d"), wants("type", code("weight"))),
    )
    assert ids(with_helpers(either, *VISITS, codes={"weight": WEIGHT})) == ["a", "b", "d"]


def test_a_selection_by_value_set_is_the_plain_query():
    test = node(
        "InValueSet",
        code=call("ToConcept", property_of("O", "code"), library="FHIRHelpers"),
        valueset=value_set("Size"),
    )
    rows = query(("O", retrieve("Observation")), where=test)
    found = with_helpers(
        rows,
        observation("a", WEIGHT),
        observation("b", (SNOMED, "1")),
        value_sets={"Size": "size"},
        members={"size": {WEIGHT}},
    )
    assert ids(found) == ["a"]


# ------------------------------------------------------------------------------------ profiles


class ByProfile:
    def __init__(self, matching: Matching) -> None:
        self._matching = matching

    def predicate(self, template, resource_type):
        return profile_table().predicate(template, self._matching)


BODY_WEIGHT = "http://hl7.org/fhir/StructureDefinition/bodyweight"
VITAL = [concept(("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs"))]


@pytest.mark.parametrize(
    ("matching", "found"),
    [
        (Matching.LABEL, ["labelled"]),
        (Matching.STRUCTURE, ["structured"]),
        (Matching.AUTO, ["labelled", "structured"]),
    ],
)
def test_a_profile_is_known_by_label_by_structure_or_by_both(matching, found):
    rows = retrieve("Observation", templateId=BODY_WEIGHT)
    got = evaluated(
        rows,
        observation("labelled", (SNOMED, "1"), meta={"profile": [BODY_WEIGHT]}),
        observation("structured", WEIGHT, category=VITAL, valueQuantity={"value": 70}),
        observation("neither", HEIGHT, category=VITAL, valueQuantity={"value": 170}),
        profiles=ByProfile(matching),
    )
    assert ids(got) == found


def test_profiles_and_codes_narrow_together():
    rows = coded("Observation", "Size") | {"templateId": BODY_WEIGHT}
    got = evaluated(
        rows,
        observation("both", WEIGHT, category=VITAL, meta={"profile": [BODY_WEIGHT]}),
        observation(
            "code", WEIGHT, category=VITAL, meta={"profile": [BODY_WEIGHT.replace("weight", "height")]}
        ),
        value_sets={"Size": "size"},
        members={"size": {WEIGHT}},
        profiles=ByProfile(Matching.LABEL),
    )
    assert ids(got) == ["both"]


# ------------------------------------------------------------------------------------ dates, ids, contexts


def test_a_retrieve_by_a_range_of_dates():
    rows = retrieve(
        "Observation",
        dateProperty="effective",
        dateRange=interval(datetime(2026, 1, 1, 0, 0, 0, 0), datetime(2026, 12, 31, 23, 59, 59, 999)),
    )
    got = evaluated(
        rows,
        observation("inside", effectiveDateTime="2026-06-01T10:00:00Z"),
        observation("outside", effectiveDateTime="2025-12-31T23:59:59Z"),
        observation(
            "period", effectivePeriod={"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
        ),
        observation(
            "across", effectivePeriod={"start": "2025-12-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
        ),
        observation("unclear", effectiveDateTime="2026"),
        observation("none"),
    )
    assert ids(got) == ["inside", "period"]


def test_a_retrieve_by_id():
    rows = retrieve("Observation", idProperty="id", id=of("b"))
    assert ids(evaluated(rows, observation("a"), observation("b"))) == ["b"]


def test_a_related_context_retrieve_finds_the_resources_of_the_one_it_names():
    mother = property_of(node("First", source=retrieve("RelatedPerson")), "id")
    rows = retrieve("Observation", context=property_of(mother, "value"))
    got = evaluated(
        rows,
        {"resourceType": "RelatedPerson", "id": "m1", "patient": {"reference": "Patient/p1"}},
        observation("hers", subject={"reference": "Patient/m1"}),
        observation("his", subject={"reference": "Patient/p1"}),
    )
    assert ids(got) == ["hers"]


# ------------------------------------------------------------------------------------ choices and primitives


VALUES = {
    "quantity": {"valueQuantity": {"value": 7, "unit": "mg", "code": "mg"}},
    "string": {"valueString": "positive"},
    "moment": {"valueDateTime": "2026-03-01"},
    "period": {"valuePeriod": {"start": "2026-03-01"}},
    "none": {},
}


def of_value(test: dict) -> dict:
    return query(("O", retrieve("Observation")), where=test)


@pytest.mark.parametrize(
    ("kind", "found"),
    [("Quantity", "quantity"), ("string", "string"), ("dateTime", "moment"), ("Period", "period")],
)
def test_a_choice_element_tells_which_form_it_has(kind, found):
    observations = [observation(name, **form) for name, form in VALUES.items()]
    is_kind = node("Is", property_of("O", "value"), isType=FHIR + kind)
    assert ids(evaluated(of_value(is_kind), *observations)) == [found]
    as_kind = node("As", property_of("O", "value"), asType=FHIR + kind)
    assert ids(evaluated(of_value(op("Not", op("IsNull", as_kind))), *observations)) == [found]


def test_a_choice_element_is_null_where_none_of_its_forms_is_there():
    observations = [observation(name, **form) for name, form in VALUES.items()]
    assert ids(evaluated(of_value(op("IsNull", property_of("O", "value"))), *observations)) == ["none"]


def test_a_choice_element_keeps_its_type_in_a_list_and_through_a_function():
    name = case(
        (node("Is", operand("x"), isType=FHIR + "string"), "text"),
        (node("Is", operand("x"), isType=FHIR + "dateTime"), "time"),
        otherwise="other",
    )
    kinds = {
        "type": "ChoiceTypeSpecifier",
        "choice": [named_type(FHIR + k) for k in ("Quantity", "string", "dateTime", "Period")],
    }
    naming = function("naming", {"x": kinds}, name)
    observations = [observation(n, **form) for n, form in VALUES.items() if form]
    values = query(("O", retrieve("Observation")), returning=property_of("O", "value"), distinct=False)
    through_list = query(("V", values), returning=call("naming", alias("V")), distinct=False)
    direct = query(
        ("O", retrieve("Observation")), returning=call("naming", property_of("O", "value")), distinct=False
    )
    expected = ["other", "text", "time", "other"]
    assert evaluated(through_list, *observations, functions=[naming]) == expected
    assert evaluated(direct, *observations, functions=[naming]) == expected


def test_a_cast_to_a_form_it_has_not_is_null_or_an_error_where_it_is_strict():
    value = property_of(node("First", source=retrieve("Observation")), "value")
    loose = node("As", value, asType=FHIR + "string")
    assert evaluated(loose, observation("q", **VALUES["quantity"])) is None
    strict = node("As", value, asType=FHIR + "string", strict=True)
    with pytest.raises(Exception, match=r"(?i)cast|string"):
        evaluated(strict, observation("q", **VALUES["quantity"]))


def test_primitives_are_their_json_read_as_their_type():
    assert iso(evaluated(property_of(property_of(ref("Patient"), "birthDate"), "value"))) == "1980-02-29"
    assert evaluated(text_of(ref("Patient"), "gender")) == "female"
    assert evaluated(property_of(ref("Patient"), "birthDate.value")) is not None


def test_a_primitive_with_an_extension_alone_is_there_and_has_no_value():
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    unknown = {"resourceType": "Patient", "id": "p1", "_birthDate": {"extension": [absent]}}
    birth = property_of(ref("Patient"), "birthDate")
    given = library(
        {
            "There": op("Not", op("IsNull", birth)),
            "Value": property_of(birth, "value"),
            "Extensions": property_of(birth, "extension"),
            "Url": query(("E", property_of(birth, "extension")), returning=text_of("E", "url")),
        }
    )
    run = bound(compiled(given))
    found = run.patient(Record([unknown]))
    assert found.value(NAME, "There") is True
    assert found.value(NAME, "Value") is None
    assert found.value(NAME, "Extensions") == [absent]
    assert found.value(NAME, "Url") == [absent["url"]]
    bare = run.patient(Record([{"resourceType": "Patient", "id": "p1"}]))
    assert bare.value(NAME, "There") is False
    assert bare.value(NAME, "Extensions") in (None, [])
    whole = run.patient(Record([PATIENT]))
    assert whole.value(NAME, "There") is True
    assert whole.value(NAME, "Extensions") in (None, [])


def test_a_property_of_a_list_gathers_what_its_elements_have():
    families = property_of(property_of(ref("Patient"), "name"), "given")
    named = {**PATIENT, "name": [{"given": ["Ann", "Bea"]}, {"family": "Roe"}, {"given": ["Cleo"]}]}
    run = bound(compiled(library({"X": families})))
    assert run.patient(Record([named])).value(NAME, "X") == ["Ann", "Bea", "Cleo"]
    assert patient(run).value(NAME, "X") in (None, [])


def test_a_property_of_null_is_null():
    nobody = node("First", source=retrieve("Encounter"))
    assert evaluated(text_of(nobody, "status")) is None
    assert evaluated(op("Start", period_of(nobody))) is None


def test_a_resource_tells_its_type_in_a_list_of_several():
    both = node("Union", retrieve("Observation"), retrieve("Encounter"))
    rows = query(("R", both), where=node("Is", alias("R"), isType=FHIR + "Encounter"))
    encounter = {"resourceType": "Encounter", "id": "e"}
    assert ids(evaluated(rows, observation("o"), encounter)) == ["e"]
    cast = query(("R", both), returning=node("As", alias("R"), asType=FHIR + "Encounter"), distinct=False)
    assert evaluated(cast, observation("o"), encounter) == [None, encounter]


# ------------------------------------------------------------------------------------ contained, references


def by_reference() -> dict:
    """Requests with the id of the Medication that they refer to."""
    reference = property_of(property_of(property_of("M", "medication"), "reference"), "value")
    matching = binary("EndsWith", reference, node("Concatenate", of("/"), text_of("D", "id")))
    return query(
        ("M", retrieve("MedicationRequest")),
        relationship=[related("With", "D", retrieve("Medication"), matching)],
    )


def test_a_contained_resource_is_found_and_its_container_points_there():
    request = {
        "resourceType": "MedicationRequest",
        "id": "r",
        "contained": [{"resourceType": "Medication", "id": "m", "code": concept(WEIGHT)}],
        "medicationReference": {"reference": "#m"},
    }
    record = Record([PATIENT, request])
    run = bound(compiled(library({"X": by_reference(), "M": retrieve("Medication")})))
    found = run.patient(record)
    assert ids(found.value(NAME, "X")) == ["r"]
    assert len(found.value(NAME, "M")) == 1
    assert request["medicationReference"] == {"reference": "#m"}, "the given resource is left as it came"


def test_contained_resources_of_one_name_in_two_containers_stay_apart():
    def request(name: str, *codes: tuple[str, str]) -> dict:
        return {
            "resourceType": "MedicationRequest",
            "id": name,
            "contained": [{"resourceType": "Medication", "id": "m", "code": concept(*codes)}],
            "medicationReference": {"reference": "#m"},
        }

    by_code = by_reference()
    by_code["relationship"][0]["expression"] = coded("Medication", "Drug")
    given = library({"X": by_code}, value_sets={"Drug": "drug"})
    run = bound(compiled(given), value_sets=ValueSets(drug={WEIGHT}))
    record = Record([PATIENT, request("r1", WEIGHT), request("r2", HEIGHT)])
    assert ids(run.patient(record).value(NAME, "X")) == ["r1"]


def test_references_by_urn_uuid_are_followed_inside_their_bundle():
    medication = {"resourceType": "Medication", "code": concept(WEIGHT)}
    request = {
        "resourceType": "MedicationRequest",
        "id": "r",
        "medicationReference": {"reference": "urn:uuid:11111111-2222-3333-4444-555555555555"},
    }
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:p", "resource": dict(PATIENT)},
            {"fullUrl": "urn:uuid:11111111-2222-3333-4444-555555555555", "resource": medication},
            {"fullUrl": "urn:uuid:r", "resource": request},
        ],
    }
    run = bound(compiled(library({"X": by_reference()})))
    assert ids(run.patient(record_of_bundle(bundle)).value(NAME, "X")) == ["r"]


def test_the_resources_that_were_looked_at_can_be_listed():
    given = library({"X": op("Exists", coded("Observation", "Size"))}, value_sets={"Size": "size"})
    run = bound(compiled(given), value_sets=ValueSets(size={WEIGHT}), profiles=Everything())
    found = patient(run, observation("a", WEIGHT), observation("b", HEIGHT))
    assert list(found.evaluated_resources()) == []
    assert found.value(NAME, "X") is True
    assert ids(list(found.evaluated_resources())) == ["a"]


def test_system_prefix_names_the_types_of_cql():
    assert evaluated(node("Is", of(1), isType=SYSTEM + "Integer")) is True
    assert evaluated(node("Is", of("1"), isType=SYSTEM + "Integer")) is False
