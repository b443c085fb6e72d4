"""QPP JSON is read leniently, written back as it came, and its strange parts are told by their place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qpp_examples import submission

from measurewise.mips.submission.validation import validate
from measurewise.qrda.qpp_model import (
    Measurement,
    MeasurementSet,
    MultiPerformanceRate,
    NonProportion,
    OtherValue,
    PerformanceRate,
    Proportion,
    Submission,
    to_json,
)
from measurewise.qrda.qpp_reading import UnreadableQppError, parse_json, read_qpp

NAMES = st.sampled_from(
    [
        "performanceYear",
        "entityType",
        "measurementSets",
        "measurements",
        "measureId",
        "value",
        "strata",
        "stratum",
        "numerator",
        "denominator",
        "performanceMet",
        "eligiblePopulation",
        "isEndToEndReported",
        "category",
        "performanceStart",
        "unknown",
    ]
)
LEAVES = (
    st.none() | st.booleans() | st.integers(-3, 2030) | st.floats(-9, 9) | st.sampled_from(["", "pi", "2025"])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)
OBJECTS = st.dictionaries(NAMES, ANYTHING, max_size=6)


def submissions() -> st.SearchStrategy[dict[str, Any]]:
    """Submissions whose parts are objects in the right places, each with whatever in it."""
    measurements = st.lists(OBJECTS, max_size=3)
    sets = st.lists(
        st.builds(lambda one, inner: {**one, "measurements": inner}, OBJECTS, measurements), max_size=3
    )
    return st.builds(lambda one, inner: {**one, "measurementSets": inner}, OBJECTS, sets)


@given(OBJECTS | submissions())
def test_any_object_is_read_and_written_back_the_same(content: dict[str, Any]) -> None:
    assert to_json(read_qpp(content).submission) == content


@given(submissions())
def test_any_object_can_be_judged_and_each_place_is_in_it(content: dict[str, Any]) -> None:
    reading = read_qpp(content)
    assert all(found_at(content, one.pointer) == one.found for one in reading.wrong)
    validate(reading)


def found_at(content: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        content = content[int(part)] if isinstance(content, list) else content[part]
    return content


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, bool),
        ({"numerator": 1, "denominator": 2}, Proportion),
        ({"numerator": 1.5, "denominator": 2, "observationInstances": 3}, NonProportion),
        ({"performanceMet": 1, "eligiblePopulation": 2}, PerformanceRate),
        ({"isEndToEndReported": True, "strata": []}, MultiPerformanceRate),
        ({"score": 8.5, "reliability": "high"}, OtherValue),
        (7, OtherValue),
    ],
)
def test_a_value_is_told_by_its_members(value: Any, kind: type[Any]) -> None:
    content = {"measurementSets": [{"measurements": [{"measureId": "1", "value": value}]}]}
    read = read_qpp(content).submission
    assert read.measurement_sets
    assert read.measurement_sets[0].measurements
    assert type(read.measurement_sets[0].measurements[0].value) is kind
    assert to_json(read) == content


def test_a_whole_submission_has_types_throughout() -> None:
    reading = read_qpp(submission())
    assert reading.wrong == ()
    assert reading.submission.others == {}
    quality, promoting, activities = reading.submission.measurement_sets or ()
    assert quality.others == promoting.others == activities.others == {}
    assert activities.program_name is None
    assert activities.programme == "mips"
    rates = (quality.measurements or ())[1].value
    assert isinstance(rates, MultiPerformanceRate)
    assert [one.stratum for one in rates.strata or ()] == ["percentiles", "nutrition", "physicalActivity"]


def test_members_of_another_type_are_kept_and_told_by_pointer() -> None:
    content = submission(performanceYear="2025")
    content["measurementSets"][0]["measurements"][0]["value"]["performanceMet"] = "60"
    content["measurementSets"][1]["measurements"] = {"measureId": "PI_EP_1"}
    reading = read_qpp(content)
    assert to_json(reading.submission) == content
    assert [(one.pointer, one.found) for one in reading.wrong] == [
        ("/performanceYear", "2025"),
        ("/measurementSets/0/measurements/0/value/performanceMet", "60"),
        ("/measurementSets/1/measurements", {"measureId": "PI_EP_1"}),
    ]


def test_a_submission_made_of_values_is_written() -> None:
    made = Submission(
        performance_year=2025,
        entity_type="apm",
        entity_id="A1",
        measurement_sets=(
            MeasurementSet(
                "quality",
                "registry",
                measurements=(
                    Measurement("236", PerformanceRate(is_end_to_end_reported=True, performance_met=1)),
                ),
            ),
        ),
    )
    assert to_json(made) == {
        "performanceYear": 2025,
        "entityType": "apm",
        "entityId": "A1",
        "measurementSets": [
            {
                "category": "quality",
                "submissionMethod": "registry",
                "measurements": [
                    {"measureId": "236", "value": {"isEndToEndReported": True, "performanceMet": 1}}
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"a": 1,\n "b" 2}', "line 2, column 6"),
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b'{"a": NaN}', "NaN"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "deeply"),
        (b"", "line 1"),
        (b"[1]" + b" " * 100, "bytes"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(data: bytes, told: str) -> None:
    with pytest.raises(UnreadableQppError, match=told) as caught:
        parse_json(data, size_limit=200_000 if told != "bytes" else 50)
    assert caught.value.mend


@pytest.mark.parametrize("content", [[], "text", None, 3])
def test_only_an_object_is_a_submission(content: Any) -> None:
    with pytest.raises(UnreadableQppError, match="object"):
        read_qpp(content)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_json(b"\xef\xbb\xbf{}") == {}


def leaves(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every part of some JSON."""
    inner = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [path, *(found for name, one in inner for found in leaves(one, (*path, name)))]


PATHS = [path for path in leaves(submission()) if path]
CHANGES = st.lists(st.tuples(st.sampled_from(PATHS), ANYTHING), min_size=1, max_size=4)


@given(CHANGES)
def test_a_submission_spoilt_anywhere_is_judged_and_not_stumbled_over(changes: list[tuple[Any, Any]]) -> None:
    content: Any = submission()
    for path, change in changes:
        at = content
        for name in path[:-1]:
            at = at[name] if isinstance(at, dict) and name in at else at
            at = at[name] if isinstance(at, list) and isinstance(name, int) and name < len(at) else at
        if isinstance(at, dict) and isinstance(path[-1], str):
            at[path[-1]] = change
    reading = read_qpp(content)
    assert to_json(reading.submission) == content
    problems = validate(reading)
    told = {one.pointer for one in problems}
    assert {one.pointer for one in reading.wrong} <= told
    assert all(one.mend for one in problems)
