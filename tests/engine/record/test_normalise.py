"""What a record's resources become when they have not the shape of FHIR R4, and what is said of it."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine import Record
from measurewise.engine.record.normalise import mended
from measurewise.engine.runner.element_shapes import elements

LEFT_OUT = object()


def with_resource(resource: dict[str, Any]) -> Record:
    return Record([{"resourceType": "Patient", "id": "p"}, resource])


def changed(resource: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    found = mended(with_resource(resource), elements)
    assert found is not None
    return found.record.by_type[resource["resourceType"]][-1], found.issues


CODE = {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}


@pytest.mark.parametrize(
    ("element", "found", "becomes", "told"),
    [
        ("code", [CODE], CODE, "a list where an object belongs; its only entry is read"),
        ("code", [[CODE]], CODE, "a list where an object belongs; its only entry is read"),
        ("code", [CODE, CODE], LEFT_OUT, "a list of 2 where an object belongs"),
        ("code", [], LEFT_OUT, "a list of 0 where an object belongs"),
        ("code", [None], LEFT_OUT, "a list of 1 where an object belongs"),
        ("code", "4548-4", LEFT_OUT, "a string where an object belongs"),
        ("category", CODE, [CODE], "an object where a list belongs; it is read as a list of one"),
        ("category", "lab", LEFT_OUT, "a string where an object belongs"),
        ("effectivePeriod", "2026", LEFT_OUT, "a string where an object belongs"),
        ("effectiveDateTime", {}, LEFT_OUT, "an object where a dateTime belongs"),
        ("effectiveDateTime", 2026, LEFT_OUT, "a number where a dateTime belongs"),
        ("effectiveDateTime", "soon", LEFT_OUT, "other text where a dateTime belongs"),
        ("status", 5, "5", "a number where a string belongs; it is read as one"),
        ("status", True, LEFT_OUT, "a boolean where a string belongs"),
        ("valueBoolean", "true", True, "other text where a boolean belongs; it is read as one"),
        ("valueBoolean", "yes", LEFT_OUT, "other text where a boolean belongs"),
        ("valueInteger", "12", 12, "other text where an integer belongs; it is read as one"),
        ("valueInteger", Decimal("1.5"), LEFT_OUT, "a number where an integer belongs"),
        ("_status", [], LEFT_OUT, "a list of 0 where an object belongs"),
    ],
)
def test_an_element_of_the_wrong_shape(element: str, found: Any, becomes: Any, told: str) -> None:
    resource = {"resourceType": "Observation", "id": "o", element: found, "issued": "2026-01-01T00:00:00Z"}
    before = copy.deepcopy(resource)
    after, issues = changed(resource)
    expected = {**before, element: becomes}
    if becomes is LEFT_OUT:
        del expected[element]
        told += "; it is left out"
    assert after == expected
    assert type(after.get(element)) is type(expected.get(element))
    assert issues == [f"Observation/o: {element} is {told}."]
    assert resource == before


@pytest.mark.parametrize(
    ("element", "found", "becomes", "told"),
    [
        ("category", [CODE, None], [CODE], "category[1] is null where an object belongs; it is left out"),
        ("category", [5, CODE], [CODE], "category[0] is a number where an object belongs; it is left out"),
        (
            "meta",
            {"profile": "http://p"},
            {"profile": ["http://p"]},
            "meta.profile is a string where a list belongs; it is read as a list of one",
        ),
        (
            "meta",
            {"profile": ["http://p", {}]},
            {"profile": ["http://p"]},
            "meta.profile[1] is an object where a string belongs; it is left out",
        ),
    ],
)
def test_a_part_of_the_wrong_shape(element: str, found: Any, becomes: Any, told: str) -> None:
    resource = {"resourceType": "Observation", "id": "o", element: found}
    assert changed(resource) == ({**resource, element: becomes}, [f"Observation/o: {told}."])


def test_it_reaches_into_components_and_choices() -> None:
    value = {"value": "7.10", "unit": 5}
    resource = {"resourceType": "Observation", "component": [{"code": CODE, "valueQuantity": value}]}
    after, issues = changed(resource)
    assert after["component"][0]["valueQuantity"] == {"value": Decimal("7.10"), "unit": "5"}
    assert str(after["component"][0]["valueQuantity"]["value"]) == "7.10"
    assert after["component"][0]["code"] is CODE
    assert issues == [
        "Observation without an id: component[0].valueQuantity.value is other text where a number belongs; "
        "it is read as one.",
        "Observation without an id: component[0].valueQuantity.unit is a number where a string belongs; "
        "it is read as one.",
    ]


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Observation", "code": {"text": "no coding"}, "category": [{"coding": [{}]}]},
        {"resourceType": "Observation", "valueQuantity": {"value": 7}, "status": None},
        {
            "resourceType": "Patient",
            "birthDate": "1970",
            "_birthDate": {"id": "b"},
            "multipleBirthInteger": 2,
        },
        {"resourceType": "Encounter", "unknownElement": [None, 5], "period": {"start": "2026-01"}},
        {"resourceType": "NoSuchResource", "code": 5},
    ],
    ids=lambda resource: str(resource["resourceType"]),
)
def test_what_is_fhir_or_unknown_to_it_is_left_alone(resource: dict[str, Any]) -> None:
    record = Record(
        [resource] if resource["resourceType"] == "Patient" else [{"resourceType": "Patient"}, resource]
    )
    assert mended(record, elements) is None


def test_nulls_that_only_make_room_for_extensions_are_no_issue() -> None:
    name = {"given": [None, "Ann"], "_given": [{"extension": []}, None]}
    found = mended(Record([{"resourceType": "Patient", "name": [name]}]), elements)
    assert found is not None
    assert found.record.patient["name"][0]["given"] == ["Ann"]
    assert found.issues == []


def test_untouched_resources_stay_the_same_objects() -> None:
    whole = {"resourceType": "Condition", "id": "c", "code": CODE}
    broken = {"resourceType": "Encounter", "id": "e", "period": "2026"}
    record = Record([{"resourceType": "Patient"}, whole, broken])
    found = mended(record, elements)
    assert found is not None
    assert found.record.by_type["Condition"][0] is whole
    assert found.record.patient is record.patient
    assert record.by_type["Encounter"][0] is broken


def test_of_very_many_changes_the_first_are_told_and_the_rest_counted() -> None:
    resource = {"resourceType": "Observation", "category": [5] * 250}
    after, issues = changed(resource)
    assert after["category"] == []
    assert len(issues) == 101
    assert issues[-1] == "150 more elements have not the shape of FHIR."


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["code", "coding", "period", "start", "meta", "profile", "extension", "valuePeriod"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["code", "category", "meta", "extension", "component"]), JSON))
def test_what_was_mended_needs_no_mending(parts: dict[str, Any]) -> None:
    found = mended(with_resource({**parts, "resourceType": "Observation"}), elements)
    if found is not None:
        again = mended(found.record, elements)
        assert again is None
