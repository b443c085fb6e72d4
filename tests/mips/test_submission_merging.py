"""What is handed in again by the same method replaces what was there; everything else stays."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qpp_examples import activities, promoting, quality, registry, submission

from measurewise.mips.submission.merging import MergeError, merge, set_key
from measurewise.qrda.qpp_model import MeasurementSet, Submission, to_json
from measurewise.qrda.qpp_reading import read_qpp

SETS = st.builds(
    lambda category, method, programme, measure: MeasurementSet(
        category, method, programme, performance_start=measure
    ),
    st.sampled_from(["quality", "pi", "ia"]),
    st.sampled_from(["registry", "electronicHealthRecord"]),
    st.sampled_from([None, "mips", "app1", "G0053"]),
    st.sampled_from(["2025-01-01", "2025-02-01", "2025-03-01"]),
)
SUBMISSIONS = st.builds(
    lambda sets: Submission(
        2025,
        "group",
        taxpayer_identification_number="123456789",
        measurement_sets=tuple({set_key(one): one for one in sets}.values()) or None,
    ),
    st.lists(SETS, max_size=6),
)


def read(*sets: dict[str, Any], **changes: Any) -> Submission:
    return read_qpp(submission(*sets, **changes)).submission


def by_key(one: Submission) -> dict[tuple[str, str, str], MeasurementSet]:
    return {set_key(part): part for part in one.measurement_sets or ()}


def test_a_set_of_the_same_category_method_and_programme_replaces_the_older_whole() -> None:
    older = read(quality(), promoting(), activities())
    newer = read(quality(measurements=[{"measureId": "001", "value": True}]))
    merged = merge(older, newer)
    first, second, third = merged.submission.measurement_sets or ()
    assert [one.measure_id for one in first.measurements or ()] == ["001"]
    assert (second, third) == (older.measurement_sets or ())[1:]
    assert merged.replaced == (("quality", "electronicHealthRecord", "mips"),)
    assert merged.kept == (("pi", "electronicHealthRecord", "mips"), ("ia", "registry", "mips"))
    assert merged.added == ()


def test_another_method_or_programme_is_added() -> None:
    older = read(quality())
    newer = read(registry(), quality(programName="appPlus"), quality(programName="G0053"))
    merged = merge(older, newer)
    assert len(merged.submission.measurement_sets or ()) == 4
    assert merged.replaced == ()
    assert len(merged.added) == 3


def test_a_programme_that_is_not_named_is_mips() -> None:
    unnamed = {name: value for name, value in quality().items() if name != "programName"}
    assert merge(read(quality()), read(unnamed)).replaced


def test_a_replaced_set_keeps_the_id_that_cms_gave_it() -> None:
    merged = merge(read(quality(id="set-1", submissionId="sub-1")), read(quality(measurements=[])))
    (one,) = merged.submission.measurement_sets or ()
    assert (one.id, one.submission_id, one.measurements) == ("set-1", "sub-1", ())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"performanceYear": 2024}, "performance year"),
        ({"nationalProviderIdentifier": "1245319599"}, "NPI"),
        ({"taxpayerIdentificationNumber": "000000000"}, "TIN"),
        ({"entityType": "group"}, "entity type"),
    ],
)
def test_submissions_of_others_are_not_merged(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(MergeError, match=named) as caught:
        merge(read(quality()), read(quality(), **changes))
    assert "123456789" not in str(caught.value)


@given(SUBMISSIONS)
def test_merging_with_itself_changes_nothing(one: Submission) -> None:
    assert merge(one, one).submission == one


@given(SUBMISSIONS, SUBMISSIONS)
def test_merging_again_changes_nothing(older: Submission, newer: Submission) -> None:
    once = merge(older, newer).submission
    assert merge(once, newer).submission == once


@given(SUBMISSIONS, SUBMISSIONS, SUBMISSIONS)
def test_it_does_not_matter_which_two_are_merged_first(a: Submission, b: Submission, c: Submission) -> None:
    left = merge(merge(a, b).submission, c).submission
    assert left == merge(a, merge(b, c).submission).submission


@given(SUBMISSIONS, SUBMISSIONS)
def test_order_matters_only_for_sets_of_the_same_key(a: Submission, b: Submission) -> None:
    one, other = by_key(merge(a, b).submission), by_key(merge(b, a).submission)
    assert one.keys() == other.keys() == by_key(a).keys() | by_key(b).keys()
    for key in one:
        assert one[key] == by_key(b).get(key, by_key(a).get(key))
        if key not in by_key(a).keys() & by_key(b).keys():
            assert one[key] == other[key]


@given(SUBMISSIONS, SUBMISSIONS)
def test_replaced_kept_and_added_are_all_there_is(older: Submission, newer: Submission) -> None:
    merged = merge(older, newer)
    told = (*merged.replaced, *merged.kept, *merged.added)
    assert len(told) == len(set(told))
    assert set(told) == by_key(merged.submission).keys()
    assert to_json(merged.submission).keys() == to_json(older).keys() | (
        {"measurementSets"} if merged.added else set()
    )
